/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in a nibble with extension bytes: option deltas and lengths (RFC 7252 section 3.1), token
 * lengths (RFC 8974 section 2.1) and the lengths of stream messages (RFC 8323 section 3.2). Nibbles
 * 13 and 14 mean the same in all three. */
#ifndef COPAL_CORE_WIRE_EXTENDED_H
#define COPAL_CORE_WIRE_EXTENDED_H

#include <stddef.h>
#include <stdint.h>

#include "copal/cursor.h"

enum {
  EXT_BIAS_8 = 13,   /* also the nibble that announces one extension byte */
  EXT_BIAS_16 = 269, /* 13 + 2^8 */
  EXT_NIBBLE_16 = 14,
  EXT_NIBBLE_RESERVED = 15,
  EXT_SIZE_MAX = 2,
  EXT_MAX = EXT_BIAS_16 + 0xffff,
};

/* Extension bytes that a value (0 to EXT_MAX) needs. */
static inline size_t ext_size(size_t v)
{
  return (size_t)(v >= EXT_BIAS_8) + (size_t)(v >= EXT_BIAS_16);
}

/* Writes the extension bytes of `v`, none when it fits the nibble, to `*p`, moves it behind them
 * and returns the nibble. A value above EXT_MAX makes the writer fail with COPAL_EINVAL. */
unsigned copal_ext_put(copal_wr *w, uint8_t **p, size_t v);

/* As copal_ext_put(), for values that hardly ever have any. */
static inline unsigned ext_put(copal_wr *w, uint8_t **p, size_t v)
{
  return v < EXT_BIAS_8 ? (unsigned)v : copal_ext_put(w, p, v);
}

#endif
