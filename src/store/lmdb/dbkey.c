/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the database. */
#include "store/lmdb/dbkey.h"

#include <nettle/sha2.h>
#include <string.h>

copal_span dbkey_of(copal_span path, dbkey *room)
{
  if (path.len <= DBKEY_LITERAL_MAX)
    return path;
  struct sha256_ctx hash;
  sha256_init(&hash);
  sha256_update(&hash, path.len, path.ptr);
  memcpy(room->bytes, path.ptr, DBKEY_LITERAL_MAX);
  room->bytes[DBKEY_LITERAL_MAX] = 0;
  sha256_digest(&hash, DBKEY_HASH_SIZE, room->bytes + DBKEY_LITERAL_MAX + 1);
  return copal_span_of(room->bytes, DBKEY_SIZE);
}
