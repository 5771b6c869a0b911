/* SPDX-License-Identifier: Apache-2.0 */
/* copald --backup: a copy of a data directory. Thread: the main thread, and one that copies. */
#ifndef COPALD_BACKUP_H
#define COPALD_BACKUP_H

#include <stdio.h>

/* Copies all that is stored as it is at one moment, also while a copald serves `dir`, into
 * `target`, which is made, or is an empty directory. What was done goes to `out`, complaints to
 * `err`. Returns the exit code: 0 or 1. */
int backup_store(const char *dir, const char *target, FILE *out, FILE *err);

#endif
