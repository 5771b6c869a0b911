/* SPDX-License-Identifier: Apache-2.0 */
/* Faults planted between the endpoints and the oracle, to show that each rule can fail. */
#include <string.h>

#include "oracle_table.h"
#include "world.h"

typedef struct fault_row {
  const char *name;
  oracle_rule rule;
} fault_row;

static const fault_row ROWS[FAULT_COUNT] = {
    [FAULT_NONE] = {"none", RULE_NONE},
    [FAULT_RERUN_DUPLICATE] = {"handler runs for duplicates", RULE_ONCE},
    [FAULT_SKIP_HANDLER] = {"success without a handler", RULE_ONCE},
    [FAULT_LOSE_LAST_EVENT] = {"last event lost", RULE_LAST_EVENT},
    [FAULT_DOUBLE_LAST_EVENT] = {"last event twice", RULE_LAST_EVENT},
    [FAULT_LATE_LAST_EVENT] = {"last event late", RULE_LAST_EVENT},
    [FAULT_EARLY_RESEND] = {"retransmission early", RULE_SCHEDULE},
    [FAULT_EXTRA_RESEND] = {"retransmission after the acknowledgement", RULE_SCHEDULE},
    [FAULT_SLOW_RESEND] = {"retransmission late", RULE_SCHEDULE},
    [FAULT_NSTART] = {"too many outstanding", RULE_NSTART},
    [FAULT_ACK_TO_ACK] = {"acknowledgement acknowledged", RULE_REPLY},
    [FAULT_STRAY_ACK] = {"acknowledgement of nothing", RULE_REPLY},
    [FAULT_SECOND_REPLY] = {"two acknowledgements for one message", RULE_REPLY},
    [FAULT_OTHER_REPLY] = {"other reply to a duplicate", RULE_REPLY},
    [FAULT_PIGGYBACK_LATE] = {"piggybacked after an Empty ACK", RULE_REPLY},
    [FAULT_OTHER_TOKEN] = {"response with another token", RULE_RESPONSE},
    [FAULT_RESPONSE_TWICE] = {"two separate responses", RULE_RESPONSE},
    [FAULT_OTHER_RESULT] = {"result of another request", RULE_RESULT},
    [FAULT_MID_REUSE] = {"Message ID reused", RULE_MID},
    [FAULT_LEAK] = {"a chunk leaks", RULE_LEAK},
    [FAULT_STUCK_DEADLINE] = {"deadline does not advance", RULE_PROGRESS},
    [FAULT_MALFORMED] = {"payload marker without payload", RULE_FORMAT},
    [FAULT_DEAF] = {"endpoint does not answer any more", RULE_ALIVE},
    [FAULT_GROUP_ERROR] = {"error to a group request", RULE_RESPONSE},
};

const char *fault_name(world_fault f)
{
  return ROWS[f].name;
}

oracle_rule fault_rule(world_fault f)
{
  return ROWS[f].rule;
}

void fault_on_open(world *w)
{
  if (w->cfg.fault == FAULT_SLOW_RESEND)
    w->oracle.params.ack_timeout /= 2;
  if (w->cfg.fault == FAULT_NSTART)
    w->oracle.nstart = 1;
}

static void change_token(uint8_t *bytes, const peek *p)
{
  if (peek_is_response(p) && p->token_len > 0)
    bytes[4] ^= 0x80;
}

/* The second reply to a message differs from the first in its last byte. */
static void change_reply(world *w, uint8_t from, uint8_t to, uint8_t *bytes, size_t len,
                         const peek *p)
{
  const oracle_seen *s = oracle_seen_find(&w->oracle, from, to, p->mid);
  if (p->type == PEEK_ACK && p->payload_len > 0 && s != NULL && s->replies > 0)
    bytes[len - 1] ^= 1;
}

/* As if the message had come twice and an Empty ACK had been sent for the first copy. */
static void empty_first(world *w, uint8_t from, uint8_t to, const peek *p)
{
  oracle_seen *s = oracle_seen_find(&w->oracle, from, to, p->mid);
  if (p->type == PEEK_ACK && !peek_is_empty(p) && s != NULL) {
    const uint8_t ack[4] = {0x60, 0, (uint8_t)(p->mid >> 8), (uint8_t)p->mid};
    s->deliveries++;
    oracle_on_send(&w->oracle, from, to, ack, sizeof(ack), w->now);
  }
}

static void make_group_error(world *w, uint8_t from, uint8_t to, uint8_t *bytes, const peek *p)
{
  for (uint32_t i = 0; i < w->oracle.seen_count; i++) {
    const oracle_seen *s = &w->oracle.seen[i];
    if (s->is_group && s->to == from && s->from == to && peek_is_response(p) &&
        s->token_len == p->token_len && memcmp(s->token, p->token, p->token_len) == 0)
      bytes[1] = COPAL_CODE_NOT_FOUND;
  }
}

