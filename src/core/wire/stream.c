/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on reliable transports. RFC 8323 sections 3.2 and 4.2, RFC 8974 section 2.1. */
#include "copal/error.h"
#include "copal/msg.h"
#include "core/base/cursor_join.h"
#include "core/wire/extended.h"
#include "core/wire/msg_body.h"

enum {
  LEN_NIBBLE_32 = 15, /* four extension bytes */
  LEN_EXT_MAX = 4,
  LEN_BIAS_32 = 65805, /* 269 + 2^16 */
  CODE_SIZE = 1,       /* the code stands behind the extended length */
  FIRST_SIZE = 1,      /* Len and TKL */
};

/* Extension bytes announced by a Len nibble: 0, 1, 2 or 4. */
static size_t len_ext_size(unsigned nibble)
{
  if (nibble == LEN_NIBBLE_32)
    return LEN_EXT_MAX;
  return nibble < EXT_BIAS_8 ? 0 : nibble - (EXT_BIAS_8 - 1);
}

/* Extension bytes announced by a TKL nibble: 0, 1 or 2. */
static size_t tkl_ext_size(unsigned nibble)
{
  return nibble < EXT_BIAS_8 ? 0 : nibble - (EXT_BIAS_8 - 1);
}

/* `ext` is the value of the extension bytes. */
static uint64_t extended(unsigned nibble, uint32_t ext)
{
  switch (nibble) {
  case EXT_BIAS_8: return (uint64_t)EXT_BIAS_8 + ext;
  case EXT_NIBBLE_16: return (uint64_t)EXT_BIAS_16 + ext;
  case LEN_NIBBLE_32: return (uint64_t)LEN_BIAS_32 + ext;
  default: return nibble;
  }
}

/* Code and everything behind the fixed part. Signals are allowed here, RFC 8323 section 5. */
static int rest_parse(copal_msg *m, copal_code code, unsigned tkl, copal_rd *r)
{
  m->code = code;
  if (!copal_code_is_empty(code) && !copal_code_is_request(code) && !copal_code_is_response(code) &&
      !copal_code_is_signal(code))
    return COPAL_ECLASS;
  return copal_msg_parse_body(m, tkl, r);
}

int copal_msg_parse_stream(copal_span bytes, copal_msg *m, size_t *used)
{
  *m = (copal_msg){0};
  *used = FIRST_SIZE + CODE_SIZE;
  if (bytes.len == 0)
    return COPAL_EAGAIN;
  copal_rd r = copal_rd_init(bytes);
  const unsigned first = copal_rd_u8(&r);
  const unsigned tkl = first & 15;
  const unsigned len_nibble = first >> 4;
  if (tkl == EXT_NIBBLE_RESERVED)
    return COPAL_EFORMAT;

  const size_t len_ext = len_ext_size(len_nibble);
  const size_t fixed = FIRST_SIZE + len_ext + CODE_SIZE;
  const size_t head = fixed + tkl_ext_size(tkl);
  *used = head;
  if (bytes.len < head)
    return COPAL_EAGAIN;
  const uint64_t len = extended(len_nibble, copal_rd_be(&r, len_ext));
  const copal_code code = copal_rd_u8(&r);
  const uint64_t token = extended(tkl, copal_rd_be(&r, head - fixed));
  const uint64_t total = head + token + len;
  if (total > SIZE_MAX)
    return COPAL_EOVERSIZE;
  *used = (size_t)total;
  if (bytes.len < total)
    return COPAL_EAGAIN;
  r = copal_rd_init(copal_span_of(bytes.ptr + fixed, (size_t)total - fixed));
  return rest_parse(m, code, tkl, &r);
}

int copal_msg_parse_ws(copal_span frame, copal_msg *m)
{
  *m = (copal_msg){0};
  copal_rd r = copal_rd_init(frame);
  const unsigned first = copal_rd_u8(&r);
  const copal_code code = copal_rd_u8(&r);
  if (r.err != COPAL_OK)
    return r.err;
  /* RFC 8323 section 4.2: the frame has the length, so Len must be 0. */
  if (first >> 4 != 0)
    return COPAL_EFORMAT;
  return rest_parse(m, code, first & 15, &r);
}

/* Bytes of options, payload marker and payload. */
static size_t body_size(const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  size_t size = opts == NULL ? m->options.len : 0;
  uint16_t last = 0;
  for (size_t i = 0; opts != NULL && i < opt_count; i++) {
    const size_t len = opts[i].value.len;
    size += 1 + ext_size((size_t)opts[i].number - last) + ext_size(len) + len;
    last = opts[i].number;
  }
  return m->payload.len > 0 ? size + 1 + m->payload.len : size;
}

/* Writes Len with its extension bytes in front of the code; the TKL nibble is still 0. Returns what
 * stands behind the code. */
static uint8_t *len_put(copal_wr *w, uint8_t *head, size_t len, copal_code code)
{
  uint8_t *p = head + FIRST_SIZE;
  unsigned nibble = LEN_NIBBLE_32;
  if (len < LEN_BIAS_32) {
    nibble = ext_put(w, &p, len);
  } else {
    copal_wr ext = copal_wr_init((copal_mspan){p, LEN_EXT_MAX});
    copal_wr_be(&ext, (uint32_t)(len - LEN_BIAS_32), LEN_EXT_MAX);
    p += LEN_EXT_MAX;
  }
  head[0] = (uint8_t)(nibble << 4);
  *p++ = code;
  return p;
}

int copal_msg_write_stream(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  uint8_t head[FIRST_SIZE + LEN_EXT_MAX + CODE_SIZE + EXT_SIZE_MAX];
  const size_t len = body_size(m, opts, opt_count);
  const uint64_t wide = len; /* a 32-bit size cannot be too large */
  if (wide > (uint64_t)LEN_BIAS_32 + UINT32_MAX)
    copal_wr_fail(w, COPAL_EINVAL);
  uint8_t *p = len_put(w, head, len, m->code);
  head[0] |= (uint8_t)ext_put(w, &p, m->token.len);
  copal_wr_pair(w, head, (size_t)(p - head), &m->token);
  return copal_msg_put_body(w, m, opts, opt_count);
}

int copal_msg_write_ws(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  uint8_t head[FIRST_SIZE + CODE_SIZE + EXT_SIZE_MAX];
  uint8_t *p = len_put(w, head, 0, m->code);
  head[0] = (uint8_t)ext_put(w, &p, m->token.len);
  copal_wr_pair(w, head, (size_t)(p - head), &m->token);
  return copal_msg_put_body(w, m, opts, opt_count);
}
