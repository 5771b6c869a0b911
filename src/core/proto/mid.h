/* SPDX-License-Identifier: Apache-2.0 */
/* Message IDs: unpredictable, and not reused towards one endpoint within EXCHANGE_LIFETIME.
 * RFC 7252 sections 4.4 and 11.4. */
#ifndef CORE_PROTO_MID_H
#define CORE_PROTO_MID_H

#include "core/proto/ep.h"

/* Draws the next Message ID for the endpoint with that path hash. Peers share counters, so no state
 * belongs to one of them; a keyed permutation makes each peer's sequence its own. Counts a wrap
 * when the counter comes round too early. */
uint16_t mid_draw(copal_ep *ep, uint32_t path_hash, copal_time now);

/* The same for a group. Its members may also be peers, to which the message looks as if it had been
 * sent to them alone: the Message IDs of groups are a range of their own. RFC 7252 section 8.1. */
uint16_t mid_draw_group(copal_ep *ep, uint32_t path_hash, copal_time now);

/* Brings the counter of that endpoint, from which mid_draw() is to come soon, into the caches. A
 * read, because gcc takes functions that only prefetch for ones that do nothing. */
static inline void mid_foresee(const copal_ep *ep, uint32_t path_hash)
{
  (void)*(const volatile uint16_t *)&ep->mids[path_hash & (ep->cfg.mid_count - 1)].next;
}

#endif
