/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a peer: its security session is over. RFC 7252 section 9.1.1. */
#include <assert.h>

#include "core/proto/client.h"
#include "core/proto/dedup.h"
#include "core/proto/ep.h"
#include "core/proto/observe.h"
#include "core/proto/peer.h"
#include "core/proto/serve.h"

/* The answers that handlers still owe the peer. */
static void end_deferred(copal_ep *ep, const peer *p)
{
  dedup *d = p->newest;
  for (uint32_t i = 0; i < p->dedup_count; i++, d = d->newer)
    if (d->exchange)
      serve_end(ep, d->exchange);
}

/* Ends requests of ours; those that wait for their turn go first, so that the end of another does
 * not send them. */
static void end_requests(copal_ep *ep, const copal_path *path, bool only_queued, copal_time now)
{
  exchange *x;

  for (uint32_t i = 0; (x = copal_pool_at(&ep->exchanges, i)); i++) {
    if (x->state == EXCHANGE_FREE || !x->is_client || !copal_path_is_same_peer(&x->path, path))
      continue;
    if (x->state == EXCHANGE_QUEUED || !only_queued)
      client_end(ep, x, COPAL_EVENT_UNREACHABLE, now);
  }
}

void copal_ep_forget(copal_ep *ep, const copal_path *path, copal_time now)
{
  const peer *p = peer_find(ep, path, ep_path_hash(ep, path));

  assert(!ep->is_busy);
  ep->is_busy = true;
  observe_forget(ep, path);
  if (p) {
    const bool has_requests = p->exchange_count > 0; /* rare, so a walk will do */
    end_deferred(ep, p);
    for (int only_queued = 1; has_requests && only_queued >= 0; only_queued--)
      end_requests(ep, path, only_queued, now);
  }
  ep->is_busy = false;
}
