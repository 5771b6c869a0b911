/* SPDX-License-Identifier: Apache-2.0 */
/* A body on its way in: small ones in memory, larger ones too while there is room for that, else in
 * a file without a name, so that unfinished uploads cost little memory and nothing survives a
 * crash. Threads: a body one at a time; a place serves all. */
#ifndef STORE_STAGING_H
#define STORE_STAGING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

/* Where bodies wait. */
typedef struct staging_place {
  const char *dir; /* where files are made; lent for the object's life */
  uint64_t room;   /* bytes of memory for bodies beyond STAGING_MEMORY_MAX, each of which takes
                      STAGING_CHUNK. 0: they go to files */
  atomic_uint_fast64_t used; /* of `room` */
  _Atomic(uint8_t *) spare;  /* a chunk that nobody has, for the next one; or NULL */
} staging_place;

/* All zero is an empty one. */
typedef struct staging {
  uint8_t *bytes;        /* in memory: the body, or what waits for the file */
  size_t len;            /* bytes of the body so far */
  size_t cap;            /* bytes allocated in memory */
  size_t filed;          /* bytes in the file */
  uint8_t *map;          /* the file, mapped by staging_view() */
  size_t mapped;         /* bytes mapped */
  int fd_plus_1;         /* 0: in memory */
  staging_place *lender; /* whose chunk `bytes` is, or NULL: it has been allocated */
} staging;

enum {
  STAGING_MEMORY_MAX = 65536, /* bytes kept in memory in any case */
  STAGING_CHUNK = 2 << 20,    /* bytes kept in memory while there is room: a huge page */
};

/* All its bodies are gone. */
void staging_place_wipe(staging_place *place);

/* Writes at `offset`, at most at the end of what is there, and makes that the end. The place is the
 * same for the body's life. Returns 0 or -errno, also for bytes put before, which wait for the
 * file.
 */
int staging_put(staging *s, staging_place *place, size_t offset, copal_span bytes);

/* Writes at any `offset`; what lies between is zero until it is written. The end never moves back.
 * Returns as staging_put(). */
int staging_write(staging *s, staging_place *place, size_t offset, copal_span bytes);

/* Tries whether files can be made in `dir`. Returns 0 or -errno. */
int staging_try(const char *dir);

/* Returns 1 when these bytes are at `offset`, 0 when others or none are, or -errno. */
int staging_holds(const staging *s, size_t offset, copal_span bytes);

/* The body in one piece, lent until the next call with the same object. Returns 0 or -errno, as
 * staging_put(). */
int staging_view(staging *s, copal_span *body);

/* Frees everything. Safe on a zeroed object; the place may not have ended before. */
void staging_wipe(staging *s);

#endif
