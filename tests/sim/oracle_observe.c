/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's rules about notifications. RFC 7641 sections 4.2, 4.4 and 4.5. */
#include "oracle_observe.h"

#include <stdlib.h>
#include <string.h>

#include "oracle_table.h"

enum { STATE_SIZE = 4, SEQUENCE_MASK = 0xffffff, SEQUENCE_HALF = 1 << 23 };

static observe_stream *stream_of(oracle_observe *x, uint8_t client, const peek *p)
{
  for (uint32_t i = 0; i < x->stream_count; i++) {
    observe_stream *s = &x->streams[i];
    if (s->client == client && s->token_len == p->token_len &&
        memcmp(s->token, p->token, p->token_len) == 0)
      return s;
  }
  return NULL;
}

static uint32_t index_of(const oracle_observe *x, const observe_stream *s)
{
  return (uint32_t)(s - x->streams);
}

static bool is_newer(uint32_t sooner, uint32_t later)
{
  const uint32_t ahead = (later - sooner) & SEQUENCE_MASK;
  return ahead != 0 && ahead < SEQUENCE_HALF;
}

/* ------------------------------------------------------------------------------------------------
 * registrations */

static void on_registered(oracle *o, uint8_t client, const peek *p, copal_time now)
{
  oracle_observe *x = o->observe;
  observe_stream *s = stream_of(x, client, p);
  if (p->token_len > ORACLE_TOKEN_KEPT || p->payload_len < PEEK_NONCE_SIZE)
    abort();
  if (s == NULL) {
    if (x->stream_count == OBSERVE_STREAMS_MAX)
      abort();
    s = &x->streams[x->stream_count++];
    memset(s, 0, sizeof(*s));
    s->client = client;
    s->token_len = (uint16_t)p->token_len;
    memcpy(s->token, p->token, p->token_len);
  } else if (!is_newer(s->sequence, p->observe)) {
    oracle_fail(o, RULE_OBSERVE, now, "registered with sequence %u after %u", p->observe,
                s->sequence);
  }
  memcpy(s->nonce, p->payload, PEEK_NONCE_SIZE);
  s->sequence = p->observe;
  s->has_ended = false;
}

/* An answer that grants no observation, or ends one. */
static void on_refused(oracle *o, uint8_t client, const peek *p)
{
  oracle_observe *x = o->observe;
  observe_stream *s = stream_of(x, client, p);
  observe_lane *l = &x->lanes[client];
  const oracle_seen *request = oracle_seen_find(o, x->server, client, p->mid);
  if (s == NULL || request == NULL || request->replies > 1) /* a duplicate ends nothing */
    return;
  if (!s->has_ended && l->is_outstanding && l->stream == index_of(x, s))
    l->is_outstanding = false;
  s->has_ended = true;
}

/* ------------------------------------------------------------------------------------------------
 * notifications */

static uint32_t state_in(const peek *p)
{
  uint32_t v = 0;
  for (unsigned i = 0; i < STATE_SIZE && PEEK_NONCE_SIZE + i < p->payload_len; i++)
    v = v << 8 | p->payload[PEEK_NONCE_SIZE + i];
  return v;
}

/* Each transmission, a repeated one as well, has what is true now. Sections 4.2, 4.4, 4.5.2. */
static void check_content(oracle *o, observe_stream *s, const peek *p, bool is_repeated,
                          copal_time now)
{
  uint32_t state = 0;
  const bool is_there = o->observe->truth(s->nonce, &state);
  if (p->code >> 5 != 2) {
    if (p->has_observe)
      oracle_fail(o, RULE_OBSERVE, now, "an error with Observe");
    if (is_there && !s->has_ended)
      oracle_fail(o, RULE_OBSERVE, now, "an error while the resource is there");
    s->has_ended = true;
    return;
  }
  if (s->has_ended || !is_there)
    oracle_fail(o, RULE_OBSERVE, now, "a notification after the last one");
  if (state_in(p) != state)
    oracle_fail(o, RULE_OBSERVE, now, "node %u is sent state %u when it is %u", s->client,
                state_in(p), state);
  if (!p->has_observe)
    oracle_fail(o, RULE_OBSERVE, now, "a notification without Observe");
  else if (is_repeated ? p->observe != s->sequence : !is_newer(s->sequence, p->observe))
    oracle_fail(o, RULE_OBSERVE, now, "sequence %u after %u", p->observe, s->sequence);
  s->sequence = p->observe;
}

