/* SPDX-License-Identifier: Apache-2.0 */
/* SenML records and their CBOR form: RFC 8428 sections 4 and 6, RFC 8790 section 3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "service/json_text.h"
#include "service/senml.h"
#include "service/senml_cbor.h"

static json_t *parse(const char *text)
{
  json_t *value = json_text_read(copal_span_str(text), NULL);
  assert_non_null(value);
  return value;
}

static void assert_text(const json_t *value, const char *expected)
{
  copal_mspan text;
  assert_non_null(value);
  assert_int_equal(json_text_write(value, 1 << 16, &text), COPAL_OK);
  assert_int_equal(text.len, strlen(expected));
  assert_memory_equal(text.ptr, expected, text.len);
  free(text.ptr);
}

static void check_resolved(const char *pack, const char *expected)
{
  problem why = {0};
  json_t *value = parse(pack);
  json_t *resolved = senml_resolve(value, &why);
  if (expected != NULL)
    assert_text(resolved, expected);
  else
    assert_true(resolved == NULL && why.code == COPAL_CODE_UNPROCESSABLE_ENTITY);
  json_decref(resolved);
  json_decref(value);
}

static void rfc8428_4_6_records_are_resolved(void **state)
{
  (void)state;
  check_resolved(
      "[{\"bn\":\"d:\",\"bt\":100,\"bu\":\"A\",\"bver\":5,\"n\":\"v\",\"u\":\"V\",\"v\":1.5},"
      "{\"n\":\"c\",\"t\":-5,\"v\":2},{\"n\":\"x\",\"vs\":\"on\"}]",
      "[{\"n\":\"d:v\",\"u\":\"V\",\"v\":1.5,\"t\":100},"
      "{\"n\":\"d:c\",\"u\":\"A\",\"v\":2,\"t\":95},"
      "{\"n\":\"d:x\",\"u\":\"A\",\"t\":100,\"vs\":\"on\"}]");
  check_resolved("[{\"bv\":10,\"bs\":1,\"n\":\"a\",\"v\":0.5},{\"n\":\"b\",\"s\":2},{\"n\":\"c\"}]",
                 "[{\"n\":\"a\",\"v\":10.5,\"s\":1},{\"n\":\"b\",\"s\":3},"
                 "{\"n\":\"c\",\"v\":10,\"s\":1}]");
  check_resolved("[{\"n\":\"a\",\"v\":1,\"mine\":[1]}]", "[{\"n\":\"a\",\"v\":1,\"mine\":[1]}]");
  check_resolved("[]", "[]");
}

static void rfc8428_4_1_base_names_do_not_multiply_without_bound(void **state)
{
  (void)state;
  enum { NAME = 1000 };
  char name[NAME + 1] = "";
  problem why = {0};
  memset(name, 'n', NAME);
  json_t *pack = json_array();
  json_array_append_new(pack, json_pack("{s:s}", "bn", name));
  for (int i = 1; i < SENML_NAMES_MAX / NAME; i++)
    json_array_append_new(pack, json_object());
  json_t *resolved = senml_resolve(pack, &why);
  assert_int_equal(json_array_size(resolved), SENML_NAMES_MAX / NAME);
  json_decref(resolved);
  json_array_append_new(pack, json_object());
  assert_null(senml_resolve(pack, &why));
  assert_int_equal(why.code, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE);
  json_decref(pack);
}

static void rfc8428_4_4_unknown_versions_and_must_understand_fields_are_refused(void **state)
{
  (void)state;
  check_resolved("[{\"bver\":11,\"n\":\"a\",\"v\":1}]", NULL);
  check_resolved("[{\"n\":\"a\",\"v\":1,\"new_\":1}]", NULL);
  check_resolved("{\"n\":\"a\"}", NULL);
  check_resolved("[1]", NULL);
  check_resolved("[{\"n\":1}]", NULL);
  check_resolved("[{\"n\":\"a\",\"v\":null}]", NULL);
  check_resolved("[{\"n\":\"a\",\"vb\":1}]", NULL);
}

static void check_fetch(const char *pack, const char *fetch, const char *expected)
{
  problem why = {0};
  json_t *stored = parse(pack);
  json_t *resolved = senml_resolve(stored, &why);
  json_t *selectors = parse(fetch);
  json_t *found = senml_fetch(resolved, selectors, &why);
  if (expected != NULL)
    assert_text(found, expected);
  else
    assert_true(found == NULL && why.code == COPAL_CODE_UNPROCESSABLE_ENTITY);
  json_decref(found);
  json_decref(selectors);
  json_decref(resolved);
  json_decref(stored);
}

#define SERIES                                                                                     \
  "[{\"bn\":\"d/\",\"n\":\"t\",\"t\":10,\"u\":\"Cel\",\"v\":1},"                                   \
  "{\"n\":\"t\",\"t\":20,\"u\":\"K\",\"v\":2},{\"n\":\"h\",\"v\":3}]"

static void rfc8790_3_1_name_time_and_unit_select(void **state)
{
  (void)state;
  check_fetch(SERIES, "[{\"n\":\"d/h\"}]", "[{\"n\":\"d/h\",\"v\":3}]");
  check_fetch(SERIES, "[{\"bn\":\"d/\",\"n\":\"t\",\"t\":20}]",
              "[{\"n\":\"d/t\",\"u\":\"K\",\"v\":2,\"t\":20}]");
  check_fetch(SERIES, "[{\"n\":\"d/t\",\"u\":\"Cel\"}]",
              "[{\"n\":\"d/t\",\"u\":\"Cel\",\"v\":1,\"t\":10}]");
  check_fetch(SERIES, "[{\"bn\":\"d/\",\"bt\":15,\"n\":\"t\",\"t\":5.0}]",
              "[{\"n\":\"d/t\",\"u\":\"K\",\"v\":2,\"t\":20}]");
  check_fetch(SERIES, "[{\"n\":\"d/t\"},{\"n\":\"d/t\",\"t\":10}]",
              "[{\"n\":\"d/t\",\"u\":\"Cel\",\"v\":1,\"t\":10},"
              "{\"n\":\"d/t\",\"u\":\"K\",\"v\":2,\"t\":20}]");
  check_fetch(SERIES, "[{\"n\":\"nothing\"}]", "[]");
}

static void rfc8790_3_1_invalid_fetch_packs_are_refused(void **state)
{
  (void)state;
  const char *const bad[] = {"[]",
                             "{}",
                             "[{}]",
                             "[{\"t\":1}]",
                             "[{\"n\":\"a\",\"v\":1}]",
                             "[{\"n\":\"a\",\"x\":1}]",
                             "[{\"n\":\"\"}]",
                             "[{\"n\":\"-a\"}]",
                             "[{\"n\":\"a b\"}]",
                             "[{\"n\":\"a\",\"t\":\"1\"}]"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    check_fetch(SERIES, bad[i], NULL);
}

static void check_patch(const char *pack, const char *patch, const char *expected)
{
  problem why = {0};
  json_t *stored = parse(pack);
  json_t *resolved = senml_resolve(stored, &why);
  json_t *records = parse(patch);
  const bool is_done = senml_patch(resolved, records, &why);
  assert_int_equal(is_done, expected != NULL);
  if (is_done)
    assert_text(resolved, expected);
  else
    assert_int_equal(why.code, COPAL_CODE_UNPROCESSABLE_ENTITY);
  json_decref(records);
  json_decref(resolved);
  json_decref(stored);
}

static void rfc8790_3_2_records_are_replaced_added_removed_in_sequence(void **state)
{
  (void)state;
  const char *const pack = "[{\"bn\":\"d/\",\"n\":\"a\",\"vb\":true},{\"n\":\"b\",\"v\":42}]";
  check_patch(pack, "[{\"bn\":\"d/\",\"n\":\"a\",\"vb\":false},{\"n\":\"b\",\"v\":10}]",
              "[{\"n\":\"d/a\",\"vb\":false},{\"n\":\"d/b\",\"v\":10}]");
  check_patch(pack, "[{\"bn\":\"d/\",\"n\":\"a\",\"v\":null},{\"n\":\"b\",\"v\":null}]", "[]");
  check_patch(pack, "[{\"n\":\"none\",\"v\":null}]",
              "[{\"n\":\"d/a\",\"vb\":true},{\"n\":\"d/b\",\"v\":42}]");
  check_patch(pack, "[{\"n\":\"c\",\"s\":1,\"new_\":2},{\"n\":\"c\",\"v\":2}]",
              "[{\"n\":\"d/a\",\"vb\":true},{\"n\":\"d/b\",\"v\":42},{\"n\":\"c\",\"v\":2}]");
  check_patch(SERIES,
              "[{\"n\":\"d/t\",\"t\":10,\"u\":\"Cel\",\"v\":9},{\"n\":\"d/t\",\"t\":30,\"v\":5}]",
              "[{\"n\":\"d/t\",\"u\":\"Cel\",\"v\":9,\"t\":10},"
              "{\"n\":\"d/t\",\"u\":\"K\",\"v\":2,\"t\":20},{\"n\":\"d/h\",\"v\":3},"
              "{\"n\":\"d/t\",\"v\":5,\"t\":30}]");
}

/* What earlier records of a patch did is what later ones find. */
static void rfc8790_3_2_records_find_what_those_before_have_left(void **state)
{
  (void)state;
  const char *const pack = "[{\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":2},{\"n\":\"c\",\"v\":3}]";
  check_patch(pack, "[{\"n\":\"a\",\"v\":null},{\"n\":\"c\",\"v\":4},{\"n\":\"b\",\"v\":5}]",
              "[{\"n\":\"b\",\"v\":5},{\"n\":\"c\",\"v\":4}]");
  check_patch(pack, "[{\"n\":\"d\",\"v\":6},{\"n\":\"d\",\"v\":7},{\"n\":\"a\",\"v\":null}]",
              "[{\"n\":\"b\",\"v\":2},{\"n\":\"c\",\"v\":3},{\"n\":\"d\",\"v\":7}]");
  check_patch(pack,
              "[{\"n\":\"c\",\"v\":null},{\"n\":\"c\",\"v\":8},{\"n\":\"c\",\"v\":null},"
              "{\"n\":\"b\",\"t\":5,\"v\":9},{\"n\":\"b\",\"t\":5,\"v\":10}]",
              "[{\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":2},{\"n\":\"b\",\"v\":10,\"t\":5}]");
}

