/* SPDX-License-Identifier: Apache-2.0 */
/* A request with bodies of any size, one block at a time. RFC 7959 sections 2.3 to 2.9. */
#include "cmd/copal/transfer.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "cmd/copal/qtransfer.h"
#include "copal/error.h"
#include "copal/registry.h"

enum {
  RESTARTS_MAX = 3, /* of a body that changes while it is read, or that the server forgets */
  TOKEN_SIZE = 8,   /* RFC 7252 section 5.3.1 */
};

typedef enum step { STEP_NEXT, STEP_DONE, STEP_STOP, STEP_RESTART } step;

/* A transfer under way. */
typedef struct run {
  session *session;
  const transfer *t;
  transfer_result *r;
  copal_time start;
  buf echo; /* the server's last Echo value */
  uint8_t szx;
  unsigned restarts;
  uint8_t token[TOKEN_SIZE]; /* of all blocks of an upload */
  bool has_token;
  size_t resume_at; /* 0: from the beginning */
  size_t total;     /* of the body, as the server estimates it; 0: unknown */
} run;

void transfer_result_wipe(transfer_result *r)
{
  reply_wipe(&r->reply);
  buf_wipe(&r->body);
  *r = (transfer_result){0};
}

static bool end(run *x, transfer_outcome outcome, const char *why)
{
  x->r->outcome = outcome;
  x->r->why = why;
  return false;
}

/* True when there was a response; otherwise the result is final. */
static bool classify(run *x, const reply *got)
{
  switch (got->kind) {
  case COPAL_EVENT_RESPONSE: return true;
  case COPAL_EVENT_ACK: return end(x, TRANSFER_SILENT, NULL);
  case COPAL_EVENT_TIMEOUT: return end(x, TRANSFER_TIMEOUT, NULL);
  case COPAL_EVENT_RESET: return end(x, TRANSFER_RESET, NULL);
  case COPAL_EVENT_UNREACHABLE: return end(x, TRANSFER_UNREACHABLE, NULL);
  default: break; /* canceled */
  }
  return end(x, session_is_interrupted() ? TRANSFER_INTERRUPTED : TRANSFER_SILENT, NULL);
}

/* Time left of the whole transfer; 0: unlimited. */
static bool time_left(run *x, copal_dur *left)
{
  const copal_time used = session_now() - x->start;
  *left = 0;
  if (x->t->timeout == 0)
    return true;
  if (used >= x->t->timeout)
    return end(x, TRANSFER_TIMEOUT, NULL);
  *left = (copal_dur)(x->t->timeout - used);
  return true;
}

static void fill_request(const run *x, const optset *options, copal_span payload, copal_dur timeout,
                         copal_request *q)
{
  q->path = x->t->path;
  q->type = x->t->type;
  q->code = x->t->code;
  q->token = x->has_token ? copal_span_of(x->token, sizeof x->token) : x->t->token;
  q->has_token = x->has_token || x->t->has_token;
  q->opts = options->opts;
  q->opt_count = options->count;
  q->payload = payload;
  q->timeout = timeout;
}

/* One exchange. The reply replaces the result's; returns true for a response. */
static bool exchange_once(run *x, const optset *options, copal_span payload)
{
  copal_request q = COPAL_REQUEST_INIT;
  copal_dur timeout;
  if (!time_left(x, &timeout))
    return false;
  fill_request(x, options, payload, timeout, &q);
  reply got;
  const int e = session_request(x->session, &q, x->t->wait, &got);
  if (e != COPAL_OK) {
    reply_wipe(&got);
    return end(x, TRANSFER_FAILED,
               e == COPAL_ENOSPC ? "the options do not fit a datagram" : copal_err_name(e));
  }
  reply_wipe(&x->r->reply);
  x->r->reply = got;
  x->r->exchanges++;
  x->r->retransmits += got.retransmits;
  return classify(x, &got);
}

/* One exchange; a 4.01 with Echo is answered by the same request with that value. RFC 9175 section
 * 2.3. */
