/* SPDX-License-Identifier: Apache-2.0 */
/* The timers of services: a crowd that is due at one instant runs some at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "copal/error.h"
#include "server/timers.h"
#include "store/memory/memory.h"

enum { CROWD = 1000, AT_ONCE = 256 };

static uint32_t ran;

static void on_due(service_timer *t, copal_time now)
{
  (void)now;
  assert_false(copal_timer_is_armed(&t->timer));
  ran++;
}

static void a_crowd_runs_some_at_a_time_and_all_of_it(void **state)
{
  static service_timer crowd[CROWD];
  store *memory = memory_store_open(NULL);
  store_port *port;
  timers *t = timers_open(0);
  (void)state;
  assert_non_null(memory);
  assert_non_null(t);
  assert_int_equal(store_port_open(memory, NULL, &port), COPAL_OK);
  for (int i = 0; i < CROWD; i++) {
    crowd[i].on_due = on_due;
    copal_timer_init(&crowd[i].timer);
    copal_timerq_arm(timers_queue(t), &crowd[i].timer, COPAL_SECOND);
  }
  timers_run(t, port, COPAL_SECOND / 2);
  assert_int_equal(ran, 0);
  for (uint32_t before = 0; ran < CROWD; before = ran) {
    assert_true(timers_deadline(t) <= 2 * COPAL_SECOND);
    timers_run(t, port, 2 * COPAL_SECOND);
    assert_true(ran > before && ran - before <= AT_ONCE);
  }
  timers_run(t, port, 2 * COPAL_SECOND);
  assert_int_equal(timers_deadline(t), COPAL_NEVER);
  store_port_close(port);
  timers_close(t);
  store_close(memory);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_crowd_runs_some_at_a_time_and_all_of_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
