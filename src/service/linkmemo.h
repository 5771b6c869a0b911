/* SPDX-License-Identifier: Apache-2.0 */
/* Listings that were made link by link, kept so that their further blocks need not be: a client
 * reads a long one in many requests. RFC 6690 section 4.1, RFC 7959 section 2.4.
 *
 * Threads: any; a lock of its own. */
#ifndef SERVICE_LINKMEMO_H
#define SERVICE_LINKMEMO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

enum { LINKMEMO_MAX = 8 }; /* listings kept at a time; the one asked for longest ago gives way */

/* A listing. */
typedef struct linkmemo_entry {
  uint8_t *bytes; /* its name and its text; NULL: none */
  size_t name_len, len;
  uint64_t generation; /* of the index that it was made from */
  uint64_t asked;      /* when, counted in questions */
} linkmemo_entry;

typedef struct linkmemo {
  pthread_mutex_t lock;
  linkmemo_entry entries[LINKMEMO_MAX];
  uint64_t questions;
} linkmemo;

void linkmemo_init(linkmemo *m);
void linkmemo_wipe(linkmemo *m);

/* Copies what of the listing of that name and generation begins at `offset` into `room`, as much as
 * fits. Returns false when it is not kept; else `len` is what was copied, `total` the length of the
 * listing. */
bool linkmemo_get(linkmemo *m, copal_span name, uint64_t generation, uint64_t offset,
                  copal_mspan room, size_t *len, uint64_t *total);

/* Keeps a copy of a listing, in the place of an older one. Without memory it is not kept. */
void linkmemo_put(linkmemo *m, copal_span name, uint64_t generation, copal_span text);

#endif