static bool exchange(run *x, optset *options, copal_span payload)
{
  for (int tries = 0;; tries++) {
    copal_span echo;
    if (x->echo.len > 0)
      optset_set(options, COPAL_OPT_ECHO, buf_span(&x->echo));
    if (!exchange_once(x, options, payload))
      return false;
    const copal_msg *m = &x->r->reply.msg;
    if (!copal_opt_find(m->options, COPAL_OPT_ECHO, &echo))
      return true;
    x->echo.len = 0;
    buf_put_span(&x->echo, echo);
    if (m->code != COPAL_CODE_UNAUTHORIZED || tries > 0)
      return true;
  }
}

static bool find_block(const reply *got, uint16_t number, copal_block *b)
{
  copal_span value;
  return copal_opt_find(got->msg.options, number, &value) &&
         copal_block_parse(value, b) == COPAL_OK;
}

static bool is_success(const reply *got)
{
  return copal_code_class(got->msg.code) == COPAL_CLASS_SUCCESS;
}

/* ------------------------------------------------------------------------------------------------
 * download */

static bool has_same_etag(copal_span options, const buf *etag, bool has_etag)
{
  copal_span value;
  const bool has = copal_opt_find(options, COPAL_OPT_ETAG, &value);
  return has == has_etag && (!has || copal_span_is_equal(value, buf_span(etag)));
}

static void report_progress(const run *x, size_t done, size_t total)
{
  if (x->t->monitor)
    x->t->monitor->on_progress(x->t->monitor, done, total);
}

static bool store_failed(run *x)
{
  x->r->reply.errnum = errno;
  return end(x, TRANSFER_STORE, x->t->sink->name);
}

/* Opens the body at its byte `at`. */
static bool begin_body(run *x, const reply *first, size_t at)
{
  x->r->body.len = 0;
  x->r->size = at;
  x->total = copal_opt_uint_or(first->msg.options, COPAL_OPT_SIZE2, 0);
  return !x->t->sink || x->t->sink->begin(x->t->sink, first, at) == 0 || store_failed(x);
}

static bool put_body(run *x, copal_span bytes)
{
  if (!x->t->sink)
    buf_put_span(&x->r->body, bytes);
  else if (x->t->sink->put(x->t->sink, bytes) != 0)
    return store_failed(x);
  x->r->size += bytes.len;
  return true;
}

/* The response is all there is; what is no representation never reaches a sink. */
static step take_whole(run *x)
{
  const reply *got = &x->r->reply;
  const bool is_body = is_success(got) && got->msg.code != COPAL_CODE_VALID;
  end(x, TRANSFER_RESPONSE, NULL);
  if (x->t->sink && is_body)
    return begin_body(x, got, 0) && put_body(x, got->msg.payload) ? STEP_DONE : STEP_STOP;
  x->r->body.len = 0;
  buf_put_span(&x->r->body, got->msg.payload);
  x->r->size = got->msg.payload.len;
  return STEP_DONE;
}

/* Appends a block that continues the body. Returns false when it cannot. RFC 7959 section 2.2. */
static bool append_block(run *x, const reply *got, copal_block b)
{
  const copal_span payload = got->msg.payload;
  if (copal_block_offset(b) != x->r->size)
    return end(x, TRANSFER_INVALID, "the server sent another block than the one asked for");
  if (b.more ? payload.len != copal_block_size(b.szx) : payload.len > copal_block_size(b.szx))
    return end(x, TRANSFER_INVALID, "a block has not the size it claims");
  if (b.more && b.num == COPAL_BLOCK_NUM_MAX)
    return end(x, TRANSFER_INVALID, "the body has more blocks than can be numbered");
  if (!put_body(x, payload))
    return false;
  report_progress(x, x->r->size, x->total);
  return true;
}

/* What the next request for a block is. The payload of a FETCH belongs to the cache key, so it is
 * repeated; other bodies are not. RFC 7959 section 2.7, RFC 8132 section 2. */
static void continue_options(const run *x, copal_block last, optset *options)
{
  const uint32_t at = (uint32_t)x->r->size;
  const copal_block next = {.num = at >> (last.szx + 4), .more = false, .szx = last.szx};
  optset_copy(options, x->t->options);
  optset_remove(options, COPAL_OPT_BLOCK1);
  optset_remove(options, COPAL_OPT_SIZE1);
  optset_set_uint(options, COPAL_OPT_BLOCK2, copal_block_value(next));
}

