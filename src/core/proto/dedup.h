/* SPDX-License-Identifier: Apache-2.0 */
/* Deduplication: messages received are remembered for their lifetime, with the reply they got.
 * RFC 7252 section 4.5.
 *
 * The memory is bounded. Each peer has a share; beyond it the peer's own oldest entry goes, and
 * when all entries or chunks are taken the oldest of all goes. An entry that goes before its
 * lifetime is counted (dedup_evicted): a later duplicate of that message would be processed again.
 */
#ifndef CORE_PROTO_DEDUP_H
#define CORE_PROTO_DEDUP_H

#include "core/proto/ep.h"

/* The entry of a message already received along `path`, or NULL. */
dedup *dedup_find(copal_ep *ep, const copal_path *path, uint16_t mid, copal_time now);

/* Touches what dedup_find() and dedup_remember() will look at first. */
void dedup_foresee(const copal_ep *ep, const copal_path *path, uint16_t mid);

/* Remembers a message for `lifetime`. NULL when there is no room for its peer. */
dedup *dedup_remember(copal_ep *ep, const copal_path *path, uint16_t mid, copal_dur lifetime,
                      copal_time now);

/* peer_take(); when the pool is exhausted the oldest entries go until one of their peers is free,
 * so that strangers cannot hold all of it. NULL when it is full of client exchanges. */
peer *dedup_take_peer(copal_ep *ep, const copal_path *path, uint32_t path_hash, copal_time now);

/* Keeps the datagram that answered; when there is no room for it even after older entries went, a
 * duplicate will be ignored. */
void dedup_keep_reply(copal_ep *ep, dedup *d, copal_span reply, copal_time now);

/* Gives back what is older than its lifetime, the oldest first, and not a great many at once: then
 * it is due again as the next of them are. */
void dedup_sweep(copal_ep *ep, copal_time now);

/* When dedup_sweep() is due, or COPAL_NEVER. */
copal_time dedup_deadline(const copal_ep *ep);

/* Makes room for `len` bytes of kept messages by giving up the oldest entries, but not `spare` (may
 * be NULL). Returns false when that is not enough, and gives nothing up for what could never fit.
 */
bool dedup_make_room(copal_ep *ep, size_t len, const dedup *spare, copal_time now);

#endif
