/* SPDX-License-Identifier: Apache-2.0 */
/* copald --dump: the resources of a data directory as lines of JSON. Thread: the main thread. */
#ifndef COPALD_DUMP_H
#define COPALD_DUMP_H

#include <stdio.h>

/* Writes all resources to `out`, in the order of their paths; complaints go to `err`. Changes
 * nothing. Returns the exit code: 0, or 1 when the dump is not complete. */
int dump_store(const char *dir, FILE *out, FILE *err);

#endif
