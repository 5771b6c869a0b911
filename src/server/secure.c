/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS in a shard. RFC 7252 section 9.1. Thread: the shard's only. */
#include "server/secure.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "copal/error.h"
#include "server/clock.h"
#include "server/shard.h"
#include "transport/steer.h"

enum { NO_SOCKET = -1 };

struct secure {
  dtls_app app;      /* first */
  guard_proof proof; /* told by the guard */
  ways_sessions ways;
  shard_report wants_save; /* lent to the main thread while `has_asked` */
  bool has_asked;
  secure_parts parts;
  dtls *dtls;
  copal_ep *ep;
  copal_reviewer *reviewer;
  bool has_guard;
  uint64_t reloads; /* of credentials, that were seen */
  int socket_count;
  int16_t *lanes; /* of the CIDs of each socket; NO_SOCKET: not secure */
};

/* Credentials have answered. */
typedef struct answer_msg {
  shard_msg head; /* first */
  uint32_t session;
} answer_msg;

int secure_shared_init(secure_shared *all, dtls_credentials *credentials, const identities *people)
{
  all->credentials = credentials;
  all->people = people;
  if (getrandom(all->ticket_key, sizeof all->ticket_key, 0) != (ssize_t)sizeof all->ticket_key ||
      getrandom(all->cid_secret, sizeof all->cid_secret, 0) != (ssize_t)sizeof all->cid_secret)
    return -errno;
  return 0;
}

int secure_shared_rotate(secure_shared *all)
{
  uint8_t key[DTLS_TICKET_KEY_SIZE];
  if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
    return -errno;
  memcpy(all->ticket_key, key, sizeof key);
  explicit_bzero(key, sizeof key);
  return 0;
}

void secure_limits_of(const conf *c, const secure_shared *shared, secure_limits *out)
{
  *out = (secure_limits){.reloads = shared != NULL ? shared->reloads : 0,
                         .idle_s = c->dtls.idle_s,
                         .has_tickets = shared != NULL && c->dtls.has_tickets == CONF_ON};
  if (out->has_tickets)
    memcpy(out->ticket_key, shared->ticket_key, sizeof out->ticket_key);
}

void secure_shared_wipe(secure_shared *all)
{
  explicit_bzero(all, sizeof *all);
}

/* ------------------------------------------------------------------------------------------------
 * what happens to sessions */

static void log_session(secure *s, log_level level, const char *event, const copal_path *path,
                        log_field more, copal_time now)
{
  if (!log_is_on(s->parts.log, level))
    return;
  char peer[UDP_ADDR_TEXT_SIZE];
  udp_addr_format(&path->remote, peer);
  const log_field fields[] = {log_text("peer", peer), log_number("session", path->session), more};
  log_limited(s->parts.log, level, event, peer, fields, 3, now);
}

static void on_message(dtls_app *a, const copal_path *path, copal_mspan bytes, copal_time now)
{
  secure *s = (secure *)a;
  if (shard_leaves(s->parts.shard, bytes))
    return;
  if (!s->has_guard && (path->flags & COPAL_PATH_UNPROVEN) != 0)
    dtls_prove(s->dtls, path->session, false); /* nobody is asked to prove anything */
  const int rc = copal_ep_input(s->ep, path, bytes, now);
  if (rc < 0)
    log_session(s, LOG_LEVEL_DEBUG, "datagram_rejected", path,
                log_text("error", copal_err_name(rc)), now);
}

static void on_open(dtls_app *a, const copal_path *path, copal_time now)
{
  secure *s = (secure *)a;
  log_session(s, LOG_LEVEL_DEBUG, "session_opened", path,
              log_number("identity", secure_identity(s, path->session)), now);
}

