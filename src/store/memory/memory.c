/* SPDX-License-Identifier: Apache-2.0 */
/* The memory engine: striped hash tables, an ordered index of keys, ports that lend.
 *
 * Locks, in this order: one stripe; then the index of keys, or what a follower locks. Nothing is
 * called with the index locked. */
#include "store/memory/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "store/keytree.h"
#include "store/memory/keyhash.h"
#include "store/memory/representation.h"

enum {
  RESOURCE_MAX_DEFAULT = 1000000,
  BYTE_MAX_DEFAULT = 1 << 30,
  PENDING_MAX_DEFAULT = 4096,
  STRIPE_COUNT_DEFAULT = 1024,
  SLOTS_FIRST = 4, /* of a stripe's table; doubled when full */
  LENT_FIRST = 64, /* of a port's list of what it lent; doubled when full */
  CACHE_LINE = 64,
};

/* A resource. Its key never changes; its representation is replaced under the stripe's lock. */
typedef struct entry {
  keytree_node node;
  struct entry *next; /* of the same slot */
  uint64_t hash;
  representation *rep;
  uint8_t key[];
} entry;

typedef struct stripe {
  _Alignas(CACHE_LINE) pthread_rwlock_t lock;
  entry **slots;
  uint32_t slot_count; /* a power of two, or 0 */
  uint32_t count;
} stripe;

typedef struct memory_store {
  store base;
  memory_store_cfg cfg;
  keyhash_secret secret;
  uint64_t epoch;
  stripe *stripes;
  pthread_rwlock_t keys_lock;
  keytree keys;
  store_follower *followers; /* complete before the first commit, constant from then on */
  atomic_uint_fast64_t rev;
  atomic_uint_fast64_t resources;
  atomic_uint_fast64_t bytes;
  atomic_uint_fast64_t resources_refused;
  atomic_uint_fast64_t bytes_refused;
  atomic_uint_fast64_t memory_refused;
  atomic_uint_fast64_t pending_refused;
} memory_store;

/* A change that took effect or did not, and waits to be told. */
typedef struct completion {
  store_op *op;
  store_result result;
} completion;

typedef struct memory_port {
  store_port base;
  store_waker *waker;
  completion *ring;
  uint32_t head, count; /* of the ring, whose size is cfg.pending_max */
  representation **lent;
  size_t lent_count, lent_cap;
  uint8_t key[STORE_KEY_MAX]; /* where a listing stands */
} memory_port;

static memory_store *store_of(store_port *p)
{
  return (memory_store *)p->store;
}

