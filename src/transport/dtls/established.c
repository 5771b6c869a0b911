/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of one thread: messages in and out, alerts, the last flight, the end. RFC 6347 sections
 * 4.1.2.7 and 4.2.4, RFC 5246 section 7.2, RFC 9146 section 6. */
#include <string.h>

#include "copal/error.h"
#include "transport/dtls/dtls_inside.h"

/* RFC 5246 section 7.2. */
enum {
  ALERT_WARNING = 1,
  ALERT_FATAL = 2,
  ALERT_CLOSE_NOTIFY = 0,
  ALERT_ACCESS_DENIED = 49,
  ALERT_NO_RENEGOTIATION = 100,
  ALERT_SIZE = 2,
  ALERT_ROOM = 64 + DTLS_CID_MAX,
};

copal_path dtls_path_of(const dtls *d, const dtls_session *s)
{
  copal_path path = dtls_session_path(d->sessions, s);
  path.local = 0; /* wherever the peer goes, it is the same one */
  if (dtls_session_is_address_unproven(s))
    path.flags |= COPAL_PATH_UNPROVEN;
  if (dtls_session_is_stale(s))
    path.flags |= COPAL_PATH_STALE;
  return path;
}

dtls_about dtls_about_of(const dtls *d, const dtls_session *s)
{
  dtls_about about = {.path = dtls_path_of(d, s),
                      .local = s->local,
                      .has_cid = (s->flags & DTLS_SESSION_CID) != 0,
                      .identity = s->identity};
  dtls_session_name(d->sessions, s, about.name);
  return about;
}

/* ------------------------------------------------------------------------------------------------
 * what goes out */

void established_send(dtls *d, dtls_session *s, dtls_type type, copal_span content)
{
  const copal_path path = dtls_session_path(d->sessions, s);
  const size_t size = content.len + dtls_session_overhead(s);
  const copal_mspan room = d->cfg.sink->reserve(d->cfg.sink, &path, size);
  if (room.ptr == NULL)
    return; /* the sink has counted it */
  const int rc = dtls_session_seal(d->sessions, s, type, content, room);
  if (rc > 0)
    d->cfg.sink->commit(d->cfg.sink, &path, (size_t)rc);
}

static void send_alert(dtls *d, dtls_session *s, uint8_t level, uint8_t description)
{
  const uint8_t alert[ALERT_SIZE] = {level, description};
  established_send(d, s, DTLS_ALERT, copal_span_of(alert, sizeof alert));
}

/* The session a message is for, or NULL. */
static dtls_session *addressed(dtls *d, const copal_path *path)
{
  dtls_session *s = dtls_session_of(d->sessions, path->session);
  return s != NULL && s->state == DTLS_SESSION_UP ? s : NULL;
}

copal_mspan established_reserve(copal_sink *sink, const copal_path *path, size_t cap)
{
  dtls *d = (dtls *)sink;
  d->room = (copal_mspan){NULL, 0};
  if (path->session == 0)
    return d->cfg.sink->reserve(d->cfg.sink, path, cap);
  const dtls_session *s = addressed(d, path);
  if (s == NULL) {
    d->stats.tx_closed++;
    return d->room;
  }
  const copal_path real = dtls_session_path(d->sessions, s);
  d->room = d->cfg.sink->reserve(d->cfg.sink, &real, cap + dtls_session_overhead(s));
  if (d->room.ptr == NULL)
    return d->room;
  return (copal_mspan){d->room.ptr + dtls_session_head(s), cap};
}

void established_commit(copal_sink *sink, const copal_path *path, size_t len)
{
  dtls *d = (dtls *)sink;
  if (path->session == 0) {
    d->cfg.sink->commit(d->cfg.sink, path, len);
    return;
  }
  dtls_session *s = addressed(d, path);
  if (s == NULL || d->room.ptr == NULL)
    return;
  const copal_path real = dtls_session_path(d->sessions, s);
  const copal_span content = copal_span_of(d->room.ptr + dtls_session_head(s), len);
  const int rc = dtls_session_seal(d->sessions, s, DTLS_APPLICATION_DATA, content, d->room);
  if (rc > 0)
    d->cfg.sink->commit(d->cfg.sink, &real, (size_t)rc);
  else
    d->stats.tx_refused++;
  d->room = (copal_mspan){NULL, 0};
}

/* ------------------------------------------------------------------------------------------------
 * what comes in */

/* The peer has not got our last flight. RFC 6347 section 4.2.4. */
static void resend_flight(dtls *d, dtls_session *s)
{
  const copal_path path = dtls_session_path(d->sessions, s);
  if ((s->flags & DTLS_SESSION_CONFIRMED) != 0)
    return;
  const size_t size = flight_write(&d->flights, d->sessions, s, d->scratch);
  if (size == 0)
    return;
  d->stats.flights_resent++;
  dtls_send(d, &path, copal_span_of(d->scratch, size));
}

