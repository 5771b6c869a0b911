/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's engine as a whole. Thread: the main thread only. */
#include "server/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "copal/error.h"
#include "server/clock.h"
#include "server/errand.h"
#include "server/groups.h"
#include "server/listener.h"
#include "server/mailbox.h"
#include "server/metrics.h"
#include "server/secure.h"
#include "server/shard.h"
#include "transport/steer.h"

enum { KEYS_TEXT_SIZE = 1024 };

struct server {
  errand refresh; /* first: of the configuration, to shards that have not got the newest */
  server_parts parts;
  shard_common common;
  shard **shards;       /* common.count */
  uint32_t opened;      /* shards that exist */
  uint32_t running;     /* shards whose thread has not said it is done */
  uint32_t yielding;    /* shards told to yield that have not said they have */
  uint32_t outstanding; /* metrics asked for and not yet reported */
  bool is_draining;
  bool is_over;
  bool has_yielded; /* to a new process */
  int signals;
  metrics sum;
};

/* ------------------------------------------------------------------------------------------------
 * opening */

static int open_shards(server *s)
{
  s->shards = calloc(s->common.count, sizeof(shard *));
  if (s->shards == NULL)
    return -ENOMEM;
  s->common.shards = s->shards;
  for (uint32_t i = 0; i < s->common.count; i++) {
    const int rc = shard_open(&s->common, i, &s->shards[i]);
    if (rc < 0)
      return rc;
    s->opened++;
  }
  return 0;
}

/* Gives a shard a descriptor of its own; the set keeps the sockets. */
static int adopt(shard *owner, const listener *l, uint32_t i)
{
  const int fd = fcntl(l->fds[i], F_DUPFD_CLOEXEC, 0);
  if (fd < 0)
    return -errno;
  const int socket = shard_adopt(owner, fd, l->steering == 0 ? l->count : 0);
  if (socket < 0)
    close(fd);
  return socket;
}

/* One socket of each shard takes the group requests of the clients that belong to the shard; one
 * for all when nobody knows who belongs where. */
static int set_up_groups(server *s, const listener *l, uint32_t i, shard *owner, int socket)
{
  const bool is_steered = l->steering == 0;
  const uint32_t members = is_steered ? s->common.count : 1;
  const udp_crowd crowd = {is_steered ? l->count : 0, s->common.count, i};
  shard_take_groups(owner, socket, i < members ? &crowd : NULL);
  if (i >= members)
    return 0;
  groups_join(s->parts.conf, &l->addr, owner, socket, i == 0 ? s->parts.log : NULL);
  return s->parts.roster != NULL ? roster_add(s->parts.roster, l->fds[i], &l->addr) : 0;
}

static int hand_out(server *s, const listener *l)
{
  for (uint32_t i = 0; i < l->count; i++) {
    shard *owner = s->shards[listener_shard(i, s->common.count)];
    const int socket = adopt(owner, l, i);
    if (socket < 0)
      return socket;
    if (l->is_secure && shard_secure_socket(owner, socket, i) < 0)
      return -ENOMEM;
    /* Groups cannot be asked by DTLS, RFC 7252 section 9.1.2. */
    const int rc = l->is_secure ? 0 : set_up_groups(s, l, i, owner, socket);
    if (rc < 0)
      return rc;
  }
  return 0;
}

static int open_signals(server *s)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  sigaddset(&set, SIGPIPE);
  /* Threads made later inherit the mask, so all signals come to the descriptor. */
  if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
    return -EINVAL;
  sigdelset(&set, SIGPIPE);
  s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  return s->signals < 0 ? -errno : 0;
}

static void restore_sections(server *s)
{
  for (server_section *n = s->parts.sections; n != NULL; n = n->next)
    if (n->restore != NULL)
      n->restore(n, s);
}

static void save_sections(server *s)
{
  for (server_section *n = s->parts.sections; n != NULL; n = n->next)
    if (n->save != NULL)
      n->save(n, s);
}

static int start(server *s)
{
  for (uint32_t i = 0; i < s->common.count; i++) {
    const int rc = shard_start(s->shards[i]);
    if (rc < 0)
      return rc;
    s->running++;
  }
  return 0;
}