static void rfc8790_3_2_invalid_patch_packs_are_refused(void **state)
{
  (void)state;
  check_patch(SERIES, "[]", NULL);
  check_patch(SERIES, "[{\"n\":\"d/h\"}]", NULL);
  check_patch(SERIES, "[{\"n\":\"d/t\",\"v\":1}]", NULL); /* matches two */
  check_patch(SERIES, "[{\"v\":1}]", NULL);
  check_patch(SERIES, "[{\"n\":\"d/h\",\"vs\":null}]", NULL);
}

/* ------------------------------------------------------------------------------------------------
 * CBOR */

/* The example of RFC 8428 section 6, shortened to three records. */
static const uint8_t example[] = {
    0x83, 0xa7, 0x21, 0x78, 0x1b, 'u',  'r',  'n',  ':',  'd',  'e',  'v',  ':',  'o',  'w',  ':',
    '1',  '0',  'e',  '2',  '0',  '7',  '3',  'a',  '0',  '1',  '0',  '8',  '0',  '0',  '6',  ':',
    0x22, 0xfb, 0x41, 0xd3, 0x03, 0xa1, 0x5b, 0x00, 0x10, 0x62, 0x23, 0x61, 0x41, 0x20, 0x05, 0x00,
    0x67, 'v',  'o',  'l',  't',  'a',  'g',  'e',  0x01, 0x61, 'V',  0x02, 0xfb, 0x40, 0x5e, 0x06,
    0x66, 0x66, 0x66, 0x66, 0x66, 0xa3, 0x00, 0x67, 'c',  'u',  'r',  'r',  'e',  'n',  't',  0x06,
    0x24, 0x02, 0xfb, 0x3f, 0xf3, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0xa3, 0x00, 0x67, 'c',  'u',
    'r',  'r',  'e',  'n',  't',  0x06, 0x21, 0x02, 0xf9, 0x3e, 0x00};

