/* SPDX-License-Identifier: Apache-2.0 */
/* The Observe option of requests. RFC 7641 sections 2 and 4.1. */
#include "core/proto/observe.h"

enum {
  OBSERVE_REGISTER = 0, /* RFC 7641 section 2 */
  OBSERVE_DEREGISTER = 1,
  OBSERVE_MASK = 0xffffff, /* 24 bits */
};

void observe_read(copal_ep *ep, turn *t)
{
  copal_span value;
  uint32_t action;

  if (!copal_code_is_safe(t->msg->code) || !turn_find(t, COPAL_OPT_OBSERVE, &value) ||
      copal_opt_uint(value, &action))
    return;
  if (action == OBSERVE_DEREGISTER)
    observe_deregister(ep, t->path, t->msg->token);
  t->wants_observe =
      action == OBSERVE_REGISTER && !(t->rules.has_block2 && t->rules.block2.num != 0);
}

void observe_settle(copal_ep *ep, turn *t, copal_code code, copal_time now)
{
  if (!t->subject)
    return;
  if (copal_code_class(code) != COPAL_CLASS_SUCCESS) {
    observe_deregister(ep, t->path, t->msg->token);
    t->rules.has_observe = false; /* of a success that could not be written */
    return;
  }
  t->rules.has_observe = observe_register(ep, t, now);
  t->rules.observe = t->subject->sequence & OBSERVE_MASK;
}

int copal_ep_observe(copal_ep *ep, copal_subject *subject)
{
  turn *t = ep->turn;
  if (!t || t->is_answered || t->is_deferred || !t->wants_observe)
    return COPAL_EINVAL;
  t->subject = subject;
  return COPAL_OK;
}