static void warn_small_buffer(const server *s)
{
  const uint32_t granted = shard_rcvbuf(s->shards[0]);
  if (granted >= s->parts.conf->udp.rcvbuf)
    return;
  LOG(s->parts.log, LOG_LEVEL_WARN, "receive_buffer_small",
      log_number("wanted", s->parts.conf->udp.rcvbuf), log_number("granted", granted),
      log_text("hint", "bursts will be lost; raise sysctl net.core.rmem_max"));
}

/* Goes on with the kernel's own choice, which holds as long as the sockets do. */
static void warn_not_steered(const server *s)
{
  for (size_t i = 0; i < s->parts.sockets->count; i++) {
    if (s->parts.sockets->items[i].steering == 0)
      continue;
    LOG(s->parts.log, LOG_LEVEL_WARN, "steering_unavailable",
        log_text("error", strerror(-s->parts.sockets->items[i].steering)),
        log_text("hint", "after a restart clients may meet a shard that does not know them"));
    return;
  }
}

static int open_all(server *s)
{
  int rc = open_signals(s);
  /* Each shard can have one report of each kind in the box at once. */
  if (rc == 0)
    rc = mailbox_open(8 * (size_t)s->common.count, &s->common.reports);
  if (rc == 0 && errand_init(&s->refresh, s->common.count) < 0)
    rc = -ENOMEM;
  if (rc == 0 && fanout_open(s->parts.store, &s->common.fanout) < 0)
    rc = -ENOMEM;
  if (rc == 0)
    rc = open_shards(s);
  for (size_t i = 0; rc == 0 && i < s->parts.sockets->count; i++)
    rc = hand_out(s, &s->parts.sockets->items[i]);
  if (rc < 0)
    return rc;
  restore_sections(s);
  return start(s);
}

static int refresh_shard(errand *e, uint32_t index)
{
  const server *s = (const server *)e;
  return shard_reload(s->shards[index], s->parts.conf);
}

int server_open(const server_parts *parts, server **out, char why[SERVER_WHY_SIZE])
{
  why[0] = '\0';
  server *s = calloc(1, sizeof *s);
  if (s == NULL)
    return -ENOMEM;
  s->parts = *parts;
  s->refresh.tell = refresh_shard;
  s->signals = -1;
  s->common = (shard_common){.conf = parts->conf,
                             .router = parts->router,
                             .store = parts->store,
                             .count = conf_shards(parts->conf),
                             .log_fd = parts->log->fd,
                             .secure = parts->secure,
                             .sequence_base = clock_sequence_base(),
                             .is_durable = parts->conf->store != CONF_STORE_MEMORY};
  const int rc = open_all(s);
  if (rc < 0) {
    if (why[0] == '\0')
      snprintf(why, SERVER_WHY_SIZE, "cannot start: %s", strerror(-rc));
    server_close(s);
    return rc;
  }
  warn_small_buffer(s);
  warn_not_steered(s);
  *out = s;
  return 0;
}

void server_addresses(const server *s, char *out, size_t size)
{
  size_t len = 0;
  out[0] = '\0';
  for (size_t i = 0; i < s->parts.sockets->count && len < size; i++) {
    char uri[LISTENER_URI_SIZE];
    listener_uri(&s->parts.sockets->items[i], uri);
    len += (size_t)snprintf(out + len, size - len, "%s%s", i == 0 ? "" : " ", uri);
  }
}

uint32_t server_shard_count(const server *s)
{
  return s->common.count;
}

shard *server_shard(server *s, uint32_t index)
{
  return s->shards[index];
}

static const listener *find_listener(const server *s, const copal_addr *bound)
{
  for (size_t i = 0; i < s->parts.sockets->count; i++)
    if (memcmp(&s->parts.sockets->items[i].addr, bound, sizeof *bound) == 0)
      return &s->parts.sockets->items[i];
  return NULL;
}

/* Shards have the sockets of an address in turn. */
static server_place place_of(const server *s, uint32_t index)
{
  return (server_place){s->shards[listener_shard(index, s->common.count)], index / s->common.count};
}

