/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C, eight bytes at a time. */
#include "store/journal/crc32c.h"

#include <pthread.h>

enum { WAYS = 8 };

#define POLYNOMIAL 0x82f63b78u /* RFC 3720 section 12.1, bits reversed */

static uint32_t tables[WAYS][256]; /* written once, by make_tables() */

static void make_tables(void)
{
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
    tables[0][i] = crc;
  }
  for (int way = 1; way < WAYS; way++)
    for (uint32_t i = 0; i < 256; i++) {
      const uint32_t before = tables[way - 1][i];
      tables[way][i] = (before >> 8) ^ tables[0][before & 0xff];
    }
}

static uint32_t get_u32(const uint8_t *in)
{
  return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

static uint32_t step(uint32_t crc, const uint8_t *in)
{
  const uint32_t a = crc ^ get_u32(in);
  const uint32_t b = get_u32(in + 4);
  return tables[7][a & 0xff] ^ tables[6][(a >> 8) & 0xff] ^ tables[5][(a >> 16) & 0xff] ^
         tables[4][a >> 24] ^ tables[3][b & 0xff] ^ tables[2][(b >> 8) & 0xff] ^
         tables[1][(b >> 16) & 0xff] ^ tables[0][b >> 24];
}

uint32_t crc32c(uint32_t crc, copal_span bytes)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_tables);
  const uint8_t *at = bytes.ptr;
  size_t left = bytes.len;
  crc = ~crc;
  for (; left >= WAYS; left -= WAYS, at += WAYS)
    crc = step(crc, at);
  for (; left > 0; left--, at++)
    crc = (crc >> 8) ^ tables[0][(crc ^ *at) & 0xff];
  return ~crc;
}
