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

int change_find(const lmdb_store *s, MDB_txn *txn, copal_span path, record *found)
{
  dbkey room;
  MDB_val key = env_val(dbkey_of(path, &room));
  MDB_val value;
  const int rc = mdb_get(txn, s->env.items, &key, &value);
  if (rc != MDB_SUCCESS)
    return rc;
  if (!record_get(env_span(value), found))
    return RECORD_DAMAGED;
  if (path.len > DBKEY_LITERAL_MAX && !copal_span_is_equal(found->path, path))
    return HASH_IS_SHARED;
  return MDB_SUCCESS;
}

uint64_t change_pages(const request *r, uint32_t page, uint32_t depth)
{
  const uint64_t value = NODE_SIZE + DBKEY_SIZE + RECORD_HEADER_SIZE + r->size;
  return value / page + 1 + (uint64_t)depth + SPLIT_PAGES;
}

/* Copies what the new representation keeps of the present one: a write to the database may move
 * it. Returns false without memory. */
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

static int write_item(transaction *t, request *r, const store_item *item, uint64_t wall)
{
  const record rec = {
      .item = *item,
      .wall = wall,
      .path = r->key.len > DBKEY_LITERAL_MAX ? r->key : copal_span_none(),
  };
  dbkey room;
  MDB_val key = env_val(dbkey_of(r->key, &room));
  MDB_val value = {.mv_size = record_size(&rec)};
  const int rc = mdb_put(t->txn, t->s->env.items, &key, &value, MDB_RESERVE);
  if (rc != MDB_SUCCESS)
    return rc;
  record_put(&rec, value.mv_data);
  t->is_dirty = true;
  return 0;
}

/* What is told when the transaction is on stable storage. */
static void note(request *r, const store_item *old, const store_item *item)
{
  r->took_effect = true;
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
static int replace(transaction *t, request *r, const store_item *old, const store_item *item,
                   uint64_t wall)
{
  note(r, old, item);
  r->result = (store_result){
      .status = STORE_OK, .rev = item->rev, .etag = item->etag, .created = old == NULL};
  return write_item(t, r, item, wall);
}

static bool has_room_for_one(const transaction *t)
{
  MDB_stat stat;
  return mdb_stat(t->txn, t->s->env.items, &stat) == 0 && stat.ms_entries < t->s->cfg.resource_max;
}

static int refuse(request *r, atomic_uint_fast64_t *counter)
{
  count_up(counter);
  r->result.status = STORE_FULL;
  return 0;
}

static int apply_put(transaction *t, request *r, const record *old)
{
  lmdb_store *s = t->s;
  if (t->refuses_puts)
    return refuse(r, &s->counters.bytes_refused);
  if (old == NULL && !has_room_for_one(t))
    return refuse(r, &s->counters.resources_refused);
  const store_rev rev = ++t->rev;
  store_item item = {
      .rev = rev,
      .etag = store_etag_of(rev, s->env.record.epoch),
      .content_format = r->op->content_format,
      .max_age_s = r->op->max_age_s,
      .written = r->now,
      .body = r->body,
      .attrs = r->attrs,
  };
  if (old != NULL && r->op->keeps_attrs) {
    item.attrs = old->item.attrs;
    if (!keep(r, &item.attrs))
      return ENOMEM;
  }
  return replace(t, r, old != NULL ? &old->item : NULL, &item, r->now + s->wall_ahead);
}

/* The representation stays what it is, so its entity-tag and age do. */
static int apply_set_attrs(transaction *t, request *r, const record *old)
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
  item.written = old->wall - t->s->wall_ahead;
  if (!keep(r, &item.body))
    return ENOMEM;
  return replace(t, r, &old->item, &item, old->wall);
}

static int apply_delete(transaction *t, request *r, const record *old)
{
  r->result = (store_result){.status = STORE_OK, .created = old != NULL};
  if (old == NULL)
    return 0;
  note(r, &old->item, NULL);
  dbkey room;
  MDB_val key = env_val(dbkey_of(r->key, &room));
  t->is_dirty = true;
  return mdb_del(t->txn, t->s->env.items, &key, NULL);
}

int change_apply(transaction *t, request *r)
{
  record found;
  r->took_effect = false;
  free(r->kept); /* of an attempt before */
  r->kept = NULL;
  r->result = (store_result){.status = STORE_PRECONDITION};
  const int rc = change_find(t->s, t->txn, r->key, &found);
  if (rc == HASH_IS_SHARED) {
    r->result.status = STORE_UNAVAILABLE;
    return 0;
  }
  if (rc == RECORD_DAMAGED) {
    r->result.status = STORE_FAILED;
    return 0;
  }
  if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND)
    return rc;
  const record *old = rc == MDB_SUCCESS ? &found : NULL;
  if (old != NULL) {
    r->result.rev = old->item.rev;
    r->result.etag = old->item.etag;
  }
  if (!store_conditions_hold(r->op, old != NULL ? &old->item : NULL))
    return 0;
  switch (r->op->verb) {
  case STORE_PUT: return apply_put(t, r, old);
  case STORE_DELETE: return apply_delete(t, r, old);
  case STORE_SET_ATTRS: return apply_set_attrs(t, r, old);
  }
  return EINVAL;
}
