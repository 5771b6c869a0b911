/* SPDX-License-Identifier: Apache-2.0 */
/* Error responses of the endpoint itself, byte by byte. RFC 7252 section 5.5.2, RFC 9290. */
#include "unit/core/proto/fixture.h"

#include "core/proto/refusal.h"

static void expect_text(const refusal *f, copal_code code, const char *text)
{
  assert_int_equal(f->response.code, code);
  assert_int_equal(f->response.payload.len, strlen(text));
  assert_memory_equal(f->response.payload.ptr, text, strlen(text));
  assert_int_equal(f->response.total, 0);
}

static void rfc7252_5_9_each_error_has_code_and_text(void **state)
{
  static const struct {
    int err;
    copal_code code;
    const char *text;
  } all[] = {
      {COPAL_EBLOCK, COPAL_CODE_BAD_REQUEST, "no such block"},
      {COPAL_ETOKEN, COPAL_CODE_BAD_REQUEST, "token too long"},
      {COPAL_EPROXY, COPAL_CODE_PROXYING_NOT_SUPPORTED, "this is not a proxy"},
      {COPAL_ETOOBIG, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE, "body too large"},
      {COPAL_ENOTFOUND, COPAL_CODE_NOT_FOUND, "no such resource"},
      {COPAL_EINVAL, COPAL_CODE_INTERNAL_SERVER_ERROR, "the server failed"},
      {COPAL_ETIMEDOUT, COPAL_CODE_INTERNAL_SERVER_ERROR, "the server failed"},
      {COPAL_EFORMAT, COPAL_CODE_INTERNAL_SERVER_ERROR, "the server failed"},
      {-1000, COPAL_CODE_INTERNAL_SERVER_ERROR, "the server failed"},
  };
  refusal f;
  (void)state;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    refusal_make(&f, all[i].err, 0, false);
    expect_text(&f, all[i].code, all[i].text);
    assert_int_equal(f.response.opt_count, 0);
  }
}

static void rfc7252_5_9_3_4_unavailable_says_when_to_try_again(void **state)
{
  refusal f;
  (void)state;
  refusal_make(&f, COPAL_ENOSLOT, 0, false);
  expect_text(&f, COPAL_CODE_SERVICE_UNAVAILABLE, "busy, try again");
  assert_int_equal(f.response.opt_count, 1);
  assert_int_equal(f.response.opts[0].number, COPAL_OPT_MAX_AGE);
  assert_int_equal(f.response.opts[0].value.len, 1);
  assert_int_equal(f.response.opts[0].value.ptr[0], 1);
}

static void rfc7252_5_4_1_the_option_is_named_in_decimal(void **state)
{
  static const struct {
    uint16_t number;
    const char *text;
  } all[] = {
      {0, "unsupported critical option 0"},         {9, "unsupported critical option 9"},
      {10, "unsupported critical option 10"},       {99, "unsupported critical option 99"},
      {101, "unsupported critical option 101"},     {2053, "unsupported critical option 2053"},
      {10001, "unsupported critical option 10001"}, {65535, "unsupported critical option 65535"},
  };
  refusal f;
  (void)state;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    refusal_make(&f, COPAL_EOPTION, all[i].number, false);
    expect_text(&f, COPAL_CODE_BAD_OPTION, all[i].text);
  }
}

static void rfc9290_2_problem_details_are_cbor(void **state)
{
  static const uint8_t title[] = "\xa1\x20\x78\x0d"
                                 "no such block";
  static const uint8_t option[] = {0xa1, 0x27, 0x19, 0x08, 0x05};
  refusal f;
  (void)state;
  refusal_make(&f, COPAL_EBLOCK, 0, true);
  assert_int_equal(f.response.code, COPAL_CODE_BAD_REQUEST);
  assert_int_equal(f.response.payload.len, sizeof title - 1);
  assert_memory_equal(f.response.payload.ptr, title, sizeof title - 1);
  assert_int_equal(f.response.opt_count, 1);
  assert_int_equal(f.response.opts[0].number, COPAL_OPT_CONTENT_FORMAT);
  assert_int_equal(f.response.opts[0].value.len, 2);
  assert_memory_equal(f.response.opts[0].value.ptr, "\x01\x01", 2); /* 257 */

  refusal_make(&f, COPAL_EOPTION, 2053, true);
  assert_int_equal(f.response.payload.len, sizeof option);
  assert_memory_equal(f.response.payload.ptr, option, sizeof option);
}

static void options_are_sorted(void **state)
{
  refusal f;
  (void)state;
  refusal_make(&f, COPAL_ENOSLOT, 0, true);
  assert_int_equal(f.response.opt_count, 2);
  assert_int_equal(f.response.opts[0].number, COPAL_OPT_CONTENT_FORMAT);
  assert_int_equal(f.response.opts[1].number, COPAL_OPT_MAX_AGE);
}

/* No text is cut: the storage holds the longest of all. */
static void every_error_fits_its_storage(void **state)
{
  refusal f;
  (void)state;
  for (int err = -1; err > -COPAL_ERR_COUNT; err--) {
    for (int wants_problem = 0; wants_problem <= 1; wants_problem++) {
      refusal_make(&f, err, UINT16_MAX, wants_problem != 0);
      assert_in_range(f.response.payload.len, 1, REFUSAL_TEXT_SIZE - 1);
      assert_true(copal_code_class(f.response.code) >= COPAL_CLASS_CLIENT_ERROR);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_5_9_each_error_has_code_and_text),
      cmocka_unit_test(rfc7252_5_9_3_4_unavailable_says_when_to_try_again),
      cmocka_unit_test(rfc7252_5_4_1_the_option_is_named_in_decimal),
      cmocka_unit_test(rfc9290_2_problem_details_are_cbor),
      cmocka_unit_test(options_are_sorted),
      cmocka_unit_test(every_error_fits_its_storage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