static const char *end_text(dtls_end why)
{
  switch (why) {
  case DTLS_END_LOCAL: return "closed";
  case DTLS_END_PEER: return "closed by the peer";
  case DTLS_END_REPLACED: return "replaced by a new one";
  case DTLS_END_EVICTED: return "evicted: the limit of sessions was reached";
  case DTLS_END_IDLE: return "idle for too long";
  case DTLS_END_FORGED: return "too many forged records";
  case DTLS_END_EXHAUSTED: return "its keys are worn out";
  case DTLS_END_REVOKED: return "its peer was taken out of the credentials";
  case DTLS_END_NO_ROOM: return "no room for the name or the groups its peer has now";
  case DTLS_END_COUNT: break;
  }
  return "";
}

/* Somebody was put out: the operator wants to see that. */
static void log_put_out(secure *s, const copal_path *path, dtls_end why, copal_time now)
{
  const log_level level = why == DTLS_END_REVOKED ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR;
  dtls_about about;
  if (!log_is_on(s->parts.log, level) || !dtls_describe(s->dtls, path->session, &about))
    return;
  const identity *who = identity_of(s->parts.shared->people, about.identity);
  char peer[UDP_ADDR_TEXT_SIZE], name[IDENTITY_NAME_MAX + 16];
  udp_addr_format(&path->remote, peer);
  snprintf(name, sizeof name, "%s:%.*s", identity_kind_name(who->kind), (int)who->name.len,
           (const char *)who->name.ptr);
  const log_field fields[] = {log_text("peer", peer), log_text("identity", name),
                              log_text("reason", end_text(why))};
  log_limited(s->parts.log, level, "session_revoked", peer, fields, 3, now);
}

static void on_renamed(dtls_app *a, copal_time now)
{
  const secure *s = (const secure *)a;
  if (s->ep != NULL && s->reviewer != NULL)
    copal_ep_review(s->ep, s->reviewer, now);
}

static void on_close(dtls_app *a, const copal_path *path, dtls_end why, copal_time now)
{
  secure *s = (secure *)a;
  if (s->ep == NULL)
    return; /* all is being closed */
  copal_ep_forget(s->ep, path, now);
  if (why == DTLS_END_REVOKED || why == DTLS_END_NO_ROOM)
    log_put_out(s, path, why, now);
  log_session(s, LOG_LEVEL_DEBUG, "session_closed", path, log_text("reason", end_text(why)), now);
}

/* What a peer says of itself may be any bytes. */
static void make_printable(copal_span bytes, char out[DTLS_PSK_IDENTITY_MAX + 1])
{
  size_t len = 0;
  for (; len < bytes.len && len < DTLS_PSK_IDENTITY_MAX; len++)
    out[len] = (char)(isprint(bytes.ptr[len]) ? bytes.ptr[len] : '?');
  out[len] = '\0';
}

static const char *failure_text(handshake_failure_kind kind)
{
  switch (kind) {
  case HANDSHAKE_NOT_FAILED: break;
  case HANDSHAKE_PROTOCOL: return "protocol";
  case HANDSHAKE_TIMEOUT: return "timeout";
  case HANDSHAKE_REFUSED: return "refused";
  case HANDSHAKE_WRONG_KEY: return "wrong_key";
  case HANDSHAKE_ALERT: return "alert";
  case HANDSHAKE_FAILURE_COUNT: break;
  }
  return "";
}

static void on_failure(dtls_app *a, const dtls_failure *f, copal_time now)
{
  secure *s = (secure *)a;
  char peer[UDP_ADDR_TEXT_SIZE];
  char name[DTLS_PSK_IDENTITY_MAX + 1];
  udp_addr_format(&f->path->remote, peer);
  make_printable(f->psk_identity, name);
  const log_field fields[] = {log_text("peer", peer), log_text("reason", failure_text(f->kind)),
                              log_text("error", f->text), log_text("identity", name)};
  const size_t count = f->psk_identity.len > 0 ? 4 : 3;
  log_limited(s->parts.log, LOG_LEVEL_WARN, "handshake_failed", peer, fields, count, now);
}

