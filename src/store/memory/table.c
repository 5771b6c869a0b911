/* SPDX-License-Identifier: Apache-2.0 */
/* Where the memory engine keeps entries: striped hash tables whose buckets are a cache line each.
 * Readers take no lock. Entries never move between buckets of one table; a table that is too small
 * is replaced by another, and readers of the old one see what was there when they began. */
#include <stdlib.h>
#include <string.h>

#include "store/memory/engine.h"

enum {
  BUCKET_MAX = 7, /* entries of a bucket */
  PASSED_SHIFT = 56,
  PASSED_MAX = 255,    /* sticks */
  FULL_TENTHS = 8,     /* of all places are taken: the table is replaced */
  TABLE_STEP_MAX = 56, /* 2^28 buckets */
};

#define ONES  UINT64_C(0x0001010101010101) /* in each tag */
#define HIGHS UINT64_C(0x0080808080808080)

/* `marks` has a tag for each place, 0 for a free one, and in its highest byte how many entries of
 * the table did not find room here and were put into a bucket further on. */
typedef struct bucket {
  _Alignas(GRACE_LINE) atomic_uint_fast64_t marks;
  _Atomic(entry *) places[BUCKET_MAX];
} bucket;

_Static_assert(sizeof(bucket) == GRACE_LINE, "a bucket is a cache line");

/* A table as it stands in a stripe: the address of its buckets with the step of growth in the bits
 * that are zero. Tables have 1, 2, 3, 4, 6, 8, 12, 16... buckets: step 0, 2, 3, 4, 5, 6, 7, 8. */
typedef struct table {
  bucket *buckets;
  uint32_t count;
} table;

static uint32_t count_at(unsigned step)
{
  return (uint32_t)(2 + step % 2) << step / 2 >> 1;
}

static table table_at(uintptr_t word)
{
  return (table){.buckets = (bucket *)(word & ~(uintptr_t)(GRACE_LINE - 1)),
                 .count = count_at((unsigned)(word & (GRACE_LINE - 1)))};
}

static uint32_t table_home(const table *t, uint64_t hash)
{
  return (uint32_t)((hash >> 32) * t->count >> 32); /* the low bits of the hash chose the stripe */
}

static uint32_t table_next(const table *t, uint32_t at)
{
  return at + 1 < t->count ? at + 1 : 0;
}

/* Never 0. */
static uint64_t tag_of(uint64_t hash)
{
  const uint64_t tag = hash >> 24 & 0xff;
  return tag != 0 ? tag : 1;
}

/* The highest bit of each tag in `marks` that is `tag`. */
static uint64_t places_of(uint64_t marks, uint64_t tag)
{
  const uint64_t differ = marks ^ tag * ONES;
  return ~(((differ & (HIGHS - ONES)) + (HIGHS - ONES)) | differ) & HIGHS;
}

static unsigned first_place(uint64_t places)
{
  return (unsigned)__builtin_ctzll(places) / 8;
}

uint64_t entry_size(copal_span key)
{
  enum { PLACES = 28 }; /* in the table and in the list of keys */
  return offsetof(entry, key) + key.len + PLACES;
}

/* ------------------------------------------------------------------------------------------------
 * looking */

entry *stripe_find(const stripe *st, uint64_t hash, copal_span key)
{
  const uintptr_t word = atomic_load(&st->table);
  if (word == 0)
    return NULL;
  const table t = table_at(word);
  const uint64_t tag = tag_of(hash);
  uint32_t at = table_home(&t, hash);
  for (uint32_t n = 0; n < t.count; n++, at = table_next(&t, at)) {
    const uint64_t marks = atomic_load(&t.buckets[at].marks);
    for (uint64_t left = places_of(marks, tag); left != 0; left &= left - 1) {
      entry *e = atomic_load(&t.buckets[at].places[first_place(left)]);
      if (copal_span_is_equal(entry_key(e), key))
        return e;
    }
    if (marks >> PASSED_SHIFT == 0)
      return NULL;
  }
  return NULL;
}

void stripe_foresee(const stripe *st, uint64_t hash)
{
  const uintptr_t word = atomic_load(&st->table);
  const table t = table_at(word);
  if (word != 0)
    __builtin_prefetch(&t.buckets[table_home(&t, hash)]);
}

const entry *stripe_guess(const stripe *st, uint64_t hash)
{
  const uintptr_t word = atomic_load(&st->table);
  if (word == 0)
    return NULL;
  const table t = table_at(word);
  bucket *b = &t.buckets[table_home(&t, hash)];
  const uint64_t places = places_of(atomic_load(&b->marks), tag_of(hash));
  return places != 0 ? atomic_load(&b->places[first_place(places)]) : NULL;
}

/* ------------------------------------------------------------------------------------------------
 * changing */

/* Counts one more or one less that did not find room in a bucket. */
static void bucket_pass(bucket *b, bool is_more)
{
  const uint64_t marks = atomic_load(&b->marks);
  const uint64_t one = UINT64_C(1) << PASSED_SHIFT;
  if (marks >> PASSED_SHIFT != PASSED_MAX)
    atomic_store(&b->marks, is_more ? marks + one : marks - one);
}

