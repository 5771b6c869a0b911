/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks in any order, and what is missing of them. RFC 9177 sections 4.3 and 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/gather.h"

static void rfc9177_4_3_blocks_in_any_order_leave_nothing_missing(void **state)
{
  (void)state;
  gather g = {0};
  uint32_t missing;
  for (uint32_t i = 0; i < 997; i++)
    assert_int_equal(gather_take(&g, i * 41 % 997), GATHER_NEW);
  assert_int_equal(g.base, 997);
  assert_int_equal(g.top, 997);
  assert_int_equal(gather_missing(&g, 997, &missing, 1), 0);
}

static void rfc9177_4_3_a_duplicate_is_told_from_a_new_block(void **state)
{
  (void)state;
  gather g = {0};
  assert_int_equal(gather_take(&g, 5), GATHER_NEW);
  assert_int_equal(gather_take(&g, 5), GATHER_REPEATED);
  assert_int_equal(gather_take(&g, 0), GATHER_NEW);
  assert_int_equal(gather_take(&g, 0), GATHER_REPEATED);
  assert_int_equal(g.base, 1);
}

static void rfc9177_5_missing_blocks_are_listed_ascending_and_bounded(void **state)
{
  (void)state;
  gather g = {0};
  uint32_t nums[3];
  gather_take(&g, 0);
  gather_take(&g, 2);
  gather_take(&g, 7);
  assert_int_equal(gather_missing(&g, 10, nums, 3), 3);
  assert_int_equal(nums[0], 1);
  assert_int_equal(nums[1], 3);
  assert_int_equal(nums[2], 4);
  assert_int_equal(gather_missing(&g, 3, nums, 3), 1);
}

static void blocks_beyond_the_window_are_not_taken(void **state)
{
  (void)state;
  gather g = {0};
  assert_int_equal(gather_take(&g, GATHER_WINDOW), GATHER_BEYOND);
  assert_int_equal(gather_take(&g, UINT32_MAX), GATHER_BEYOND);
  assert_int_equal(g.top, 0);
  assert_int_equal(gather_take(&g, GATHER_WINDOW - 1), GATHER_NEW);
  assert_int_equal(gather_take(&g, 0), GATHER_NEW);
  assert_int_equal(gather_take(&g, GATHER_WINDOW), GATHER_NEW);
  assert_int_equal(gather_take(&g, GATHER_WINDOW), GATHER_REPEATED);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc9177_4_3_blocks_in_any_order_leave_nothing_missing),
      cmocka_unit_test(rfc9177_4_3_a_duplicate_is_told_from_a_new_block),
      cmocka_unit_test(rfc9177_5_missing_blocks_are_listed_ascending_and_bounded),
      cmocka_unit_test(blocks_beyond_the_window_are_not_taken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
