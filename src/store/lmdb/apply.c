/* SPDX-License-Identifier: Apache-2.0 */
/* Records and their indexes within a transaction. */
#include "store/lmdb/apply.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "store/lmdb/dbkey.h"

/* What an entry of the index of expiry leads to. */
enum { TAG_RESOURCE = 0, TAG_STATE = 1, TAG_OP = 2 };

enum {
  REV_SIZE = 8,
  HASH_SIZE = APPLY_HISTORY_KEY_SIZE - REV_SIZE,
};

static MDB_dbi dbi_of(const env *e, store_space space)
{
  return space == STORE_STATE ? e->state : e->items;
}

static void put_be64(uint8_t *out, uint64_t value)
{
  for (int i = 0; i < 8; i++)
    out[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_be64(const uint8_t *in)
{
  uint64_t value = 0;
  for (int i = 0; i < 8; i++)
    value = value << 8 | in[i];
  return value;
}

/* ------------------------------------------------------------------------------------------------
 * the index of expiry: be64 time, tag, key */

typedef struct expiry_key {
  uint8_t bytes[APPLY_KEY_MAX];
  size_t len;
} expiry_key;

static MDB_val make_expiry_key(expiry_key *k, uint64_t expiry, uint8_t tag, copal_span key)
{
  put_be64(k->bytes, expiry);
  k->bytes[8] = tag;
  memcpy(k->bytes + APPLY_EXPIRY_PREFIX, key.ptr, key.len);
  k->len = APPLY_EXPIRY_PREFIX + key.len;
  return env_val(copal_span_of(k->bytes, k->len));
}

static int index_put(apply *a, uint64_t expiry, uint8_t tag, copal_span key)
{
  expiry_key room;
  if (expiry == 0)
    return 0;
  MDB_val k = make_expiry_key(&room, expiry, tag, key);
  MDB_val empty = {.mv_size = 0, .mv_data = ""};
  a->is_dirty = true;
  return mdb_put(a->txn, a->env->expiry, &k, &empty, 0);
}

static int index_delete(apply *a, uint64_t expiry, uint8_t tag, copal_span key)
{
  expiry_key room;
  if (expiry == 0)
    return 0;
  MDB_val k = make_expiry_key(&room, expiry, tag, key);
  a->is_dirty = true;
  const int rc = mdb_del(a->txn, a->env->expiry, &k, NULL);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

static uint8_t tag_of(store_space space)
{
  return space == STORE_STATE ? TAG_STATE : TAG_RESOURCE;
}

int apply_first_expiring(const env *e, MDB_txn *txn, expiring *first)
{
  MDB_cursor *cursor;
  MDB_val key, value;
  int rc = mdb_cursor_open(txn, e->expiry, &cursor);
  if (rc != 0)
    return rc;
  rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
  mdb_cursor_close(cursor);
  if (rc != 0)
    return rc;
  const copal_span k = env_span(key);
  if (k.len <= APPLY_EXPIRY_PREFIX || k.ptr[8] > TAG_OP ||
      (k.ptr[8] == TAG_OP && k.len != APPLY_EXPIRY_PREFIX + STORE_OPID_SIZE))
    return RECORD_DAMAGED;
  *first = (expiring){
      .expiry = get_be64(k.ptr),
      .is_op = k.ptr[8] == TAG_OP,
      .space = k.ptr[8] == TAG_STATE ? STORE_STATE : STORE_RESOURCES,
      .at = copal_span_of(k.ptr + APPLY_EXPIRY_PREFIX, k.len - APPLY_EXPIRY_PREFIX),
  };
  if (first->is_op)
    memcpy(first->id.bytes, first->at.ptr, STORE_OPID_SIZE);
  return 0;
}

static uint8_t tag_in(const expiring *x)
{
  return x->is_op ? TAG_OP : tag_of(x->space);
}

int apply_drop_expiring(apply *a, const expiring *x)
{
  return index_delete(a, x->expiry, tag_in(x), x->at);
}

bool apply_is_indexed(const env *e, MDB_txn *txn, const expiring *x)
{
  expiry_key room;
  MDB_val key = make_expiry_key(&room, x->expiry, tag_in(x), x->at);
  MDB_val value;
  return mdb_get(txn, e->expiry, &key, &value) == 0;
}

/* ------------------------------------------------------------------------------------------------
 * history: SHA-256 of the path, be64 revision */

typedef struct history_key {
  uint8_t bytes[APPLY_HISTORY_KEY_SIZE];
} history_key;

static MDB_val make_history_key(history_key *k, copal_span path, store_rev rev)
{
  struct sha256_ctx hash;
  sha256_init(&hash);
  sha256_update(&hash, path.len, path.ptr);
  sha256_digest(&hash, HASH_SIZE, k->bytes);
  put_be64(k->bytes + HASH_SIZE, rev);
  return env_val(copal_span_of(k->bytes, sizeof k->bytes));
}

bool apply_is_former_key(copal_span at, copal_span key, store_rev rev)
{
  history_key room;
  return copal_span_is_equal(at, env_span(make_history_key(&room, key, rev)));
}

static bool is_of_hash(const MDB_val *key, const history_key *wanted)
{
  return key->mv_size == APPLY_HISTORY_KEY_SIZE &&
         memcmp(key->mv_data, wanted->bytes, HASH_SIZE) == 0;
}

/* Moves the cursor to the newest former representation. */
static int seek_newest(MDB_cursor *c, copal_span path, history_key *wanted, MDB_val *value)
{
  MDB_val key = make_history_key(wanted, path, UINT64_MAX);
  int rc = mdb_cursor_get(c, &key, value, MDB_SET_RANGE); /* behind them all */
  rc = mdb_cursor_get(c, &key, value, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
  return rc == 0 && !is_of_hash(&key, wanted) ? MDB_NOTFOUND : rc;
}

static int step_older(MDB_cursor *c, const history_key *wanted, MDB_val *value)
{
  MDB_val key;
  const int rc = mdb_cursor_get(c, &key, value, MDB_PREV);
  return rc == 0 && !is_of_hash(&key, wanted) ? MDB_NOTFOUND : rc;
}

int apply_history(const env *e, MDB_txn *txn, copal_span key, size_t max,
                  int (*each)(void *ctx, const record *former), void *ctx, int *stop)
{
  MDB_cursor *cursor;
  MDB_val value;
  history_key wanted;
  *stop = 0;
  int rc = mdb_cursor_open(txn, e->history, &cursor);
  if (rc != 0)
    return rc;
  rc = seek_newest(cursor, key, &wanted, &value);
  for (size_t i = 0; rc == 0 && i < max && *stop == 0; i++) {
    record r;
    if (!record_get(env_span(value), &r) || !copal_span_is_equal(r.path, key)) {
      rc = RECORD_DAMAGED;
      break;
    }
    *stop = each(ctx, &r);
    rc = step_older(cursor, &wanted, &value);
  }
  mdb_cursor_close(cursor);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Deletes the former representations of a path but the newest `keep`. */
static int trim_history(apply *a, copal_span path, uint32_t keep)
{
  MDB_stat stat;
  MDB_cursor *cursor;
  MDB_val value;
  history_key wanted;
  int rc = mdb_stat(a->txn, a->env->history, &stat);
  if (rc != 0 || stat.ms_entries <= keep)
    return rc;
  rc = mdb_cursor_open(a->txn, a->env->history, &cursor);
  if (rc != 0)
    return rc;
  rc = seek_newest(cursor, path, &wanted, &value);
  for (uint32_t i = 0; rc == 0; i++) {
    if (i >= keep) {
      a->is_dirty = true;
      rc = mdb_cursor_del(cursor, 0);
    }
    /* After a deletion the cursor stands where the deleted one was; MDB_PREV still leads on. */
    if (rc == 0)
      rc = step_older(cursor, &wanted, &value);
  }
  mdb_cursor_close(cursor);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

int apply_put_former(apply *a, copal_span key, const record *rec)
{
  record former = *rec;
  former.path = key;
  history_key room;
  MDB_val k = make_history_key(&room, key, rec->item.rev);
  MDB_val value = {.mv_size = record_size(&former)};
  a->is_dirty = true;
  const int rc = mdb_put(a->txn, a->env->history, &k, &value, MDB_RESERVE);
  if (rc == 0)
    record_put(&former, value.mv_data);
  return rc;
}

/* Keeps the record that is about to be replaced. It is copied first: a write to one tree may move
 * what lies in another. */
static int keep_former(apply *a, copal_span key, const record *old)
{
  uint8_t *bytes = malloc(record_size(old));
  record copy;
  if (bytes == NULL)
    return ENOMEM;
  record_put(old, bytes);
  int rc = record_get(copal_span_of(bytes, record_size(old)), &copy)
               ? apply_put_former(a, key, &copy)
               : RECORD_DAMAGED;
  free(bytes);
  return rc != 0 ? rc : trim_history(a, key, a->history_max);
}

static int note_former(apply *a, copal_span key, const record *rec, const record *old)
{
  if (memcmp(old->item.etag.bytes, rec->item.etag.bytes, STORE_ETAG_SIZE) == 0)
    return 0;
  return a->history_max > 0 ? keep_former(a, key, old) : trim_history(a, key, 0);
}

/* ------------------------------------------------------------------------------------------------
 * records */

int apply_find_at(const env *e, MDB_txn *txn, store_space space, copal_span at, record *found)
{
  MDB_val key = env_val(at);
  MDB_val value;
  const int rc = mdb_get(txn, dbi_of(e, space), &key, &value);
  if (rc != MDB_SUCCESS)
    return rc;
  return record_get(env_span(value), found) ? 0 : RECORD_DAMAGED;
}

static bool is_other(copal_span key, const record *found)
{
  return key.len > DBKEY_LITERAL_MAX && !copal_span_is_equal(found->path, key);
}

int apply_find(const env *e, MDB_txn *txn, store_space space, copal_span key, record *found)
{
  dbkey room;
  if (space == STORE_STATE)
    return apply_find_at(e, txn, space, key, found);
  const int rc = apply_find_at(e, txn, space, dbkey_of(key, &room), found);
  return rc == 0 && is_other(key, found) ? HASH_IS_SHARED : rc;
}

int apply_begin_sorted(apply *a)
{
  const int rc = mdb_cursor_open(a->txn, a->env->items, &a->sorted);
  if (rc != 0)
    a->sorted = NULL;
  return rc;
}

void apply_end_sorted(apply *a)
{
  if (a->sorted != NULL)
    mdb_cursor_close(a->sorted);
  a->sorted = NULL;
}

int apply_seek(apply *a, store_space space, copal_span key, record *found)
{
  dbkey room;
  if (a->sorted == NULL || space == STORE_STATE)
    return apply_find(a->env, a->txn, space, key, found);
  MDB_val at = env_val(dbkey_of(key, &room)), value;
  const int rc = mdb_cursor_get(a->sorted, &at, &value, MDB_SET);
  if (rc != 0)
    return rc;
  if (!record_get(env_span(value), found))
    return RECORD_DAMAGED;
  return is_other(key, found) ? HASH_IS_SHARED : 0;
}

/* The database's key of a key. */
static copal_span key_in(store_space space, copal_span key, dbkey *room)
{
  return space == STORE_STATE ? key : dbkey_of(key, room);
}

int apply_put(apply *a, store_space space, copal_span key, const record *rec, const record *old)
{
  dbkey room;
  const copal_span k = key_in(space, key, &room);
  const uint64_t expiry = record_expiry(rec);
  const uint64_t before = old != NULL ? record_expiry(old) : 0;
  int rc = 0;
  if (old != NULL && space == STORE_RESOURCES)
    rc = note_former(a, key, rec, old);
  if (rc == 0 && before != expiry)
    rc = index_delete(a, before, tag_of(space), k);
  if (rc == 0 && before != expiry)
    rc = index_put(a, expiry, tag_of(space), k);
  if (rc != 0)
    return rc;
  record full = *rec;
  full.path = dbkey_is_long(k) && space == STORE_RESOURCES ? key : copal_span_none();
  MDB_val name = env_val(k);
  MDB_val value = {.mv_size = record_size(&full)};
  a->is_dirty = true;
  if (a->sorted != NULL && space == STORE_RESOURCES)
    rc = mdb_cursor_put(a->sorted, &name, &value, MDB_RESERVE);
  else
    rc = mdb_put(a->txn, dbi_of(a->env, space), &name, &value, MDB_RESERVE);
  if (rc == 0)
    record_put(&full, value.mv_data);
  return rc;
}

int apply_delete(apply *a, store_space space, copal_span key, const record *old)
{
  dbkey room;
  const copal_span k = key_in(space, key, &room);
  const uint64_t expiry = record_expiry(old);
  MDB_val name = env_val(k);
  a->is_dirty = true;
  int rc = mdb_del(a->txn, dbi_of(a->env, space), &name, NULL);
  if (rc == 0)
    rc = index_delete(a, expiry, tag_of(space), k);
  return rc == 0 && space == STORE_RESOURCES ? trim_history(a, key, 0) : rc;
}

/* ------------------------------------------------------------------------------------------------
 * results of named operations */

static MDB_val opid_val(const store_opid *id)
{
  return env_val(copal_span_of(id->bytes, STORE_OPID_SIZE));
}

int apply_find_op(const env *e, MDB_txn *txn, const store_opid *id, op_record *found)
{
  MDB_val key = opid_val(id);
  MDB_val value;
  const int rc = mdb_get(txn, e->ops, &key, &value);
  if (rc != MDB_SUCCESS)
    return rc;
  return op_record_get(env_span(value), found) ? 0 : RECORD_DAMAGED;
}

int apply_put_op(apply *a, const store_opid *id, const op_record *r)
{
  op_record old;
  int rc = apply_find_op(a->env, a->txn, id, &old);
  if (rc == 0)
    rc = apply_delete_op(a, id);
  if (rc != 0 && rc != MDB_NOTFOUND && rc != RECORD_DAMAGED)
    return rc;
  rc = index_put(a, r->expiry, TAG_OP, copal_span_of(id->bytes, STORE_OPID_SIZE));
  if (rc != 0)
    return rc;
  MDB_val key = opid_val(id);
  MDB_val value = {.mv_size = op_record_size(r)};
  a->is_dirty = true;
  rc = mdb_put(a->txn, a->env->ops, &key, &value, MDB_RESERVE);
  if (rc == 0)
    op_record_put(r, value.mv_data);
  return rc;
}

int apply_delete_op(apply *a, const store_opid *id)
{
  op_record old;
  int rc = apply_find_op(a->env, a->txn, id, &old);
  if (rc != 0 && rc != RECORD_DAMAGED)
    return rc;
  const uint64_t expiry = rc == 0 ? old.expiry : 0;
  MDB_val key = opid_val(id);
  a->is_dirty = true;
  rc = mdb_del(a->txn, a->env->ops, &key, NULL);
  return rc == 0 ? index_delete(a, expiry, TAG_OP, copal_span_of(id->bytes, STORE_OPID_SIZE)) : rc;
}
