/* SPDX-License-Identifier: Apache-2.0 */
/* What readers and writers of messages need beyond the public cursor. */
#ifndef COPAL_CORE_BASE_CURSOR_JOIN_H
#define COPAL_CORE_BASE_CURSOR_JOIN_H

#include <string.h>

#include "copal/cursor.h"

/* Takes the next `n` bytes and returns where they are. NULL, and COPAL_EFORMAT, when there are
 * fewer; it may be NULL for no bytes as well. */
const uint8_t *copal_rd_take(copal_rd *r, size_t n);

/* The big-endian unsigned integer of the `n` bytes (0 to 4) at `p`. */
uint32_t copal_be(const uint8_t *p, size_t n);

/* Keeps the first error of a writer and leaves it no room, so that what follows fails as well. */
void copal_wr_fail(copal_wr *w, int err);

/* Copies `n` bytes, few or none. */
static inline void wr_few(uint8_t *p, const uint8_t *bytes, size_t n)
{
  size_t i = n;
  if (i > 0)
    do {
      i--;
      p[i] = bytes[i];
    } while (i != 0);
}

/* Runs up to this are copied in place, without a call: SIZE_MAX for a port whose memcpy() is a loop
 * of bytes. */
#ifndef COPAL_FEW_BYTES
#define COPAL_FEW_BYTES 0
#endif

/* Copies `n` bytes, many or none: memcpy() must not see NULL, not even for no bytes. */
static inline void wr_run(uint8_t *p, const uint8_t *bytes, size_t n)
{
  if (n > COPAL_FEW_BYTES)
    memcpy(p, bytes, n);
  else
    wr_few(p, bytes, n);
}

/* Appends a head of few bytes and what it announces; both or nothing. */
void copal_wr_pair(copal_wr *w, const uint8_t *head, size_t head_len, const copal_span *rest);

/* Appends all `n` bytes, or nothing. */
void copal_wr_bytes(copal_wr *w, const uint8_t *bytes, size_t n);

#endif
