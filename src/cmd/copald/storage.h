/* SPDX-License-Identifier: Apache-2.0 */
/* The store that the configuration asks for, and what the log says about it. Thread: the main
 * thread; events of the durable store come on its own. */
#ifndef COPALD_STORAGE_H
#define COPALD_STORAGE_H

#include <stdio.h>

#include "server/conf.h"
#include "server/log.h"
#include "server/server.h"
#include "store/lmdb/lmdb.h"
#include "store/store.h"

typedef struct storage {
  lmdb_listener listener; /* first */
  logger log;             /* of the store's thread */
  store *store;
} storage;

/* Opens the store; the object must stay where it is. Returns 0, or -errno or a negative COPAL_E*
 * with a sentence in `why`. */
int storage_open(storage *st, const conf *c, const logger *log, char why[SERVER_WHY_SIZE]);

/* What may be done about `rc` of storage_open(), or NULL. */
const char *storage_advice(const conf *c, int rc);

/* Safe on a zeroed object. */
void storage_close(storage *st);

/* What the ready line calls the store. */
const char *storage_name(const conf *c);

/* From now on a data file that cannot be read ends the process with a sentence. For programs that
 * read a directory and exit. */
void storage_catch_damage(void);

/* Checks a data directory. Returns 0 when nothing is wrong with it. */
int storage_check(const char *dir, FILE *out, FILE *err);

#endif
