/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies on their way in sets of blocks. RFC 9177 sections 4.4, 4.5 and 7.2. */
#include "core/proto/qblock.h"

#include <assert.h>
#include <string.h>

#include "copal/qblock.h"
#include "core/base/chain.h"
#include "core/proto/challenge.h"
#include "core/proto/exchange.h"
#include "core/proto/mid.h"
#include "core/proto/reply.h"
#include "core/proto/send.h"
#include "core/wire/option_check.h"

enum {
  ETAG_MAX = 8,   /* RFC 7252 section 5.10.6 */
  SZX_BIAS = 4,   /* RFC 7959 section 2.2 */
  HEAD_SIZE = 48, /* bytes of a datagram beside its block, for the guard's budget */
};

/* A body of which more is to be sent. */
typedef struct qblock_flow {
  copal_timer timer;
  copal_path path;
  copal_chain request;  /* as it came */
  copal_xref in_flight; /* of confirmable blocks: the one that waits for its ACK, or 0 */
  uint32_t key;         /* of method and options: what is the same for all requests of a body */
  uint32_t base;        /* block that bit 0 of `wanted` means */
  uint32_t wanted;      /* blocks to be sent of this set */
  copal_dur pause;      /* NON_TIMEOUT_RANDOM of this body */
  uint32_t total;       /* bytes of the body */
  uint32_t observe;
  uint8_t etag[ETAG_MAX];
  uint8_t etag_len;
  uint8_t szx;
  uint8_t sets_left; /* that may follow without a word from the client */
  bool is_continuous;
  bool is_confirmable;
  bool has_observe;
  bool begins_set; /* after a pause */
  bool is_taken;
} qblock_flow;

typedef struct qblock {
  copal_pool flows;
  copal_qblock_stats stats;
  copal_mspan room; /* a request, while it is put to the handler once more */
} qblock;

/* ---------------------------------------------------------------------------------------- set-up
 */

bool qblock_is_valid(const copal_ep_cfg *cfg)
{
  return !cfg->qblock || copal_qblock_check(cfg->qblock) == COPAL_OK;
}

void qblock_lay_out(copal_carver *c, copal_ep *ep, const copal_ep_cfg *cfg)
{
  copal_pool flows;
  if (!cfg->qblock)
    return;
  qblock *q = copal_carve_zeros(c, sizeof *q);
  copal_carve_pool(c, &flows, sizeof(qblock_flow), cfg->qblock->flow_count);
  uint8_t *room = copal_carve(c, cfg->message_max);
  if (!ep)
    return;
  q->flows = flows;
  q->room = (copal_mspan){room, cfg->message_max};
  ep->qblock = q;
}

uint32_t qblock_understood(const copal_ep_cfg *cfg)
{
  return cfg->qblock
             ? COPAL_CRITICAL_BIT(COPAL_OPT_Q_BLOCK1) | COPAL_CRITICAL_BIT(COPAL_OPT_Q_BLOCK2)
             : 0;
}

void copal_ep_qblock_stats(const copal_ep *ep, copal_qblock_stats *stats)
{
  *stats = ep->qblock ? ep->qblock->stats : (copal_qblock_stats){0};
}

/* ----------------------------------------------------------------------------------------- flows
 */

/* True for options that differ between the requests for one body. */
static bool is_passing(uint16_t number)
{
  return number == COPAL_OPT_Q_BLOCK2 || number == COPAL_OPT_OBSERVE || number == COPAL_OPT_ECHO ||
         number == COPAL_OPT_ETAG;
}

static uint32_t key_of(const copal_ep *ep, const copal_msg *msg)
{
  uint32_t key = copal_hash_mix(ep->seed, msg->code);
  copal_opt_iter it = copal_opt_iter_init(msg->options);
  for (copal_opt opt; copal_opt_next(&it, &opt);) {
    if (is_passing(opt.number))
      continue;
    key = copal_hash_mix(key, opt.number);
    for (size_t i = 0; i < opt.value.len; i++)
      key = copal_hash_mix(key, opt.value.ptr[i]);
  }
  return key;
}

static qblock_flow *flow_find(copal_ep *ep, const copal_path *path, uint32_t key)
{
  qblock_flow *f;
  for (uint32_t i = 0; (f = copal_pool_at(&ep->qblock->flows, i)); i++)
    if (f->is_taken && f->key == key && copal_path_is_same_peer(&f->path, path))
      return f;
  return NULL;
}

static void flow_end(copal_ep *ep, qblock_flow *f)
{
  copal_timerq_cancel(&ep->timers, &f->timer);
  copal_chain_give(&f->request, &ep->chunks);
  f->is_taken = false;
  copal_pool_give(&ep->qblock->flows, f);
}

