/* SPDX-License-Identifier: Apache-2.0 */
/* Block-wise transfers of a client: the states and events of the table in copal/transfer.h.
 * RFC 7959 sections 2.4 to 2.7. */
#include "core/proto/transfer.h"

#include <assert.h>

#include "core/base/list.h"
#include "core/proto/client.h"

static_assert(sizeof(copal_transfer) < 200, "as its header promises");

/* ------------------------------------------------------------------------------------- telling */

static void enter(copal_transfer *t, transfer_state state)
{
  t->state = (uint8_t)state;
}

static int64_t total_of(const copal_transfer *t)
{
  return t->has_total ? (int64_t)t->total : COPAL_TRANSFER_UNKNOWN;
}

static void tell(copal_transfer *t, copal_transfer_event_kind kind,
                 const copal_transfer_result *result, copal_time now)
{
  const copal_transfer_event event = {.kind = kind,
                                      .sent = t->sent,
                                      .received = t->received,
                                      .total = total_of(t),
                                      .result = result};
  if (t->on_event)
    t->on_event(t, &event, now);
}

static copal_transfer_result result_of(const copal_transfer *t, int status, const copal_msg *msg)
{
  return (copal_transfer_result){
      .status = status, .code = msg ? msg->code : t->code, .msg = msg, .size = t->received};
}

static bool is_out(const copal_transfer *t)
{
  return t->exchange || transfer_window_out(t);
}

/* Nothing is outstanding any more. */
static void finish(copal_transfer *t, int status, const copal_msg *msg, copal_time now)
{
  const copal_transfer_result result = result_of(t, status, msg);
  assert(!is_out(t) && !t->relation);
  transfer_set_remove(t);
  enter(t, TRANSFER_READY);
  t->on_done(t, &result, now);
}

/* Remembers how the transfer ends; it is over when what is outstanding has ended. */
static void close_with(copal_transfer *t, int status, copal_time now)
{
  if (t->state != TRANSFER_CLOSING)
    t->status = (int16_t)status;
  enter(t, TRANSFER_CLOSING);
  if (!is_out(t) && !t->relation)
    finish(t, t->status, NULL, now);
}

/* A body is complete, or will not be. */
static void end_body(copal_transfer *t, int status, const copal_msg *msg, copal_time now)
{
  t->is_fetching = false;
  if (t->relation) {
    const copal_transfer_result result = result_of(t, status, msg);
    enter(t, TRANSFER_WATCHING);
    tell(t, COPAL_TRANSFER_STATE, &result, now);
  } else if (is_out(t)) {
    t->code = msg ? msg->code : t->code;
    close_with(t, status, now);
  } else {
    finish(t, status, msg, now);
  }
}

/* --------------------------------------------------------------------------------------- doing */

/* Sends one request, or as many as the window takes. */
static int send_some(copal_transfer *t, copal_time now)
{
  const int err = transfer_window_fill(t, now);
  if (err == COPAL_EINCOMPLETE)
    tell(t, COPAL_TRANSFER_RESTART, NULL, now);
  return err == COPAL_ENOTFOUND || err == COPAL_EINCOMPLETE ? transfer_send(t, now) : err;
}

/* Sends what is next. */
static void send_next(copal_transfer *t, copal_time now)
{
  assert(!t->exchange);
  enter(t, t->is_fetching ? TRANSFER_FETCHING : TRANSFER_SENDING);
  const int err = send_some(t, now);
  if (err == COPAL_EPENDING) {
    enter(t, TRANSFER_HELD);
  } else if (err == COPAL_ENOSLOT && t->on_event) {
    enter(t, TRANSFER_HELD);
    tell(t, COPAL_TRANSFER_STALL, NULL, now);
  } else if (err) {
    end_body(t, err, NULL, now);
  }
}

/* What a part of the response body leads to. */
typedef enum next { NEXT_GO_ON, NEXT_HELD, NEXT_OVER } next;

/* Hands a part of the response body to write(). */
static next hand_on(copal_transfer *t, const copal_transfer_part *part, copal_time now)
{
  const int err = t->write ? t->write(t, part) : COPAL_OK;

  if (err < 0 && err != COPAL_EPENDING) {
    end_body(t, err, part->msg, now);
    return NEXT_OVER;
  }
  t->received += (uint32_t)part->bytes.len;
  tell(t, COPAL_TRANSFER_PROGRESS, NULL, now);
  t->is_fetching = !part->is_last;
  if (part->is_last) {
    end_body(t, COPAL_OK, part->msg, now);
    return NEXT_OVER;
  }
  if (err == COPAL_EPENDING)
    enter(t, TRANSFER_HELD);
  return err == COPAL_EPENDING ? NEXT_HELD : NEXT_GO_ON;
}

