/* SPDX-License-Identifier: Apache-2.0 */
/* Appending a head and a body at once. */
#ifndef COPAL_CORE_BASE_CURSOR_JOIN_H
#define COPAL_CORE_BASE_CURSOR_JOIN_H

#include "copal/cursor.h"

/* Appends a head of `n` bytes, at most a few, and what it announces; both or nothing. */
void copal_wr_join(copal_wr *w, const uint8_t *head, size_t n, copal_span tail);

#endif
