/* SPDX-License-Identifier: Apache-2.0 */
/* A body on its way in: small ones in memory, larger ones in a file without a name, so that an
 * unfinished upload costs little memory and nothing survives a crash. */
#ifndef STORE_STAGING_H
#define STORE_STAGING_H

#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

/* All zero is an empty one. */
typedef struct staging {
  uint8_t *bytes; /* in memory: the body, or what waits for the file */
  size_t len;     /* bytes of the body so far */
  size_t cap;     /* bytes allocated in memory */
  size_t filed;   /* bytes in the file */
  uint8_t *map;   /* the file, mapped by staging_view() */
  size_t mapped;  /* bytes mapped */
  int fd_plus_1;  /* 0: in memory */
} staging;

enum { STAGING_MEMORY_MAX = 65536 }; /* bytes kept in memory, before the file is made and later */

/* Writes at `offset`, at most at the end of what is there, and makes that the end. `dir` is where
 * files are made. Returns 0 or -errno, also for bytes put before, which wait for the file. */
int staging_put(staging *s, const char *dir, size_t offset, copal_span bytes);

/* Writes at any `offset`; what lies between is zero until it is written. The end never moves back.
 * Returns as staging_put(). */
int staging_write(staging *s, const char *dir, size_t offset, copal_span bytes);

/* Tries whether files can be made in `dir`. Returns 0 or -errno. */
int staging_try(const char *dir);

/* Returns 1 when these bytes are at `offset`, 0 when others or none are, or -errno. */
int staging_holds(const staging *s, size_t offset, copal_span bytes);

/* The body in one piece, lent until the next call with the same object. Returns 0 or -errno, as
 * staging_put(). */
int staging_view(staging *s, copal_span *body);

/* Frees everything. Safe on a zeroed object. */
void staging_wipe(staging *s);

#endif
