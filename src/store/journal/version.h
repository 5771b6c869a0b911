/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal has for a key: an immutable record, the absence of one, or the result of a named
 * operation. Shared between the overlay, whom it is lent to, and the checkpoint.
 *
 * Threads: taken and given back from any thread; made and completed by one. */
#ifndef STORE_JOURNAL_VERSION_H
#define STORE_JOURNAL_VERSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/journal/batch.h"

typedef struct version {
  atomic_uint refs;
  batch_kind kind; /* BATCH_DELETE: nothing is there */
  store_rev rev;   /* of the change; of a deletion: the last one that was given out */
  union {
    record rec;   /* of BATCH_PUT */
    op_record op; /* of BATCH_OP */
  };
  size_t size; /* bytes of memory that it takes */
  union {
    void *map;            /* the journal's bytes where the body lies, or NULL */
    struct version *next; /* in stock */
  };
  size_t map_len;
  atomic_uint_fast64_t *maps; /* counts the mappings; outlives them */
  uint8_t bytes[];
} version;

/* The versions in front of one that the checkpoint may not have, newest first: for the history.
 * Immutable and shared like them. */
typedef struct trail {
  atomic_uint refs;
  uint32_t count;
  size_t size; /* bytes of memory of the versions */
  version *former[];
} trail;

/* Memory of small versions that are gone, for the next ones, of as many sizes. One thread's.
 * Zeroed: empty. */
enum { STOCK_SIZES = 8 };
typedef struct version_stock {
  version *free[STOCK_SIZES];
  uint32_t count[STOCK_SIZES];
} version_stock;

/* Frees what is in stock. */
void version_stock_wipe(version_stock *st);

/* Copies a record; the caller has the one reference. A body of BATCH_LENT_MIN bytes or more is not
 * copied: it stays lent until version_place() names where it is. The memory may come from a stock,
 * or NULL. NULL without memory. */
version *version_make(const batch_record *r, version_stock *st);

/* As version_give(); the memory goes to the stock. */
void version_give_to(version *v, version_stock *st);

/* The body lies in the journal now, in a mapping that is given; `*maps` becomes one less when it is
 * unmapped. */
void version_place(version *v, void *map, size_t map_len, const uint8_t *body,
                   atomic_uint_fast64_t *maps);

static inline version *version_take(version *v)
{
  atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
  return v;
}

/* One reference less; the last one frees. Safe on NULL. */
void version_give(version *v);

/* The trail of what follows `old`, whose own is `t` or NULL: at most `max` versions, and none in
 * front of a deletion. NULL without memory. */
trail *trail_extend(const trail *t, version *old, uint32_t max);

static inline trail *trail_take(trail *t)
{
  if (t != NULL)
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
  return t;
}

/* Safe on NULL. */
void trail_give(trail *t);

#endif
