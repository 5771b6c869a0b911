/* SPDX-License-Identifier: Apache-2.0 */
/* What a stored representation is shown with: ETag, Content-Format, Max-Age. RFC 7252
 * sections 5.4.4, 5.9.1.3 and 5.10.5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "copal/registry.h"
#include "service/representation.h"

static handler_limits limits;
static handler_env env;
static store_item item;
static representation shown;

enum { ABSENT = -1, WRITTEN_S = 1000 };

static copal_time at(uint32_t seconds)
{
  return (WRITTEN_S + (copal_time)seconds) * COPAL_SECOND;
}

static int setup(void **state)
{
  (void)state;
  limits = (handler_limits){.default_max_age_s = 60};
  env = (handler_env){.limits = &limits};
  item = (store_item){.content_format = 50,
                      .max_age_s = STORE_NO_MAX_AGE,
                      .etag = {{1, 2, 3, 4, 5, 6, 7, 8}},
                      .written = at(0),
                      .body = copal_span_str("{}")};
  return 0;
}

static long long option(uint16_t number)
{
  uint32_t value;
  for (size_t i = 0; i < shown.response.opt_count; i++) {
    if (shown.response.opts[i].number == number) {
      assert_int_equal(copal_opt_uint(shown.response.opts[i].value, &value), COPAL_OK);
      return value;
    }
  }
  return ABSENT;
}

static void show(uint32_t age_s)
{
  representation_show(&shown, &env, &item, item.content_format, item.body, at(age_s));
}

static void rfc7252_5_9_1_3_a_representation_is_content_with_its_etag(void **state)
{
  (void)state;
  show(0);
  assert_int_equal(shown.response.code, COPAL_CODE_CONTENT);
  assert_int_equal(shown.response.opts[0].number, COPAL_OPT_ETAG);
  assert_int_equal(shown.response.opts[0].value.len, STORE_ETAG_SIZE);
  assert_memory_equal(shown.response.opts[0].value.ptr, item.etag.bytes, STORE_ETAG_SIZE);
  assert_int_equal(option(COPAL_OPT_CONTENT_FORMAT), 50);
  assert_ptr_equal(shown.response.payload.ptr, item.body.ptr);
  assert_int_equal(shown.response.payload.len, 2);
}

static void without_a_content_format_there_is_no_option(void **state)
{
  (void)state;
  item.content_format = STORE_NO_FORMAT;
  show(0);
  assert_int_equal(option(COPAL_OPT_CONTENT_FORMAT), ABSENT);
}

static void rfc7252_5_10_5_max_age_is_what_is_left_of_the_writers(void **state)
{
  (void)state;
  item.max_age_s = 100;
  const struct {
    uint32_t age;
    long long left;
  } cases[] = {{0, 100}, {1, 99}, {99, 1}, {100, 0}, {101, 0}, {1000000, 0}, {40, ABSENT}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    show(cases[i].age);
    assert_true(option(COPAL_OPT_MAX_AGE) == cases[i].left);
  }
}

static void a_clock_that_is_behind_the_writers_adds_nothing(void **state)
{
  (void)state;
  item.max_age_s = 100;
  representation_show(&shown, &env, &item, 50, item.body, at(0) - 1);
  assert_int_equal(option(COPAL_OPT_MAX_AGE), 100);
}

static void rfc7252_5_4_4_the_default_max_age_is_left_out(void **state)
{
  (void)state;
  show(30);
  assert_int_equal(option(COPAL_OPT_MAX_AGE), ABSENT);
  limits.default_max_age_s = 10;
  show(30);
  assert_int_equal(option(COPAL_OPT_MAX_AGE), 10);
  item.max_age_s = 60;
  show(0);
  assert_int_equal(option(COPAL_OPT_MAX_AGE), ABSENT);
}

static void rfc7252_5_9_1_3_what_the_client_has_is_confirmed(void **state)
{
  (void)state;
  item.max_age_s = 100;
  representation_confirm(&shown, &env, &item, at(10));
  assert_int_equal(shown.response.code, COPAL_CODE_VALID);
  assert_int_equal(shown.response.opts[0].number, COPAL_OPT_ETAG);
  assert_int_equal(option(COPAL_OPT_CONTENT_FORMAT), ABSENT);
  assert_int_equal(option(COPAL_OPT_MAX_AGE), 90);
  assert_int_equal(shown.response.payload.len, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(rfc7252_5_9_1_3_a_representation_is_content_with_its_etag, setup),
      cmocka_unit_test_setup(without_a_content_format_there_is_no_option, setup),
      cmocka_unit_test_setup(rfc7252_5_10_5_max_age_is_what_is_left_of_the_writers, setup),
      cmocka_unit_test_setup(a_clock_that_is_behind_the_writers_adds_nothing, setup),
      cmocka_unit_test_setup(rfc7252_5_4_4_the_default_max_age_is_left_out, setup),
      cmocka_unit_test_setup(rfc7252_5_9_1_3_what_the_client_has_is_confirmed, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
