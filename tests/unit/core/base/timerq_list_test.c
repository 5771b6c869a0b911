/* SPDX-License-Identifier: Apache-2.0 */
/* The timers of a device: a sorted list that fires at the instant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/timerq.h"

enum { TIMERS = 64 };

static void make(copal_timerq *q)
{
  copal_timerq_init(q, NULL, 64, COPAL_MILLISECOND, 0);
}

static void needs_no_memory_of_its_own(void **state)
{
  (void)state;
  assert_int_equal(copal_timerq_size(1), 0);
  assert_int_equal(copal_timerq_size(1024), 0);
}

static void an_empty_list_has_no_deadline(void **state)
{
  copal_timerq q;
  (void)state;
  make(&q);
  assert_int_equal(copal_timerq_deadline(&q), COPAL_NEVER);
  assert_null(copal_timerq_pop(&q, COPAL_NEVER - 1));
}

static void fires_at_its_instant_not_before(void **state)
{
  copal_timerq q;
  copal_timer t;
  (void)state;
  make(&q);
  copal_timer_init(&t);
  copal_timerq_arm(&q, &t, 5000);
  assert_int_equal(copal_timerq_deadline(&q), 5000);
  assert_null(copal_timerq_pop(&q, 4999));
  assert_ptr_equal(copal_timerq_pop(&q, 5000), &t);
  assert_false(copal_timer_is_armed(&t));
  assert_null(copal_timerq_pop(&q, 5000));
}

static void pops_in_the_order_of_instants_and_of_arming(void **state)
{
  copal_timerq q;
  copal_timer t[TIMERS];
  copal_time last = 0;
  (void)state;
  make(&q);
  for (uint32_t i = 0; i < TIMERS; i++) {
    copal_timer_init(&t[i]);
    copal_timerq_arm(&q, &t[i], i * 37 % TIMERS / 2); /* each instant twice */
  }
  for (uint32_t i = 0; i < TIMERS; i++) {
    const copal_time due = copal_timerq_deadline(&q);
    const copal_timer *popped = copal_timerq_pop(&q, TIMERS);
    assert_non_null(popped);
    assert_true(due >= last);
    last = due;
  }
  assert_null(copal_timerq_pop(&q, TIMERS));
}

static void arming_again_moves_and_never_cancels(void **state)
{
  copal_timerq q;
  copal_timer t;
  (void)state;
  make(&q);
  copal_timer_init(&t);
  copal_timerq_cancel(&q, &t); /* not armed: nothing happens */
  copal_timerq_arm(&q, &t, 10);
  copal_timerq_arm(&q, &t, 20);
  assert_int_equal(copal_timerq_deadline(&q), 20);
  copal_timerq_arm(&q, &t, COPAL_NEVER);
  assert_false(copal_timer_is_armed(&t));
  assert_int_equal(copal_timerq_deadline(&q), COPAL_NEVER);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(needs_no_memory_of_its_own),
      cmocka_unit_test(an_empty_list_has_no_deadline),
      cmocka_unit_test(fires_at_its_instant_not_before),
      cmocka_unit_test(pops_in_the_order_of_instants_and_of_arming),
      cmocka_unit_test(arming_again_moves_and_never_cancels),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
