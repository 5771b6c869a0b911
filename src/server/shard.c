/* SPDX-License-Identifier: Apache-2.0 */
/* A shard: one thread with an endpoint, sockets and a store port of its own. Thread: the shard's,
 * but for shard_open() to shard_start() and shard_close(), which run when it does not. */
#include "server/shard.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/entropy.h"
#include "server/foresight.h"
#include "server/listener.h"
#include "server/pipeline.h"
#include "server/secure.h"
#include "server/timers.h"
#include "server/ways.h"
#include "transport/steer.h"
#include "transport/udp.h"

enum {
  EVENTS_MAX = 64,
  ROUNDS_MAX = 16,  /* receive rounds before the other sockets are looked at */
  DRAIN_MAX = 1024, /* completions at a time */
  BUSY_MIN = 8,     /* datagrams at once from a socket that is worth another look at once */
  ERRORS_MAX = 64,  /* network errors of a socket at a time */
  MAILBOX_TOKEN = UINT32_MAX,
};

typedef enum shard_state {
  SHARD_SERVING,
  SHARD_DRAINING,
  SHARD_YIELDING,
  SHARD_YIELDED,
  SHARD_PARTING,
  SHARD_DONE,
} shard_state;

/* The store's way to wake this shard. */
typedef struct shard_waker {
  store_waker hook; /* first */
  mailbox *mailbox;
} shard_waker;

/* Tells the rules who is behind a session. */
typedef struct shard_sessions {
  admission_sessions hook; /* first */
  const secure *secure;
} shard_sessions;

typedef struct drain_msg {
  shard_msg head; /* first */
  copal_dur timeout;
} drain_msg;

typedef struct reload_msg {
  shard_msg head; /* first */
  handler_limits limits;
  log_level level;
  conf_strings names;
  admission_cfg admitted; /* its rules are held */
  secure_limits secure;
} reload_msg;

/* A network error for the shard that has sent the datagram. */
typedef struct error_msg {
  shard_msg head; /* first */
  copal_path path;
  size_t len;
  uint8_t quoted[];
} error_msg;

struct shard {
  const shard_common *common;
  uint32_t index;
  shard_state state;
  copal_time now;
  copal_time drain_until;
  logger log;
  shard_stats stats;

  pthread_t thread;
  bool has_thread;
  mailbox *mailbox;
  int epoll;

  void *ep_memory;
  size_t ep_size;
  copal_ep *ep;
  entropy entropy;
  shard_waker waker;
  store_port *port;
  fanout_seat seat;
  timers *timers; /* of services */
  guard *guard;   /* NULL: no limit for unverified sources */
  pipeline pipeline;
  udp *udp;
  secure *secure; /* NULL: nothing is served by DTLS */
  shard_sessions sessions;
  ways ways;

  uint32_t ready_count;
  uint32_t *ready; /* indices of sockets that may have datagrams */
  bool *is_ready;
  uint32_t *steered; /* of each socket: as shard_adopt() was told */

  shard_msg ask_metrics;
  drain_msg drain;
  drain_msg yield;
  drain_msg stop;
  shard_report metrics_report;
  shard_report yielded_report;
  shard_report done_report;
};

/* ------------------------------------------------------------------------------------------------
 * datagrams */

static void log_peer(shard *s, const char *event, const copal_path *path, const char *detail_name,
                     const char *detail)
{
  if (!log_is_on(&s->log, LOG_LEVEL_DEBUG))
    return;
  char peer[UDP_ADDR_TEXT_SIZE];
  udp_addr_format(&path->remote, peer);
  const log_field fields[] = {log_text("peer", peer), log_text(detail_name, detail)};
  log_limited(&s->log, LOG_LEVEL_DEBUG, event, peer, fields, 2, s->now);
}

/* Shutting down, requests are left unread, so that the retransmission finds the successor; what
 * belongs to open exchanges still counts. */
static bool is_left_to_successor(const shard *s, copal_mspan dgram)
{
  return s->state == SHARD_DRAINING && dgram.len >= COPAL_HEADER_SIZE &&
         copal_code_is_request(dgram.ptr[1]);
}

bool shard_leaves(shard *s, copal_mspan message)
{
  const bool is_left = is_left_to_successor(s, message);
  s->stats.drain_ignored += is_left;
  return is_left;
}

