/* SPDX-License-Identifier: Apache-2.0 */
/* One change of the memory engine, from its name and conditions to telling followers. */
#include <stdlib.h>
#include <string.h>

#include "store/memory/engine.h"

/* One change on its way through the engine. The stripe's lock is held for writing. */
typedef struct change {
  memory_store *s;
  grace_seat *seat;
  stripe *st;
  const store_op *op;
  uint64_t hash;
  copal_time now;
  entry *e;       /* what is there, or NULL */
  store_item old; /* its item */
  store_result result;
} change;

/* What a change needs before it can take place. */
typedef struct making {
  representation *rep;
  due *due;       /* NULL: it never ends */
  former *former; /* NULL: none is kept */
  uint64_t size;  /* bytes of all of it */
} making;

bool budget_take(atomic_uint_fast64_t *used, uint64_t n, uint64_t limit)
{
  uint64_t before = atomic_load_explicit(used, memory_order_relaxed);
  do {
    if (before > limit || n > limit - before)
      return false;
  } while (!atomic_compare_exchange_weak_explicit(used, &before, before + n, memory_order_relaxed,
                                                  memory_order_relaxed));
  return true;
}

static void change_tell(const change *c, const store_item *old, const store_item *item)
{
  const store_change told = {
      .key = c->op->key,
      .rev = item != NULL ? item->rev : 0,
      .was_present = old != NULL,
      .links_changed = old == NULL || item == NULL || store_links_differ(old, item),
      .item = item,
  };
  if (c->op->space != STORE_RESOURCES)
    return;
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

/* ------------------------------------------------------------------------------------------------
 * memory */

static uint64_t former_size(const former *f)
{
  return f != NULL ? sizeof *f + f->count * sizeof f->reps[0] + f->size : 0;
}

/* The present representation: nobody replaces it while the stripe is locked. */
static representation *rep_of(const entry *e)
{
  return atomic_load_explicit(&e->rep, memory_order_relaxed);
}

/* Bytes that an entry takes now. */
static uint64_t present_size(copal_span key, const entry *e)
{
  return entry_size(key) + representation_size(rep_of(e)) + former_size(e->former) +
         (e->due != NULL ? due_size(key) : 0);
}

/* True when the new representation makes the present one a former one that is kept. */
static bool keeps_former(const change *c, const store_item *item)
{
  return c->e != NULL && c->op->space == STORE_RESOURCES && c->s->cfg.history > 0 &&
         memcmp(c->old.etag.bytes, item->etag.bytes, STORE_ETAG_SIZE) != 0;
}

/* The present representation in front of those before it. */
static former *former_make(const change *c)
{
  const former *old = c->e->former;
  const uint32_t all = 1 + (old != NULL ? old->count : 0);
  const uint32_t count = all < c->s->cfg.history ? all : c->s->cfg.history;
  former *f = malloc(sizeof *f + count * sizeof f->reps[0]);
  if (f == NULL)
    return NULL;
  f->count = count;
  f->reps[0] = rep_of(c->e);
  f->size = representation_size(f->reps[0]);
  if (old == NULL)
    return f;
  memcpy(f->reps + 1, old->reps, (count - 1) * sizeof f->reps[0]);
  f->size += old->size;
  for (uint32_t i = count - 1; i < old->count; i++) /* those that are in no cache are not read */
    f->size -= representation_size(old->reps[i]);
  return f;
}

static void making_drop(making *m)
{
  free(m->rep);
  free(m->due);
  free(m->former);
}

/* Allocates all that the new representation needs. Returns false without memory. */
static bool making_init(making *m, const change *c, const store_item *item)
{
  const copal_span key = c->op->key;
  const bool has_due = item->lifetime_s != 0;
  const bool has_former = keeps_former(c, item);
  *m = (making){.rep = representation_make(item, c->s->epoch)};
  if (has_due)
    m->due = due_make(c->op->space, key, item);
  if (has_former)
    m->former = former_make(c);
  if (m->rep == NULL || (has_due && m->due == NULL) || (has_former && m->former == NULL)) {
    making_drop(m);
    return false;
  }
  const former *f = m->former != NULL || c->e == NULL ? m->former : c->e->former;
  m->size = entry_size(key) + representation_size(m->rep) + former_size(f) +
            (has_due ? due_size(key) : 0);
  return true;
}

/* Takes what the entry will have more than now from the limit; what it has less is given back when
 * it is done. */
static bool take_growth(change *c, uint64_t before, uint64_t after)
{
  return after <= before || budget_take(&c->s->bytes, after - before, c->s->cfg.byte_max);
}

/* ------------------------------------------------------------------------------------------------
 * putting */

/* Gives the representation up that was there, or hands it to the former ones. It stays readable for
 * this change. */
static void replace_former(const change *c, representation *old, former *f)
{
  entry *e = c->e;
  if (f == NULL) {
    grace_retire(c->seat, old);
    return;
  }
  /* It took over the present one and the newest of the others; the rest goes. */
  for (uint32_t i = f->count - 1; e->former != NULL && i < e->former->count; i++)
    grace_retire(c->seat, e->former->reps[i]);
  free(e->former);
  e->former = f;
}

/* Puts a new representation in the place of the present one. */
static void change_replace(change *c, const store_item *item)
{
  memory_store *s = c->s;
  entry *e = c->e;
  making m;
  const uint64_t before = present_size(c->op->key, e);
  if (!making_init(&m, c, item)) {
    change_refuse(c, &s->counters.memory_refused);
    return;
  }
  if (!take_growth(c, before, m.size)) {
    making_drop(&m);
    change_refuse(c, &s->counters.bytes_refused);
    return;
  }
  if (m.size < before)
    budget_give(&s->bytes, before - m.size);
  representation *old = rep_of(e);
  atomic_store(&e->rep, m.rep);
  replace_former(c, old, m.former);
  due_remove(s, e->due);
  e->due = m.due;
  due_insert(s, e->due);
  c->result = (store_result){.status = STORE_OK, .rev = item->rev, .etag = item->etag};
  change_tell(c, &c->old, item);
}

/* An entry in no table yet, which takes over what was made. NULL without memory. */
static entry *entry_make(const change *c, const making *m)
{
  const copal_span key = c->op->key;
  const size_t size = offsetof(entry, key) + key.len;
  entry *e = malloc(size > sizeof *e ? size : sizeof *e);
  if (e == NULL)
    return NULL;
  *e = (entry){.due = m->due, .key_len = (uint16_t)key.len};
  atomic_init(&e->rep, m->rep);
  if (key.len > 0)
    memcpy(e->key, key.ptr, key.len);
  return e;
}

/* Inserts a new entry. Returns false without memory. */
static bool insert_entry(change *c, const making *m)
{
  entry *e = stripe_grow(c->st, &c->s->secret, c->seat) ? entry_make(c, m) : NULL;
  if (e == NULL)
    return false;
  shelf *sh = &c->s->shelves[c->op->space];
  pthread_rwlock_wrlock(&sh->keys_lock);
  const bool is_listed = keylist_insert(&sh->keys, e);
  pthread_rwlock_unlock(&sh->keys_lock);
  if (!is_listed) {
    free(e);
    return false;
  }
  stripe_insert(c->st, e, c->hash);
  due_insert(c->s, e->due);
  c->e = e;
  return true;
}

static bool take_one(change *c)
{
  return c->op->space != STORE_RESOURCES ||
         budget_take(&c->s->resources, 1, c->s->cfg.resource_max);
}

static void give_one(const change *c)
{
  if (c->op->space == STORE_RESOURCES)
    budget_give(&c->s->resources, 1);
}

static void change_create(change *c, const store_item *item)
{
  memory_store *s = c->s;
  making m;
  if (!take_one(c)) {
    change_refuse(c, &s->counters.resources_refused);
    return;
  }
  if (!making_init(&m, c, item)) {
    give_one(c);
    change_refuse(c, &s->counters.memory_refused);
    return;
  }
  const bool has_bytes = budget_take(&s->bytes, m.size, s->cfg.byte_max);
  if (!has_bytes || !insert_entry(c, &m)) {
    if (has_bytes)
      budget_give(&s->bytes, m.size);
    give_one(c);
    making_drop(&m);
    change_refuse(c, has_bytes ? &s->counters.memory_refused : &s->counters.bytes_refused);
    return;
  }
  c->result =
      (store_result){.status = STORE_OK, .rev = item->rev, .etag = item->etag, .created = true};
  change_tell(c, NULL, item);
}

static void change_put(change *c)
{
  const store_op *op = c->op;
  const store_item *old = c->e != NULL ? &c->old : NULL;
  const store_rev rev = next_rev(c->s);
  const store_item item = {
      .rev = rev,
      .etag = store_etag_of(rev, c->s->epoch),
      .content_format = op->content_format,
      .max_age_s = op->max_age_s,
      .written = c->now,
      .lifetime_s = old != NULL && op->keeps_lifetime ? old->lifetime_s : op->lifetime_s,
      .body = op->body,
      .attrs = old != NULL && op->keeps_attrs ? old->attrs : op->attrs,
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
  store_item item = c->old;
  item.rev = next_rev(c->s);
  item.attrs = c->op->attrs;
  change_replace(c, &item);
}

/* ------------------------------------------------------------------------------------------------
 * deleting */

/* The memory of an entry that nobody finds any more. */
static void retire_entry(const change *c, entry *e)
{
  grace_retire(c->seat, rep_of(e));
  for (uint32_t i = 0; e->former != NULL && i < e->former->count; i++)
    grace_retire(c->seat, e->former->reps[i]);
  free(e->former);
  grace_retire(c->seat, e);
}

/* Deletes what is there. */
static void remove_entry(change *c)
{
  memory_store *s = c->s;
  entry *e = c->e;
  shelf *sh = &s->shelves[c->op->space];
  stripe_remove(c->st, e, c->hash);
  pthread_rwlock_wrlock(&sh->keys_lock);
  keylist_remove(&sh->keys, entry_key(e));
  pthread_rwlock_unlock(&sh->keys_lock);
  give_one(c);
  budget_give(&s->bytes, present_size(c->op->key, e));
  due_remove(s, e->due);
  change_tell(c, &c->old, NULL);
  retire_entry(c, e);
  c->e = NULL;
}

static void change_delete(change *c)
{
  c->result = (store_result){.status = STORE_OK, .created = c->e != NULL};
  if (c->e != NULL)
    remove_entry(c);
}

/* What has expired is deleted first, as the sweeper would: whoever follows hears of the end. */
static void change_lapse(change *c)
{
  if (c->e == NULL || !store_is_expired(&c->old, c->now))
    return;
  if (c->op->space == STORE_RESOURCES)
    count_up(&c->s->counters.expired);
  remove_entry(c);
}

/* ------------------------------------------------------------------------------------------------
 * the change */

static void change_do(change *c)
{
  change_lapse(c);
  const store_item *item = c->e != NULL ? &c->old : NULL;
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

static void change_begin(change *c)
{
  c->hash = keyhash(&c->s->secret, c->op->key);
  c->st = shelf_stripe(c->s, c->op->space, c->hash);
  stripe_begin_change(c->st);
  c->e = stripe_find(c->st, c->hash, c->op->key);
  if (c->e != NULL)
    c->old = representation_item(rep_of(c->e), c->s->epoch);
}

static void change_run(change *c)
{
  change_begin(c);
  change_do(c);
  stripe_end_change(c->st);
}

/* Answers as the first time. The key is copied: the name may be forgotten before it is read. */
static void change_repeat(change *c, const name *before)
{
  const copal_span key = before->result.key;
  uint8_t *copy = malloc(key.len + 1);
  if (copy == NULL) {
    change_refuse(c, &c->s->counters.memory_refused);
    return;
  }
  count_up(&c->s->counters.repeats);
  memcpy(copy, key.ptr, key.len);
  c->result = before->result;
  c->result.key = copal_span_of(copy, key.len);
}

/* A named operation is carried out with the names locked: two of one name may be under way. */
static void change_run_named(change *c)
{
  memory_store *s = c->s;
  pthread_mutex_lock(&s->names_lock);
  const name *before = names_find(s, &c->op->id, c->now);
  name *n = before == NULL ? names_make(s, c->op, c->now) : NULL;
  if (before != NULL) {
    change_repeat(c, before);
  } else if (n == NULL) {
    change_run(c);
    c->result.is_unnamed = c->result.status == STORE_OK;
    if (c->result.is_unnamed)
      count_up(&s->counters.names_refused);
  } else {
    change_run(c);
    names_keep(s, n, &c->result);
  }
  pthread_mutex_unlock(&s->names_lock);
}

void memory_change(memory_store *s, grace_seat *seat, const store_op *op, copal_time now,
                   store_result *result)
{
  change c = {.s = s, .seat = seat, .op = op, .now = now};
  if (store_op_is_named(op))
    change_run_named(&c);
  else
    change_run(&c);
  *result = c.result;
}

void memory_expire(memory_store *s, grace_seat *seat, store_space space, copal_span key,
                   copal_time now)
{
  const store_op op = {.verb = STORE_DELETE, .space = space, .key = key};
  change c = {.s = s, .seat = seat, .op = &op, .now = now};
  change_begin(&c);
  change_lapse(&c);
  stripe_end_change(c.st);
}
