/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's rules about the wire: schedules, Message IDs, NSTART, acknowledgements, responses.
 * RFC 7252 sections 4.2 to 4.8, 5.2, 5.3, 8.1, 8.2. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oracle.h"
#include "oracle_observe.h"
#include "oracle_table.h"

/* ------------------------------------------------------------------------------------------------
 * trace */

static void trace(const oracle *o, const char *what, uint8_t a, uint8_t b, const peek *p,
                  size_t len, copal_time now)
{
  static const char *const types[] = {"CON", "NON", "ACK", "RST"};
  if (!o->is_verbose)
    return;
  const int id = p->nonce == NULL ? -1 : oracle_request_of(o, p->nonce);
  fprintf(stderr, "%12.6f %s %u->%u %s %u.%02u mid %04x tkl %zu len %zu", oracle_seconds(now), what,
          a, b, p->has_head ? types[p->type] : "???", p->code >> 5, p->code & 31, p->mid,
          p->token_len, len);
  for (size_t i = 0; i < p->token_len && p->is_whole && i < ORACLE_TOKEN_KEPT; i++)
    fprintf(stderr, "%s%02x", i == 0 ? " token " : "", p->token[i]);
  if (id >= 0)
    fprintf(stderr, " request %d", id);
  fputc('\n', stderr);
}

static bool has_token(const uint8_t *kept, uint16_t kept_len, const peek *p)
{
  const size_t n = kept_len < ORACLE_TOKEN_KEPT ? kept_len : ORACLE_TOKEN_KEPT;
  return kept_len == p->token_len && memcmp(kept, n == 0 ? kept : p->token, n) == 0;
}

static void keep_token(uint8_t *kept, uint16_t *kept_len, const peek *p)
{
  *kept_len = (uint16_t)p->token_len;
  if (p->token_len > 0)
    memcpy(kept, p->token, p->token_len < ORACLE_TOKEN_KEPT ? p->token_len : ORACLE_TOKEN_KEPT);
}

/* ------------------------------------------------------------------------------------------------
 * CON and NON leaving: Message IDs and the schedule */

static void check_gap(oracle *o, const oracle_track *t, copal_time gap, copal_time now)
{
  const copal_time least = o->params.ack_timeout;
  const copal_time most = least * o->params.ack_random_percent / 100;
  const copal_time slack = 4 * (copal_time)o->tick;
  const bool is_early = gap < least;
  if (is_early)
    oracle_fail(o, RULE_SCHEDULE, now, "node %u mid %04x: retransmitted after %.6f s", t->from,
                t->mid, oracle_seconds(gap));
  if (o->has_refusals || o->lag != 0)
    return;
  if (t->count == 1 && gap > most + slack && !t->is_notification)
    oracle_fail(o, RULE_SCHEDULE, now, "node %u mid %04x: first gap %.6f s", t->from, t->mid,
                oracle_seconds(gap));
  if (t->count > 1 && (gap + slack < 2 * t->gap || gap > 2 * t->gap + slack))
    oracle_fail(o, RULE_SCHEDULE, now, "node %u mid %04x: gap %.6f s after %.6f s", t->from, t->mid,
                oracle_seconds(gap), oracle_seconds(t->gap));
}

static void on_retransmission(oracle *o, oracle_track *t, copal_time now)
{
  check_gap(o, t, now - t->last, now);
  t->gap = now - t->last;
  t->last = now;
  t->count++;
  if (t->count > o->params.max_retransmit + 1u)
    oracle_fail(o, RULE_SCHEDULE, now, "node %u mid %04x: %u transmissions", t->from, t->mid,
                t->count);
  if (now - t->first > copal_max_transmit_span(&o->params) + 4 * (copal_time)o->tick)
    oracle_fail(o, RULE_SCHEDULE, now, "node %u mid %04x: beyond MAX_TRANSMIT_SPAN", t->from,
                t->mid);
  if (t->is_settled && !t->is_doubtful)
    oracle_fail(o, RULE_SCHEDULE, now, "node %u mid %04x: retransmitted after it was settled",
                t->from, t->mid);
}

/* The oldest ping of `from` to `to` that is not yet on the wire. */
static int unsent_ping(const oracle *o, uint8_t from, uint8_t to)
{
  for (uint32_t i = 0; i < o->request_count; i++) {
    const oracle_request *r = &o->requests[i];
    if (r->is_ping && r->client == from && r->to == to && r->track < 0 && r->ends == 0)
      return (int)i;
  }
  return -1;
}

