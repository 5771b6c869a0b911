/* SPDX-License-Identifier: Apache-2.0 */
/* The client role: what happens to the requests of copal_ep_request().
 * RFC 7252 sections 4.2, 4.7, 5.2, 5.3.2. */
#ifndef CORE_PROTO_CLIENT_H
#define CORE_PROTO_CLIENT_H

#include "core/proto/ep.h"

/* An Empty ACK for the exchange arrived. */
void client_on_ack(copal_ep *ep, exchange *x, copal_time now);

/* A Reset for the exchange arrived. */
void client_on_reset(copal_ep *ep, exchange *x, copal_time now);

/* A response arrived. COPAL_OK, or why it must be rejected. */
int client_on_response(copal_ep *ep, const copal_path *path, const copal_msg *msg, copal_time now);

/* The exchange's timer fired. */
void client_on_timer(copal_ep *ep, exchange *x, copal_time now);

/* Sends what waits for its turn at the peer, as far as it may leave now; gives the peer back when
 * nothing is left of it. */
void client_pump(copal_ep *ep, peer *p, copal_time now);

/* Ends the exchange and delivers its last event. `msg` and `from` belong to a response. */
void client_end(copal_ep *ep, exchange *x, copal_event_kind kind, copal_time now);

/* Ends a client exchange without an event; for use inside the last event of another exchange. What
 * still comes for it is met as what nobody asked for. RFC 7252 section 4.2: a sender may give up.
 */
void client_drop(copal_ep *ep, copal_xref ref, copal_time now);

#endif
