/* SPDX-License-Identifier: Apache-2.0 */
/* A data directory as it is at one moment, for reading, also while a copald serves it: a snapshot
 * of the database, and what the journal has beyond it. Thread: one at a time. */
#ifndef COPALD_SNAPSHOT_H
#define COPALD_SNAPSHOT_H

#include "store/journal/tail.h"
#include "store/lmdb/env.h"

typedef struct snapshot {
  env env;
  MDB_txn *txn;
  tail tail;
} snapshot;

/* Opens it. Returns 0, or -errno or a negative COPAL_E* with a sentence in `why`. */
int snapshot_open(snapshot *s, const char *dir, char why[LMDB_WHY_SIZE]);

/* Moves it to the present. Returns as snapshot_open(). */
int snapshot_renew(snapshot *s, const char *dir, char why[LMDB_WHY_SIZE]);

/* Safe on an object that snapshot_open() failed for. */
void snapshot_close(snapshot *s);

#endif
