/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the source of a request to show that it receives what is sent to it, before it is sent
 * much. RFC 9175 sections 2.3 and 2.4. A build without it takes challenge_none.c. */
#ifndef CORE_PROTO_CHALLENGE_H
#define CORE_PROTO_CHALLENGE_H

#include "core/proto/ep.h"

/* True when this build can challenge; a guard is refused otherwise. */
bool challenge_is_available(void);

/* True when a response of `len` bytes must not leave before its receiver is verified. Only safe
 * requests are challenged: others have had their effect, and the client would repeat it. */
bool challenge_is_due(copal_ep *ep, const copal_path *path, copal_code request, size_t len,
                      copal_time now);

/* Writes 4.01 (Unauthorized) with a fresh Echo value over the response in `w`, for it was due;
 * `head` is its header. An observation that the response would have begun has to be asked for
 * again. Returns 1, or an error of reply_write(). */
int challenge_replace(copal_ep *ep, const copal_path *path, copal_wr *w, copal_msg *head,
                      reply_rules *rules, copal_time now);

/* Pings the receiver of a response when the guard wants to know whether it is there. Nothing is
 * kept of the ping: its Message ID tells. */
void challenge_probe(copal_ep *ep, const copal_path *path, copal_time now);

/* A Reset that belongs to nothing else. True when it answers a probe. */
bool challenge_on_reset(copal_ep *ep, const copal_path *path, uint16_t mid, copal_time now);

/* Looks for an Echo option in a request. */
void challenge_read(copal_ep *ep, const turn *t);

#endif
