/* SPDX-License-Identifier: Apache-2.0 */
/* What a change does to what is stored: to what the batch before it has left, what the overlay
 * shows, and what the database has, in this order. Thread: the writer's. */
#include <stdlib.h>
#include <string.h>

#include "store/journal/engine.h"

void intent_free(intent *r)
{
  if (r == NULL)
    return;
  version_give(r->made);
  free(r->kept);
  free(r);
}

/* ------------------------------------------------------------------------------------------------
 * steps */

bool step_list_push(step_list *l, const step *next)
{
  if (l->count == l->cap) {
    const size_t cap = l->cap == 0 ? 64 : 2 * l->cap;
    step *items = realloc(l->items, cap * sizeof *items);
    if (items == NULL)
      return false;
    l->items = items;
    l->cap = cap;
  }
  l->items[l->count++] = *next;
  return true;
}

/* Appends a record to the batch and the version that it makes to the steps; the entry must be
 * pinned once for it. Returns the version, lent, or NULL without memory. */
static version *step_add(overlay *o, flight *f, overlay_entry *e, const batch_record *r,
                         bool is_new)
{
  const batch_mark mark = batch_mark_now(&f->batch);
  step next = {.entry = e, .prior = e->pending, .is_new = is_new};
  if (!batch_add(&f->batch, r, &next.body_at))
    return NULL;
  next.made = version_make(r, &o->stock);
  if (next.made == NULL || !step_list_push(&f->steps, &next)) {
    version_give(next.made);
    batch_return(&f->batch, mark);
    return NULL;
  }
  e->pending = next.made;
  return next.made;
}

void evaluation_undo(journal_store *s, flight *f, size_t count, batch_mark mark)
{
  while (f->steps.count > count) {
    const step *last = &f->steps.items[--f->steps.count];
    last->entry->pending = last->prior;
    version_give(last->made);
    overlay_unpin(&s->overlay, last->entry);
  }
  batch_return(&f->batch, mark);
}

/* ------------------------------------------------------------------------------------------------
 * what is there */

/* A change under evaluation. */
typedef struct subject {
  evaluation *v;
  intent *r;
  store_space space;
  overlay_entry *entry; /* of the key, pinned while it is under evaluation */
  record found;         /* spans lent until the batch is over */
  const record *old;    /* `found`, or NULL: nothing */
} subject;

/* Returns 0, MDB_NOTFOUND, or an error as apply_find() has them. */
static int find(evaluation *v, const overlay_entry *e, store_space in, copal_span key,
                record *found)
{
  const version *latest = overlay_latest(e);
  if (latest != NULL) {
    if (latest->kind != BATCH_PUT)
      return MDB_NOTFOUND;
    *found = latest->rec;
    return 0;
  }
  const int rc = apply_find(&v->s->env, v->txn, in, key, found);
  if (rc == 0)
    found->item.written = instant_of(v->s, found->wall);
  return rc;
}

static bool pin(subject *x)
{
  if (x->entry == NULL)
    x->entry = overlay_pin(&x->v->s->overlay, (int)x->space, x->r->key, x->r->hash);
  return x->entry != NULL;
}

static void unpin(subject *x)
{
  if (x->entry != NULL)
    overlay_unpin(&x->v->s->overlay, x->entry);
}

static version *add_or_unpin(evaluation *v, overlay_entry *e, const batch_record *r, bool is_new)
{
  version *made = e != NULL ? step_add(&v->s->overlay, v->to, e, r, is_new) : NULL;
  if (made == NULL && e != NULL)
    overlay_unpin(&v->s->overlay, e);
  return made;
}

/* ------------------------------------------------------------------------------------------------
 * the verbs; they return false without memory */

/* What followers are told when the batch is durable. */
static void note(subject *x, version *made)
{
  const store_item *old = x->old != NULL ? &x->old->item : NULL;
  intent *r = x->r;
  r->took_effect = x->space == STORE_RESOURCES;
  r->was_present = old != NULL;
  r->links_changed = old == NULL || made == NULL || store_links_differ(old, &made->rec.item);
  version_give(r->made);
  r->made = made != NULL ? version_take(made) : NULL;
}

