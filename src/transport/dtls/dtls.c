/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS 1.2 between the sockets and the endpoint of one thread. RFC 6347, RFC 9146. */
#include "transport/dtls/dtls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <gnutls/crypto.h>

#include "copal/error.h"
#include "transport/dtls/dtls_inside.h"
#include "transport/dtls/keylog.h"

enum {
  WHEEL_SLOTS = 1024,
  TICK = 8 * 1024, /* microseconds */
};

/* ------------------------------------------------------------------------------------------------
 * opening and closing */

static int draw_secrets(dtls *d)
{
  uint8_t secret[DTLS_CID_KEY_SIZE];
  if (cookies_init(&d->cookies) < 0 ||
      getrandom(&d->seed, sizeof d->seed, 0) != (ssize_t)sizeof d->seed ||
      getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret)
    return COPAL_ENOSPC;
  dtls_cid_key_init(&d->cid_key, d->cfg.cid_secret != NULL ? d->cfg.cid_secret : secret);
  explicit_bzero(secret, sizeof secret);
  d->cfg.cid_secret = NULL; /* lent for dtls_open() only */
  return COPAL_OK;
}

static int open_sessions(dtls *d)
{
  const dtls_cfg *c = &d->cfg;
  const dtls_sessions_cfg cfg = {.max = c->session_max,
                                 .handshake_max = c->handshake_max,
                                 .idle_s = c->idle_s,
                                 .seed = (uint32_t)d->seed,
                                 .cid_key = &d->cid_key,
                                 .on_end = &d->on_end};
  return dtls_sessions_open(&cfg, &d->sessions);
}

static int open_kit(dtls *d, const char **why)
{
  const dtls_cfg *c = &d->cfg;
  const handshake_cfg cfg = {.credentials = c->credentials,
                             .is_client = c->is_client,
                             .has_cid = c->has_cid,
                             .ticket_key = c->ticket_key,
                             .mtu = c->mtu,
                             .retransmit = c->retransmit,
                             .timeout = c->timeout};
  return handshake_kit_open(&cfg, &d->kit, why);
}

int dtls_open(const dtls_cfg *cfg, dtls **out, const char **why, copal_time now)
{
  dtls *d = calloc(1, sizeof *d);
  *why = "out of memory, or a limit out of range";
  if (d == NULL)
    return COPAL_ENOSPC;
  d->cfg = *cfg;
  d->now = now;
  d->readmit.due = COPAL_NEVER;
  copal_list_init(&d->greetings);
  (void)keylog_file();
  d->sink = (copal_sink){established_reserve, established_commit};
  d->on_end.on_end = established_on_end;
  d->wheel = malloc(copal_timerq_size(WHEEL_SLOTS));
  int rc = d->wheel != NULL ? draw_secrets(d) : COPAL_ENOSPC;
  if (d->wheel != NULL)
    copal_timerq_init(&d->timers, d->wheel, WHEEL_SLOTS, TICK, now);
  if (rc == COPAL_OK)
    rc = open_sessions(d);
  if (rc == COPAL_OK)
    rc = open_kit(d, why);
  if (rc < 0) {
    dtls_close(d);
    return rc;
  }
  d->cfg.ticket_key = NULL; /* the kit has a copy */
  *out = d;
  return COPAL_OK;
}

static void end_handshakes(dtls *d)
{
  copal_timer *t;
  /* Each has a timer, and by then all of them are due. */
  while ((t = copal_timerq_pop(&d->timers, COPAL_NEVER - 1)) != NULL)
    greeting_end((greeting *)(void *)((uint8_t *)t - offsetof(greeting, timer)));
}

static void release_identities(dtls *d)
{
  dtls_session *s = NULL;
  for (uint32_t slot = 0; (s = dtls_session_from_slot(d->sessions, slot)) != NULL;
       slot = dtls_session_slot(d->sessions, s) + 1)
    d->cfg.credentials->release(d->cfg.credentials, s->identity);
}

