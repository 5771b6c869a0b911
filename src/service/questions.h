/* SPDX-License-Identifier: Apache-2.0 */
/* What FETCH asked, for those who ask for further blocks of the answer without saying it again. RFC
 * 7959 section 2.7, RFC 8132 section 2.5.
 *
 * They are told apart as uploads are. Bounded in number, for one client and in all, and in bytes;
 * what nobody has come back to for longest gives way. There is no lifetime: who observes such an
 * answer reads its blocks after each notification. Threads: one object serves all shards. */
#ifndef SERVICE_QUESTIONS_H
#define SERVICE_QUESTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/handler.h"

typedef struct questions questions;

/* Limits; a field that is zero takes the default named. */
typedef struct questions_cfg {
  uint32_t count_max;  /* default 256 */
  uint32_t per_client; /* of these, from one address and port, or session; default 4 */
  uint32_t byte_max;   /* of them all; default 4 MiB */
  uint32_t block;      /* largest block sent; default 1024 */
} questions_cfg;

typedef struct questions_counts {
  uint64_t open;     /* now */
  uint64_t recalled; /* blocks whose request did not say what was asked */
  uint64_t missing;  /* such for which nothing was kept: 4.08 */
  uint64_t evicted;  /* gave way to others */
  uint64_t failed;   /* could not be kept: no memory, too large */
} questions_counts;

/* Returns NULL without memory. */
questions *questions_open(const questions_cfg *cfg);

/* The shards have ended. Safe on NULL. */
void questions_close(questions *q);

/* Keeps what the FETCH asked if the answer, of `size` bytes, does not fit the block that is sent of
 * it. `format` is the Content-Format of the payload. */
void questions_keep(questions *q, const handler_req *req, uint16_t format, size_t size);

/* True for a FETCH that asks for a further block and has no payload. */
bool questions_is_further(const handler_req *req);

/* What such a FETCH asked before: the document, in the request's arena, and its Content-Format.
 * Returns COPAL_OK, COPAL_EINCOMPLETE when it is not known, or COPAL_ENOSPC. */
int questions_recall(questions *q, const handler_req *req, copal_span *document, uint16_t *format);

questions_counts questions_counts_now(questions *q);

#endif
