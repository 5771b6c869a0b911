/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C, eight bytes at a time. */
#include "store/journal/crc32c.h"

#include "store/journal/crc32c_table.h"

static uint32_t get_u32(const uint8_t *in)
{
  return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static uint32_t step(uint32_t crc, const uint8_t *in)
{
  const uint32_t a = crc ^ get_u32(in);
  const uint32_t b = get_u32(in + 4);
  return crc32c_table[7][a & 0xff] ^ crc32c_table[6][(a >> 8) & 0xff] ^
         crc32c_table[5][(a >> 16) & 0xff] ^ crc32c_table[4][a >> 24] ^ crc32c_table[3][b & 0xff] ^
         crc32c_table[2][(b >> 8) & 0xff] ^ crc32c_table[1][(b >> 16) & 0xff] ^
         crc32c_table[0][b >> 24];
}

uint32_t crc32c(uint32_t crc, copal_span bytes)
{
  const uint8_t *at = bytes.ptr;
  size_t left = bytes.len;
  crc = ~crc;
  for (; left >= CRC32C_WAYS; left -= CRC32C_WAYS, at += CRC32C_WAYS)
    crc = step(crc, at);
  for (; left > 0; left--, at++)
    crc = (crc >> 8) ^ crc32c_table[0][(crc ^ *at) & 0xff];
  return ~crc;
}
