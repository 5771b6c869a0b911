/* SPDX-License-Identifier: Apache-2.0 */
/* Upgrades of a running server, the side of the old process. Thread: the main thread only. */
#include "server/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/upgrade_wire.h"

extern char **environ;

enum {
  STATUS_SIZE = 64,
  VARIABLE_SIZE = 64,
  END_TRIES = 500,
  END_PAUSE_US = 2000,
};

/* ------------------------------------------------------------------------------------------------
 * the process */

static void note_program(upgrade *u)
{
  const char *name = u->argv[0];
  char cwd[UPGRADE_PROGRAM_SIZE];
  int n = 0;
  if (name != NULL && name[0] == '/')
    n = snprintf(u->program, sizeof u->program, "%s", name);
  else if (name != NULL && strchr(name, '/') != NULL && getcwd(cwd, sizeof cwd) != NULL)
    n = snprintf(u->program, sizeof u->program, "%s/%s", cwd, name);
  if (n > 0 && (size_t)n < sizeof u->program && access(u->program, X_OK) == 0)
    return;
  const ssize_t len = readlink("/proc/self/exe", u->program, sizeof u->program - 1);
  u->program[len < 0 ? 0 : len] = '\0';
}

void upgrade_init(upgrade *u, char *const *argv, logger *log)
{
  *u = (upgrade){.argv = argv, .log = log, .fd = -1, .deadline = COPAL_NEVER};
  note_program(u);
}

/* The environment of the new process: ours, and where it finds its end of the channel. Returns NULL
 * without memory; free() the array, not the strings. */
static char **environment(char *variable)
{
  static const char name[] = UPGRADE_VARIABLE "=";
  size_t count = 0;
  while (environ[count] != NULL)
    count++;
  char **all = malloc((count + 2) * sizeof *all);
  if (all == NULL)
    return NULL;
  size_t kept = 0;
  for (size_t i = 0; i < count; i++)
    if (strncmp(environ[i], name, sizeof name - 1) != 0)
      all[kept++] = environ[i];
  all[kept++] = variable;
  all[kept] = NULL;
  return all;
}

/* Starts the program with descriptor `end` open. Signals stay blocked as they are here until it
 * reads them, so that none of them ends it before it serves. Returns 0 or -errno. */
static int spawn(upgrade *u, int end)
{
  char variable[VARIABLE_SIZE];
  posix_spawn_file_actions_t actions;
  snprintf(variable, sizeof variable, "%s=%d", UPGRADE_VARIABLE, end);
  char **env = environment(variable);
  if (env == NULL || posix_spawn_file_actions_init(&actions) != 0) {
    free(env);
    return -ENOMEM;
  }
  /* Onto itself: that keeps it open in the new program. */
  int rc = posix_spawn_file_actions_adddup2(&actions, end, end);
  if (rc == 0)
    rc = posix_spawn(&u->pid, u->program, &actions, NULL, u->argv, env);
  posix_spawn_file_actions_destroy(&actions);
  free(env);
  return -rc;
}

static void format_status(int status, char out[STATUS_SIZE])
{
  if (WIFEXITED(status))
    snprintf(out, STATUS_SIZE, "exit status %d", WEXITSTATUS(status));
  else if (WIFSIGNALED(status))
    snprintf(out, STATUS_SIZE, "killed by signal %d (%s)", WTERMSIG(status),
             strsignal(WTERMSIG(status)));
  else
    snprintf(out, STATUS_SIZE, "unknown");
}

/* Waits a moment for the process to end by itself, which tells more than killing it. Returns
 * whether it has. */
static bool has_ended(pid_t pid, int *status)
{
  for (int i = 0; i < END_TRIES; i++) {
    if (waitpid(pid, status, WNOHANG) == pid)
      return true;
    usleep(END_PAUSE_US);
  }
  return false;
}

/* Ends the process for sure, in whatever state it is, and forgets it. */
static void end_process(upgrade *u, bool is_ending, char status_text[STATUS_SIZE])
{
  int status = 0;
  if (!is_ending || !has_ended(u->pid, &status)) {
    kill(u->pid, SIGKILL);
    while (waitpid(u->pid, &status, 0) < 0 && errno == EINTR)
      continue;
  }
  format_status(status, status_text);
  close(u->fd);
  u->fd = -1;
  u->pid = 0;
  u->state = UPGRADE_IDLE;
  u->deadline = COPAL_NEVER;
}

/* `is_ending`: it has said or shown that it is about to end. */
static void give_up(upgrade *u, const char *why, bool is_ending)
{
  char status[STATUS_SIZE];
  end_process(u, is_ending, status);
  LOG(u->log, LOG_LEVEL_ERROR, "upgrade_failed", log_text("error", why), log_text("status", status),
      log_text("program", u->program));
}

