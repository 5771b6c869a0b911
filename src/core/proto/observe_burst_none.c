/* SPDX-License-Identifier: Apache-2.0 */
/* Changes told to all observers, and their rights reviewed, in one go, where they are few. RFC 7641
 * section 4.2. */
#include "core/proto/observe_burst.h"

void burst_init(copal_subject *s)
{
  (void)s;
}

void burst_shrink(copal_ep *ep, copal_subject *s)
{
  (void)ep, (void)s;
}

void burst_begin(copal_ep *ep, copal_subject *s, copal_time now)
{
  copal_node *next;
  for (copal_node *n = s->relations.next; n != &s->relations; n = next) {
    next = n->next;
    observe_tell_of_change(ep, COPAL_AROUND(n, relation, of_subject), now);
  }
}

void burst_judge(copal_ep *ep, relation *r, copal_time now)
{
  (void)ep, (void)r, (void)now;
}

void burst_go_on(copal_ep *ep, copal_time now)
{
  (void)ep, (void)now;
}

bool burst_is_due(const copal_ep *ep)
{
  (void)ep;
  return false;
}
