/* SPDX-License-Identifier: Apache-2.0 */
/* What the database says about the journal: one record beside the store's. Written with each
 * checkpoint, in its transaction. The layout is in docs/store-format.md. */
#ifndef STORE_JOURNAL_STATE_H
#define STORE_JOURNAL_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/lmdb/env.h"

enum { JOURNAL_STATE_SIZE = 32, JOURNAL_FORMAT = 1 };

typedef struct journal_state {
  bool is_open;     /* the journal may have what the database has not */
  uint64_t applied; /* number of the last batch that the database has */
  uint64_t newest;  /* number of a segment that there is, or there are newer ones; 0: not known */
} journal_state;

/* Reads it in a transaction, NULL: one of its own. A journal that there never was is a closed one.
 * Returns 0; EILSEQ: it is damaged or of a newer copald; or LMDB's error. */
int journal_state_get(const env *e, MDB_txn *txn, journal_state *s);

/* Writes it. Returns 0 or LMDB's error. */
int journal_state_put(const env *e, MDB_txn *txn, const journal_state *s);

#endif
