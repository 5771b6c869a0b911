/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are given once more. A handler may prove its answer to a GET (copal_response.proof):
 * whoever asks with the same options is answered the same, from memory, as long as the server says
 * that the proof holds (copal_server.is_current). No cache in the sense of RFC 7252 section 5.6: no
 * answer is older than the handler's would be. */
#ifndef CORE_PROTO_RECALL_H
#define CORE_PROTO_RECALL_H

#include "core/base/carver.h"
#include "core/proto/ep.h"

/* True when the configuration is one that this build can have. */
bool recall_is_valid(const copal_ep_cfg *cfg);

/* Plans the memory, as all of setup.c: `ep` NULL measures. */
void recall_lay_out(copal_carver *c, copal_ep *ep, const copal_ep_cfg *cfg);

/* Answers as the handler did last time, and would now, or with a challenge as it would be. Returns
 * false when it has to be asked. */
bool recall_answer(copal_ep *ep, turn *t, copal_time now);

/* Whether an answer to the request, whose options have been read, would be kept. */
bool recall_is_wanted(const turn *t);

/* Keeps the answer when that is so and the handler has proved it; `w` has the whole datagram. */
void recall_keep(copal_ep *ep, const turn *t, const copal_response *r, const copal_wr *w);

#endif
