/* SPDX-License-Identifier: Apache-2.0 */
/* The overlay: a hash table with striped locks, and the keys that the database may not have in
 * order. */
#include "store/journal/overlay.h"

#include <stdlib.h>
#include <string.h>

#include "store/shift.h"

enum {
  STRIPES = 1024,
  CACHE_LINE = 64,
  KEPT_MAX = 1024, /* bytes of a version: longer ones are better read from the database */
};

struct overlay_stripe {
  _Alignas(CACHE_LINE) pthread_mutex_t lock;
  shift shift; /* with each that is published */
};

bool overlay_init(overlay *o, uint32_t buckets, uint32_t history)
{
  uint64_t random[2 + OVERLAY_TREES];
  *o = (overlay){.bucket_mask = buckets - 1, .history = history};
  if (!store_random((copal_mspan){(uint8_t *)random, sizeof random}))
    return false;
  o->buckets = calloc(buckets, sizeof(overlay_entry *));
  o->stripes = aligned_alloc(CACHE_LINE, STRIPES * sizeof *o->stripes);
  if (o->buckets == NULL || o->stripes == NULL) {
    free(o->buckets);
    free(o->stripes);
    o->buckets = NULL;
    return false;
  }
  o->secret = (keyhash_secret){{random[0], random[1]}};
  for (int i = 0; i < OVERLAY_TREES; i++)
    o->keys[i] = keytree_init(random[2 + i]);
  for (int i = 0; i < STRIPES; i++) {
    pthread_mutex_init(&o->stripes[i].lock, NULL);
    o->stripes[i].shift = (shift){0};
  }
  pthread_rwlock_init(&o->keys_lock, NULL);
  return true;
}

static void entry_free(overlay_entry *e)
{
  version_give(e->now);
  trail_give(e->before);
  free(e);
}

void overlay_wipe(overlay *o)
{
  if (o->buckets == NULL)
    return;
  for (uint32_t i = 0; i <= o->bucket_mask; i++)
    for (overlay_entry *e = o->buckets[i], *next; e != NULL; e = next) {
      next = e->next;
      entry_free(e);
    }
  for (int i = 0; i < STRIPES; i++)
    pthread_mutex_destroy(&o->stripes[i].lock);
  pthread_rwlock_destroy(&o->keys_lock);
  version_stock_wipe(&o->stock);
  free(o->stripes);
  free(o->buckets);
  o->buckets = NULL;
}

uint64_t overlay_hash(const overlay *o, int space, copal_span key)
{
  return keyhash(&o->secret, key) + (uint64_t)space;
}

uint32_t overlay_where(uint64_t hash)
{
  return hash % STRIPES;
}

static overlay_stripe *stripe_of(const overlay *o, uint64_t hash)
{
  return &o->stripes[overlay_where(hash)];
}

static pthread_mutex_t *lock_of(const overlay *o, uint64_t hash)
{
  return &stripe_of(o, hash)->lock;
}

uint64_t overlay_state(const overlay *o, uint32_t where)
{
  return shift_read(&o->stripes[where].shift);
}

/* Locks a stripe for a change that readers see, and ends it. They look with the stripe locked. */
static void begin_change(overlay_stripe *st)
{
  pthread_mutex_lock(&st->lock);
  shift_begin(&st->shift);
}

static void end_change(overlay_stripe *st)
{
  shift_end(&st->shift);
  pthread_mutex_unlock(&st->lock);
}

/* Buckets of one stripe have the low bits in common: there are at least as many buckets. */
static overlay_entry **bucket_of(const overlay *o, uint64_t hash)
{
  return &o->buckets[hash & o->bucket_mask];
}

static copal_span key_of(const overlay_entry *e)
{
  return copal_span_of(e->key, e->key_len);
}

static overlay_entry *find(const overlay *o, int space, copal_span key, uint64_t hash)
{
  for (overlay_entry *e = *bucket_of(o, hash); e != NULL; e = e->next)
    if (e->hash == hash && e->space == space && copal_span_is_equal(key_of(e), key))
      return e;
  return NULL;
}

void overlay_fetch(const overlay *o, uint64_t hash)
{
  __builtin_prefetch(lock_of(o, hash));
  __builtin_prefetch(bucket_of(o, hash));
}

void overlay_fetch_entry(const overlay *o, uint64_t hash)
{
  pthread_mutex_t *lock = lock_of(o, hash);
  pthread_mutex_lock(lock);
  const overlay_entry *e = *bucket_of(o, hash);
  pthread_mutex_unlock(lock);
  __builtin_prefetch(e); /* it may be freed by now, which does no harm */
  __builtin_prefetch((const uint8_t *)e + CACHE_LINE);
}

/* Bytes of memory that the entry takes with all that it keeps. */
static size_t entry_size(const overlay_entry *e)
{
  return sizeof *e + e->key_len + (e->now != NULL ? e->now->size : 0) +
         (e->before != NULL ? e->before->size : 0);
}

