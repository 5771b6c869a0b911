/* SPDX-License-Identifier: Apache-2.0 */
/* Timers in a list sorted by their instants: what timerq.c is on a device with a few of them.
 * Arming walks over those that are due earlier. */
#include "core/base/timerq.h"

size_t copal_timerq_size(uint32_t slot_count)
{
  (void)slot_count;
  return 0;
}

void copal_timerq_init(copal_timerq *q, void *mem, uint32_t slot_count, copal_dur tick,
                       copal_time now)
{
  (void)mem, (void)slot_count, (void)tick, (void)now;
  *q = (copal_timerq){0};
  copal_list_init(&q->due);
}

copal_dur copal_timerq_tick(const copal_timerq *q)
{
  (void)q;
  return 1;
}

void copal_timer_init(copal_timer *t)
{
  t->due = COPAL_NEVER;
}

void copal_timerq_cancel(copal_timerq *q, copal_timer *t)
{
  (void)q;
  if (!copal_timer_is_armed(t))
    return;
  copal_list_remove(&t->node);
  t->due = COPAL_NEVER;
}

static const copal_timer *timer_of(const copal_node *n)
{
  return COPAL_AROUND(n, const copal_timer, node);
}

void copal_timerq_arm(copal_timerq *q, copal_timer *t, copal_time due)
{
  copal_node *n;

  copal_timerq_cancel(q, t);
  if (due == COPAL_NEVER)
    return;
  t->due = due;
  for (n = q->due.next; n != &q->due && timer_of(n)->due <= due; n = n->next)
    ;
  copal_list_append(n, &t->node); /* before the first that is due later */
}

copal_time copal_timerq_deadline(const copal_timerq *q)
{
  return copal_list_is_empty(&q->due) ? COPAL_NEVER : timer_of(q->due.next)->due;
}

copal_timer *copal_timerq_pop(copal_timerq *q, copal_time now)
{
  if (copal_list_is_empty(&q->due) || copal_timerq_deadline(q) > now)
    return NULL;
  copal_timer *t = COPAL_AROUND(q->due.next, copal_timer, node);
  copal_timerq_cancel(q, t);
  return t;
}