/* The table has room. */
static void table_insert(const table *t, entry *e, uint64_t hash)
{
  uint32_t at = table_home(t, hash);
  uint64_t free_places;
  while ((free_places = places_of(atomic_load(&t->buckets[at].marks), 0)) == 0) {
    bucket_pass(&t->buckets[at], true);
    at = table_next(t, at);
  }
  bucket *b = &t->buckets[at];
  const unsigned place = first_place(free_places);
  atomic_store(&b->places[place], e);
  atomic_store(&b->marks, atomic_load(&b->marks) | tag_of(hash) << (8 * place));
}

/* True when the entry was in that bucket; it is not any more. */
static bool bucket_drop(bucket *b, const entry *e, uint64_t tag)
{
  const uint64_t marks = atomic_load(&b->marks);
  for (uint64_t left = places_of(marks, tag); left != 0; left &= left - 1) {
    const unsigned place = first_place(left);
    if (atomic_load(&b->places[place]) != e)
      continue;
    atomic_store(&b->marks, marks & ~(UINT64_C(0xff) << (8 * place)));
    return true;
  }
  return false;
}

void stripe_insert(stripe *st, entry *e, uint64_t hash)
{
  const table t = table_at(atomic_load(&st->table));
  table_insert(&t, e, hash);
  st->count++;
}

void stripe_remove(stripe *st, entry *e, uint64_t hash)
{
  const table t = table_at(atomic_load(&st->table));
  uint32_t at = table_home(&t, hash);
  while (!bucket_drop(&t.buckets[at], e, tag_of(hash))) {
    bucket_pass(&t.buckets[at], false);
    at = table_next(&t, at);
  }
  st->count--;
}

static void table_copy(const table *from, const table *to, const keyhash_secret *secret)
{
  for (uint32_t i = 0; i < from->count; i++) {
    const uint64_t marks = atomic_load(&from->buckets[i].marks);
    for (unsigned place = 0; place < BUCKET_MAX; place++) {
      entry *e = atomic_load(&from->buckets[i].places[place]);
      if ((marks >> (8 * place) & 0xff) != 0)
        table_insert(to, e, keyhash(secret, entry_key(e)));
    }
  }
}

/* Returns the word of an empty table, 0 without memory. */
static uintptr_t table_make(unsigned step)
{
  const size_t size = sizeof(bucket) * count_at(step);
  bucket *buckets = aligned_alloc(GRACE_LINE, size);
  if (buckets == NULL)
    return 0;
  memset(buckets, 0, size);
  return (uintptr_t)buckets | step;
}

/* The step of the table that replaces this one. There is no table of one and a half buckets. */
static unsigned next_step(uintptr_t word)
{
  const unsigned step = (unsigned)(word & (GRACE_LINE - 1));
  return word == 0 ? 0 : step == 0 ? 2 : step + 1;
}

/* Makes room for one more. A crowded table works, slowly. */
bool stripe_grow(stripe *st, const keyhash_secret *secret, grace_seat *seat)
{
  const uintptr_t word = atomic_load(&st->table);
  const table old = table_at(word);
  const size_t all = word != 0 ? (size_t)old.count * BUCKET_MAX : 0;
  const unsigned step = next_step(word);
  if (st->count < all * FULL_TENTHS / 10 || step > TABLE_STEP_MAX)
    return st->count < all;
  const uintptr_t wider = table_make(step);
  if (wider == 0)
    return st->count < all;
  if (word != 0) {
    const table t = table_at(wider);
    table_copy(&old, &t, secret);
  }
  atomic_store(&st->table, wider);
  if (word != 0)
    grace_retire(seat, old.buckets);
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * shelves */

copal_span entry_key(const void *e)
{
  return copal_span_of(((const entry *)e)->key, ((const entry *)e)->key_len);
}

static const keylist_kind by_key = {.key = entry_key};

void entry_free(entry *e)
{
  free(atomic_load(&e->rep));
  for (uint32_t i = 0; e->former != NULL && i < e->former->count; i++)
    free(e->former->reps[i]);
  free(e->former);
  free(e);
}

bool shelf_init(shelf *sh, uint32_t stripe_count)
{
  stripe *stripes = aligned_alloc(GRACE_LINE, stripe_count * sizeof *stripes);
  if (stripes == NULL)
    return false;
  memset(stripes, 0, stripe_count * sizeof *stripes);
  for (uint32_t i = 0; i < stripe_count; i++)
    pthread_mutex_init(&stripes[i].lock, NULL);
  pthread_rwlock_init(&sh->keys_lock, NULL);
  sh->stripes = stripes;
  sh->keys = keylist_init(&by_key);
  return true;
}

static void drop_entry(void *ctx, void *e)
{
  (void)ctx;
  entry_free(e);
}

void shelf_wipe(shelf *sh, uint32_t stripe_count)
{
  if (sh->stripes == NULL)
    return;
  keylist_clear(&sh->keys, drop_entry, NULL);
  for (uint32_t i = 0; i < stripe_count; i++) {
    free(table_at(atomic_load(&sh->stripes[i].table)).buckets);
    pthread_mutex_destroy(&sh->stripes[i].lock);
  }
  pthread_rwlock_destroy(&sh->keys_lock);
  free(sh->stripes);
  sh->stripes = NULL;
}

uint32_t shelf_index(const memory_store *s, uint64_t hash)
{
  return (uint32_t)hash & (s->cfg.stripe_count - 1);
}

stripe *shelf_stripe(const memory_store *s, store_space space, uint64_t hash)
{
  return &s->shelves[space].stripes[shelf_index(s, hash)];
}