/* Hands the payload to write() and asks for what is behind it. */
static void take(copal_transfer *t, const copal_msg *msg, copal_time now)
{
  copal_block b = {.szx = t->szx2};
  (void)transfer_find_block(msg, COPAL_OPT_BLOCK2, &b);
  const uint32_t skip = t->received - copal_block_offset(b);
  const copal_transfer_part part = {
      .msg = msg,
      .offset = t->received,
      .bytes = copal_span_of(msg->payload.ptr + skip, msg->payload.len - skip),
      .total = total_of(t),
      .is_last = !b.more};

  t->szx2 = b.szx < t->szx2 ? b.szx : t->szx2;
  if (hand_on(t, &part, now) == NEXT_GO_ON)
    send_next(t, now);
}

/* Takes what has come in the window as far as it goes, then sends what is next. */
static void advance(copal_transfer *t, copal_time now)
{
  copal_transfer_slot block;
  copal_span bytes;
  while (transfer_window_take(t, &block, &bytes)) {
    if (!t->is_fetching) {
      t->sent += block.len;
      tell(t, COPAL_TRANSFER_PROGRESS, NULL, now);
      continue;
    }
    const copal_transfer_part part = {
        .offset = t->received, .bytes = bytes, .total = total_of(t), .is_last = !block.has_more};
    if (hand_on(t, &part, now) != NEXT_GO_ON)
      return;
  }
  send_next(t, now);
}

/* Does what a response calls for: a transfer_step, or an error. */
static void act(copal_transfer *t, int step, const copal_msg *msg, copal_time now)
{
  if (step < 0) {
    end_body(t, step, msg, now);
    return;
  }
  switch ((transfer_step)step) {
  case TRANSFER_TAKE: take(t, msg, now); return;
  case TRANSFER_DONE: end_body(t, COPAL_OK, msg, now); return;
  case TRANSFER_ADVANCE: tell(t, COPAL_TRANSFER_PROGRESS, NULL, now); break;
  case TRANSFER_RESTART:
    t->is_fetching = false;
    tell(t, COPAL_TRANSFER_RESTART, NULL, now);
    break;
  case TRANSFER_AGAIN: break;
  }
  send_next(t, now);
}

/* ---------------------------------------------------------------------------------------- events
 */

/* Keeps the token that the endpoint drew for the first block of an upload. Downloads have nothing
 * to gain from that: a duplicate of a safe request may be answered anew, and late. */
static void keep_token(copal_transfer *t, const copal_msg *msg)
{
  const copal_transfer_request *rq = t->request;
  if (!t->is_blockwise || rq->has_fresh_tokens || (rq->path->flags & COPAL_PATH_SECURE) ||
      rq->token.len)
    return;
  if (msg->token.len > sizeof t->token)
    return;
  for (size_t i = 0; i < msg->token.len; i++)
    t->token[i] = msg->token.ptr[i];
  t->token_len = (uint8_t)msg->token.len;
}

static void on_response(copal_transfer *t, const copal_event *e, copal_time now)
{
  t->exchange = 0;
  assert(!t->relation || !e->is_notification);
  if (e->is_notification)
    t->relation = e->exchange;
  else
    keep_token(t, e->msg);
  switch ((transfer_state)t->state) {
  case TRANSFER_SENDING: act(t, transfer_judge_sent(t, e->msg), e->msg, now); return;
  case TRANSFER_FETCHING: act(t, transfer_judge_fetched(t, e->msg), e->msg, now); return;
  case TRANSFER_CLOSING: close_with(t, t->status, now); return;
  case TRANSFER_HELD: return;
  case TRANSFER_READY:
  case TRANSFER_WATCHING: assert(false); return;
  }
}

/* Gives up the request for a block of what has been replaced. Its timer may have backed off far,
 * while the notification shows that the path is alive. RFC 7252 section 4.2. */
static void drop_request(copal_transfer *t, copal_time now)
{
  if (t->exchange)
    client_drop(t->ep, t->exchange, now);
  t->exchange = 0;
}

/* A notification, or the response that ends the observation. */
static void on_notification(copal_transfer *t, const copal_event *e, copal_time now)
{
  if (!e->is_notification)
    t->relation = 0;
  if (t->state == TRANSFER_CLOSING) {
    close_with(t, t->status, now);
    return;
  }
  if (e->is_notification && transfer_is_fetching_it(t, e->msg))
    return;
  drop_request(t, now);
  t->received = 0;
  t->is_fetching = false;
  act(t, transfer_judge_first(t, e->msg), e->msg, now);
}

/* A request has ended without a response. Nothing may be sent from a request that was canceled: the
 * endpoint may be going away. */
