/* SPDX-License-Identifier: Apache-2.0 */
/* How long a thread sleeps before its next deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include "server/alarm_clock.h"
#include "server/clock.h"

enum { PATIENCE_MS = 60000 };

static int setup(void **state)
{
  static alarm_clock a;
  assert_int_equal(alarm_open(&a), 0);
  *state = &a;
  return 0;
}

static int teardown(void **state)
{
  alarm_close(*state);
  return 0;
}

/* Sleeps until the alarm rings; false when it does not within `ms`. */
static bool has_rung(const alarm_clock *a, int ms)
{
  struct pollfd p = {.fd = a->fd, .events = POLLIN};
  return poll(&p, 1, ms) == 1;
}

static void alarm_makes_near_deadlines_a_timeout(void **state)
{
  alarm_clock *a = *state;
  const copal_time now = clock_now();
  assert_int_equal(alarm_wait_ms(a, now, now), 0);
  assert_int_equal(alarm_wait_ms(a, now - 1, now), 0);
  assert_int_equal(alarm_wait_ms(a, now + 1, now), 1);
  assert_int_equal(alarm_wait_ms(a, now + 1000, now), 1);
  assert_int_equal(alarm_wait_ms(a, now + 1001, now), 2);
  assert_true(a->rings == COPAL_NEVER);
}

static void alarm_without_deadline_sleeps_for_ever(void **state)
{
  alarm_clock *a = *state;
  assert_int_equal(alarm_wait_ms(a, COPAL_NEVER, clock_now()), -1);
  assert_true(a->rings == COPAL_NEVER);
}

static void alarm_rings_when_a_far_deadline_has_come_and_once(void **state)
{
  alarm_clock *a = *state;
  const copal_time now = clock_now(), deadline = now + 150000;
  assert_int_equal(alarm_wait_ms(a, deadline, now), -1);
  assert_true(has_rung(a, PATIENCE_MS));
  assert_true(clock_now() >= deadline);
  alarm_rung(a);
  assert_false(has_rung(a, 0));
}

static void alarm_stays_set_while_deadlines_move_away(void **state)
{
  alarm_clock *a = *state;
  const copal_time now = clock_now();
  assert_int_equal(alarm_wait_ms(a, now + 200000, now), -1);
  assert_int_equal(alarm_wait_ms(a, now + 300 * (copal_time)COPAL_SECOND, now), -1);
  assert_true(a->rings == now + 200000);
  assert_true(has_rung(a, PATIENCE_MS));
}

static void alarm_rings_for_a_deadline_that_comes_nearer(void **state)
{
  alarm_clock *a = *state;
  const copal_time now = clock_now();
  assert_int_equal(alarm_wait_ms(a, now + 300 * (copal_time)COPAL_SECOND, now), -1);
  assert_int_equal(alarm_wait_ms(a, now + 120000, now), -1);
  assert_true(has_rung(a, PATIENCE_MS));
  assert_true(clock_now() >= now + 120000);
}

/* The present instant is what the thread takes for it: the time may be up sooner. */
static void alarm_rings_in_time_for_who_has_not_looked_at_the_clock(void **state)
{
  alarm_clock *a = *state;
  const copal_time deadline = clock_now() + 150000;
  const copal_time long_ago = deadline - 3600 * (copal_time)COPAL_SECOND;
  assert_int_equal(alarm_wait_ms(a, deadline, long_ago), -1);
  assert_true(has_rung(a, PATIENCE_MS));
  assert_true(clock_now() >= deadline);
}

/* It has rung, nobody was told, and what it rang for is over: it is set for what comes then. */
static void alarm_that_nobody_heard_does_not_hold_up_the_next(void **state)
{
  alarm_clock *a = *state;
  copal_time now = clock_now();
  assert_int_equal(alarm_wait_ms(a, now + 100000, now), -1);
  while (clock_now() < now + 110000)
    usleep(10000);
  now = clock_now();
  assert_int_equal(alarm_wait_ms(a, now + 200000, now), -1);
  assert_true(has_rung(a, PATIENCE_MS)); /* the old one */
  alarm_rung(a);
  assert_int_equal(alarm_wait_ms(a, now + 60 * (copal_time)COPAL_SECOND, now), -1);
  assert_true(a->rings == now + 60 * (copal_time)COPAL_SECOND);
}

static void alarm_gives_a_timeout_when_it_cannot_be_set(void **state)
{
  (void)state;
  alarm_clock a = {.fd = -1, .rings = COPAL_NEVER};
  const copal_time now = clock_now();
  assert_int_equal(alarm_wait_ms(&a, now + 5 * (copal_time)COPAL_SECOND, now), 5000);
  assert_int_equal(alarm_wait_ms(&a, now + ((copal_time)INT32_MAX + 1) * 1000, now), INT32_MAX);
  alarm_close(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(alarm_makes_near_deadlines_a_timeout, setup, teardown),
      cmocka_unit_test_setup_teardown(alarm_without_deadline_sleeps_for_ever, setup, teardown),
      cmocka_unit_test_setup_teardown(alarm_rings_when_a_far_deadline_has_come_and_once, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(alarm_stays_set_while_deadlines_move_away, setup, teardown),
      cmocka_unit_test_setup_teardown(alarm_rings_for_a_deadline_that_comes_nearer, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(alarm_rings_in_time_for_who_has_not_looked_at_the_clock,
                                      setup, teardown),
      cmocka_unit_test_setup_teardown(alarm_that_nobody_heard_does_not_hold_up_the_next, setup,
                                      teardown),
      cmocka_unit_test(alarm_gives_a_timeout_when_it_cannot_be_set),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
