/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of which all buckets are in use from the beginning. */
#include "core/base/map_ref.h"

void copal_map_carve(copal_map *m, copal_carver *c, uint32_t count)
{
  const uint32_t buckets = copal_map_bucket_count(count);
  copal_map_ref *part = copal_carve_zeros(c, (uint64_t)sizeof *part * buckets);
  if (part)
    *m = (copal_map){.buckets = part, .mask = buckets - 1};
}

copal_map_ref *copal_map_bucket(const copal_map *m, uint32_t hash)
{
  return &m->buckets[hash & m->mask];
}

void copal_map_insert(copal_map *m, copal_map_link *link, uint32_t hash)
{
  link->hash = hash;
  map_push(m, copal_map_bucket(m, hash), link);
}

void map_append_to(copal_map *m, copal_map_link *link, uint32_t hash)
{
  link->hash = hash;
  map_append(m, copal_map_bucket(m, hash), link);
}

void copal_map_remove(copal_map *m, copal_map_link *link)
{
  map_drop(m, copal_map_bucket(m, link->hash), link);
}

copal_map_link *copal_map_first(const copal_map *m, uint32_t hash)
{
  return map_skip_to(m, *copal_map_bucket(m, hash), hash, UINT32_MAX);
}

copal_map_link *map_next_of(const copal_map_link *link)
{
  return map_skip_to(NULL, link->next, link->hash, UINT32_MAX);
}

copal_map_link *map_next_in(const copal_map *m, const copal_map_link *link)
{
  return map_skip_to(m, link->next, link->hash, UINT32_MAX);
}

const copal_map_link *copal_map_alike(const copal_map *m, uint32_t hash)
{
  const copal_map_ref ref = *copal_map_bucket(m, hash);
  return ref ? map_at(m, ref) : NULL;
}

void copal_map_foresee(const copal_map *m, uint32_t hash)
{
  map_foresee(m, copal_map_bucket(m, hash));
}
