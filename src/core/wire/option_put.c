/* SPDX-License-Identifier: Apache-2.0 */
/* Writing option runs. RFC 7252 section 3.1. */
#include <string.h>

#include "copal/error.h"
#include "copal/option.h"
#include "core/base/cursor_room.h"
#include "core/wire/extended.h"

copal_opt_wr copal_opt_wr_init(copal_wr *w)
{
  copal_opt_wr o;
  o.w = w;
  o.last = 0;
  return o;
}

void copal_opt_put(copal_opt_wr *o, uint16_t number, copal_span value)
{
  if ((number < o->last || value.len > EXT_MAX) && o->w->err == COPAL_OK)
    o->w->err = COPAL_EINVAL;
  const unsigned delta = (unsigned)number - o->last;
  const size_t delta_ext = ext_size(delta);
  const size_t len_ext = ext_size(value.len);
  uint8_t *p = copal_wr_room(o->w, 1 + delta_ext + len_ext + value.len);
  if (p == NULL)
    return;
  *p++ = (uint8_t)(ext_nibble(delta, delta_ext) << 4 | ext_nibble(value.len, len_ext));
  p = ext_put(p, delta, delta_ext);
  p = ext_put(p, value.len, len_ext);
  if (value.len > 0)
    memcpy(p, value.ptr, value.len);
  o->last = number;
}

void copal_opt_put_uint(copal_opt_wr *o, uint16_t number, uint32_t value)
{
  uint8_t bytes[4];
  size_t at = sizeof bytes;
  for (; value != 0; value >>= 8)
    bytes[--at] = (uint8_t)value;
  copal_opt_put(o, number, copal_span_of(bytes + at, sizeof bytes - at));
}