static copal_span etag_of(const copal_response *r)
{
  for (size_t i = 0; i < r->opt_count; i++)
    if (r->opts[i].number == COPAL_OPT_ETAG && r->opts[i].value.len <= ETAG_MAX)
      return r->opts[i].value;
  return copal_span_none();
}

static uint32_t size_of(const copal_response *r)
{
  return r->total ? r->total : (uint32_t)r->payload.len;
}

static uint32_t whole_set(const copal_ep *ep)
{
  return UINT32_MAX >> (COPAL_QBLOCK_PAYLOADS_MAX - ep->cfg.qblock->max_payloads);
}

/* Keeps the request in `t` so that it can be put to the handler again. */
static int keep_request(copal_ep *ep, qblock_flow *f, const turn *t)
{
  copal_wr w = copal_wr_init(ep->qblock->room);
  copal_msg_put_head(&w, t->msg);
  copal_wr_span(&w, t->msg->options);
  if (t->msg->payload.len)
    copal_wr_u8(&w, COPAL_PAYLOAD_MARKER);
  copal_wr_span(&w, t->msg->payload);
  return w.err ? w.err : copal_chain_keep(&f->request, &ep->chunks, copal_wr_done(&w));
}

static qblock_flow *flow_make(copal_ep *ep, const turn *t, const copal_response *r, uint32_t key)
{
  const copal_span etag = etag_of(r);
  qblock_flow *f = copal_pool_take(&ep->qblock->flows);
  if (!f)
    return NULL;
  *f = (qblock_flow){.path = *t->path,
                     .key = key,
                     .base = t->rules.block2.num,
                     .wanted = t->wanted,
                     .pause = copal_qblock_pause(ep->cfg.qblock, ep_random(ep)),
                     .total = size_of(r),
                     .observe = t->rules.observe,
                     .etag_len = (uint8_t)etag.len,
                     .szx = t->rules.block2.szx,
                     .sets_left = ep->cfg.qblock->non_max_retransmit,
                     .is_continuous = t->is_continuous,
                     .is_confirmable = t->rules.is_confirmable,
                     .has_observe = t->rules.has_observe,
                     .is_taken = true};
  memcpy(f->etag, etag.ptr, etag.len);
  copal_timer_init(&f->timer);
  if (keep_request(ep, f, t) == COPAL_OK)
    return f;
  flow_end(ep, f);
  return NULL;
}

/* ---------------------------------------------------------------------------------------- blocks
 */

/* True when the handler has lent the block `num`. */
static bool has_block(const copal_response *r, uint32_t num, uint8_t szx)
{
  const uint64_t at = (uint64_t)num << (szx + SZX_BIAS);
  const uint64_t end = (uint64_t)r->offset + r->payload.len;
  const uint64_t need = at + copal_block_size(szx);
  return at >= r->offset && at < end && (need <= end || end == size_of(r));
}

/* Writes one block; the caller has reserved the room. */
static int write_block(copal_ep *ep, copal_wr *w, const turn *t, const copal_response *r,
                       const copal_msg *head, uint32_t num)
{
  reply_rules rules = t->rules;
  rules.block2.num = num;
  return w->err ? w->err : reply_write(ep, w, head, &rules, r);
}

static copal_msg head_of(copal_ep *ep, const turn *t, const copal_response *r, copal_type type,
                         copal_time now)
{
  return (copal_msg){.type = type,
                     .code = r->code,
                     .mid = mid_draw(ep, ep_path_hash(ep, t->path), now),
                     .token = t->msg->token};
}

/* Drops the blocks behind the end of the body from those wanted. */
static uint32_t within(uint32_t wanted, uint32_t base, uint8_t szx, uint32_t total)
{
  for (uint32_t i = 0; i < COPAL_QBLOCK_PAYLOADS_MAX; i++)
    if ((uint64_t)(base + i) << (szx + SZX_BIAS) >= total)
      wanted &= ~((uint32_t)1 << i);
  return wanted;
}

/* Of the blocks wanted those that `r` has. */
static uint32_t at_hand(const copal_response *r, uint32_t wanted, uint32_t base, uint8_t szx)
{
  uint32_t there = 0;
  for (uint32_t i = 0; i < COPAL_QBLOCK_PAYLOADS_MAX; i++)
    if ((wanted >> i & 1) && has_block(r, base + i, szx))
      there |= (uint32_t)1 << i;
  return there;
}

static size_t count_of(uint32_t bits)
{
  size_t n = 0;
  for (; bits; bits &= bits - 1)
    n++;
  return n;
}

