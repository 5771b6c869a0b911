/* SPDX-License-Identifier: Apache-2.0 */
/* The hash that tables use, and their size. */
#include "core/base/map.h"

#include <string.h>

/* Odd multipliers with well-spread bits. */
static const uint32_t mix_a = 0x85ebca6b;
static const uint32_t mix_b = 0xc2b2ae35;

static uint32_t rotate_left(uint32_t v, unsigned by)
{
  return v << by | v >> (32 - by);
}

uint32_t copal_hash_mix(uint32_t hash, uint32_t word)
{
  hash ^= word * mix_a;
  hash = rotate_left(hash, 13) * mix_b;
  return hash ^ hash >> 15;
}

uint32_t copal_hash(uint32_t seed, const void *bytes, size_t len)
{
  const uint8_t *at = bytes;
  uint32_t hash = seed;

  for (size_t i = 0; i + 4 <= len; i += 4) {
    uint32_t word;
    memcpy(&word, at + i, 4);
    hash = copal_hash_mix(hash, word);
  }
  return hash;
}

uint32_t copal_map_bucket_count(uint32_t count)
{
  uint32_t buckets = 1;
  while (buckets < count && buckets < UINT32_C(1) << 31)
    buckets <<= 1;
  return buckets;
}
