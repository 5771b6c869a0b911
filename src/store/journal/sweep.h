/* SPDX-License-Identifier: Apache-2.0 */
/* What has expired, as the database's index tells. Reads and changes do not wait for it: to them
 * what has expired is absent. */
#ifndef STORE_JOURNAL_SWEEP_H
#define STORE_JOURNAL_SWEEP_H

#include "store/journal/engine.h"

/* Appends deletions of some of what has expired to the flight; intents that tell of
 * resources are added to `told`. `has_names` when there are names for the checkpointer to forget.
 * Returns when there is more to do, on the wall clock; 0: not before the next checkpoint. The
 * writer's thread. */
uint64_t journal_sweep(evaluation *v, intent_list *told, bool *has_names);

/* Deletes results of named operations that nobody can repeat any more, at most so many, within a
 * transaction. `*gone` becomes their number, `*next` the first instant at which something else
 * ends, 0: nothing. Returns 0 or LMDB's error. The checkpointer's thread. */
int journal_sweep_names(journal_store *s, apply *a, uint64_t max, uint64_t *gone, uint64_t *next);

#endif
