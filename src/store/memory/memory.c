/* SPDX-License-Identifier: Apache-2.0 */
/* The memory engine: ports that lend, reading, listing, opening and closing. */
#include "store/memory/memory.h"

#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "store/memory/engine.h"

enum {
  RESOURCE_MAX_DEFAULT = 1000000,
  BYTE_MAX_DEFAULT = 1 << 30,
  PENDING_MAX_DEFAULT = 4096,
  NAME_MAX_DEFAULT = 1000000,
  STRIPE_COUNT_DEFAULT = 1024,
  FORESEE_MIN = 8192, /* resources: fewer are in the cache anyway */
  FORESEE_MAX = 64,   /* keys at once */
};

/* A change that took effect or did not, and waits to be told. */
typedef struct completion {
  store_op *op;
  store_result result;
} completion;

typedef struct memory_port {
  store_port base;
  store_waker *waker;
  completion *ring;
  uint32_t head, count;       /* of the ring, whose size is cfg.pending_max */
  grace_seat *seat;           /* looks from the first reading until the view is renewed */
  uint8_t key[STORE_KEY_MAX]; /* where a listing stands */
} memory_port;

static memory_store *store_of(store_port *p)
{
  return (memory_store *)p->store;
}

/* ------------------------------------------------------------------------------------------------
 * ports */

static int memory_port_open(store *s, store_waker *waker, store_port **port)
{
  const memory_store *m = (const memory_store *)s;
  memory_port *p = calloc(1, sizeof *p);
  completion *ring = calloc(m->cfg.pending_max, sizeof *ring);
  grace_seat *seat = grace_open(&((memory_store *)s)->grace);
  if (p == NULL || ring == NULL || seat == NULL) {
    free(p);
    free(ring);
    grace_close(seat);
    return COPAL_ENOSLOT;
  }
  p->base.store = s;
  p->waker = waker;
  p->ring = ring;
  p->seat = seat;
  *port = &p->base;
  return COPAL_OK;
}

static void memory_view_renew(store_port *base)
{
  grace_leave(((memory_port *)base)->seat);
}

static void completion_wipe(const completion *c)
{
  if (c->result.is_repeat)
    free((void *)(uintptr_t)c->result.key.ptr);
}

static void memory_port_close(store_port *base)
{
  memory_port *p = (memory_port *)base;
  grace_close(p->seat);
  for (uint32_t i = 0; i < p->count; i++)
    completion_wipe(&p->ring[((uint64_t)p->head + i) % store_of(base)->cfg.pending_max]);
  free(p->ring);
  free(p);
}

/* The representation of a key, or NULL. The caller is inside its seat. */
static const representation *store_find(memory_store *s, store_space in, copal_span key,
                                        copal_time now)
{
  const uint64_t hash = keyhash(&s->secret, key);
  const entry *e = stripe_find(shelf_stripe(s, in, hash), hash, key);
  const representation *rep = e != NULL ? atomic_load(&e->rep) : NULL;
  return rep != NULL && !representation_is_expired(rep, now) ? rep : NULL;
}

static store_status memory_get(store_port *base, store_space in, copal_span key, store_item *item,
                               copal_time now)
{
  memory_store *s = store_of(base);
  grace_enter(((memory_port *)base)->seat);
  const representation *rep = store_find(s, in, key, now);
  if (rep == NULL)
    return STORE_ABSENT;
  *item = representation_item(rep, s->epoch);
  return STORE_OK;
}

static uint32_t memory_where(store_port *base, copal_span key)
{
  const memory_store *s = store_of(base);
  return shelf_index(s, keyhash(&s->secret, key));
}

static uint64_t memory_state(store_port *base, uint32_t where)
{
  return shift_read(&store_of(base)->shelves[STORE_RESOURCES].stripes[where].shift);
}

static size_t memory_foresight(store_port *base)
{
  const memory_store *s = store_of(base);
  const uint64_t count = atomic_load_explicit(&s->resources, memory_order_relaxed);
  return count < FORESEE_MIN ? 0 : FORESEE_MAX;
}

