/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of a transfer: their options and blocks. RFC 7959 sections 2.3 to 2.7 and 4, RFC
 * 9175 sections 2.3 and 3.4. */
#include "core/proto/transfer.h"

/* The options of one message, put together in the room of the caller. */
typedef struct draft {
  copal_opt *opts;
  size_t count;
  size_t uint_count;
  uint8_t uints[4][4]; /* Block1, Block2, Size1, Request-Tag */
} draft;

static void add(draft *d, uint16_t number, copal_span value)
{
  size_t at = d->count++;
  for (; at > 0 && d->opts[at - 1].number > number; at--)
    d->opts[at] = d->opts[at - 1];
  d->opts[at] = (copal_opt){number, value};
}

static void add_uint(draft *d, uint16_t number, uint32_t value)
{
  uint8_t *bytes = d->uints[d->uint_count++];
  const size_t size = copal_uint_size(value);
  for (size_t i = size; i > 0; i--, value >>= 8)
    bytes[i - 1] = (uint8_t)value;
  add(d, number, copal_span_of(bytes, size));
}

static void add_block(draft *d, uint16_t number, uint32_t offset, bool more, uint8_t szx)
{
  const copal_block b = {.num = offset >> (szx + TRANSFER_SZX_BIAS), .more = more, .szx = szx};
  add_uint(d, number, copal_block_value(b));
}

/* The options of the caller; If-None-Match goes with the first block only, for the resource may be
 * there afterwards. RFC 7959 section 2.10. */
static void add_callers(draft *d, const copal_transfer_request *rq, bool is_first)
{
  for (size_t i = 0; i < rq->opt_count; i++) {
    if (is_first || rq->opts[i].number != COPAL_OPT_IF_NONE_MATCH)
      d->opts[d->count++] = rq->opts[i];
  }
}

/* What asks for the response body with the end of the request body. RFC 7959 section 2.4. */
static void add_wishes(draft *d, const copal_transfer *t)
{
  const copal_transfer_request *rq = t->request;
  const bool is_early = rq->block_size && !rq->negotiates_late;

  if (is_early || t->received)
    add_block(d, COPAL_OPT_BLOCK2, t->received, false, t->szx2);
  if (rq->asks_size)
    add(d, COPAL_OPT_SIZE2, copal_span_none());
}

/* Only the end of a request body registers the observation: what is answered before it is no
 * representation. */
static void add_sending(draft *d, const copal_transfer *t)
{
  const int64_t size = transfer_body_size(t);

  if (t->request->is_observe && t->is_last)
    add(d, COPAL_OPT_OBSERVE, copal_span_none());
  if (t->is_blockwise)
    add_block(d, COPAL_OPT_BLOCK1, t->sent, !t->is_last, t->szx1);
  if (t->is_blockwise && t->sent == 0 && size >= 0)
    add_uint(d, COPAL_OPT_SIZE1, (uint32_t)size);
  if (t->is_last)
    add_wishes(d, t);
}

static void add_state(draft *d, const copal_transfer *t)
{
  if (t->tag)
    add_uint(d, COPAL_OPT_REQUEST_TAG, t->tag);
  if (t->echo_len)
    add(d, COPAL_OPT_ECHO, copal_span_of(t->echo, t->echo_len));
}

static void fill_options(draft *d, const copal_transfer *t)
{
  add_callers(d, t->request, !t->is_fetching && t->sent == 0);
  if (t->is_fetching)
    add_block(d, COPAL_OPT_BLOCK2, t->received, false, t->szx2);
  else
    add_sending(d, t);
  add_state(d, t);
}

/* The observation keeps its token for itself. */
static void fill_token(copal_request *q, const copal_transfer *t)
{
  if (t->relation)
    return;
  q->token = t->token_len ? copal_span_of(t->token, t->token_len) : t->request->token;
  q->has_token = t->request->has_token || q->token.len > 0;
}

static copal_request request_with(copal_transfer *t, const draft *d, copal_span payload)
{
  const copal_transfer_request *rq = t->request;
  copal_request q = COPAL_REQUEST_INIT;

  q.path = rq->path;
  q.type = rq->type;
  q.code = rq->code;
  q.opts = d->opts;
  q.opt_count = d->count;
  q.payload = payload;
  q.timeout = rq->timeout;
  q.client = &t->client;
  return q;
}

