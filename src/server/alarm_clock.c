/* SPDX-License-Identifier: Apache-2.0 */
/* How long a thread sleeps before its next deadline. Thread: the owner's only. */
#include "server/alarm_clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "server/clock.h"

enum { NEAR_MS = 100 }; /* up to here it is a timeout */

int alarm_open(alarm_clock *a)
{
  *a = (alarm_clock){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
                     .rings = COPAL_NEVER};
  return a->fd < 0 ? -errno : 0;
}

void alarm_close(alarm_clock *a)
{
  if (a->fd >= 0)
    close(a->fd);
  a->fd = -1;
}

/* To the instant, not to what is left of the time until then: who sleeps may have looked at the
 * clock a while ago. */
static bool set(alarm_clock *a, copal_time deadline)
{
  const uint64_t since_boot = deadline - CLOCK_AT_BOOT;
  const struct itimerspec at = {.it_value = {.tv_sec = (time_t)(since_boot / COPAL_SECOND),
                                             .tv_nsec = (long)(since_boot % COPAL_SECOND) * 1000}};
  const bool is_set = timerfd_settime(a->fd, TFD_TIMER_ABSTIME, &at, NULL) == 0;
  a->rings = is_set ? deadline : COPAL_NEVER;
  return is_set;
}

int alarm_wait_ms(alarm_clock *a, copal_time deadline, copal_time now)
{
  if (deadline == COPAL_NEVER)
    return -1;
  if (deadline <= now)
    return 0;
  const uint64_t ms = (deadline - now + 999) / 1000;
  const int wait = ms > INT32_MAX ? INT32_MAX : (int)ms;
  if (wait < NEAR_MS)
    return wait;
  if (a->rings <= deadline || set(a, deadline))
    return -1;
  return wait;
}

void alarm_rung(alarm_clock *a)
{
  uint64_t count;
  const ssize_t n = read(a->fd, &count, sizeof count);
  (void)n; /* nothing there is as good */
  a->rings = COPAL_NEVER;
}