/* Who floods is not read. */
static bool is_flood(shard *s, const udp_slot *slot)
{
  return slot->bytes.len >= COPAL_HEADER_SIZE && copal_code_is_request(slot->bytes.ptr[1]) &&
         admission_is_silent(&s->pipeline.admission, &slot->path, s->now);
}

/* Returns whether there were any. */
static bool run_messages(shard *s)
{
  shard_msg *m;
  bool has_run = false;
  while ((m = mailbox_take(s->mailbox)) != NULL) {
    m->run(m, s);
    has_run = true;
  }
  return has_run;
}

static void take_plain(shard *s, const udp_slot *slot)
{
  if (shard_leaves(s, slot->bytes) || is_flood(s, slot))
    return;
  const int rc = copal_ep_input(s->ep, &slot->path, slot->bytes, s->now);
  if (rc < 0)
    log_peer(s, "datagram_rejected", &slot->path, "error", copal_err_name(rc));
}

static void take_batch(shard *s, uint32_t socket, const udp_slot *slots, int count)
{
  const bool is_secure = secure_has_socket(s->secure, (int)socket);
  s->stats.batches++;
  s->now = clock_now();
  store_view_renew(s->port);
  foresight_look(s->ep, s->port, slots, is_secure ? 0 : count);
  for (int i = 0; i < count; i++)
    if (is_secure)
      secure_input(s->secure, (int)socket, &slots[i], s->now);
    else
      take_plain(s, &slots[i]);
}

/* A message may have told the shard to stop reading while it was at it. */
static bool is_reading(const shard *s)
{
  return s->state == SHARD_SERVING || s->state == SHARD_DRAINING;
}

/* Receives from one socket; returns whether it is to be looked at again before the others: it may
 * have more, and a call that finds nothing costs as much as one that does. */
static bool receive(shard *s, uint32_t index)
{
  udp_slot *slots;
  const int n = udp_recv(s->udp, (int)index, &slots);
  if (n < 0) {
    const log_field fields[] = {log_number("shard", s->index), log_text("error", strerror(-n))};
    log_limited(&s->log, LOG_LEVEL_ERROR, "receive_failed", "", fields, 2, s->now);
  }
  if (n <= 0)
    return false;
  /* A message that was posted before a datagram was sent takes effect before it. */
  (void)run_messages(s);
  take_batch(s, index, slots, n);
  store_drain(s->port, DRAIN_MAX);
  return n >= BUSY_MIN && is_reading(s);
}

/* One look at each socket that may have something; the answers of all of them leave together. */
static void receive_round(shard *s)
{
  uint32_t kept = 0;
  for (uint32_t i = 0; i < s->ready_count; i++) {
    const uint32_t index = s->ready[i];
    s->is_ready[index] = receive(s, index);
    if (s->is_ready[index])
      s->ready[kept++] = index;
  }
  s->ready_count = kept;
  udp_flush(s->udp);
}

static void mark_ready(shard *s, uint32_t index)
{
  if (s->is_ready[index])
    return;
  s->is_ready[index] = true;
  s->ready[s->ready_count++] = index;
}

static void run_error(shard_msg *m, shard *s)
{
  error_msg *e = (error_msg *)m;
  (void)copal_ep_unreachable(s->ep, &e->path, copal_span_of(e->quoted, e->len), s->now);
  free(e);
}

/* The kernel does not steer errors: they come to any socket of the group. Returns the shard that
 * the peer belongs to. */
static shard *owner_of(const shard *s, uint32_t socket, const copal_addr *remote)
{
  const uint32_t steered = s->steered[socket];
  if (steered == 0)
    return s->common->shards[s->index];
  const uint32_t home = listener_shard(steer_index(remote, steered), s->common->count);
  return s->common->shards[home];
}

static void pass_on(shard *s, shard *owner, const udp_error *error)
{
  error_msg *m = malloc(sizeof *m + error->quoted.len);
  if (m == NULL) {
    s->stats.errors_lost++;
    return;
  }
  m->head.run = run_error;
  m->path = error->path;
  m->len = error->quoted.len;
  memcpy(m->quoted, error->quoted.ptr, error->quoted.len);
  if (shard_post(owner, &m->head) == COPAL_OK)
    return;
  s->stats.errors_lost++;
  free(m);
}

