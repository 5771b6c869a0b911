/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a question to a program: the question on its standard input, the answer on its standard
 * output. What a client calls itself is never an argument as it is, so that no program takes it for
 * an option. Thread: one of the lookup's. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "copal/error.h"
#include "policy/lookup/ask.h"

enum {
  ARG_SIZE = 1024,
  TICK_MS = 200, /* how often somebody looks whether all is over */
  NAP_NS = 2000000,
};

#define PLACEHOLDER "{hex}"

extern char **environ;

/* A program at work. */
typedef struct child {
  pid_t pid;
  int in, out; /* our ends */
  uint64_t deadline_ms;
} child;

static uint64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static int fail(char why[LOOKUP_WHY_SIZE], const char *what, int err)
{
  snprintf(why, LOOKUP_WHY_SIZE, "%s: %s", what, strerror(err));
  return COPAL_EUNREACH;
}

/* ------------------------------------------------------------------------------------------------
 * starting */

/* Fills in the identity. False when there is no room. */
static bool write_arg(const char *from, const char *hex, char out[ARG_SIZE])
{
  size_t len = 0;
  while (*from != '\0') {
    const bool is_place = strncmp(from, PLACEHOLDER, strlen(PLACEHOLDER)) == 0;
    const char *piece = is_place ? hex : from;
    const size_t n = is_place ? strlen(hex) : 1;
    if (n >= ARG_SIZE - len)
      return false;
    memcpy(out + len, piece, n);
    len += n;
    from += is_place ? strlen(PLACEHOLDER) : 1;
  }
  out[len] = '\0';
  return true;
}

/* Signals as a program expects them, and a group of its own, to be ended with all it has started.
 */
static int set_attributes(posix_spawnattr_t *attributes)
{
  sigset_t none, usual;
  sigemptyset(&none);
  sigfillset(&usual);
  sigdelset(&usual, SIGKILL);
  sigdelset(&usual, SIGSTOP);
  int rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP);
  if (rc == 0)
    rc = posix_spawnattr_setsigmask(attributes, &none);
  if (rc == 0)
    rc = posix_spawnattr_setsigdefault(attributes, &usual);
  return rc != 0 ? rc : posix_spawnattr_setpgroup(attributes, 0);
}

static int spawn(child *c, char *const *argv, int in, int out)
{
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  int rc = posix_spawn_file_actions_init(&actions);
  if (rc != 0)
    return rc;
  rc = posix_spawnattr_init(&attributes);
  if (rc == 0) {
    rc = set_attributes(&attributes);
    if (rc == 0)
      rc = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (rc == 0)
      rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (rc == 0)
      rc = posix_spawn(&c->pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_destroy(&actions);
  return rc;
}

static int start(const ask_cfg *cfg, const question *q, child *c, char why[LOOKUP_WHY_SIZE])
{
  char args[LOOKUP_ARGS_MAX][ARG_SIZE];
  char *argv[LOOKUP_ARGS_MAX + 1] = {NULL};
  int in[2], out[2];
  for (size_t i = 0; i < cfg->command_count; i++) {
    if (!write_arg(cfg->command[i], q->hex, args[i]))
      return fail(why, cfg->command[0], E2BIG);
    argv[i] = args[i];
  }
  if (pipe2(in, O_CLOEXEC) < 0)
    return fail(why, "a pipe", errno);
  if (pipe2(out, O_CLOEXEC) < 0) {
    const int err = errno;
    close(in[0]);
    close(in[1]);
    return fail(why, "a pipe", err);
  }
  const int rc = spawn(c, argv, in[0], out[1]);
  close(in[0]);
  close(out[1]);
  c->in = in[1];
  c->out = out[0];
  if (rc == 0)
    return COPAL_OK;
  close(c->in);
  close(c->out);
  return fail(why, cfg->command[0], rc);
}

/* ------------------------------------------------------------------------------------------------
 * talking */

static int give_up(const ask_cfg *cfg, char why[LOOKUP_WHY_SIZE])
{
  snprintf(why, LOOKUP_WHY_SIZE, "%s does not answer", cfg->command[0]);
  return COPAL_ETIMEDOUT;
}

/* Reads up to the end of what the program writes; more than fits is a failure. */
static int read_answer(const ask_cfg *cfg, const child *c, copal_mspan room, size_t *len,
                       char why[LOOKUP_WHY_SIZE])
{
  struct pollfd p = {.fd = c->out, .events = POLLIN};
  *len = 0;
  for (;;) {
    const uint64_t now = now_ms();
    if (now >= c->deadline_ms || atomic_load(cfg->is_over))
      return give_up(cfg, why);
    const uint64_t left = c->deadline_ms - now;
    if (poll(&p, 1, (int)(left < TICK_MS ? left : TICK_MS)) <= 0)
      continue;
    const ssize_t n = read(c->out, room.ptr + *len, room.len - *len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail(why, cfg->command[0], errno);
    if (n == 0)
      return COPAL_OK;
    *len += (size_t)n;
    if (*len == room.len) {
      snprintf(why, LOOKUP_WHY_SIZE, "%s answers more than %zu bytes", cfg->command[0], room.len);
      return COPAL_ETOOBIG;
    }
  }
}

/* Waits for the program's end, and brings it about when the time is over. */
static int reap(const ask_cfg *cfg, const child *c, bool is_failed, char why[LOOKUP_WHY_SIZE])
{
  static const struct timespec nap = {.tv_nsec = NAP_NS};
  int status = 0;
  pid_t ended = 0;
  while (!is_failed && (ended = waitpid(c->pid, &status, WNOHANG)) == 0 &&
         now_ms() < c->deadline_ms && !atomic_load(cfg->is_over))
    nanosleep(&nap, NULL);
  if (ended == c->pid) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
      return COPAL_OK;
    snprintf(why, LOOKUP_WHY_SIZE, "%s ended with %s %d", cfg->command[0],
             WIFEXITED(status) ? "status" : "signal",
             WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return COPAL_EUNREACH;
  }
  if (ended < 0 && errno == ECHILD)
    return COPAL_OK; /* SIGCHLD is ignored, nobody knows how it ended: what it said counts */
  kill(-c->pid, SIGKILL);
  while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
    continue;
  return is_failed ? COPAL_OK : give_up(cfg, why);
}

int ask_command(const ask_cfg *cfg, const question *q, copal_mspan room, size_t *len,
                char why[LOOKUP_WHY_SIZE])
{
  child c = {.deadline_ms = now_ms() + cfg->timeout_ms};
  *len = 0;
  int rc = start(cfg, q, &c, why);
  if (rc < 0)
    return rc;
  /* It fits into the pipe; a program that does not read it answers by its arguments. */
  ssize_t written = write(c.in, q->json, q->json_len);
  (void)written;
  close(c.in);
  rc = read_answer(cfg, &c, room, len, why);
  close(c.out);
  const int end = reap(cfg, &c, rc < 0, why);
  return rc < 0 ? rc : end;
}
