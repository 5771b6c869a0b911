/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel: never early, less than a tick late, whatever the turn of the wheel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/timerq.h"

enum { SLOTS_MAX = 64, TICK = 1024, TIMERS = 200 };

typedef struct wheel {
  copal_timerq q;
  copal_node mem[SLOTS_MAX + 1]; /* slots and, in the last, their bit map */
} wheel;

static void make(wheel *w, uint32_t slots, copal_dur tick, copal_time now)
{
  memset(w, 0xa5, sizeof *w);
  copal_timerq_init(&w->q, w->mem, slots, tick, now);
}

static void tick_is_rounded_up_to_a_power_of_two(void **state)
{
  wheel w;
  (void)state;
  make(&w, 8, 1000, 0);
  assert_int_equal(copal_timerq_tick(&w.q), 1024);
  make(&w, 8, 1024, 0);
  assert_int_equal(copal_timerq_tick(&w.q), 1024);
  make(&w, 8, 1, 0);
  assert_int_equal(copal_timerq_tick(&w.q), 1);
}

static void memory_holds_the_slots_and_a_bit_for_each(void **state)
{
  (void)state;
  assert_int_equal(copal_timerq_size(1), sizeof(copal_node) + 4);
  assert_int_equal(copal_timerq_size(32), 32 * sizeof(copal_node) + 4);
  assert_int_equal(copal_timerq_size(64), 64 * sizeof(copal_node) + 8);
  assert_true(copal_timerq_size(SLOTS_MAX) <= sizeof(((wheel *)0)->mem));
}

/* A large wheel costs a start nothing, and pages of it that are never used no memory. */
static void a_slot_is_not_written_to_before_its_first_timer(void **state)
{
  wheel w;
  copal_node untouched[SLOTS_MAX];
  copal_timer t;
  (void)state;
  memset(untouched, 0xa5, sizeof untouched);
  make(&w, SLOTS_MAX, TICK, 0);
  assert_memory_equal(w.mem, untouched, sizeof untouched);
  copal_timer_init(&t);
  for (copal_time due = 3 * TICK; due <= (3 + SLOTS_MAX) * TICK; due += SLOTS_MAX * TICK) {
    copal_timerq_arm(&w.q, &t, due);
    assert_memory_not_equal(&w.mem[3], &untouched[3], sizeof *untouched);
    assert_memory_equal(w.mem, untouched, 3 * sizeof *untouched);
    assert_memory_equal(&w.mem[4], &untouched[4], (SLOTS_MAX - 4) * sizeof *untouched);
    assert_ptr_equal(copal_timerq_pop(&w.q, due), &t);
    memset(&w.mem[3], 0xa5, sizeof w.mem[3]); /* the wheel has passed it: it is made again */
  }
}

static void an_empty_wheel_has_no_deadline(void **state)
{
  wheel w;
  (void)state;
  make(&w, 8, TICK, 5000);
  assert_int_equal(copal_timerq_deadline(&w.q), COPAL_NEVER);
  assert_null(copal_timerq_pop(&w.q, 1000000));
}

static void fires_at_the_first_tick_not_before_its_instant(void **state)
{
  wheel w;
  copal_timer t;
  (void)state;
  make(&w, 8, TICK, 0);
  copal_timer_init(&t);
  assert_false(copal_timer_is_armed(&t));
  copal_timerq_arm(&w.q, &t, 3 * TICK + 1);
  assert_true(copal_timer_is_armed(&t));
  assert_int_equal(copal_timerq_deadline(&w.q), 4 * TICK);
  assert_null(copal_timerq_pop(&w.q, 4 * TICK - 1));
  assert_ptr_equal(copal_timerq_pop(&w.q, 4 * TICK), &t);
  assert_false(copal_timer_is_armed(&t));
  assert_null(copal_timerq_pop(&w.q, 100 * TICK));
  assert_int_equal(w.q.count, 0);
}

static void a_timer_of_a_later_turn_waits_for_it(void **state)
{
  wheel w;
  copal_timer t;
  (void)state;
  make(&w, 8, TICK, 0);
  copal_timer_init(&t);
  copal_timerq_arm(&w.q, &t, 21 * TICK); /* third turn, slot 5 */
  assert_null(copal_timerq_pop(&w.q, 5 * TICK));
  assert_null(copal_timerq_pop(&w.q, 13 * TICK));
  assert_true(copal_timerq_deadline(&w.q) <= 21 * TICK);
  assert_null(copal_timerq_pop(&w.q, 21 * TICK - 1));
  assert_ptr_equal(copal_timerq_pop(&w.q, 21 * TICK), &t);
}

static void arming_in_the_past_fires_at_once(void **state)
{
  wheel w;
  copal_timer t;
  (void)state;
  make(&w, 8, TICK, 100 * TICK);
  assert_null(copal_timerq_pop(&w.q, 100 * TICK));
  copal_timer_init(&t);
  copal_timerq_arm(&w.q, &t, 1);
  assert_true(copal_timerq_deadline(&w.q) <= 101 * TICK);
  assert_ptr_equal(copal_timerq_pop(&w.q, 101 * TICK), &t);
}

