/* SPDX-License-Identifier: Apache-2.0 */
/* A shard: one thread with an endpoint, sockets and a store port of its own. Here it runs. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/foresight.h"
#include "server/listener.h"
#include "server/shard_inside.h"
#include "transport/steer.h"

enum {
  ROUNDS_MAX = 16,  /* receive rounds before the other sockets are looked at */
  ROUNDS_CROWD = 4, /* the same while a crowd is told of something, with a burst behind them */
  DRAIN_MAX = 1024, /* completions at a time */
  GATHER_MAX = 200, /* microseconds that a change waits for others while messages come */
  BUSY_MIN = 8,     /* datagrams at once from a socket that is worth another look at once */
  ERRORS_MAX = 64,  /* network errors of a socket at a time */
  FULL_MS = 1,      /* between looks at whether there is room again; completions end it, too */
};

#define CATCH_UP_TIME (5 * COPAL_SECOND)

/* A network error for the shard that has sent the datagram. */
typedef struct error_msg {
  shard_msg head; /* first */
  copal_path path;
  size_t len;
  uint8_t quoted[];
} error_msg;

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

/* A shard that has just started finds all that came while nobody read, in an upgrade half a
 * second's worth and more. It takes no more of that than it can have under way: those clients have
 * waited, and would be told to come again. Later on a crowd is told so at once. */
static bool is_full(const shard *s)
{
  return s->now < s->catches_up_until && copal_ep_deferred(s->ep) > s->common->conf->pending / 2;
}

/* Changes wait for those that follow while messages come, but not for long. */
static void submit_late(shard *s)
{
  if (store_gathered(s->port) >= s->now - GATHER_MAX)
    return;
  store_gather(s->port, false);
  store_gather(s->port, true);
}

/* Receives from one socket; returns whether it is to be looked at again before the others: it may
 * have more, and a call that finds nothing costs as much as one that does. */
static bool receive(shard *s, uint32_t index)
{
  udp_slot *slots;
  if (is_full(s))
    return is_reading(s);
  const int n = udp_recv(s->udp, (int)index, &slots);
  if (n < 0) {
    const log_field fields[] = {log_number("shard", s->index), log_text("error", strerror(-n))};
    log_limited(&s->log, LOG_LEVEL_ERROR, "receive_failed", "", fields, 2, s->now);
  }
  if (n <= 0)
    return false;
  /* A message that was posted before a datagram was sent takes effect before it, unless a crowd of
   * them waits. */
  if (!s->has_mail)
    (void)shard_run_messages(s);
  take_batch(s, index, slots, n);
  store_drain(s->port, DRAIN_MAX);
  submit_late(s);
  return n >= BUSY_MIN && is_reading(s);
}

/* One look at each socket that may have something; the answers of all of them are to leave
 * together.
 */
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
  const bool has_run = shard_run_messages(s);
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

static void dispatch(shard *s)
{
  const pollset *p = &s->pollset;
  for (uint32_t i = 0; i < p->found_count; i++) {
    const uint32_t at = p->found[i];
    if (at == SHARD_POLLS_MAILBOX) {
      mailbox_clear(s->mailbox);
    } else if (at == SHARD_POLLS_ALARM) {
      alarm_rung(&s->alarm);
    } else {
      if ((p->fds[at].revents & POLLERR) != 0)
        receive_errors(s, at - SHARD_POLLS_SOCKETS);
      mark_ready(s, at - SHARD_POLLS_SOCKETS);
    }
  }
}

static void poll_sockets(shard *s, int timeout_ms)
{
  if (pollset_wait(&s->pollset, timeout_ms) > 0)
    dispatch(s);
}

static void sleep_until_event(shard *s)
{
  store_gather(s->port, false);
  mailbox_doze(s->mailbox);
  /* What came before the mailbox was told to signal has made no signal; there may be more of it. */
  if (run_inside(s)) {
    poll_sockets(s, 0);
  } else {
    s->stats.sleeps++;
    store_view_renew(s->port); /* one that is asleep holds no view */
    poll_sockets(s, alarm_wait_ms(&s->alarm, next_deadline(s), s->now));
  }
  mailbox_rouse(s->mailbox);
}

