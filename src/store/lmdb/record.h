/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the database: a representation as one record, and the record that describes the
 * store. Little-endian; the layout is in docs/store-format.md. */
#ifndef STORE_LMDB_RECORD_H
#define STORE_LMDB_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"
#include "store/store.h"

enum {
  RECORD_HEADER_SIZE = 48,
  STORE_RECORD_SIZE = 48,
  STORE_FORMAT = 2, /* 1 had no lifetimes, no state, no names of operations, no history */
  RECORD_LIFETIME_SIZE = 4,
  OP_RECORD_HEADER_SIZE = 48,
};

/* A representation as it is stored. Spans are lent by whom it was read from. */
typedef struct record {
  store_item item; /* but for `written` */
  uint64_t wall;   /* when it was written: microseconds since 1970 */
  copal_span path; /* of a long key, and in the history; empty for others */
} record;

/* When the lifetime is over, microseconds since 1970; 0: never. */
uint64_t record_expiry(const record *r);

/* Bytes that the record takes. */
size_t record_size(const record *r);

/* Writes exactly record_size() bytes. */
void record_put(const record *r, uint8_t *out);

/* Reads a record; its lengths must add up. Returns false when they do not. Constant time. */
bool record_get(copal_span bytes, record *r);

/* True when the checksum of a record fits its bytes. */
bool record_is_intact(copal_span bytes);

/* The result of a named operation as it is stored. */
typedef struct op_record {
  store_rev rev;
  store_etag etag;
  uint64_t expiry; /* when it is forgotten: microseconds since 1970 */
  store_space space;
  bool created;
  copal_span key; /* what it changed; lent by whom it was read from */
} op_record;

size_t op_record_size(const op_record *r);
void op_record_put(const op_record *r, uint8_t *out);

/* Returns false when the lengths do not add up. */
bool op_record_get(copal_span bytes, op_record *r);

/* Describes the store. */
typedef struct store_record {
  uint32_t format;
  uint64_t epoch; /* of entity-tags */
  store_rev rev;  /* last one given out */
} store_record;

void store_record_put(const store_record *r, uint8_t out[STORE_RECORD_SIZE]);

/* Returns false when the bytes are no such record. Of a newer format only `format` counts. */
bool store_record_get(copal_span bytes, store_record *r);

#endif
