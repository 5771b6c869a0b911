/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <stdalign.h>

#include "copal/error.h"
#include "server/arena.h"

static void arena_pieces_are_aligned_and_apart(void **state)
{
  (void)state;
  arena a;
  assert_int_equal(arena_init(&a, 256), COPAL_OK);
  uint8_t *one = arena_take(&a, 1);
  uint8_t *two = arena_take(&a, 3);
  assert_non_null(one);
  assert_int_equal((uintptr_t)one % alignof(max_align_t), 0);
  assert_int_equal((uintptr_t)two % alignof(max_align_t), 0);
  assert_true(two >= one + 1);
  arena_wipe(&a);
}

static void arena_spent_gives_null_and_counts(void **state)
{
  (void)state;
  arena a;
  assert_int_equal(arena_init(&a, 64), COPAL_OK);
  assert_non_null(arena_take(&a, 60));
  assert_null(arena_take(&a, 1)); /* alignment alone takes what is left */
  assert_null(arena_take(&a, SIZE_MAX));
  assert_int_equal(a.refused, 2);
  arena_reset(&a);
  assert_non_null(arena_take(&a, 64));
  assert_int_equal(a.peak, 64);
  arena_wipe(&a);
}

static void arena_whole_capacity_can_be_taken(void **state)
{
  (void)state;
  arena a;
  assert_int_equal(arena_init(&a, 64), COPAL_OK);
  assert_non_null(arena_take(&a, 64));
  assert_null(arena_take(&a, 1));
  assert_non_null(arena_take(&a, 0));
  arena_wipe(&a);
}

static void arena_wipe_is_safe_on_a_zeroed_object(void **state)
{
  (void)state;
  arena a = {.bytes = NULL};
  arena_wipe(&a);
  assert_null(a.bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arena_pieces_are_aligned_and_apart),
      cmocka_unit_test(arena_spent_gives_null_and_counts),
      cmocka_unit_test(arena_whole_capacity_can_be_taken),
      cmocka_unit_test(arena_wipe_is_safe_on_a_zeroed_object),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