static void count_up(atomic_uint_fast64_t *counter)
{
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------------
 * limits */

/* Takes `n` from what `limit` leaves of `used`. */
static bool budget_take(atomic_uint_fast64_t *used, uint64_t n, uint64_t limit)
{
  uint64_t before = atomic_load_explicit(used, memory_order_relaxed);
  do {
    if (before > limit || n > limit - before)
      return false;
  } while (!atomic_compare_exchange_weak_explicit(used, &before, before + n, memory_order_relaxed,
                                                  memory_order_relaxed));
  return true;
}

static void budget_give(atomic_uint_fast64_t *used, uint64_t n)
{
  atomic_fetch_sub_explicit(used, n, memory_order_relaxed);
}

static uint64_t entry_size(copal_span key)
{
  return sizeof(entry) + key.len + sizeof(entry *);
}

/* ------------------------------------------------------------------------------------------------
 * a stripe's table; the caller holds the lock */

static stripe *stripe_of(memory_store *s, uint64_t hash)
{
  return &s->stripes[hash & (s->cfg.stripe_count - 1)];
}

/* The low bits of the hash chose the stripe, the high ones choose the slot. */
static entry **slot_of(const stripe *st, uint64_t hash)
{
  return &st->slots[(hash >> 32) & (st->slot_count - 1)];
}

static entry *stripe_find(const stripe *st, uint64_t hash, copal_span key)
{
  if (st->slot_count == 0)
    return NULL;
  for (entry *e = *slot_of(st, hash); e != NULL; e = e->next)
    if (e->hash == hash && copal_span_is_equal(keytree_key(&e->node), key))
      return e;
  return NULL;
}

/* Makes room for one more. Only the first table is needed: a crowded one works, slowly. */
static bool stripe_grow(stripe *st)
{
  if (st->count < st->slot_count || st->slot_count > UINT32_MAX / 2)
    return true;
  stripe wider = {.slot_count = st->slot_count == 0 ? SLOTS_FIRST : st->slot_count * 2};
  wider.slots = calloc(wider.slot_count, sizeof *wider.slots);
  if (wider.slots == NULL)
    return st->slot_count != 0;
  for (uint32_t i = 0; i < st->slot_count; i++)
    for (entry *e = st->slots[i], *next; e != NULL; e = next) {
      next = e->next;
      e->next = *slot_of(&wider, e->hash);
      *slot_of(&wider, e->hash) = e;
    }
  free(st->slots);
  st->slots = wider.slots;
  st->slot_count = wider.slot_count;
  return true;
}

static void stripe_insert(stripe *st, entry *e)
{
  entry **slot = slot_of(st, e->hash);
  e->next = *slot;
  *slot = e;
  st->count++;
}

static void stripe_remove(stripe *st, entry *e)
{
  entry **at = slot_of(st, e->hash);
  while (*at != e)
    at = &(*at)->next;
  *at = e->next;
  st->count--;
}

/* ------------------------------------------------------------------------------------------------
 * changes; the caller holds the stripe's lock for writing */

/* One change on its way through the engine. */
typedef struct change {
  memory_store *s;
  stripe *st;
  const store_op *op;
  uint64_t hash;
  copal_time now;
  entry *e; /* what is there, or NULL */
  store_result result;
} change;

static void change_tell(const change *c, const store_item *old, const store_item *item)
{
  const store_change told = {
      .key = c->op->key,
      .rev = item != NULL ? item->rev : 0,
      .was_present = old != NULL,
      .links_changed = old == NULL || item == NULL || store_links_differ(old, item),
      .item = item,
  };
  for (store_follower *f = c->s->followers; f != NULL; f = f->next)
    f->on_change(f, &told);
}

static void change_refuse(change *c, atomic_uint_fast64_t *counter)
{
  count_up(counter);
  c->result.status = STORE_FULL;
}

static store_rev next_rev(memory_store *s)
{
  return atomic_fetch_add_explicit(&s->rev, 1, memory_order_relaxed) + 1;
}

/* Puts a new representation in the place of the present one. */
static void change_replace(change *c, const store_item *item)
{
  memory_store *s = c->s;
  representation *old = c->e->rep;
  const size_t before = representation_size(&old->item);
  const size_t after = representation_size(item);
  if (after > before && !budget_take(&s->bytes, after - before, s->cfg.byte_max)) {
    change_refuse(c, &s->bytes_refused);
    return;
  }
  representation *rep = representation_make(item);
  if (rep == NULL) {
    if (after > before)
      budget_give(&s->bytes, after - before);
    change_refuse(c, &s->memory_refused);
    return;
  }
  if (after < before)
    budget_give(&s->bytes, before - after);
  c->e->rep = rep;
  c->result = (store_result){.status = STORE_OK, .rev = item->rev, .etag = item->etag};
  change_tell(c, &old->item, &rep->item);
  representation_give(old);
}

/* An entry with its representation, in no table yet. */
static entry *entry_make(const change *c, const store_item *item)
{
  const copal_span key = c->op->key;
  entry *e = malloc(sizeof *e + key.len);
  representation *rep = representation_make(item);
  if (e == NULL || rep == NULL) {
    free(e);
    representation_give(rep);
    return NULL;
  }
  e->hash = c->hash;
  e->rep = rep;
  if (key.len > 0)
    memcpy(e->key, key.ptr, key.len);
  return e;
}

static void change_create(change *c, const store_item *item)
{
  memory_store *s = c->s;
  const copal_span key = c->op->key;
  const uint64_t size = entry_size(key) + representation_size(item);
  if (!budget_take(&s->resources, 1, s->cfg.resource_max)) {
    change_refuse(c, &s->resources_refused);
    return;
  }
  if (!budget_take(&s->bytes, size, s->cfg.byte_max)) {
    budget_give(&s->resources, 1);
    change_refuse(c, &s->bytes_refused);
    return;
  }
  entry *e = stripe_grow(c->st) ? entry_make(c, item) : NULL;
  if (e == NULL) {
    budget_give(&s->resources, 1);
    budget_give(&s->bytes, size);
    change_refuse(c, &s->memory_refused);
    return;
  }
  stripe_insert(c->st, e);
  pthread_rwlock_wrlock(&s->keys_lock);
  keytree_insert(&s->keys, &e->node, copal_span_of(e->key, key.len), 0);
  pthread_rwlock_unlock(&s->keys_lock);
  c->result =
      (store_result){.status = STORE_OK, .rev = item->rev, .etag = item->etag, .created = true};
  change_tell(c, NULL, &e->rep->item);
}

static void change_put(change *c)
{
  const store_op *op = c->op;
  const bool keeps_attrs = c->e != NULL && op->keeps_attrs;
  const store_rev rev = next_rev(c->s);
  const store_item item = {
      .rev = rev,
      .etag = store_etag_of(rev, c->s->epoch),
      .content_format = op->content_format,
      .max_age_s = op->max_age_s,
      .written = c->now,
      .body = op->body,
      .attrs = keeps_attrs ? c->e->rep->item.attrs : op->attrs,
  };
  if (c->e != NULL)
    change_replace(c, &item);
  else
    change_create(c, &item);
}

/* The representation stays what it is, so its entity-tag and age do. */
static void change_set_attrs(change *c)
{
  if (c->e == NULL) {
    c->result.status = STORE_ABSENT;
    return;
  }
  store_item item = c->e->rep->item;
  item.rev = next_rev(c->s);
  item.attrs = c->op->attrs;
  change_replace(c, &item);
}

static void change_delete(change *c)
{
  c->result = (store_result){.status = STORE_OK, .created = c->e != NULL};
  if (c->e == NULL)
    return;
  memory_store *s = c->s;
  entry *e = c->e;
  stripe_remove(c->st, e);
  pthread_rwlock_wrlock(&s->keys_lock);
  keytree_remove(&s->keys, keytree_key(&e->node));
  pthread_rwlock_unlock(&s->keys_lock);
  budget_give(&s->resources, 1);
  budget_give(&s->bytes, entry_size(c->op->key) + representation_size(&e->rep->item));
  change_tell(c, &e->rep->item, NULL);
  representation_give(e->rep);
  free(e);
}

static void change_apply(change *c)
{
  const store_item *item = c->e != NULL ? &c->e->rep->item : NULL;
  c->result = (store_result){.status = STORE_PRECONDITION};
  if (item != NULL) {
    c->result.rev = item->rev;
    c->result.etag = item->etag;
  }
  if (!store_conditions_hold(c->op, item))
    return;
  switch (c->op->verb) {
  case STORE_PUT: change_put(c); return;
  case STORE_DELETE: change_delete(c); return;
  case STORE_SET_ATTRS: change_set_attrs(c); return;
  }
}

/* ------------------------------------------------------------------------------------------------
 * ports */

static int memory_port_open(store *s, store_waker *waker, store_port **port)
{
  const memory_store *m = (const memory_store *)s;
  memory_port *p = calloc(1, sizeof *p);
  completion *ring = calloc(m->cfg.pending_max, sizeof *ring);
  representation **lent = calloc(LENT_FIRST, sizeof(representation *));
  if (p == NULL || ring == NULL || lent == NULL) {
    free(p);
    free(ring);
    free(lent);
    return COPAL_ENOSLOT;
  }
  p->base.store = s;
  p->waker = waker;
  p->ring = ring;
  p->lent = lent;
  p->lent_cap = LENT_FIRST;
  *port = &p->base;
  return COPAL_OK;
}

static void memory_view_renew(store_port *base)
{
  memory_port *p = (memory_port *)base;
  for (size_t i = 0; i < p->lent_count; i++)
    representation_give(p->lent[i]);
  p->lent_count = 0;
}

static void memory_port_close(store_port *base)
{
  memory_port *p = (memory_port *)base;
  memory_view_renew(base);
  free(p->lent);
  free(p->ring);
  free(p);
}

/* Remembers what must be given back. Without memory for the list the representation is given up:
 * it leaks, and nobody reads what was freed. */
static void port_lend(memory_port *p, representation *rep)
{
  if (p->lent_count == p->lent_cap) {
    representation **wider = realloc(p->lent, 2 * p->lent_cap * sizeof(representation *));
    if (wider == NULL)
      return;
    p->lent = wider;
    p->lent_cap *= 2;
  }
  p->lent[p->lent_count++] = rep;
}

/* The representation of a key with a reference for the caller, or NULL. */
static representation *store_find(memory_store *s, copal_span key)
{
  const uint64_t hash = keyhash(&s->secret, key);
  stripe *st = stripe_of(s, hash);
  pthread_rwlock_rdlock(&st->lock);
  const entry *e = stripe_find(st, hash, key);
  representation *rep = e != NULL ? e->rep : NULL;
  if (rep != NULL)
    representation_take(rep);
  pthread_rwlock_unlock(&st->lock);
  return rep;
}

static bool memory_get(store_port *base, copal_span key, store_item *item)
{
  representation *rep = store_find(store_of(base), key);
  if (rep == NULL)
    return false;
  *item = rep->item;
  port_lend((memory_port *)base, rep);
  return true;
}

static void port_complete(memory_port *p, store_op *op, const store_result *result)
{
  const memory_store *s = store_of(&p->base);
  const uint32_t tail = (uint32_t)(((uint64_t)p->head + p->count) % s->cfg.pending_max);
  p->ring[tail] = (completion){.op = op, .result = *result};
  p->count++;
  if (p->count == 1 && p->waker != NULL)
    p->waker->wake(p->waker);
}

static int memory_commit(store_port *base, store_op *op, copal_time now)
{
  memory_port *p = (memory_port *)base;
  memory_store *s = store_of(base);
  if (p->count == s->cfg.pending_max) {
    count_up(&s->pending_refused);
    return COPAL_ENOSLOT;
  }
  change c = {.s = s, .op = op, .now = now, .hash = keyhash(&s->secret, op->key)};
  c.st = stripe_of(s, c.hash);
  pthread_rwlock_wrlock(&c.st->lock);
  c.e = stripe_find(c.st, c.hash, op->key);
  change_apply(&c);
  pthread_rwlock_unlock(&c.st->lock);
  port_complete(p, op, &c.result);
  return COPAL_OK;
}

static int memory_drain(store_port *base, int max)
{
  memory_port *p = (memory_port *)base;
  const uint32_t size = store_of(base)->cfg.pending_max;
  /* A completion may commit again; what it adds waits for the next call, or this one might never
   * end. */
  uint32_t left = max < 0 ? 0 : (uint32_t)max;
  left = left < p->count ? left : p->count;
  const int ran = (int)left;
  for (; left > 0; left--) {
    const completion done = p->ring[p->head];
    p->head = (p->head + 1) % size;
    p->count--;
    done.op->done(done.op, &done.result);
  }
  return ran;
}

/* Copies the first key behind the edge into the port; false at the end of the prefix. */
static bool port_next_key(memory_port *p, copal_span prefix, copal_span from, keytree_edge edge,
                          copal_span *key)
{
  memory_store *s = store_of(&p->base);
  pthread_rwlock_rdlock(&s->keys_lock);
  const keytree_node *n = keytree_first(&s->keys, from, edge);
  const bool is_there = n != NULL && copal_span_has_prefix(keytree_key(n), prefix);
  if (is_there) {
    *key = copal_span_of(p->key, n->key_len);
    memcpy(p->key, n->key, n->key_len);
  }
  pthread_rwlock_unlock(&s->keys_lock);
  return is_there;
}

static int memory_list(store_port *base, copal_span prefix, copal_span after, size_t max,
                       int (*each)(void *ctx, copal_span key, const store_item *item), void *ctx)
{
  memory_port *p = (memory_port *)base;
  const bool is_inside = keytree_compare(after, prefix) >= 0 && after.len > 0;
  copal_span key = is_inside ? after : prefix;
  keytree_edge edge = is_inside ? KEYTREE_BEHIND : KEYTREE_BEFORE;
  int calls = 0;
  while ((size_t)calls < max && calls < INT32_MAX && port_next_key(p, prefix, key, edge, &key)) {
    edge = KEYTREE_BEHIND;
    representation *rep = store_find(store_of(base), key);
    if (rep == NULL)
      continue; /* deleted since */
    const int stop = each(ctx, key, &rep->item);
    representation_give(rep);
    calls++;
    if (stop != 0)
      return stop < 0 ? stop : calls;
  }
  return calls;
}

/* ------------------------------------------------------------------------------------------------
 * the store */

static void memory_follow(store *base, store_follower *f)
{
  memory_store *s = (memory_store *)base;
  f->next = s->followers;
  s->followers = f;
}

static store_usage memory_usage(store *base)
{
  memory_store *s = (memory_store *)base;
  return (store_usage){
      .resources = atomic_load_explicit(&s->resources, memory_order_relaxed),
      .bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed),
  };
}