static bool replace(subject *x, const record *rec)
{
  const batch_record br = {.kind = BATCH_PUT, .space = x->space, .key = x->r->key, .rec = *rec};
  version *made = add_or_unpin(x->v, overlay_pin_again(x->entry), &br, x->old == NULL);
  if (made == NULL)
    return false;
  note(x, made);
  x->r->result = (store_result){
      .status = STORE_OK, .rev = rec->item.rev, .etag = rec->item.etag, .created = x->old == NULL};
  if (x->old == NULL && x->space == STORE_RESOURCES)
    x->v->tally.resources++;
  return true;
}

static bool refuse(intent *r, atomic_uint_fast64_t *counter)
{
  count_up(counter);
  r->result.status = STORE_FULL;
  return true;
}

static bool put_item(subject *x)
{
  evaluation *v = x->v;
  journal_store *s = v->s;
  const store_op *op = x->r->op;
  if (v->refuses_puts)
    return refuse(x->r, &s->counters.bytes_refused);
  if (x->old == NULL && x->space == STORE_RESOURCES && v->tally.resources >= s->cfg.resource_max)
    return refuse(x->r, &s->counters.resources_refused);
  const store_rev rev = ++v->tally.rev;
  const bool keeps_lifetime = x->old != NULL && op->keeps_lifetime;
  const record rec = {
      .item = {.rev = rev,
               .etag = store_etag_of(rev, s->env.record.epoch),
               .content_format = op->content_format,
               .max_age_s = op->max_age_s,
               .written = x->r->now,
               .lifetime_s = keeps_lifetime ? x->old->item.lifetime_s : op->lifetime_s,
               .body = x->r->body,
               .attrs = x->old != NULL && op->keeps_attrs ? x->old->item.attrs : x->r->attrs},
      .wall = wall_of(s, x->r->now),
  };
  return replace(x, &rec);
}

/* The representation stays what it is, so its entity-tag and age do. */
static bool set_attrs(subject *x)
{
  if (x->v->refuses_puts)
    return refuse(x->r, &x->v->s->counters.bytes_refused);
  if (x->old == NULL) {
    x->r->result.status = STORE_ABSENT;
    return true;
  }
  record rec = *x->old;
  rec.item.rev = ++x->v->tally.rev;
  rec.item.attrs = x->r->attrs;
  return replace(x, &rec);
}

/* Takes away what is there. */
static bool remove_item(subject *x)
{
  const batch_record br = {
      .kind = BATCH_DELETE, .space = x->space, .key = x->r->key, .rev = x->v->tally.rev};
  if (add_or_unpin(x->v, overlay_pin_again(x->entry), &br, false) == NULL)
    return false;
  if (x->space == STORE_RESOURCES)
    x->v->tally.resources--;
  return true;
}

static bool delete_item(subject *x)
{
  x->r->result = (store_result){.status = STORE_OK, .created = x->old != NULL};
  if (x->old == NULL)
    return true;
  if (!remove_item(x))
    return false;
  note(x, NULL);
  return true;
}

