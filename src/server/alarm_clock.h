/* SPDX-License-Identifier: Apache-2.0 */
/* How long a thread sleeps before its next deadline. A deadline that is far off is left to a timer
 * that stays set from one sleep to the next: a timeout would be set and taken back by the kernel
 * for every message that comes alone. Thread: the owner's only. */
#ifndef SERVER_ALARM_CLOCK_H
#define SERVER_ALARM_CLOCK_H

#include "copal/time.h"

typedef struct alarm_clock {
  int fd;           /* to be slept on; readable when it rings */
  copal_time rings; /* when it does; COPAL_NEVER: it does not */
} alarm_clock;

/* Makes one. Returns 0 or -errno. */
int alarm_open(alarm_clock *a);

/* Safe on one that could not be opened, whose `fd` is -1. */
void alarm_close(alarm_clock *a);

/* Milliseconds to sleep, rounded up so that `deadline` has come when they are over; -1 for ever, or
 * until the alarm rings, which it does at `deadline` or earlier, but not much more than once in a
 * tenth of a second without need. Both instants are those of clock_now(). */
int alarm_wait_ms(alarm_clock *a, copal_time deadline, copal_time now);

/* It has ended a sleep. */
void alarm_rung(alarm_clock *a);

#endif
