/* SPDX-License-Identifier: Apache-2.0 */
/* The server role of an endpoint. */
#include "core/proto/serve.h"

#include <assert.h>

#include "core/proto/challenge.h"
#include "core/proto/dedup.h"
#include "core/proto/exchange.h"
#include "core/proto/mid.h"
#include "core/proto/observe.h"
#include "core/proto/qblock.h"
#include "core/proto/recall.h"
#include "core/proto/refusal.h"
#include "core/proto/reply.h"
#include "core/proto/send.h"
#include "core/wire/option_check.h"

enum { TYPE_SHIFT = 4 }; /* in the first byte of a message, RFC 7252 section 3 */

/* ---------------------------------------------------------------------------- before the handler
 */

/* Repeats what the request got when it came first. RFC 7252 sections 4.5 and 5.2.2. */
static void on_duplicate(copal_ep *ep, const copal_path *path, const copal_msg *msg, dedup *d,
                         copal_time now)
{
  if (msg->type != COPAL_CON || d->state == DEDUP_SILENT) {
    ep->stats.dup_ignored++;
    return;
  }
  if (d->state == DEDUP_REPLIED) {
    ep->stats.dup_replayed++;
    send_kept(ep, path, &d->reply);
    return;
  }
  /* The client asks again, so the handler is late enough for an Empty ACK. */
  ep->stats.dup_reacked++;
  if (d->exchange && d->exchange->state == EXCHANGE_DEFERRED)
    serve_on_timer(ep, d->exchange, now);
  else
    send_empty(ep, path, COPAL_ACK, msg->mid);
}

/* What the endpoint itself demands of a request. RFC 7252 sections 5.4.1 and 5.10.2, RFC 8974
 * section 2.2.2, RFC 7959 section 2.2. */
static int check(const copal_ep *ep, turn *t)
{
  if (t->msg->token.len > ep->cfg.token_cap)
    return COPAL_ETOKEN;
  const int err = copal_opt_check(t->msg->options, ep->critical_requests, &t->sight);
  const uint16_t offender = t->sight.offender;
  if (err && (offender == COPAL_OPT_PROXY_URI || offender == COPAL_OPT_PROXY_SCHEME))
    return COPAL_EPROXY;
  return err;
}

static int read_block1(const turn *t, copal_req *req)
{
  copal_span value;
  if (!turn_find(t, COPAL_OPT_BLOCK1, &value))
    return COPAL_OK;
  req->has_block1 = true;
  return copal_block_parse(value, &req->block1);
}

/* Remembers the request where running it twice would matter, or where a duplicate must get no
 * second answer. A safe confirmable request needs no entry: it may simply run again, RFC 7252
 * section 4.5; a block of a body, even of a FETCH, may not, nor may what ends an observation: there
 * may be another by then. */
static int remember(copal_ep *ep, turn *t, bool is_block, copal_time now)
{
  const bool is_con = t->msg->type == COPAL_CON;
  const bool is_safe = copal_code_is_safe(t->msg->code) && !is_block;

  if (t->dedup) { /* is remembered, and runs again */
    t->dedup->state = DEDUP_OPEN;
    return COPAL_OK;
  }
  if (is_con && is_safe && !t->is_leaving)
    return COPAL_OK;
  t->dedup = dedup_remember(ep, t->path, t->msg->mid,
                            is_con ? ep->exchange_lifetime : ep->non_lifetime, now);
  return t->dedup || is_safe ? COPAL_OK : COPAL_ENOSLOT;
}

/* ------------------------------------------------------------------------------------- responses
 */

copal_msg serve_head(copal_ep *ep, const turn *t, copal_code code, copal_time now)
{
  const bool is_piggyback = t->rules.is_confirmable;
  return (copal_msg){
      .type = is_piggyback ? COPAL_ACK : COPAL_NON,
      .code = code,
      .mid = is_piggyback ? t->msg->mid : mid_draw(ep, ep_path_hash(ep, t->path), now),
      .token = t->msg->token,
  };
}

/* Keeps the response in `x` until a random instant of the leisure period. RFC 7252 section 8.2. */
static int start_leisure(copal_ep *ep, exchange *x, const copal_wr *w, copal_time now)
{
  const int err = exchange_keep(ep, x, copal_wr_done(w), now);
  if (err) {
    exchange_give(ep, x);
    return err;
  }
  x->state = EXCHANGE_LEISURE;
  copal_timerq_arm(&ep->timers, &x->timer, now + ep_random_dur(ep, ep->cfg.params.default_leisure));
  return COPAL_OK;
}