static void add_bytes(overlay *o, size_t n)
{
  atomic_fetch_add_explicit(&o->bytes, n, memory_order_relaxed);
}

static void subtract_bytes(overlay *o, size_t n)
{
  atomic_fetch_sub_explicit(&o->bytes, n, memory_order_relaxed);
}

static void subtract_idle(overlay *o, size_t n)
{
  atomic_fetch_sub_explicit(&o->idle, n, memory_order_relaxed);
}

version *overlay_find_trail(overlay *o, int space, copal_span key, uint64_t hash, trail **before)
{
  pthread_mutex_t *lock = lock_of(o, hash);
  pthread_mutex_lock(lock);
  const overlay_entry *e = find(o, space, key, hash);
  version *v = e != NULL && e->now != NULL ? version_take(e->now) : NULL;
  if (before != NULL)
    *before = v != NULL ? trail_take(e->before) : NULL;
  pthread_mutex_unlock(lock);
  return v;
}

version *overlay_find(overlay *o, int space, copal_span key, uint64_t hash)
{
  return overlay_find_trail(o, space, key, hash, NULL);
}

bool overlay_next_key(overlay *o, store_space space, copal_span prefix, copal_span from,
                      keytree_edge edge, uint8_t *room, copal_span *key)
{
  pthread_rwlock_rdlock(&o->keys_lock);
  const keytree_node *n = keytree_first(&o->keys[space], from, edge);
  const bool is_there = n != NULL && copal_span_has_prefix(keytree_key(n), prefix);
  if (is_there) {
    memcpy(room, n->key, n->key_len);
    *key = copal_span_of(room, n->key_len);
  }
  pthread_rwlock_unlock(&o->keys_lock);
  return is_there;
}

/* ------------------------------------------------------------------------------------------------
 * the writer */

static overlay_entry *entry_make(int space, copal_span key, uint64_t hash)
{
  overlay_entry *e = malloc(sizeof *e + key.len);
  if (e == NULL)
    return NULL;
  *e = (overlay_entry){.hash = hash, .space = (uint8_t)space, .key_len = (uint32_t)key.len};
  memcpy(e->key, key.ptr, key.len);
  return e;
}

overlay_entry *overlay_pin(overlay *o, int space, copal_span key, uint64_t hash)
{
  pthread_mutex_t *lock = lock_of(o, hash);
  pthread_mutex_lock(lock);
  overlay_entry *e = find(o, space, key, hash);
  if (e == NULL && (e = entry_make(space, key, hash)) != NULL) {
    e->next = *bucket_of(o, hash);
    *bucket_of(o, hash) = e;
    add_bytes(o, entry_size(e));
    atomic_fetch_add_explicit(&o->entries, 1, memory_order_relaxed);
  }
  if (e != NULL)
    overlay_pin_again(e);
  pthread_mutex_unlock(lock);
  return e;
}

/* Takes the entry out of its bucket; the stripe is locked. */
static void take_out(overlay *o, overlay_entry *e)
{
  overlay_entry **at = bucket_of(o, e->hash);
  while (*at != e)
    at = &(*at)->next;
  *at = e->next;
  if (e->is_ordered) {
    pthread_rwlock_wrlock(&o->keys_lock);
    keytree_remove(&o->keys[e->space], key_of(e));
    pthread_rwlock_unlock(&o->keys_lock);
  }
  subtract_bytes(o, entry_size(e));
  if (e->settled != 0)
    subtract_idle(o, entry_size(e));
  atomic_fetch_sub_explicit(&o->entries, 1, memory_order_relaxed);
}

/* Only the last pin matters to others. */
static unsigned take_pin(overlay_entry *e)
{
  return atomic_fetch_sub_explicit(&e->pins, 1, memory_order_relaxed) - 1;
}

void overlay_unpin(overlay *o, overlay_entry *e)
{
  if (atomic_load_explicit(&e->pins, memory_order_relaxed) > 1) {
    take_pin(e);
    return;
  }
  pthread_mutex_t *lock = lock_of(o, e->hash);
  pthread_mutex_lock(lock);
  const bool goes = take_pin(e) == 0 && (e->now == NULL || e->is_due) && !e->is_kept;
  if (goes)
    take_out(o, e);
  pthread_mutex_unlock(lock);
  if (goes)
    entry_free(e);
}

/* The trail of what follows what is there. Without memory the history is shorter. */
static trail *trail_behind(const overlay *o, const overlay_entry *e, const version *v)
{
  if (o->history == 0 || e->now == NULL || v->kind != BATCH_PUT || e->space != STORE_RESOURCES)
    return NULL;
  const version *old = e->now;
  if (old->kind == BATCH_PUT &&
      memcmp(old->rec.item.etag.bytes, v->rec.item.etag.bytes, STORE_ETAG_SIZE) == 0)
    return trail_take(e->before); /* other attributes: the same representation */
  return trail_extend(e->before, e->now, o->history);
}

