/* SPDX-License-Identifier: Apache-2.0 */
/* Changes told, and rights reviewed, in bursts. RFC 7641 sections 4.2 and 4.4. */
#include "core/proto/observe_burst.h"

#include "core/proto/mid.h"

enum { AHEAD = 32 }; /* relations that are looked at before they are told */

static uint32_t least(uint32_t a, uint32_t b)
{
  return a < b ? a : b;
}

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

/* Brings what telling the first `count` relations touches into the caches, from where sending the
 * notifications before these has driven it. */
static void foresee(const copal_ep *ep, const copal_subject *s, uint32_t count)
{
  for (const copal_node *n = s->relations.next; count > 0; count--, n = n->next)
    mid_foresee(ep, COPAL_AROUND(n, relation, of_subject)->observer->link.hash);
}

/* Tells `count` of those who have not been told. Who has been goes to the end of the list. With the
 * last relation the subject may go. */
static void tell_some(copal_ep *ep, copal_subject *s, uint32_t count, copal_time now)
{
  copal_node *anchor = &s->relations;
  set_untold(ep, s, s->untold - count);
  for (uint32_t i = 0; i < count; i++) {
    if (i % AHEAD == 0)
      foresee(ep, s, least(count - i, AHEAD));
    relation *r = COPAL_AROUND(anchor->next, relation, of_subject);
    copal_list_remove(&r->of_subject);
    copal_list_append(anchor, &r->of_subject);
    observe_tell_of_change(ep, r, now);
  }
}

void burst_begin(copal_ep *ep, copal_subject *s, copal_time now)
{
  s->untold = s->count;
  s->told = s->sequence;
  tell_some(ep, s, least(s->untold, ep->cfg.notify_burst), now);
}

/* A number that has been used since the last burst may be that of somebody who is told now: for him
 * this is newer. Else the number stays, so that a retransmission is one of the same message. */
static void renumber(copal_ep *ep, copal_subject *s, copal_time now)
{
  if (s->sequence != s->told)
    s->sequence = observe_next_sequence(ep, s->sequence, now);
  s->told = s->sequence;
}

static bool has_untold(const copal_ep *ep)
{
  return !copal_list_is_empty(&ep->telling);
}

void burst_judge(copal_ep *ep, relation *r, copal_time now)
{
  if (ep->review)
    ep->review(ep, r, now);
}

void burst_go_on(copal_ep *ep, copal_time now)
{
  burst_judge(ep, NULL, now);
  for (uint32_t left = ep->cfg.notify_burst; left > 0 && has_untold(ep);) {
    copal_subject *s = COPAL_AROUND(ep->telling.next, copal_subject, telling);
    const uint32_t count = least(s->untold, left);
    left -= count;
    renumber(ep, s, now);
    tell_some(ep, s, count, now);
  }
}

bool burst_is_due(const copal_ep *ep)
{
  return has_untold(ep) || ep->review;
}