static void run_answer(shard_msg *m, shard *owner)
{
  dtls_resume(secure_dtls(shard_secure(owner)), ((answer_msg *)m)->session, shard_now(owner));
  free(m);
}

/* Any thread. An answer that gets lost is looked for when the handshake's timer runs. */
static void on_answer(dtls_app *a, uint32_t session)
{
  answer_msg *m = malloc(sizeof *m);
  if (m == NULL)
    return;
  *m = (answer_msg){{run_answer}, session};
  if (shard_post(((secure *)a)->parts.shard, &m->head) < 0)
    free(m);
}

/* The peer of a session has shown to be where it seems to be. */
static void on_proof(guard_proof *p, const copal_path *path, bool is_fresh)
{
  dtls_prove(((secure *)((uint8_t *)p - offsetof(secure, proof)))->dtls, path->session, is_fresh);
}

/* ------------------------------------------------------------------------------------------------
 * sessions as ways to clients */

_Static_assert((int)DTLS_NAME_SIZE <= (int)WAYS_SESSION_MAX, "room for the name of a session");

static secure *of_ways(ways_sessions *hook)
{
  return (secure *)((uint8_t *)hook - offsetof(secure, ways));
}

static ways_session as_way(const dtls_about *about)
{
  ways_session way = {.path = about->path,
                      .local = about->local,
                      .has_cid = about->has_cid,
                      .key_len = sizeof about->name};
  memcpy(way.key, about->name, sizeof about->name);
  return way;
}

static bool describe_session(ways_sessions *hook, uint32_t session, ways_session *out)
{
  dtls_about about;
  if (!dtls_describe(of_ways(hook)->dtls, session, &about))
    return false;
  *out = as_way(&about);
  return true;
}

