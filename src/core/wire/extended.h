/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in a nibble with extension bytes: option deltas and lengths (RFC 7252 section 3.1), token
 * lengths (RFC 8974 section 2.1) and the lengths of stream messages (RFC 8323 section 3.2). Nibbles
 * 13 and 14 mean the same in all three. */
#ifndef COPAL_CORE_WIRE_EXTENDED_H
#define COPAL_CORE_WIRE_EXTENDED_H

#include <stddef.h>
#include <stdint.h>

enum {
  EXT_BIAS_8 = 13,   /* also the nibble that announces one extension byte */
  EXT_BIAS_16 = 269, /* 13 + 2^8 */
  EXT_NIBBLE_16 = 14,
  EXT_NIBBLE_RESERVED = 15,
  EXT_MAX = EXT_BIAS_16 + 0xffff,
};

/* Extension bytes that a value (0 to EXT_MAX) needs. */
static inline size_t ext_size(size_t v)
{
  return (size_t)(v >= EXT_BIAS_8) + (size_t)(v >= EXT_BIAS_16);
}

/* Nibble of a value that needs `size` extension bytes. */
static inline unsigned ext_nibble(size_t v, size_t size)
{
  return size == 0 ? (unsigned)v : EXT_BIAS_8 - 1 + (unsigned)size;
}

/* Writes the extension bytes of `v` to `p` and returns what stands behind them. */
static inline uint8_t *ext_put(uint8_t *p, size_t v, size_t size)
{
  if (size == 0)
    return p;
  v -= size == 1 ? EXT_BIAS_8 : EXT_BIAS_16;
  if (size == 2)
    *p++ = (uint8_t)(v >> 8);
  *p++ = (uint8_t)v;
  return p;
}

#endif
