/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of a load run, read back. RFC 7252 section 3, RFC 7959. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/copal/load/shape.h"
#include "copal/block.h"
#include "copal/error.h"
#include "copal/registry.h"

static uint8_t bytes[SHAPE_DATAGRAM_MAX];

static copal_msg put(const shape *s, const shape_call *c)
{
  copal_msg m;
  copal_wr w = copal_wr_init((copal_mspan){bytes, sizeof bytes});
  assert_int_equal(shape_put(s, c, &w), COPAL_OK);
  assert_int_equal(copal_msg_parse(copal_wr_done(&w), &m), COPAL_OK);
  return m;
}

static void has_text(copal_span value, const char *text)
{
  assert_int_equal(value.len, strlen(text));
  assert_memory_equal(value.ptr, text, value.len);
}

static copal_block block_of(const copal_msg *m, uint16_t number)
{
  copal_span value;
  copal_block b;
  assert_true(copal_opt_find(m->options, number, &value));
  assert_int_equal(copal_block_parse(value, &b), COPAL_OK);
  return b;
}

static void a_mark_stands_for_every_number_sign(void **state)
{
  (void)state;
  buf out = {0};
  assert_true(shape_mark("host/a%d/b?n=%d", &out));
  assert_string_equal(buf_str(&out), "host/a%01/b?n=%01");
  buf_wipe(&out);
  assert_false(shape_mark("host/a%20b", &out));
  assert_string_equal(buf_str(&out), "host/a%20b");
  buf_wipe(&out);
}

static void the_number_takes_the_place_of_the_mark(void **state)
{
  (void)state;
  optset options = {0};
  optset_add(&options, COPAL_OPT_URI_PATH, copal_span_str("dev\001x\001"));
  const shape s = {.type = COPAL_NON, .code = COPAL_CODE_GET, .options = &options, .szx = 6};
  const copal_msg m = put(&s, &(shape_call){.mid = 77, .token = 5, .number = 1234567, .szx = 6});
  copal_span value;
  assert_true(copal_opt_find(m.options, COPAL_OPT_URI_PATH, &value));
  has_text(value, "dev1234567x1234567");
  assert_int_equal(m.type, COPAL_NON);
  assert_int_equal(m.mid, 77);
  assert_int_equal(m.token.len, SHAPE_TOKEN_SIZE);
  assert_int_equal(m.payload.len, 0);
  optset_wipe(&options);
}

static void a_value_that_grows_too_long_is_refused(void **state)
{
  (void)state;
  char marks[200];
  optset options = {0};
  memset(marks, SHAPE_MARK, sizeof marks);
  optset_add(&options, COPAL_OPT_URI_QUERY, copal_span_of(marks, sizeof marks));
  const shape s = {.code = COPAL_CODE_GET, .options = &options, .szx = 6};
  copal_wr w = copal_wr_init((copal_mspan){bytes, sizeof bytes});
  const shape_call c = {.number = 1234567, .szx = 6};
  assert_int_equal(shape_put(&s, &c, &w), COPAL_ENOSPC);
  optset_wipe(&options);
}

static void rfc7959_2_a_body_goes_in_blocks_with_its_size(void **state)
{
  (void)state;
  optset options = {0};
  const shape s = {.code = COPAL_CODE_PUT,
                   .options = &options,
                   .body = copal_span_str("0123456789abcdef0123456789abcdefXY"),
                   .szx = 0};
  shape_call c = {.tag = 9};
  copal_msg m = put(&s, &c);
  copal_block b = block_of(&m, COPAL_OPT_BLOCK1);
  assert_true(b.num == 0 && b.more && b.szx == 0);
  assert_int_equal(copal_opt_uint_or(m.options, COPAL_OPT_SIZE1, 0), 34);
  assert_int_equal(copal_opt_uint_or(m.options, COPAL_OPT_REQUEST_TAG, 0), 9);
  assert_int_equal(m.payload.len, 16);
  assert_false(shape_is_last(&s, &c));
  c.upload = 2;
  m = put(&s, &c);
  b = block_of(&m, COPAL_OPT_BLOCK1);
  assert_true(b.num == 2 && !b.more);
  has_text(m.payload, "XY");
  assert_true(shape_is_last(&s, &c));
}

static void rfc7959_3_3_asking_for_a_further_block_repeats_no_body_but_of_fetch(void **state)
{
  (void)state;
  optset options = {0};
  shape s = {
      .code = COPAL_CODE_POST, .options = &options, .body = copal_span_str("query"), .szx = 2};
  const shape_call c = {.download = 3, .szx = 2};
  copal_msg m = put(&s, &c);
  const copal_block b = block_of(&m, COPAL_OPT_BLOCK2);
  assert_true(b.num == 3 && !b.more && b.szx == 2);
  assert_int_equal(m.payload.len, 0);
  s.code = COPAL_CODE_FETCH;
  m = put(&s, &c);
  has_text(m.payload, "query");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_mark_stands_for_every_number_sign),
      cmocka_unit_test(the_number_takes_the_place_of_the_mark),
      cmocka_unit_test(a_value_that_grows_too_long_is_refused),
      cmocka_unit_test(rfc7959_2_a_body_goes_in_blocks_with_its_size),
      cmocka_unit_test(rfc7959_3_3_asking_for_a_further_block_repeats_no_body_but_of_fetch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
