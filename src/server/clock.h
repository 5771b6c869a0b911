/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's clock, read once per batch and handed down as `now`. Thread: any. */
#ifndef SERVER_CLOCK_H
#define SERVER_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "copal/time.h"

/* What the clock shows when the system boots: some 71 years, so that instants before that, which
 * the durable store knows of, have a place on it. */
#define CLOCK_AT_BOOT (UINT64_C(1) << 51)

/* Microseconds since boot, and CLOCK_AT_BOOT; never runs backwards. */
static inline copal_time clock_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return CLOCK_AT_BOOT + (copal_time)ts.tv_sec * 1000000u + (copal_time)ts.tv_nsec / 1000u;
}

/* What leads from clock_now() to the wall clock, in ticks of 32 us, modulo 2^32: the sequence
 * numbers of notifications go on where those of the process before ended. To be asked once, so that
 * a wall clock that is set meanwhile changes nothing. RFC 7641 section 4.4. */
static inline uint32_t clock_sequence_base(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  const copal_time wall = (copal_time)ts.tv_sec * 1000000u + (copal_time)ts.tv_nsec / 1000u;
  return (uint32_t)(wall >> 5) - (uint32_t)(clock_now() >> 5);
}

#endif
