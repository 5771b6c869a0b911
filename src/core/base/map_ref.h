/* SPDX-License-Identifier: Apache-2.0 */
/* What refers to a link of a table: a pointer where that fits, else how far from the buckets the
 * link is. For map_grow.c and map_fixed.c. */
#ifndef CORE_BASE_MAP_REF_H
#define CORE_BASE_MAP_REF_H

#include "core/base/map.h"

#define MAP_REF_IS_POINTER (sizeof(uintptr_t) <= sizeof(copal_map_ref))

/* The link that `ref` refers to; `ref` is not 0. */
static inline copal_map_link *map_at(const copal_map *m, copal_map_ref ref)
{
  if (MAP_REF_IS_POINTER)
    return (copal_map_link *)(uintptr_t)ref;
  const intptr_t distance = (intptr_t)(int32_t)ref * (intptr_t)COPAL_MAP_UNIT;
  return (copal_map_link *)((uintptr_t)m->buckets + (uintptr_t)distance);
}

/* What refers to `link`. The buckets begin at 0, so no link does. */
static inline copal_map_ref map_ref_of(const copal_map *m, const copal_map_link *link)
{
  const uintptr_t at = (uintptr_t)link;
  if (MAP_REF_IS_POINTER)
    return (copal_map_ref)at;
  return (copal_map_ref)((at - (uintptr_t)m->buckets) / COPAL_MAP_UNIT);
}

/* Puts a link in front of those of a bucket. */
static inline void map_push(const copal_map *m, copal_map_ref *bucket, copal_map_link *link)
{
  link->next = *bucket;
  *bucket = map_ref_of(m, link);
}

/* Puts a link behind those of a bucket. */
static inline void map_append(const copal_map *m, copal_map_ref *bucket, copal_map_link *link)
{
  while (*bucket)
    bucket = &map_at(m, *bucket)->next;
  link->next = 0;
  *bucket = map_ref_of(m, link);
}

/* Brings a bucket and its first link into the caches. The bucket is read, because gcc takes
 * functions that only prefetch for ones that do nothing. */
static inline void map_foresee(const copal_map *m, const copal_map_ref *bucket)
{
  const copal_map_ref ref = *(const volatile copal_map_ref *)bucket;
  __builtin_prefetch(map_at(m, ref));
}

/* Takes out a link that is in the bucket. */
static inline void map_drop(const copal_map *m, copal_map_ref *bucket, const copal_map_link *link)
{
  const copal_map_ref ref = map_ref_of(m, link);
  while (*bucket != ref)
    bucket = &map_at(m, *bucket)->next;
  *bucket = link->next;
}

/* The first link from `ref` on whose hash has the bits of `mask` in common with `hash`, or NULL. */
static inline copal_map_link *map_skip_to(const copal_map *m, copal_map_ref ref, uint32_t hash,
                                          uint32_t mask)
{
  while (ref) {
    copal_map_link *link = map_at(m, ref);
    if (((link->hash ^ hash) & mask) == 0)
      return link;
    ref = link->next;
  }
  return NULL;
}

#endif
