/* SPDX-License-Identifier: Apache-2.0 */
/* Chained hash tables and the hash they use. */
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

void copal_map_init(copal_map *m, void *buckets, uint32_t bucket_count)
{
  *m = (copal_map){.buckets = buckets, .mask = bucket_count - 1};
}

void copal_map_insert(copal_map *m, copal_map_link *link, uint32_t hash)
{
  copal_map_link **bucket = &m->buckets[hash & m->mask];
  link->hash = hash;
  link->next = *bucket;
  *bucket = link;
}

void copal_map_remove(copal_map *m, copal_map_link *link)
{
  copal_map_link **at = &m->buckets[link->hash & m->mask];
  while (*at != link)
    at = &(*at)->next;
  *at = link->next;
}

static copal_map_link *skip_to(copal_map_link *link, uint32_t hash)
{
  while (link && link->hash != hash)
    link = link->next;
  return link;
}

copal_map_link *copal_map_first(const copal_map *m, uint32_t hash)
{
  return skip_to(m->buckets[hash & m->mask], hash);
}

copal_map_link *copal_map_next(const copal_map_link *link)
{
  return skip_to(link->next, link->hash);
}
