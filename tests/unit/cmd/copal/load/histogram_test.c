/* SPDX-License-Identifier: Apache-2.0 */
/* Latencies as a histogram: percentiles against a sorted list of the same values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cmd/copal/load/histogram.h"

enum { VALUES = 20000 };

static int compare(const void *a, const void *b)
{
  const copal_time x = *(const copal_time *)a, y = *(const copal_time *)b;
  return x < y ? -1 : x > y;
}

static void an_empty_one_has_no_values(void **state)
{
  (void)state;
  histogram *h = calloc(1, sizeof *h);
  assert_int_equal(histogram_at(h, 0.5), 0);
  assert_true(histogram_mean(h) == 0);
  free(h);
}

static void small_values_are_exact(void **state)
{
  (void)state;
  histogram *h = calloc(1, sizeof *h);
  for (copal_time v = 0; v < 64; v++)
    histogram_add(h, v);
  assert_int_equal(histogram_at(h, 0), 0);
  assert_int_equal(histogram_at(h, 0.5), 31);
  assert_int_equal(histogram_at(h, 1), 63);
  assert_int_equal(h->min, 0);
  assert_int_equal(h->max, 63);
  assert_true(histogram_mean(h) == 31.5);
  free(h);
}

/* Over nine powers of ten. */
static void percentiles_are_within_their_width(void **state)
{
  (void)state;
  static const double shares[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
  histogram *h = calloc(1, sizeof *h);
  copal_time *values = calloc(VALUES, sizeof *values);
  uint64_t random = 88172645463325252u;
  for (size_t i = 0; i < VALUES; i++) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    values[i] = random >> (34 + random % 29);
    histogram_add(h, values[i]);
  }
  qsort(values, VALUES, sizeof *values, compare);
  for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
    const size_t rank = (size_t)(shares[i] * VALUES + 0.999999);
    const copal_time exact = values[rank - 1], found = histogram_at(h, shares[i]);
    assert_true(found >= exact);
    assert_true(found - exact <= exact / 64);
  }
  free(values);
  free(h);
}

static void two_that_are_merged_are_as_one(void **state)
{
  (void)state;
  histogram *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b), *both = calloc(1, sizeof *both);
  for (copal_time v = 1; v < 100000; v += 7) {
    histogram_add(v % 2 == 0 ? a : b, v);
    histogram_add(both, v);
  }
  histogram_merge(a, b);
  assert_memory_equal(a, both, sizeof *a);
  free(a);
  free(b);
  free(both);
}

static void what_is_too_long_is_counted_as_the_longest(void **state)
{
  (void)state;
  histogram *h = calloc(1, sizeof *h);
  histogram_add(h, UINT64_MAX);
  assert_int_equal(h->count, 1);
  assert_int_equal(h->cells[HISTOGRAM_CELLS - 1], 1);
  free(h);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_one_has_no_values),
      cmocka_unit_test(small_values_are_exact),
      cmocka_unit_test(percentiles_are_within_their_width),
      cmocka_unit_test(two_that_are_merged_are_as_one),
      cmocka_unit_test(what_is_too_long_is_counted_as_the_longest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
