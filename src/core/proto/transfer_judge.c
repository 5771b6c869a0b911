/* SPDX-License-Identifier: Apache-2.0 */
/* What the responses of a transfer mean. RFC 7959 sections 2.3 to 2.9, RFC 9175 section 2.3. */
#include "core/proto/transfer.h"

#include <string.h>

static bool is_success(const copal_msg *msg)
{
  return copal_code_class(msg->code) == COPAL_CLASS_SUCCESS;
}

static uint32_t offset_asked(const copal_transfer *t)
{
  const unsigned shift = t->szx2 + (unsigned)TRANSFER_SZX_BIAS;
  return t->received >> shift << shift;
}

int transfer_find_block(const copal_msg *msg, uint16_t number, copal_block *b)
{
  copal_span value;
  if (!copal_opt_find(msg->options, number, &value))
    return COPAL_ENOTFOUND;
  return copal_block_parse(value, b) ? COPAL_EBLOCK : COPAL_OK;
}

void transfer_keep_echo(copal_transfer *t, const copal_msg *msg)
{
  copal_span echo;
  if (!copal_opt_find_valid(msg->options, COPAL_OPT_ECHO, &echo))
    return;
  memcpy(t->echo, echo.ptr, echo.len);
  t->echo_len = (uint8_t)echo.len;
}

/* True for a challenge that is answered by sending the same again: once for each block. */
static bool is_challenge(copal_transfer *t, const copal_msg *msg)
{
  copal_span echo;
  if (msg->code != COPAL_CODE_UNAUTHORIZED || t->has_echoed ||
      !copal_opt_find_valid(msg->options, COPAL_OPT_ECHO, &echo))
    return false;
  t->has_echoed = true;
  return true;
}

static void begin_block(copal_transfer *t)
{
  t->has_echoed = false;
  t->has_repeated = false;
}

/* Begins again if that is still allowed, else the step is `otherwise`. */
static int restart(copal_transfer *t, int otherwise)
{
  const int8_t limit = t->request->restarts ? t->request->restarts : COPAL_TRANSFER_RESTARTS;
  if (t->restarts >= limit)
    return otherwise;
  t->restarts++;
  t->sent = 0;
  t->received = 0;
  t->is_pinned = false;
  begin_block(t);
  return TRANSFER_RESTART;
}

/* The blocks received do not belong to what comes now. What is not safe must not be done twice; and
 * an observer waits for the notification of the change, because notifications that are still under
 * way would be older than what a new request gets. */
static int restart_if_safe(copal_transfer *t, int otherwise)
{
  if (t->relation)
    return COPAL_EINCOMPLETE;
  return copal_code_is_safe(t->request->code) ? restart(t, otherwise) : otherwise;
}

/* The response to an earlier block: a server without deduplication answered twice. */
static int repeat(copal_transfer *t)
{
  if (t->has_repeated)
    return COPAL_EBLOCK;
  t->has_repeated = true;
  return TRANSFER_AGAIN;
}

/* ------------------------------------------------------------------------------- request body */

/* True when 4.13 asks for smaller blocks, or for blocks at all. A server that names a limit below
 * the size of the body means the body. RFC 7959 section 2.9.3. */
static bool wants_smaller(const copal_transfer *t, const copal_msg *msg, uint8_t *szx)
{
  copal_block b;
  const bool has_block = transfer_find_block(msg, COPAL_OPT_BLOCK1, &b) == COPAL_OK;

  if (msg->code != COPAL_CODE_REQUEST_ENTITY_TOO_LARGE ||
      (int64_t)copal_opt_uint_or(msg->options, COPAL_OPT_SIZE1, UINT32_MAX) < transfer_body_size(t))
    return false;
  if (t->is_blockwise) {
    *szx = has_block ? b.szx : t->szx1;
    return *szx < t->szx1;
  }
  if (t->part_len <= copal_block_size(0))
    return false;
  *szx = copal_block_szx_for(t->part_len - 1u);
  if (has_block && b.szx < *szx)
    *szx = b.szx;
  return true;
}

/* The responses that send a request body back to its beginning; TRANSFER_DONE for all others. */
static int judge_refusal(copal_transfer *t, const copal_msg *msg)
{
  uint8_t szx;
  if (msg->code == COPAL_CODE_REQUEST_ENTITY_INCOMPLETE && t->sent > 0)
    return restart(t, TRANSFER_DONE);
  if (!wants_smaller(t, msg, &szx))
    return TRANSFER_DONE;
  t->szx1 = szx;
  t->sent = 0;
  begin_block(t);
  return TRANSFER_AGAIN;
}

/* Servers that want smaller blocks name the block in either size. RFC 7959 section 3.2. */
static bool is_acknowledged(const copal_transfer *t, copal_block b)
{
  return copal_block_offset(b) == t->sent || b.num == t->sent >> (t->szx1 + TRANSFER_SZX_BIAS);
}

static int judge_part(copal_transfer *t, const copal_msg *msg)
{
  copal_block b;
  if (!is_success(msg))
    return judge_refusal(t, msg);
  if (transfer_find_block(msg, COPAL_OPT_BLOCK1, &b) != COPAL_OK)
    return COPAL_EBLOCK;
  if (!is_acknowledged(t, b))
    return copal_block_offset(b) < t->sent ? repeat(t) : COPAL_EBLOCK;
  t->sent += t->part_len;
  if (b.szx < t->szx1)
    t->szx1 = b.szx;
  begin_block(t);
  return TRANSFER_ADVANCE;
}

/* Answers to the request for a block that mean that it is not there (any more). */
static bool is_out_of_range(copal_code code)
{
  return code == COPAL_CODE_BAD_REQUEST || code == COPAL_CODE_BAD_OPTION ||
         code == COPAL_CODE_REQUEST_ENTITY_INCOMPLETE;
}

