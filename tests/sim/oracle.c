/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's memory and its rules about applications: one run of a handler, one last event, the
 * right result. RFC 7252 sections 4.5, 4.8.2, 5.3. */
#include "oracle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_table.h"

static const char *const RULE_NAMES[RULE_COUNT] = {
    [RULE_NONE] = "none",
    [RULE_ONCE] = "handler-once",
    [RULE_LAST_EVENT] = "one-last-event",
    [RULE_SCHEDULE] = "retransmission-schedule",
    [RULE_NSTART] = "nstart",
    [RULE_REPLY] = "ack-and-reset",
    [RULE_RESPONSE] = "response-matching",
    [RULE_LEAK] = "pool-leak",
    [RULE_RESULT] = "result",
    [RULE_PROGRESS] = "progress",
    [RULE_MID] = "message-id-reuse",
    [RULE_FORMAT] = "format",
    [RULE_ALIVE] = "alive",
    [RULE_API] = "api",
    [RULE_OBSERVE] = "observe",
};

const char *oracle_rule_name(oracle_rule r)
{
  return RULE_NAMES[r];
}

/* ------------------------------------------------------------------------------------------------
 * tables */

uint64_t oracle_hash(const uint8_t *bytes, size_t len)
{
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < len; i++)
    h = (h ^ bytes[i]) * 0x100000001b3u;
  return h;
}

static oracle_slot *slot_of(oracle_index *x, uint64_t key)
{
  uint32_t i = (uint32_t)((key * 0x9e3779b97f4a7c15u) >> 40) & (ORACLE_INDEX_SIZE - 1);
  while (x->slots[i].generation == x->generation && x->slots[i].key != key)
    i = (i + 1) & (ORACLE_INDEX_SIZE - 1);
  return &x->slots[i];
}

static uint64_t key_of(uint8_t a, uint8_t b, uint16_t mid)
{
  return (uint64_t)a << 24 | (uint64_t)b << 16 | mid;
}

static void index_put(oracle_index *x, uint64_t key, uint32_t value)
{
  oracle_slot *s = slot_of(x, key);
  s->key = key;
  s->generation = x->generation;
  s->value = value;
}

oracle_track *oracle_track_find(oracle *o, uint8_t a, uint8_t b, uint16_t mid)
{
  const oracle_slot *s = slot_of(&o->track_index, key_of(a, b, mid));
  return s->generation == o->track_index.generation ? &o->tracks[s->value] : NULL;
}

oracle_track *oracle_track_make(oracle *o, uint8_t a, uint8_t b, uint16_t mid)
{
  if (o->track_count == ORACLE_TRACKS_MAX)
    abort();
  index_put(&o->track_index, key_of(a, b, mid), o->track_count);
  oracle_track *t = &o->tracks[o->track_count++];
  memset(t, 0, sizeof(*t));
  t->from = a;
  t->to = b;
  t->mid = mid;
  t->request = -1;
  return t;
}

oracle_seen *oracle_seen_find(oracle *o, uint8_t to, uint8_t from, uint16_t mid)
{
  const oracle_slot *s = slot_of(&o->seen_index, key_of(to, from, mid));
  return s->generation == o->seen_index.generation ? &o->seen[s->value] : NULL;
}

oracle_seen *oracle_seen_make(oracle *o, uint8_t to, uint8_t from, uint16_t mid)
{
  if (o->seen_count == ORACLE_SEEN_MAX)
    abort();
  index_put(&o->seen_index, key_of(to, from, mid), o->seen_count);
  oracle_seen *s = &o->seen[o->seen_count++];
  memset(s, 0, sizeof(*s));
  s->to = to;
  s->from = from;
  s->mid = mid;
  return s;
}

void oracle_release(oracle *o, oracle_track *t)
{
  if (t->is_outstanding)
    o->outstanding[t->from][t->to]--;
  t->is_outstanding = false;
}

bool oracle_has_dedup(const oracle *o, uint8_t node)
{
  const copal_stats *s = o->stats[node];
  return s == NULL || (s->dedup_evicted == 0 && s->dedup_refused == 0 && s->chunks_refused == 0);
}

