/* SPDX-License-Identifier: Apache-2.0 */
/* The data directory: made when missing, locked against a second process, its database opened and
 * its format checked. Thread: one at a time. */
#ifndef STORE_LMDB_ENV_H
#define STORE_LMDB_ENV_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/lmdb/lmdb.h"
#include "store/lmdb/record.h"

typedef struct env {
  int lock_fd; /* -1: none */
  MDB_env *mdb;
  MDB_dbi main;    /* the store's record and the names of the others */
  MDB_dbi items;   /* representations */
  MDB_dbi state;   /* records of STORE_STATE */
  MDB_dbi ops;     /* results of named operations */
  MDB_dbi expiry;  /* what ends, by time */
  MDB_dbi history; /* former representations */
  uint32_t page;
  store_record record; /* as of the opening; checkpoints of a journal raise `rev` */
} env;

/* How a directory is opened. */
typedef enum env_mode {
  ENV_SERVE,  /* for writing; makes what is missing, brings an older format up to date */
  ENV_CHECK,  /* for reading what is there, with nobody else in it */
  ENV_BESIDE, /* for reading beside a copald that serves it */
} env_mode;

/* Opens a directory. `map_size` is the largest size of the data file, 0: as large as it is. Returns
 * 0, or -errno or COPAL_E* with `why`. */
int env_open(env *e, const char *dir, uint64_t map_size, env_mode mode, char why[LMDB_WHY_SIZE]);

/* Makes the name of a directory that has been made survive a power loss. Returns 0 or -errno. */
int env_sync_parent(const char *dir);

/* True when the database has the trees of format 2. One of format 1 that is only read has not. */
static inline bool env_is_current(const env *e)
{
  return e->record.format >= 2;
}

/* Safe on an object that env_open() failed for. */
void env_close(env *e);

/* Reads the store's record as a transaction shows it. Returns 0, MDB_NOTFOUND, another error of
 * LMDB, or a negative COPAL_E* with a sentence in `why`. */
int env_read_record(env *e, MDB_txn *txn, const char *dir, char why[LMDB_WHY_SIZE]);

/* Writes the store's record within a transaction. Returns 0 or LMDB's error. */
int env_put_record(const env *e, MDB_txn *txn, const store_record *r);

/* Begins another life of the store, which has given out revisions up to `rev` at least: with the
 * epoch of before it would give out entity-tags that belong to other representations. Returns as
 * env_put_record(), or EIO without randomness. */
int env_begin_epoch(const env *e, MDB_txn *txn, store_rev rev);

static inline MDB_val env_val(copal_span s)
{
  return (MDB_val){.mv_size = s.len, .mv_data = (void *)(uintptr_t)s.ptr};
}

static inline copal_span env_span(MDB_val v)
{
  return copal_span_of(v.mv_data, v.mv_size);
}

#endif
