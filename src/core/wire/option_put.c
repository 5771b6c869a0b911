/* SPDX-License-Identifier: Apache-2.0 */
/* Writing option runs. RFC 7252 section 3.1. */
#include "copal/error.h"
#include "copal/option.h"
#include "core/wire/option_next.h"

/* Bytes for the extensions of delta and length, which are four at most: with no more than that,
 * compilers that inline across files see a memcpy() beyond the end, which is never reached. */
enum { EXTS_SIZE = 16 };

unsigned copal_ext_put_long(copal_wr *w, uint8_t **p, size_t v)
{
  v -= EXT_BIAS_8;
  if (v < EXT_BIAS_16 - EXT_BIAS_8) {
    *(*p)++ = (uint8_t)v;
    return EXT_BIAS_8;
  }
  v -= EXT_BIAS_16 - EXT_BIAS_8;
  if (v > EXT_MAX - EXT_BIAS_16)
    w->err = COPAL_EINVAL;
  *(*p)++ = (uint8_t)(v >> 8);
  *(*p)++ = (uint8_t)v;
  return EXT_NIBBLE_16;
}

copal_opt_wr copal_opt_wr_init(copal_wr *w)
{
  copal_opt_wr o;
  o.w = w;
  o.last = 0;
  return o;
}

void copal_opt_put_long(copal_wr *w, size_t delta, copal_span value)
{
  uint8_t ext[EXTS_SIZE];
  uint8_t *p = ext;
  unsigned head = ext_put(w, &p, delta) << 4;
  head |= ext_put(w, &p, value.len);
  copal_wr_join(w, ext, (size_t)(p - ext), head);
  copal_wr_bytes(w, value.ptr, value.len);
}

void copal_opt_put(copal_opt_wr *o, uint16_t number, copal_span value)
{
  const size_t delta = (size_t)number - o->last;
  o->last = number;
  opt_put_next(o->w, delta, value);
}

void copal_opt_put_uint(copal_opt_wr *o, uint16_t number, uint32_t value)
{
  uint8_t bytes[4];
  size_t at = sizeof bytes;
  for (; value != 0; value >>= 8)
    bytes[--at] = (uint8_t)value;
  copal_opt_put(o, number, copal_span_of(bytes + at, sizeof bytes - at));
}
