/* SPDX-License-Identifier: Apache-2.0 */
/* copald --drop-journal: going on without a journal that cannot be read. Thread: the main thread.
 */
#ifndef COPALD_DROP_H
#define COPALD_DROP_H

#include <stdio.h>

/* Sets the journal of `dir` aside, in the same directory, so that the store is what the database
 * has: all changes up to the last checkpoint. A journal that can be read stays, for a start to take
 * it over. No copald may be using the directory. Entity-tags that the journal gave out do not come
 * again. What was done goes to `out`, complaints to `err`. Returns the exit code: 0 or 1. */
int drop_journal(const char *dir, FILE *out, FILE *err);

#endif
