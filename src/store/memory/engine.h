/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the memory engine share.
 *
 * Locks, in this order: the names; one stripe; then the index of keys, what ends, or what a
 * follower locks. Nothing is called with one of the last held. */
#ifndef STORE_MEMORY_ENGINE_H
#define STORE_MEMORY_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/keytree.h"
#include "store/memory/keyhash.h"
#include "store/memory/memory.h"
#include "store/memory/representation.h"
#include "store/store.h"

enum {
  MEMORY_CACHE_LINE = 64,
  MEMORY_SPACES = 2,
};

struct due;

/* Representations that were there before, the newest first. */
typedef struct former {
  uint32_t count;
  representation *reps[];
} former;

/* A resource or a record of the state. Its key never changes; its representation is replaced under
 * the stripe's lock. */
typedef struct memory_entry {
  keytree_node node;
  struct memory_entry *next; /* of the same slot */
  uint64_t hash;
  representation *rep;
  struct due *due;       /* NULL: it never ends */
  struct former *former; /* NULL: none */
  uint8_t key[];
} entry;

typedef struct stripe {
  _Alignas(MEMORY_CACHE_LINE) pthread_rwlock_t lock;
  entry **slots;
  uint32_t slot_count; /* a power of two, or 0 */
  uint32_t count;
} stripe;

/* The entries of one space. */
typedef struct shelf {
  stripe *stripes;
  pthread_rwlock_t keys_lock;
  keytree keys;
} shelf;

/* When an entry ends: a node of the tree of those that do. */
typedef struct due {
  keytree_node node;
  uint32_t key_size;
  uint8_t key[]; /* be64 instant, space, key of the entry */
} due;

/* A named operation that has been carried out. */
typedef struct name {
  store_opid id; /* first */
  struct name *next;
  copal_time expiry;
  store_result result;
  uint8_t key[];
} name;

typedef struct memory_counters {
  atomic_uint_fast64_t resources_refused, bytes_refused, memory_refused, pending_refused,
      names_refused, repeats, expired;
} memory_counters;

typedef struct memory_store {
  store base; /* first */
  memory_store_cfg cfg;
  keyhash_secret secret;
  uint64_t epoch;
  uint64_t opened; /* the system's monotonic clock at cfg.now */
  shelf shelves[MEMORY_SPACES];
  store_follower *followers; /* complete before the first commit, constant from then on */
  atomic_uint_fast64_t rev;
  atomic_uint_fast64_t resources;
  atomic_uint_fast64_t bytes;
  memory_counters counters;

  pthread_mutex_t names_lock;
  void *names;                    /* a tree, by identity */
  name *names_head, **names_tail; /* in the order of their end */
  uint64_t name_count;

  pthread_mutex_t due_lock;
  pthread_cond_t due_sooner; /* the first of what ends is another, or it is over */
  keytree dues;
  copal_time names_due; /* COPAL_NEVER: no names */
  bool has_sweeper;
  bool is_ending;
  pthread_t sweeper;
} memory_store;

static inline void count_up(atomic_uint_fast64_t *counter)
{
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Takes `n` from what `limit` leaves of `used`. */
bool budget_take(atomic_uint_fast64_t *used, uint64_t n, uint64_t limit);

static inline void budget_give(atomic_uint_fast64_t *used, uint64_t n)
{
  atomic_fetch_sub_explicit(used, n, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------------
 * table.c */

/* Returns false without memory. */
bool shelf_init(shelf *sh, uint32_t stripe_count, uint64_t seed);

/* Frees all entries. Safe on a zeroed object. */
void shelf_wipe(shelf *sh, uint32_t stripe_count);

stripe *shelf_stripe(const memory_store *s, store_space space, uint64_t hash);

/* The caller holds the stripe's lock. */
entry *stripe_find(const stripe *st, uint64_t hash, copal_span key);
bool stripe_grow(stripe *st);
void stripe_insert(stripe *st, entry *e);
void stripe_remove(stripe *st, entry *e);

/* Bytes that an entry takes beside its representations. */
uint64_t entry_size(copal_span key);

void entry_free(entry *e);

/* ------------------------------------------------------------------------------------------------
 * change.c */

/* Carries the change out and sets its result; the key of a repeat is the caller's to free. Any
 * thread. */
void memory_change(memory_store *s, const store_op *op, copal_time now, store_result *result);

/* Deletes an entry if its lifetime is over. Any thread. */
void memory_expire(memory_store *s, store_space space, copal_span key, copal_time now);

/* ------------------------------------------------------------------------------------------------
 * names.c; the caller holds `names_lock` */

/* The operation that has that name, unless it has expired. */
const name *names_find(const memory_store *s, const store_opid *id, copal_time now);

/* Room for the result of an operation; it is counted. NULL when there is none. */
name *names_make(memory_store *s, const store_op *op, copal_time now);

/* Keeps the result in it, or forgets it when the operation was not carried out. */
void names_keep(memory_store *s, name *n, const store_result *result);

/* Forgets what has expired. Returns when the next one does. */
copal_time names_sweep(memory_store *s, copal_time now);

void names_wipe(memory_store *s);

/* ------------------------------------------------------------------------------------------------
 * sweep.c */

void sweep_init(memory_store *s);

/* Ends the sweeper's thread. */
void sweep_stop(memory_store *s);
void sweep_wipe(memory_store *s);

/* Bytes that knowing the end of an entry takes. */
uint64_t due_size(copal_span key);

/* NULL without memory. In no tree yet. */
due *due_make(store_space space, copal_span key, const store_item *item);

/* Puts an end into the tree, or takes it out and frees it. Safe on NULL. */
void due_insert(memory_store *s, due *d);
void due_remove(memory_store *s, due *d);

/* A name ends then. */
void sweep_note_names(memory_store *s, copal_time due_at);

#endif
