/* SPDX-License-Identifier: Apache-2.0 */
/* The timers that services set on a shard. Thread: the shard's only. */
#include "server/timers.h"

#include <stdlib.h>

enum {
  SLOTS = 4096,   /* a turn of the wheel is about a minute */
  TICK = 1 << 14, /* 16 ms: services count in tenths of seconds */
  RUN_MAX = 256,  /* timers that run in one go: each may tell an observer */
};

struct timers {
  copal_timerq queue;
  void *wheel;
};

timers *timers_open(copal_time now)
{
  timers *t = malloc(sizeof *t);
  void *wheel = malloc(copal_timerq_size(SLOTS));
  if (t == NULL || wheel == NULL) {
    free(wheel);
    free(t);
    return NULL;
  }
  t->wheel = wheel;
  copal_timerq_init(&t->queue, wheel, SLOTS, TICK, now);
  return t;
}

void timers_close(timers *t)
{
  if (t == NULL)
    return;
  free(t->wheel);
  free(t);
}

copal_timerq *timers_queue(timers *t)
{
  return &t->queue;
}

copal_time timers_deadline(const timers *t)
{
  return copal_timerq_deadline(&t->queue);
}

void timers_run(timers *t, store_port *port, copal_time now)
{
  if (timers_deadline(t) > now)
    return;
  store_view_renew(port);
  copal_timer *due;
  for (int i = 0; i < RUN_MAX && (due = copal_timerq_pop(&t->queue, now)) != NULL; i++) {
    service_timer *timer = (service_timer *)due; /* its first member */
    timer->on_due(timer, now);
  }
}