/* Fetches one block behind those already there. `*first` is kept as the result's reply. */
static step fetch_block(run *x, reply *first, const buf *etag, bool has_etag, copal_block *last)
{
  optset options;
  continue_options(x, *last, &options);
  const bool is_small_fetch =
      x->t->code == COPAL_CODE_FETCH && x->t->body.len <= copal_block_size(x->szx);
  const bool ok = exchange(x, &options, is_small_fetch ? x->t->body : copal_span_none());
  optset_wipe(&options);
  if (!ok)
    return STEP_STOP;
  const reply *got = &x->r->reply;
  if (got->msg.code == COPAL_CODE_REQUEST_ENTITY_INCOMPLETE)
    return STEP_RESTART;
  if (!is_success(got)) {
    take_whole(x);
    return STEP_STOP;
  }
  if (got->msg.code != first->msg.code || !has_same_etag(got->msg.options, etag, has_etag))
    return STEP_RESTART;
  if (!find_block(got, COPAL_OPT_BLOCK2, last)) {
    end(x, TRANSFER_INVALID, "a block came without Block2 option");
    return STEP_STOP;
  }
  if (!append_block(x, got, *last))
    return STEP_STOP;
  return last->more ? STEP_NEXT : STEP_DONE;
}

/* Fetches the rest of a body whose first block is the result's reply. */
static step fetch_rest(run *x, copal_block last, size_t at)
{
  reply first = x->r->reply;
  buf etag = {0};
  copal_span value;
  const bool has_etag = copal_opt_find(first.msg.options, COPAL_OPT_ETAG, &value);
  if (has_etag)
    buf_put_span(&etag, value);
  x->r->reply = (reply){0};
  const bool ok = begin_body(x, &first, at) && append_block(x, &first, last);
  step next = !ok ? STEP_STOP : last.more ? STEP_NEXT : STEP_DONE;
  while (next == STEP_NEXT)
    next = fetch_block(x, &first, &etag, has_etag, &last);
  if (next == STEP_DONE) {
    reply_wipe(&x->r->reply);
    x->r->reply = first;
    end(x, TRANSFER_RESPONSE, NULL);
  } else {
    reply_wipe(&first);
  }
  buf_wipe(&etag);
  if (next == STEP_RESTART && !copal_code_is_safe(x->t->code)) {
    /* Beginning again would carry the request out twice. */
    end(x, TRANSFER_INVALID, "the response changed while it was read");
    return STEP_STOP;
  }
  return next;
}

/* Looks at the response to the request proper and fetches what is missing of its body. */
static step receive_body(run *x)
{
  const reply *got = &x->r->reply;
  copal_block b;
  const bool is_single = optset_has(x->t->options, COPAL_OPT_BLOCK2);
  if (is_single || !is_success(got) || !find_block(got, COPAL_OPT_BLOCK2, &b))
    return take_whole(x);
  if (b.num != 0) {
    end(x, TRANSFER_INVALID, "the server began with another block than the first");
    return STEP_STOP;
  }
  return b.more ? fetch_rest(x, b, 0) : take_whole(x);
}

/* Answers to the request for a block that mean that there is no such block any more. */
static bool is_out_of_range(copal_code code)
{
  return code == COPAL_CODE_BAD_REQUEST || code == COPAL_CODE_BAD_OPTION ||
         code == COPAL_CODE_REQUEST_ENTITY_INCOMPLETE;
}

/* Goes on with a body of which a part is there; when it is no longer the same representation, it
 * begins again. RFC 7959 section 2.4. */
static step resume_body(run *x)
{
  const copal_block from = {.num = (uint32_t)(x->resume_at >> (x->szx + 4)), .szx = x->szx};
  const size_t at = x->resume_at;
  const buf etag = {.ptr = (char *)(uintptr_t)x->t->resume_etag.ptr, .len = x->t->resume_etag.len};
  optset options;
  copal_block b;
  x->resume_at = 0; /* one attempt */
  optset_copy(&options, x->t->options);
  optset_set_uint(&options, COPAL_OPT_BLOCK2, copal_block_value(from));
  const bool ok = exchange(x, &options, copal_span_none());
  optset_wipe(&options);
  if (!ok)
    return STEP_STOP;
  const reply *got = &x->r->reply;
  if (is_out_of_range(got->msg.code))
    return STEP_RESTART;
  if (!is_success(got))
    return take_whole(x);
  if (!has_same_etag(got->msg.options, &etag, true) || !find_block(got, COPAL_OPT_BLOCK2, &b) ||
      copal_block_offset(b) != at)
    return STEP_RESTART;
  return fetch_rest(x, b, at);
}