server_place server_home_of_lane(server *s, const copal_addr *bound, uint8_t lane)
{
  const listener *l = find_listener(s, bound);
  return l != NULL ? place_of(s, lane % l->count) : (server_place){NULL, 0};
}

server_place server_home(server *s, const copal_addr *bound, const copal_addr *remote)
{
  const listener *l = find_listener(s, bound);
  return l != NULL ? place_of(s, steer_index(remote, l->count)) : (server_place){NULL, 0};
}

/* ------------------------------------------------------------------------------------------------
 * signals */

static void begin_drain(server *s, const char *signal_name)
{
  upgrade *u = s->parts.upgrade;
  if (s->is_draining) {
    s->is_over = true;
    LOG(s->parts.log, LOG_LEVEL_WARN, "stopping_at_once", log_text("signal", signal_name));
    return;
  }
  s->is_draining = true;
  LOG(s->parts.log, LOG_LEVEL_INFO, "stopping", log_text("signal", signal_name));
  s->parts.watcher->notify(s->parts.watcher, "STOPPING=1");
  upgrade_cancel(u);
  if (s->yielding > 0)
    return; /* they answer and end all the same */
  for (uint32_t i = 0; i < s->common.count; i++) {
    if (shard_drain(s->shards[i], s->parts.conf->drain_timeout) < 0)
      s->is_over = true; /* a shard that takes no messages will not end by itself */
  }
}

static void ask_metrics(server *s)
{
  if (s->outstanding > 0 || s->is_draining)
    return;
  s->sum = (metrics){.udp = {.rcvbuf = 0}};
  for (uint32_t i = 0; i < s->common.count; i++)
    s->outstanding += shard_ask_metrics(s->shards[i]) == COPAL_OK;
}

static void log_sum(server *s)
{
  metrics_shared shared = metrics_shared_now(s->parts.store, s->common.fanout);
  secure_counter *counter = s->parts.secure != NULL ? s->parts.secure->counter : NULL;
  if (counter != NULL)
    shared.credential_count = counter->count(counter, shared.credentials);
  metrics_log(s->parts.log, &s->sum, &shared, s->common.router);
}

void server_refresh(server *s)
{
  const uint32_t left = errand_begin(&s->refresh, clock_now());
  if (left > 0)
    LOG(s->parts.log, LOG_LEVEL_WARN, "reload_delayed", log_number("shards", left),
        log_text("hint", "they take no messages now, and are told as soon as they do"));
}

/* Shards that are busy get the configuration as it is when they take messages again. */
static void refresh_rest(server *s)
{
  if (s->refresh.next == COPAL_NEVER)
    return;
  if (s->is_draining || s->has_yielded)
    errand_drop(&s->refresh);
  else if (errand_run(&s->refresh, clock_now()) == 0)
    LOG(s->parts.log, LOG_LEVEL_INFO, "reload_complete",
        log_number("attempts", s->refresh.attempts));
}

/* Takes over what can change live; the rest of the present configuration stays. */
static void apply(server *s, conf *fresh)
{
  conf *c = s->parts.conf;
  c->limits = fresh->limits;
  c->log_level = fresh->log_level;
  c->drain_timeout = fresh->drain_timeout;
  c->rate = fresh->rate;
  c->audit = fresh->audit;
  memcpy(c->access_file, fresh->access_file, sizeof c->access_file);
  access_release(c->rules);
  c->rules = fresh->rules;
  fresh->rules = NULL;
  conf_strings_wipe(&c->names);
  c->names = fresh->names;
  fresh->names = (conf_strings){NULL, 0};
  const conf_dtls_files files = c->dtls_files;
  c->dtls_files = fresh->dtls_files;
  fresh->dtls_files = files;
  c->dtls.idle_s = fresh->dtls.idle_s;
  c->dtls.ticket_s = fresh->dtls.ticket_s;
  s->parts.log->level = c->log_level;
  server_refresh(s);
}

