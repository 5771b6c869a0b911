/* SPDX-License-Identifier: Apache-2.0 */
/* One change within a transaction of the LMDB engine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/lmdb/dbkey.h"
#include "store/lmdb/engine.h"

enum {
  SPLIT_PAGES = 2, /* that one change may add to each level of the tree, the root included */
  NODE_SIZE = 16,  /* LMDB's, of a record beside key and value */
};

uint64_t change_pages(const lmdb_store *s, const request *r, uint32_t page, uint32_t depth)
{
  const uint64_t path = (uint64_t)depth + SPLIT_PAGES; /* of one tree */
  const uint64_t value = NODE_SIZE + DBKEY_SIZE + RECORD_HEADER_SIZE + r->size;
  uint64_t pages = value / page + 1 + path;
  if (r->op->lifetime_s != 0 || r->op->keeps_lifetime)
    pages += path;
  if (store_op_is_named(r->op))
    pages += 2 * path + 1;
  if (s->cfg.history > 0) /* the former one is as large as the new one, or room is found late */
    pages += path + value / page + 1;
  return pages;
}

/* Copies what is needed of what is stored: a write to the database may move it. Returns false
 * without memory. */
static bool keep(request *r, copal_span *kept)
{
  if (kept->len == 0)
    return true;
  r->kept = malloc(kept->len);
  if (r->kept == NULL)
    return false;
  memcpy(r->kept, kept->ptr, kept->len);
  kept->ptr = r->kept;
  return true;
}

/* What is told when the transaction is on stable storage. */
static void note(request *r, const store_item *old, const store_item *item)
{
  r->took_effect = r->op->space == STORE_RESOURCES;
  r->change = (store_change){
      .key = r->key,
      .rev = item != NULL ? item->rev : 0,
      .was_present = old != NULL,
      .links_changed = old == NULL || item == NULL || store_links_differ(old, item),
  };
  if (item != NULL) {
    r->item = *item;
    r->change.item = &r->item;
  }
}

/* Writes the new representation, of which nothing lies in the database any more. */
static int replace(transaction *t, request *r, const record *old, const store_item *item,
                   uint64_t wall)
{
  const record rec = {.item = *item, .wall = wall};
  note(r, old != NULL ? &old->item : NULL, item);
  r->result = (store_result){
      .status = STORE_OK, .rev = item->rev, .etag = item->etag, .created = old == NULL};
  return apply_put(&t->a, r->op->space, r->key, &rec, old);
}

static bool has_fewer(const transaction *t, MDB_dbi dbi, uint64_t max)
{
  MDB_stat stat;
  return mdb_stat(t->a.txn, dbi, &stat) == 0 && stat.ms_entries < max;
}

static int refuse(request *r, atomic_uint_fast64_t *counter)
{
  count_up(counter);
  r->result.status = STORE_FULL;
  return 0;
}

static int put_item(transaction *t, request *r, const record *old)
{
  lmdb_store *s = t->s;
  const store_op *op = r->op;
  if (t->refuses_puts)
    return refuse(r, &s->counters.bytes_refused);
  if (old == NULL && op->space == STORE_RESOURCES &&
      !has_fewer(t, s->env.items, s->cfg.resource_max))
    return refuse(r, &s->counters.resources_refused);
  const store_rev rev = ++t->rev;
  store_item item = {
      .rev = rev,
      .etag = store_etag_of(rev, s->env.record.epoch),
      .content_format = op->content_format,
      .max_age_s = op->max_age_s,
      .written = r->now,
      .lifetime_s = old != NULL && op->keeps_lifetime ? old->item.lifetime_s : op->lifetime_s,
      .body = r->body,
      .attrs = r->attrs,
  };
  if (old != NULL && op->keeps_attrs) {
    item.attrs = old->item.attrs;
    if (!keep(r, &item.attrs))
      return ENOMEM;
  }
  return replace(t, r, old, &item, wall_of(s, r->now));
}

/* The representation stays what it is, so its entity-tag and age do. */
static int set_attrs(transaction *t, request *r, const record *old)
{
  if (t->refuses_puts)
    return refuse(r, &t->s->counters.bytes_refused);
  if (old == NULL) {
    r->result.status = STORE_ABSENT;
    return 0;
  }
  store_item item = old->item;
  item.rev = ++t->rev;
  item.attrs = r->attrs;
  item.written = old->wall - t->s->base.wall_ahead;
  if (!keep(r, &item.body))
    return ENOMEM;
  return replace(t, r, old, &item, old->wall);
}

