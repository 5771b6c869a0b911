/* SPDX-License-Identifier: Apache-2.0 */
/* A request with bodies of any size, driven over a session: the library's transfer, or a single
 * exchange where blocks are not wanted. RFC 7959, RFC 9175 section 2.3. */
#include "cmd/copal/transfer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/copal/qtransfer.h"
#include "copal/error.h"
#include "copal/registry.h"
#include "copal/transfer.h"

/* A transfer under way. */
typedef struct run {
  copal_transfer transfer; /* first */
  copal_transfer_request request;
  copal_transfer_window window;
  optset options; /* those of the caller that the library does not add by itself */
  session *session;
  const transfer *t;
  transfer_result *r;
  copal_time start;
  copal_time asked;             /* when what was answered last has been asked for, about */
  size_t requests, retransmits; /* of the session, before */
  int status;                   /* how the library says that it ended */
  bool has_body;                /* a response body has begun, or the last response is kept */
  bool is_stalled;
  bool has_sink_failed;
  bool is_adopted; /* the first response came otherwise */
} run;

void transfer_result_wipe(transfer_result *r)
{
  reply_wipe(&r->reply);
  buf_wipe(&r->body);
  *r = (transfer_result){0};
}

static void end(run *x, transfer_outcome outcome, const char *why)
{
  x->r->outcome = outcome;
  x->r->why = why;
}

static void begin_run(run *x, session *s, const transfer *t, transfer_result *r)
{
  *x = (run){.session = s,
             .t = t,
             .r = r,
             .start = session_now(),
             .requests = session_requests(s),
             .retransmits = copal_ep_stats(session_ep(s))->tx_retransmits};
  x->asked = x->start;
}

static void end_run(run *x)
{
  const size_t again = copal_ep_stats(session_ep(x->session))->tx_retransmits - x->retransmits;
  const size_t sent = session_requests(x->session) - x->requests;
  x->r->retransmits += (unsigned)again;
  x->r->exchanges += (unsigned)(sent > again ? sent - again : 0);
  x->r->total = (copal_dur)(session_now() - x->start);
}

static copal_time limit_of(const run *x)
{
  return x->t->timeout > 0 ? x->start + x->t->timeout : COPAL_NEVER;
}

/* ------------------------------------------------------------------------------------------------
 * what the library tells */

/* Gives the result's reply away; what is known of how it came stays. */
static reply give_reply(run *x)
{
  const reply given = x->r->reply;
  x->r->reply.msg = (copal_msg){0};
  x->r->reply.mem = NULL;
  x->is_adopted = true;
  return given;
}

/* Keeps the response that opens the body, or is the answer itself. */
static void keep_reply(run *x, const copal_msg *msg)
{
  reply *got = &x->r->reply;
  const copal_time now = session_now();
  reply_keep(got, msg);
  x->has_body = true;
  if (x->is_adopted)
    return;
  got->kind = COPAL_EVENT_RESPONSE;
  got->from = *x->t->path;
  got->at = now;
  got->rtt = (copal_dur)(now - x->asked);
}

static int store_failed(run *x)
{
  x->has_sink_failed = true;
  x->r->reply.errnum = errno;
  return COPAL_ECANCELED;
}

static int on_write(copal_transfer *t, const copal_transfer_part *part)
{
  run *x = (run *)t;
  transfer_sink *k = x->t->sink;
  const bool is_beginning = part->msg && (part->offset == 0 || !x->has_body);
  if (is_beginning) {
    keep_reply(x, part->msg);
    x->r->body.len = 0;
    x->r->size = part->offset;
    if (k && k->begin(k, &x->r->reply, part->offset) != 0)
      return store_failed(x);
  }
  if (!k)
    buf_put_span(&x->r->body, part->bytes);
  else if (k->put(k, part->bytes) != 0)
    return store_failed(x);
  x->r->size += part->bytes.len;
  return COPAL_OK;
}

