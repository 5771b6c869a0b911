/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to a request for an observation waits until the observation is stored, so that what a
 * client is told is true after a crash, too. RFC 7641 section 4.1; docs/restart.md.
 *
 * The observation begins at once and the answer is copied, as far as one message can carry it. When
 * the store cannot take the registration the answer leaves without Observe: the client knows that
 * it will not be notified, and reading goes on. Thread: the shard's. */
#ifndef SERVICE_PROMISE_H
#define SERVICE_PROMISE_H

#include "service/reply.h"
#include "service/subjects.h"

/* Sends the answer to a request that `s` is to be observed by: now, when that is stored already or
 * nothing is kept, else later. Returns as service.on_request(). */
int promise_send(subject *s, const handler_req *req, const copal_response *response);

#endif