static int delete_item(transaction *t, request *r, const record *old)
{
  r->result = (store_result){.status = STORE_OK, .created = old != NULL};
  if (old == NULL)
    return 0;
  note(r, &old->item, NULL);
  return apply_delete(&t->a, r->op->space, r->key, old);
}

static int apply_verb(transaction *t, request *r, const record *old)
{
  if (old != NULL) {
    r->result.rev = old->item.rev;
    r->result.etag = old->item.etag;
  }
  if (!store_conditions_hold(r->op, old != NULL ? &old->item : NULL))
    return 0;
  switch (r->op->verb) {
  case STORE_PUT: return put_item(t, r, old);
  case STORE_DELETE: return delete_item(t, r, old);
  case STORE_SET_ATTRS: return set_attrs(t, r, old);
  }
  return EINVAL;
}

/* ------------------------------------------------------------------------------------------------
 * names */

static int repeat(request *r, const op_record *before)
{
  copal_span key = before->key;
  if (!keep(r, &key))
    return ENOMEM;
  r->result = (store_result){.status = STORE_OK,
                             .rev = before->rev,
                             .etag = before->etag,
                             .created = before->created,
                             .is_repeat = true,
                             .key = key};
  return 0;
}

/* Keeps the result of a named operation that has been carried out, while there is room. */
static int note_name(transaction *t, request *r)
{
  if (r->result.status != STORE_OK || !store_op_is_named(r->op))
    return 0;
  if (!has_fewer(t, t->s->env.ops, t->s->cfg.name_max)) {
    r->result.is_unnamed = true;
    count_up(&t->s->counters.names_refused);
    return 0;
  }
  const op_record rec = {.rev = r->result.rev,
                         .etag = r->result.etag,
                         .created = r->result.created,
                         .space = r->op->space,
                         .expiry =
                             wall_of(t->s, r->now) + STORE_OPID_LIFETIME_S * (uint64_t)COPAL_SECOND,
                         .key = r->key};
  return apply_put_op(&t->a, &r->op->id, &rec);
}

/* Whether the operation has been carried out before; `is_over` when nothing more is to be done. */
static int check_name(transaction *t, request *r, bool *is_over)
{
  op_record before;
  *is_over = false;
  if (!store_op_is_named(r->op))
    return 0;
  const int rc = apply_find_op(t->a.env, t->a.txn, &r->op->id, &before);
  if (rc == 0 && before.expiry > wall_of(t->s, r->now)) {
    *is_over = true;
    count_up(&t->s->counters.repeats);
    return repeat(r, &before);
  }
  if (rc != 0 && rc != MDB_NOTFOUND && rc != RECORD_DAMAGED)
    return rc;
  return 0;
}

/* ------------------------------------------------------------------------------------------------
 * the change */

static void begin(request *r)
{
  r->took_effect = r->has_lapsed = false;
  free(r->kept); /* of an attempt before */
  r->kept = NULL;
  r->result = (store_result){.status = STORE_PRECONDITION};
}

/* What has expired is deleted first, as the sweeper would: whoever follows hears of the end. */
static int lapse(transaction *t, request *r, const record *found)
{
  r->has_lapsed = r->op->space == STORE_RESOURCES;
  return apply_delete(&t->a, r->op->space, r->key, found);
}

/* Nothing can be said of what is stored; it can only be taken away. Its entry in the index of what
 * ends is dropped by the sweeper. */
static int change_damaged(transaction *t, request *r)
{
  static const record unknown = {.item = {.rev = 0}};
  r->result.status = STORE_FAILED;
  if (r->op->verb != STORE_DELETE || !store_conditions_hold(r->op, NULL))
    return 0;
  return delete_item(t, r, &unknown);
}

int change_apply(transaction *t, request *r)
{
  record found;
  bool is_over;
  begin(r);
  int rc = check_name(t, r, &is_over);
  if (rc != 0 || is_over)
    return rc;
  rc = apply_find(t->a.env, t->a.txn, r->op->space, r->key, &found);
  if (rc == RECORD_DAMAGED)
    return change_damaged(t, r);
  if (rc == HASH_IS_SHARED) {
    r->result.status = STORE_UNAVAILABLE;
    return 0;
  }
  if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND)
    return rc;
  const record *old = rc == MDB_SUCCESS ? &found : NULL;
  if (old != NULL && record_is_expired(t->s, old, r->now)) {
    rc = lapse(t, r, old);
    if (rc != 0)
      return rc;
    old = NULL;
  }
  rc = apply_verb(t, r, old);
  return rc != 0 ? rc : note_name(t, r);
}
