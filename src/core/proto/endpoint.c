/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint: what comes in and what is due. RFC 7252 sections 4.1 to 4.3. */
#include "copal/endpoint.h"

#include <assert.h>

#include "core/base/cursor_join.h"
#include "core/proto/challenge.h"
#include "core/proto/client.h"
#include "core/proto/dedup.h"
#include "core/proto/ep.h"
#include "core/proto/exchange.h"
#include "core/proto/observe.h"
#include "core/proto/observe_burst.h"
#include "core/proto/qblock.h"
#include "core/proto/send.h"
#include "core/proto/serve.h"
#include "core/wire/option_split.h"

enum { TIMERS_MAX = 256 }; /* that run in one go: as many as are told of a change at once */

/* ----------------------------------------------------------------------------------------- input
 */

/* Reacts to a message that was refused with `err`, as its row in the registry of errors says. */
static void reject(copal_ep *ep, const copal_path *path, const copal_msg *msg, int err,
                   uint16_t offender, copal_time now)
{
  const bool is_group = (path->flags & COPAL_PATH_GROUP) != 0;
  copal_reaction reaction = copal_err_reaction(err);

  ep->stats.rejected[-err]++;
  if (reaction == COPAL_REACT_BAD_OPTION && msg->type == COPAL_NON)
    reaction = COPAL_REACT_RESET; /* RFC 7252 section 5.4.1 */
  if (reaction == COPAL_REACT_NONE || reaction == COPAL_REACT_IGNORE)
    return;
  if (reaction != COPAL_REACT_RESET) {
    serve_refuse(ep, path, msg, err, offender, now);
    return;
  }
  /* Never in reply to an ACK or RST, nor to a group. RFC 7252 sections 4.2 and 8.1. */
  if ((msg->type == COPAL_CON || msg->type == COPAL_NON) && !is_group)
    send_empty(ep, path, COPAL_RST, msg->mid);
}

/* An Empty ACK or RST. RFC 7252 sections 4.2 and 4.3. */
static int on_acknowledgement(copal_ep *ep, const copal_path *path, const copal_msg *msg,
                              copal_time now)
{
  exchange *x = exchange_find_mid(ep, path, msg->mid);

  ep->stats.rx_empty++;
  if (!x && !observe_on_acknowledgement(ep, path, msg, now)) {
    const bool is_answer = msg->type == COPAL_RST && challenge_on_reset(ep, path, msg->mid, now);
    return is_answer ? COPAL_OK : COPAL_ESTRAY;
  }
  if (ep->cfg.guard)
    ep->cfg.guard->on_acknowledged(ep->cfg.guard, path, now);
  if (!x)
    return COPAL_OK;
  if (x->is_client && msg->type == COPAL_ACK)
    client_on_ack(ep, x, now);
  else if (x->is_client)
    client_on_reset(ep, x, now);
  else {
    ep->stats.resets += msg->type == COPAL_RST;
    if (msg->type == COPAL_ACK)
      qblock_on_acknowledgement(ep, x, now);
    serve_end(ep, x);
  }
  return COPAL_OK;
}

/* A piggybacked response also acknowledges a separate response of ours that has the same Message
 * ID; its code and payload do not matter then. RFC 7252 section 5.2.2. */
static bool acknowledges_response(copal_ep *ep, const copal_path *path, const copal_msg *msg)
{
  exchange *x = msg->type == COPAL_ACK ? exchange_find_mid(ep, path, msg->mid) : NULL;
  if (!x || x->is_client)
    return false;
  serve_end(ep, x);
  return true;
}

static int dispatch(copal_ep *ep, const copal_path *path, const copal_msg *msg, uint16_t *offender,
                    copal_time now)
{
  if (copal_code_is_empty(msg->code)) {
    if (msg->type != COPAL_CON)
      return on_acknowledgement(ep, path, msg, now);
    ep->stats.rx_empty++;
    if (path->flags & COPAL_PATH_GROUP)
      return COPAL_EMULTICAST;
    send_empty(ep, path, COPAL_RST, msg->mid); /* a ping, RFC 7252 section 4.3 */
    return COPAL_OK;
  }
  if (copal_code_is_request(msg->code))
    return serve_request(ep, path, msg, offender, now);
  if (acknowledges_response(ep, path, msg))
    return COPAL_OK;
  return client_on_response(ep, path, msg, now);
}

