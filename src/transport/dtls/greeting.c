/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes of one thread: who may begin one, and what becomes of it. RFC 6347 sections 4.2.1 and
 * 4.2.8. */
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "transport/dtls/dtls_inside.h"

enum {
  RECORD_SEQ_MAX = 0x7fff, /* of a ClientHello: ours go on from there */
  MESSAGE_SEQ_MAX = 8,     /* so many HelloVerifyRequests are not needed */
  PREFIX_BYTES_IPV4 = 15,  /* of the mapped address: /24 */
  PREFIX_BYTES_IPV6 = 7,   /* /56 */
  LOOK_AT_MAX = 1024,      /* handshakes, the oldest ones, when somebody has to go */
};

/* So long a handshake keeps its place when others want it: one that has heard nothing since its
 * ClientHello, and any. Devices answer within that; who only takes places has them no longer. */
static const copal_dur silent_max = 2 * COPAL_SECOND, slow_max = 10 * COPAL_SECOND;

/* ------------------------------------------------------------------------------------------------
 * limits */

static uint64_t hash(const dtls *d, const void *bytes, size_t len)
{
  const uint8_t *at = bytes;
  uint64_t h = d->seed;
  for (size_t i = 0; i < len; i++)
    h = (h ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a from a random start */
  return h ^ h >> 32;
}

static uint16_t *prefix_of(dtls *d, const copal_addr *remote)
{
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool is_ipv4 = memcmp(remote->ip, mapped, sizeof mapped) == 0;
  const size_t len = is_ipv4 ? PREFIX_BYTES_IPV4 : PREFIX_BYTES_IPV6;
  return &d->prefixes[hash(d, remote->ip, len) % DTLS_PREFIXES];
}

/* ------------------------------------------------------------------------------------------------
 * one handshake */

static void send_datagram(shim_out *out, copal_span datagram)
{
  const greeting *g = (const greeting *)out;
  dtls_send(g->owner, &g->path, datagram);
}

static void arm(greeting *g)
{
  copal_timerq_arm(&g->owner->timers, &g->timer, handshake_deadline(g->handshake));
}

void greeting_end(greeting *g)
{
  dtls *d = g->owner;
  copal_timerq_cancel(&d->timers, &g->timer);
  handshake_close(g->handshake);
  copal_list_remove(&g->by_age);
  if (g->prefix != NULL)
    (*g->prefix)--;
  g->session->handshake = NULL;
  dtls_session_end(d->sessions, g->session, DTLS_END_LOCAL);
  free(g);
}

static void on_failure(greeting *g)
{
  dtls *d = g->owner;
  dtls_failure f = {.path = &g->path, .psk_identity = handshake_psk_identity(g->handshake)};
  f.kind = handshake_failure(g->handshake, &f.text);
  d->stats.failed[f.kind]++;
  f.alert = handshake_alert(g->handshake);
  if (f.kind == HANDSHAKE_REFUSED) {
    f.refusal = handshake_refusal(g->handshake);
    d->stats.refused[f.refusal]++;
  }
  if (d->cfg.app->on_failure != NULL)
    d->cfg.app->on_failure(d->cfg.app, &f, d->now);
}

/* Application data that overtook the last flight. */
static void deliver_early(dtls *d, dtls_session *s, shim *from)
{
  const uint32_t number = dtls_session_number(d->sessions, s);
  copal_mspan bytes;
  while (shim_next_early(from, &bytes) == COPAL_OK) {
    s = dtls_session_of(d->sessions, number); /* on_message() may have ended it */
    if (s != NULL && s->state == DTLS_SESSION_UP) {
      const copal_path path = dtls_path_of(d, s);
      s->flags |= DTLS_SESSION_CONFIRMED;
      d->cfg.app->on_message(d->cfg.app, &path, bytes, d->now);
    }
    free(bytes.ptr);
  }
}

static void keep_ticket(dtls *d, uint32_t number, shim *from)
{
  if (from->ticket == NULL)
    return;
  flight_keep(&d->flights, number, from->ticket, from->ticket_len);
  from->ticket = NULL;
}

static void on_done(greeting *g)
{
  dtls *d = g->owner;
  dtls_session *s = g->session;
  dtls_established e;
  handshake_result(g->handshake, &e);
  const int rc = dtls_session_establish(d->sessions, s, &e, d->now);
  explicit_bzero(&e.rx, sizeof e.rx);
  explicit_bzero(&e.tx, sizeof e.tx);
  if (rc < 0) {
    d->stats.no_memory++;
    d->cfg.credentials->release(d->cfg.credentials, e.identity);
    greeting_end(g);
    return;
  }
  const bool is_resumed = (e.flags & DTLS_SESSION_RESUMED) != 0;
  *(is_resumed ? &d->stats.resumed : &d->stats.completed) += 1;
  (void)dtls_session_replace_others(d->sessions, s);
  copal_timerq_cancel(&d->timers, &g->timer);
  copal_list_remove(&g->by_age);
  if (g->prefix != NULL)
    (*g->prefix)--;
  const copal_path path = dtls_path_of(d, s);
  if ((s->flags & DTLS_SESSION_CONFIRMED) == 0)
    keep_ticket(d, path.session, handshake_shim(g->handshake));
  if (d->cfg.app->on_open != NULL)
    d->cfg.app->on_open(d->cfg.app, &path, d->now);
  deliver_early(d, s, handshake_shim(g->handshake));
  handshake_close(g->handshake);
  free(g);
}

void greeting_run(greeting *g)
{
  switch (handshake_run(g->handshake, g->owner->now)) {
  case HANDSHAKE_GOES_ON: arm(g); return;
  case HANDSHAKE_DONE: on_done(g); return;
  case HANDSHAKE_FAILED:
    on_failure(g);
    greeting_end(g);
    return;
  }
}

bool greeting_owns(dtls *d, dtls_session *s, const dtls_record *rec)
{
  const copal_mspan room = {d->scratch, sizeof d->scratch};
  return handshake_owns(((greeting *)s->handshake)->handshake, rec, room);
}

/* ------------------------------------------------------------------------------------------------
 * beginnings */

/* Any thread: nothing of the greeting changes while it waits. */
static void on_answer(dtls_psk_wait *w)
{
  const greeting *g = (greeting *)(void *)((uint8_t *)w - offsetof(greeting, wait));
  dtls_app *app = g->owner->cfg.app;
  app->on_answer(app, g->number);
}

/* Makes a handshake for a slot. Returns 0 or COPAL_ENOSPC; then the slot is free again. */
static int begin(dtls *d, dtls_session *s, const copal_path *path, handshake_start *start,
                 greeting **out)
{
  uint8_t cid[DTLS_CID_SIZE];
  greeting *g = calloc(1, sizeof *g);
  if (g == NULL) {
    dtls_session_end(d->sessions, s, DTLS_END_LOCAL);
    return COPAL_ENOSPC;
  }
  *g = (greeting){.out = {send_datagram}, .owner = d, .session = s, .path = *path, .begun = d->now};
  copal_list_append(&d->greetings, &g->by_age);
  g->wait.on_answer = on_answer;
  g->number = dtls_session_number(d->sessions, s);
  copal_timer_init(&g->timer);
  s->handshake = g;
  dtls_session_cid(d->sessions, s, cid);
  start->kit = d->kit;
  start->out = &g->out;
  start->stats = &d->stats.shim;
  start->sessions = d->sessions;
  start->own_cid = copal_span_of(cid, d->cfg.has_cid ? sizeof cid : 0);
  start->wait = d->cfg.app->on_answer != NULL ? &g->wait : NULL;
  if (handshake_open(start, &g->handshake, d->now) < 0) {
    greeting_end(g);
    return COPAL_ENOSPC;
  }
  d->stats.started++;
  *out = g;
  return COPAL_OK;
}

static void verify(dtls *d, const copal_path *path, const hello_client *h)
{
  uint8_t cookie[COOKIE_SIZE];
  uint8_t reply[HELLO_VERIFY_SIZE_MAX];
  cookie_make(&d->cookies, &path->remote, h, d->now, cookie);
  const size_t size = hello_verify_write(h, copal_span_of(cookie, sizeof cookie), reply);
  d->stats.cookies_bad += h->cookie.len > 0;
  d->stats.cookies_sent++;
  dtls_send(d, path, copal_span_of(reply, size));
}

/* True when the ClientHello belongs to a handshake that is under way. One with another random is a
 * client that begins anew: the old handshake goes. */
static bool is_repeated(dtls *d, const copal_path *path, const hello_client *h)
{
  dtls_session *s = dtls_session_by_path(d->sessions, path, DTLS_SESSION_HANDSHAKE);
  if (s == NULL)
    return false;
  greeting *g = s->handshake;
  if (copal_span_is_equal(handshake_client_random(g->handshake), h->random)) {
    d->stats.repeated++;
    return true; /* the timer repeats our flight */
  }
  d->stats.superseded++;
  greeting_end(g);
  return false;
}

static bool has_had_its_time(const greeting *g, copal_time now)
{
  return now - g->begun >= (g->has_answered ? slow_max : silent_max);
}

/* Ends the oldest handshake that has had its time. When it is not this prefix that has too many of
 * them but all together, one of a prefix that has more than this one would have has to go, too: so
 * who floods from a few prefixes does not keep the others out. Returns whether there was one. */
static bool make_room(dtls *d, const uint16_t *prefix, bool is_of_prefix)
{
  copal_node *n = d->greetings.next;
  for (int i = 0; i < LOOK_AT_MAX && n != &d->greetings; i++, n = n->next) {
    greeting *g = COPAL_AROUND(n, greeting, by_age);
    if (is_of_prefix && d->now - g->begun < silent_max)
      break; /* neither this one nor those behind it, which are younger */
    if (is_of_prefix ? g->prefix != prefix || !has_had_its_time(g, d->now)
                     : *g->prefix <= *prefix + 1 && !has_had_its_time(g, d->now))
      continue;
    d->stats.gave_way++;
    greeting_end(g);
    return true;
  }
  return false;
}

static bool has_room(dtls *d, const uint16_t *prefix)
{
  if (*prefix >= d->cfg.per_prefix_max && !make_room(d, prefix, true)) {
    d->stats.refused_prefix++;
    return false;
  }
  if (dtls_sessions_handshake_count(d->sessions) >= d->cfg.handshake_max)
    (void)make_room(d, prefix, false); /* else nobody gets a slot, which is counted there */
  return true;
}

void greeting_hear(dtls *d, const copal_path *path, const dtls_record *rec)
{
  hello_client h;
  greeting *g;
  if (!hello_client_read(rec, &h) || h.record_seq > RECORD_SEQ_MAX ||
      h.message_seq > MESSAGE_SEQ_MAX) {
    d->stats.stray++;
    return;
  }
  if (!cookie_is_good(&d->cookies, &path->remote, &h, d->now)) {
    verify(d, path, &h);
    return;
  }
  if (is_repeated(d, path, &h))
    return;
  uint16_t *prefix = prefix_of(d, &path->remote);
  if (!has_room(d, prefix))
    return;
  dtls_session *s = dtls_session_take(d->sessions, path, d->lane);
  handshake_start start = {.hello = &h};
  if (s == NULL)
    return; /* counted there; the client tries again */
  if (begin(d, s, path, &start, &g) < 0) {
    d->stats.no_memory++;
    return;
  }
  g->prefix = prefix;
  (*prefix)++;
  shim_take(handshake_shim(g->handshake), rec);
  greeting_run(g);
}

int greeting_begin(dtls *d, const copal_path *path, const char *server_name, uint32_t *session)
{
  greeting *g;
  dtls_session *s = dtls_session_take(d->sessions, path, d->lane);
  handshake_start start = {.server_name = server_name};
  if (s == NULL)
    return COPAL_ENOSLOT;
  *session = dtls_session_number(d->sessions, s);
  const int rc = begin(d, s, path, &start, &g);
  if (rc == COPAL_OK)
    greeting_run(g);
  return rc;
}