/* ------------------------------------------------------------------------------------------------
 * upload */

static void add_early_size(const run *x, optset *options)
{
  const copal_block b = {.num = 0, .more = false, .szx = x->t->szx};
  if (x->t->has_szx && !optset_has(options, COPAL_OPT_BLOCK2))
    optset_set_uint(options, COPAL_OPT_BLOCK2, copal_block_value(b));
}

/* Sends the block at `at`. */
static bool send_block(run *x, size_t at)
{
  const size_t left = x->t->body.len - at;
  const size_t size = copal_block_size(x->szx);
  const copal_block b = {.num = (uint32_t)(at >> (x->szx + 4)), .more = left > size, .szx = x->szx};
  optset options;
  optset_copy(&options, x->t->options);
  optset_set_uint(&options, COPAL_OPT_BLOCK1, copal_block_value(b));
  if (at == 0)
    optset_set_uint(&options, COPAL_OPT_SIZE1, (uint32_t)x->t->body.len);
  else
    optset_remove(&options, COPAL_OPT_IF_NONE_MATCH); /* RFC 7959 section 2.10 */
  if (!b.more)
    add_early_size(x, &options);
  const bool ok = exchange(x, &options, copal_span_of(x->t->body.ptr + at, b.more ? size : left));
  optset_wipe(&options);
  return ok;
}

/* The server wants smaller blocks than those sent. */
static bool wants_smaller(const run *x, copal_block *b)
{
  return find_block(&x->r->reply, COPAL_OPT_BLOCK1, b) && b->szx < x->szx;
}

/* Judges the response to a block that is not the last. */
static step continue_upload(run *x, size_t *at)
{
  const reply *got = &x->r->reply;
  copal_block b;
  if (got->msg.code == COPAL_CODE_REQUEST_ENTITY_INCOMPLETE && *at > 0)
    return STEP_RESTART;
  if (got->msg.code == COPAL_CODE_REQUEST_ENTITY_TOO_LARGE && wants_smaller(x, &b)) {
    x->szx = b.szx;
    return STEP_RESTART;
  }
  if (!is_success(got))
    return STEP_DONE;
  if (!find_block(got, COPAL_OPT_BLOCK1, &b)) {
    end(x, TRANSFER_INVALID, "the server answered a block without Block1 option");
    return STEP_STOP;
  }
  if (b.num != *at >> (x->szx + 4)) {
    end(x, TRANSFER_INVALID, "the server acknowledged another block than the one sent");
    return STEP_STOP;
  }
  *at += copal_block_size(x->szx);
  if (b.szx < x->szx)
    x->szx = b.szx;
  report_progress(x, *at, x->t->body.len);
  return STEP_NEXT;
}

/* The response to the last block: that of the whole request, or a reason to begin again. */
static step finish_upload(run *x, size_t at)
{
  const copal_code code = x->r->reply.msg.code;
  copal_block b;
  if (code == COPAL_CODE_REQUEST_ENTITY_INCOMPLETE && at > 0)
    return STEP_RESTART;
  if (code == COPAL_CODE_REQUEST_ENTITY_TOO_LARGE && wants_smaller(x, &b)) {
    x->szx = b.szx;
    return STEP_RESTART;
  }
  if (code == COPAL_CODE_CONTINUE) {
    end(x, TRANSFER_INVALID, "the server waits for more after the last block");
    return STEP_STOP;
  }
  return STEP_DONE;
}

static step upload_blocks(run *x)
{
  size_t at = 0;
  for (;;) {
    const bool is_last = x->t->body.len - at <= copal_block_size(x->szx);
    if (!send_block(x, at))
      return STEP_STOP;
    const step next = is_last ? finish_upload(x, at) : continue_upload(x, &at);
    if (next != STEP_NEXT)
      return next;
  }
}

/* Whether 4.13 is a hint to try Block1, and with which size. A server that names a limit below the
 * body's size means it. RFC 7959 section 2.9.3. */
