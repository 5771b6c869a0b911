/* SPDX-License-Identifier: Apache-2.0 */
/* What was retired is freed when nobody can be looking at it, and not before. That nothing is read
 * after it was freed, and nothing leaks, is seen by the sanitizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/memory/grace.h"

enum { MANY = 1000 };

static void retired_waits_for_those_who_look(void **state)
{
  (void)state;
  grace g;
  grace_init(&g);
  grace_seat *reader = grace_open(&g);
  grace_seat *writer = grace_open(&g);
  grace_enter(reader);
  uint8_t *seen = malloc(1);
  *seen = 7;
  grace_retire(writer, seen);
  grace_leave(writer);
  assert_true(grace_waits(writer));
  assert_int_equal(*seen, 7); /* the reader still looks */
  grace_leave(reader);
  grace_leave(writer);
  assert_false(grace_waits(writer));
  grace_close(reader);
  grace_close(writer);
  grace_wipe(&g);
}

static void who_begins_later_holds_nothing_up(void **state)
{
  (void)state;
  grace g;
  grace_init(&g);
  grace_seat *early = grace_open(&g);
  grace_seat *late = grace_open(&g);
  grace_seat *writer = grace_open(&g);
  grace_enter(early);
  grace_retire(writer, malloc(1));
  grace_leave(writer); /* its period ends here */
  grace_enter(late);
  grace_leave(early);
  grace_leave(writer);
  assert_false(grace_waits(writer));
  grace_wipe(&g);
}

static void who_looks_may_retire(void **state)
{
  (void)state;
  grace g;
  grace_init(&g);
  grace_seat *s = grace_open(&g);
  grace_enter(s);
  for (int i = 0; i < MANY; i++)
    grace_retire(s, malloc(1));
  assert_false(grace_is_due(s)); /* as long as it looks */
  grace_leave(s);
  assert_false(grace_waits(s));
  for (int i = 0; i < MANY; i++)
    grace_retire(s, malloc(1));
  assert_true(grace_is_due(s));
  grace_leave(s);
  assert_false(grace_waits(s));
  grace_wipe(&g);
}

static void seats_are_used_again_with_what_waits(void **state)
{
  (void)state;
  grace g;
  grace_init(&g);
  grace_seat *reader = grace_open(&g);
  grace_seat *s = grace_open(&g);
  grace_enter(reader);
  grace_retire(s, malloc(1));
  grace_close(s);
  assert_ptr_equal(grace_open(&g), s);
  assert_true(grace_waits(s));
  grace_wipe(&g); /* frees it */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(retired_waits_for_those_who_look),
      cmocka_unit_test(who_begins_later_holds_nothing_up),
      cmocka_unit_test(who_looks_may_retire),
      cmocka_unit_test(seats_are_used_again_with_what_waits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