/* Remembers even a safe request: once an Empty ACK has left, or may leave, a duplicate must not
 * run again and find a piggybacked response. RFC 7252 section 5.2.2. */
static void remember_late(copal_ep *ep, turn *t)
{
  if (!t->dedup)
    t->dedup = dedup_remember(ep, t->path, t->msg->mid, ep->exchange_lifetime, t->now);
}

/* Acknowledges without a response; a duplicate will be treated alike. */
static void acknowledge_only(copal_ep *ep, turn *t)
{
  remember_late(ep, t);
  if (t->dedup)
    t->dedup->state = t->rules.is_confirmable ? DEDUP_ACKED : DEDUP_SILENT;
  if (t->rules.is_confirmable)
    send_empty(ep, t->path, COPAL_ACK, t->msg->mid);
}

/* Hands a finished datagram over: to the leisure timer, or to the sink with a copy for duplicates.
 */
static int dispatch(copal_ep *ep, const turn *t, const copal_wr *w, copal_time now)
{
  if (t->rules.is_group) {
    exchange *x = exchange_take(ep, t->path);
    return x ? start_leisure(ep, x, w, now) : COPAL_ENOSLOT;
  }
  if (t->dedup && t->rules.is_confirmable)
    dedup_keep_reply(ep, t->dedup, copal_wr_done(w), now);
  send_commit(ep, t->path, w);
  return COPAL_OK;
}

static int respond(copal_ep *ep, turn *t, const copal_response *r, copal_time now)
{
  if (reply_is_suppressed(&t->rules, r->code)) {
    t->is_answered = true;
    ep->stats.suppressed++;
    acknowledge_only(ep, t);
    return COPAL_OK;
  }
  observe_settle(ep, t, r->code, now);
  const size_t rest = qblock_plan(ep, t, r);
  copal_msg head = serve_head(ep, t, r->code, now);
  copal_wr w = send_begin(ep, t->path);
  const bool is_unsent = w.err && t->dedup && t->rules.is_confirmable;
  if (is_unsent) { /* the request has had its effect: its duplicate fetches the answer */
    ep->rendering.subject = NULL;
    w = copal_wr_init(ep->scratch);
  }
  const int err = w.err ? w.err : reply_write(ep, &w, &head, &t->rules, r);
  if (err)
    return err;
  t->is_answered = true;
  if (is_unsent) {
    dedup_keep_reply(ep, t->dedup, copal_wr_done(&w), now);
    return COPAL_OK;
  }
  int challenged = 0;
  if (challenge_is_due(ep, t->path, t->rules.request_code, w.len + rest, now))
    challenged = challenge_replace(ep, t->path, &w, &head, &t->rules, now);
  if (challenged < 0 || (challenged && t->rules.is_group)) /* a group member keeps silent instead */
    return challenged < 0 ? challenged : COPAL_OK;
  if (!challenged)
    recall_keep(ep, t, r, &w);
  const int sent = dispatch(ep, t, &w, now);
  if (!challenged)
    qblock_follow(ep, t, r, now);
  challenge_probe(ep, t->path, now);
  return sent;
}

static int respond_error(copal_ep *ep, turn *t, int err, uint16_t offender, copal_time now)
{
  refusal f;
  refusal_make(&f, err, offender, t->rules.wants_problem);
  return respond(ep, t, &f.response, now);
}

void serve_refuse(copal_ep *ep, const copal_path *path, const copal_msg *msg, int err,
                  uint16_t offender, copal_time now)
{
  turn t = {.msg = msg, .path = path, .now = now};
  reply_rules_begin(&t);
  reply_rules_read(ep, &t);
  t.rules.has_block2 = false;
  /* A token that no answer has room for: what cannot be acknowledged must be rejected. */
  if (respond_error(ep, &t, err, offender, now) == COPAL_ENOSPC && msg->type == COPAL_CON)
    send_empty(ep, path, COPAL_RST, msg->mid);
}

int copal_ep_respond(copal_ep *ep, const copal_response *r, copal_time now)
{
  turn *t = ep->turn;
  if (!t || t->is_answered || t->is_deferred || !copal_code_is_response(r->code))
    return COPAL_EINVAL;
  const int err = t->flow ? qblock_continue(ep, t, r, now) : respond(ep, t, r, now);
  if (err != COPAL_EBLOCK)
    return err;
  respond_error(ep, t, err, 0, now); /* the client's mistake, not the handler's */
  return COPAL_OK;
}

/* ------------------------------------------------------------------------------------ the handler
 */