/* Nobody gets a second handshake inside a session. RFC 5246 section 7.2.2. */
static void on_handshake(dtls *d, dtls_session *s, copal_span content)
{
  hello_message m;
  if (!hello_next(&content, &m)) {
    d->stats.unexpected++;
    return;
  }
  switch (m.type) {
  case HELLO_FINISHED: resend_flight(d, s); return;
  case HELLO_CLIENT_HELLO:
  case HELLO_REQUEST:
    d->stats.renegotiations++;
    send_alert(d, s, ALERT_WARNING, ALERT_NO_RENEGOTIATION);
    return;
  case HELLO_SERVER_HELLO:
  case HELLO_VERIFY_REQUEST:
  case HELLO_NEW_SESSION_TICKET:
  case HELLO_CERTIFICATE:
  case HELLO_SERVER_KEY_EXCHANGE:
  case HELLO_CERTIFICATE_REQUEST:
  case HELLO_SERVER_DONE:
  case HELLO_CERTIFICATE_VERIFY:
  case HELLO_CLIENT_KEY_EXCHANGE:
  case HELLO_CERTIFICATE_STATUS: break;
  }
  d->stats.unexpected++;
}

static void on_alert(dtls *d, dtls_session *s, copal_span content)
{
  d->stats.alerts_received++;
  if (content.len < ALERT_SIZE)
    return;
  if (content.ptr[1] == ALERT_CLOSE_NOTIFY)
    send_alert(d, s, ALERT_WARNING, ALERT_CLOSE_NOTIFY);
  if (content.ptr[1] == ALERT_CLOSE_NOTIFY || content.ptr[0] == ALERT_FATAL)
    dtls_session_end(d->sessions, s, DTLS_END_PEER);
}

static void on_data(dtls *d, dtls_session *s, copal_mspan bytes)
{
  const copal_path path = dtls_path_of(d, s);
  if (d->flights.count > 0)
    flight_drop(&d->flights, path.session);
  d->cfg.app->on_message(d->cfg.app, &path, bytes, d->now);
}

void established_hear(dtls *d, dtls_session *s, const dtls_record *rec, const copal_path *from)
{
  dtls_opened opened;
  /* In its own place, which the caller lends. */
  const copal_mspan room = {(uint8_t *)(uintptr_t)rec->fragment.ptr, rec->fragment.len};
  const dtls_arrival arrival = {.rec = rec, .from = from, .room = room};
  if (dtls_session_open(d->sessions, s, &arrival, &opened, d->now) < 0)
    return; /* without a word, and counted there */
  const copal_span content = opened.content.bytes;
  switch (opened.content.type) {
  case DTLS_APPLICATION_DATA:
    on_data(d, s, (copal_mspan){room.ptr + (content.ptr - room.ptr), content.len});
    return;
  case DTLS_ALERT: on_alert(d, s, content); return;
  case DTLS_HANDSHAKE: on_handshake(d, s, content); return;
  case DTLS_CHANGE_CIPHER_SPEC:
  case DTLS_TLS12_CID:
  case DTLS_NO_TYPE: break;
  }
  d->stats.unexpected++;
}

/* ------------------------------------------------------------------------------------------------
 * the end */

/* The peer should hear that the session is over when it would go on with it. */
static void say_goodbye(dtls *d, dtls_session *s, dtls_end why)
{
  switch (why) {
  case DTLS_END_REVOKED: send_alert(d, s, ALERT_FATAL, ALERT_ACCESS_DENIED); return;
  case DTLS_END_LOCAL:
  case DTLS_END_EVICTED:
  case DTLS_END_IDLE:
  case DTLS_END_NO_ROOM:
  case DTLS_END_FORGED: send_alert(d, s, ALERT_WARNING, ALERT_CLOSE_NOTIFY); return;
  case DTLS_END_PEER:
  case DTLS_END_REPLACED:
  case DTLS_END_EXHAUSTED:
  case DTLS_END_COUNT: return;
  }
}

void established_on_end(dtls_on_end *hook, dtls_session *s, dtls_end why)
{
  dtls *d = (dtls *)((uint8_t *)hook - offsetof(dtls, on_end));
  say_goodbye(d, s, why);
  const dtls_about about = dtls_about_of(d, s);
  if (d->flights.count > 0)
    flight_drop(&d->flights, about.path.session);
  if (d->ended_count < DTLS_ENDED_MAX)
    d->ended[d->ended_count++] = (dtls_ended){about, why};
  else
    d->cfg.credentials->release(d->cfg.credentials, s->identity);
}

void established_settle(dtls *d)
{
  while (d->ended_count > 0) {
    const dtls_ended e = d->ended[--d->ended_count];
    d->leaving = &e.about;
    d->cfg.app->on_close(d->cfg.app, &e.about.path, e.why, d->now);
    d->leaving = NULL;
    d->cfg.credentials->release(d->cfg.credentials, e.about.identity);
  }
}
