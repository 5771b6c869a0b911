/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed runs of bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/span.h"
#include "unit/core/wire/sample.h"

static void span_equality_compares_length_and_bytes(void **state)
{
  (void)state;
  assert_true(copal_span_is_equal(LIT("abc"), copal_span_str("abc")));
  assert_false(copal_span_is_equal(LIT("abc"), LIT("abd")));
  assert_false(copal_span_is_equal(LIT("abc"), LIT("ab")));
  assert_false(copal_span_is_equal(LIT("ab"), LIT("abc")));
  assert_true(copal_span_is_equal(copal_span_none(), LIT("")));
  assert_true(copal_span_is_equal(LIT("a\0b"), LIT("a\0b")));
  assert_false(copal_span_is_equal(LIT("a\0b"), LIT("a\0c")));
}

static void span_prefix_may_be_empty_or_whole(void **state)
{
  (void)state;
  assert_true(copal_span_has_prefix(LIT("abc"), LIT("ab")));
  assert_true(copal_span_has_prefix(LIT("abc"), LIT("abc")));
  assert_true(copal_span_has_prefix(LIT("abc"), copal_span_none()));
  assert_true(copal_span_has_prefix(copal_span_none(), copal_span_none()));
  assert_false(copal_span_has_prefix(LIT("abc"), LIT("abcd")));
  assert_false(copal_span_has_prefix(LIT("abc"), LIT("b")));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(span_equality_compares_length_and_bytes),
      cmocka_unit_test(span_prefix_may_be_empty_or_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
