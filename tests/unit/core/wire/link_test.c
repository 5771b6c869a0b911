/* SPDX-License-Identifier: Apache-2.0 */
/* Link-format documents. RFC 6690 sections 2, 4.1 and 5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/error.h"
#include "copal/link.h"
#include "unit/core/wire/sample.h"

/* Counts the links of a document that pass a filter, or returns the error. */
static int count(copal_span document, const char *filter)
{
  const copal_span copy = exact_copy(document, document.len);
  copal_link_iter it = copal_link_iter_init(copy);
  copal_link link;
  int n = 0;
  while (copal_link_next(&it, &link))
    n += copal_link_is_match(&link, copal_span_str(filter)) ? 1 : 0;
  exact_free(copy);
  return it.rd.err == COPAL_OK ? n : it.rd.err;
}

static const char SENSORS[] = "</sensors>;ct=40;title=\"Sensor Index\","
                              "</sensors/temp>;rt=\"temperature-c\";if=\"sensor\","
                              "</sensors/light>;rt=\"light-lux core.sen-light\";if=\"sensor\","
                              "<http://www.example.com/sensors/t123>;anchor=\"/sensors/temp\""
                              ";rel=\"describedby\","
                              "</t>;anchor=\"/sensors/temp\";rel=\"alternate\"";

static void rfc6690_5_examples_parse(void **state)
{
  (void)state;
  assert_int_equal(count(LIT("</sensors/temp>;if=\"sensor\",</sensors/light>;if=\"sensor\""), ""),
                   2);
  assert_int_equal(count(LIT("</sensors>;ct=40"), ""), 1);
  assert_int_equal(count(LIT("</sensors/temp>;rt=\"temperature-c\";if=\"sensor\","
                             "</sensors/light>;rt=\"light-lux\";if=\"sensor\""),
                         ""),
                   2);
  assert_int_equal(count(copal_span_str(SENSORS), ""), 5);
  assert_int_equal(count(LIT("</firmware/v2.1>;rt=\"firmware\";sz=262144"), "rt=firmware"), 1);
  assert_int_equal(count(LIT(""), ""), 0);
}

static void rfc6690_4_1_filters_of_the_examples(void **state)
{
  (void)state;
  static const struct {
    const char *filter;
    int matches;
  } ROWS[] = {
      {"rt=light-lux", 1},
      {"rt=core.sen-light", 1},
      {"rt=core*", 1},
      {"rt=lux", 0},
      {"rt=light-lux core*", 0},
      {"rt=*", 2},
      {"if=sensor", 2},
      {"if=sens", 0},
      {"if=sens*", 2},
      {"anchor=/sensors/temp", 2},
      {"rel=alternate", 1},
      {"href=/sensors", 1},
      {"href=/sensors*", 3},
      {"href=*", 5},
      {"title=Sensor Index", 1},
      {"title=Sensor", 0},
      {"title=Sensor*", 1},
      {"ct=40", 1},
      {"ct=4", 0},
      {"foo=*", 0},
      {"foo=bar", 0},
      {"ct", 1},
      {"rt=", 0},
      {"=", 0},
  };
  for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
    const int n = count(copal_span_str(SENSORS), ROWS[i].filter);
    if (n != ROWS[i].matches)
      fail_msg("%s: %d", ROWS[i].filter, n);
  }
}

static void filter_compares_decoded_quoted_strings(void **state)
{
  (void)state;
  const copal_span document = LIT("</a>;title=\"say \\\"x\\\"\";rt=\"\";obs,</b>;ct=\"0 41\"");
  assert_int_equal(count(document, "title=say \"x\""), 1);
  assert_int_equal(count(document, "title=say \"*"), 1);
  assert_int_equal(count(document, "title=say \\\"x\\\""), 0);
  assert_int_equal(count(document, "rt=*"), 1);
  assert_int_equal(count(document, "obs"), 1);
  assert_int_equal(count(document, "obs=*"), 1);
  assert_int_equal(count(document, "ct=41"), 1);
  assert_int_equal(count(document, "ct=0"), 1);
  assert_true(copal_link_value_is(LIT("a\\\\b"), LIT("a\\b"), false));
  assert_true(copal_link_value_is(LIT("abc"), LIT("ab"), true));
  assert_false(copal_link_value_is(LIT("abc"), LIT("ab"), false));
  assert_false(copal_link_value_is(LIT("ab"), LIT("abc"), true));
}

static void rfc6690_2_attributes_one_by_one(void **state)
{
  (void)state;
  copal_link_iter it = copal_link_iter_init(LIT("<a,b>;obs;sz=10;title=\"a;b,c\";t*=UTF-8''x"));
  copal_link link;
  copal_link_attr attr;
  size_t pos = 0;
  assert_true(copal_link_next(&it, &link));
  assert_true(copal_span_is_equal(link.target, LIT("a,b")));
  assert_true(copal_link_attr_next(&link, &pos, &attr));
  assert_true(copal_span_is_equal(attr.name, LIT("obs")) && !attr.has_value);
  assert_true(copal_link_attr_next(&link, &pos, &attr));
  assert_true(copal_span_is_equal(attr.value, LIT("10")) && !attr.is_quoted);
  assert_true(copal_link_attr_next(&link, &pos, &attr));
  assert_true(copal_span_is_equal(attr.value, LIT("a;b,c")) && attr.is_quoted);
  assert_true(copal_link_attr_next(&link, &pos, &attr));
  assert_true(copal_span_is_equal(attr.name, LIT("t*")));
  assert_false(copal_link_attr_next(&link, &pos, &attr));
  assert_true(copal_link_attr_find(&link, LIT("sz"), &attr));
  assert_false(copal_link_attr_find(&link, LIT("s"), &attr));
  assert_false(copal_link_next(&it, &link));
  assert_int_equal(it.rd.err, COPAL_OK);
}

