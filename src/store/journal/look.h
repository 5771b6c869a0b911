/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of a directory, read without changing it. Thread: the caller's. */
#ifndef STORE_JOURNAL_LOOK_H
#define STORE_JOURNAL_LOOK_H

#include <stdint.h>

#include "store/journal/chain.h"
#include "store/journal/state.h"
#include "store/lmdb/lmdb.h"

#define JOURNAL_IS_MISSING                                                                         \
  "the journal is missing, and has changes that are not in data.mdb; put the folder 'journal' "    \
  "back, restore a backup, or go on without it: copald --drop-journal DIR"
#define JOURNAL_RECORD_IS_DAMAGED                                                                  \
  "what data.mdb says about the journal is damaged, or of a newer copald; restore a backup, "      \
  "or go on without the journal: copald --drop-journal DIR"

/* Reads what the journal has beyond a database that says `state`. A journal that is open must be
 * there; what is left over of a closed one must be in the database. `*bytes`: of its files.
 * Returns 0, or a negative COPAL_E* or -errno with a sentence in `why`. */
int journal_look(const env *e, const journal_state *state, const char *dir, chain_reader *r,
                 uint64_t *bytes, char why[LMDB_WHY_SIZE]);

/* Whether the journal may have what the database has not: `*is_open`. One that is closed is looked
 * at. Returns as journal_look(). */
int journal_look_closed(const env *e, const char *dir, bool *is_open, char why[LMDB_WHY_SIZE]);

#endif
