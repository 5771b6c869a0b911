/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostic notation. RFC 8949 section 8, with the examples of appendix A. */
#include "unit/cmd/copal/printed.h"

#include <stdio.h>
#include <string.h>

#include "cmd/copal/cbor_diag.h"

static void check(const char *hex, const char *text)
{
  buf bytes = unhex(hex);
  buf out = {0};
  if (!cbor_diag(buf_span(&bytes), false, &plain, &out))
    fail_msg("%s is not accepted", hex);
  buf_wipe(&bytes);
  expect(&out, text);
}

static void refuse(const char *hex)
{
  buf bytes = unhex(hex);
  buf out = {0};
  assert_false(cbor_diag(buf_span(&bytes), false, &plain, &out));
  assert_int_equal(out.len, 0);
  buf_wipe(&bytes);
}

static void rfc8949_appendix_a_integers(void **state)
{
  (void)state;
  check("00", "0");
  check("17", "23");
  check("1818", "24");
  check("1903e8", "1000");
  check("1bffffffffffffffff", "18446744073709551615");
  check("3bffffffffffffffff", "-18446744073709551616");
  check("20", "-1");
  check("3863", "-100");
}

static void rfc8949_appendix_a_floats(void **state)
{
  (void)state;
  check("f90000", "0.0");
  check("f98000", "-0.0");
  check("f93e00", "1.5");
  check("fb3ff199999999999a", "1.1");
  check("fa47c35000", "100000.0");
  check("fb7e37e43c8800759c", "1e+300");
  check("f97c00", "Infinity");
  check("f97e00", "NaN");
  check("f9fc00", "-Infinity");
}

static void rfc8949_appendix_a_simple_values(void **state)
{
  (void)state;
  check("f4", "false");
  check("f5", "true");
  check("f6", "null");
  check("f7", "undefined");
}

static void rfc8949_appendix_a_strings(void **state)
{
  (void)state;
  check("40", "h''");
  check("4401020304", "h'01020304'");
  check("60", "\"\"");
  check("62225c", "\"\\\"\\\\\"");
  check("63e6b0b4", "\"水\"");
}

static void rfc8949_appendix_a_tags(void **state)
{
  (void)state;
  check("c11a514b67b0", "1(1363896240)");
  check("d74401020304", "23(h'01020304')");
  check("c249010000000000000000", "2(h'010000000000000000')");
}

static void rfc8949_appendix_a_collections(void **state)
{
  (void)state;
  check("80", "[]");
  check("8301820203820405", "[1, [2, 3], [4, 5]]");
  check("a0", "{}");
  check("a201020304", "{1: 2, 3: 4}");
  check("a26161016162820203", "{\"a\": 1, \"b\": [2, 3]}");
}

static void rfc8949_8_1_indefinite_lengths_are_marked(void **state)
{
  (void)state;
  check("5f42010243030405ff", "(_ h'0102', h'030405')");
  check("7f657374726561646d696e67ff", "(_ \"strea\", \"ming\")");
  check("5fff", "''_");
  check("7fff", "\"\"_");
  check("9fff", "[_]");
  check("9f018202039f0405ffff", "[_ 1, [2, 3], [_ 4, 5]]");
  check("bf61610161629f0203ffff", "{_ \"a\": 1, \"b\": [_ 2, 3]}");
}

static void wide_item_is_indented(void **state)
{
  (void)state;
  const style narrow = {.color = false, .width = 10};
  buf bytes = unhex("a2 6161 82 01 02 6162 80");
  buf out = {0};
  assert_true(cbor_diag(buf_span(&bytes), false, &narrow, &out));
  buf_wipe(&bytes);
  expect(&out, "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": []\n}");
}

static void rfc8742_sequence_has_an_item_on_each_line(void **state)
{
  (void)state;
  buf bytes = unhex("01 8102 f6");
  buf out = {0};
  assert_true(cbor_diag(buf_span(&bytes), true, &plain, &out));
  expect(&out, "1\n[2]\nnull");
  assert_true(cbor_diag(copal_span_none(), true, &plain, &out));
  assert_int_equal(out.len, 0);
  buf_wipe(&out);
  buf_wipe(&bytes);
}

static void malformed_is_refused(void **state)
{
  (void)state;
  refuse("");
  refuse("18");
  refuse("8201");
  refuse("ff");
  refuse("0102"); /* two items are no item */
  refuse("1c");
  refuse("bb00000000ffffffff00"); /* more pairs than bytes */
  refuse("9bffffffffffffffff00");
  refuse("bbffffffffffffffff00");
  refuse("5bffffffffffffffff00");
  refuse("bf00ff");   /* half a pair */
  refuse("5f6161ff"); /* a chunk of another type */
  refuse("f81f");
  refuse("1f");
  refuse("a101");
}

static void every_strict_prefix_is_refused(void **state)
{
  (void)state;
  buf bytes = unhex("bf61610161629f0203ff6163c11a514b67b0ff");
  for (size_t n = 0; n < bytes.len; n++) {
    buf out = {0};
    assert_false(cbor_diag(copal_span_of(bytes.ptr, n), false, &plain, &out));
  }
  buf_wipe(&bytes);
}

static void deep_nesting_is_refused(void **state)
{
  (void)state;
  char bytes[200];
  buf out = {0};
  memset(bytes, 0x81, sizeof bytes);
  bytes[sizeof bytes - 1] = 0;
  assert_false(cbor_diag(copal_span_of(bytes, sizeof bytes), false, &plain, &out));
  assert_true(cbor_diag(copal_span_of(bytes + 150, 50), false, &plain, &out));
  buf_wipe(&out);
}

static void text_cannot_drive_a_terminal(void **state)
{
  (void)state;
  check("63 1b5b6d", "\"\\u001b[m\"");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc8949_appendix_a_integers),
      cmocka_unit_test(rfc8949_appendix_a_floats),
      cmocka_unit_test(rfc8949_appendix_a_simple_values),
      cmocka_unit_test(rfc8949_appendix_a_strings),
      cmocka_unit_test(rfc8949_appendix_a_tags),
      cmocka_unit_test(rfc8949_appendix_a_collections),
      cmocka_unit_test(rfc8949_8_1_indefinite_lengths_are_marked),
      cmocka_unit_test(wide_item_is_indented),
      cmocka_unit_test(rfc8742_sequence_has_an_item_on_each_line),
      cmocka_unit_test(malformed_is_refused),
      cmocka_unit_test(every_strict_prefix_is_refused),
      cmocka_unit_test(deep_nesting_is_refused),
      cmocka_unit_test(text_cannot_drive_a_terminal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