/* Errors of a file come as lines; each becomes a line of the log. */
static void log_errors(logger *l, conf_errors *errors)
{
  char *rest = errors->text;
  for (char *text = strsep(&rest, "\n"); text != NULL; text = strsep(&rest, "\n"))
    if (*text != '\0')
      LOG(l, LOG_LEVEL_ERROR, "reload_refused", log_text("error", text));
}

static void reload(server *s)
{
  conf fresh;
  conf_errors errors = {.count = 0};
  char live[KEYS_TEXT_SIZE], restart[KEYS_TEXT_SIZE];
  s->parts.watcher->notify(s->parts.watcher, "RELOADING=1");
  if (s->parts.watcher->reload(s->parts.watcher, &fresh, &errors) < 0) {
    log_errors(s->parts.log, &errors);
  } else {
    conf_compare(s->parts.conf, &fresh, live, restart, sizeof live);
    apply(s, &fresh);
    LOG(s->parts.log, LOG_LEVEL_INFO, "reloaded", log_text("changed", live),
        log_text("needs_restart", restart));
  }
  conf_wipe(&fresh);
  s->parts.watcher->notify(s->parts.watcher, "READY=1");
}

/* ------------------------------------------------------------------------------------------------
 * upgrades */

static void begin_upgrade(server *s)
{
  upgrade *u = s->parts.upgrade;
  char why[UPGRADE_WHY_SIZE] = "";
  if (s->is_draining)
    snprintf(why, sizeof why, "the server is ending");
  else if (u->state != UPGRADE_IDLE)
    snprintf(why, sizeof why, "an upgrade is under way");
  else if (s->parts.watcher->permit(s->parts.watcher, why) == 0 &&
           upgrade_start(u, s->parts.sockets, clock_now(), why) == 0) {
    LOG(s->parts.log, LOG_LEVEL_INFO, "upgrade_started", log_text("program", u->program),
        log_number("pid", (uint64_t)u->pid));
    s->parts.watcher->notify(s->parts.watcher, "RELOADING=1");
    return;
  }
  LOG(s->parts.log, LOG_LEVEL_ERROR, "upgrade_refused", log_text("error", why));
}

/* When all shards have answered, nothing of what one has to tell another is still to come. */
static void stop_yielded(server *s)
{
  s->has_yielded = s->parts.upgrade->state == UPGRADE_YIELDING;
  for (uint32_t i = 0; i < s->common.count; i++) {
    if (shard_stop(s->shards[i]) < 0)
      s->is_over = true;
  }
}

/* The new process is ready: nothing is read from here on. */
static void yield(server *s)
{
  LOG(s->parts.log, LOG_LEVEL_INFO, "upgrade_yielding",
      log_number("pid", (uint64_t)s->parts.upgrade->pid));
  /* One whose mailbox is full reads on until it is stopped; its clients ask again. */
  for (uint32_t i = 0; i < s->common.count; i++)
    s->yielding += shard_yield(s->shards[i], UPGRADE_YIELD_TIME) == COPAL_OK;
  if (s->yielding == 0)
    stop_yielded(s);
}

static void listen_to_heir(server *s)
{
  upgrade *u = s->parts.upgrade;
  if (upgrade_listen(u, clock_now()))
    yield(s);
  else if (u->state == UPGRADE_IDLE)
    s->parts.watcher->notify(s->parts.watcher, "READY=1");
}

static void on_signal(server *s, uint32_t number)
{
  switch (number) {
  case SIGTERM: begin_drain(s, "SIGTERM"); return;
  case SIGINT: begin_drain(s, "SIGINT"); return;
  case SIGHUP: reload(s); return;
  case SIGUSR1: ask_metrics(s); return;
  case SIGUSR2: begin_upgrade(s); return;
  }
}

/* ------------------------------------------------------------------------------------------------
 * reports of shards */

static void on_metrics(server *s, const shard_report *r)
{
  if (s->is_draining)
    return; /* the last reports of the shards will say it all */
  metrics_add(&s->sum, &r->metrics);
  if (--s->outstanding == 0)
    log_sum(s);
}

static void on_yielded(server *s)
{
  if (--s->yielding == 0)
    stop_yielded(s);
}

