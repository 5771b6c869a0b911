/* SPDX-License-Identifier: Apache-2.0 */
/* What observe_keep.c is where no relation outlives its endpoint. */
#include "core/proto/observe_keep.h"

void observe_tell(copal_ep *ep, const relation *r, copal_relation_event event)
{
  (void)ep, (void)r, (void)event;
}

bool observe_is_other(const relation *r, const turn *t)
{
  (void)r, (void)t;
  return false;
}

int copal_ep_observe_late(copal_ep *ep, copal_xref ref, copal_subject *subject)
{
  (void)ep, (void)ref, (void)subject;
  return COPAL_ENOSLOT;
}

void copal_ep_unobserve(copal_ep *ep, copal_xref ref)
{
  (void)ep, (void)ref;
}

void copal_ep_refuse(copal_ep *ep, const copal_path *path, copal_span token, copal_code code,
                     copal_time now)
{
  (void)ep, (void)path, (void)token, (void)code, (void)now;
}

void observe_hasten(observer *o, copal_time now)
{
  (void)o, (void)now;
}

int copal_ep_observe_restore(copal_ep *ep, copal_subject *s, const copal_relation *kept,
                             copal_time due, copal_time now)
{
  (void)ep, (void)s, (void)kept, (void)due, (void)now;
  return COPAL_ENOSLOT;
}