/* Sends blocks non-confirmable; one lost for want of room is asked for again. */
static void send_blocks(copal_ep *ep, const turn *t, const copal_response *r, uint32_t bits,
                        copal_time now)
{
  for (uint32_t i = 0; i < COPAL_QBLOCK_PAYLOADS_MAX; i++) {
    if (!(bits >> i & 1))
      continue;
    const copal_msg head = head_of(ep, t, r, COPAL_NON, now);
    copal_wr w = send_begin(ep, t->path);
    if (write_block(ep, &w, t, r, &head, t->rules.block2.num + i))
      return;
    send_commit(ep, t->path, &w);
    ep->qblock->stats.blocks++;
  }
}

/* Sends one block confirmable: NSTART is 1. Returns false when it cannot be kept. */
static bool send_confirmable(copal_ep *ep, qblock_flow *f, const turn *t, const copal_response *r,
                             copal_time now)
{
  exchange *x = exchange_take(ep, t->path);
  if (!x)
    return false;
  const copal_msg head = head_of(ep, t, r, COPAL_CON, now);
  copal_wr w = send_begin(ep, t->path);
  if (write_block(ep, &w, t, r, &head, t->rules.block2.num) ||
      exchange_keep(ep, x, copal_wr_done(&w), now)) {
    exchange_give(ep, x);
    return false;
  }
  send_commit(ep, t->path, &w);
  exchange_set_token(x, t->msg->token);
  x->type = COPAL_CON;
  exchange_link_mid(ep, x, head.mid);
  exchange_start_con(ep, x, now);
  f->in_flight = exchange_ref(ep, x);
  ep->qblock->stats.blocks++;
  return true;
}

/* -------------------------------------------------------------------------- answering the request
 */

size_t qblock_plan(const copal_ep *ep, turn *t, const copal_response *r)
{
  const uint32_t total = size_of(r);
  const uint8_t szx = t->rules.block2.szx;
  (void)ep;
  if (!t->rules.is_qblock2 || copal_code_class(r->code) != COPAL_CLASS_SUCCESS)
    return 0;
  if (total > copal_block_size(szx) && etag_of(r).len == 0) {
    t->rules.is_qblock2 = false; /* blocks that cannot be told from another body's: Block2 */
    return 0;
  }
  t->wanted = within(t->wanted, t->rules.block2.num, szx, total);
  if (t->rules.is_confirmable)
    return 0;
  const uint32_t rest = at_hand(r, t->wanted & ~(uint32_t)1, t->rules.block2.num, szx);
  return count_of(rest) * (copal_block_size(szx) + HEAD_SIZE);
}

static bool has_more_sets(const copal_ep *ep, bool is_continuous, uint32_t base, uint8_t szx,
                          uint32_t total)
{
  const uint64_t next = (uint64_t)base + ep->cfg.qblock->max_payloads;
  return is_continuous && next << (szx + SZX_BIAS) < total;
}

/* Arms the flow for what it has to do next, or ends it. */
static void schedule(copal_ep *ep, qblock_flow *f, copal_time now)
{
  if (f->in_flight) {
    copal_timerq_arm(&ep->timers, &f->timer, now + copal_max_transmit_wait(&ep->cfg.params));
    return;
  }
  if (f->wanted) {
    copal_timerq_arm(&ep->timers, &f->timer, now);
    return;
  }
  if (!has_more_sets(ep, f->is_continuous, f->base, f->szx, f->total)) {
    flow_end(ep, f);
    return;
  }
  if (!f->is_confirmable && f->sets_left == 0) {
    ep->qblock->stats.ended++;
    flow_end(ep, f);
    return;
  }
  if (f->sets_left > 0)
    f->sets_left--;
  f->base += ep->cfg.qblock->max_payloads;
  f->wanted = within(whole_set(ep), f->base, f->szx, f->total);
  f->begins_set = true;
  copal_timerq_arm(&ep->timers, &f->timer, f->is_confirmable ? now : now + f->pause);
}

/* The client has asked anew: what was under way is over, or waits a little longer. */
static void supersede(copal_ep *ep, const turn *t, uint32_t key, copal_time now)
{
  qblock_flow *f = flow_find(ep, t->path, key);
  if (!f)
    return;
  if (t->is_continuous || f->is_confirmable) {
    flow_end(ep, f);
    return;
  }
  f->sets_left = ep->cfg.qblock->non_max_retransmit;
  copal_timerq_arm(&ep->timers, &f->timer, now + f->pause);
}