/* True when the last transmission has had its time, so that the notification is given up. */
static bool is_given_up(const oracle *o, const observe_lane *l, copal_time now)
{
  return l->count > o->params.max_retransmit &&
         now + 4 * (copal_time)o->tick >= l->last + 2 * l->gap;
}

/* The same message again, or one that takes its place, leaves on the schedule of the first.
 * Sections 4.5.1 and 4.5.2, RFC 7252 section 4.2. */
static void check_next(oracle *o, observe_lane *l, uint32_t stream, const peek *p, copal_time now)
{
  const copal_time slack = 4 * (copal_time)o->tick;
  const copal_time least = o->params.ack_timeout;
  const copal_time most = least * o->params.ack_random_percent / 100;
  const copal_time gap = now - l->last;
  if (stream != l->stream || p->type != PEEK_CON)
    oracle_fail(o, RULE_OBSERVE, now, "a second notification is outstanding");
  if (l->count == 1 && (gap < least || gap > most + slack))
    oracle_fail(o, RULE_OBSERVE, now, "first gap of a notification %.6f s", oracle_seconds(gap));
  if (l->count > 1 && (gap + slack < 2 * l->gap || gap > 2 * l->gap + slack))
    oracle_fail(o, RULE_OBSERVE, now, "gap of a notification %.6f s after %.6f s",
                oracle_seconds(gap), oracle_seconds(l->gap));
  if (l->count > o->params.max_retransmit)
    oracle_fail(o, RULE_OBSERVE, now, "%u transmissions of a notification", l->count + 1);
  l->gap = gap;
}

static void on_notification(oracle *o, uint8_t client, const peek *p, copal_time now)
{
  oracle_observe *x = o->observe;
  observe_lane *l = &x->lanes[client];
  observe_stream *s = stream_of(x, client, p);
  if (s == NULL)
    return; /* a separate response */
  if (l->is_outstanding && is_given_up(o, l, now)) {
    l->is_outstanding = false;
    x->tally.given_up++;
  }
  const bool is_repeated = l->is_outstanding && p->type == PEEK_CON && p->mid == l->mid;
  check_content(o, s, p, is_repeated, now);
  if (l->is_outstanding) {
    check_next(o, l, index_of(x, s), p, now);
    l->count++;
    ++*(is_repeated ? &x->tally.repeated : &x->tally.superseded);
  } else {
    *l = (observe_lane){.is_outstanding = p->type == PEEK_CON,
                        .stream = index_of(x, s),
                        .gap = o->params.ack_timeout,
                        .count = 1};
    ++*(p->type == PEEK_CON ? &x->tally.cons : &x->tally.nons);
  }
  x->tally.errors += p->code >> 5 != 2;
  l->mid = p->mid;
  l->last = now;
}

/* ------------------------------------------------------------------------------------------------
 * the wire */

void oracle_observe_on_send(oracle *o, uint8_t from, uint8_t to, const peek *p, copal_time now)
{
  if (from != o->observe->server || !peek_is_response(p))
    return;
  if (p->type != PEEK_ACK)
    on_notification(o, to, p, now);
  else if (p->has_observe && p->code >> 5 == 2)
    on_registered(o, to, p, now);
  else
    on_refused(o, to, p);
}

/* What a request makes of an observation shows in its answer. */
void oracle_observe_on_deliver(oracle *o, const net_event *e, const peek *p)
{
  oracle_observe *x = o->observe;
  observe_lane *l = &x->lanes[e->from];
  if (e->to != x->server || !p->is_whole)
    return;
  if (peek_is_empty(p) && p->type >= PEEK_ACK && l->is_outstanding && l->mid == p->mid)
    l->is_outstanding = false;
}