void oracle_reset(oracle *o, const copal_params *params, copal_dur tick, size_t message_max)
{
  o->params = *params;
  o->nstart = params->nstart;
  o->tick = tick;
  o->message_max = message_max;
  o->is_noisy = false;
  o->is_ample = false;
  o->is_cut_short = false;
  o->is_ack_delivered = false;
  o->lag = 0;
  o->has_refusals = false;
  memset(o->stats, 0, sizeof(o->stats));
  o->observe = NULL;
  o->track_count = 0;
  o->seen_count = 0;
  o->request_count = 0;
  o->track_index.generation++;
  o->seen_index.generation++;
  memset(o->outstanding, 0, sizeof(o->outstanding));
  o->wire_hash = 0;
  o->quiet_node = -1;
  o->broken = RULE_NONE;
  o->text[0] = 0;
}

void oracle_fail(oracle *o, oracle_rule rule, copal_time now, const char *format, ...)
{
  va_list args;
  if (o->broken != RULE_NONE)
    return;
  o->broken = rule;
  o->broken_at = now;
  va_start(args, format);
  vsnprintf(o->text, sizeof(o->text), format, args);
  va_end(args);
  if (o->is_verbose)
    fprintf(stderr, "%12.6f !! %s: %s\n", oracle_seconds(now), oracle_rule_name(rule), o->text);
}

/* ------------------------------------------------------------------------------------------------
 * nonces */

static uint32_t nonce_check(uint32_t id)
{
  return (id + 1) * 0x9e3779b1u ^ 0x5bd1e995u;
}

void oracle_nonce(uint32_t id, uint8_t out[PEEK_NONCE_SIZE])
{
  const uint32_t check = nonce_check(id);
  for (unsigned i = 0; i < 4; i++) {
    out[i] = (uint8_t)(id >> (8 * i));
    out[4 + i] = (uint8_t)(check >> (8 * i));
  }
}

int oracle_request_of(const oracle *o, const uint8_t nonce[PEEK_NONCE_SIZE])
{
  uint8_t expected[PEEK_NONCE_SIZE];
  const uint32_t id = (uint32_t)nonce[0] | (uint32_t)nonce[1] << 8 | (uint32_t)nonce[2] << 16 |
                      (uint32_t)nonce[3] << 24;
  if (id >= o->request_count)
    return -1;
  oracle_nonce(id, expected);
  return memcmp(expected, nonce, sizeof(expected)) == 0 ? (int)id : -1;
}

/* ------------------------------------------------------------------------------------------------
 * server applications */

void oracle_on_handler(oracle *o, uint8_t server, const copal_req *req, uint8_t client, int id,
                       copal_time now)
{
  const copal_msg *m = req->msg;
  oracle_seen *s = oracle_seen_find(o, server, client, m->mid);
  if (s == NULL) {
    oracle_fail(o, RULE_ONCE, now, "node %u: handler ran for a message that never came", server);
    return;
  }
  if (++s->handled > 1 && !s->is_tainted && !oracle_may_rerun(o, s) && oracle_has_dedup(o, server))
    oracle_fail(o, RULE_ONCE, now, "node %u: handler ran %u times for %u.%02u mid %04x of node %u",
                server, s->handled, m->code >> 5, m->code & 31, m->mid, client);
  if (id >= 0)
    o->requests[id].handled++;
}

void oracle_on_made(oracle *o, int id, copal_code code)
{
  if (id >= 0)
    o->requests[id].made[code >> 5] |= (uint32_t)1 << (code & 31);
}

/* ------------------------------------------------------------------------------------------------
 * client applications */

void oracle_on_start(oracle *o, uint32_t id, const oracle_request *r)
{
  if (id != o->request_count || id == ORACLE_REQUESTS_MAX)
    abort();
  o->requests[id] = *r;
  o->requests[id].first_tx = COPAL_NEVER;
  o->requests[id].track = -1;
  o->request_count++;
}

