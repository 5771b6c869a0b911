/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a whole store and says what is wrong with it. Thread: the caller's. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/keytree.h"
#include "store/lmdb/dbkey.h"
#include "store/lmdb/env.h"
#include "store/lmdb/lmdb.h"
#include "store/lmdb/space.h"

enum {
  FREE_DBI = 0,   /* LMDB's own */
  META_PAGES = 2, /* LMDB's own */
  NAME_MAX_SHOWN = 80,
};

/* A check under way. */
typedef struct check {
  env env;
  MDB_txn *txn;
  void (*each)(void *ctx, const char *damage);
  void *ctx;
  lmdb_report *report;
  dbkey last; /* key of the record before */
  size_t last_len;
} check;

static void damaged(check *c, copal_span key, const char *what)
{
  char text[NAME_MAX_SHOWN + 128];
  const char *name = key.len > 0 ? (const char *)key.ptr : ""; /* not all damage has a key */
  const int shown = key.len < NAME_MAX_SHOWN ? (int)key.len : NAME_MAX_SHOWN;
  c->report->damaged++;
  snprintf(text, sizeof text, "%.*s%s%s%s", shown, name, key.len > NAME_MAX_SHOWN ? "..." : "",
           key.len > 0 ? ": " : "", what);
  c->each(c->ctx, text);
}

static bool is_in_order(check *c, copal_span key)
{
  const copal_span last = copal_span_of(c->last.bytes, c->last_len);
  const bool is_ok = c->last_len == 0 || keytree_compare(last, key) < 0;
  c->last_len = key.len < DBKEY_SIZE ? key.len : DBKEY_SIZE;
  memcpy(c->last.bytes, key.ptr, c->last_len);
  return is_ok;
}

/* A long path must lead to its key, a short one needs none in the record. */
static bool path_fits(copal_span key, copal_span path)
{
  if (!dbkey_is_long(key))
    return path.len == 0 && key.len <= DBKEY_LITERAL_MAX;
  dbkey room;
  return path.len > DBKEY_LITERAL_MAX && copal_span_is_equal(dbkey_of(path, &room), key);
}

static void check_item(check *c, copal_span key, copal_span bytes)
{
  record r;
  if (!is_in_order(c, key))
    damaged(c, key, "is not in order");
  if (!record_get(bytes, &r))
    damaged(c, key, "the lengths in its record do not add up");
  else if (!record_is_intact(bytes))
    damaged(c, key, "the checksum of its record is wrong");
  else if (!path_fits(key, r.path))
    damaged(c, key, "its record belongs to another path");
  else if (r.item.rev == 0 || r.item.rev > c->env.record.rev)
    damaged(c, key, "its revision has not been given out yet");
}

static int check_items(check *c)
{
  MDB_cursor *cursor;
  MDB_val key, value;
  int rc = mdb_cursor_open(c->txn, c->env.items, &cursor);
  if (rc != 0)
    return rc;
  while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    check_item(c, env_span(key), env_span(value));
    c->report->resources++;
  }
  mdb_cursor_close(cursor);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

static uint64_t tree_pages(const MDB_stat *s)
{
  return s->ms_branch_pages + s->ms_leaf_pages + s->ms_overflow_pages;
}

static int count_free_pages(check *c, uint64_t *pages)
{
  MDB_cursor *cursor;
  MDB_val key, list;
  *pages = 0;
  int rc = mdb_cursor_open(c->txn, FREE_DBI, &cursor);
  if (rc != 0)
    return rc;
  while ((rc = mdb_cursor_get(cursor, &key, &list, MDB_NEXT)) == 0) {
    size_t count;
    memcpy(&count, list.mv_data, sizeof count);
    *pages += count;
    if (list.mv_size / sizeof count != count + 1)
      damaged(c, copal_span_none(), "a list of free pages is cut off");
  }
  mdb_cursor_close(cursor);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Every page of the file is used by one tree, or free. */
static int check_pages(check *c)
{
  MDB_stat items, names, frees;
  uint64_t free_pages;
  int rc = count_free_pages(c, &free_pages);
  if (rc == 0)
    rc = mdb_stat(c->txn, c->env.items, &items);
  if (rc == 0)
    rc = mdb_stat(c->txn, c->env.main, &names);
  if (rc == 0)
    rc = mdb_stat(c->txn, FREE_DBI, &frees);
  if (rc != 0)
    return rc;
  const uint64_t used = META_PAGES + tree_pages(&items) + tree_pages(&names) + tree_pages(&frees);
  c->report->bytes = used * c->env.page;
  if (used + free_pages != space_used(&c->env))
    damaged(c, copal_span_none(), "pages are missing, or used twice");
  if (items.ms_entries != c->report->resources)
    damaged(c, copal_span_none(), "there are more or fewer resources than counted");
  return 0;
}

int lmdb_store_check(const char *dir, void (*each)(void *ctx, const char *damage), void *ctx,
                     lmdb_report *report, char why[LMDB_WHY_SIZE])
{
  check c = {.each = each, .ctx = ctx, .report = report};
  *report = (lmdb_report){.resources = 0};
  int rc = env_open(&c.env, dir, 0, ENV_CHECK, why);
  if (rc != 0)
    return rc;
  report->rev = c.env.record.rev;
  rc = mdb_txn_begin(c.env.mdb, NULL, MDB_RDONLY, &c.txn);
  if (rc == 0) {
    rc = check_items(&c);
    if (rc == 0)
      rc = check_pages(&c);
    if (rc != 0)
      damaged(&c, copal_span_none(), mdb_strerror(rc));
    mdb_txn_abort(c.txn);
  }
  env_close(&c.env);
  return 0;
}