void dtls_close(dtls *d)
{
  if (d == NULL)
    return;
  if (d->sessions != NULL) {
    end_handshakes(d);
    release_identities(d);
  }
  dtls_sessions_close(d->sessions);
  handshake_kit_close(d->kit);
  flights_wipe(&d->flights);
  cookies_wipe(&d->cookies);
  dtls_cid_key_wipe(&d->cid_key);
  free(d->wheel);
  gnutls_memset(d, 0, sizeof *d);
  free(d);
}

/* ------------------------------------------------------------------------------------------------
 * datagrams */

void dtls_send(dtls *d, const copal_path *path, copal_span datagram)
{
  const copal_path real = {.remote = path->remote, .local = path->local};
  const copal_mspan room = d->cfg.sink->reserve(d->cfg.sink, &real, datagram.len);
  if (room.ptr == NULL)
    return; /* the sink has counted it */
  memcpy(room.ptr, datagram.ptr, datagram.len);
  d->cfg.sink->commit(d->cfg.sink, &real, datagram.len);
}

static void take_for_handshake(dtls_session *s, const dtls_record *rec)
{
  greeting *g = s->handshake;
  g->has_answered = true;
  shim_take(handshake_shim(g->handshake), rec);
  /* At once, for the next record may need the keys that this one brings. */
  greeting_run(g);
}

static bool is_hello(const dtls_record *rec)
{
  return rec->type == DTLS_HANDSHAKE && rec->fragment.ptr[0] == HELLO_CLIENT_HELLO;
}

static void hear_plaintext(dtls *d, const copal_path *path, const dtls_record *rec)
{
  if (!d->cfg.is_client && is_hello(rec)) {
    greeting_hear(d, path, rec);
    return;
  }
  dtls_session *s = dtls_session_by_path(d->sessions, path, DTLS_SESSION_HANDSHAKE);
  if (s != NULL)
    take_for_handshake(s, rec);
  else
    d->stats.stray++;
}

/* The keys of a new handshake get the first try: the old session may be one that the client has
 * forgotten. RFC 6347 section 4.2.8. */
static void hear_plain_form(dtls *d, const copal_path *path, const dtls_record *rec)
{
  dtls_session *fresh = dtls_session_by_path(d->sessions, path, DTLS_SESSION_HANDSHAKE);
  dtls_session *old = dtls_session_by_path(d->sessions, path, DTLS_SESSION_UP);
  if (fresh != NULL && (old == NULL || greeting_owns(d, fresh, rec)))
    take_for_handshake(fresh, rec);
  else if (old != NULL)
    established_hear(d, old, rec, path);
  else
    d->stats.stray++;
}

static void hear_with_cid(dtls *d, const copal_path *path, const dtls_record *rec)
{
  dtls_session *s = dtls_session_by_cid(d->sessions, rec->cid);
  if (s == NULL)
    return; /* counted there */
  if (s->state == DTLS_SESSION_HANDSHAKE)
    take_for_handshake(s, rec);
  else
    established_hear(d, s, rec, path);
}

void dtls_input(dtls *d, const dtls_source *from, copal_mspan datagram, copal_time now)
{
  copal_rd rd = copal_rd_init(copal_span_of(datagram.ptr, datagram.len));
  const copal_path *path = from->path;
  dtls_record rec;
  d->now = now;
  d->lane = from->lane;
  while (dtls_record_next(&rd, d->cfg.has_cid ? DTLS_CID_SIZE : 0, &rec)) {
    if (rec.type == DTLS_TLS12_CID)
      hear_with_cid(d, path, &rec);
    else if (rec.epoch == 0)
      hear_plaintext(d, path, &rec);
    else
      hear_plain_form(d, path, &rec);
  }
  d->stats.malformed += rd.err != COPAL_OK;
  established_settle(d);
}

int dtls_connect(dtls *d, const copal_path *path, const char *server_name, uint32_t *session,
                 copal_time now)
{
  d->now = now;
  const int rc = greeting_begin(d, path, server_name, session);
  established_settle(d);
  return rc;
}

void dtls_resume(dtls *d, uint32_t session, copal_time now)
{
  dtls_session *s = dtls_session_of(d->sessions, session);
  d->now = now;
  if (s != NULL && s->state == DTLS_SESSION_HANDSHAKE)
    greeting_run(s->handshake);
  established_settle(d);
}