static json_t *read_cbor(const uint8_t *bytes, size_t len, int *err)
{
  return senml_cbor_read(copal_span_of(bytes, len), err);
}

static void rfc8428_6_example_is_read_and_every_prefix_refused(void **state)
{
  (void)state;
  int err;
  json_t *value = read_cbor(example, sizeof example, &err);
  assert_text(value,
              "[{\"bn\":\"urn:dev:ow:10e2073a0108006:\",\"bt\":1276020076.001,\"bu\":\"A\","
              "\"bver\":5,\"n\":\"voltage\",\"u\":\"V\",\"v\":120.1},"
              "{\"n\":\"current\",\"t\":-5,\"v\":1.2},{\"n\":\"current\",\"t\":-2,\"v\":1.5}]");
  json_decref(value);
  for (size_t len = 0; len < sizeof example; len++) {
    assert_null(read_cbor(example, len, &err));
    assert_int_equal(err, COPAL_EFORMAT);
  }
}

static void rfc8428_6_write_then_read_is_the_same(void **state)
{
  (void)state;
  static const char text[] =
      "[{\"n\":\"a\",\"v\":1.5,\"t\":-70000,\"s\":4294967296},{\"n\":\"b\",\"vb\":false,"
      "\"ut\":0.1},{\"vd\":\"AQIDBA\",\"mine\":[null,true,{\"x\":300}]}]";
  json_t *value = parse(text);
  copal_mspan bytes;
  int err;
  assert_int_equal(senml_cbor_write(value, 1000, &bytes), COPAL_OK);
  json_t *again = senml_cbor_read(copal_span_of(bytes.ptr, bytes.len), &err);
  assert_text(again, text);
  json_decref(again);
  const size_t len = bytes.len;
  free(bytes.ptr);
  for (size_t max = 0; max < len; max++)
    assert_int_equal(senml_cbor_write(value, max, &bytes), COPAL_ETOOBIG);
  json_decref(value);
  value = parse("[{\"vd\":\"!\"}]");
  assert_int_equal(senml_cbor_write(value, 100, &bytes), COPAL_EINVAL);
  json_decref(value);
}

