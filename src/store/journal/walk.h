/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of the database in order, one by one. Long paths stand under hashed keys there; they are
 * put into order here.
 *
 * Threads: as the transaction. */
#ifndef STORE_JOURNAL_WALK_H
#define STORE_JOURNAL_WALK_H

#include "store/lmdb/apply.h"
#include "store/lmdb/env.h"

/* A path that is kept under a hashed key. */
typedef struct walk_long {
  copal_span path;
  copal_span bytes; /* its record */
} walk_long;

typedef struct walk {
  MDB_cursor *cursor;
  store_space space;
  copal_span prefix;
  copal_span from;
  bool is_behind; /* `from` itself is not wanted */
  bool is_begun, is_at_end;
  MDB_val key, value;           /* where the cursor is */
  walk_long *group;             /* long paths with the same beginning */
  size_t group_count, group_at; /* the next one of them */
} walk;

/* Begins in front of what the range wants; its spans are lent. Returns 0 or LMDB's error. */
int walk_open(walk *w, const env *e, MDB_txn *txn, const store_range *range);

/* The next key and its record, lent while the transaction lasts. Returns 0; MDB_NOTFOUND at the end
 * of the range; RECORD_DAMAGED: this one cannot be read, and the walk can go on; or another error,
 * which ends it. */
int walk_next(walk *w, copal_span *key, record *r);

/* Safe on an object that walk_open() failed for. */
void walk_close(walk *w);

#endif