/* Waits for completions only. */
static void sleep_until_room(shard *s)
{
  store_gather(s->port, false);
  struct pollfd inside = {.fd = mailbox_fd(s->mailbox), .events = POLLIN};
  mailbox_doze(s->mailbox);
  if (!run_inside(s) && poll(&inside, 1, FULL_MS) > 0)
    mailbox_clear(s->mailbox);
  mailbox_rouse(s->mailbox);
}

static void fill_metrics(shard *s, metrics *m)
{
  m->ep = *copal_ep_stats(s->ep);
  m->usage = copal_ep_usage(s->ep);
  copal_ep_qblock_stats(s->ep, &m->qblock);
  udp_count_drops(s->udp);
  m->udp = *udp_stats_now(s->udp);
  m->pipeline = s->pipeline.stats;
  m->pipeline.requests += m->ep.recalled; /* would have been, and are answered, all the same */
  m->admission = admission_stats_now(&s->pipeline.admission);
  if (s->guard != NULL)
    m->guard = *guard_stats_now(s->guard);
  secure_measure(s->secure, m);
  m->shard = s->stats;
  m->shard.mailbox_refused = mailbox_refused(s->mailbox);
  m->shard.arena_peak = s->pipeline.arena.peak;
}

void shard_report_to_main(shard *s, shard_report *r, shard_report_kind kind)
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
  shard_report_to_main(s, &s->yielded_report, SHARD_HAS_YIELDED);
}

/* Nothing is open, and no observer waits to be told of a change. */
static bool is_drained(const shard *s)
{
  return !s->has_mail && copal_ep_usage(s->ep).exchanges == 0 && copal_ep_deadline(s->ep) > s->now;
}

/* Goes on to the next state when what the present one waits for has come. */
static void advance(shard *s)
{
  switch (s->state) {
  case SHARD_DRAINING:
    if (s->now >= s->drain_until || is_drained(s))
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

/* What is due in the endpoint; with many observers to be told of a change, some of them. */
static void run_endpoint(shard *s)
{
  s->has_due = false;
  if (copal_ep_deadline(s->ep) > s->now)
    return;
  copal_ep_expire(s->ep, s->now);
  s->has_due = copal_ep_deadline(s->ep) <= s->now;
}

/* Receive rounds while there is traffic. While many are told of something, their answers come as
 * fast as that leaves: what has come is read before the next of them are told, lest others wait
 * behind the answers of all of them. */
static void receive_all(shard *s)
{
  const bool has_crowd = s->has_due || s->has_mail;
  const int rounds = has_crowd ? ROUNDS_CROWD : ROUNDS_MAX;
  for (int i = 0; i < rounds && s->ready_count > 0; i++) {
    udp_flush(s->udp); /* of the round before; those of the last leave with what they set off */
    receive_round(s);
    if (!has_crowd)
      run_endpoint(s);
  }
}

/* One turn: a few receive rounds while there is traffic, then everything else. */
static void turn(shard *s)
{
  if (s->ready_count == 0)
    sleep_until_event(s);
  else if (is_full(s))
    sleep_until_room(s);
  else
    poll_sockets(s, 0);
  store_gather(s->port, true);
  receive_all(s);
  s->now = clock_now();
  submit_late(s);
  run_inside(s);
  run_endpoint(s);
  udp_flush(s->udp);
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

void *shard_main(void *arg)
{
  shard *s = arg;
  char name[16];
  snprintf(name, sizeof name, "shard%u", (unsigned)s->index % 1000);
  (void)pthread_setname_np(pthread_self(), name);
  start_services(s);
  s->catches_up_until = s->now + CATCH_UP_TIME;
  while (s->state != SHARD_DONE)
    turn(s);
  store_gather(s->port, false);
  stop_services(s);
  shard_report_to_main(s, &s->done_report, SHARD_IS_DONE);
  return NULL;
}
