/* SPDX-License-Identifier: Apache-2.0 */
/* What readers and writers of messages need beyond the public cursor. */
#ifndef COPAL_CORE_BASE_CURSOR_JOIN_H
#define COPAL_CORE_BASE_CURSOR_JOIN_H

#include "copal/cursor.h"

/* Takes the next `n` bytes and returns where they are. NULL, and COPAL_EFORMAT, when there are
 * fewer; it may be NULL for no bytes as well. */
const uint8_t *copal_rd_take(copal_rd *r, size_t n);

/* Appends a head of one byte and what it announces; both or nothing. */
void copal_wr_join(copal_wr *w, const uint8_t *tail, size_t n, unsigned head);

/* Appends all `n` bytes, or nothing. */
void copal_wr_bytes(copal_wr *w, const uint8_t *bytes, size_t n);

#endif