/* Network errors of datagrams that were sent. RFC 7252 section 4.2. */
static void receive_errors(shard *s, uint32_t index)
{
  udp_error error;
  s->now = clock_now();
  for (int i = 0; i < ERRORS_MAX && udp_recv_error(s->udp, (int)index, &error) == 1; i++) {
    s->stats.network_errors++;
    log_peer(s, "network_error", &error.path, "error", strerror(error.errnum));
    if (secure_has_socket(s->secure, (int)index))
      continue; /* what it quotes cannot be read, nor be believed */
    shard *owner = owner_of(s, index, &error.path.remote);
    if (owner == s)
      (void)copal_ep_unreachable(s->ep, &error.path, error.quoted, s->now);
    else
      pass_on(s, owner, &error);
  }
}

/* ------------------------------------------------------------------------------------------------
 * the loop */

/* Runs messages and completions. Returns whether there were any. */
static bool run_inside(shard *s)
{
  const bool has_run = run_messages(s);
  return store_drain(s->port, DRAIN_MAX) > 0 || has_run;
}

static copal_time next_deadline(const shard *s)
{
  const copal_time ep = copal_ep_deadline(s->ep);
  const copal_time own = timers_deadline(s->timers);
  const copal_time sessions = secure_deadline(s->secure);
  copal_time next = ep < own ? ep : own;
  if (sessions < next)
    next = sessions;
  const bool has_end = s->state == SHARD_DRAINING || s->state == SHARD_YIELDING;
  return has_end && s->drain_until < next ? s->drain_until : next;
}

