/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of the database in order. */
#include "store/journal/walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/keytree.h"
#include "store/lmdb/dbkey.h"

int walk_open(walk *w, const env *e, MDB_txn *txn, const store_range *range)
{
  const bool is_inside = range->after.len > 0 && keytree_compare(range->after, range->prefix) >= 0;
  *w = (walk){.space = range->space,
              .prefix = range->prefix,
              .from = is_inside ? range->after : range->prefix,
              .is_behind = is_inside};
  return mdb_cursor_open(txn, range->space == STORE_STATE ? e->state : e->items, &w->cursor);
}

void walk_close(walk *w)
{
  if (w->cursor != NULL)
    mdb_cursor_close(w->cursor);
  free(w->group);
  w->cursor = NULL;
  w->group = NULL;
}

static int begin(walk *w)
{
  const size_t start_max = w->space == STORE_STATE ? STORE_STATE_KEY_MAX : DBKEY_LITERAL_MAX;
  copal_span start = w->from;
  if (start.len > start_max)
    start.len = start_max;
  w->key = env_val(start);
  w->is_begun = true;
  return mdb_cursor_get(w->cursor, &w->key, &w->value, start.len > 0 ? MDB_SET_RANGE : MDB_FIRST);
}

static int compare_long(const void *a, const void *b)
{
  return keytree_compare(((const walk_long *)a)->path, ((const walk_long *)b)->path);
}

static bool is_long(const walk *w)
{
  return w->space == STORE_RESOURCES && dbkey_is_long(env_span(w->key));
}

/* Reads all long paths that begin like the one at the cursor, which moves behind them. Those that
 * are damaged are passed over. Returns LMDB's answer about what follows, or ENOMEM. */
static int read_group(walk *w)
{
  const uint8_t *start = w->key.mv_data;
  size_t cap = 0;
  int rc = 0;
  free(w->group);
  w->group = NULL;
  w->group_count = w->group_at = 0;
  while (rc == 0 && is_long(w) && memcmp(w->key.mv_data, start, DBKEY_LITERAL_MAX) == 0) {
    record r;
    if (w->group_count == cap) {
      cap = cap == 0 ? 16 : 2 * cap;
      walk_long *wider = realloc(w->group, cap * sizeof *wider);
      if (wider == NULL)
        return ENOMEM;
      w->group = wider;
    }
    if (record_get(env_span(w->value), &r))
      w->group[w->group_count++] = (walk_long){r.path, env_span(w->value)};
    rc = mdb_cursor_get(w->cursor, &w->key, &w->value, MDB_NEXT);
  }
  if (w->group_count > 0)
    qsort(w->group, w->group_count, sizeof *w->group, compare_long);
  return rc;
}

/* The next path and the bytes of its record, wanted or not. */
static int step(walk *w, copal_span *path, copal_span *bytes)
{
  while (w->group_at == w->group_count) {
    if (w->is_at_end)
      return MDB_NOTFOUND;
    int rc = w->is_begun ? 0 : begin(w);
    if (rc == 0 && !is_long(w)) {
      *path = env_span(w->key);
      *bytes = env_span(w->value);
      w->is_at_end = mdb_cursor_get(w->cursor, &w->key, &w->value, MDB_NEXT) != 0;
      return 0;
    }
    if (rc == 0)
      rc = read_group(w);
    w->is_at_end = rc != 0;
    if (rc != 0 && rc != MDB_NOTFOUND)
      return rc;
  }
  *path = w->group[w->group_at].path;
  *bytes = w->group[w->group_at++].bytes;
  return 0;
}

int walk_next(walk *w, copal_span *key, record *r)
{
  for (;;) {
    copal_span bytes;
    const int rc = step(w, key, &bytes);
    if (rc != 0)
      return rc;
    const int order = keytree_compare(*key, w->from);
    if (order < 0 || (order == 0 && w->is_behind))
      continue;
    if (!copal_span_has_prefix(*key, w->prefix))
      return MDB_NOTFOUND;
    return record_get(bytes, r) ? 0 : RECORD_DAMAGED;
  }
}
