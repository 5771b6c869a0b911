/* SPDX-License-Identifier: Apache-2.0 */
/* Unpredictable bytes from the kernel, fetched in batches. Thread: the owner's only. RFC 7252
 * section 11.4. */
#ifndef SERVER_ENTROPY_H
#define SERVER_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

#include "copal/endpoint.h"

enum { ENTROPY_BATCH = 4096 };

typedef struct entropy {
  copal_entropy hook; /* first: the endpoint's face */
  size_t left;        /* bytes not yet handed out, at the end of `batch` */
  uint8_t batch[ENTROPY_BATCH];
} entropy;

void entropy_init(entropy *e);

/* Erases what was not handed out. */
void entropy_wipe(entropy *e);

#endif