void upgrade_cancel(upgrade *u)
{
  char status[STATUS_SIZE];
  if (u->state == UPGRADE_IDLE)
    return;
  end_process(u, false, status);
}

void upgrade_wipe(upgrade *u)
{
  upgrade_cancel(u);
}

/* ------------------------------------------------------------------------------------------------
 * what is offered */

static int offer_listener(int fd, const listener *l)
{
  for (uint32_t first = 0; first < l->count; first += UPGRADE_FDS_MAX) {
    const uint32_t left = l->count - first;
    const upgrade_msg m = {.format = UPGRADE_FORMAT,
                           .kind = UPGRADE_LISTENER,
                           .asked = l->asked,
                           .addr = l->addr,
                           .is_secure = l->is_secure,
                           .total = l->count,
                           .first = first,
                           .count = left < UPGRADE_FDS_MAX ? left : UPGRADE_FDS_MAX};
    const int rc = upgrade_msg_send(fd, &m, l->fds + first);
    if (rc < 0)
      return rc;
  }
  return 0;
}

static int offer(int fd, const listener_set *sockets)
{
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < sockets->count; i++)
    rc = offer_listener(fd, &sockets->items[i]);
  return rc < 0 ? rc : upgrade_msg_say(fd, UPGRADE_OFFERED, NULL);
}

int upgrade_start(upgrade *u, const listener_set *sockets, copal_time now,
                  char why[UPGRADE_WHY_SIZE])
{
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    const int rc = -errno;
    snprintf(why, UPGRADE_WHY_SIZE, "no socket pair: %s", strerror(-rc));
    return rc;
  }
  int rc = spawn(u, pair[1]);
  close(pair[1]);
  if (rc < 0) {
    close(pair[0]);
    snprintf(why, UPGRADE_WHY_SIZE, "cannot start %.160s: %s", u->program, strerror(-rc));
    return rc;
  }
  u->fd = pair[0];
  u->state = UPGRADE_STARTING;
  u->deadline = now + UPGRADE_START_TIME;
  rc = offer(u->fd, sockets);
  /* One that has ended already is found out by listening to it. */
  if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET) {
    upgrade_cancel(u);
    snprintf(why, UPGRADE_WHY_SIZE, "cannot hand the sockets over: %s", strerror(-rc));
    return rc;
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------
 * what it says */

static int until_ms(copal_time deadline, copal_time now)
{
  return deadline <= now ? 0 : (int)((deadline - now + 999) / 1000);
}

/* Takes one message. True when it is the one expected; otherwise the upgrade is over unless nothing
 * has come in time yet. */
static bool hear(upgrade *u, upgrade_kind expected, int timeout_ms, copal_time now)
{
  upgrade_msg m;
  int fds[UPGRADE_FDS_MAX];
  const int rc = upgrade_msg_recv(u->fd, &m, fds, timeout_ms);
  for (uint32_t i = 0; rc == 0 && i < m.count; i++)
    close(fds[i]); /* it has nothing to give */
  if (rc < 0)
    give_up(u, strerror(-rc), false);
  else if (m.kind == (uint32_t)expected)
    return true;
  else if (m.kind == UPGRADE_FAILED)
    give_up(u, m.text, true);
  else if (m.kind == UPGRADE_CLOSED)
    give_up(u, "the new process has ended", true);
  else if (m.kind != UPGRADE_NOTHING)
    give_up(u, "the new process talks out of turn", false);
  else if (timeout_ms != 0 || now >= u->deadline)
    give_up(u, "the new process takes too long", false);
  return false;
}

bool upgrade_listen(upgrade *u, copal_time now)
{
  if (!hear(u, UPGRADE_READY, 0, now))
    return false;
  u->state = UPGRADE_YIELDING;
  u->deadline = COPAL_NEVER; /* shards have deadlines of their own */
  return true;
}

bool upgrade_hand_over(upgrade *u)
{
  copal_time now = clock_now();
  u->state = UPGRADE_GIVEN;
  u->deadline = now + UPGRADE_OPEN_TIME;
  const int rc = upgrade_msg_say(u->fd, UPGRADE_GO, NULL);
  if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET) {
    give_up(u, strerror(-rc), false);
    return false;
  }
  if (!hear(u, UPGRADE_SERVING, until_ms(u->deadline, now), now))
    return false;
  close(u->fd);
  u->fd = -1;
  u->state = UPGRADE_IDLE; /* it is on its own */
  return true;
}
