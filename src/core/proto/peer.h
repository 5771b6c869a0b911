/* SPDX-License-Identifier: Apache-2.0 */
/* Remote endpoints: what is outstanding at them and whose turn is next.
 * NSTART and PROBING_RATE, RFC 7252 section 4.7. */
#ifndef CORE_PROTO_PEER_H
#define CORE_PROTO_PEER_H

#include "core/proto/ep.h"

/* Bytes of `ep->peer_marks`. */
size_t peer_marks_size(uint32_t peer_count);

/* The peer of `path` if there is something to remember of it, else NULL. */
peer *peer_find(copal_ep *ep, const copal_path *path, uint32_t path_hash);

/* The same, made when it is missing. NULL when the pool is exhausted. */
peer *peer_take(copal_ep *ep, const copal_path *path, uint32_t path_hash);

/* Gives the peer back when nothing of it needs remembering any more. */
void peer_settle(copal_ep *ep, peer *p);

/* True when NSTART and PROBING_RATE let a request leave now. */
bool peer_is_free(const copal_ep *ep, const peer *p);

/* Notes a non-confirmable request of `len` bytes to a peer that may not respond: it is left quiet
 * for as long as PROBING_RATE asks. */
void peer_probed(copal_ep *ep, peer *p, size_t len, copal_time now);

/* Notes that the peer has responded. */
void peer_responded(copal_ep *ep, peer *p);

#endif