/* Codes that the endpoint itself answers with, without asking the application. */
static bool is_own_error(copal_code code)
{
  return code == COPAL_CODE_BAD_REQUEST || code == COPAL_CODE_BAD_OPTION ||
         code == COPAL_CODE_NOT_FOUND || code == COPAL_CODE_REQUEST_ENTITY_TOO_LARGE ||
         code == COPAL_CODE_INTERNAL_SERVER_ERROR || code == COPAL_CODE_SERVICE_UNAVAILABLE ||
         code == COPAL_CODE_PROXYING_NOT_SUPPORTED;
}

static bool is_suppressed(uint16_t no_response, copal_code code)
{
  return (no_response >> (copal_code_class(code) - 1) & 1) != 0;
}

/* A response comes from the peer that was asked, and a piggybacked one in the ACK of that very
 * message. RFC 7252 section 5.3.2. */
static void check_match(oracle *o, uint32_t id, const copal_event *e, copal_time now)
{
  const oracle_request *r = &o->requests[id];
  if (e->from == NULL || r->track < 0) {
    oracle_fail(o, RULE_RESULT, now, "request %u: a response from nowhere", id);
    return;
  }
  const oracle_track *t = &o->tracks[r->track];
  if (r->to != NET_GROUP && e->from->remote.ip[15] != r->to + 1)
    oracle_fail(o, RULE_RESULT, now, "request %u: answered by another peer", id);
  if (o->is_ack_delivered && o->ack_mid != t->mid)
    oracle_fail(o, RULE_RESULT, now, "request %u: answered in the ACK of another message", id);
  if (e->msg->token.len != t->token_len ||
      memcmp(e->msg->token.ptr, t->token,
             t->token_len < ORACLE_TOKEN_KEPT ? t->token_len : ORACLE_TOKEN_KEPT) != 0)
    oracle_fail(o, RULE_RESULT, now, "request %u: answered with another token", id);
}

static void check_response(oracle *o, uint32_t id, const copal_msg *m, copal_time now)
{
  const oracle_request *r = &o->requests[id];
  const bool was_made = (r->made[m->code >> 5] >> (m->code & 31) & 1) != 0;
  uint8_t nonce[PEEK_NONCE_SIZE];
  if (o->is_noisy)
    return;
  if (r->no_response != 0 && is_suppressed(r->no_response, m->code))
    oracle_fail(o, RULE_RESULT, now, "request %u: response held back by No-Response came", id);
  if (!was_made && is_own_error(m->code))
    return;
  oracle_nonce(id, nonce);
  if (!was_made)
    oracle_fail(o, RULE_RESULT, now, "request %u: got %u.%02u that nobody made", id, m->code >> 5,
                m->code & 31);
  if (r->handled == 0)
    oracle_fail(o, RULE_ONCE, now, "request %u: answered, but no handler ran", id);
  if (!is_own_error(m->code) &&
      (m->payload.len < sizeof(nonce) || memcmp(m->payload.ptr, nonce, sizeof(nonce)) != 0))
    oracle_fail(o, RULE_RESULT, now, "request %u: the result is of another request", id);
  if (m->code >> 5 == 2 && r->handled > 1 && r->code != COPAL_CODE_GET &&
      r->code != COPAL_CODE_FETCH && r->to != NET_GROUP && oracle_has_dedup(o, r->to))
    oracle_fail(o, RULE_ONCE, now, "request %u: succeeded, handler ran %u times", id, r->handled);
}

/* The instant by which a last event is due: the schedule of a confirmable message and the wait for
 * a separate response, or what the request said. */
static copal_time latest_end(const oracle *o, const oracle_request *r)
{
  const copal_time slack = 3 * (copal_time)o->tick + 2 * (copal_time)o->lag;
  if (r->timeout != 0)
    return r->first_tx + r->timeout + slack;
  return r->first_tx + copal_max_transmit_wait(&o->params) + copal_exchange_lifetime(&o->params) +
         slack;
}

