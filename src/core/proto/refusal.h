/* SPDX-License-Identifier: Apache-2.0 */
/* The error responses that the endpoint itself gives, with their payload: a diagnostic text, or
 * concise problem details where the client accepts them. RFC 7252 section 5.5.2, RFC 9290.
 * A build without diagnostics takes refusal_none.c: the code says it all there. */
#ifndef CORE_PROTO_REFUSAL_H
#define CORE_PROTO_REFUSAL_H

#include "core/proto/ep.h"

enum {
  REFUSAL_TEXT_SIZE = 36, /* bytes: the longest title and an option number */
};

/* A response and the storage it points into; must not be copied. */
typedef struct refusal {
  copal_response response;
  uint8_t text[REFUSAL_TEXT_SIZE];
} refusal;

/* Response code for a request that failed with `err`: that of its reaction, else 5.00. */
copal_code refusal_code(int err);

/* Fills in the response to a request that failed with `err`; `offender` is the option number of
 * COPAL_EOPTION. An error without a response code of its own becomes 5.00. */
void refusal_make(refusal *f, int err, uint16_t offender, bool wants_problem);

#endif
