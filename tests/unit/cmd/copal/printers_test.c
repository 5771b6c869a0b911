/* SPDX-License-Identifier: Apache-2.0 */
/* The printers of bodies: JSON, SenML, link-format, problem details, hex dump, tables, safe text.
 */
#include "unit/cmd/copal/printed.h"

#include "cmd/copal/body.h"
#include "cmd/copal/links.h"
#include "cmd/copal/media.h"
#include "cmd/copal/print_json.h"
#include "cmd/copal/problem.h"
#include "cmd/copal/senml.h"
#include "cmd/copal/table.h"
#include "copal/registry.h"

static void json_keeps_every_digit(void **state)
{
  (void)state;
  buf out = {0};
  json_pretty(&out, copal_span_str(" [1.10, 1e400,12345678901234567890 ,\"\\u0041\"]"), &plain);
  expect(&out, "[\n  1.10,\n  1e400,\n  12345678901234567890,\n  \"\\u0041\"\n]");
  json_compact(&out, copal_span_str("{ \"a b\" : [ 1.10 , null ] }\n"));
  expect(&out, "{\"a b\":[1.10,null]}");
}

static void json_empty_collections_stay_on_a_line(void **state)
{
  (void)state;
  buf out = {0};
  json_pretty(&out, copal_span_str("{\"a\":{},\"b\":[ ]}"), &plain);
  expect(&out, "{\n  \"a\": {},\n  \"b\": []\n}");
}

static void json_validity(void **state)
{
  (void)state;
  assert_true(json_is_valid(copal_span_str("1")));
  assert_true(json_is_valid(copal_span_str("{\"a\":[true,\"x\"]}")));
  assert_false(json_is_valid(copal_span_str("{\"a\":}")));
  assert_false(json_is_valid(copal_span_str("[1] x")));
  assert_false(json_is_valid(copal_span_none()));
  assert_false(json_is_valid(copal_span_of("33\0", 3)));
}

static void json_strings_are_escaped(void **state)
{
  (void)state;
  buf out = {0};
  json_quote(&out, copal_span_of("a\"\\\n\x01\xff\xc3\xa4", 8));
  expect(&out, "\"a\\\"\\\\\\n\\u0001\\ufffd\xc3\xa4\"");
}

