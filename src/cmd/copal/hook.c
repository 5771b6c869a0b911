/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a command of the user's for a representation. */
#include "cmd/copal/hook.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/copal/media.h"
#include "cmd/copal/run.h"
#include "copal/registry.h"

enum { CANNOT_RUN = 127 };

static void set_text(const char *name, const buf *value)
{
  setenv(name, buf_str(value), 1);
}

static void set_environment(const notice *n)
{
  const reply *r = &n->report->result->reply;
  const int32_t cf = report_content_format(r);
  copal_span etag;
  buf text = {0};
  report_code(r->msg.code, false, &text);
  set_text("COPAL_CODE", &text);
  text.len = 0;
  if (n->has_sequence)
    buf_print(&text, "%u", (unsigned)n->sequence);
  set_text("COPAL_SEQUENCE", text.len > 0 ? &text : &(buf){0});
  text.len = 0;
  if (cf != MEDIA_NONE)
    media_name((uint32_t)cf, &text);
  set_text("COPAL_CONTENT_FORMAT", text.len > 0 ? &text : &(buf){0});
  text.len = 0;
  if (copal_opt_find(r->msg.options, COPAL_OPT_ETAG, &etag))
    for (size_t i = 0; i < etag.len; i++)
      buf_print(&text, "%02x", etag.ptr[i]);
  set_text("COPAL_ETAG", text.len > 0 ? &text : &(buf){0});
  setenv("COPAL_URI", n->report->target->text, 1);
  buf_wipe(&text);
}

/* The body as a file, for a pipe would have to be fed. */
static int make_input(copal_span body)
{
  const int fd = memfd_create("representation", MFD_CLOEXEC);
  if (fd < 0)
    return -1;
  if (run_write(fd, body) == 0 && lseek(fd, 0, SEEK_SET) == 0)
    return fd;
  close(fd);
  return -1;
}

static _Noreturn void be_child(const char *command, const notice *n, int input)
{
  set_environment(n);
  session_release_signals();
  if (dup2(input, STDIN_FILENO) >= 0)
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
  _exit(CANNOT_RUN);
}

static int wait_for(session *s, pid_t child)
{
  bool is_told = false;
  int result = 0;
  for (;;) {
    const pid_t ended = waitpid(child, &result, WNOHANG);
    if (ended == child || (ended < 0 && errno != EINTR))
      return result;
    if (session_is_interrupted() && !is_told) {
      kill(child, SIGTERM);
      is_told = true;
    }
    session_turn(s, session_now() + COPAL_SECOND);
  }
}

int hook_run(session *s, const char *command, const notice *n, buf *outcome)
{
  const int input = make_input(buf_span(&n->report->result->body));
  const pid_t child = input < 0 ? -1 : fork();
  if (child == 0)
    be_child(command, n, input);
  const int errnum = errno;
  if (input >= 0)
    close(input);
  if (child < 0) {
    buf_print(outcome, "cannot run it: %s", strerror(errnum));
    return -1;
  }
  const int result = wait_for(s, child);
  if (WIFSIGNALED(result))
    buf_print(outcome, "ended by signal %d", WTERMSIG(result));
  else
    buf_print(outcome, "exit status %d", WEXITSTATUS(result));
  return 0;
}