int transfer_judge_sent(copal_transfer *t, const copal_msg *msg)
{
  if (is_challenge(t, msg))
    return TRANSFER_AGAIN;
  if (!t->is_last)
    return judge_part(t, msg);
  if (transfer_window_doubts(t, msg->code))
    return TRANSFER_RESTART;
  if (t->received && is_out_of_range(msg->code))
    return restart_if_safe(t, TRANSFER_DONE);
  if (!is_success(msg))
    return judge_refusal(t, msg);
  if (msg->code == COPAL_CODE_CONTINUE)
    return COPAL_EBLOCK; /* to wait for more after the end: RFC 7959 section 2.9.1 */
  t->sent += t->part_len;
  return transfer_judge_first(t, msg);
}

/* ------------------------------------------------------------------------------ response body */

static bool has_etag(const copal_transfer *t, const copal_msg *msg)
{
  copal_span etag = copal_span_none();
  (void)copal_opt_find_valid(msg->options, COPAL_OPT_ETAG, &etag);
  return copal_span_is_equal(etag, copal_span_of(t->etag, t->etag_len));
}

static int32_t format_of(const copal_msg *msg)
{
  const uint32_t format = copal_opt_uint_or(msg->options, COPAL_OPT_CONTENT_FORMAT, UINT32_MAX);
  return format > UINT16_MAX ? -1 : (int32_t)format;
}

/* Remembers what all blocks of a representation have in common. */
static void identify(copal_transfer *t, const copal_msg *msg)
{
  copal_span etag;
  t->etag_len = 0;
  if (copal_opt_find_valid(msg->options, COPAL_OPT_ETAG, &etag)) {
    memcpy(t->etag, etag.ptr, etag.len);
    t->etag_len = (uint8_t)etag.len;
  }
  t->code = msg->code;
  t->format = format_of(msg);
}

static bool is_same(const copal_transfer *t, const copal_msg *msg)
{
  return t->code == msg->code && t->format == format_of(msg) && has_etag(t, msg);
}

bool transfer_is_fetching_it(const copal_transfer *t, const copal_msg *msg)
{
  return t->is_fetching && t->received && t->etag_len && is_same(t, msg);
}

static void note_total(copal_transfer *t, const copal_msg *msg)
{
  const uint32_t total = copal_opt_uint_or(msg->options, COPAL_OPT_SIZE2, UINT32_MAX);
  if (total == UINT32_MAX)
    return;
  t->has_total = true;
  t->total = total;
}

/* RFC 7959 section 2.3: a block is full unless it is the last. */
static int judge_size(const copal_msg *msg, copal_block b)
{
  const size_t size = copal_block_size(b.szx);
  if (b.more ? msg->payload.len != size : msg->payload.len > size)
    return COPAL_EBLOCK;
  return b.more && b.num == COPAL_BLOCK_NUM_MAX ? COPAL_ETOOBIG : COPAL_OK;
}

static int take(copal_transfer *t, const copal_msg *msg, copal_block b)
{
  const int err = judge_size(msg, b);
  if (err)
    return err;
  if (msg->payload.len < t->received - copal_block_offset(b))
    return restart_if_safe(t, COPAL_EINCOMPLETE); /* the body ends before the byte to go on with */
  note_total(t, msg);
  begin_block(t);
  return TRANSFER_TAKE;
}

int transfer_judge_first(copal_transfer *t, const copal_msg *msg)
{
  copal_block b;
  const int err = transfer_find_block(msg, COPAL_OPT_BLOCK2, &b);

  t->has_total = false;
  if (!is_success(msg) || msg->code == COPAL_CODE_VALID)
    return TRANSFER_DONE;
  if (err == COPAL_EBLOCK)
    return err;
  if (t->received && (err || (t->is_pinned && !has_etag(t, msg))))
    return restart_if_safe(t, COPAL_EINCOMPLETE);
  identify(t, msg);
  if (err) {
    begin_block(t);
    return TRANSFER_TAKE;
  }
  return copal_block_offset(b) == offset_asked(t) ? take(t, msg, b) : COPAL_EBLOCK;
}

int transfer_judge_fetched(copal_transfer *t, const copal_msg *msg)
{
  copal_block b;
  if (is_challenge(t, msg))
    return TRANSFER_AGAIN;
  if (is_out_of_range(msg->code))
    return restart_if_safe(t, TRANSFER_DONE);
  if (!is_success(msg))
    return t->relation ? COPAL_EINCOMPLETE : TRANSFER_DONE;
  const int err = transfer_find_block(msg, COPAL_OPT_BLOCK2, &b);
  if (err == COPAL_EBLOCK)
    return err;
  if (err || !is_same(t, msg))
    return restart_if_safe(t, COPAL_EINCOMPLETE);
  if (copal_block_offset(b) != offset_asked(t))
    return copal_block_offset(b) < t->received ? repeat(t) : COPAL_EBLOCK;
  return take(t, msg, b);
}

bool transfer_is_expected(const copal_transfer *t, const copal_transfer_slot *slot,
                          const copal_msg *msg)
{
  const uint16_t number = t->is_fetching ? COPAL_OPT_BLOCK2 : COPAL_OPT_BLOCK1;
  copal_block b;
  if (!is_success(msg) || transfer_find_block(msg, number, &b) != COPAL_OK ||
      copal_block_offset(b) != slot->offset)
    return false;
  if (!t->is_fetching)
    return b.szx == t->szx1;
  return b.szx == t->szx2 && is_same(t, msg) && judge_size(msg, b) == COPAL_OK;
}
