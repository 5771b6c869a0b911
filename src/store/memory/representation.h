/* SPDX-License-Identifier: Apache-2.0 */
/* A representation as the memory engine keeps it: immutable, and small.
 *
 * Threads: read from any thread that looks (grace.h). */
#ifndef STORE_REPRESENTATION_H
#define STORE_REPRESENTATION_H

#include <stddef.h>

#include "store/store.h"

typedef struct representation {
  store_rev rev;
  copal_time written;
  uint32_t max_age_s;
  uint32_t lifetime_s;
  uint32_t body_len;
  uint32_t attrs_len : 24;
  uint32_t has_etag : 1; /* it is not that of `rev` */
  uint16_t content_format;
  uint8_t bytes[]; /* body, attributes, entity-tag if there is one */
} representation;

/* Copies an item with its spans. `epoch` is that of the store's entity-tags. NULL without memory.
 * Freed with free(). */
representation *representation_make(const store_item *item, uint64_t epoch);

/* Bytes that a representation takes. */
size_t representation_size(const representation *r);

/* The item; its spans lie in the representation. */
store_item representation_item(const representation *r, uint64_t epoch);

/* Fetches a small one into the cache. */
static inline void representation_foresee(const representation *r)
{
  __builtin_prefetch(r);
  __builtin_prefetch((const char *)r + sizeof *r);
}

/* True when its lifetime is over. */
static inline bool representation_is_expired(const representation *r, copal_time now)
{
  return r->lifetime_s != 0 && now >= r->written &&
         now - r->written >= r->lifetime_s * (uint64_t)COPAL_SECOND;
}

#endif
