/* SPDX-License-Identifier: Apache-2.0 */
/* What a device calls that also has resources which are observed. Linked beside level_message.c for
 * the levels above "message layer" of tools/gates; it is measured, never run. */
#include "copal/endpoint.h"

/* A resource has changed, or is gone. */
void level_on_change(copal_ep *ep, copal_subject *subject, bool is_gone, copal_time now);
void level_on_change(copal_ep *ep, copal_subject *subject, bool is_gone, copal_time now)
{
  if (is_gone)
    copal_ep_end_subject(ep, subject, now);
  else
    copal_ep_notify(ep, subject, now);
}

/* A request for that resource. */
int level_on_observe(copal_ep *ep, copal_subject *subject, const copal_response *r, copal_time now);
int level_on_observe(copal_ep *ep, copal_subject *subject, const copal_response *r, copal_time now)
{
  return copal_ep_observe(ep, subject) + copal_ep_respond(ep, r, now);
}
