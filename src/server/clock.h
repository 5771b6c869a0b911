/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's clock, read once per batch and handed down as `now`. Thread: any. */
#ifndef SERVER_CLOCK_H
#define SERVER_CLOCK_H

#include <time.h>

#include "copal/time.h"

/* Microseconds since boot; never runs backwards. */
static inline copal_time clock_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (copal_time)ts.tv_sec * 1000000u + (copal_time)ts.tv_nsec / 1000u;
}

#endif