static void on_failure(copal_transfer *t, int status, copal_time now)
{
  t->exchange = 0;
  switch ((transfer_state)t->state) {
  case TRANSFER_SENDING:
  case TRANSFER_FETCHING: end_body(t, status, NULL, now); return;
  case TRANSFER_CLOSING: close_with(t, t->status, now); return;
  case TRANSFER_HELD: return;
  case TRANSFER_READY:
  case TRANSFER_WATCHING: assert(false); return;
  }
}

static int status_of(copal_event_kind kind)
{
  switch (kind) {
  case COPAL_EVENT_TIMEOUT: return COPAL_ETIMEDOUT;
  case COPAL_EVENT_RESET: return COPAL_ERESET;
  case COPAL_EVENT_UNREACHABLE: return COPAL_EUNREACH;
  case COPAL_EVENT_CANCELED: return COPAL_ECANCELED;
  case COPAL_EVENT_RESPONSE:
  case COPAL_EVENT_ACK:
  case COPAL_EVENT_RESEND:
  case COPAL_EVENT_STALE: break;
  }
  return COPAL_OK;
}

/* The exchange of a block in the window tells something. */
static void on_slot(copal_transfer *t, copal_transfer_slot *slot, const copal_event *e,
                    copal_time now)
{
  const int status = status_of(e->kind);

  if (e->kind == COPAL_EVENT_RESEND)
    transfer_window_back_off(t, slot);
  if (e->kind != COPAL_EVENT_RESPONSE && !status)
    return;
  transfer_window_settle(t, slot, status ? NULL : e->msg);
  if (t->state == TRANSFER_CLOSING)
    close_with(t, t->status, now);
  else if (t->state != TRANSFER_HELD && status)
    end_body(t, status, NULL, now);
  else if (t->state != TRANSFER_HELD)
    advance(t, now);
}

static void on_event(copal_client *c, copal_ep *ep, const copal_event *e, copal_time now)
{
  copal_transfer *t = COPAL_AROUND(c, copal_transfer, client);
  copal_transfer_slot *slot = transfer_window_find(t, e->exchange);
  const bool is_relation = t->relation && e->exchange == t->relation;
  const int status = status_of(e->kind);
  (void)ep;

  if (e->kind == COPAL_EVENT_RESPONSE)
    transfer_keep_echo(t, e->msg);
  if (slot) {
    on_slot(t, slot, e, now);
  } else if (e->kind == COPAL_EVENT_RESPONSE) {
    if (is_relation)
      on_notification(t, e, now);
    else
      on_response(t, e, now);
  } else if (status && is_relation) {
    t->relation = 0;
    close_with(t, status, now);
  } else if (status) {
    on_failure(t, status, now);
  }
}

/* ------------------------------------------------------------------------------------- interface
 */

static bool is_own_option(uint16_t number)
{
  return number == COPAL_OPT_OBSERVE || number == COPAL_OPT_BLOCK1 || number == COPAL_OPT_BLOCK2 ||
         number == COPAL_OPT_SIZE1 || number == COPAL_OPT_SIZE2 || number == COPAL_OPT_ECHO;
}

static int check_options(const copal_transfer_request *rq)
{
  if (!rq->opt_room || rq->opt_cap < COPAL_TRANSFER_OPTS ||
      rq->opt_cap - COPAL_TRANSFER_OPTS < rq->opt_count)
    return COPAL_EINVAL;
  for (size_t i = 0; i < rq->opt_count; i++) {
    if (is_own_option(rq->opts[i].number) ||
        (rq->set && rq->opts[i].number == COPAL_OPT_REQUEST_TAG))
      return COPAL_EINVAL;
  }
  return COPAL_OK;
}

static int check_request(const copal_transfer_request *rq)
{
  if (rq->struct_size != sizeof *rq || !rq->path || (rq->path->flags & COPAL_PATH_GROUP))
    return COPAL_EINVAL;
  if (rq->block_size && rq->block_size < copal_block_size(0))
    return COPAL_EINVAL;
  if (rq->is_observe && !copal_code_is_safe(rq->code))
    return COPAL_EINVAL;
  if (rq->offset && (rq->code != COPAL_CODE_GET || rq->is_observe))
    return COPAL_EINVAL;
  if (rq->etag.len > sizeof((copal_transfer *)0)->etag)
    return COPAL_EINVAL;
  return check_options(rq);
}

