/* SPDX-License-Identifier: Apache-2.0 */
/* Changes told in bursts. RFC 7641 sections 4.2 and 4.4. */
#include "core/proto/observe_burst.h"

void burst_init(copal_subject *s)
{
  s->untold = 0;
  copal_list_init(&s->telling);
}

/* So many observers, the first ones, have not been told of the last change. */
static void set_untold(copal_ep *ep, copal_subject *s, uint32_t untold)
{
  s->untold = untold;
  copal_list_remove(&s->telling);
  copal_list_init(&s->telling);
  if (untold > 0)
    copal_list_append(&ep->telling, &s->telling);
}

/* Whoever has gone may have been told or not; with too many left somebody is told twice. */
void burst_shrink(copal_ep *ep, copal_subject *s)
{
  if (s->untold > s->count)
    set_untold(ep, s, s->count);
}

/* Who has been told goes to the end of the list. With the last relation the subject may go. */
static void tell_some(copal_ep *ep, copal_subject *s, copal_time now)
{
  uint32_t count = s->untold < ep->cfg.notify_burst ? s->untold : ep->cfg.notify_burst;
  copal_node *anchor = &s->relations;
  set_untold(ep, s, s->untold - count);
  while (count-- > 0) {
    relation *r = COPAL_AROUND(anchor->next, relation, of_subject);
    copal_list_remove(&r->of_subject);
    copal_list_append(anchor, &r->of_subject);
    observe_tell_of_change(ep, r, now);
  }
}

void burst_begin(copal_ep *ep, copal_subject *s, copal_time now)
{
  s->untold = s->count;
  tell_some(ep, s, now);
}

/* Somebody may have been told of the change meanwhile, for another reason: what comes now is newer.
 */
void burst_go_on(copal_ep *ep, copal_time now)
{
  if (!burst_is_due(ep))
    return;
  copal_subject *s = COPAL_AROUND(ep->telling.next, copal_subject, telling);
  s->sequence = observe_next_sequence(ep, s->sequence, now);
  tell_some(ep, s, now);
}

bool burst_is_due(const copal_ep *ep)
{
  return !copal_list_is_empty(&ep->telling);
}
