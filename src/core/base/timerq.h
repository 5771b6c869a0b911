/* SPDX-License-Identifier: Apache-2.0 */
/* A hashed timer wheel: arming and cancelling are O(1), whatever the number of timers. A timer
 * fires not before its instant and less than one tick after it, given a prompt caller.
 *
 * timerq_list.c is the same for the few timers of a device: a sorted list without slots, whose tick
 * is a microsecond. */
#ifndef CORE_BASE_TIMERQ_H
#define CORE_BASE_TIMERQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/time.h"
#include "core/base/list.h"

typedef struct copal_timer {
  copal_node node; /* in a slot, or in the list of those that are due */
  copal_time due;  /* COPAL_NEVER when not armed */
} copal_timer;

typedef struct copal_timerq {
  copal_node *slots;  /* an array in the caller's memory */
  uint32_t *occupied; /* a bit for each slot, behind it */
  uint32_t mask;      /* slots - 1; their number is a power of two, at least 1 */
  unsigned shift;     /* a tick is 2^shift microseconds */
  copal_time cursor;  /* first tick not yet looked at */
  copal_node due;     /* timers whose tick has been passed */
  uint32_t count;     /* timers armed */
} copal_timerq;

/* Bytes of memory for a wheel of `slot_count` slots. */
size_t copal_timerq_size(uint32_t slot_count);

/* Makes a wheel in copal_timerq_size() bytes of memory, lent and aligned for any object. `tick` is
 * rounded up to a power of two microseconds. */
void copal_timerq_init(copal_timerq *q, void *mem, uint32_t slot_count, copal_dur tick,
                       copal_time now);

/* Width of a tick in microseconds. */
copal_dur copal_timerq_tick(const copal_timerq *q);

/* Must be called once before a timer is armed or cancelled. */
void copal_timer_init(copal_timer *t);

static inline bool copal_timer_is_armed(const copal_timer *t)
{
  return t->due != COPAL_NEVER;
}

/* Arms the timer, or moves it. COPAL_NEVER cancels it. */
void copal_timerq_arm(copal_timerq *q, copal_timer *t, copal_time due);
void copal_timerq_cancel(copal_timerq *q, copal_timer *t);

/* Takes one timer that is due at `now`, cancelled already; NULL when there is none. */
copal_timer *copal_timerq_pop(copal_timerq *q, copal_time now);

/* The earliest instant at which copal_timerq_pop() may find something; may be early, never late.
 * COPAL_NEVER when no timer is armed. */
copal_time copal_timerq_deadline(const copal_timerq *q);

#endif
