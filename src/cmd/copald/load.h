/* SPDX-License-Identifier: Apache-2.0 */
/* copald --load: a dump into a data directory. Thread: the main thread. */
#ifndef COPALD_LOAD_H
#define COPALD_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What a configuration allows. */
typedef struct load_limits {
  uint64_t resources;
  uint64_t path; /* bytes of a path */
  uint64_t body; /* bytes of a representation */
  uint64_t disk; /* bytes of the data file */
} load_limits;

/* Reads a dump from `in` into the directory, which is made when it is missing; all of it or
 * nothing. One that holds resources is refused unless `merges`: then resources of the dump replace
 * those with the same path. What a copald that was killed has left in the journal there is
 * recovered first, whatever becomes of the dump. A resource beyond the limits is a mistake. What
 * was done goes to `out`, complaints to `err`. Returns the exit code: 0 or 1. */
int load_store(const char *dir, bool merges, const load_limits *limits, FILE *in, FILE *out,
               FILE *err);

#endif