copal_sink *dtls_sink(dtls *d)
{
  return &d->sink;
}

/* ------------------------------------------------------------------------------------------------
 * time */

copal_time dtls_deadline(const dtls *d)
{
  const copal_time handshakes = copal_timerq_deadline(&d->timers);
  const copal_time sweep = dtls_sessions_next_sweep(d->sessions);
  const copal_time first = handshakes < sweep ? handshakes : sweep;
  return first < d->readmit.due ? first : d->readmit.due;
}

void dtls_expire(dtls *d, copal_time now)
{
  copal_timer *t;
  d->now = now;
  while ((t = copal_timerq_pop(&d->timers, now)) != NULL)
    greeting_run((greeting *)(void *)((uint8_t *)t - offsetof(greeting, timer)));
  (void)dtls_sessions_sweep(d->sessions, now);
  if (d->readmit.due <= now)
    readmit_run(d);
  established_settle(d);
}

void dtls_close_sessions(dtls *d, copal_time now)
{
  dtls_session *s;
  d->now = now;
  for (uint32_t slot = 0; (s = dtls_session_from_slot(d->sessions, slot)) != NULL; slot++) {
    slot = dtls_session_slot(d->sessions, s);
    if (dtls_session_is_given(s))
      continue; /* it goes on elsewhere, and could not say a word anyway */
    dtls_session_end(d->sessions, s, DTLS_END_LOCAL);
    established_settle(d);
  }
}

/* ------------------------------------------------------------------------------------------------
 * the rest */

uint32_t dtls_identity(const dtls *d, uint32_t session)
{
  const dtls_session *s = dtls_session_of(d->sessions, session);
  return s != NULL && s->state != DTLS_SESSION_HANDSHAKE ? s->identity : 0;
}

bool dtls_describe(const dtls *d, uint32_t session, dtls_about *about)
{
  if (d->leaving != NULL && d->leaving->path.session == session) {
    *about = *d->leaving;
    return true;
  }
  const dtls_session *s = dtls_session_of(d->sessions, session);
  if (s == NULL || s->state != DTLS_SESSION_UP)
    return false;
  *about = dtls_about_of(d, s);
  return true;
}

bool dtls_find(const dtls *d, copal_span name, dtls_about *about)
{
  const dtls_session *s = dtls_session_named(d->sessions, name);
  if (s != NULL)
    *about = dtls_about_of(d, s);
  return s != NULL;
}

void dtls_prove(dtls *d, uint32_t session, bool is_fresh)
{
  dtls_session *s = dtls_session_of(d->sessions, session);
  if (s != NULL && s->state == DTLS_SESSION_UP)
    dtls_session_prove(d->sessions, s, is_fresh);
}

bool dtls_is_stale(const dtls *d, uint32_t session)
{
  const dtls_session *s = dtls_session_of(d->sessions, session);
  return s != NULL && s->state == DTLS_SESSION_UP && dtls_session_is_stale(s);
}

void dtls_reload(dtls *d, const dtls_cfg *cfg)
{
  d->cfg.idle_s = cfg->idle_s;
  dtls_sessions_reload(d->sessions, &(dtls_sessions_cfg){.idle_s = cfg->idle_s});
  handshake_kit_set_ticket_key(d->kit, cfg->ticket_key);
}

void dtls_inherit(dtls *d, const uint8_t cid_secret[DTLS_CID_KEY_SIZE], const uint8_t *ticket_key)
{
  dtls_cid_key_init(&d->cid_key, cid_secret);
  handshake_kit_set_ticket_key(d->kit, ticket_key);
}

dtls_sessions *dtls_table(dtls *d)
{
  return d->sessions;
}

const dtls_stats *dtls_stats_now(const dtls *d)
{
  return &d->stats;
}

dtls_usage dtls_usage_now(const dtls *d)
{
  return (dtls_usage){dtls_sessions_count(d->sessions), dtls_sessions_handshake_count(d->sessions)};
}
