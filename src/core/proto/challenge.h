/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the source of a request to show that it receives what is sent to it, before it is sent
 * much. RFC 9175 sections 2.3 and 2.4. */
#ifndef CORE_PROTO_CHALLENGE_H
#define CORE_PROTO_CHALLENGE_H

#include "core/proto/ep.h"

/* A 4.01 response and the storage it points into; must not be moved. */
typedef struct challenge {
  copal_response response;
  copal_opt echo_opt;
  uint8_t echo[COPAL_ECHO_SIZE];
} challenge;

/* True when a response of `len` bytes must not leave before its receiver is verified. Only safe
 * requests are challenged: others have had their effect, and the client would repeat it. */
bool challenge_is_due(copal_ep *ep, const copal_path *path, copal_code request, size_t len,
                      copal_time now);

/* Fills in 4.01 (Unauthorized) with a fresh Echo value, and counts it. */
void challenge_make(copal_ep *ep, challenge *c, const copal_path *path, copal_time now);

/* Looks for an Echo option in a request. */
void challenge_read(copal_ep *ep, const copal_path *path, const copal_msg *msg, copal_time now);

#endif
