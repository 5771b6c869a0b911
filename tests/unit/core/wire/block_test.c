/* SPDX-License-Identifier: Apache-2.0 */
/* Block option values. RFC 7959 section 2.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/block.h"
#include "copal/error.h"
#include "copal/option.h"
#include "unit/core/wire/sample.h"

static void rfc7959_2_2_values_of_each_length(void **state)
{
  (void)state;
  copal_block b;
  assert_int_equal(copal_block_parse(copal_span_none(), &b), COPAL_OK);
  assert_true(b.num == 0 && !b.more && b.szx == 0);
  assert_int_equal(copal_block_parse(LIT("\x0e"), &b), COPAL_OK);
  assert_true(b.num == 0 && b.more && b.szx == 6);
  assert_int_equal(copal_block_parse(LIT("\x12\x33"), &b), COPAL_OK);
  assert_true(b.num == 0x123 && !b.more && b.szx == 3);
  assert_int_equal(copal_block_parse(LIT("\xff\xff\xfe"), &b), COPAL_OK);
  assert_true(b.num == COPAL_BLOCK_NUM_MAX && b.more && b.szx == 6);
  assert_int_equal(copal_block_parse(LIT("\x00\x00\x00\x01"), &b), COPAL_EFORMAT);
}

static void rfc7959_2_2_szx_7_is_reserved_on_datagrams(void **state)
{
  (void)state;
  copal_block b;
  assert_int_equal(copal_block_parse(LIT("\x07"), &b), COPAL_EBLOCK);
  assert_int_equal(copal_block_parse_reliable(LIT("\x1f"), &b), COPAL_OK);
  assert_true(b.num == 1 && b.more && b.szx == COPAL_SZX_BERT);
  assert_int_equal(copal_block_size(b.szx), 1024);
  assert_int_equal(copal_block_offset(b), 1024);
  assert_int_equal(copal_block_parse_reliable(LIT("\0\0\0\0"), &b), COPAL_EFORMAT);
}

static void rfc7959_2_2_sizes_and_offsets(void **state)
{
  (void)state;
  assert_int_equal(copal_block_size(0), 16);
  assert_int_equal(copal_block_size(6), 1024);
  assert_int_equal(copal_block_offset((copal_block){.num = 3, .szx = 2}), 192);
  assert_int_equal(copal_block_offset((copal_block){.num = COPAL_BLOCK_NUM_MAX, .szx = 6}),
                   1073740800);
  assert_int_equal(copal_block_szx_for(0), 0);
  assert_int_equal(copal_block_szx_for(31), 0);
  assert_int_equal(copal_block_szx_for(32), 1);
  assert_int_equal(copal_block_szx_for(1023), 5);
  assert_int_equal(copal_block_szx_for(1024), 6);
  assert_int_equal(copal_block_szx_for(SIZE_MAX), 6);
}

static void parse_after_write_is_identity(void **state)
{
  (void)state;
  prng p = prng_init();
  for (int round = 0; round < 10000; round++) {
    const copal_block b = {.num = prng_below(&p, 1u << prng_below(&p, 21)),
                           .more = prng_below(&p, 2) == 1,
                           .szx = (uint8_t)prng_below(&p, 8)};
    uint8_t buf[8];
    copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
    copal_opt_wr o = copal_opt_wr_init(&w);
    copal_opt_put_uint(&o, 23, copal_block_value(b));
    copal_span value;
    copal_block back;
    assert_true(copal_opt_find(copal_wr_done(&w), 23, &value));
    assert_int_equal(copal_block_parse_reliable(value, &back), COPAL_OK);
    assert_true(back.num == b.num && back.more == b.more && back.szx == b.szx);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7959_2_2_values_of_each_length),
      cmocka_unit_test(rfc7959_2_2_szx_7_is_reserved_on_datagrams),
      cmocka_unit_test(rfc7959_2_2_sizes_and_offsets),
      cmocka_unit_test(parse_after_write_is_identity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