static void report_progress(run *x, const copal_transfer_event *e)
{
  transfer_monitor *m = x->t->monitor;
  const bool is_down = e->received > 0;
  x->asked = session_now();
  if (m && is_down)
    m->on_progress(m, e->received, e->total > 0 ? (size_t)e->total : 0);
  else if (m)
    m->on_progress(m, e->sent, x->t->body.len);
}

static void on_event(copal_transfer *t, const copal_transfer_event *e, copal_time now)
{
  run *x = (run *)t;
  (void)now;
  switch (e->kind) {
  case COPAL_TRANSFER_PROGRESS: report_progress(x, e); return;
  case COPAL_TRANSFER_RESTART: x->has_body = false; return;
  case COPAL_TRANSFER_STALL: x->is_stalled = true; return;
  case COPAL_TRANSFER_STATE: return; /* of observations */
  }
}

/* An answer that is no representation never reaches a sink. */
static void keep_answer(run *x, const copal_msg *msg)
{
  keep_reply(x, msg);
  x->r->body.len = 0;
  buf_put_span(&x->r->body, msg->payload);
  x->r->size = msg->payload.len;
}

static void on_done(copal_transfer *t, const copal_transfer_result *result, copal_time now)
{
  run *x = (run *)t;
  const bool is_written = x->has_body && result->code == x->r->reply.msg.code;
  (void)now;
  x->status = result->status;
  if (result->status == COPAL_OK && result->msg && !is_written)
    keep_answer(x, result->msg);
}

/* ------------------------------------------------------------------------------------------------
 * how it ended */

static void judge_cancel(run *x)
{
  if (x->has_sink_failed)
    end(x, TRANSFER_STORE, x->t->sink->name);
  else
    end(x, session_is_interrupted() ? TRANSFER_INTERRUPTED : TRANSFER_TIMEOUT, NULL);
}

static void judge_change(run *x)
{
  if (x->is_adopted && copal_code_is_safe(x->t->code))
    end(x, TRANSFER_CHANGED, NULL);
  else
    end(x, TRANSFER_INVALID,
        copal_code_is_safe(x->t->code) ? "the representation keeps changing while it is read"
                                       : "the response changed while it was read");
}

static void judge(run *x)
{
  switch (x->status) {
  case COPAL_OK: end(x, TRANSFER_RESPONSE, NULL); return;
  case COPAL_ETIMEDOUT: end(x, TRANSFER_TIMEOUT, NULL); return;
  case COPAL_ERESET: end(x, TRANSFER_RESET, NULL); return;
  case COPAL_EUNREACH:
    x->r->reply.errnum = session_errnum(x->session);
    end(x, TRANSFER_UNREACHABLE, NULL);
    return;
  case COPAL_ECANCELED: judge_cancel(x); return;
  case COPAL_EINCOMPLETE: judge_change(x); return;
  case COPAL_EBLOCK:
    end(x, TRANSFER_INVALID,
        "the server answered with another block than the one due, or with one of another size");
    return;
  case COPAL_ETOOBIG:
    end(x, TRANSFER_INVALID, "the body has more blocks than can be numbered");
    return;
  case COPAL_ENOSPC: end(x, TRANSFER_FAILED, "the options do not fit a datagram"); return;
  }
  end(x, TRANSFER_FAILED, copal_err_name(x->status));
}

/* ------------------------------------------------------------------------------------------------
 * driving it */

static bool is_added_by_library(uint16_t number)
{
  switch (number) {
  case COPAL_OPT_OBSERVE:
  case COPAL_OPT_BLOCK1:
  case COPAL_OPT_BLOCK2:
  case COPAL_OPT_SIZE1:
  case COPAL_OPT_SIZE2:
  case COPAL_OPT_ECHO: return true;
  }
  return false;
}

/* What the window needs; the library uses it as far as that is possible. */
static void open_window(run *x)
{
  const size_t count = x->t->window;
  if (count < 2)
    return;
  x->window.count = (uint16_t)count;
  x->window.slots = mem_resize(NULL, count * sizeof *x->window.slots);
  memset(x->window.slots, 0, count * sizeof *x->window.slots);
  x->window.room.len = count * copal_block_size(COPAL_SZX_MAX);
  x->window.room.ptr = mem_resize(NULL, x->window.room.len);
  x->request.window = &x->window;
}

