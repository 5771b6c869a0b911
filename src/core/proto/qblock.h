/* SPDX-License-Identifier: Apache-2.0 */
/* Q-Block2 of the server: the blocks of a body that follow the first, in sets. RFC 9177
 * section 4.4.
 *
 * No body is kept. What follows later is rendered by asking the handler once more, with the request
 * as it came; when the ETag has changed the transfer ends, as RFC 9177 section 4.4 has it for a
 * server without a cached copy. Methods that are not safe are never run again: of their responses
 * goes out what the handler has lent.
 *
 * flow            event             next            action
 * --------------  ----------------  --------------  -----------------------------------------
 * (none)          request           set under way   first block is the response proper
 * set under way   timer             set under way   send what the handler has of the set
 *                                   pause           set is complete, more follow
 *                                   (end)           nothing more was asked for
 * pause           timer             set under way   next set, at most NON_MAX_RETRANSMIT unasked
 *                 missing blocks    pause           pause begins anew
 *                 'Continue'        (end)           the request makes a flow of its own
 * CON in flight   ACK               set under way
 *                 timer             (end)           not acknowledged
 *
 * A build without Q-Block takes qblock_none.c. */
#ifndef CORE_PROTO_QBLOCK_H
#define CORE_PROTO_QBLOCK_H

#include "core/base/carver.h"
#include "core/proto/ep.h"

/* False when the configuration asks for what it must not, or for what this build has not. */
bool qblock_is_valid(const copal_ep_cfg *cfg);

/* Plans the memory of what is under way; measures only when `ep` is NULL. */
void qblock_lay_out(copal_carver *c, copal_ep *ep, const copal_ep_cfg *cfg);

/* The critical options understood, of requests and responses, as a set of COPAL_CRITICAL_BIT(). */
uint32_t qblock_understood(const copal_ep_cfg *cfg);

/* Reads both options of a request. Returns COPAL_OK, COPAL_EOPTION with `t->sight.offender` (Block
 * and Q-Block together), COPAL_EBLOCK (4.00: blocks out of order, no Request-Tag or Size1 beside
 * Q-Block1) or COPAL_EMULTICAST (to be ignored). RFC 9177 sections 4.1, 4.3, 4.4, 4.8. */
int qblock_read(copal_ep *ep, turn *t, copal_req *req);

/* Settles whether the response is sent with Q-Block2, and returns about how many bytes will follow
 * its first datagram at once. */
size_t qblock_plan(const copal_ep *ep, turn *t, const copal_response *r);

/* Puts a request to the handler once more, for the blocks that `rules` name; qblock_continue()
 * sends them. Returns false when the handler does not answer now. */
bool qblock_ask(copal_ep *ep, struct qblock_flow *f, const copal_req *request,
                const reply_rules *rules, copal_time now);

/* Sends what follows the first block. */
void qblock_follow(copal_ep *ep, turn *t, const copal_response *r, copal_time now);

/* The handler has answered a request that was put to it once more. */
int qblock_continue(copal_ep *ep, turn *t, const copal_response *r, copal_time now);

/* A message of the exchange was acknowledged. */
void qblock_on_acknowledgement(copal_ep *ep, const exchange *x, copal_time now);

/* Returns false when the timer is none of a flow. */
bool qblock_on_timer(copal_ep *ep, copal_timer *t, copal_time now);

#endif
