/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing with a sticky error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/cursor.h"
#include "copal/error.h"
#include "unit/core/wire/sample.h"

static void reader_yields_big_endian_values(void **state)
{
  (void)state;
  copal_rd r = copal_rd_init(LIT("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"));
  assert_int_equal(copal_rd_u8(&r), 1);
  assert_int_equal(copal_rd_u16(&r), 0x0203);
  assert_int_equal(copal_rd_be(&r, 0), 0);
  assert_int_equal(copal_rd_be(&r, 3), 0x040506);
  assert_int_equal(copal_rd_be(&r, 4), 0x0708090a);
  assert_int_equal(r.left, 0);
  assert_int_equal(r.err, COPAL_OK);
}

static void reader_keeps_failing_after_the_first_error(void **state)
{
  (void)state;
  copal_rd r = copal_rd_init(LIT("\x01\x02\x03"));
  assert_int_equal(copal_rd_be(&r, 4), 0);
  assert_int_equal(r.err, COPAL_EFORMAT);
  assert_int_equal(copal_rd_u8(&r), 0);
  assert_int_equal(copal_rd_span(&r, 1).len, 0);
  assert_int_equal(copal_rd_rest(&r).len, 0);
  assert_int_equal(r.err, COPAL_EFORMAT);
}

static void reader_refuses_integers_above_four_bytes(void **state)
{
  (void)state;
  copal_rd r = copal_rd_init(LIT("\0\0\0\0\0\0"));
  assert_int_equal(copal_rd_be(&r, 5), 0);
  assert_int_equal(r.err, COPAL_EFORMAT);
}

static void sub_reader_is_bounded_and_inherits_failure(void **state)
{
  (void)state;
  copal_rd r = copal_rd_init(LIT("abcdef"));
  copal_rd sub = copal_rd_sub(&r, 2);
  assert_int_equal(copal_rd_u16(&sub), 'a' << 8 | 'b');
  assert_int_equal(copal_rd_u8(&sub), 0);
  assert_int_equal(sub.err, COPAL_EFORMAT);
  assert_int_equal(r.err, COPAL_OK);
  assert_int_equal(copal_rd_u8(&r), 'c');
  sub = copal_rd_sub(&r, 4);
  assert_int_equal(sub.err, COPAL_EFORMAT);
  assert_int_equal(sub.left, 0);
}

static void reader_over_nothing_fails_cleanly(void **state)
{
  (void)state;
  copal_rd r = copal_rd_init(copal_span_none());
  assert_int_equal(copal_rd_span(&r, 0).len, 0);
  assert_int_equal(r.err, COPAL_OK);
  assert_int_equal(copal_rd_u8(&r), 0);
  assert_int_equal(r.err, COPAL_EFORMAT);
}

/* Nothing is written, not even nothing to where NULL is. */
static void writer_over_nothing_fails_cleanly(void **state)
{
  (void)state;
  copal_wr w = copal_wr_init((copal_mspan){NULL, 0});
  copal_wr_span(&w, copal_span_none());
  assert_int_equal(w.err, COPAL_OK);
  copal_wr_u8(&w, 1);
  assert_int_equal(w.err, COPAL_ENOSPC);
  copal_wr_span(&w, copal_span_none());
  assert_int_equal(w.err, COPAL_ENOSPC);
  assert_int_equal(copal_wr_done(&w).len, 0);
}

static void writer_fills_exactly_and_then_refuses(void **state)
{
  (void)state;
  uint8_t buf[8];
  copal_wr w = copal_wr_init((copal_mspan){buf, 7});
  copal_wr_u8(&w, 1);
  copal_wr_u16(&w, 0x0203);
  copal_wr_be(&w, 0x11040506, 3);
  copal_wr_span(&w, LIT("x"));
  assert_int_equal(w.err, COPAL_OK);
  assert_memory_equal(buf, "\1\2\3\4\5\6x", 7);
  copal_wr_span(&w, copal_span_none());
  assert_int_equal(w.err, COPAL_OK);
  copal_wr_u8(&w, 9);
  assert_int_equal(w.err, COPAL_ENOSPC);
  assert_int_equal(copal_wr_done(&w).len, 7);
}

static void writer_appends_nothing_after_an_error(void **state)
{
  (void)state;
  uint8_t buf[4] = {0};
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  copal_wr_span(&w, LIT("12345"));
  assert_int_equal(w.err, COPAL_ENOSPC);
  copal_wr_u8(&w, 1);
  copal_wr_patch(&w, 0, 0xff, 1);
  assert_int_equal(w.len, 0);
  assert_int_equal(buf[0], 0);
}

static void writer_refuses_integers_above_four_bytes(void **state)
{
  (void)state;
  uint8_t buf[8];
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  copal_wr_be(&w, 1, 5);
  assert_int_equal(w.err, COPAL_EINVAL);
}

static void mark_is_patched_later(void **state)
{
  (void)state;
  uint8_t buf[4];
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  copal_wr_u8(&w, 'a');
  const size_t mark = copal_wr_mark(&w, 2);
  copal_wr_u8(&w, 'b');
  copal_wr_patch(&w, mark, 0x1234, 2);
  assert_memory_equal(buf,
                      "a\x12\x34"
                      "b",
                      4);
}

static void rfc7252_3_2_uint_has_no_leading_zeros(void **state)
{
  (void)state;
  assert_int_equal(copal_uint_size(0), 0);
  assert_int_equal(copal_uint_size(1), 1);
  assert_int_equal(copal_uint_size(255), 1);
  assert_int_equal(copal_uint_size(256), 2);
  assert_int_equal(copal_uint_size(0xffff), 2);
  assert_int_equal(copal_uint_size(0x10000), 3);
  assert_int_equal(copal_uint_size(0x1000000), 4);
  assert_int_equal(copal_uint_size(UINT32_MAX), 4);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reader_yields_big_endian_values),
      cmocka_unit_test(reader_keeps_failing_after_the_first_error),
      cmocka_unit_test(reader_refuses_integers_above_four_bytes),
      cmocka_unit_test(sub_reader_is_bounded_and_inherits_failure),
      cmocka_unit_test(reader_over_nothing_fails_cleanly),
      cmocka_unit_test(writer_over_nothing_fails_cleanly),
      cmocka_unit_test(writer_fills_exactly_and_then_refuses),
      cmocka_unit_test(writer_appends_nothing_after_an_error),
      cmocka_unit_test(writer_refuses_integers_above_four_bytes),
      cmocka_unit_test(mark_is_patched_later),
      cmocka_unit_test(rfc7252_3_2_uint_has_no_leading_zeros),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