/* Bodies whose blocks can be counted, and room to read one into. RFC 7959 section 2.2. */
static int check_body(const copal_transfer *t)
{
  const copal_transfer_request *rq = t->request;
  const int64_t size = transfer_body_size(t);
  const int64_t limit = (int64_t)(COPAL_BLOCK_NUM_MAX + 1) << (t->szx1 + TRANSFER_SZX_BIAS);

  if (t->read && (!rq->block_room.ptr || rq->block_room.len < copal_block_size(0)))
    return COPAL_EINVAL;
  if (size < COPAL_TRANSFER_UNKNOWN)
    return COPAL_EINVAL;
  if (size > limit || rq->offset >= copal_block_size(COPAL_SZX_MAX) * (COPAL_BLOCK_NUM_MAX + 1u))
    return COPAL_ETOOBIG;
  return COPAL_OK;
}

static void set_up(copal_transfer *t, copal_ep *ep, const copal_transfer_request *rq)
{
  const uint8_t szx = rq->block_size ? copal_block_szx_for(rq->block_size) : COPAL_SZX_MAX;
  const uint8_t room = t->read ? copal_block_szx_for(rq->block_room.len) : COPAL_SZX_MAX;

  *t = (copal_transfer){.read = t->read,
                        .write = t->write,
                        .on_event = t->on_event,
                        .on_done = t->on_done,
                        .request = rq,
                        .client = {.on_event = on_event},
                        .ep = ep,
                        .received = rq->offset,
                        .szx1 = szx < room ? szx : room,
                        .szx2 = szx,
                        .format = -1,
                        .is_pinned = rq->etag.len > 0,
                        .etag_len = (uint8_t)rq->etag.len};
  for (size_t i = 0; i < rq->etag.len; i++)
    t->etag[i] = rq->etag.ptr[i];
}

/* Checks the request and makes the transfer ready for its first step. */
static int prepare(copal_transfer *t, copal_ep *ep, const copal_transfer_request *rq)
{
  if (t->state != TRANSFER_READY || !t->on_done)
    return COPAL_EINVAL;
  int err = check_request(rq);
  if (err)
    return err;
  set_up(t, ep, rq);
  err = check_body(t);
  if (err)
    return err;
  transfer_window_reset(t);
  transfer_set_insert(t);
  return COPAL_OK;
}

int copal_transfer_start(copal_transfer *t, copal_ep *ep, const copal_transfer_request *rq,
                         copal_time now)
{
  int err = prepare(t, ep, rq);
  if (err)
    return err;
  err = transfer_send(t, now);
  if (err && err != COPAL_EPENDING) {
    transfer_set_remove(t);
    return err;
  }
  enter(t, err ? TRANSFER_HELD : TRANSFER_SENDING);
  return COPAL_OK;
}

int copal_transfer_adopt(copal_transfer *t, copal_ep *ep, const copal_transfer_request *rq,
                         const copal_msg *first, copal_time now)
{
  if (rq->is_observe || rq->offset)
    return COPAL_EINVAL;
  const int err = prepare(t, ep, rq);
  if (err)
    return err;
  enter(t, TRANSFER_SENDING);
  t->is_last = true;
  transfer_keep_echo(t, first);
  act(t, transfer_judge_first(t, first), first, now);
  return COPAL_OK;
}

int copal_transfer_resume(copal_transfer *t, copal_time now)
{
  if (t->state != TRANSFER_HELD)
    return COPAL_EINVAL;
  advance(t, now);
  return COPAL_OK;
}

/* Ends what is out in the window; the last to end may finish the transfer. */
static void cancel_window(copal_transfer *t, copal_time now)
{
  const copal_transfer_window *w = t->request->window;
  copal_ep *ep = t->ep;
  uint16_t left = transfer_window_out(t);
  for (uint16_t i = 0; left > 0; i++) {
    if (!w->slots[i].exchange)
      continue;
    left--;
    (void)copal_ep_cancel(ep, w->slots[i].exchange, now);
  }
}

/* The last to end finishes the transfer; nothing is touched after it. The window is empty while
 * there is a relation or a request out by itself. */
int copal_transfer_cancel(copal_transfer *t, copal_time now)
{
  const copal_xref relation = t->relation, request = t->exchange;
  copal_ep *ep = t->ep;

  if (t->state == TRANSFER_READY)
    return COPAL_ENOTFOUND;
  if (transfer_window_out(t)) {
    t->status = COPAL_ECANCELED;
    enter(t, TRANSFER_CLOSING);
    cancel_window(t, now);
    return COPAL_OK;
  }
  close_with(t, COPAL_ECANCELED, now);
  if (relation)
    (void)copal_ep_cancel(ep, relation, now);
  if (request)
    (void)copal_ep_cancel(ep, request, now);
  return COPAL_OK;
}

bool copal_transfer_is_active(const copal_transfer *t)
{
  return t->state != TRANSFER_READY;
}