static void fill_request(run *x)
{
  const transfer *t = x->t;
  const size_t block = copal_block_size(t->szx);
  copal_transfer_request *rq = &x->request;
  optset_copy(&x->options, t->options);
  for (size_t i = t->options->count; i-- > 0;) {
    if (is_added_by_library(t->options->opts[i].number))
      optset_remove(&x->options, t->options->opts[i].number);
  }
  *rq = (copal_transfer_request)COPAL_TRANSFER_REQUEST_INIT;
  rq->path = t->path;
  rq->type = t->type;
  rq->code = t->code;
  rq->token = t->token;
  rq->has_token = t->has_token;
  rq->opts = x->options.opts;
  rq->opt_count = x->options.count;
  rq->opt_cap = x->options.count + COPAL_TRANSFER_OPTS;
  rq->opt_room = mem_resize(NULL, rq->opt_cap * sizeof *rq->opt_room);
  rq->block_size = t->has_szx || t->resume_at > 0 ? (uint16_t)block : 0;
  rq->has_fresh_tokens = t->type != COPAL_CON; /* late answers are not taken for others' */
  rq->asks_size = optset_has(t->options, COPAL_OPT_SIZE2) || t->window > 1;
  rq->offset = (uint32_t)(t->resume_at - t->resume_at % block); /* what is behind may be torn */
  rq->etag = rq->offset > 0 ? t->resume_etag : copal_span_none();
  open_window(x);
}

static void wipe_request(run *x)
{
  optset_wipe(&x->options);
  free(x->request.opt_room);
  free(x->window.slots);
  free(x->window.room.ptr);
}

static void make_hooks(run *x)
{
  x->transfer.write = on_write;
  x->transfer.on_event = on_event;
  x->transfer.on_done = on_done;
}

/* Until it is over. */
static void drive(run *x)
{
  copal_transfer *t = &x->transfer;
  const copal_time limit = limit_of(x);
  while (copal_transfer_is_active(t)) {
    session_turn(x->session, limit);
    if (x->is_stalled) {
      x->is_stalled = false;
      (void)copal_transfer_resume(t, session_now());
    }
    if (copal_transfer_is_active(t) && (session_is_interrupted() || session_now() >= limit))
      (void)copal_transfer_cancel(t, session_now());
  }
}

static void run_blocks(run *x)
{
  make_hooks(x);
  fill_request(x);
  x->request.body = x->t->body;
  const int err =
      copal_transfer_start(&x->transfer, session_ep(x->session), &x->request, session_now());
  if (err == COPAL_OK)
    drive(x);
  else
    x->status = err;
  judge(x);
  wipe_request(x);
}

/* Completes the body that the result's reply begins. */
static void run_rest(run *x)
{
  const bool is_small = x->t->body.len <= copal_block_size(x->t->szx);
  reply first = give_reply(x);
  make_hooks(x);
  fill_request(x);
  x->request.restarts = -1;
  x->request.offset = 0;
  x->request.etag = copal_span_none();
  if (x->t->code == COPAL_CODE_FETCH && is_small)
    x->request.body = x->t->body;
  const int err = copal_transfer_adopt(&x->transfer, session_ep(x->session), &x->request,
                                       &first.msg, session_now());
  if (err == COPAL_OK)
    drive(x);
  else
    x->status = err;
  judge(x);
  wipe_request(x);
  reply_wipe(&first);
}

/* ------------------------------------------------------------------------------------------------
 * a single exchange */