void qblock_follow(copal_ep *ep, turn *t, const copal_response *r, copal_time now)
{
  if (!t->rules.is_qblock2 || r->code != COPAL_CODE_CONTENT)
    return;
  const uint32_t base = t->rules.block2.num;
  const uint8_t szx = t->rules.block2.szx;
  const uint32_t key = key_of(ep, t->msg);
  supersede(ep, t, key, now);
  t->wanted &= ~(uint32_t)1;
  if (!t->rules.is_confirmable) {
    const uint32_t bits = at_hand(r, t->wanted, base, szx);
    send_blocks(ep, t, r, bits, now);
    t->wanted &= ~bits;
  }
  if (!copal_code_is_safe(t->msg->code) ||
      (!t->wanted && !has_more_sets(ep, t->is_continuous, base, szx, size_of(r))))
    return;
  qblock_flow *f = flow_make(ep, t, r, key);
  if (f)
    schedule(ep, f, now);
  else
    ep->qblock->stats.refused++;
}

/* ------------------------------------------------------------------------------------- later sets
 */

/* True when the answer still is the body that was begun, and may be sent. */
static bool may_send(copal_ep *ep, const qblock_flow *f, const copal_response *r, uint32_t bits,
                     copal_time now)
{
  const size_t len = count_of(bits) * (copal_block_size(f->szx) + HEAD_SIZE);
  if (r->code != COPAL_CODE_CONTENT ||
      !copal_span_is_equal(etag_of(r), copal_span_of(f->etag, f->etag_len)))
    return false;
  if (bits && !challenge_is_due(ep, &f->path, COPAL_CODE_GET, len, now))
    return true;
  ep->qblock->stats.withheld += bits != 0;
  return false;
}

int qblock_continue(copal_ep *ep, turn *t, const copal_response *r, copal_time now)
{
  qblock_flow *f = t->flow;
  t->is_answered = true;
  f->wanted = within(f->wanted, f->base, f->szx, f->total);
  const uint32_t shift = t->rules.block2.num - f->base;
  uint32_t bits = at_hand(r, f->wanted >> shift, t->rules.block2.num, f->szx);
  if (f->is_confirmable)
    bits &= 1;
  if (!may_send(ep, f, r, bits, now) ||
      (f->is_confirmable && !send_confirmable(ep, f, t, r, now))) {
    ep->qblock->stats.ended++;
    flow_end(ep, f);
    return COPAL_OK;
  }
  if (!f->is_confirmable)
    send_blocks(ep, t, r, bits, now);
  f->wanted &= ~(bits << shift);
  schedule(ep, f, now);
  return COPAL_OK;
}

static uint32_t first_wanted(const qblock_flow *f)
{
  uint32_t i = 0;
  while (i + 1 < COPAL_QBLOCK_PAYLOADS_MAX && !(f->wanted >> i & 1))
    i++;
  return f->base + i;
}

/* What the response to the request kept depends on now. */
static reply_rules rules_of(const qblock_flow *f, copal_code code)
{
  return (reply_rules){.request_code = code,
                       .has_block2 = true,
                       .is_qblock2 = true,
                       .block2 = {.num = first_wanted(f), .szx = f->szx},
                       .has_observe = f->has_observe,
                       .observe = f->observe};
}

bool qblock_on_timer(copal_ep *ep, copal_timer *timer, copal_time now)
{
  copal_msg msg;
  if (!ep->qblock || !copal_pool_has(&ep->qblock->flows, timer))
    return false;
  qblock_flow *f = COPAL_AROUND(timer, qblock_flow, timer);
  copal_wr w = copal_wr_init(ep->qblock->room);
  copal_chain_put(&f->request, &ep->chunks, &w);
  if (f->in_flight || w.err || copal_msg_parse(copal_wr_done(&w), &msg)) {
    ep->qblock->stats.ended++; /* not acknowledged */
    flow_end(ep, f);
    return true;
  }
  ep->qblock->stats.sets += f->begins_set && !f->is_confirmable;
  f->begins_set = false;
  const reply_rules rules = rules_of(f, msg.code);
  if (!qblock_ask(ep, f, &(copal_req){.msg = &msg, .path = &f->path}, &rules, now)) {
    ep->qblock->stats.ended++;
    flow_end(ep, f);
  }
  return true;
}

void qblock_on_acknowledgement(copal_ep *ep, const exchange *x, copal_time now)
{
  qblock_flow *f;
  if (!ep->qblock)
    return;
  const copal_xref ref = exchange_ref(ep, x);
  for (uint32_t i = 0; (f = copal_pool_at(&ep->qblock->flows, i)); i++) {
    if (!f->is_taken || f->in_flight != ref)
      continue;
    f->in_flight = 0;
    schedule(ep, f, now);
    return;
  }
}
