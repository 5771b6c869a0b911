/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one request: taken piece by piece, given back all at once. Thread: the owner's only. */
#ifndef SERVER_ARENA_H
#define SERVER_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "server/handler.h"

struct arena {
  uint8_t *bytes;
  size_t cap;
  size_t used;
  size_t peak;    /* most ever used */
  size_t refused; /* requests for memory that did not fit */
};

/* Takes `cap` bytes from the system. Returns 0 or COPAL_ENOSPC. */
int arena_init(arena *a, size_t cap);

/* Gives all pieces back. */
void arena_reset(arena *a);

/* Gives the memory back to the system. Safe on a zeroed object. */
void arena_wipe(arena *a);

#endif
