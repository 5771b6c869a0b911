/* SPDX-License-Identifier: Apache-2.0 */
/* Codes and registries. RFC 7252 sections 3, 5.4.6 and 12. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/code.h"
#include "copal/error.h"
#include "copal/option.h"
#include "copal/registry.h"

static void rfc7252_3_code_has_class_and_detail(void **state)
{
  (void)state;
  char text[5];
  assert_int_equal(copal_code_of(4, 4), COPAL_CODE_NOT_FOUND);
  assert_int_equal(COPAL_CODE_CONTENT, 69);
  copal_code_format(COPAL_CODE_CONTENT, text);
  assert_string_equal(text, "2.05");
  copal_code_format(COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT, text);
  assert_string_equal(text, "4.15");
  copal_code_format(COPAL_CODE_TOO_MANY_REQUESTS, text);
  assert_string_equal(text, "4.29");
  copal_code_format(0xff, text);
  assert_string_equal(text, "7.31");
}

static void rfc7252_5_1_get_and_fetch_are_safe(void **state)
{
  (void)state;
  for (unsigned c = 0; c < 256; c++)
    assert_int_equal(copal_code_is_safe((copal_code)c), c == 1 || c == 5);
}

static void code_names_are_those_registered(void **state)
{
  (void)state;
  assert_string_equal(copal_code_name(COPAL_CODE_GET), "GET");
  assert_string_equal(copal_code_name(COPAL_CODE_IPATCH), "iPATCH");
  assert_string_equal(copal_code_name(COPAL_CODE_REQUEST_ENTITY_INCOMPLETE),
                      "Request Entity Incomplete");
  assert_string_equal(copal_code_name(COPAL_CODE_ABORT), "Abort");
  assert_null(copal_code_name(copal_code_of(2, 6)));
}

static void rfc7252_5_4_6_number_tells_properties(void **state)
{
  (void)state;
  assert_true(copal_opt_is_critical(COPAL_OPT_URI_PATH));
  assert_false(copal_opt_is_critical(COPAL_OPT_ETAG));
  assert_true(copal_opt_is_unsafe(COPAL_OPT_MAX_AGE));
  assert_false(copal_opt_is_unsafe(COPAL_OPT_CONTENT_FORMAT));
  assert_true(copal_opt_is_no_cache_key(COPAL_OPT_SIZE1));
  assert_true(copal_opt_is_no_cache_key(COPAL_OPT_SIZE2));
  assert_false(copal_opt_is_no_cache_key(COPAL_OPT_ACCEPT));
}

static void option_definitions_are_those_registered(void **state)
{
  (void)state;
  copal_opt_def def;
  assert_true(copal_opt_def_find(COPAL_OPT_PROXY_URI, &def));
  assert_int_equal(def.min_len, 1);
  assert_int_equal(def.max_len, 1034);
  assert_int_equal(def.format, COPAL_OPT_STRING);
  assert_false(def.repeatable);
  assert_true(copal_opt_def_find(COPAL_OPT_IF_MATCH, &def));
  assert_int_equal(def.number, 1);
  assert_int_equal(def.min_len, 0);
  assert_int_equal(def.max_len, 8);
  assert_true(def.repeatable);
  assert_true(copal_opt_def_find(COPAL_OPT_OCF_CONTENT_FORMAT_VERSION, &def));
  assert_int_equal(def.min_len, 2);
  assert_false(copal_opt_def_find(0, &def));
  assert_false(copal_opt_def_find(COPAL_OPT_RESERVED_128, &def));
  assert_false(copal_opt_def_find(65535, &def));
}

static void option_names_are_found_both_ways(void **state)
{
  (void)state;
  assert_string_equal(copal_opt_name(COPAL_OPT_URI_PATH), "Uri-Path");
  assert_null(copal_opt_name(2));
  assert_int_equal(copal_opt_number_of("uri-path"), COPAL_OPT_URI_PATH);
  assert_int_equal(copal_opt_number_of("URI-QUERY"), COPAL_OPT_URI_QUERY);
  assert_int_equal(copal_opt_number_of("uri"), COPAL_ENOTFOUND);
  assert_int_equal(copal_opt_number_of("uri-pathx"), COPAL_ENOTFOUND);
  assert_int_equal(copal_opt_number_of(""), COPAL_ENOTFOUND);
}

static void rfc7252_12_3_content_formats_are_found_both_ways(void **state)
{
  (void)state;
  assert_string_equal(copal_cf_name(COPAL_CF_TEXT_PLAIN), "text/plain;charset=utf-8");
  assert_string_equal(copal_cf_name(50), "application/json");
  assert_null(copal_cf_name(65535));
  assert_int_equal(copal_cf_of("text/plain"), 0);
  assert_int_equal(copal_cf_of("text/plain; charset=UTF-8"), 0);
  assert_int_equal(copal_cf_of("json"), 50);
  assert_int_equal(copal_cf_of("Application/CBOR"), 60);
  assert_int_equal(copal_cf_of("application/json;coding=deflate"), 11050);
  assert_int_equal(copal_cf_of("senml+cbor"), 112);
  assert_int_equal(copal_cf_of("link-format"), 40);
  assert_int_equal(copal_cf_of("application/yang-data+cbor"), 340);
  assert_int_equal(copal_cf_of("application/cose;cose-type=\"cose-mac0\""), 17);
  assert_int_equal(copal_cf_of("text"), COPAL_ENOTFOUND);
  assert_int_equal(copal_cf_of("application/js"), COPAL_ENOTFOUND);
  assert_int_equal(copal_cf_of(""), COPAL_ENOTFOUND);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_3_code_has_class_and_detail),
      cmocka_unit_test(rfc7252_5_1_get_and_fetch_are_safe),
      cmocka_unit_test(code_names_are_those_registered),
      cmocka_unit_test(rfc7252_5_4_6_number_tells_properties),
      cmocka_unit_test(option_definitions_are_those_registered),
      cmocka_unit_test(option_names_are_found_both_ways),
      cmocka_unit_test(rfc7252_12_3_content_formats_are_found_both_ways),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
