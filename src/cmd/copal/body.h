/* SPDX-License-Identifier: Apache-2.0 */
/* A payload as a person wants to see it. */
#ifndef COPAL_CMD_BODY_H
#define COPAL_CMD_BODY_H

#include <stdint.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/style.h"
#include "copal/span.h"

/* Prints the payload for a terminal by its Content-Format (MEDIA_NONE: without one), ended by a
 * line break. What cannot be read as what it claims to be is shown as text or as a hex dump. */
void body_print(int32_t cf, copal_span payload, const style *s, buf *b);

/* Offset, sixteen bytes and their printable characters on each line. */
void body_hexdump(copal_span bytes, const style *s, buf *b);

/* The member or members of a JSON object that hold the payload: "payload" and, when it is not JSON
 * itself, "payload_encoding" ("text" or "base64"). CBOR adds "payload_diag". */
void body_json(int32_t cf, copal_span payload, buf *b);

#endif