static void check_timeout(oracle *o, uint32_t id, copal_time now)
{
  const oracle_request *r = &o->requests[id];
  if (o->has_refusals || r->track < 0) {
    if (!o->has_refusals)
      oracle_fail(o, RULE_LAST_EVENT, now, "request %u: timeout before it was sent", id);
    return;
  }
  const oracle_track *t = &o->tracks[r->track];
  const bool was_given_up = r->timeout == 0 && r->type == COPAL_CON && !t->is_settled;
  /* Without jitter a timer that is a tick late leaves MAX_TRANSMIT_SPAN; the last one is missed. */
  const bool may_miss = (uint64_t)o->params.ack_timeout * (o->params.ack_random_percent - 100u) <
                            400 * (uint64_t)o->tick ||
                        o->lag != 0;
  if (was_given_up && !t->is_doubtful && o->lag == 0 &&
      t->count + may_miss < o->params.max_retransmit + 1u)
    oracle_fail(o, RULE_LAST_EVENT, now, "request %u: timeout after %u transmissions", id,
                t->count);
  if (r->timeout != 0 && !may_miss && now + o->tick < r->first_tx + r->timeout &&
      now + o->tick < r->first_tx + copal_max_transmit_wait(&o->params) / 2)
    oracle_fail(o, RULE_LAST_EVENT, now, "request %u: timeout %.3f s after its start", id,
                oracle_seconds(now - r->first_tx));
}

static void on_end(oracle *o, uint32_t id, const copal_event *e, copal_time now)
{
  oracle_request *r = &o->requests[id];
  r->ends++;
  r->end = e->kind;
  r->ended = now;
  if (r->ends > 1)
    oracle_fail(o, RULE_LAST_EVENT, now, "request %u: %u last events", id, r->ends);
  if (r->first_tx != COPAL_NEVER && !r->is_observe && now > latest_end(o, r))
    oracle_fail(o, RULE_LAST_EVENT, now, "request %u: ended %.3f s after its first transmission",
                id, oracle_seconds(now - r->first_tx));
  if (e->kind == COPAL_EVENT_TIMEOUT && !r->is_observe)
    check_timeout(o, id, now);
  if (r->track < 0)
    return;
  oracle_release(o, &o->tracks[r->track]);
  o->tracks[r->track].is_settled = true;
}

void oracle_on_event(oracle *o, uint32_t id, const copal_event *e, copal_time now)
{
  oracle_request *r = &o->requests[id];
  if (r->ends > 0)
    oracle_fail(o, RULE_LAST_EVENT, now, "request %u: event %d after the last one", id,
                (int)e->kind);
  switch (e->kind) {
  case COPAL_EVENT_RESPONSE:
    r->responses++;
    check_match(o, id, e, now);
    check_response(o, id, e->msg, now);
    if (!r->is_many && !e->is_notification)
      on_end(o, id, e, now);
    return;
  case COPAL_EVENT_ACK:
  case COPAL_EVENT_RESEND:
  case COPAL_EVENT_STALE: return;
  case COPAL_EVENT_TIMEOUT:
  case COPAL_EVENT_RESET:
  case COPAL_EVENT_UNREACHABLE:
  case COPAL_EVENT_CANCELED: on_end(o, id, e, now); return;
  }
}

/* Each confirmable message is acknowledged or rejected. RFC 7252 section 4.2. */
static void check_replies(oracle *o, copal_time now)
{
  if (o->is_cut_short || o->has_refusals)
    return;
  for (uint32_t i = 0; i < o->seen_count; i++) {
    const oracle_seen *s = &o->seen[i];
    if (s->type != PEEK_CON || s->is_tainted || s->is_group || !oracle_has_dedup(o, s->to))
      continue;
    /* The first duplicate of a late request may bring its ACK forward. */
    if (s->replies == 0 || (o->is_ample && s->replies + 1 < s->deliveries))
      oracle_fail(o, RULE_REPLY, now, "node %u: mid %04x came %u times and got %u replies", s->to,
                  s->mid, s->deliveries, s->replies);
  }
}

void oracle_finish(oracle *o, copal_time now)
{
  check_replies(o, now);
  for (uint32_t i = 0; i < o->request_count; i++)
    if (o->requests[i].ends != 1)
      oracle_fail(o, RULE_LAST_EVENT, now, "request %u: %u last events at the end", i,
                  o->requests[i].ends);
}
