/* SPDX-License-Identifier: Apache-2.0 */
/* What a transaction of the database may do: finished records are found, put and deleted, and every
 * index goes along. Nothing here judges conditions, gives out revisions or tells anybody: that is
 * the writer's, of which there is one at a time.
 *
 * Errors of all functions: 0, MDB_NOTFOUND where it says so, RECORD_DAMAGED, HASH_IS_SHARED, or
 * another error of LMDB or the system, after which a writing transaction can only be given up.
 * Threads: as a transaction of LMDB. Layouts are in docs/store-format.md. */
#ifndef STORE_LMDB_APPLY_H
#define STORE_LMDB_APPLY_H

#include <lmdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"
#include "store/lmdb/env.h"
#include "store/lmdb/record.h"
#include "store/store.h"

enum {
  RECORD_DAMAGED = 1 << 20, /* between the errors of the system and those of LMDB */
  HASH_IS_SHARED,           /* two long paths with the same beginning and one SHA-256 */
};

/* A writing transaction. */
typedef struct apply {
  const env *env;
  MDB_txn *txn;
  uint32_t history_max; /* former representations kept of each resource */
  bool is_dirty;        /* something has been written; set by the functions below */
  MDB_cursor *sorted;   /* where the last resource was; NULL: look-ups begin at the root */
} apply;

/* Finds what is stored under a key, expired or not. The spans of `found` are lent by the database:
 * until the transaction ends, or, in a writing one, until the next write. Constant time but for the
 * depth of the tree. MDB_NOTFOUND: nothing. */
int apply_find(const env *e, MDB_txn *txn, store_space space, copal_span key, record *found);

/* From now on resources come in the order of keys, more or less: what lies on the same page as the
 * one before is found there. To be ended before the transaction is. */
int apply_begin_sorted(apply *a);
void apply_end_sorted(apply *a);

/* As apply_find(), in the order of keys if that was said. */
int apply_seek(apply *a, store_space space, copal_span key, record *found);

/* Writes a finished record. `old` is what apply_find() or apply_seek() found in this transaction,
 * NULL when it found nothing; no span of `rec` may point into the database. The record that is
 * replaced goes into the history when its representation is another one; `path` of `rec` is not
 * read. */
int apply_put(apply *a, store_space space, copal_span key, const record *rec, const record *old);

/* Deletes what apply_find() has found in this transaction, with its history. */
int apply_delete(apply *a, store_space space, copal_span key, const record *old);

/* The result of a named operation. MDB_NOTFOUND: there is none. One that has expired is found until
 * it is swept: compare `expiry`. */
int apply_find_op(const env *e, MDB_txn *txn, const store_opid *id, op_record *found);

/* Keeps the result of a named operation, in place of an expired one of that name. `r->key` must not
 * point into the database. */
int apply_put_op(apply *a, const store_opid *id, const op_record *r);

int apply_delete_op(apply *a, const store_opid *id);

/* What ends at some time: an entry of the index of expiry. */
typedef struct expiring {
  uint64_t expiry; /* microseconds since 1970 */
  bool is_op;      /* the result of a named operation; else a record */
  store_opid id;   /* of an operation */
  store_space space;
  copal_span at; /* key in its tree, lent by the database; of a record: see apply_find_at() */
} expiring;

/* The first to end. MDB_NOTFOUND: nothing ever ends. */
int apply_first_expiring(const env *e, MDB_txn *txn, expiring *first);

/* Finds a record by the database's key. */
int apply_find_at(const env *e, MDB_txn *txn, store_space space, copal_span at, record *found);

/* Takes an entry out of the index that leads nowhere. */
int apply_drop_expiring(apply *a, const expiring *x);

/* True when the index of expiry has the entry. */
bool apply_is_indexed(const env *e, MDB_txn *txn, const expiring *x);

/* True when the key of the history is that of this revision of a resource. */
bool apply_is_former_key(copal_span at, copal_span key, store_rev rev);

/* Calls `each` for up to `max` former representations of a resource, newest first, until it returns
 * non-zero; that is returned through `stop`. Their path is the resource's. */
int apply_history(const env *e, MDB_txn *txn, copal_span key, size_t max,
                  int (*each)(void *ctx, const record *former), void *ctx, int *stop);

/* Writes a former representation of the resource `key`, for copies of a store. */
int apply_put_former(apply *a, copal_span key, const record *rec);

enum {
  APPLY_KEY_MAX = 511,     /* LMDB's */
  APPLY_EXPIRY_PREFIX = 9, /* bytes in front of the key in the index of expiry */
  APPLY_HISTORY_KEY_SIZE = 40,
};

#endif
