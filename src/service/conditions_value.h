/* SPDX-License-Identifier: Apache-2.0 */
/* The one value that a representation consists of, where it does.
 * draft-ietf-core-conditional-attributes section 3: scalar and boolean values. */
#ifndef SERVICE_CONDITIONS_VALUE_H
#define SERVICE_CONDITIONS_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/span.h"

/* Representations longer than this are taken for something else than one value. */
enum { CONDITIONS_BODY_MAX = 4096 };

typedef struct conditions_value {
  bool is_number;
  bool is_truth; /* "0" and "1" as text are both a number and a truth value */
  double number;
  bool truth;
} conditions_value;

/* Reads a representation: text (Content-Format 0 or STORE_NO_FORMAT) that is one number, 0, 1,
 * "true" or "false"; JSON that is a number, true or false; a SenML Pack (JSON or CBOR) of one
 * record with "v" or "vb". Anything else yields neither number nor truth. */
conditions_value conditions_value_of(uint16_t format, copal_span body);

#endif
