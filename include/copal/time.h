/* SPDX-License-Identifier: Apache-2.0 */
/* Time as libcopal sees it: instants and durations handed in by the caller, never read from a
 * clock. */
#ifndef COPAL_TIME_H
#define COPAL_TIME_H

#include <stdint.h>

/* An instant: microseconds since an epoch of the caller's choice; never runs backwards. */
typedef uint64_t copal_time;

/* A duration in microseconds; 32 bits hold 71 minutes, enough for every span of RFC 7252
 * section 4.8.2. */
typedef uint32_t copal_dur;

/* The instant that never comes: "no timer". */
#define COPAL_NEVER UINT64_MAX

#define COPAL_MILLISECOND ((copal_dur)1000)
#define COPAL_SECOND      ((copal_dur)1000000)

#endif