static bool is_split_hint(const run *x, uint8_t *szx)
{
  const reply *got = &x->r->reply;
  copal_block b;
  const size_t len = x->t->body.len;
  if (got->msg.code != COPAL_CODE_REQUEST_ENTITY_TOO_LARGE || len <= copal_block_size(0) ||
      optset_has(x->t->options, COPAL_OPT_BLOCK1) ||
      copal_opt_uint_or(got->msg.options, COPAL_OPT_SIZE1, UINT32_MAX) < len)
    return false;
  *szx = find_block(got, COPAL_OPT_BLOCK1, &b) ? b.szx : copal_block_szx_for(len - 1);
  return copal_block_size(*szx) < len;
}

static step send_whole(run *x)
{
  optset options;
  optset_copy(&options, x->t->options);
  add_early_size(x, &options);
  const bool ok = exchange(x, &options, x->t->body);
  optset_wipe(&options);
  if (!ok)
    return STEP_STOP;
  return is_split_hint(x, &x->szx) ? upload_blocks(x) : STEP_DONE;
}

/* Options take room from the payload; a smaller block keeps the datagram within what RFC 7252
 * section 4.6 assumes to pass everywhere. */
static uint8_t fitting_szx(const transfer *t)
{
  enum { DATAGRAM_MAX = 1152, FIXED = COPAL_HEADER_SIZE + COPAL_TOKEN_MAX + 1, BLOCK_OPTIONS = 16 };
  const size_t used = FIXED + BLOCK_OPTIONS + optset_wire_size(t->options);
  const uint8_t fits = used + 16 < DATAGRAM_MAX ? copal_block_szx_for(DATAGRAM_MAX - used) : 0;
  return fits < t->szx ? fits : t->szx;
}

/* An upload with one token for all its blocks: RFC 7959 does not ask for it, but some servers tell
 * bodies apart by it. Non-confirmable blocks keep tokens of their own, because late answers to them
 * could be taken for answers to the next. */
static step upload_with_one_token(run *x)
{
  x->has_token = x->t->type == COPAL_CON && !x->t->has_token &&
                 getrandom(x->token, sizeof x->token, 0) == (ssize_t)sizeof x->token;
  const step next = upload_blocks(x);
  x->has_token = false;
  return next;
}

/* One attempt at all of it. */
static step run_once(run *x)
{
  const transfer *t = x->t;
  if (x->resume_at > 0)
    return resume_body(x);
  const bool is_large = t->body.len > copal_block_size(x->szx);
  const step next = is_large && !optset_has(t->options, COPAL_OPT_BLOCK1) ? upload_with_one_token(x)
                                                                          : send_whole(x);
  return next == STEP_DONE ? receive_body(x) : next;
}

/* Beginning again has not helped. */
static void give_up(run *x)
{
  const reply *got = &x->r->reply;
  if (got->kind == COPAL_EVENT_RESPONSE && !is_success(got))
    take_whole(x);
  else
    end(x, TRANSFER_INVALID, "the representation keeps changing while it is read");
}

void transfer_run(session *s, const transfer *t, transfer_result *r)
{
  run x = {.session = s,
           .t = t,
           .r = r,
           .start = session_now(),
           .szx = fitting_szx(t),
           .resume_at = t->resume_at};
  step next;
  if (t->is_qblock && qtransfer_run(s, t, r))
    return;
  *r = (transfer_result){0};
  x.resume_at -= x.resume_at % copal_block_size(x.szx);
  do
    next = run_once(&x);
  while (next == STEP_RESTART && x.restarts++ < RESTARTS_MAX);
  if (next == STEP_RESTART)
    give_up(&x);
  r->total = (copal_dur)(session_now() - x.start);
  buf_wipe(&x.echo);
}

void transfer_rest(session *s, const transfer *t, reply *first, transfer_result *r)
{
  run x = {.session = s, .t = t, .r = r, .start = session_now(), .szx = fitting_szx(t)};
  *r = (transfer_result){.reply = *first, .exchanges = 1, .retransmits = first->retransmits};
  *first = (reply){0};
  if (receive_body(&x) == STEP_RESTART)
    end(&x, TRANSFER_CHANGED, NULL);
  r->total = (copal_dur)(session_now() - x.start) + r->reply.rtt;
  buf_wipe(&x.echo);
}