static int launch(copal_transfer *t, copal_span payload, copal_time now)
{
  draft d = {.opts = t->request->opt_room};

  fill_options(&d, t);
  copal_request q = request_with(t, &d, payload);
  fill_token(&q, t);
  return copal_ep_request(t->ep, &q, &t->exchange, now);
}

int64_t transfer_body_size(const copal_transfer *t)
{
  return t->read ? t->request->body_size : (int64_t)t->request->body.len;
}

/* The part of the request body at `offset`, at most `size` bytes. */
static int read_part(copal_transfer *t, uint32_t offset, size_t size, copal_span *part,
                     bool *is_end)
{
  const copal_transfer_request *rq = t->request;
  const int64_t total = transfer_body_size(t);
  if (!t->read) {
    const size_t left = rq->body.len - offset;
    *is_end = left <= size;
    *part = copal_span_of(rq->body.ptr + offset, *is_end ? left : size);
    return COPAL_OK;
  }
  if (total >= 0 && size > (uint64_t)total - offset)
    size = (size_t)((uint64_t)total - offset);
  *is_end = false;
  const int n = size ? t->read(t, offset, (copal_mspan){rq->block_room.ptr, size}, is_end) : 0;
  if (n < 0)
    return n;
  *part = copal_span_of(rq->block_room.ptr, (size_t)n);
  if (total < 0) {
    *is_end = *is_end || part->len < size;
    return COPAL_OK;
  }
  *is_end = offset + part->len == (uint64_t)total;
  return part->len == size ? COPAL_OK : COPAL_EINVAL;
}

/* The payload of a FETCH belongs to what is asked, so it goes with every block unless it went in
 * blocks itself. RFC 7959 section 2.7, RFC 8132 section 2. */
static int read_query(copal_transfer *t, copal_span *payload)
{
  bool is_end;
  *payload = copal_span_none();
  if (t->request->code != COPAL_CODE_FETCH || t->is_blockwise)
    return COPAL_OK;
  return read_part(t, 0, copal_block_size(t->szx1), payload, &is_end);
}

static int send_fetch(copal_transfer *t, copal_time now)
{
  copal_span payload;
  const int err = read_query(t, &payload);
  return err ? err : launch(t, payload, now);
}

int transfer_send_slot(copal_transfer *t, copal_transfer_slot *slot, copal_time now)
{
  draft d = {.opts = t->request->opt_room};
  copal_span payload = copal_span_of(t->request->body.ptr + slot->offset, slot->len);

  add_callers(&d, t->request, false);
  if (t->is_fetching) {
    const int err = read_query(t, &payload);
    if (err)
      return err;
    add_block(&d, COPAL_OPT_BLOCK2, slot->offset, false, t->szx2);
  } else {
    add_block(&d, COPAL_OPT_BLOCK1, slot->offset, true, t->szx1);
  }
  add_state(&d, t);
  const copal_request q = request_with(t, &d, payload);
  return copal_ep_request(t->ep, &q, &slot->exchange, now);
}

static int send_block(copal_transfer *t, copal_time now)
{
  copal_span payload;
  bool is_end;
  const int err = read_part(t, t->sent, copal_block_size(t->szx1), &payload, &is_end);
  if (err)
    return err;
  t->is_last = is_end;
  t->part_len = (uint16_t)payload.len;
  if (!is_end && !t->is_blockwise) {
    t->is_blockwise = true;
    transfer_set_tag(t);
  }
  if (t->sent >> (t->szx1 + TRANSFER_SZX_BIAS) > COPAL_BLOCK_NUM_MAX)
    return COPAL_ETOOBIG;
  return launch(t, payload, now);
}

/* Options may leave less room in a datagram than a block takes. */
int transfer_send(copal_transfer *t, copal_time now)
{
  if (t->is_fetching)
    return send_fetch(t, now);
  int err = send_block(t, now);
  while (err == COPAL_ENOSPC && t->part_len > copal_block_size(0) && t->szx1 > 0) {
    t->szx1--;
    err = send_block(t, now);
  }
  return err;
}