void fault_on_send(world *w, uint8_t from, uint8_t to, uint8_t *bytes, size_t *len)
{
  const peek p = peek_at(bytes, *len);
  switch (w->cfg.fault) {
  case FAULT_OTHER_TOKEN: change_token(bytes, &p); return;
  case FAULT_OTHER_REPLY: change_reply(w, from, to, bytes, *len, &p); return;
  case FAULT_PIGGYBACK_LATE: empty_first(w, from, to, &p); return;
  case FAULT_GROUP_ERROR: make_group_error(w, from, to, bytes, &p); return;
  case FAULT_MALFORMED:
    if (peek_is_request(&p) && p.payload_len == 0)
      bytes[(*len)++] = 0xff;
    return;
  default: return;
  }
}

static void keep(world *w, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len)
{
  w->kept.at = w->now;
  w->kept.from = from;
  w->kept.to = to;
  w->kept.len = (uint16_t)len;
  memcpy(w->kept.bytes, bytes, len);
}

/* Shows the oracle the datagram once more, with another Message ID or another last byte. */
static void show_altered(world *w, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len,
                         size_t at)
{
  uint8_t copy[NET_MTU];
  memcpy(copy, bytes, len);
  copy[at] ^= 0x55;
  oracle_on_send(&w->oracle, from, to, copy, len, w->now);
}

void fault_after_send(world *w, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len)
{
  const peek p = peek_at(bytes, len);
  const bool is_con = p.type == PEEK_CON && !peek_is_empty(&p);
  switch (w->cfg.fault) {
  case FAULT_EARLY_RESEND:
    if (is_con)
      oracle_on_send(&w->oracle, from, to, bytes, len, w->now + w->oracle.params.ack_timeout / 2);
    return;
  case FAULT_EXTRA_RESEND:
    if (is_con)
      keep(w, from, to, bytes, len);
    return;
  case FAULT_STRAY_ACK:
    if (p.type == PEEK_ACK)
      show_altered(w, from, to, bytes, len, 2);
    return;
  case FAULT_SECOND_REPLY:
    if (p.type == PEEK_ACK)
      oracle_on_send(&w->oracle, from, to, bytes, len, w->now);
    return;
  case FAULT_RESPONSE_TWICE:
    if (is_con && peek_is_response(&p))
      show_altered(w, from, to, bytes, len, 2);
    return;
  case FAULT_MID_REUSE:
    if (is_con && p.payload_len > 0)
      show_altered(w, from, to, bytes, len, len - 1);
    return;
  default: return;
  }
}

static void rerun(world *w, const net_event *e, const peek *p)
{
  const oracle_seen *s = oracle_seen_find(&w->oracle, e->to, e->from, p->mid);
  const copal_msg m = {.code = p->code, .mid = p->mid};
  const copal_req req = {.msg = &m};
  if (peek_is_request(p) && s != NULL && s->handled > 0)
    oracle_on_handler(&w->oracle, e->to, &req, e->from, -1, w->now);
}

static bool resend_settled(world *w, const net_event *e, const peek *p)
{
  const peek kept = peek_at(w->kept.bytes, w->kept.len);
  if (p->type != PEEK_ACK || e->to != w->kept.from || e->from != w->kept.to || kept.mid != p->mid)
    return true;
  oracle_on_deliver(&w->oracle, e);
  oracle_after_call(&w->oracle, e->to, w->now);
  oracle_on_send(&w->oracle, w->kept.from, w->kept.to, w->kept.bytes, w->kept.len,
                 w->kept.at + w->oracle.params.ack_timeout * 5 / 4);
  return false;
}

static bool answer_ack(world *w, const net_event *e, const peek *p)
{
  if (p->type != PEEK_ACK)
    return true;
  const uint8_t ack[4] = {0x60, 0, (uint8_t)(p->mid >> 8), (uint8_t)p->mid};
  oracle_on_deliver(&w->oracle, e);
  oracle_on_send(&w->oracle, e->to, e->from, ack, sizeof(ack), w->now);
  return false;
}

bool fault_on_deliver(world *w, const net_event *e)
{
  const peek p = peek_at(e->bytes, e->len);
  switch (w->cfg.fault) {
  case FAULT_RERUN_DUPLICATE: rerun(w, e, &p); return true;
  case FAULT_EXTRA_RESEND: return resend_settled(w, e, &p);
  case FAULT_ACK_TO_ACK: return answer_ack(w, e, &p);
  case FAULT_DEAF: return !w->is_closing;
  default: return true;
  }
}
