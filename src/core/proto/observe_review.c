/* SPDX-License-Identifier: Apache-2.0 */
/* Relations whose clients may no longer observe what they observe. RFC 7641 section 4.2. */
#include "core/proto/observe.h"

static void review_observer(copal_ep *ep, observer *o, copal_reviewer *reviewer, copal_time now)
{
  copal_node *next;
  for (copal_node *n = o->relations.next; n != &o->relations; n = next) {
    relation *r = COPAL_AROUND(n, relation, of_observer);
    next = n->next;
    if (!r->subject) /* ends already */
      continue;
    const copal_code why = reviewer->judge(reviewer, r->subject, &o->path, r->request_code);
    if (why != 0)
      observe_refuse(ep, r, why);
  }
  observe_go_on(ep, o, now);
}

void copal_ep_review(copal_ep *ep, copal_reviewer *reviewer, copal_time now)
{
  observer *o;
  for (uint32_t i = 0; (o = copal_pool_at(&ep->observers, i)); i++)
    if (o->count > 0)
      review_observer(ep, o, reviewer, now);
}