static bool apply_verb(subject *x)
{
  if (x->old != NULL) {
    x->r->result.rev = x->old->item.rev;
    x->r->result.etag = x->old->item.etag;
  }
  if (!store_conditions_hold(x->r->op, x->old != NULL ? &x->old->item : NULL))
    return true;
  switch (x->r->op->verb) {
  case STORE_PUT: return put_item(x);
  case STORE_DELETE: return delete_item(x);
  case STORE_SET_ATTRS: return set_attrs(x);
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * names */

static overlay_entry *pin_name(journal_store *s, const store_opid *id)
{
  const copal_span name = copal_span_of(id->bytes, STORE_OPID_SIZE);
  return overlay_pin(&s->overlay, OVERLAY_OPS, name, overlay_hash(&s->overlay, OVERLAY_OPS, name));
}

/* What is kept under a name; lent while the entry is pinned. Returns as apply_find_op(). */
static int find_name(const evaluation *v, const overlay_entry *e, const store_opid *id,
                     op_record *found)
{
  const version *latest = overlay_latest(e);
  if (latest == NULL)
    return apply_find_op(&v->s->env, v->txn, id, found);
  *found = latest->op;
  return 0;
}

static bool repeat(intent *r, const op_record *before)
{
  r->kept = malloc(before->key.len + 1);
  if (r->kept == NULL)
    return false;
  if (before->key.len > 0)
    memcpy(r->kept, before->key.ptr, before->key.len);
  r->result = (store_result){.status = STORE_OK,
                             .rev = before->rev,
                             .etag = before->etag,
                             .created = before->created,
                             .is_repeat = true,
                             .key = copal_span_of(r->kept, before->key.len)};
  return true;
}

/* Whether the operation with the pinned name has been carried out before; `is_over` when nothing
 * more is to be done. Returns false without memory. */
static bool look_up(evaluation *v, intent *r, const overlay_entry *name, bool *is_over)
{
  op_record before;
  const int rc = find_name(v, name, &r->op->id, &before);
  if (rc == 0 && before.expiry > wall_of(v->s, r->now)) {
    *is_over = true;
    count_up(&v->s->counters.repeats);
    return repeat(r, &before);
  }
  return true;
}

static bool check_name(evaluation *v, intent *r, bool *is_over)
{
  *is_over = false;
  if (!store_op_is_named(r->op))
    return true;
  overlay_entry *name = pin_name(v->s, &r->op->id);
  if (name == NULL)
    return false;
  const bool has_memory = look_up(v, r, name, is_over);
  overlay_unpin(&v->s->overlay, name);
  return has_memory;
}

/* Keeps the result of a named operation that has been carried out, while there is room. */
static bool note_name(evaluation *v, intent *r)
{
  if (r->result.status != STORE_OK || !store_op_is_named(r->op))
    return true;
  if (v->tally.names - count_now(&v->s->counters.names_gone) >= v->s->cfg.name_max) {
    r->result.is_unnamed = true;
    count_up(&v->s->counters.names_refused);
    return true;
  }
  const batch_record br = {
      .kind = BATCH_OP,
      .space = r->op->space,
      .key = copal_span_of(r->op->id.bytes, STORE_OPID_SIZE),
      .op = {.rev = r->result.rev,
             .etag = r->result.etag,
             .created = r->result.created,
             .space = r->op->space,
             .expiry = wall_of(v->s, r->now) + STORE_OPID_LIFETIME_S * (uint64_t)COPAL_SECOND,
             .key = r->key},
  };
  v->tally.names++;
  return add_or_unpin(v, pin_name(v->s, &r->op->id), &br, false) != NULL;
}

/* ------------------------------------------------------------------------------------------------
 * the change */

/* What has expired is deleted first: whoever follows hears of the end. */
static bool lapse(subject *x)
{
  if (!remove_item(x))
    return false;
  x->r->has_lapsed = x->space == STORE_RESOURCES;
  x->old = NULL;
  return true;
}

static store_status status_of(int rc)
{
  return rc == RECORD_DAMAGED ? STORE_FAILED : STORE_UNAVAILABLE;
}

/* Returns false without memory. */
static bool carry_out(subject *x)
{
  const int rc = find(x->v, x->entry, x->space, x->r->key, &x->found);
  if (rc != 0 && rc != MDB_NOTFOUND) {
    x->r->result.status = status_of(rc);
    return true;
  }
  x->old = rc == 0 ? &x->found : NULL;
  if (x->old != NULL && record_is_over(x->v->s, x->old, x->r->now) && !lapse(x))
    return false;
  return apply_verb(x) && note_name(x->v, x->r);
}

static void clear_result(intent *r, store_status status)
{
  version_give(r->made);
  r->made = NULL;
  free(r->kept);
  r->kept = NULL;
  r->has_lapsed = r->took_effect = false;
  r->result = (store_result){.status = status};
}

void evaluate(evaluation *v, intent *r)
{
  flight *f = v->to;
  const size_t steps = f->steps.count;
  const batch_mark mark = batch_mark_now(&f->batch);
  const tally before = v->tally;
  subject x = {.v = v, .r = r, .space = r->op->space, .entry = r->entry};
  bool is_over;
  r->entry = NULL;
  clear_result(r, STORE_PRECONDITION);
  bool has_memory = check_name(v, r, &is_over);
  has_memory = has_memory && (is_over || (pin(&x) && carry_out(&x)));
  if (!has_memory) {
    evaluation_undo(v->s, f, steps, mark);
    v->tally = before;
    clear_result(r, STORE_UNAVAILABLE);
  }
  unpin(&x);
}

void evaluate_lapse(evaluation *v, intent *r, store_space in)
{
  subject x = {.v = v, .r = r, .space = in};
  clear_result(r, STORE_OK);
  if (!pin(&x))
    return; /* later */
  x.old = find(v, x.entry, in, r->key, &x.found) == 0 ? &x.found : NULL;
  if (x.old != NULL && record_is_over(v->s, x.old, r->now) && !lapse(&x))
    r->has_lapsed = false;
  unpin(&x);
}
