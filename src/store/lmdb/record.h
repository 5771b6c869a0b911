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
  STORE_FORMAT = 1, /* the only one so far */
};

/* A representation as it is stored. Spans are lent by whom it was read from. */
typedef struct record {
  store_item item; /* but for `written` */
  uint64_t wall;   /* when it was written: microseconds since 1970 */
  copal_span path; /* of a long key; empty for others */
} record;

/* Bytes that the record takes. */
size_t record_size(const record *r);

/* Writes exactly record_size() bytes. */
void record_put(const record *r, uint8_t *out);

/* Reads a record; its lengths must add up. Returns false when they do not. Constant time. */
bool record_get(copal_span bytes, record *r);

/* True when the checksum of a record fits its bytes. */
bool record_is_intact(copal_span bytes);

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
