/* SPDX-License-Identifier: Apache-2.0 */
/* A client without observations: what observation.c is on a device that makes none. */
#include "core/proto/observation.h"

bool observation_is_asked(const copal_request *rq)
{
  (void)rq;
  return false;
}

bool observation_is_notification(const copal_msg *msg)
{
  (void)msg;
  return false;
}

bool observation_accept(copal_ep *ep, exchange *x, const copal_msg *msg, copal_time now)
{
  (void)ep, (void)x, (void)msg, (void)now;
  return true;
}

bool observation_renew(copal_ep *ep, exchange *x, copal_time now)
{
  (void)ep, (void)x, (void)now;
  return false;
}