static bool find_session(ways_sessions *hook, copal_span key, ways_session *out)
{
  dtls_about about;
  if (!dtls_find(of_ways(hook)->dtls, key, &about))
    return false;
  *out = as_way(&about);
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * life */

static uint32_t share(uint32_t whole, uint32_t shards)
{
  return (uint32_t)(((uint64_t)whole + shards - 1) / shards);
}

int secure_open(const secure_parts *parts, secure **out, copal_time now)
{
  const conf *c = parts->conf;
  const char *why;
  secure *s = calloc(1, sizeof *s);
  if (s == NULL)
    return -ENOMEM;
  s->parts = *parts;
  s->app = (dtls_app){.on_message = on_message,
                      .on_open = on_open,
                      .on_close = on_close,
                      .on_renamed = on_renamed,
                      .on_failure = on_failure,
                      .on_answer = on_answer};
  s->proof.on_proof = on_proof;
  s->ways = (ways_sessions){describe_session, find_session};
  s->reloads = parts->shared->reloads;
  const dtls_cfg cfg = {
      .credentials = parts->shared->credentials,
      .sink = udp_sink(parts->udp),
      .app = &s->app,
      .session_max = share(c->dtls.sessions, parts->shard_count),
      .handshake_max = share(c->dtls.handshakes, parts->shard_count),
      .per_prefix_max = share(c->dtls.per_prefix, parts->shard_count),
      .idle_s = c->dtls.idle_s,
      .has_cid = c->dtls.has_cid == CONF_ON,
      .cid_secret = parts->shared->cid_secret,
      .ticket_key = c->dtls.has_tickets == CONF_ON ? parts->shared->ticket_key : NULL,
      .mtu = c->dtls.mtu,
      .retransmit = c->dtls.retransmit,
      .timeout = c->dtls.timeout,
  };
  if (dtls_open(&cfg, &s->dtls, &why, now) < 0) {
    const log_field fields[] = {log_text("error", why)};
    log_event(parts->log, LOG_LEVEL_ERROR, "dtls_failed", fields, 1);
    secure_close(s);
    return -EINVAL;
  }
  *out = s;
  return 0;
}

void secure_inherit(secure *s)
{
  const bool has_tickets = s->parts.conf->dtls.has_tickets == CONF_ON;
  const secure_shared *shared = s->parts.shared;
  dtls_inherit(s->dtls, shared->cid_secret, has_tickets ? shared->ticket_key : NULL);
}

void secure_close(secure *s)
{
  if (s == NULL)
    return;
  if (s->dtls != NULL) {
    s->ep = NULL;
    dtls_close_sessions(s->dtls, clock_now());
    udp_flush(s->parts.udp);
  }
  dtls_close(s->dtls);
  free(s->lanes);
  free(s);
}

void secure_serve(secure *s, copal_ep *ep, guard *g, copal_reviewer *reviewer)
{
  s->ep = ep;
  s->reviewer = reviewer;
  s->has_guard = g != NULL;
  if (g != NULL)
    guard_set_proof(g, &s->proof);
}

int secure_add_socket(secure *s, int socket, uint32_t place)
{
  if (socket >= s->socket_count) {
    int16_t *lanes = realloc(s->lanes, ((size_t)socket + 1) * sizeof *lanes);
    if (lanes == NULL)
      return -ENOMEM;
    s->lanes = lanes;
    while (s->socket_count <= socket)
      s->lanes[s->socket_count++] = NO_SOCKET;
  }
  s->lanes[socket] = steer_cid_byte(place);
  return 0;
}

bool secure_has_socket(const secure *s, int socket)
{
  return s != NULL && socket < s->socket_count && s->lanes[socket] != NO_SOCKET;
}

void secure_input(secure *s, int socket, const udp_slot *slot, copal_time now)
{
  if ((slot->path.flags & COPAL_PATH_GROUP) != 0)
    return; /* DTLS is between two. RFC 7252 section 9.1.2 */
  const dtls_source from = {&slot->path, (uint8_t)s->lanes[socket]};
  dtls_input(s->dtls, &from, slot->bytes, now);
}

copal_sink *secure_sink(secure *s)
{
  return dtls_sink(s->dtls);
}

copal_time secure_deadline(const secure *s)
{
  return s != NULL ? dtls_deadline(s->dtls) : COPAL_NEVER;
}

void secure_expire(secure *s, copal_time now)
{
  if (s == NULL)
    return;
  if (dtls_deadline(s->dtls) <= now)
    dtls_expire(s->dtls, now);
  if (s->has_asked || !dtls_sessions_wants_save(dtls_table(s->dtls)))
    return;
  s->wants_save.kind = SHARD_WANTS_SAVE;
  s->has_asked = shard_tell(s->parts.shard, &s->wants_save) == COPAL_OK;
}

void secure_saved(secure *s)
{
  s->has_asked = false;
}

void secure_reload(secure *s, const secure_limits *limits)
{
  if (s == NULL)
    return;
  const dtls_cfg cfg = {.idle_s = limits->idle_s,
                        .ticket_key = limits->has_tickets ? limits->ticket_key : NULL};
  dtls_reload(s->dtls, &cfg);
  if (s->reloads != limits->reloads)
    dtls_readmit(s->dtls, clock_now());
  s->reloads = limits->reloads;
}

uint32_t secure_identity(const secure *s, uint32_t session)
{
  return s != NULL && session != 0 ? dtls_identity(s->dtls, session) : 0;
}

bool secure_is_stale(const secure *s, uint32_t session)
{
  return s != NULL && dtls_is_stale(s->dtls, session);
}

ways_sessions *secure_ways(secure *s)
{
  return s != NULL ? &s->ways : NULL;
}

void secure_measure(const secure *s, metrics *m)
{
  if (s == NULL)
    return;
  m->dtls = *dtls_stats_now(s->dtls);
  m->sessions = *dtls_sessions_stats_now(dtls_table(s->dtls));
  m->dtls_usage = dtls_usage_now(s->dtls);
}

dtls *secure_dtls(secure *s)
{
  return s != NULL ? s->dtls : NULL;
}