/* Goes one step down for all keys before the next, so that the memory is asked for all at once. */
static void memory_foresee(store_port *base, const copal_span *keys, size_t count)
{
  memory_store *s = store_of(base);
  uint64_t hashes[FORESEE_MAX];
  const stripe *stripes[FORESEE_MAX];
  const entry *entries[FORESEE_MAX];
  grace_enter(((memory_port *)base)->seat);
  for (size_t i = 0; i < count; i++) {
    hashes[i] = keyhash(&s->secret, keys[i]);
    stripes[i] = shelf_stripe(s, STORE_RESOURCES, hashes[i]);
    __builtin_prefetch(&stripes[i]->table);
  }
  for (size_t i = 0; i < count; i++)
    stripe_foresee(stripes[i], hashes[i]);
  for (size_t i = 0; i < count; i++) {
    entries[i] = stripe_guess(stripes[i], hashes[i]);
    __builtin_prefetch(entries[i]);
  }
  for (size_t i = 0; i < count; i++)
    if (entries[i] != NULL)
      representation_foresee(atomic_load(&entries[i]->rep));
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

/* Carries the change out. What was retired without looking is freed now and then. */
static store_result port_change(memory_port *p, const store_op *op, copal_time now)
{
  store_result result;
  if (grace_is_due(p->seat))
    grace_leave(p->seat);
  memory_change(store_of(&p->base), p->seat, op, now, &result);
  return result;
}

static int memory_commit(store_port *base, store_op *op, copal_time now)
{
  memory_port *p = (memory_port *)base;
  memory_store *s = store_of(base);
  if (p->count == s->cfg.pending_max) {
    count_up(&s->counters.pending_refused);
    return COPAL_ENOSLOT;
  }
  const store_result result = port_change(p, op, now);
  port_complete(p, op, &result);
  return COPAL_OK;
}

static int memory_apply(store_port *base, store_op *op, copal_time now)
{
  const completion done = {.op = op, .result = port_change((memory_port *)base, op, now)};
  op->done(op, &done.result);
  completion_wipe(&done);
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
    completion_wipe(&done);
  }
  return ran;
}

/* Copies the first key behind the edge into the port; false at the end of the prefix. */
static bool port_next_key(memory_port *p, const store_range *range, copal_span from,
                          keytree_edge edge, copal_span *key)
{
  shelf *sh = &store_of(&p->base)->shelves[range->space];
  pthread_rwlock_rdlock(&sh->keys_lock);
  const entry *e = keylist_first(&sh->keys, from, edge);
  const bool is_there = e != NULL && copal_span_has_prefix(entry_key(e), range->prefix);
  if (is_there) {
    *key = copal_span_of(p->key, e->key_len);
    memcpy(p->key, e->key, e->key_len);
  }
  pthread_rwlock_unlock(&sh->keys_lock);
  return is_there;
}

static int memory_list(store_port *base, const store_range *range, store_each *each, void *ctx,
                       copal_time now)
{
  memory_port *p = (memory_port *)base;
  memory_store *s = store_of(base);
  const bool is_inside = range->after.len > 0 && keytree_compare(range->after, range->prefix) >= 0;
  copal_span key = is_inside ? range->after : range->prefix;
  keytree_edge edge = is_inside ? KEYTREE_BEHIND : KEYTREE_BEFORE;
  int calls = 0;
  while ((size_t)calls < range->max && calls < INT32_MAX &&
         port_next_key(p, range, key, edge, &key)) {
    edge = KEYTREE_BEHIND;
    grace_enter(p->seat);
    const representation *rep = store_find(s, range->space, key, now);
    if (rep == NULL)
      continue; /* deleted since, or expired */
    const store_item item = representation_item(rep, s->epoch);
    const int stop = each(ctx, key, &item);
    calls++;
    if (stop != 0)
      return stop < 0 ? stop : calls;
  }
  return calls;
}

/* ------------------------------------------------------------------------------------------------
 * history */

/* All representations of a key, the present one first; their number. `reps` has room for `max`. The
 * caller is inside its seat. */
static uint32_t store_find_all(memory_store *s, copal_span key, copal_time now, uint32_t max,
                               const representation **reps)
{
  const uint64_t hash = keyhash(&s->secret, key);
  stripe *st = shelf_stripe(s, STORE_RESOURCES, hash);
  uint32_t count = 0;
  pthread_mutex_lock(&st->lock);
  const entry *e = stripe_find(st, hash, key);
  const representation *present = e != NULL ? atomic_load(&e->rep) : NULL;
  if (present != NULL && !representation_is_expired(present, now)) {
    reps[count++] = present;
    for (uint32_t i = 0; e->former != NULL && i < e->former->count && count < max; i++)
      reps[count++] = e->former->reps[i];
  }
  pthread_mutex_unlock(&st->lock);
  return count;
}

