/* SPDX-License-Identifier: Apache-2.0 */
/* Unpredictable bytes in batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <string.h>

#include "server/entropy.h"

static void entropy_fills_across_batches_and_keeps_nothing(void **state)
{
  (void)state;
  static entropy e;
  static uint8_t a[3 * ENTROPY_BATCH / 2], b[sizeof a];
  static const uint8_t zeros[ENTROPY_BATCH];
  entropy_init(&e);
  e.hook.fill(&e.hook, (copal_mspan){a, sizeof a});
  assert_int_equal(e.left, 2 * ENTROPY_BATCH - sizeof a);
  /* What was handed out is erased. */
  assert_memory_equal(e.batch, zeros, sizeof e.batch - e.left);
  e.hook.fill(&e.hook, (copal_mspan){b, sizeof b});
  assert_memory_not_equal(a, b, sizeof a);
  entropy_wipe(&e);
  assert_memory_equal(e.batch, zeros, sizeof e.batch);
}

static void entropy_bytes_are_spread_evenly(void **state)
{
  (void)state;
  static entropy e;
  static uint8_t bytes[65536];
  unsigned counts[256] = {0};
  entropy_init(&e);
  for (size_t i = 0; i < sizeof bytes; i += 8)
    e.hook.fill(&e.hook, (copal_mspan){bytes + i, 8});
  for (size_t i = 0; i < sizeof bytes; i++)
    counts[bytes[i]]++;
  /* 256 expected of each, with a standard deviation of 16: ten of those never happen. */
  for (size_t i = 0; i < 256; i++)
    assert_in_range(counts[i], 96, 416);
  entropy_wipe(&e);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(entropy_fills_across_batches_and_keeps_nothing),
      cmocka_unit_test(entropy_bytes_are_spread_evenly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
