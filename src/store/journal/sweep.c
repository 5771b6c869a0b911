/* SPDX-License-Identifier: Apache-2.0 */
/* What has expired. Resources and records of the state are deleted through the journal, as whoever
 * follows is told; names are forgotten in the database alone. */
#include "store/journal/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "store/lmdb/dbkey.h"

enum {
  SWEEP_MAX = 1024,    /* deleted in one batch: changes wait for it */
  LOOK_MAX = 64 << 10, /* entries of the index looked at for that */
  TAG_AT = APPLY_EXPIRY_PREFIX - 1,
  TAG_STATE = 1,
  TAG_OP = 2,
};

#define SWEEP_AGAIN (uint64_t) COPAL_SECOND

static uint64_t get_be64(const uint8_t *in)
{
  uint64_t value = 0;
  for (int i = 0; i < 8; i++)
    value = value << 8 | in[i];
  return value;
}

/* Moves through the index of expiry. Returns 0, MDB_NOTFOUND at the end, or LMDB's error. */
static int next_expiring(MDB_cursor *cursor, MDB_cursor_op move, expiring *x)
{
  MDB_val key, value;
  const int rc = mdb_cursor_get(cursor, &key, &value, move);
  if (rc != 0)
    return rc;
  const copal_span k = env_span(key);
  if (k.len <= APPLY_EXPIRY_PREFIX)
    return RECORD_DAMAGED;
  const uint8_t tag = k.ptr[TAG_AT];
  *x = (expiring){
      .expiry = get_be64(k.ptr),
      .is_op = tag == TAG_OP && k.len == APPLY_EXPIRY_PREFIX + STORE_OPID_SIZE,
      .space = tag == TAG_STATE ? STORE_STATE : STORE_RESOURCES,
      .at = copal_span_of(k.ptr + APPLY_EXPIRY_PREFIX, k.len - APPLY_EXPIRY_PREFIX),
  };
  if (x->is_op)
    memcpy(x->id.bytes, x->at.ptr, STORE_OPID_SIZE);
  return 0;
}

/* The path behind an entry of the index; false when it leads nowhere. */
static bool path_of(const evaluation *v, const expiring *x, copal_span *path)
{
  record found;
  *path = x->at;
  if (x->space == STORE_STATE || !dbkey_is_long(x->at))
    return true;
  if (apply_find_at(&v->s->env, v->txn, x->space, x->at, &found) != 0)
    return false;
  *path = found.path;
  return true;
}

/* Returns NULL without memory, or when the entry leads nowhere. */
static intent *intent_of(const evaluation *v, const expiring *x, copal_time now)
{
  copal_span path;
  if (!path_of(v, x, &path))
    return NULL;
  intent *r = malloc(sizeof *r + path.len);
  if (r == NULL)
    return NULL;
  *r = (intent){.now = now,
                .key = copal_span_of(r->bytes, path.len),
                .hash = overlay_hash(&v->s->overlay, (int)x->space, path)};
  memcpy(r->bytes, path.ptr, path.len);
  return r;
}

/* Deletes what the entry leads to, if that has not been done yet. */
static bool sweep_one(evaluation *v, const expiring *x, copal_time now, intent_list *told)
{
  intent *r = intent_of(v, x, now);
  const size_t before = v->to->steps.count;
  if (r == NULL)
    return false;
  evaluate_lapse(v, r, x->space);
  const bool is_gone = v->to->steps.count > before;
  if (r->has_lapsed)
    intent_list_push(told, r);
  else
    intent_free(r);
  return is_gone;
}

uint64_t journal_sweep(evaluation *v, intent_list *told, bool *has_names)
{
  const journal_store *s = v->s;
  const copal_time now = journal_clock(s);
  const uint64_t wall = wall_of(s, now);
  MDB_cursor *cursor;
  expiring x;
  int gone = 0;
  *has_names = false;
  if (mdb_cursor_open(v->txn, s->env.expiry, &cursor) != 0)
    return 0;
  int rc = next_expiring(cursor, MDB_FIRST, &x);
  for (int i = 0; rc == 0 && x.expiry <= wall && gone < SWEEP_MAX && i < LOOK_MAX; i++) {
    if (x.is_op)
      *has_names = true;
    else
      gone += sweep_one(v, &x, now, told);
    rc = next_expiring(cursor, MDB_NEXT, &x);
  }
  mdb_cursor_close(cursor);
  if (rc != 0)
    return 0;
  return gone == SWEEP_MAX || x.expiry > wall + SWEEP_AGAIN ? x.expiry : wall + SWEEP_AGAIN;
}

/* Collects the first names that have expired. */
static int find_names(journal_store *s, const apply *a, uint64_t max, store_opid *ids,
                      uint64_t *count, uint64_t *next)
{
  const uint64_t wall = wall_of(s, journal_clock(s));
  MDB_cursor *cursor;
  expiring x;
  *count = *next = 0;
  int rc = mdb_cursor_open(a->txn, s->env.expiry, &cursor);
  if (rc != 0)
    return rc;
  rc = next_expiring(cursor, MDB_FIRST, &x);
  while (rc == 0 && x.expiry <= wall && *count < max) {
    if (x.is_op)
      ids[(*count)++] = x.id;
    else if (*next == 0)
      *next = x.expiry;
    rc = next_expiring(cursor, MDB_NEXT, &x);
  }
  if (rc == 0 && *next == 0)
    *next = x.expiry;
  mdb_cursor_close(cursor);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

int journal_sweep_names(journal_store *s, apply *a, uint64_t max, uint64_t *gone, uint64_t *next)
{
  store_opid *ids = malloc((size_t)max * sizeof *ids);
  uint64_t count = 0;
  *gone = 0;
  if (ids == NULL)
    return ENOMEM;
  int rc = find_names(s, a, max, ids, &count, next);
  for (uint64_t i = 0; rc == 0 && i < count; i++, ++*gone)
    rc = apply_delete_op(a, &ids[i]);
  free(ids);
  return rc;
}
