/* SPDX-License-Identifier: Apache-2.0 */
/* The error responses that the endpoint itself gives, with their payload: a diagnostic text, or
 * concise problem details where the client accepts them. RFC 7252 section 5.5.2, RFC 9290. */
#ifndef CORE_PROTO_REFUSAL_H
#define CORE_PROTO_REFUSAL_H

#include "core/proto/ep.h"

enum {
  REFUSAL_OPTS = 2,
  REFUSAL_TEXT_SIZE = 64, /* bytes */
  REFUSAL_RETRY_S = 1,    /* Max-Age of 5.03, RFC 7252 section 5.9.3.4 */
};

/* A response and the storage it points into; must not be copied. */
typedef struct refusal {
  copal_response response;
  copal_opt opts[REFUSAL_OPTS];
  uint8_t uints[REFUSAL_OPTS][4];
  uint8_t text[REFUSAL_TEXT_SIZE];
} refusal;

/* Fills in the response to a request that failed with `err`; `offender` is the option number of
 * COPAL_EOPTION. An error without a response code of its own becomes 5.00. */
void refusal_make(refusal *f, int err, uint16_t offender, bool wants_problem);

#endif