/* Runs the handler and sees to it that something comes of it. */
static void handle(copal_ep *ep, turn *t, const copal_req *req, copal_time now)
{
  int err = COPAL_ENOTFOUND;

  ep->turn = t;
  if (ep->cfg.server)
    err = ep->cfg.server->on_request(ep->cfg.server, ep, req, now);
  if (!t->is_answered && !t->is_deferred && err < 0)
    respond_error(ep, t, err, 0, now);
  if (!t->is_answered && !t->is_deferred)
    acknowledge_only(ep, t);
  ep->turn = NULL;
  if (t->dedup && t->dedup->state == DEDUP_OPEN && !t->is_deferred)
    t->dedup->state = DEDUP_SILENT;
}

/* Everything about the request that can be wrong with it. */
static int read_request(copal_ep *ep, turn *t, copal_req *req)
{
  int err = check(ep, t);
  reply_rules_begin(t);
  if (err || turn_has_plain_answer(t))
    return err;
  err = reply_rules_read(ep, t);
  if (!err)
    observe_read(t);
  if (!err)
    err = read_block1(t, req);
  if (!err)
    err = qblock_read(ep, t, req);
  return err;
}

/* Handles a request that is to be carried out. */
static int take_up(copal_ep *ep, turn *t, uint16_t *offender, copal_time now)
{
  copal_req req = {.msg = t->msg, .path = t->path};
  int err = read_request(ep, t, &req);
  if (!err)
    err = remember(ep, t, req.has_block1, now);
  *offender = t->sight.offender;
  if (err)
    return err;

  ep->stats.rx_requests++;
  challenge_read(ep, t);
  ep->turn = t; /* its dedup entry may have to make place */
  observe_cancel(ep, t);
  req.wants_proof = recall_is_wanted(t);
  req.absent = t->sight.absent;
  req.wants_observe = t->wants_observe;
  req.has_block2 = t->rules.has_block2;
  req.block2 = t->rules.block2;
  handle(ep, t, &req, now);
  return COPAL_OK;
}

int serve_request(copal_ep *ep, const copal_path *path, const copal_msg *msg, uint16_t *offender,
                  copal_time now)
{
  turn t = {.msg = msg, .path = path, .now = now};

  if (msg->type == COPAL_CON && (path->flags & COPAL_PATH_GROUP))
    return COPAL_EMULTICAST;
  dedup *d = dedup_find(ep, path, msg->mid, now);
  if (d && d->state == DEDUP_SPENT) {
    t.is_spent = true;
    t.dedup = d;
  } else if (d) {
    on_duplicate(ep, path, msg, d, now);
    return COPAL_OK;
  } else if (recall_answer(ep, &t, now)) {
    return COPAL_OK;
  }
  return take_up(ep, &t, offender, now);
}

/* -------------------------------------------------------------------------------- late responses
 */

static void attach_dedup(copal_ep *ep, turn *t, exchange *x)
{
  remember_late(ep, t);
  x->dedup = t->dedup;
  if (x->dedup)
    x->dedup->exchange = x;
}

int copal_ep_defer(copal_ep *ep, copal_xref *ref)
{
  turn *t = ep->turn;
  if (!t || t->is_answered || t->is_deferred)
    return COPAL_EINVAL;
  exchange *x = t->flow ? NULL : exchange_take(ep, t->path);
  if (!x)
    return COPAL_ENOSLOT;

  x->mid = t->msg->mid;
  x->rules = t->rules;
  x->state = EXCHANGE_ACKED;
  if (t->rules.is_confirmable) {
    x->state = EXCHANGE_DEFERRED;
    copal_timerq_arm(&ep->timers, &x->timer, t->now + ep->cfg.params.ack_delay);
  }
  exchange_set_token(x, t->msg->token);
  attach_dedup(ep, t, x);
  t->is_deferred = true;
  *ref = exchange_ref(ep, x);
  return COPAL_OK;
}

static bool is_late(const exchange *x)
{
  return x && (x->state == EXCHANGE_DEFERRED || x->state == EXCHANGE_ACKED);
}

void serve_end(copal_ep *ep, exchange *x)
{
  exchange_give(ep, x);
}

/* Sends the Empty ACK of a request whose handler is late. */
static void acknowledge_late(copal_ep *ep, exchange *x)
{
  x->state = EXCHANGE_ACKED;
  copal_timerq_cancel(&ep->timers, &x->timer);
  if (x->dedup)
    x->dedup->state = DEDUP_ACKED;
  send_empty(ep, &x->path, COPAL_ACK, x->mid);
}