static void rfc6690_2_bad_documents_are_refused(void **state)
{
  (void)state;
  static const char *const BAD_ONES[] = {"a",
                                         "<a",
                                         "</a b>",
                                         "<a>x",
                                         "<a>,",
                                         ",<a>",
                                         "<a>;",
                                         "<a>;=1",
                                         "<a>;b=",
                                         "<a>;b=\"",
                                         "<a>;b=c\"",
                                         "<a>;b=\"c\"d",
                                         "<a>;b=\"c",
                                         "<a>;b=\"c\\",
                                         "<a>;b=\"\n\"",
                                         "<a>; b",
                                         "<a> ;b",
                                         "<a>, <b>",
                                         "<a>;b=\x7f",
                                         "<a%4>",
                                         "<a>;b c",
                                         "<a>;b=\\",
                                         "<a>;*=a",
                                         "<a>;b**=c",
                                         "<\xc3\xa9>",
                                         "<a>;b=\"\x01\"",
                                         "<a>;\xc3=1",
                                         "<a><b>"};
  for (size_t i = 0; i < sizeof BAD_ONES / sizeof BAD_ONES[0]; i++) {
    if (count(copal_span_str(BAD_ONES[i]), "") != COPAL_ELINK)
      fail_msg("%s", BAD_ONES[i]);
  }
}

static void every_prefix_inside_a_link_is_refused(void **state)
{
  (void)state;
  const copal_span document = LIT("</a>;rt=\"x y\";b,<c>");
  static const size_t GOOD[] = {0, 4, 6, 7, 13, 15, 19};
  for (size_t len = 0; len <= document.len; len++) {
    bool is_good = false;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++)
      is_good = is_good || GOOD[i] == len;
    if ((count(copal_span_of(document.ptr, len), "") >= 0) != is_good)
      fail_msg("%zu bytes", len);
  }
}

static void error_stands_near_the_byte(void **state)
{
  (void)state;
  const copal_span document = LIT("</a>,</b>;x=\"y");
  copal_link_iter it = copal_link_iter_init(document);
  copal_link link;
  assert_true(copal_link_next(&it, &link));
  assert_false(copal_link_next(&it, &link));
  assert_int_equal(it.rd.err, COPAL_ELINK);
  assert_int_equal(it.rd.ptr - document.ptr, 14);
  assert_false(copal_link_next(&it, &link));
}

static void writer_separates_and_escapes(void **state)
{
  (void)state;
  uint8_t buf[128];
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  copal_link_wr l = copal_link_wr_init(&w);
  copal_link_put(&l, LIT("/a"));
  copal_link_put_text(&l, LIT("title"), LIT("\"x\\\n"));
  copal_link_put_uint(&l, LIT("sz"), UINT32_MAX);
  copal_link_put_uint(&l, LIT("ct"), 0);
  copal_link_put_flag(&l, LIT("obs"));
  copal_link_put(&l, LIT("/b"));
  assert_int_equal(w.err, COPAL_OK);
  assert_true(copal_span_is_equal(copal_wr_done(&w),
                                  LIT("</a>;title=\"\\\"x\\\\\\\n\";sz=4294967295;ct=0;obs,</b>")));
  assert_int_equal(count(copal_wr_done(&w), "title=\"x\\\n"), 1);
  w = copal_wr_init((copal_mspan){buf, 3});
  l = copal_link_wr_init(&w);
  copal_link_put(&l, LIT("/a"));
  assert_int_equal(w.err, COPAL_ENOSPC);
}

/* Any text survives being written as an attribute and read back. */
static void parse_after_write_is_identity(void **state)
{
  (void)state;
  prng p = prng_init();
  for (int round = 0; round < 5000; round++) {
    uint8_t text[24], buf[128];
    copal_span value = copal_span_of(text, prng_below(&p, sizeof text + 1));
    prng_fill(&p, text, sizeof text);
    copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
    copal_link_wr l = copal_link_wr_init(&w);
    copal_link_put(&l, LIT("/x"));
    copal_link_put_text(&l, LIT("t"), value);
    copal_link_put(&l, LIT("/y"));
    copal_link_iter it = copal_link_iter_init(copal_wr_done(&w));
    copal_link link;
    copal_link_attr attr;
    assert_true(copal_link_next(&it, &link));
    assert_true(copal_link_attr_find(&link, LIT("t"), &attr));
    assert_true(copal_link_value_is(attr.value, value, false));
    assert_true(copal_link_next(&it, &link));
    assert_false(copal_link_next(&it, &link));
    assert_int_equal(it.rd.err, COPAL_OK);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc6690_5_examples_parse),
      cmocka_unit_test(rfc6690_4_1_filters_of_the_examples),
      cmocka_unit_test(filter_compares_decoded_quoted_strings),
      cmocka_unit_test(rfc6690_2_attributes_one_by_one),
      cmocka_unit_test(rfc6690_2_bad_documents_are_refused),
      cmocka_unit_test(every_prefix_inside_a_link_is_refused),
      cmocka_unit_test(error_stands_near_the_byte),
      cmocka_unit_test(writer_separates_and_escapes),
      cmocka_unit_test(parse_after_write_is_identity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
