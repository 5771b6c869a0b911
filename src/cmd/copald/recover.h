/* SPDX-License-Identifier: Apache-2.0 */
/* What a copald that was killed has left in its journal, for commands that write to the database
 * alone. Thread: the main thread. */
#ifndef COPALD_RECOVER_H
#define COPALD_RECOVER_H

#include <stdint.h>
#include <stdio.h>

#include "store/lmdb/env.h"

/* Opens a data directory for writing, made when it is missing, with everything in the database: an
 * open journal is moved there first, as a start does, and a line about it goes to `err`. All
 * former representations are kept. Returns 0, or -errno or a negative COPAL_E* with a sentence in
 * `why`; then nothing is open. */
int recover_open(env *e, const char *dir, uint64_t disk, FILE *err, char why[LMDB_WHY_SIZE]);

#endif
