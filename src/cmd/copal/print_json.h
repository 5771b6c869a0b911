/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text: checked, indented or compacted without changing a digit; and a writer for what the
 * client itself says in JSON. */
#ifndef COPAL_CMD_PRINT_JSON_H
#define COPAL_CMD_PRINT_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/style.h"
#include "copal/span.h"

bool json_is_valid(copal_span text);

/* Indents valid JSON by two columns; keys, strings and numbers stay as they were written. */
void json_pretty(buf *b, copal_span text, const style *s);

/* Valid JSON without white space between tokens. */
void json_compact(buf *b, copal_span text);

/* A JSON string: quoted, escaped; bytes that are not UTF-8 become U+FFFD. */
void json_quote(buf *b, copal_span text);

/* "name": with the comma that is due after an earlier member. */
void json_key(buf *b, const char *name);

void json_member_text(buf *b, const char *name, const char *value);
void json_member_uint(buf *b, const char *name, uint64_t value);

/* A number with three decimals. */
void json_member_real(buf *b, const char *name, double value);

/* Begins an element of an array, with the comma that is due. */
void json_element(buf *b);

/* The shortest decimal that reads back as the same finite number; from 1e-5 to 1e17 without
 * exponent. */
void number_put(buf *b, double v);

/* Standard base64 with padding. RFC 4648 section 4. */
void base64_put(buf *b, copal_span bytes);

#endif