/* Ends a late exchange without a response. */
static void end_silently(copal_ep *ep, exchange *x)
{
  if (x->state == EXCHANGE_DEFERRED)
    acknowledge_late(ep, x);
  else if (x->dedup && x->dedup->state == DEDUP_OPEN)
    x->dedup->state = DEDUP_SILENT;
  serve_end(ep, x);
}

/* The head of a late response: it travels in the ACK when the handler was in time, else it is a
 * message of its own. RFC 7252 sections 5.2.1 to 5.2.3. */
static copal_msg late_head(copal_ep *ep, const exchange *x, copal_code code, copal_time now)
{
  copal_msg head = {.type = COPAL_ACK, .code = code, .mid = x->mid, .token = exchange_token(x)};
  if (x->state != EXCHANGE_DEFERRED) {
    head.type = x->rules.is_confirmable ? COPAL_CON : COPAL_NON;
    head.mid = mid_draw(ep, ep_path_hash(ep, &x->path), now);
  }
  return head;
}

/* Without room to keep a confirmable response for retransmission it is sent non-confirmable, which
 * the client must be prepared for. RFC 7252 sections 5.2.2 and 5.2.3. */
static void keep_late(copal_ep *ep, exchange *x, copal_msg *head, copal_wr *w, copal_time now)
{
  if (head->type == COPAL_ACK && x->dedup)
    dedup_keep_reply(ep, x->dedup, copal_wr_done(w), now);
  if (head->type == COPAL_CON && exchange_keep(ep, x, copal_wr_done(w), now)) {
    head->type = COPAL_NON;
    w->buf[0] |= COPAL_NON << TYPE_SHIFT; /* COPAL_CON is 0 */
  }
  if (head->type == COPAL_NON && x->dedup && x->dedup->state == DEDUP_OPEN)
    x->dedup->state = DEDUP_SILENT;
}

static int resume(copal_ep *ep, exchange *x, const copal_response *r, copal_time now)
{
  if (reply_is_suppressed(&x->rules, r->code)) {
    ep->stats.suppressed++;
    end_silently(ep, x);
    return COPAL_OK;
  }
  copal_msg head = late_head(ep, x, r->code, now);
  copal_wr w = send_begin(ep, &x->path);
  int err = w.err ? w.err : reply_write(ep, &w, &head, &x->rules, r);
  if (!err && challenge_is_due(ep, &x->path, x->rules.request_code, w.len, now))
    err = challenge_replace(ep, &x->path, &w, &head, &x->rules, now);
  if (err < 0)
    return err;
  keep_late(ep, x, &head, &w, now);
  if (x->rules.is_group)
    return start_leisure(ep, x, &w, now);
  send_commit(ep, &x->path, &w);
  if (head.type != COPAL_CON) {
    serve_end(ep, x);
    return COPAL_OK;
  }
  x->type = COPAL_CON;
  exchange_link_mid(ep, x, head.mid);
  exchange_start_con(ep, x, now);
  return COPAL_OK;
}

int copal_ep_resume(copal_ep *ep, copal_xref ref, const copal_response *r, copal_time now)
{
  exchange *x = exchange_at(ep, ref);
  refusal f;
  if (!is_late(x))
    return COPAL_ENOTFOUND;
  if (!copal_code_is_response(r->code))
    return COPAL_EINVAL;
  const int err = resume(ep, x, r, now);
  if (err != COPAL_EBLOCK)
    return err;
  refusal_make(&f, err, 0, x->rules.wants_problem);
  return resume(ep, x, &f.response, now);
}

int copal_ep_abandon(copal_ep *ep, copal_xref ref, copal_time now)
{
  exchange *x = exchange_at(ep, ref);
  (void)now;
  if (!is_late(x))
    return COPAL_ENOTFOUND;
  end_silently(ep, x);
  return COPAL_OK;
}

void serve_on_timer(copal_ep *ep, exchange *x, copal_time now)
{
  switch ((exchange_state)x->state) {
  case EXCHANGE_DEFERRED: acknowledge_late(ep, x); return;
  case EXCHANGE_LEISURE:
    send_kept(ep, &x->path, &x->kept);
    serve_end(ep, x);
    return;
  case EXCHANGE_WAIT_ACK:
    if (exchange_resend(ep, x, now))
      return;
    ep->stats.timeouts++;
    serve_end(ep, x);
    return;
  case EXCHANGE_FREE:
  case EXCHANGE_QUEUED:
  case EXCHANGE_WAIT_RESPONSE:
  case EXCHANGE_ACKED: break;
  }
  assert(!"a timer in a state without one");
}