static void numbers_are_shortest(void **state)
{
  (void)state;
  static const struct {
    double v;
    const char *text;
  } rows[] = {{0, "0"},
              {-0.0, "-0"},
              {21.5, "21.5"},
              {0.1, "0.1"},
              {100000, "100000"},
              {1e-5, "0.00001"},
              {1.5e-7, "1.5e-07"},
              {1e17, "1e+17"},
              {123456789012, "123456789012"},
              {1.7976931348623157e308, "1.7976931348623157e+308"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    buf out = {0};
    number_put(&out, rows[i].v);
    expect(&out, rows[i].text);
  }
}

static void rfc4648_10_base64_vectors(void **state)
{
  (void)state;
  static const char *const vectors[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    buf out = {0};
    base64_put(&out, copal_span_str(vectors[i][0]));
    expect(&out, vectors[i][1]);
  }
}

static void rfc8428_5_1_2_base_values_apply(void **state)
{
  (void)state;
  buf out = {0};
  const char *pack = "[{\"bn\":\"urn:dev:ow:10e2073a0108006:\",\"bt\":1.276020076001e+09,"
                     "\"bu\":\"A\",\"bver\":5,\"n\":\"voltage\",\"u\":\"V\",\"v\":120.1},"
                     "{\"n\":\"current\",\"t\":-5,\"v\":1.2}]";
  assert_true(senml_print_json(copal_span_str(pack), &plain, &out));
  expect(&out, "NAME                                VALUE  UNIT  TIME\n"
               "urn:dev:ow:10e2073a0108006:voltage  120.1  V     2010-06-08T18:01:16.001Z\n"
               "urn:dev:ow:10e2073a0108006:current  1.2    A     2010-06-08T18:01:11.001Z\n");
}

static void rfc8428_4_5_all_kinds_of_values(void **state)
{
  (void)state;
  buf out = {0};
  const char *pack =
      "[{\"n\":\"a\",\"vs\":\"x\"},{\"n\":\"b\",\"vb\":true},{\"n\":\"c\",\"vd\":\"AQ\"},"
      "{\"n\":\"d\",\"s\":5},{\"bn\":\"p/\"},{\"n\":\"e\",\"v\":1,\"t\":-2}]";
  assert_true(senml_print_json(copal_span_str(pack), &plain, &out));
  expect(&out, "NAME  VALUE    TIME\na     x\nb     true\nc     data:AQ\nd     sum 5\n"
               "p/e   1        -2 s\n");
}

static void what_is_no_senml_is_refused(void **state)
{
  (void)state;
  buf out = {0};
  assert_false(senml_print_json(copal_span_str("{\"n\":1}"), &plain, &out));
  assert_false(senml_print_json(copal_span_str("[1]"), &plain, &out));
  assert_false(senml_print_json(copal_span_str("[]"), &plain, &out));
  buf bytes = unhex("81 a1 00 80"); /* a name that is an array */
  assert_false(senml_print_cbor(buf_span(&bytes), &plain, &out));
  buf_wipe(&bytes);
  assert_int_equal(out.len, 0);
}

static void senml_with_names_of_the_wrong_type_is_harmless(void **state)
{
  (void)state;
  buf out = {0};
  const char *pack = "[{\"bn\":7,\"n\":[],\"u\":{},\"v\":\"x\",\"t\":\"y\",\"bt\":[]}]";
  assert_true(senml_print_json(copal_span_str(pack), &plain, &out));
  expect(&out, "VALUE  TIME\n0      +0 s\n");
}

static void links_are_aligned(void **state)
{
  (void)state;
  buf out = {0};
  assert_true(links_print(copal_span_str("</a>;rt=\"x\",</bcd>"), &plain, &out));
  expect(&out, "</a>    rt=\"x\"\n</bcd>\n");
  assert_false(links_print(copal_span_str("</a>;rt=\"x"), &plain, &out));
  assert_int_equal(out.len, 0);
}

static void links_as_json(void **state)
{
  (void)state;
  buf out = {0};
  assert_true(links_json(copal_span_str("</a>;ct=40;obs;rel=x;a=1;a=2,</b>;ct=\"0 50\""), &out));
  expect(&out, "[{\"href\":\"/a\",\"ct\":40,\"obs\":true,\"rel\":\"x\",\"a\":[\"1\",\"2\"]},"
               "{\"href\":\"/b\",\"ct\":\"0 50\"}]");
  assert_true(links_json(copal_span_none(), &out));
  expect(&out, "[]");
}

static void discovery_names_content_formats(void **state)
{
  (void)state;
  buf out = {0};
  assert_true(links_table(copal_span_str("</a>;ct=\"0 50 65000\";rt=\"t\";obs"), &plain, &out));
  expect(&out, "PATH  CT                     RT  OBS\n/a    text/plain json 65000  t   obs\n");
}

static void rfc9290_2_title_and_detail(void **state)
{
  (void)state;
  buf out = {0};
  buf bytes = unhex("a3 20 6161 21 6162 22 6163");
  assert_true(problem_print(buf_span(&bytes), &out));
  expect(&out, "a: b [c]");
  buf_wipe(&bytes);
}

static void rfc9290_appendix_a_language_tagged_title(void **state)
{
  (void)state;
  buf out = {0};
  buf bytes = unhex("a1 20 d826 82 62656e 626869");
  assert_true(problem_print(buf_span(&bytes), &out));
  expect(&out, "hi");
  buf_wipe(&bytes);
}

static void rfc9290_3_1_1_unprocessed_options(void **state)
{
  (void)state;
  buf out = {0};
  buf bytes = unhex("a1 27 82 11 19fde8");
  assert_true(problem_print(buf_span(&bytes), &out));
  expect(&out, "(unprocessed option: Accept 65000)");
  buf_wipe(&bytes);
}

static void what_is_no_problem_is_refused(void **state)
{
  (void)state;
  buf out = {0};
  assert_false(problem_print(copal_span_str("\x01"), &out));
  assert_false(problem_print(copal_span_str("\xa0"), &out));
  assert_false(problem_print(copal_span_none(), &out));
  assert_true(problem_print(copal_span_str("\xa1\x01\xf5"), &out));
  expect(&out, "{1: true}");
}

static void text_is_made_safe(void **state)
{
  (void)state;
  buf out = {0};
  safe_text(&out, copal_span_str("a\tb\nc\rd\x7f\xc2\x85\xe2\x80\xae\xc3(\xed\xa0\x80"));
  expect(&out, "a\tb\nc\\x0dd\\x7f\\x85\\u202e\\xc3(\\xed\\xa0\\x80");
  safe_line(&out, copal_span_str("a\tb\nc"));
  expect(&out, "a\\tb\\nc");
}

static void rfc3629_4_malformed_utf8_is_recognised(void **state)
{
  (void)state;
  static const char *const bad[] = {
      "\x80",     "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
      "\xf5\x80", "\xc3",     "\xe2\x82"};
  uint32_t cp;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(utf8_next(copal_span_str(bad[i]), &cp), 0);
  assert_int_equal(utf8_next(copal_span_str("\xf4\x8f\xbf\xbf"), &cp), 4);
  assert_int_equal(cp, 0x10ffff);
  assert_int_equal(utf8_width(copal_span_str("gr\xc3\xbc\xc3\x9f")), 4);
}

static void hexdump_rows(void **state)
{
  (void)state;
  buf out = {0};
  body_hexdump(copal_span_of("0123456789abcdef\x01", 17), &plain, &out);
  expect(&out, "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
               "00000010  01                                                |.|\n");
}

static void tables_leave_empty_columns_out(void **state)
{
  (void)state;
  static const char *const cells[] = {"A", "B", "C", "x", "", "\xc3\xa4", "yyy", "", "z"};
  buf out = {0};
  table t = table_init(3);
  for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
    table_put(&t, copal_span_str(cells[i]));
  table_print(&t, true, &plain, &out);
  table_wipe(&t);
  expect(&out, "A    C\nx    \xc3\xa4\nyyy  z\n");
}

static void media_names_people_use(void **state)
{
  (void)state;
  assert_int_equal(media_parse("json"), COPAL_CF_JSON);
  assert_int_equal(media_parse("Text"), COPAL_CF_TEXT_PLAIN);
  assert_int_equal(media_parse("application/senml+cbor"), COPAL_CF_SENML_CBOR);
  assert_int_equal(media_parse("merge-patch"), COPAL_CF_MERGE_PATCH);
  assert_int_equal(media_parse("65535"), 65535);
  assert_true(media_parse("65536") < 0);
  assert_true(media_parse("50x") < 0);
  assert_true(media_parse("yaml") < 0);
  assert_true(media_parse("") < 0);
}

static void media_kinds(void **state)
{
  (void)state;
  assert_int_equal(media_kind_of(COPAL_CF_TD_JSON, copal_span_none()), MEDIA_JSON);
  assert_int_equal(media_kind_of(COPAL_CF_SENML_ETCH_CBOR, copal_span_none()), MEDIA_CBOR);
  assert_int_equal(media_kind_of(COPAL_CF_EDHOC, copal_span_none()), MEDIA_CBOR_SEQ);
  assert_int_equal(media_kind_of(COPAL_CF_JSON_DEFLATE, copal_span_none()), MEDIA_BINARY);
  assert_int_equal(media_kind_of(COPAL_CF_PNG, copal_span_none()), MEDIA_BINARY);
  assert_int_equal(media_kind_of(COPAL_CF_SVG, copal_span_none()), MEDIA_TEXT);
  assert_int_equal(media_kind_of(MEDIA_NONE, copal_span_str("{\"a\":1}")), MEDIA_JSON);
  assert_int_equal(media_kind_of(MEDIA_NONE, copal_span_str("21.5")), MEDIA_TEXT);
  assert_int_equal(media_kind_of(MEDIA_NONE, copal_span_str("\x01")), MEDIA_BINARY);
  assert_int_equal(media_kind_of(65000, copal_span_str("x")), MEDIA_TEXT);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(json_keeps_every_digit),
      cmocka_unit_test(json_empty_collections_stay_on_a_line),
      cmocka_unit_test(json_validity),
      cmocka_unit_test(json_strings_are_escaped),
      cmocka_unit_test(numbers_are_shortest),
      cmocka_unit_test(rfc4648_10_base64_vectors),
      cmocka_unit_test(rfc8428_5_1_2_base_values_apply),
      cmocka_unit_test(rfc8428_4_5_all_kinds_of_values),
      cmocka_unit_test(what_is_no_senml_is_refused),
      cmocka_unit_test(senml_with_names_of_the_wrong_type_is_harmless),
      cmocka_unit_test(links_are_aligned),
      cmocka_unit_test(links_as_json),
      cmocka_unit_test(discovery_names_content_formats),
      cmocka_unit_test(rfc9290_2_title_and_detail),
      cmocka_unit_test(rfc9290_appendix_a_language_tagged_title),
      cmocka_unit_test(rfc9290_3_1_1_unprocessed_options),
      cmocka_unit_test(what_is_no_problem_is_refused),
      cmocka_unit_test(text_is_made_safe),
      cmocka_unit_test(rfc3629_4_malformed_utf8_is_recognised),
      cmocka_unit_test(hexdump_rows),
      cmocka_unit_test(tables_leave_empty_columns_out),
      cmocka_unit_test(media_names_people_use),
      cmocka_unit_test(media_kinds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
