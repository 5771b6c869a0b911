/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical path of a request, under which what it asks for is stored. RFC 7252 sections 5.10.1
 * and 6.5. */
#ifndef SERVER_KEY_H
#define SERVER_KEY_H

#include "copal/cursor.h"
#include "copal/span.h"

/* Bytes that the key of options of so many bytes may take: percent-encoding triples a byte at most,
 * and an option has a byte of its own for the slash. */
static inline size_t key_room(size_t options_len)
{
  return 3 * options_len + 1;
}

/* Appends the key to a writer with nothing in it yet: "/a/b", or "/" without any Uri-Path. Returns
 * COPAL_OK, COPAL_EURI when there is a dot segment, or what the writer says. */
int key_write(copal_wr *w, copal_span options);

#endif
