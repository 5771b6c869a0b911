/* SPDX-License-Identifier: Apache-2.0 */
/* CBOR in diagnostic notation, and as JSON where it can be. RFC 8949 sections 8 and 6.1. */
#ifndef COPAL_CMD_CBOR_DIAG_H
#define COPAL_CMD_CBOR_DIAG_H

#include <cbor.h>
#include <stdbool.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/style.h"
#include "copal/span.h"

/* Loads the first data item of `bytes`; `*used` receives its size. NULL when it is malformed or
 * nested deeper than 64 levels. Give it back with cbor_decref(). */
cbor_item_t *cbor_item_load(copal_span bytes, size_t *used);

/* Writes one item on one line. */
void cbor_item_diag(const cbor_item_t *item, const style *s, buf *b);

/* Writes a sequence of items (RFC 8742), or one item, each on a line of its own; an item wider than
 * the terminal is broken into indented lines. Returns false, with nothing written, when the bytes
 * are not well formed or, without `is_sequence`, hold other than one item. */
bool cbor_diag(copal_span bytes, bool is_sequence, const style *s, buf *b);

/* The bytes of a text or byte string, chunks joined. */
void cbor_string_bytes(const cbor_item_t *item, buf *b);

#endif
