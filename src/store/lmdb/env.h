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
  MDB_dbi main;  /* the store's record and the names of the others */
  MDB_dbi items; /* representations */
  uint32_t page;
  store_record record; /* as it was when the directory was opened */
} env;

/* Opens a directory. `map_size` is the largest size of the data file; `is_check` opens what is
 * there for reading and makes nothing. Returns 0, or -errno or COPAL_E* with `why`. */
int env_open(env *e, const char *dir, uint64_t map_size, bool is_check, char why[LMDB_WHY_SIZE]);

/* Safe on an object that env_open() failed for. */
void env_close(env *e);

/* Writes the store's record within a transaction. Returns 0 or LMDB's error. */
int env_put_record(const env *e, MDB_txn *txn, const store_record *r);

static inline MDB_val env_val(copal_span s)
{
  return (MDB_val){.mv_size = s.len, .mv_data = (void *)(uintptr_t)s.ptr};
}

static inline copal_span env_span(MDB_val v)
{
  return copal_span_of(v.mv_data, v.mv_size);
}

#endif
