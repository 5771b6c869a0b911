/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that the journal has and the database has not, or has not for everybody: what readers
 * look at first.
 *
 * Threads. Readers: any. One writer pins, changes and publishes entries; one checkpointer captures,
 * settles and drops them. An entry may be dropped when the database has its version and nobody
 * looks at a snapshot that is older; some are kept longer, for the next change.
 *
 * Locks, in this order: a stripe; then the ordered keys. */
#ifndef STORE_JOURNAL_OVERLAY_H
#define STORE_JOURNAL_OVERLAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/journal/version.h"
#include "store/keytree.h"
#include "store/memory/keyhash.h"
#include "store/store.h"

/* Beside the spaces of keys: results under the names of operations. */
enum { OVERLAY_OPS = STORE_STATE + 1, OVERLAY_TREES = 2 };

typedef struct overlay_entry {
  keytree_node node; /* first; in the tree when `is_ordered` */
  struct overlay_entry *next;
  uint64_t hash;
  version *now;     /* what readers see; NULL: nothing yet. Replaced with the stripe locked */
  trail *before;    /* of `now`; NULL: none is kept */
  version *pending; /* the writer's: what the batch under way makes of it */
  uint64_t settled; /* the checkpoint that has `now`; 0: none */
  atomic_uint pins; /* of the writer; from none to one and back with the stripe locked */
  uint32_t key_len;
  uint8_t space;
  bool is_dirty; /* no checkpoint has captured `now` */
  bool is_due;   /* to be dropped when it is neither pinned nor kept any more */
  bool is_kept;  /* somebody has it in a list of those that may stay */
  bool is_ordered;
  uint8_t key[];
} overlay_entry;

typedef struct overlay_stripe overlay_stripe;

typedef struct overlay {
  keyhash_secret secret;
  overlay_entry **buckets;
  uint32_t bucket_mask;
  uint32_t history; /* versions of a trail; 0: trails are not kept */
  overlay_stripe *stripes;
  pthread_rwlock_t keys_lock;
  version_stock stock;         /* the writer's */
  keytree keys[OVERLAY_TREES]; /* those that the database may not have, by space */
  atomic_uint_fast64_t entries;
  atomic_uint_fast64_t bytes; /* of memory */
  atomic_uint_fast64_t idle;  /* bytes of those that the database has, too */
} overlay;

/* `buckets` is a power of two, at least 1024; `history` as in the structure. Returns false without
 * memory or randomness. */
bool overlay_init(overlay *o, uint32_t buckets, uint32_t history);

/* Frees all entries; nobody uses it any more. Safe on a zeroed object. */
void overlay_wipe(overlay *o);

uint64_t overlay_hash(const overlay *o, int space, copal_span key);

/* The stripe of a key, and what tells whether readers may see something else under keys of it than
 * another time: odd while that changes. Any thread. */
uint32_t overlay_where(uint64_t hash);
uint64_t overlay_state(const overlay *o, uint32_t where);

/* What readers see under a key, with a reference for the caller; NULL: nothing. Any thread. */
version *overlay_find(overlay *o, int space, copal_span key, uint64_t hash);

/* The same, with the trail in `*before`, of which the caller gets a reference too. */
version *overlay_find_trail(overlay *o, int space, copal_span key, uint64_t hash, trail **before);

/* Copies the first key of the ordered ones behind an edge that begins with `prefix` to `room`, of
 * STORE_KEY_MAX bytes. Returns false at the end. Any thread. */
bool overlay_next_key(overlay *o, store_space space, copal_span prefix, copal_span from,
                      keytree_edge edge, uint8_t *room, copal_span *key);

/* Begins to bring the place of a key close, for overlay_fetch_entry(). Any thread. */
void overlay_fetch(const overlay *o, uint64_t hash);

/* Begins to bring close what lies there, for overlay_pin(). Any thread. */
void overlay_fetch_entry(const overlay *o, uint64_t hash);

/* The entry of a key, made when there is none; it stays until it is unpinned. NULL without memory.
 * The writer. */
overlay_entry *overlay_pin(overlay *o, int space, copal_span key, uint64_t hash);
void overlay_unpin(overlay *o, overlay_entry *e);

/* One more of a pinned one. */
static inline overlay_entry *overlay_pin_again(overlay_entry *e)
{
  atomic_fetch_add_explicit(&e->pins, 1, memory_order_relaxed);
  return e;
}

/* What the writer sees of a pinned entry; lent until it is unpinned. */
static inline version *overlay_latest(const overlay_entry *e)
{
  return e->pending != NULL ? e->pending : e->now;
}

/* Begins to bring it close. The writer. */
static inline void overlay_fetch_latest(const overlay_entry *e)
{
  const uint8_t *latest = (const uint8_t *)overlay_latest(e);
  __builtin_prefetch(latest);
  __builtin_prefetch(latest + 64);
}

/* Makes a version what readers see; a reference and one pin are given. `is_new`: the database may
 * lack the key. Returns true when the entry is to be captured by a checkpoint that does not know of
 * it yet; it stays until then. The writer. */
bool overlay_publish(overlay *o, overlay_entry *e, version *v, bool is_new);

/* Takes the version that a checkpoint is to write and its trail, with references. The checkpointer.
 */
version *overlay_capture(overlay *o, overlay_entry *e, trail **before);

/* What is to become of an entry. */
typedef enum overlay_fate {
  OVERLAY_CHANGED, /* there is a newer version by now */
  OVERLAY_GOES,    /* to be dropped when nobody needs it */
  OVERLAY_KEPT,    /* may stay, and is marked so: it is not freed before overlay_evict() says so */
  OVERLAY_STAYS,   /* the same, and it was marked before */
} overlay_fate;

/* The checkpoint of that number has the version. */
overlay_fate overlay_settle(overlay *o, overlay_entry *e, const version *v, uint64_t checkpoint);

/* It does not have it: the version is to be captured again. Returns false when it is anyway. */
bool overlay_release(overlay *o, overlay_entry *e);

/* Frees the entry unless it has changed since that checkpoint; later, if it is pinned or kept. The
 * checkpointer. */
void overlay_drop(overlay *o, overlay_entry *e, uint64_t checkpoint);

typedef enum overlay_eviction {
  OVERLAY_GONE,   /* freed, or will be: not to be touched any more */
  OVERLAY_AGAIN,  /* settled anew, by the checkpoint that is written to `*checkpoint` */
  OVERLAY_NEEDED, /* by somebody with an older snapshot than `oldest` */
} overlay_eviction;

/* Ends the keeping of an entry that was settled by checkpoint `*checkpoint`. The checkpointer. */
overlay_eviction overlay_evict(overlay *o, overlay_entry *e, uint64_t *checkpoint, uint64_t oldest);

/* Bytes of entries that the database has, too. Any thread. */
static inline uint64_t overlay_idle(const overlay *o)
{
  return atomic_load_explicit(&o->idle, memory_order_relaxed);
}

#endif
