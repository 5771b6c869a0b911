/* SPDX-License-Identifier: Apache-2.0 */
/* Writing option runs. RFC 7252 section 3.1. */
#include "copal/error.h"
#include "copal/option.h"
#include "core/base/cursor_join.h"
#include "core/wire/extended.h"
#include "core/wire/option_next.h"

/* Bytes in front of a value: one, and the extensions of delta and length. */
enum { HEAD_SIZE_MAX = 1 + 2 * EXT_SIZE_MAX };

unsigned copal_ext_put(copal_wr *w, uint8_t **p, size_t v)
{
  uint8_t *at = *p;
  unsigned nibble = EXT_BIAS_8;
  if (v < EXT_BIAS_8)
    return (unsigned)v;
  v -= EXT_BIAS_8;
  if (v >= EXT_BIAS_16 - EXT_BIAS_8) {
    v -= EXT_BIAS_16 - EXT_BIAS_8;
    if (v > EXT_MAX - EXT_BIAS_16)
      copal_wr_fail(w, COPAL_EINVAL);
    nibble = EXT_NIBBLE_16;
    *at++ = (uint8_t)(v >> 8);
  }
  *at++ = (uint8_t)v;
  *p = at;
  return nibble;
}

copal_opt_wr copal_opt_wr_init(copal_wr *w)
{
  copal_opt_wr o;
  o.w = w;
  o.last = 0;
  return o;
}

void copal_opt_put_next(copal_wr *w, size_t delta, const copal_span *value)
{
  uint8_t head[HEAD_SIZE_MAX];
  uint8_t *p = head + 1;
  const unsigned nibble = copal_ext_put(w, &p, delta);
  head[0] = (uint8_t)(nibble << 4 | copal_ext_put(w, &p, value->len));
  copal_wr_pair(w, head, (size_t)(p - head), value);
}

void copal_opt_put(copal_opt_wr *o, uint16_t number, copal_span value)
{
  const size_t delta = (size_t)number - o->last;
  o->last = number;
  copal_opt_put_next(o->w, delta, &value);
}

void copal_opt_put_uint(copal_opt_wr *o, uint16_t number, uint32_t value)
{
  uint8_t bytes[4];
  size_t at = sizeof bytes;
  for (; value != 0; value >>= 8)
    bytes[--at] = (uint8_t)value;
  copal_opt_put(o, number, copal_span_of(bytes + at, sizeof bytes - at));
}