static void rfc8949_3_numbers_of_all_widths(void **state)
{
  (void)state;
  static const struct {
    uint8_t bytes[12];
    size_t len;
    const char *text;
  } rows[] = {
      {{0x17}, 1, "23"},
      {{0x18, 0x18}, 2, "24"},
      {{0x39, 0x01, 0x00}, 3, "-257"},
      {{0x1a, 0, 1, 0, 0}, 5, "65536"},
      {{0x1b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 9, "9223372036854775807"},
      {{0xf9, 0x3c, 0x00}, 3, "1.0"},
      {{0xf9, 0x00, 0x01}, 3, "5.9604644775390625e-08"},
      {{0xf9, 0xc4, 0x00}, 3, "-4.0"},
      {{0xfa, 0x47, 0xc3, 0x50, 0x00}, 5, "100000.0"},
      {{0xc4, 0x82, 0x21, 0x19, 0x6a, 0xb3}, 6, "273.15"},
      {{0x9f, 0x01, 0xff}, 3, "[1]"},
      {{0xbf, 0x00, 0x61, 'a', 0xff}, 5, "{\"n\":\"a\"}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int err;
    json_t *value = read_cbor(rows[i].bytes, rows[i].len, &err);
    assert_text(value, rows[i].text);
    json_decref(value);
  }
}

static void rfc8949_what_senml_does_not_have_is_refused(void **state)
{
  (void)state;
  static const struct {
    uint8_t bytes[12];
    size_t len;
    int err;
  } rows[] = {
      {{0x1b, 0xff, 0, 0, 0, 0, 0, 0, 0}, 9, COPAL_EINVAL}, /* beyond int64 */
      {{0x41, 0x00}, 2, COPAL_EINVAL},                      /* bytes outside vd */
      {{0xc0, 0x60}, 2, COPAL_EINVAL},                      /* another tag */
      {{0xf7}, 1, COPAL_EINVAL},                            /* undefined */
      {{0xf9, 0x7c, 0x00}, 3, COPAL_EINVAL},                /* infinity */
      {{0xa1, 0x18, 0x63, 0x00}, 4, COPAL_EINVAL},          /* label 99 */
      {{0xa1, 0xf5, 0x00}, 3, COPAL_EINVAL},                /* label of another type */
      {{0x1c}, 1, COPAL_EFORMAT},
      {{0x1f}, 1, COPAL_EFORMAT},
      {{0xff}, 1, COPAL_EFORMAT},
      {{0x7f, 0x61, 'a', 0xff}, 4, COPAL_EFORMAT},
      {{0x61, 0xff}, 2, COPAL_EFORMAT},
      {{0x00, 0x00}, 2, COPAL_EFORMAT},
      {{0xa2, 0x00, 0x60, 0x00, 0x60}, 5, COPAL_EFORMAT}, /* a label twice */
      {{0x9b, 0, 0, 0, 0x10, 0, 0, 0, 0}, 9, COPAL_EFORMAT},
      {{0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 9, COPAL_EFORMAT},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int err = COPAL_OK;
    assert_null(read_cbor(rows[i].bytes, rows[i].len, &err));
    assert_int_equal(err, rows[i].err);
  }
  uint8_t deep[100];
  int err;
  memset(deep, 0x81, sizeof deep);
  assert_null(read_cbor(deep, sizeof deep, &err));
  assert_int_equal(err, COPAL_EFORMAT);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc8428_4_6_records_are_resolved),
      cmocka_unit_test(rfc8428_4_1_base_names_do_not_multiply_without_bound),
      cmocka_unit_test(rfc8428_4_4_unknown_versions_and_must_understand_fields_are_refused),
      cmocka_unit_test(rfc8790_3_1_name_time_and_unit_select),
      cmocka_unit_test(rfc8790_3_1_invalid_fetch_packs_are_refused),
      cmocka_unit_test(rfc8790_3_2_records_are_replaced_added_removed_in_sequence),
      cmocka_unit_test(rfc8790_3_2_records_find_what_those_before_have_left),
      cmocka_unit_test(rfc8790_3_2_invalid_patch_packs_are_refused),
      cmocka_unit_test(rfc8428_6_example_is_read_and_every_prefix_refused),
      cmocka_unit_test(rfc8428_6_write_then_read_is_the_same),
      cmocka_unit_test(rfc8949_3_numbers_of_all_widths),
      cmocka_unit_test(rfc8949_what_senml_does_not_have_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