/* Milliseconds to sleep, rounded up so that the deadline has come when it ends; -1 for ever. */
static int sleep_ms(const shard *s)
{
  const copal_time deadline = next_deadline(s);
  if (deadline == COPAL_NEVER)
    return -1;
  if (deadline <= s->now)
    return 0;
  const uint64_t ms = (deadline - s->now + 999) / 1000;
  return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static void dispatch(shard *s, const struct epoll_event *events, int count)
{
  for (int i = 0; i < count; i++) {
    const uint32_t token = events[i].data.u32;
    if (token == MAILBOX_TOKEN) {
      mailbox_clear(s->mailbox);
      continue;
    }
    if ((events[i].events & EPOLLERR) != 0)
      receive_errors(s, token);
    mark_ready(s, token);
  }
}

static void poll_sockets(shard *s, int timeout_ms)
{
  struct epoll_event events[EVENTS_MAX];
  const int n = epoll_wait(s->epoll, events, EVENTS_MAX, timeout_ms);
  if (n > 0)
    dispatch(s, events, n);
}

static void sleep_until_event(shard *s)
{
  mailbox_doze(s->mailbox);
  /* What came before the mailbox was told to signal has made no signal. */
  if (!run_inside(s)) {
    s->stats.sleeps++;
    store_view_renew(s->port); /* one that is asleep holds no view */
    poll_sockets(s, sleep_ms(s));
  }
  mailbox_rouse(s->mailbox);
}

static void fill_metrics(shard *s, metrics *m)
{
  m->ep = *copal_ep_stats(s->ep);
  m->usage = copal_ep_usage(s->ep);
  copal_ep_qblock_stats(s->ep, &m->qblock);
  m->udp = *udp_stats_now(s->udp);
  m->pipeline = s->pipeline.stats;
  m->admission = admission_stats_now(&s->pipeline.admission);
  if (s->guard != NULL)
    m->guard = *guard_stats_now(s->guard);
  secure_measure(s->secure, m);
  m->shard = s->stats;
  m->shard.mailbox_refused = mailbox_refused(s->mailbox);
  m->shard.arena_peak = s->pipeline.arena.peak;
}

static void report(shard *s, shard_report *r, shard_report_kind kind)
{
  r->kind = kind;
  r->shard = s;
  fill_metrics(s, &r->metrics);
  /* The main thread's mailbox has room for every report of every shard. */
  (void)mailbox_post(s->common->reports, r);
}

/* Sends the last datagrams. What is not acknowledged by now will not be repeated by anybody. */
static void part(shard *s)
{
  copal_ep_part(s->ep, s->now);
  udp_flush(s->udp);
}

static void yield(shard *s)
{
  const uint32_t open = copal_ep_deferred(s->ep);
  if (open > 0 && s->now < s->drain_until)
    return;
  s->stats.yield_abandoned += open;
  s->state = SHARD_YIELDED;
  report(s, &s->yielded_report, SHARD_HAS_YIELDED);
}

/* Goes on to the next state when what the present one waits for has come. */
static void advance(shard *s)
{
  switch (s->state) {
  case SHARD_DRAINING:
    if (s->now >= s->drain_until || copal_ep_usage(s->ep).exchanges == 0)
      s->state = SHARD_DONE;
    return;
  case SHARD_YIELDING: yield(s); return;
  case SHARD_PARTING:
    part(s);
    s->state = SHARD_DONE;
    return;
  case SHARD_SERVING:
  case SHARD_YIELDED:
  case SHARD_DONE: return;
  }
}

/* One turn: a few receive rounds while there is traffic, then everything else. */
static void turn(shard *s)
{
  if (s->ready_count == 0)
    sleep_until_event(s);
  else
    poll_sockets(s, 0);
  for (int i = 0; i < ROUNDS_MAX && s->ready_count > 0; i++)
    receive_round(s);
  s->now = clock_now();
  run_inside(s);
  if (copal_ep_deadline(s->ep) <= s->now)
    copal_ep_expire(s->ep, s->now);
  secure_expire(s->secure, s->now);
  timers_run(s->timers, s->port, s->now);
  udp_flush(s->udp);
  advance(s);
}

static void start_services(shard *s)
{
  const router *r = s->common->router;
  s->now = clock_now();
  store_view_renew(s->port);
  for (size_t i = 0; i < r->count; i++)
    if (r->mounts[i].service->on_start != NULL)
      r->mounts[i].service->on_start(r->mounts[i].service, &s->pipeline.env, s->now);
}

static void stop_services(shard *s)
{
  const router *r = s->common->router;
  s->now = clock_now();
  for (size_t i = 0; i < r->count; i++)
    if (r->mounts[i].service->on_stop != NULL)
      r->mounts[i].service->on_stop(r->mounts[i].service, &s->pipeline.env, s->now);
  udp_flush(s->udp); /* the answers to changes that were still under way */
}

static void *shard_main(void *arg)
{
  shard *s = arg;
  char name[16];
  snprintf(name, sizeof name, "shard%u", (unsigned)s->index % 1000);
  (void)pthread_setname_np(pthread_self(), name);
  start_services(s);
  while (s->state != SHARD_DONE)
    turn(s);
  stop_services(s);
  report(s, &s->done_report, SHARD_IS_DONE);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * messages */

static void run_metrics(shard_msg *m, shard *s)
{
  (void)m;
  report(s, &s->metrics_report, SHARD_HAS_METRICS);
}

static void run_drain(shard_msg *m, shard *s)
{
  s->now = clock_now();
  s->drain_until = s->now + ((drain_msg *)m)->timeout;
  if (s->state == SHARD_SERVING)
    s->state = SHARD_DRAINING;
  else if (s->state == SHARD_YIELDING || s->state == SHARD_YIELDED)
    s->state = SHARD_PARTING;
}

/* What arrives from here on waits in the sockets for the successor. */
static void run_yield(shard_msg *m, shard *s)
{
  if (s->state != SHARD_SERVING)
    return;
  s->now = clock_now();
  s->drain_until = s->now + ((drain_msg *)m)->timeout;
  s->state = SHARD_YIELDING;
  for (int i = 0; i < udp_count(s->udp); i++) {
    (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, udp_fd(s->udp, i), NULL);
    s->is_ready[i] = false;
  }
  s->ready_count = 0;
}

static void run_reload(shard_msg *m, shard *s)
{
  reload_msg *r = (reload_msg *)m;
  s->log.level = r->level;
  s->now = clock_now();
  pipeline_reload(&s->pipeline, &r->limits, r->names, &r->admitted, s->now);
  access_release(r->admitted.rules);
  secure_reload(s->secure, &r->secure);
  explicit_bzero(&r->secure, sizeof r->secure);
  free(r);
}

int shard_post(shard *s, shard_msg *m)
{
  return mailbox_post(s->mailbox, m);
}

int shard_ask_metrics(shard *s)
{
  s->ask_metrics.run = run_metrics;
  return shard_post(s, &s->ask_metrics);
}

int shard_reload(shard *s, const conf *c)
{
  reload_msg *m = calloc(1, sizeof *m);
  if (m == NULL)
    return COPAL_ENOSPC;
  m->head.run = run_reload;
  m->limits = c->limits;
  m->level = c->log_level;
  m->admitted = conf_admission(c);
  secure_limits_of(c, s->common->secure, &m->secure);
  access_hold(m->admitted.rules);
  int rc = conf_strings_copy(&m->names, &c->names);
  if (rc == COPAL_OK)
    rc = shard_post(s, &m->head);
  if (rc < 0) {
    conf_strings_wipe(&m->names);
    access_release(m->admitted.rules);
    free(m);
  }
  return rc;
}

int shard_drain(shard *s, copal_dur timeout)
{
  s->drain = (drain_msg){{run_drain}, timeout};
  return shard_post(s, &s->drain.head);
}

int shard_yield(shard *s, copal_dur timeout)
{
  s->yield = (drain_msg){{run_yield}, timeout};
  return shard_post(s, &s->yield.head);
}

int shard_stop(shard *s)
{
  s->stop = (drain_msg){{run_drain}, 0};
  return shard_post(s, &s->stop.head);
}

/* ------------------------------------------------------------------------------------------------
 * opening and closing */

static void waker_wake(store_waker *w)
{
  mailbox_wake(((shard_waker *)w)->mailbox);
}

static int epoll_add(shard *s, int fd, uint32_t token)
{
  struct epoll_event ev = {.events = EPOLLIN, .data.u32 = token};
  return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

static identity_ref identity_behind(admission_sessions *hook, const copal_path *path)
{
  return secure_identity(((shard_sessions *)hook)->secure, path->session);
}

static bool is_session_stale(admission_sessions *hook, const copal_path *path)
{
  return secure_is_stale(((shard_sessions *)hook)->secure, path->session);
}

/* DTLS stands between sockets and endpoint when there is somebody to be served by it. */
static int open_secure(shard *s)
{
  const secure_parts parts = {.conf = s->common->conf,
                              .shared = s->common->secure,
                              .shard_count = s->common->count,
                              .shard = s,
                              .udp = s->udp,
                              .log = &s->log};
  s->now = clock_now();
  return parts.shared != NULL ? secure_open(&parts, &s->secure, s->now) : 0;
}

static int open_endpoint(shard *s)
{
  copal_ep_cfg cfg = conf_ep(s->common->conf, s->common->count);
  cfg.sink = s->secure != NULL ? secure_sink(s->secure) : udp_sink(s->udp);
  cfg.entropy = &s->entropy.hook;
  cfg.server = &s->pipeline.hook;
  cfg.sequence_base = s->common->sequence_base;
  if (s->common->conf->guard_is_on == CONF_ON) {
    const guard_cfg limits = conf_guard(s->common->conf);
    s->guard = guard_open(&limits);
    if (s->guard == NULL)
      return -ENOMEM;
    cfg.guard = guard_hook(s->guard);
    s->pipeline.echo = cfg.guard;
  }
  s->ep_size = copal_ep_size(&cfg);
  if (s->ep_size == 0)
    return -EINVAL;
  /* Pages that are never touched cost nothing, so the limits may be generous. */
  void *memory = mmap(NULL, s->ep_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return -errno;
  s->ep_memory = memory;
  s->now = clock_now();
  if (copal_ep_init((copal_mspan){memory, s->ep_size}, &cfg, &s->ep, s->now) < 0)
    return -EINVAL;
  if (s->secure != NULL) {
    secure_serve(s->secure, s->ep, s->guard);
    s->sessions = (shard_sessions){{identity_behind, is_session_stale}, s->secure};
    s->pipeline.admission.people = s->common->secure->people;
    s->pipeline.admission.sessions = &s->sessions.hook;
  }
  s->pipeline.env.ep = s->ep;
  s->pipeline.env.shard = s->index;
  s->pipeline.env.clock = &s->now;
  s->pipeline.admission.audit.log = &s->log;
  s->pipeline.admission.audit.clock = &s->now;
  s->seat = (fanout_seat){s->common->fanout, s->mailbox};
  s->pipeline.env.seat = &s->seat;
  s->timers = timers_open(s->now);
  if (s->timers == NULL)
    return -ENOMEM;
  s->pipeline.env.timers = timers_queue(s->timers);
  ways_init(&s->ways, s->udp, s->index, s->common->count);
  s->ways.sessions = secure_ways(s->secure);
  s->pipeline.env.message_max = s->common->conf->message;
  s->pipeline.env.reviewer = &s->pipeline.admission.reviewer;
  if (s->common->is_durable)
    s->pipeline.env.ways = &s->ways.hook;
  return 0;
}

static int open_parts(shard *s)
{
  const conf *c = s->common->conf;
  /* Every observed resource may have a message under way: none of them may be refused. */
  const size_t watches = conf_ep(c, s->common->count).relation_count;
  int rc = mailbox_open(c->mailbox + watches, &s->mailbox);
  if (rc < 0)
    return rc;
  s->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (s->epoll < 0)
    return -errno;
  rc = epoll_add(s, mailbox_fd(s->mailbox), MAILBOX_TOKEN);
  if (rc == 0)
    rc = udp_open(&c->udp, &s->udp);
  if (rc < 0)
    return rc;
  s->waker = (shard_waker){{waker_wake}, s->mailbox};
  if (store_port_open(s->common->store, &s->waker.hook, &s->port) < 0)
    return -ENOMEM;
  if (pipeline_init(&s->pipeline, c, s->common->router, s->port, &s->entropy.hook) < 0)
    return -ENOMEM;
  rc = open_secure(s);
  return rc < 0 ? rc : open_endpoint(s);
}

int shard_open(const shard_common *common, uint32_t index, shard **out)
{
  shard *s = calloc(1, sizeof *s);
  if (s == NULL)
    return -ENOMEM;
  s->common = common;
  s->index = index;
  s->epoll = -1;
  log_init(&s->log, common->log_fd, common->conf->log_level, common->conf->log_format);
  entropy_init(&s->entropy);
  const int rc = open_parts(s);
  if (rc < 0) {
    shard_close(s);
    return rc;
  }
  *out = s;
  return 0;
}

int shard_adopt(shard *s, int fd, uint32_t steered)
{
  const size_t count = (size_t)udp_count(s->udp) + 1;
  uint32_t *ready = realloc(s->ready, count * sizeof *ready);
  if (ready == NULL)
    return -ENOMEM;
  s->ready = ready;
  bool *is_ready = realloc(s->is_ready, count * sizeof *is_ready);
  if (is_ready == NULL)
    return -ENOMEM;
  s->is_ready = is_ready;
  s->is_ready[count - 1] = false;
  uint32_t *all = realloc(s->steered, count * sizeof *all);
  if (all == NULL)
    return -ENOMEM;
  s->steered = all;
  s->steered[count - 1] = steered;
  s->ways.steered = all;
  const int rc = epoll_add(s, fd, (uint32_t)count - 1);
  if (rc < 0)
    return rc;
  return udp_adopt(s->udp, fd);
}

int shard_join(shard *s, int socket, const copal_addr *group, uint32_t interface)
{
  return udp_join(s->udp, socket, group, interface);
}

void shard_take_broadcasts(shard *s, int socket)
{
  udp_take_broadcasts(s->udp, socket);
}

int shard_start(shard *s)
{
  const int rc = pthread_create(&s->thread, NULL, shard_main, s);
  s->has_thread = rc == 0;
  return -rc;
}

void shard_wait(shard *s)
{
  if (s->has_thread)
    pthread_join(s->thread, NULL);
  s->has_thread = false;
}

void shard_close(shard *s)
{
  if (s == NULL)
    return;
  shard_wait(s);
  copal_ep_wipe(s->ep, clock_now());
  if (s->mailbox != NULL)
    run_messages(s); /* those that are left own memory */
  if (s->port != NULL)
    store_port_close(s->port);
  pipeline_wipe(&s->pipeline);
  timers_close(s->timers);
  secure_close(s->secure);
  udp_close(s->udp);
  if (s->ep_memory != NULL)
    munmap(s->ep_memory, s->ep_size);
  if (s->epoll >= 0)
    close(s->epoll);
  mailbox_close(s->mailbox);
  guard_close(s->guard);
  entropy_wipe(&s->entropy);
  free(s->ready);
  free(s->is_ready);
  free(s->steered);
  free(s);
}

copal_ep *shard_ep(shard *s)
{
  return s->ep;
}

int shard_secure_socket(shard *s, int socket, uint32_t place)
{
  return s->secure != NULL ? secure_add_socket(s->secure, socket, place) : -EINVAL;
}

secure *shard_secure(shard *s)
{
  return s->secure;
}

udp *shard_udp(shard *s)
{
  return s->udp;
}

handler_ways *shard_ways(shard *s)
{
  return &s->ways.hook;
}

copal_timerq *shard_timers(shard *s)
{
  return timers_queue(s->timers);
}

int shard_tell(shard *s, shard_report *r)
{
  r->shard = s;
  return mailbox_post(s->common->reports, r);
}

copal_time shard_now(const shard *s)
{
  return s->now;
}

uint32_t shard_rcvbuf(const shard *s)
{
  return udp_stats_now(s->udp)->rcvbuf;
}
