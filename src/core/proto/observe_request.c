/* SPDX-License-Identifier: Apache-2.0 */
/* The Observe option of requests. RFC 7641 sections 2 and 4.1, and what becomes of them when
 * they come twice, RFC 7252 section 4.5. */
#include "core/proto/dedup.h"
#include "core/proto/observe.h"

enum {
  OBSERVE_REGISTER = 0, /* RFC 7641 section 2 */
  OBSERVE_DEREGISTER = 1,
  BEAT_SHIFT = 20, /* of relation.confirmed */
};

void observe_read(turn *t)
{
  copal_span value;
  uint32_t action;

  if (!copal_code_is_safe(t->msg->code) || !turn_find(t, COPAL_OPT_OBSERVE, &value) ||
      copal_opt_uint(value, &action))
    return;
  t->is_leaving = action == OBSERVE_DEREGISTER;
  t->wants_observe =
      action == OBSERVE_REGISTER && !(t->rules.has_block2 && t->rules.block2.num != 0);
}

void observe_cancel(copal_ep *ep, const turn *t)
{
  const relation *r = t->is_leaving ? observe_find(ep, t->path, t->msg->token) : NULL;
  if (!r)
    return;
  observe_spend(ep, r, t->now);
  observe_deregister(ep, t->path, t->msg->token);
}

/* A renewal is answered with an error, which ends the observation. The answer tells the client, who
 * waits for it; unless nobody may wait any more, for the request is a copy of one answered before,
 * or unless it may be lost. Of what this very answer began, as a success that could not be written,
 * nobody knows. */
static void answer_ends(copal_ep *ep, const turn *t, copal_code code)
{
  relation *r = observe_find(ep, t->path, t->msg->token);

  if (!r || !r->subject || t->is_spent)
    return;
  const bool is_copy = r->has_asked && r->asked == t->msg->mid;
  if (!t->rules.has_observe && (t->msg->type != COPAL_CON || is_copy))
    observe_refuse(ep, r, code);
  else
    observe_deregister(ep, t->path, t->msg->token);
}

void observe_settle(copal_ep *ep, turn *t, copal_code code, copal_time now)
{
  if (!t->subject)
    return;
  if (copal_code_class(code) != COPAL_CLASS_SUCCESS) {
    answer_ends(ep, t, code);
    t->rules.has_observe = false; /* of a success that could not be written */
    return;
  }
  t->rules.has_observe = observe_register(ep, t, now);
}

/* Non-confirmable requests are remembered in any case, and so are those that are kept from running
 * twice for another reason. */
void observe_spend(copal_ep *ep, const relation *r, copal_time now)
{
  const copal_path path = r->observer->path;
  const uint32_t age = (uint32_t)(now >> BEAT_SHIFT) - r->confirmed; /* or less than that */

  if (!r->has_asked || (copal_time)age << BEAT_SHIFT > ep->exchange_lifetime ||
      dedup_find(ep, &path, r->asked, now))
    return;
  dedup *d = dedup_remember(ep, &path, r->asked, ep->exchange_lifetime, now);
  if (d)
    d->state = DEDUP_SPENT;
}

void observe_note(copal_ep *ep, relation *r, const turn *t, copal_time now)
{
  if (t->is_spent || (r->has_asked && r->asked == t->msg->mid))
    return;
  observe_spend(ep, r, now);
  r->has_asked = t->msg->type == COPAL_CON;
  r->asked = t->msg->mid;
}

int copal_ep_observe(copal_ep *ep, copal_subject *subject)
{
  turn *t = ep->turn;
  if (!t || t->is_answered || t->is_deferred || !t->wants_observe)
    return COPAL_EINVAL;
  t->subject = subject;
  return COPAL_OK;
}
