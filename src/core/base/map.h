/* SPDX-License-Identifier: Apache-2.0 */
/* Hash tables of objects that carry their own link: an array of buckets, chained. The size is
 * fixed; callers compare keys while they walk a bucket.
 *
 * Of a large table only the first buckets are in use at first, and one or two more with each link
 * that is inserted, until all are (linear hashing): a table takes memory in proportion to what has
 * been in it, and no insertion waits for others to be moved. A build without growth takes
 * map_fixed.c: all buckets are in use from the beginning. */
#ifndef CORE_BASE_MAP_H
#define CORE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/carver.h"

/* Refers to a link, or to none with 0: on 64 bits by how far it is from the buckets, in units of
 * COPAL_MAP_UNIT. */
typedef uint32_t copal_map_ref;

/* First member, or embedded at a place the owner knows. Less than COPAL_MAP_REACH bytes away from
 * the buckets. */
typedef struct copal_map_link {
  _Alignas(uint64_t) copal_map_ref next;
  uint32_t hash;
} copal_map_link;

#define COPAL_MAP_UNIT  sizeof(copal_map_link)
#define COPAL_MAP_REACH ((uint64_t)COPAL_MAP_UNIT << 31)

typedef struct copal_map {
  copal_map_ref *buckets; /* in the caller's memory */
  uint32_t mask;          /* buckets - 1, used or not; their number is a power of two */
} copal_map;

/* True when a link may be so many bytes away from the buckets. */
static inline bool copal_map_reaches(uint64_t distance)
{
  return sizeof(uintptr_t) <= sizeof(copal_map_ref) || distance < COPAL_MAP_REACH;
}

/* Number of buckets for up to `count` objects: a power of two, at least 1. */
uint32_t copal_map_bucket_count(uint32_t count);

/* Makes a table for up to `count` objects of memory that is handed out next, of which only what is
 * in use is touched; when measuring `m` is not touched either. */
void copal_map_carve(copal_map *m, copal_carver *c, uint32_t count);

/* Inserts a link in front of the others of its bucket. */
void copal_map_insert(copal_map *m, copal_map_link *link, uint32_t hash);

/* copal_map_append() where buckets may have to be waited for. */
void map_append_to(copal_map *m, copal_map_link *link, uint32_t hash);

/* Inserts a link behind the others of its bucket. With whoever looks for a hash before that, and
 * removes the oldest first, all it walks over are links that it has just seen. Small machines, on
 * which nothing is far, save the code: there it is copal_map_insert(). */
static inline void copal_map_append(copal_map *m, copal_map_link *link, uint32_t hash)
{
  if (sizeof(uintptr_t) <= sizeof(copal_map_ref))
    copal_map_insert(m, link, hash);
  else
    map_append_to(m, link, hash);
}

/* Removes a link that is in the table. */
void copal_map_remove(copal_map *m, copal_map_link *link);

/* First and following links with that hash; NULL at the end. */
copal_map_link *copal_map_first(const copal_map *m, uint32_t hash);

/* copal_map_next() where a reference is a pointer, and where it counts from the buckets. */
copal_map_link *map_next_of(const copal_map_link *link);
copal_map_link *map_next_in(const copal_map *m, const copal_map_link *link);

static inline copal_map_link *copal_map_next(const copal_map *m, const copal_map_link *link)
{
  return sizeof(uintptr_t) <= sizeof(copal_map_ref) ? map_next_of(link) : map_next_in(m, link);
}

/* A link that shares the bucket of that hash, or would if all buckets were in use; or NULL. */
const copal_map_link *copal_map_alike(const copal_map *m, uint32_t hash);

/* The bucket of that hash, until something is inserted. */
copal_map_ref *copal_map_bucket(const copal_map *m, uint32_t hash);

/* Brings the bucket of that hash, and the first link there, into the caches. */
void copal_map_foresee(const copal_map *m, uint32_t hash);

/* Keyed hash of `len` bytes, a multiple of 4. Spreads well and hides its key from the outside; not
 * a MAC. */
uint32_t copal_hash(uint32_t seed, const void *bytes, size_t len);

/* Folds one more word into a hash. */
uint32_t copal_hash_mix(uint32_t hash, uint32_t word);

#endif
