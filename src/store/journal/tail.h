/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal of a directory has beyond a snapshot of its database, also while a copald serves
 * it: for copies and dumps. Thread: one at a time. */
#ifndef STORE_JOURNAL_TAIL_H
#define STORE_JOURNAL_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/journal/batch.h"
#include "store/lmdb/apply.h"
#include "store/lmdb/env.h"

/* A record of the journal in memory of its own. */
typedef struct tail_item {
  batch_record rec;
  size_t place; /* among all of them, in the order in which they were written */
  uint8_t bytes[];
} tail_item;

typedef struct tail {
  tail_item **items; /* as they were written */
  size_t count, cap;
  bool is_open;     /* there is a journal that counts */
  uint64_t applied; /* number of the last batch that the snapshot has as a whole */
  uint64_t last;    /* number of the last one that was read */
  store_rev rev;    /* last one that was given out, 0: the journal does not say */
} tail;

enum { TAIL_MOVED = 1 };

/* Reads it. Returns 0; TAIL_MOVED: a checkpoint was completed meanwhile, to be tried again with a
 * new snapshot; or -errno or a negative COPAL_E* with a sentence in `why`. */
int tail_read(tail *t, const env *e, MDB_txn *txn, const char *dir, char why[LMDB_WHY_SIZE]);

/* Leaves the last record of each key of a space, in the order of keys. */
void tail_reduce(tail *t, store_space space);

/* Writes all of it to a database that is as the snapshot was. Returns as apply_put(). */
int tail_apply(const tail *t, apply *a);

/* Safe on a zeroed object. */
void tail_wipe(tail *t);

#endif