static int memory_history(store_port *base, copal_span key, size_t max, store_each *each, void *ctx,
                          copal_time now)
{
  memory_store *s = store_of(base);
  const uint32_t kept = s->cfg.history + 1;
  const uint32_t cap = max < kept ? (uint32_t)max : kept;
  const representation **reps = cap > 0 ? malloc(cap * sizeof(const representation *)) : NULL;
  if (reps == NULL)
    return 0;
  grace_enter(((memory_port *)base)->seat);
  const uint32_t count = store_find_all(s, key, now, cap, reps);
  uint32_t calls = 0;
  int stop = 0;
  while (calls < count && stop == 0) {
    const store_item item = representation_item(reps[calls++], s->epoch);
    stop = each(ctx, key, &item);
  }
  free(reps);
  return stop < 0 ? stop : (int)calls;
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

static void memory_close(store *base)
{
  memory_store *s = (memory_store *)base;
  sweep_stop(s);
  names_wipe(s);
  sweep_wipe(s);
  for (int i = 0; i < MEMORY_SPACES; i++)
    shelf_wipe(&s->shelves[i], s->cfg.stripe_count);
  grace_wipe(&s->grace);
  free(s);
}

static size_t memory_counts(store *base, store_count counts[STORE_COUNT_MAX])
{
  const memory_store_counts c = memory_store_counts_now(base);
  const store_count all[] = {
      {"store_resources_refused", c.resources_refused},
      {"store_bytes_refused", c.bytes_refused},
      {"store_memory_refused", c.memory_refused},
      {"store_pending_refused", c.pending_refused},
      {"store_names_refused", c.names_refused},
      {"store_repeats", c.repeats},
      {"store_expired", c.expired},
  };
  memcpy(counts, all, sizeof all);
  return sizeof all / sizeof *all;
}

static const store_engine memory_engine = {
    .port_open = memory_port_open,
    .port_close = memory_port_close,
    .view_renew = memory_view_renew,
    .get = memory_get,
    .where = memory_where,
    .state = memory_state,
    .foresight = memory_foresight,
    .foresee = memory_foresee,
    .commit = memory_commit,
    .apply = memory_apply,
    .drain = memory_drain,
    .list = memory_list,
    .history = memory_history,
    .follow = memory_follow,
    .usage = memory_usage,
    .counts = memory_counts,
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
  if (cfg.name_max == 0)
    cfg.name_max = NAME_MAX_DEFAULT;
  return cfg;
}

/* Random bytes for the hash, the trees and the entity-tags; then the tables. */
static bool memory_init(memory_store *s)
{
  uint64_t random[4];
  if (!store_random((copal_mspan){(uint8_t *)random, sizeof random}))
    return false;
  s->secret = (keyhash_secret){{random[0], random[1]}};
  s->epoch = random[2];
  s->dues = keytree_init(random[3]);
  s->sweeper_seat = grace_open(&s->grace);
  if (s->sweeper_seat == NULL)
    return false;
  for (int i = 0; i < MEMORY_SPACES; i++)
    if (!shelf_init(&s->shelves[i], s->cfg.stripe_count))
      return false;
  return true;
}

store *memory_store_open(const memory_store_cfg *given)
{
  const memory_store_cfg cfg = with_defaults(given);
  if ((cfg.stripe_count & (cfg.stripe_count - 1)) != 0 || cfg.pending_max > INT32_MAX)
    return NULL;
  memory_store *s = aligned_alloc(GRACE_LINE, sizeof *s);
  if (s == NULL)
    return NULL;
  memset(s, 0, sizeof *s);
  grace_init(&s->grace);
  s->base.engine = &memory_engine;
  s->cfg = cfg;
  sweep_init(s);
  if (!memory_init(s)) {
    memory_close(&s->base);
    return NULL;
  }
  return &s->base;
}

memory_store_counts memory_store_counts_now(store *base)
{
  memory_counters *c = &((memory_store *)base)->counters;
  return (memory_store_counts){
      .resources_refused = c->resources_refused,
      .bytes_refused = c->bytes_refused,
      .memory_refused = c->memory_refused,
      .pending_refused = c->pending_refused,
      .names_refused = c->names_refused,
      .repeats = c->repeats,
      .expired = c->expired,
  };
}