/* True when there was a response; otherwise the result is final. */
static bool has_response(run *x)
{
  switch (x->r->reply.kind) {
  case COPAL_EVENT_RESPONSE: return true;
  case COPAL_EVENT_ACK: end(x, TRANSFER_SILENT, NULL); return false;
  case COPAL_EVENT_TIMEOUT: end(x, TRANSFER_TIMEOUT, NULL); return false;
  case COPAL_EVENT_RESET: end(x, TRANSFER_RESET, NULL); return false;
  case COPAL_EVENT_UNREACHABLE: end(x, TRANSFER_UNREACHABLE, NULL); return false;
  default: break; /* canceled */
  }
  end(x, session_is_interrupted() ? TRANSFER_INTERRUPTED : TRANSFER_SILENT, NULL);
  return false;
}

static bool exchange(run *x, const optset *options)
{
  copal_request q = COPAL_REQUEST_INIT;
  q.path = x->t->path;
  q.type = x->t->type;
  q.code = x->t->code;
  q.token = x->t->token;
  q.has_token = x->t->has_token;
  q.opts = options->opts;
  q.opt_count = options->count;
  q.payload = x->t->body;
  q.timeout = x->t->timeout;
  reply_wipe(&x->r->reply);
  const int e = session_request(x->session, &q, x->t->wait, &x->r->reply);
  if (e == COPAL_OK)
    return has_response(x);
  end(x, TRANSFER_FAILED,
      e == COPAL_ENOSPC ? "the message does not fit a datagram" : copal_err_name(e));
  return false;
}

/* A 4.01 with Echo is answered by the same request with that value. */
static bool exchange_verified(run *x)
{
  optset options;
  copal_span echo;
  optset_copy(&options, x->t->options);
  bool ok = exchange(x, &options);
  const reply *got = &x->r->reply;
  if (ok && got->msg.code == COPAL_CODE_UNAUTHORIZED &&
      copal_opt_find(got->msg.options, COPAL_OPT_ECHO, &echo)) {
    optset_set(&options, COPAL_OPT_ECHO, echo);
    ok = exchange(x, &options);
  }
  optset_wipe(&options);
  return ok;
}

static void take_whole(run *x)
{
  const copal_msg msg = x->r->reply.msg;
  const copal_transfer_part part = {.msg = &msg, .bytes = msg.payload, .is_last = true};
  reply got = give_reply(x);
  x->status = COPAL_OK;
  if (copal_code_class(msg.code) != COPAL_CLASS_SUCCESS || msg.code == COPAL_CODE_VALID)
    keep_answer(x, &msg);
  else
    x->status = on_write(&x->transfer, &part);
  reply_wipe(&got);
  judge(x);
}

/* Blocks are named by the caller, or nothing is waited for. */
static void run_single(run *x)
{
  if (!exchange_verified(x))
    return;
  if (optset_has(x->t->options, COPAL_OPT_BLOCK2))
    take_whole(x);
  else
    run_rest(x);
}

/* The library adds these itself, but with other values. */
static bool is_single(const transfer *t)
{
  return t->wait != SESSION_WAIT_RESPONSE || optset_has(t->options, COPAL_OPT_OBSERVE) ||
         optset_has(t->options, COPAL_OPT_BLOCK1) || optset_has(t->options, COPAL_OPT_BLOCK2) ||
         optset_has(t->options, COPAL_OPT_SIZE1) || optset_has(t->options, COPAL_OPT_ECHO);
}

void transfer_run(session *s, const transfer *t, transfer_result *r)
{
  run x;
  if (t->is_qblock && qtransfer_run(s, t, r))
    return;
  *r = (transfer_result){0};
  begin_run(&x, s, t, r);
  if (is_single(t))
    run_single(&x);
  else
    run_blocks(&x);
  end_run(&x);
}

void transfer_rest(session *s, const transfer *t, reply *first, transfer_result *r)
{
  run x;
  const copal_dur rtt = first->rtt;
  *r = (transfer_result){.reply = *first, .exchanges = 1, .retransmits = first->retransmits};
  *first = (reply){0};
  begin_run(&x, s, t, r);
  if (optset_has(t->options, COPAL_OPT_BLOCK2))
    take_whole(&x);
  else
    run_rest(&x);
  end_run(&x);
  r->total += rtt;
}
