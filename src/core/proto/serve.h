/* SPDX-License-Identifier: Apache-2.0 */
/* The server role: requests to the handler, responses to the client.
 * RFC 7252 sections 4.5, 5.2, 5.4.1, 8.2. */
#ifndef CORE_PROTO_SERVE_H
#define CORE_PROTO_SERVE_H

#include "core/proto/ep.h"

/* Handles a request. COPAL_OK, or the error for which it must be refused; `*offender` receives the
 * option number of COPAL_EOPTION. */
int serve_request(copal_ep *ep, const copal_path *path, const copal_msg *msg, uint16_t *offender,
                  copal_time now);

/* Answers a request that failed with `err` before it reached the handler. */
void serve_refuse(copal_ep *ep, const copal_path *path, const copal_msg *msg, int err,
                  uint16_t offender, copal_time now);

/* Header of the response to the request in `t`. */
copal_msg serve_head(copal_ep *ep, const turn *t, copal_code code, copal_time now);

/* The exchange's timer fired. */
void serve_on_timer(copal_ep *ep, exchange *x, copal_time now);

/* The separate response was acknowledged, rejected, or could not be delivered: it is over. */
void serve_end(copal_ep *ep, exchange *x);

#endif
