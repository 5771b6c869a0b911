/* SPDX-License-Identifier: Apache-2.0 */
/* JSON texts: parsing with limits, and writing numbers as short as they can be read back. RFC 8259.
 */
#ifndef SERVICE_JSON_TEXT_H
#define SERVICE_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "copal/span.h"

/* Nesting that json_text_write() and those who walk values accept. */
enum { JSON_TEXT_DEPTH_MAX = 2048 };

/* A JSON value of any type, or NULL when the text is not JSON; then `reason` (may be NULL) says
 * why. */
json_t *json_text_read(copal_span text, json_error_t *reason);

/* Writes a value without white space. Returns 0 and a text that the caller frees; COPAL_ETOOBIG
 * when it is longer than `max`; COPAL_ENOSPC without memory. */
int json_text_write(const json_t *value, size_t max, copal_mspan *text);

#endif
