/* SPDX-License-Identifier: Apache-2.0 */
/* copald --drop-journal: going on without a journal that cannot be read. Thread: the main thread.
 */
#ifndef COPALD_DROP_H
#define COPALD_DROP_H

#include <stdio.h>

/* Sets the journal of `dir` aside, in the same directory, so that the store is what the database
 * has: all changes up to the last checkpoint. No copald may be using it. Entity-tags that the
 * journal gave out do not come again. What was done goes to `out`, complaints to `err`. Returns the
 * exit code: 0 or 1. */
int drop_journal(const char *dir, FILE *out, FILE *err);

#endif
