/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that were put together for a request, kept so that their further blocks need not be: a
 * client reads a long one in many requests. Listings that are made link by link (RFC 6690 section
 * 4.1), and the past of a resource. RFC 7959 section 2.4.
 *
 * Threads: any; a lock of its own. */
#ifndef SERVICE_LINKMEMO_H
#define SERVICE_LINKMEMO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

enum {
  LINKMEMO_MAX = 16,            /* texts kept at a time; the one asked for longest ago gives way */
  LINKMEMO_BYTES_MAX = 8 << 20, /* of all of them, names included */
};

/* A text. */
typedef struct linkmemo_entry {
  uint8_t *bytes; /* its name and its text; NULL: none */
  size_t name_len, len;
  uint64_t generation; /* of what it was made from */
  uint64_t asked;      /* when, counted in questions */
} linkmemo_entry;

typedef struct linkmemo {
  pthread_mutex_t lock;
  linkmemo_entry entries[LINKMEMO_MAX];
  size_t size; /* bytes of all of them */
  uint64_t questions;
} linkmemo;

void linkmemo_init(linkmemo *m);
void linkmemo_wipe(linkmemo *m);

/* Copies what of the text of that name and generation begins at `offset` into `room`, as much as
 * fits. Returns false when it is not kept; else `len` is what was copied, `total` the length of the
 * text. */
bool linkmemo_get(linkmemo *m, copal_span name, uint64_t generation, uint64_t offset,
                  copal_mspan room, size_t *len, uint64_t *total);

/* Keeps a copy of a text, in the place of those asked for longest ago. One that is longer than all
 * may be is not kept, nor without memory. */
void linkmemo_put(linkmemo *m, copal_span name, uint64_t generation, copal_span text);

#endif
