/* SPDX-License-Identifier: Apache-2.0 */
/* Writing option runs. RFC 7252 section 3.1. */
#include "copal/error.h"
#include "copal/option.h"
#include "core/base/cursor_join.h"
#include "core/wire/extended.h"

enum { HEAD_MAX = 5 }; /* both nibbles, two extended delta bytes, two extended length bytes */

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

void copal_opt_put(copal_opt_wr *o, uint16_t number, copal_span value)
{
  uint8_t head[HEAD_MAX];
  uint8_t *p = head + 1;
  copal_wr *w = o->w;
  /* A descending number yields a delta beyond every limit. */
  head[0] = (uint8_t)(ext_put(w, &p, (size_t)number - o->last) << 4);
  head[0] |= (uint8_t)ext_put(w, &p, value.len);
  o->last = number;
  copal_wr_join(w, head, (size_t)(p - head), value);
}

void copal_opt_put_uint(copal_opt_wr *o, uint16_t number, uint32_t value)
{
  uint8_t bytes[4];
  size_t at = sizeof bytes;
  for (; value != 0; value >>= 8)
    bytes[--at] = (uint8_t)value;
  copal_opt_put(o, number, copal_span_of(bytes + at, sizeof bytes - at));
}
