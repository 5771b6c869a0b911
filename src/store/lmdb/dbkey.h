/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the database. LMDB takes at most 511 bytes, a path may have more: long ones are told
 * apart by a hash behind their beginning, and their records hold them whole.
 *
 *   up to DBKEY_LITERAL_MAX bytes   the path itself
 *   longer                          its first DBKEY_LITERAL_MAX bytes, 0, SHA-256 of all of it
 *
 * A long path sorts where it belongs among short ones; long ones with the same beginning sort by
 * their hash. Documented in docs/store-format.md. */
#ifndef STORE_LMDB_DBKEY_H
#define STORE_LMDB_DBKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/span.h"

enum {
  DBKEY_LITERAL_MAX = 467,
  DBKEY_HASH_SIZE = 32,
  DBKEY_SIZE = DBKEY_LITERAL_MAX + 1 + DBKEY_HASH_SIZE, /* of every long one */
};

/* Room for the key of a long path. */
typedef struct dbkey {
  uint8_t bytes[DBKEY_SIZE];
} dbkey;

/* The database's key of a path; points into `path` or into `room`. */
copal_span dbkey_of(copal_span path, dbkey *room);

/* True when this key of the database stands for a long path. */
static inline bool dbkey_is_long(copal_span key)
{
  return key.len == DBKEY_SIZE;
}

#endif