int copal_ep_input(copal_ep *ep, const copal_path *path, copal_mspan dgram, copal_time now)
{
  copal_msg msg;
  uint16_t offender = 0;

  assert(!ep->is_busy);
  ep->is_busy = true;
  ep->stats.rx_datagrams++;
  int err = copal_msg_parse(copal_span_of(dgram.ptr, dgram.len), &msg);
  if (!err)
    err = dispatch(ep, path, &msg, &offender, now);
  if (err)
    reject(ep, path, &msg, err, offender, now);
  ep->is_busy = false;
  return err;
}

void copal_ep_foresee(const copal_ep *ep, const copal_path *path, copal_span dgram)
{
  copal_rd r = {dgram.ptr, dgram.len, COPAL_OK};
  const uint32_t head = copal_rd_be(&r, COPAL_HEADER_SIZE);
  const copal_code code = (copal_code)(head >> 16);
  const bool is_con = (head >> 28 & 3) == COPAL_CON;
  if (r.err || !copal_code_is_request(code) || (is_con && copal_code_is_safe(code)))
    return; /* not to be remembered */
  dedup_foresee(ep, path, (uint16_t)head);
}

/* Ends what the quoted datagram belonged to. RFC 7252 section 4.2: the quote is vetted. */
static int on_refused(copal_ep *ep, const copal_path *path, copal_span quoted, copal_time now)
{
  copal_rd r = {quoted.ptr, quoted.len, COPAL_OK};
  const uint32_t head = copal_rd_be(&r, COPAL_HEADER_SIZE);
  copal_msg m = {.type = (copal_type)(head >> 28 & 3),
                 .code = (copal_code)(head >> 16),
                 .mid = (uint16_t)head};
  m.token.len = copal_ext_get(&r, head >> 24 & 15);
  m.token.ptr = copal_rd_take(&r, m.token.len);

  if (r.err) /* too short to tell: proves nothing */
    return COPAL_ESTRAY;
  exchange *x = exchange_find_mid(ep, path, m.mid);
  if (!x)
    return observe_on_unreachable(ep, path, &m, now) ? COPAL_OK : COPAL_ESTRAY;
  if (m.type != (copal_type)x->type || x->state == EXCHANGE_QUEUED ||
      !copal_span_is_equal(m.token, exchange_token(x)))
    return COPAL_ESTRAY;
  if (x->is_client) {
    client_end(ep, x, COPAL_EVENT_UNREACHABLE, now);
  } else {
    ep->stats.unreachables++;
    serve_end(ep, x);
  }
  return COPAL_OK;
}

int copal_ep_unreachable(copal_ep *ep, const copal_path *path, copal_span quoted, copal_time now)
{
  assert(!ep->is_busy);
  ep->is_busy = true;
  const int err = on_refused(ep, path, quoted, now);
  ep->is_busy = false;
  return err;
}

/* ------------------------------------------------------------------------------------------ time
 */

copal_time copal_ep_deadline(const copal_ep *ep)
{
  if (burst_is_due(ep))
    return 0;
  const copal_time timers = copal_timerq_deadline(&ep->timers);
  const copal_time dedups = dedup_deadline(ep);
  return timers < dedups ? timers : dedups;
}

/* Whose timer it is shows where it lies: that keeps a word out of each object. */
static void on_timer(copal_ep *ep, copal_timer *t, copal_time now)
{
  if (copal_pool_has(&ep->peers, t)) {
    client_pump(ep, COPAL_AROUND(t, peer, quiet), now);
    return;
  }
  if (!copal_pool_has(&ep->exchanges, t)) {
    if (!qblock_on_timer(ep, t, now))
      observe_on_timer(ep, t, now);
    return;
  }
  exchange *x = COPAL_AROUND(t, exchange, timer);
  if (x->is_client)
    client_on_timer(ep, x, now);
  else
    serve_on_timer(ep, x, now);
}

void copal_ep_expire(copal_ep *ep, copal_time now)
{
  copal_timer *t;

  assert(!ep->is_busy);
  ep->is_busy = true;
  for (int i = 0; i < TIMERS_MAX && (t = copal_timerq_pop(&ep->timers, now)); i++)
    on_timer(ep, t, now);
  burst_go_on(ep, now);
  dedup_sweep(ep, now);
  ep->is_busy = false;
}

/* -------------------------------------------------------------------------------------- counters
 */

const copal_stats *copal_ep_stats(const copal_ep *ep)
{
  return &ep->stats;
}

copal_usage copal_ep_usage(const copal_ep *ep)
{
  return (copal_usage){.exchanges = ep->exchanges.used,
                       .peers = ep->peers.used,
                       .dedups = ep->dedups.used,
                       .chunks = ep->chunks.used,
                       .relations = ep->relations.used,
                       .observers = ep->observers.used};
}
