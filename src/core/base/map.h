/* SPDX-License-Identifier: Apache-2.0 */
/* Hash tables of objects that carry their own link: an array of buckets, chained. The size is
 * fixed; callers compare keys while they walk a bucket. */
#ifndef CORE_BASE_MAP_H
#define CORE_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

/* First member, or embedded at a place the owner knows. */
typedef struct copal_map_link {
  struct copal_map_link *next;
  uint32_t hash;
} copal_map_link;

typedef struct copal_map {
  copal_map_link **buckets; /* caller's array, zeroed */
  uint32_t mask;            /* buckets - 1; their number is a power of two */
} copal_map;

/* Number of buckets for up to `count` objects: a power of two, at least 1. */
uint32_t copal_map_bucket_count(uint32_t count);

/* Makes a table over a zeroed array of `bucket_count` pointers, lent for the table's life. */
void copal_map_init(copal_map *m, void *buckets, uint32_t bucket_count);

void copal_map_insert(copal_map *m, copal_map_link *link, uint32_t hash);

/* Removes a link that is in the table. */
void copal_map_remove(copal_map *m, copal_map_link *link);

/* First and following links with that hash; NULL at the end. */
copal_map_link *copal_map_first(const copal_map *m, uint32_t hash);
copal_map_link *copal_map_next(const copal_map_link *link);

/* Keyed hash of `len` bytes, a multiple of 4. Spreads well and hides its key from the outside; not
 * a MAC. */
uint32_t copal_hash(uint32_t seed, const void *bytes, size_t len);

/* Folds one more word into a hash. */
uint32_t copal_hash_mix(uint32_t hash, uint32_t word);

#endif