static void cancel_and_move(void **state)
{
  wheel w;
  copal_timer t, u;
  (void)state;
  make(&w, 8, TICK, 0);
  copal_timer_init(&t);
  copal_timer_init(&u);
  copal_timerq_cancel(&w.q, &t); /* not armed: nothing happens */
  copal_timerq_arm(&w.q, &t, 2 * TICK);
  copal_timerq_arm(&w.q, &u, 2 * TICK);
  copal_timerq_arm(&w.q, &t, 6 * TICK);
  assert_int_equal(w.q.count, 2);
  assert_ptr_equal(copal_timerq_pop(&w.q, 2 * TICK), &u);
  assert_null(copal_timerq_pop(&w.q, 5 * TICK));
  copal_timerq_arm(&w.q, &t, COPAL_NEVER);
  assert_false(copal_timer_is_armed(&t));
  assert_int_equal(w.q.count, 0);
  assert_null(copal_timerq_pop(&w.q, 100 * TICK));
}

static void a_timer_that_is_due_may_be_cancelled_or_moved(void **state)
{
  wheel w;
  copal_timer t[3];
  (void)state;
  make(&w, 8, TICK, 0);
  for (int i = 0; i < 3; i++) {
    copal_timer_init(&t[i]);
    copal_timerq_arm(&w.q, &t[i], TICK);
  }
  assert_ptr_equal(copal_timerq_pop(&w.q, TICK), &t[0]);
  assert_int_equal(copal_timerq_deadline(&w.q), 0); /* the others are due */
  copal_timerq_cancel(&w.q, &t[1]);
  copal_timerq_arm(&w.q, &t[2], 4 * TICK);
  assert_null(copal_timerq_pop(&w.q, 3 * TICK));
  assert_ptr_equal(copal_timerq_pop(&w.q, 4 * TICK), &t[2]);
}

static void one_slot_is_enough(void **state)
{
  wheel w;
  copal_timer t, u;
  (void)state;
  make(&w, 1, TICK, 0);
  copal_timer_init(&t);
  copal_timer_init(&u);
  copal_timerq_arm(&w.q, &t, 9 * TICK);
  copal_timerq_arm(&w.q, &u, 3 * TICK);
  assert_ptr_equal(copal_timerq_pop(&w.q, 8 * TICK), &u);
  assert_null(copal_timerq_pop(&w.q, 8 * TICK));
  assert_ptr_equal(copal_timerq_pop(&w.q, 9 * TICK), &t);
}

static void a_long_silence_is_skipped(void **state)
{
  wheel w;
  copal_timer t;
  const copal_time year = (copal_time)365 * 86400 * 1000000;
  (void)state;
  make(&w, 64, TICK, 0);
  assert_null(copal_timerq_pop(&w.q, year));
  copal_timer_init(&t);
  copal_timerq_arm(&w.q, &t, year + 10 * TICK);
  assert_null(copal_timerq_pop(&w.q, year + 9 * TICK));
  assert_ptr_equal(copal_timerq_pop(&w.q, year + 11 * TICK), &t);
}

/* A driver that follows the deadline pops each timer in [due, due + tick), in order of ticks. */
static void each_of_many_fires_within_a_tick(void **state)
{
  const uint32_t sizes[] = {1, 2, 32, 64};
  (void)state;
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    wheel w;
    copal_timer t[TIMERS];
    copal_time due[TIMERS];
    uint32_t random = 12345;
    unsigned fired = 0;
    make(&w, sizes[s], TICK, 777);
    for (unsigned i = 0; i < TIMERS; i++) {
      random = random * 1664525u + 1013904223u;
      due[i] = 777 + (random >> 8) % (300 * TICK);
      copal_timer_init(&t[i]);
      copal_timerq_arm(&w.q, &t[i], due[i]);
    }
    copal_time now = 777;
    while (w.q.count) {
      const copal_time deadline = copal_timerq_deadline(&w.q);
      now = deadline > now ? deadline : now;
      copal_timer *p;
      while ((p = copal_timerq_pop(&w.q, now))) {
        const copal_time d = due[p - t];
        assert_true(now >= d);
        assert_true(now < d + TICK);
        fired++;
      }
    }
    assert_int_equal(fired, TIMERS);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tick_is_rounded_up_to_a_power_of_two),
      cmocka_unit_test(memory_holds_the_slots_and_a_bit_for_each),
      cmocka_unit_test(a_slot_is_not_written_to_before_its_first_timer),
      cmocka_unit_test(an_empty_wheel_has_no_deadline),
      cmocka_unit_test(fires_at_the_first_tick_not_before_its_instant),
      cmocka_unit_test(a_timer_of_a_later_turn_waits_for_it),
      cmocka_unit_test(arming_in_the_past_fires_at_once),
      cmocka_unit_test(cancel_and_move),
      cmocka_unit_test(a_timer_that_is_due_may_be_cancelled_or_moved),
      cmocka_unit_test(one_slot_is_enough),
      cmocka_unit_test(a_long_silence_is_skipped),
      cmocka_unit_test(each_of_many_fires_within_a_tick),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
