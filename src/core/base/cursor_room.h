/* SPDX-License-Identifier: Apache-2.0 */
/* Room in a writer, for encoders that fill a few bytes at once. */
#ifndef COPAL_CORE_BASE_CURSOR_ROOM_H
#define COPAL_CORE_BASE_CURSOR_ROOM_H

#include "copal/cursor.h"

/* Appends `n` bytes and returns where they begin, for the caller to fill at once. NULL after an
 * error or when they do not fit; then `w->err` is set and nothing is appended. */
uint8_t *copal_wr_room(copal_wr *w, size_t n);

#endif