static void drop_entry(void *ctx, keytree_node *n)
{
  (void)ctx;
  entry *e = (entry *)n; /* its first member */
  representation_give(e->rep);
  free(e);
}

static void memory_close(store *base)
{
  memory_store *s = (memory_store *)base;
  keytree_clear(&s->keys, drop_entry, NULL);
  for (uint32_t i = 0; i < s->cfg.stripe_count; i++) {
    free(s->stripes[i].slots);
    pthread_rwlock_destroy(&s->stripes[i].lock);
  }
  pthread_rwlock_destroy(&s->keys_lock);
  free(s->stripes);
  free(s);
}

static const store_engine memory_engine = {
    .port_open = memory_port_open,
    .port_close = memory_port_close,
    .view_renew = memory_view_renew,
    .get = memory_get,
    .commit = memory_commit,
    .drain = memory_drain,
    .list = memory_list,
    .follow = memory_follow,
    .usage = memory_usage,
    .close = memory_close,
};

static memory_store_cfg with_defaults(const memory_store_cfg *given)
{
  memory_store_cfg cfg = given != NULL ? *given : (memory_store_cfg){0};
  if (cfg.resource_max == 0)
    cfg.resource_max = RESOURCE_MAX_DEFAULT;
  if (cfg.byte_max == 0)
    cfg.byte_max = BYTE_MAX_DEFAULT;
  if (cfg.pending_max == 0)
    cfg.pending_max = PENDING_MAX_DEFAULT;
  if (cfg.stripe_count == 0)
    cfg.stripe_count = STRIPE_COUNT_DEFAULT;
  return cfg;
}

