/* SPDX-License-Identifier: Apache-2.0 */
/* How long a thread sleeps before its next deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "server/alarm_clock.h"
#include "server/clock.h"

enum { TOKEN = 77, PATIENCE_MS = 60000 };

typedef struct bed {
  int epoll;
  alarm_clock alarm;
} bed;

static int setup(void **state)
{
  static bed b;
  b.epoll = epoll_create1(EPOLL_CLOEXEC);
  assert_true(b.epoll >= 0);
  assert_int_equal(alarm_open(&b.alarm, b.epoll, TOKEN), 0);
  *state = &b;
  return 0;
}

static int teardown(void **state)
{
  bed *b = *state;
  alarm_close(&b->alarm);
  close(b->epoll);
  return 0;
}

/* Sleeps until the alarm rings; false when it does not within `ms`. */
static bool has_rung(bed *b, int ms)
{
  struct epoll_event ev;
  const int n = epoll_wait(b->epoll, &ev, 1, ms);
  if (n == 1)
    assert_int_equal(ev.data.u32, TOKEN);
  return n == 1;
}

static void alarm_leaves_near_deadlines_to_epoll(void **state)
{
  bed *b = *state;
  const copal_time now = clock_now();
  assert_int_equal(alarm_wait_ms(&b->alarm, now, now), 0);
  assert_int_equal(alarm_wait_ms(&b->alarm, now - 1, now), 0);
  assert_int_equal(alarm_wait_ms(&b->alarm, now + 1, now), 1);
  assert_int_equal(alarm_wait_ms(&b->alarm, now + 1000, now), 1);
  assert_int_equal(alarm_wait_ms(&b->alarm, now + 1001, now), 2);
  assert_true(b->alarm.rings == COPAL_NEVER);
}

static void alarm_without_deadline_sleeps_for_ever(void **state)
{
  bed *b = *state;
  assert_int_equal(alarm_wait_ms(&b->alarm, COPAL_NEVER, clock_now()), -1);
  assert_true(b->alarm.rings == COPAL_NEVER);
}

static void alarm_rings_when_a_far_deadline_has_come_and_once(void **state)
{
  bed *b = *state;
  const copal_time now = clock_now(), deadline = now + 150000;
  assert_int_equal(alarm_wait_ms(&b->alarm, deadline, now), -1);
  assert_true(has_rung(b, PATIENCE_MS));
  assert_true(clock_now() >= deadline);
  alarm_rung(&b->alarm);
  assert_false(has_rung(b, 0));
}

static void alarm_stays_set_while_deadlines_move_away(void **state)
{
  bed *b = *state;
  const copal_time now = clock_now();
  assert_int_equal(alarm_wait_ms(&b->alarm, now + 200000, now), -1);
  assert_int_equal(alarm_wait_ms(&b->alarm, now + 300 * (copal_time)COPAL_SECOND, now), -1);
  assert_true(b->alarm.rings == now + 200000);
  assert_true(has_rung(b, PATIENCE_MS));
}

static void alarm_rings_for_a_deadline_that_comes_nearer(void **state)
{
  bed *b = *state;
  const copal_time now = clock_now();
  assert_int_equal(alarm_wait_ms(&b->alarm, now + 300 * (copal_time)COPAL_SECOND, now), -1);
  assert_int_equal(alarm_wait_ms(&b->alarm, now + 120000, now), -1);
  assert_true(has_rung(b, PATIENCE_MS));
  assert_true(clock_now() >= now + 120000);
}

/* It has rung, nobody was told, and what it rang for is over: it is set for what comes then. */
static void alarm_that_nobody_heard_does_not_hold_up_the_next(void **state)
{
  bed *b = *state;
  copal_time now = clock_now();
  assert_int_equal(alarm_wait_ms(&b->alarm, now + 100000, now), -1);
  while (clock_now() < now + 110000)
    usleep(10000);
  now = clock_now();
  assert_int_equal(alarm_wait_ms(&b->alarm, now + 200000, now), -1);
  assert_true(has_rung(b, PATIENCE_MS)); /* the old one */
  alarm_rung(&b->alarm);
  assert_int_equal(alarm_wait_ms(&b->alarm, now + 60 * (copal_time)COPAL_SECOND, now), -1);
  assert_true(b->alarm.rings == now + 60 * (copal_time)COPAL_SECOND);
}

static void alarm_waits_by_epoll_when_it_cannot_be_set(void **state)
{
  (void)state;
  alarm_clock a = {.fd = -1, .rings = COPAL_NEVER};
  const copal_time now = clock_now();
  assert_int_equal(alarm_wait_ms(&a, now + 5 * (copal_time)COPAL_SECOND, now), 5000);
  assert_int_equal(alarm_wait_ms(&a, now + ((copal_time)INT32_MAX + 1) * 1000, now), INT32_MAX);
  alarm_close(&a);
}

static void alarm_open_fails_without_epoll(void **state)
{
  (void)state;
  alarm_clock a;
  assert_true(alarm_open(&a, -1, TOKEN) < 0);
  assert_int_equal(a.fd, -1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(alarm_leaves_near_deadlines_to_epoll, setup, teardown),
      cmocka_unit_test_setup_teardown(alarm_without_deadline_sleeps_for_ever, setup, teardown),
      cmocka_unit_test_setup_teardown(alarm_rings_when_a_far_deadline_has_come_and_once, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(alarm_stays_set_while_deadlines_move_away, setup, teardown),
      cmocka_unit_test_setup_teardown(alarm_rings_for_a_deadline_that_comes_nearer, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(alarm_that_nobody_heard_does_not_hold_up_the_next, setup,
                                      teardown),
      cmocka_unit_test(alarm_waits_by_epoll_when_it_cannot_be_set),
      cmocka_unit_test(alarm_open_fails_without_epoll),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