static void bind_request(oracle *o, oracle_track *t, const peek *p, copal_time now)
{
  int id = -1;
  if (peek_is_empty(p) && o->has_refusals)
    return; /* which ping it is cannot be told when others were refused */
  if (peek_is_empty(p))
    id = unsent_ping(o, t->from, t->to);
  else if (peek_is_request(p) && p->nonce != NULL)
    id = oracle_request_of(o, p->nonce);
  if (id < 0) {
    oracle_fail(o, RULE_RESPONSE, now, "node %u: sent a request that nobody asked for", t->from);
    return;
  }
  oracle_request *r = &o->requests[id];
  if (r->track >= 0 && !r->is_observe)
    oracle_fail(o, RULE_MID, now, "request %d: sent again with another Message ID", id);
  if (r->ends > 0)
    oracle_fail(o, RULE_LAST_EVENT, now, "request %d: sent after its last event", id);
  r->track = (int)(t - o->tracks);
  r->first_tx = now;
  t->request = id;
  t->is_outstanding = p->type == PEEK_CON;
  if (t->is_outstanding)
    o->outstanding[t->from][t->to]++;
}

static bool has_wrapped(const oracle *o, uint8_t node)
{
  return o->stats[node] != NULL && o->stats[node]->mid_wraps != 0;
}

/* A member of a group cannot tell a message to the group from one to itself. RFC 7252 section 8.1.
 */
static void check_group_mid(oracle *o, uint8_t from, uint8_t to, uint16_t mid, copal_time now)
{
  for (uint8_t i = 0; i <= NET_GROUP; i++) {
    const oracle_track *t = oracle_track_find(o, from, i, mid);
    if (i != to && (i == NET_GROUP || to == NET_GROUP) && t != NULL &&
        now - t->first < copal_exchange_lifetime(&o->params) && !has_wrapped(o, from))
      oracle_fail(o, RULE_MID, now, "node %u: Message ID %04x both to a group and a peer", from,
                  mid);
  }
}

