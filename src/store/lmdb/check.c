/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a whole store and says what is wrong with it. Thread: the caller's. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/keytree.h"
#include "store/lmdb/apply.h"
#include "store/lmdb/dbkey.h"
#include "store/lmdb/env.h"
#include "store/lmdb/lmdb.h"
#include "store/lmdb/space.h"

enum {
  FREE_DBI = 0,   /* LMDB's own */
  META_PAGES = 2, /* LMDB's own */
  TREES_OF_FORMAT_1 = 3,
  NAME_MAX_SHOWN = 80,
};

/* A check under way. */
typedef struct check {
  env env;
  MDB_txn *txn;
  void (*each)(void *ctx, const char *damage);
  void *ctx;
  lmdb_report *report;
  uint64_t ends; /* records and results that have an end */
} check;

/* One entry of a tree. */
typedef void look_at(check *c, copal_span key, copal_span bytes);

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

/* A long path must lead to its key, a short one needs none in the record. */
static bool path_fits(copal_span key, copal_span path)
{
  if (!dbkey_is_long(key))
    return path.len == 0 && key.len <= DBKEY_LITERAL_MAX;
  dbkey room;
  return path.len > DBKEY_LITERAL_MAX && copal_span_is_equal(dbkey_of(path, &room), key);
}

/* What ends must stand in the index of expiry. */
static void check_end(check *c, copal_span key, const expiring *x)
{
  if (x->expiry == 0)
    return;
  c->ends++;
  if (!apply_is_indexed(&c->env, c->txn, x))
    damaged(c, key, "its end is not in the index");
}

/* Returns false when nothing more can be said about the record. */
static bool check_record(check *c, copal_span key, copal_span bytes, record *r)
{
  if (!record_get(bytes, r))
    damaged(c, key, "the lengths in its record do not add up");
  else if (!record_is_intact(bytes))
    damaged(c, key, "the checksum of its record is wrong");
  else if (r->item.rev == 0 || r->item.rev > c->env.record.rev)
    damaged(c, key, "its revision has not been given out yet");
  else
    return true;
  return false;
}

static void check_item(check *c, copal_span key, copal_span bytes)
{
  record r;
  c->report->resources++;
  if (!check_record(c, key, bytes, &r))
    return;
  if (!path_fits(key, r.path))
    damaged(c, key, "its record belongs to another path");
  check_end(c, key, &(expiring){.expiry = record_expiry(&r), .at = key});
}

static void check_state(check *c, copal_span key, copal_span bytes)
{
  static const copal_span name = {(const uint8_t *)"a record of the server", 22};
  record r;
  c->report->states++;
  if (check_record(c, name, bytes, &r))
    check_end(c, name, &(expiring){.expiry = record_expiry(&r), .space = STORE_STATE, .at = key});
}

static void check_op(check *c, copal_span key, copal_span bytes)
{
  static const copal_span name = {(const uint8_t *)"the result of an operation", 26};
  op_record r;
  c->report->ops++;
  if (key.len != STORE_OPID_SIZE || !op_record_get(bytes, &r))
    damaged(c, name, "the lengths in its record do not add up");
  else if (!record_is_intact(bytes))
    damaged(c, name, "the checksum of its record is wrong");
  else
    check_end(c, name, &(expiring){.expiry = r.expiry, .is_op = true, .at = key});
}

static void check_former(check *c, copal_span key, copal_span bytes)
{
  record r;
  record present;
  c->report->former++;
  if (!check_record(c, copal_span_str("a former representation"), bytes, &r))
    return;
  if (!apply_is_former_key(key, r.path, r.item.rev))
    damaged(c, r.path, "a former representation belongs to another path");
  else if (apply_find(&c->env, c->txn, STORE_RESOURCES, r.path, &present) == MDB_NOTFOUND)
    damaged(c, r.path, "a former representation has no resource");
}

/* Sees all entries of a tree, which LMDB has to give in order. */
static int check_tree(check *c, MDB_dbi tree, look_at *look)
{
  uint8_t last[APPLY_KEY_MAX];
  size_t last_len = 0;
  MDB_cursor *cursor;
  MDB_val key, value;
  int rc = mdb_cursor_open(c->txn, tree, &cursor);
  if (rc != 0)
    return rc;
  while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    const copal_span k = env_span(key);
    if (last_len > 0 && keytree_compare(copal_span_of(last, last_len), k) >= 0)
      damaged(c, k, "is not in order");
    last_len = k.len < sizeof last ? k.len : sizeof last;
    memcpy(last, k.ptr, last_len);
    look(c, k, env_span(value));
  }
  mdb_cursor_close(cursor);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

static int check_trees(check *c)
{
  MDB_stat ends;
  int rc = check_tree(c, c->env.items, check_item);
  if (rc != 0 || !env_is_current(&c->env))
    return rc;
  rc = check_tree(c, c->env.state, check_state);
  if (rc == 0)
    rc = check_tree(c, c->env.ops, check_op);
  if (rc == 0)
    rc = check_tree(c, c->env.history, check_former);
  if (rc == 0)
    rc = mdb_stat(c->txn, c->env.expiry, &ends);
  if (rc == 0 && ends.ms_entries != c->ends)
    damaged(c, copal_span_none(), "the index of what ends has entries that lead nowhere");
  return rc;
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
  const env *e = &c->env;
  const MDB_dbi trees[] = {FREE_DBI, e->main, e->items, e->state, e->ops, e->expiry, e->history};
  const size_t count = env_is_current(e) ? sizeof trees / sizeof trees[0] : TREES_OF_FORMAT_1;
  uint64_t used = META_PAGES;
  uint64_t free_pages;
  int rc = count_free_pages(c, &free_pages);
  for (size_t i = 0; rc == 0 && i < count; i++) {
    MDB_stat stat;
    rc = mdb_stat(c->txn, trees[i], &stat);
    if (rc == 0)
      used += tree_pages(&stat);
  }
  if (rc != 0)
    return rc;
  c->report->bytes = used * c->env.page;
  if (used + free_pages != space_used(&c->env))
    damaged(c, copal_span_none(), "pages are missing, or used twice");
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
  report->format = c.env.record.format;
  rc = mdb_txn_begin(c.env.mdb, NULL, MDB_RDONLY, &c.txn);
  if (rc == 0) {
    rc = check_trees(&c);
    if (rc == 0)
      rc = check_pages(&c);
    if (rc != 0)
      damaged(&c, copal_span_none(), mdb_strerror(rc));
    mdb_txn_abort(c.txn);
  }
  env_close(&c.env);
  return 0;
}
