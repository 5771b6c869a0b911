/* SPDX-License-Identifier: Apache-2.0 */
/* Relations whose clients may no longer observe what they observe. RFC 7641 section 4.2. */
#include "core/proto/observe_burst.h"

static void judge(copal_ep *ep, relation *r)
{
  if (!r->subject) /* ends already */
    return;
  const copal_code why =
      ep->reviewer->judge(ep->reviewer, r->subject, &r->observer->path, r->request_code);
  if (why != 0)
    observe_refuse(ep, r, why);
}

static void review_observer(copal_ep *ep, observer *o, copal_time now)
{
  copal_node *next;
  for (copal_node *n = o->relations.next; n != &o->relations; n = next) {
    next = n->next;
    judge(ep, COPAL_AROUND(n, relation, of_observer));
  }
  observe_go_on(ep, o, now);
}

/* Asks about as many relations as are told of a change at once, but all of one observer. */
static void review_some(copal_ep *ep, copal_time now)
{
  for (uint32_t left = ep->cfg.notify_burst; left > 0;) {
    observer *o = copal_pool_at(&ep->observers, ep->reviewed++);
    if (!o) {
      ep->review = NULL;
      return;
    }
    const uint32_t weight = o->count > 0 ? o->count : 1;
    left -= weight < left ? weight : left;
    if (o->count > 0)
      review_observer(ep, o, now);
  }
}

static void review(copal_ep *ep, relation *r, copal_time now)
{
  if (r)
    judge(ep, r);
  else
    review_some(ep, now);
}

void copal_ep_review(copal_ep *ep, copal_reviewer *reviewer, copal_time now)
{
  ep->review = review;
  ep->reviewer = reviewer;
  ep->reviewed = 0;
  do
    review_some(ep, now);
  while (ep->review && !burst_is_due(ep));
}