bool overlay_publish(overlay *o, overlay_entry *e, version *v, bool is_new)
{
  trail *before = trail_behind(o, e, v); /* only the writer changes what it follows */
  overlay_stripe *st = stripe_of(o, e->hash);
  begin_change(st);
  version *old = e->now;
  trail *old_before = e->before;
  const bool was_dirty = e->is_dirty;
  subtract_bytes(o, entry_size(e));
  if (e->settled != 0)
    subtract_idle(o, entry_size(e));
  e->now = v;
  e->before = before;
  e->is_dirty = true;
  e->is_due = false;
  e->settled = 0;
  add_bytes(o, entry_size(e));
  if (is_new && !e->is_ordered && e->space < OVERLAY_TREES) {
    pthread_rwlock_wrlock(&o->keys_lock);
    keytree_insert(&o->keys[e->space], &e->node, key_of(e));
    pthread_rwlock_unlock(&o->keys_lock);
    e->is_ordered = true;
  }
  take_pin(e);
  end_change(st);
  version_give_to(old, &o->stock);
  trail_give(old_before);
  return !was_dirty;
}

/* ------------------------------------------------------------------------------------------------
 * the checkpointer */

version *overlay_capture(overlay *o, overlay_entry *e, trail **before)
{
  pthread_mutex_t *lock = lock_of(o, e->hash);
  pthread_mutex_lock(lock);
  e->is_dirty = false;
  e->settled = 0;
  version *v = version_take(e->now);
  *before = trail_take(e->before);
  pthread_mutex_unlock(lock);
  return v;
}

/* What is absent, or in the ordered keys, makes listings longer; names are not looked at twice; a
 * trail has more than one version. */
static bool can_stay(const overlay *o, const overlay_entry *e)
{
  return e->now->kind == BATCH_PUT && e->now->map == NULL && e->now->size <= KEPT_MAX &&
         !e->is_ordered && o->history == 0;
}

overlay_fate overlay_settle(overlay *o, overlay_entry *e, const version *v, uint64_t checkpoint)
{
  overlay_fate fate = OVERLAY_CHANGED;
  pthread_mutex_t *lock = lock_of(o, e->hash);
  pthread_mutex_lock(lock);
  if (e->now == v) {
    e->settled = checkpoint;
    atomic_fetch_add_explicit(&o->idle, entry_size(e), memory_order_relaxed);
    fate = !can_stay(o, e) ? OVERLAY_GOES : e->is_kept ? OVERLAY_STAYS : OVERLAY_KEPT;
    e->is_kept = e->is_kept || fate == OVERLAY_KEPT;
  }
  pthread_mutex_unlock(lock);
  return fate;
}

bool overlay_release(overlay *o, overlay_entry *e)
{
  pthread_mutex_t *lock = lock_of(o, e->hash);
  pthread_mutex_lock(lock);
  const bool was_dirty = e->is_dirty;
  e->is_dirty = true;
  pthread_mutex_unlock(lock);
  return !was_dirty;
}

static bool is_free(const overlay_entry *e)
{
  return !e->is_kept && atomic_load_explicit(&e->pins, memory_order_relaxed) == 0;
}

void overlay_drop(overlay *o, overlay_entry *e, uint64_t checkpoint)
{
  pthread_mutex_t *lock = lock_of(o, e->hash);
  pthread_mutex_lock(lock);
  const bool is_superfluous = e->settled == checkpoint && !e->is_dirty;
  const bool goes = is_superfluous && is_free(e);
  e->is_due = is_superfluous && !goes;
  if (goes)
    take_out(o, e);
  pthread_mutex_unlock(lock);
  if (goes)
    entry_free(e);
}

overlay_eviction overlay_evict(overlay *o, overlay_entry *e, uint64_t *checkpoint, uint64_t oldest)
{
  overlay_eviction what = OVERLAY_GONE;
  pthread_mutex_t *lock = lock_of(o, e->hash);
  pthread_mutex_lock(lock);
  if (e->settled != 0 && !e->is_due && e->settled != *checkpoint)
    what = OVERLAY_AGAIN;
  else if (e->settled > oldest)
    what = OVERLAY_NEEDED;
  *checkpoint = e->settled;
  e->is_kept = what != OVERLAY_GONE;
  const bool is_superfluous = what == OVERLAY_GONE && e->settled != 0;
  const bool goes = is_superfluous && is_free(e);
  if (is_superfluous)
    e->is_due = !goes;
  if (goes)
    take_out(o, e);
  pthread_mutex_unlock(lock);
  if (goes)
    entry_free(e);
  return what;
}
