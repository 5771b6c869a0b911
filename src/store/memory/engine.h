/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the memory engine share.
 *
 * Who reads an entry takes no lock (grace.h); who changes one locks its stripe.
 *
 * Locks, in this order: the names; one stripe; then the list of keys, what ends, or what a
 * follower locks. Nothing is called with one of the last held. */
#ifndef STORE_MEMORY_ENGINE_H
#define STORE_MEMORY_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/keylist.h"
#include "store/memory/grace.h"
#include "store/memory/keyhash.h"
#include "store/memory/memory.h"
#include "store/memory/representation.h"
#include "store/shift.h"
#include "store/store.h"

enum { MEMORY_SPACES = 2 };

struct due;

/* Representations that were there before, the newest first. */
typedef struct former {
  uint32_t count;
  uint64_t size; /* of all of them */
  representation *reps[];
} former;

/* A resource or a record of the state. Its key never changes; its representation is replaced. What
 * an entry had is retired. */
typedef struct memory_entry {
  _Atomic(representation *) rep;
  struct due *due;       /* NULL: it never ends; under the stripe's lock, as the next */
  struct former *former; /* NULL: none */
  uint16_t key_len;
  uint8_t key[];
} entry;

typedef struct stripe {
  _Alignas(GRACE_LINE) pthread_mutex_t lock;
  atomic_uintptr_t table; /* see table.c; 0: none yet */
  uint32_t count;
  shift shift; /* with each change */
} stripe;

/* The entries of one space. */
typedef struct shelf {
  stripe *stripes;
  pthread_rwlock_t keys_lock;
  keylist keys; /* of entries */
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
  grace grace;
  uint64_t opened; /* the system's monotonic clock at cfg.now */
  shelf shelves[MEMORY_SPACES];
  store_follower *followers; /* complete before the first commit, constant from then on */

  /* Written by changes; what stands above is read by everybody. */
  _Alignas(GRACE_LINE) atomic_uint_fast64_t rev;
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
  grace_seat *sweeper_seat;
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
bool shelf_init(shelf *sh, uint32_t stripe_count);

/* Frees all entries. Safe on a zeroed object. */
void shelf_wipe(shelf *sh, uint32_t stripe_count);

stripe *shelf_stripe(const memory_store *s, store_space space, uint64_t hash);

uint32_t shelf_index(const memory_store *s, uint64_t hash);

/* Locks the stripe for a change, and ends it. */
static inline void stripe_begin_change(stripe *st)
{
  pthread_mutex_lock(&st->lock);
  shift_begin(&st->shift);
}

static inline void stripe_end_change(stripe *st)
{
  shift_end(&st->shift);
  pthread_mutex_unlock(&st->lock);
}

/* The entry of that key, or NULL. The caller is inside its seat or holds the stripe's lock. */
entry *stripe_find(const stripe *st, uint64_t hash, copal_span key);

/* Fetches the place where an entry with that hash would be into the cache. */
void stripe_foresee(const stripe *st, uint64_t hash);

/* What the entry with that hash might be; good for fetching it only. NULL: no guess. The caller is
 * inside its seat. */
const entry *stripe_guess(const stripe *st, uint64_t hash);

/* The caller holds the stripe's lock. stripe_grow() makes room for one more insertion; returns
 * false without memory. */
bool stripe_grow(stripe *st, const keyhash_secret *secret, grace_seat *seat);
void stripe_insert(stripe *st, entry *e, uint64_t hash);
void stripe_remove(stripe *st, entry *e, uint64_t hash);

/* The key of an `entry`. */
copal_span entry_key(const void *e);

/* Bytes that an entry takes beside its representations. */
uint64_t entry_size(copal_span key);

/* Frees an entry that nobody looks at, with its representations. */
void entry_free(entry *e);

/* ------------------------------------------------------------------------------------------------
 * change.c */

/* Carries the change out and sets its result; the key of a repeat is the caller's to free. `seat`
 * is the caller's. */
void memory_change(memory_store *s, grace_seat *seat, const store_op *op, copal_time now,
                   store_result *result);

/* Deletes an entry if its lifetime is over. */
void memory_expire(memory_store *s, grace_seat *seat, store_space space, copal_span key,
                   copal_time now);

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