/* Returns true when it is the first transmission. */
static bool on_message(oracle *o, uint8_t from, uint8_t to, const peek *p, uint64_t hash,
                       uint32_t size, copal_time now)
{
  oracle_track *t = oracle_track_find(o, from, to, p->mid);
  const bool is_fresh = t != NULL && now - t->first < copal_exchange_lifetime(&o->params);
  if (is_fresh && t->hash == hash && t->size == size && p->type == PEEK_CON) {
    on_retransmission(o, t, now);
    return false;
  }
  if (is_fresh && !has_wrapped(o, from))
    oracle_fail(o, RULE_MID, now, "node %u: Message ID %04x again after %.3f s", from, p->mid,
                oracle_seconds(now - t->first));
  check_group_mid(o, from, to, p->mid, now);
  t = oracle_track_make(o, from, to, p->mid);
  t->type = p->type;
  t->code = p->code;
  keep_token(t->token, &t->token_len, p);
  t->hash = hash;
  t->size = size;
  t->first = t->last = now;
  t->count = 1;
  if (!peek_is_response(p))
    bind_request(o, t, p, now);
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * ACK and RST leaving */

static void check_same(oracle *o, oracle_seen *s, uint64_t hash, copal_time now)
{
  const bool must_match = s->has_reply && !s->is_tainted && oracle_has_dedup(o, s->to) &&
                          s->code < 32 /* requests and pings */ && !oracle_may_rerun(o, s);
  if (must_match && s->reply_hash != hash)
    oracle_fail(o, RULE_REPLY, now, "node %u: a duplicate of mid %04x got another reply", s->to,
                s->mid);
  s->has_reply = true;
  s->reply_hash = hash;
}

static void on_reply(oracle *o, uint8_t from, uint8_t to, const peek *p, uint64_t hash,
                     copal_time now)
{
  oracle_seen *s = oracle_seen_find(o, from, to, p->mid);
  if (o->quiet_node == from && o->quiet_peer == to)
    oracle_fail(o, RULE_REPLY, now, "node %u: answered an ACK or RST with one", from);
  if (s == NULL) {
    oracle_fail(o, RULE_REPLY, now, "node %u: ACK or RST for mid %04x that never came", from,
                p->mid);
    return;
  }
  if (++s->replies > s->deliveries)
    oracle_fail(o, RULE_REPLY, now, "node %u: mid %04x came %u times and got %u replies", from,
                p->mid, s->deliveries, s->replies);
  if (p->type == PEEK_ACK && s->type == PEEK_NON && !s->is_tainted)
    oracle_fail(o, RULE_REPLY, now, "node %u: acknowledged a Non-confirmable", from);
  if (p->type == PEEK_RST && !peek_is_empty(p))
    oracle_fail(o, RULE_FORMAT, now, "node %u: a Reset that is not Empty", from);
  if (p->type == PEEK_RST && s->is_group && !s->is_tainted)
    oracle_fail(o, RULE_REPLY, now, "node %u: Reset for a group request", from);
  if (p->type == PEEK_ACK && !peek_is_empty(p) && s->has_empty_ack && !s->is_tainted &&
      oracle_has_dedup(o, from))
    oracle_fail(o, RULE_REPLY, now, "node %u: piggybacked after an Empty ACK, mid %04x", from,
                p->mid);
  s->has_empty_ack |= p->type == PEEK_ACK && peek_is_empty(p);
  check_same(o, s, hash, now);
}

/* ------------------------------------------------------------------------------------------------
 * responses leaving */

/* The request that a separate response answers: the latest with its token. `count` receives how
 * many there are. */
static oracle_seen *request_with_token(oracle *o, uint8_t server, uint8_t client, const peek *p,
                                       unsigned *count)
{
  oracle_seen *found = NULL;
  *count = 0;
  for (uint32_t i = o->seen_count; i-- > 0;) {
    oracle_seen *s = &o->seen[i];
    if (s->to != server || s->from != client || s->code == 0 || s->code >= 32 ||
        !has_token(s->token, s->token_len, p))
      continue;
    if (found == NULL)
      found = s;
    ++*count;
  }
  return found;
}

static void check_group_response(oracle *o, const oracle_seen *s, const peek *p, copal_time now)
{
  if (p->code >> 5 != 2)
    oracle_fail(o, RULE_RESPONSE, now, "node %u: answered a group with an error", s->to);
  if (p->type == PEEK_ACK)
    oracle_fail(o, RULE_RESPONSE, now, "node %u: piggybacked to a group request", s->to);
}

static void on_response(oracle *o, uint8_t from, uint8_t to, const peek *p, bool is_first,
                        copal_time now)
{
  unsigned count = 1;
  oracle_seen *s = p->type == PEEK_ACK ? oracle_seen_find(o, from, to, p->mid)
                                       : request_with_token(o, from, to, p, &count);
  if (s == NULL) {
    if (!o->is_noisy) /* else its record may be of a damaged copy */
      oracle_fail(o, RULE_RESPONSE, now, "node %u: a response without a request", from);
    return;
  }
  if (s->has_observe && p->type != PEEK_ACK)
    oracle_track_find(o, from, to, p->mid)->is_notification = true;
  if (s->is_tainted || !oracle_has_dedup(o, from))
    return;
  if (!has_token(s->token, s->token_len, p))
    oracle_fail(o, RULE_RESPONSE, now, "node %u: response to mid %04x with another token", from,
                p->mid);
  if (s->is_group)
    check_group_response(o, s, p, now);
  const bool is_new = p->type == PEEK_ACK ? s->replies <= 1 : is_first;
  s->responses += is_new;
  uint32_t most = oracle_may_rerun(o, s) && s->handled > 1 ? s->handled : 1;
  if (s->handled == 0) /* the endpoint itself refuses, each copy anew */
    most = s->deliveries;
  /* A damaged copy may have been a request of its own, with the same token. */
  if (is_new && count == 1 && !o->is_noisy && !s->has_observe && s->responses > most)
    oracle_fail(o, RULE_RESPONSE, now, "node %u: %u responses to mid %04x", from, s->responses,
                s->mid);
}

/* ------------------------------------------------------------------------------------------------
 * the wire */

void oracle_on_send(oracle *o, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len,
                    copal_time now)
{
  const peek p = peek_at(bytes, len);
  const uint64_t hash = oracle_hash(bytes, len);
  o->wire_hash = (o->wire_hash ^ hash ^ now) * 0x9e3779b97f4a7c15u;
  trace(o, "send", from, to, &p, len, now);
  if (!p.is_whole || len > o->message_max) {
    oracle_fail(o, RULE_FORMAT, now, "node %u: sent %zu bytes that are not a message", from, len);
    return;
  }
  if (!peek_is_empty(&p) && !peek_is_request(&p) && !peek_is_response(&p))
    oracle_fail(o, RULE_FORMAT, now, "node %u: sent a code of a reserved class", from);
  bool is_first = true;
  if (p.type == PEEK_ACK || p.type == PEEK_RST) {
    on_reply(o, from, to, &p, hash, now);
    if (peek_is_request(&p))
      oracle_fail(o, RULE_FORMAT, now, "node %u: a request in an ACK or RST", from);
  } else {
    is_first = on_message(o, from, to, &p, hash, (uint32_t)len, now);
    if (p.type == PEEK_NON && peek_is_empty(&p))
      oracle_fail(o, RULE_FORMAT, now, "node %u: an Empty Non-confirmable", from);
    if (p.type == PEEK_CON && to == NET_GROUP)
      oracle_fail(o, RULE_FORMAT, now, "node %u: a Confirmable to a group", from);
  }
  if (peek_is_response(&p))
    on_response(o, from, to, &p, is_first, now);
  if (o->observe != NULL)
    oracle_observe_on_send(o, from, to, &p, now);
}

static void on_delivered_message(oracle *o, const net_event *e, const peek *p)
{
  const uint64_t hash = oracle_hash(e->bytes, e->len);
  const copal_time life =
      p->type == PEEK_CON ? copal_exchange_lifetime(&o->params) : copal_non_lifetime(&o->params);
  oracle_seen *s = oracle_seen_find(o, e->to, e->from, p->mid);
  if (s != NULL && e->at - s->first > copal_exchange_lifetime(&o->params) + 4 * (copal_time)o->tick)
    s = NULL;
  if (s == NULL) {
    s = oracle_seen_make(o, e->to, e->from, p->mid);
    s->type = p->type;
    s->code = p->code;
    s->first = e->at;
    s->hash = hash;
    s->is_group = e->group;
    s->has_observe = p->has_observe;
    if (p->is_whole)
      keep_token(s->token, &s->token_len, p);
    s->is_tainted = !p->is_whole && !peek_is_empty(p);
  }
  s->deliveries++;
  if (s->hash != hash || e->at - s->first >= life || s->is_group != e->group)
    s->is_tainted = true;
}

/* What a delivered ACK, RST or response does to the message it answers. A damaged one may or may
 * not be accepted. */
static void settle(oracle *o, oracle_track *t, bool is_sure)
{
  oracle_release(o, t);
  t->is_settled = true;
  t->is_doubtful |= !is_sure;
}

static void on_delivered_reply(oracle *o, const net_event *e, const peek *p)
{
  oracle_track *t = oracle_track_find(o, e->to, e->from, p->mid);
  o->quiet_node = e->to;
  o->quiet_peer = e->from;
  if (t != NULL)
    settle(o, t,
           !e->corrupted && p->is_whole &&
               (peek_is_empty(p) || (t->code != 0 && has_token(t->token, t->token_len, p))));
}

static void on_delivered_response(oracle *o, const net_event *e, const peek *p)
{
  const oracle_seen *s = oracle_seen_find(o, e->to, e->from, p->mid);
  /* After a damaged copy with its Message ID it is taken for a duplicate of that. */
  const bool is_sure = !e->corrupted && s != NULL && !s->is_tainted;
  for (uint32_t i = 0; i < o->track_count; i++) {
    oracle_track *t = &o->tracks[i];
    if (t->from == e->to && t->to == e->from && t->code != 0 && t->request >= 0 && !t->is_settled &&
        has_token(t->token, t->token_len, p))
      settle(o, t, is_sure);
  }
}

void oracle_on_deliver(oracle *o, const net_event *e)
{
  const peek p = peek_at(e->bytes, e->len);
  trace(o, e->corrupted ? "got*" : "got ", e->from, e->to, &p, e->len, e->at);
  o->is_noisy |= e->corrupted;
  o->is_ack_delivered = p.has_head && p.type == PEEK_ACK;
  o->ack_mid = p.mid;
  if (!p.has_head)
    return;
  if (o->observe != NULL)
    oracle_observe_on_deliver(o, e, &p);
  if (p.type == PEEK_ACK || p.type == PEEK_RST) {
    on_delivered_reply(o, e, &p);
    return;
  }
  on_delivered_message(o, e, &p);
  if (peek_is_response(&p) && p.is_whole)
    on_delivered_response(o, e, &p);
}

void oracle_after_call(oracle *o, uint8_t node, copal_time now)
{
  o->quiet_node = -1;
  o->is_ack_delivered = false;
  for (uint8_t i = 0; i < NET_NODES_MAX; i++)
    if (o->outstanding[node][i] > o->nstart)
      oracle_fail(o, RULE_NSTART, now, "node %u: %d interactions outstanding with node %u", node,
                  o->outstanding[node][i], i);
}
