/* SPDX-License-Identifier: Apache-2.0 */
/* The client side of observations: which notifications are news, and how long the last one holds.
 * RFC 7641 section 3.
 * A build without observations takes observation_none.c: a notification is a response like others
 * there. */
#ifndef CORE_PROTO_OBSERVATION_H
#define CORE_PROTO_OBSERVATION_H

#include "core/proto/ep.h"

/* True when the options of the request register an observation. */
bool observation_is_asked(const copal_request *rq);

/* True when a response is a notification: a success with an Observe option. */
bool observation_is_notification(const copal_msg *msg);

/* Takes a notification in and sets when to ask again. Returns false when it is older than one that
 * came before. RFC 7641 sections 3.3.1 and 3.4. */
bool observation_accept(copal_ep *ep, exchange *x, const copal_msg *msg, copal_time now);

/* Makes the kept registration one to send again, with a Message ID of its own, because the observed
 * representation has grown old. Returns false when there is none, or it has been asked for in vain.
 * RFC 7641 section 3.3.1. */
bool observation_renew(copal_ep *ep, exchange *x, copal_time now);

#endif
