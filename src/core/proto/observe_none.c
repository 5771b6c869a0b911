/* SPDX-License-Identifier: Apache-2.0 */
/* A server without observations: what observe.c and observe_request.c are on a device that grants
 * none. A request with Observe is an ordinary one then, RFC 7641 section 4.1. */
#include "core/proto/observe.h"

void observe_lay_out(copal_carver *c, copal_ep *ep, const copal_ep_cfg *cfg)
{
  (void)c, (void)ep, (void)cfg;
}

void observe_read(turn *t)
{
  (void)t;
}

void observe_cancel(copal_ep *ep, const turn *t)
{
  (void)ep, (void)t;
}

void observe_settle(copal_ep *ep, turn *t, copal_code code, copal_time now)
{
  (void)ep, (void)t, (void)code, (void)now;
}

bool observe_on_acknowledgement(copal_ep *ep, const copal_path *path, const copal_msg *msg,
                                copal_time now)
{
  (void)ep, (void)path, (void)msg, (void)now;
  return false;
}

bool observe_on_unreachable(copal_ep *ep, const copal_path *path, const copal_msg *quoted,
                            copal_time now)
{
  (void)ep, (void)path, (void)quoted, (void)now;
  return false;
}

void observe_tell_of_change(copal_ep *ep, relation *r, copal_time now)
{
  (void)ep, (void)r, (void)now;
}

void observe_on_timer(copal_ep *ep, copal_timer *t, copal_time now)
{
  (void)ep, (void)t, (void)now;
}

void observe_forget(copal_ep *ep, const copal_path *path)
{
  (void)ep, (void)path;
}

void observe_wipe(copal_ep *ep)
{
  (void)ep;
}

int copal_ep_observe(copal_ep *ep, copal_subject *subject)
{
  (void)ep, (void)subject;
  return COPAL_EINVAL;
}

void copal_ep_notify(copal_ep *ep, copal_subject *subject, copal_time now)
{
  (void)ep, (void)subject, (void)now;
}

void copal_ep_end_subject(copal_ep *ep, copal_subject *subject, copal_time now)
{
  (void)ep, (void)subject, (void)now;
}

void copal_ep_review(copal_ep *ep, copal_reviewer *reviewer, copal_time now)
{
  (void)ep, (void)reviewer, (void)now;
}
