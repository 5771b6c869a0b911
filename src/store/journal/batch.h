/* SPDX-License-Identifier: Apache-2.0 */
/* A batch of the journal: the records of changes that become durable together. Whole or absent: a
 * checksum covers all of it. Little-endian; the layout is in docs/store-format.md.
 *
 * Threads: none of its own. */
#ifndef STORE_JOURNAL_BATCH_H
#define STORE_JOURNAL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "copal/span.h"
#include "store/lmdb/record.h"
#include "store/store.h"

enum {
  BATCH_HEADER_SIZE = 40,
  BATCH_RECORD_SIZE = 48, /* of a record beside what is variable */
  BATCH_ALIGN = 8,
  BATCH_LENT_MIN = 256 << 10, /* longer bodies are not copied */
};

typedef enum batch_kind {
  BATCH_PUT = 1,    /* a representation, or a record of the state */
  BATCH_DELETE = 2, /* what was under the key is gone */
  BATCH_OP = 3,     /* the result of a named operation */
} batch_kind;

/* One record. Spans are lent by whom it was read from. */
typedef struct batch_record {
  batch_kind kind;
  store_space space;
  copal_span key; /* of BATCH_OP: the operation's name */
  record rec;     /* of BATCH_PUT: `path` is not kept */
  store_rev rev;  /* of BATCH_DELETE: the last one that was given out */
  op_record op;   /* of BATCH_OP */
} batch_record;

/* A body that is written from where it lies. */
typedef struct batch_piece {
  size_t at; /* bytes of the buffer in front of it */
  copal_span bytes;
} batch_piece;

/* A batch being made. Zeroed with the first use; batch_wipe() ends it. */
typedef struct batch {
  uint8_t *bytes;
  size_t len, cap;
  batch_piece *pieces;
  size_t piece_count, piece_cap;
  struct iovec *iov; /* of the last seal */
  uint64_t size;     /* bytes in all */
  uint32_t count;    /* records */
} batch;

/* Begins an empty one. Returns false without memory. */
bool batch_begin(batch *b);

/* Appends a record; a long body is lent until the batch is written. Returns false without memory,
 * with nothing appended. `body_at` becomes the offset of the body in the batch. */
bool batch_add(batch *b, const batch_record *r, uint64_t *body_at);

/* Takes the records behind so many bytes and pieces out again. */
typedef struct batch_mark {
  size_t len, piece_count;
  uint64_t size;
  uint32_t count;
} batch_mark;
batch_mark batch_mark_now(const batch *b);
void batch_return(batch *b, batch_mark to);

/* What the header says. */
typedef struct batch_header {
  uint64_t number; /* consecutive over the life of the store */
  uint64_t size;   /* of the batch, header included; a multiple of BATCH_ALIGN */
  store_rev rev;   /* the last one that was given out */
  uint32_t count;  /* records */
  uint32_t crc;    /* of what follows the header */
} batch_header;

/* Completes the batch for a segment with that salt. `pad` zero bytes are to follow it. Returns the
 * number of pieces to write, in `b->iov`, or 0 without memory. */
int batch_seal(batch *b, uint64_t number, store_rev rev, uint64_t salt, size_t pad);

void batch_wipe(batch *b);

/* Reads a header. Returns false when there is none, or a damaged one. */
bool batch_get_header(copal_span bytes, uint64_t salt, batch_header *h);

/* True when the contents behind the header are what they were. `bytes` has h->size bytes. */
bool batch_is_whole(copal_span bytes, const batch_header *h, uint64_t salt);

/* Reads the record in front of `rest`, which moves behind it. Returns false when it does not add
 * up. */
bool batch_get_record(copal_span *rest, batch_record *r);

#endif
