/* SPDX-License-Identifier: Apache-2.0 */
/* An endpoint that makes way for another: what it still owes, and its last words. RFC 7252
 * sections 4.2, 5.2.2 and 8.2. */
#include <assert.h>

#include "core/proto/exchange.h"
#include "core/proto/observe_burst.h"
#include "core/proto/serve.h"

static bool is_deferred(const exchange *x)
{
  return !x->is_client && (x->state == EXCHANGE_DEFERRED || x->state == EXCHANGE_ACKED);
}

uint32_t copal_ep_deferred(const copal_ep *ep)
{
  uint32_t count = 0;
  const exchange *x;
  for (uint32_t i = 0; (x = copal_pool_at(&ep->exchanges, i)); i++)
    count += is_deferred(x);
  return count;
}

void copal_ep_part(copal_ep *ep, copal_time now)
{
  exchange *x;
  assert(!ep->is_busy);
  ep->is_busy = true;
  for (uint32_t i = 0; (x = copal_pool_at(&ep->exchanges, i)); i++) {
    if (x->is_client || (x->state != EXCHANGE_WAIT_ACK && x->state != EXCHANGE_LEISURE))
      continue;
    copal_timerq_cancel(&ep->timers, &x->timer);
    serve_on_timer(ep, x, now);
  }
  while (burst_is_due(ep))
    burst_go_on(ep, now);
  ep->is_busy = false;
}