static void on_done(server *s, const shard_report *r)
{
  if (s->running == s->common.count)
    s->sum = (metrics){.udp = {.rcvbuf = 0}};
  metrics_add(&s->sum, &r->metrics);
  if (--s->running == 0) {
    log_sum(s);
    s->is_over = true;
  }
}

static void tell_sections(server *s, const shard_report *r)
{
  for (server_section *n = s->parts.sections; n != NULL && !s->is_draining; n = n->next)
    if (n->on_report != NULL)
      n->on_report(n, s, r, clock_now());
}

static void read_reports(server *s)
{
  const shard_report *r;
  mailbox_clear(s->common.reports);
  mailbox_doze(s->common.reports);
  while ((r = mailbox_take(s->common.reports)) != NULL) {
    switch (r->kind) {
    case SHARD_HAS_METRICS: on_metrics(s, r); break;
    case SHARD_HAS_YIELDED: on_yielded(s); break;
    case SHARD_HAS_SAVED:
    case SHARD_WANTS_SAVE: tell_sections(s, r); break;
    case SHARD_IS_DONE: on_done(s, r); break;
    }
  }
}

static void read_signals(server *s)
{
  struct signalfd_siginfo info;
  while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info)
    on_signal(s, info.ssi_signo);
}

/* Those that have said that they are done are about to end by themselves. */
static void stop_threads(server *s)
{
  for (uint32_t i = 0; s->running > 0 && i < s->opened; i++)
    (void)shard_stop(s->shards[i]);
  s->running = 0;
  for (uint32_t i = 0; i < s->opened; i++)
    shard_wait(s->shards[i]);
}

/* What the new process says is of interest until it is ready. */
static bool is_starting(const server *s)
{
  return s->parts.upgrade->state == UPGRADE_STARTING;
}

/* Sections rest while the server ends or makes way. */
static bool is_busy(const server *s)
{
  return !s->is_draining && s->yielding == 0 && !s->has_yielded;
}

static int wait_ms(const server *s)
{
  copal_time until = is_starting(s) ? s->parts.upgrade->deadline : COPAL_NEVER;
  until = s->refresh.next < until ? s->refresh.next : until;
  for (server_section *n = s->parts.sections; n != NULL && is_busy(s); n = n->next) {
    const copal_time due = n->deadline != NULL ? n->deadline(n) : COPAL_NEVER;
    until = due < until ? due : until;
  }
  if (until == COPAL_NEVER)
    return -1;
  const copal_time now = clock_now();
  const uint64_t ms = until <= now ? 0 : (until - now + 999) / 1000;
  return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void run_sections(server *s)
{
  const copal_time now = clock_now();
  for (server_section *n = s->parts.sections; n != NULL && is_busy(s); n = n->next)
    if (n->deadline != NULL && n->deadline(n) <= now)
      n->run(n, s, now);
}

int server_run(server *s)
{
  mailbox_doze(s->common.reports);
  while (!s->is_over) {
    struct pollfd fds[] = {{.fd = s->signals, .events = POLLIN},
                           {.fd = mailbox_fd(s->common.reports), .events = POLLIN},
                           {.fd = is_starting(s) ? s->parts.upgrade->fd : -1, .events = POLLIN}};
    if (poll(fds, 3, wait_ms(s)) < 0 && errno != EINTR)
      return -errno;
    if (is_starting(s))
      listen_to_heir(s);
    if ((fds[0].revents & POLLIN) != 0)
      read_signals(s);
    if ((fds[1].revents & POLLIN) != 0)
      read_reports(s);
    refresh_rest(s);
    run_sections(s);
  }
  stop_threads(s);
  save_sections(s);
  return s->has_yielded ? SERVER_YIELDED : 0;
}

void server_close(server *s)
{
  if (s == NULL)
    return;
  stop_threads(s);
  for (uint32_t i = 0; i < s->opened; i++)
    shard_close(s->shards[i]);
  if (s->signals >= 0)
    close(s->signals);
  fanout_close(s->common.fanout);
  mailbox_close(s->common.reports);
  errand_wipe(&s->refresh);
  free(s->shards);
  free(s);
}