/* Random bytes for the hash, the tree and the entity-tags. */
static bool memory_seed(memory_store *s)
{
  uint64_t random[4];
  if (!store_random((copal_mspan){(uint8_t *)random, sizeof random}))
    return false;
  s->secret = (keyhash_secret){{random[0], random[1]}};
  s->epoch = random[2];
  s->keys = keytree_init(random[3]);
  return true;
}

store *memory_store_open(const memory_store_cfg *given)
{
  const memory_store_cfg cfg = with_defaults(given);
  if ((cfg.stripe_count & (cfg.stripe_count - 1)) != 0 || cfg.pending_max > INT32_MAX)
    return NULL;
  memory_store *s = calloc(1, sizeof *s);
  stripe *stripes = aligned_alloc(CACHE_LINE, cfg.stripe_count * sizeof *stripes);
  if (s == NULL || stripes == NULL || !memory_seed(s)) {
    free(s);
    free(stripes);
    return NULL;
  }
  memset(stripes, 0, cfg.stripe_count * sizeof *stripes);
  for (uint32_t i = 0; i < cfg.stripe_count; i++)
    pthread_rwlock_init(&stripes[i].lock, NULL);
  pthread_rwlock_init(&s->keys_lock, NULL);
  s->base.engine = &memory_engine;
  s->cfg = cfg;
  s->stripes = stripes;
  return &s->base;
}

memory_store_counts memory_store_counts_now(store *base)
{
  memory_store *s = (memory_store *)base;
  return (memory_store_counts){
      .resources_refused = atomic_load_explicit(&s->resources_refused, memory_order_relaxed),
      .bytes_refused = atomic_load_explicit(&s->bytes_refused, memory_order_relaxed),
      .memory_refused = atomic_load_explicit(&s->memory_refused, memory_order_relaxed),
      .pending_refused = atomic_load_explicit(&s->pending_refused, memory_order_relaxed),
  };
}
