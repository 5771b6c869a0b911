/* SPDX-License-Identifier: Apache-2.0 */
/* The order of blocks in a Block1 transfer. RFC 7959 sections 2.3, 2.5 and 2.9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "copal/assembly.h"

enum { LIMIT = 4096 };

static copal_assembly a;
static copal_assembly_step step;

/* What a block carries beside itself. */
typedef struct extra {
  int format; /* negative: none */
  int size1;  /* negative: none */
  uint32_t limit;
} extra;

static const extra plain = {-1, -1, LIMIT};

static int take_with(uint32_t num, bool more, uint8_t szx, size_t len, const extra *e)
{
  static uint8_t payload[2048];
  uint8_t room[64];
  copal_wr w = copal_wr_init((copal_mspan){room, sizeof room});
  copal_opt_wr o = copal_opt_wr_init(&w);
  if (e->format >= 0)
    copal_opt_put_uint(&o, COPAL_OPT_CONTENT_FORMAT, (uint32_t)e->format);
  if (e->size1 >= 0)
    copal_opt_put_uint(&o, COPAL_OPT_SIZE1, (uint32_t)e->size1);
  const copal_msg msg = {
      .code = COPAL_CODE_PUT, .options = copal_wr_done(&w), .payload = copal_span_of(payload, len)};
  const copal_req req = {
      .msg = &msg, .has_block1 = true, .block1 = {.num = num, .more = more, .szx = szx}};
  return copal_assembly_take(&a, &req, e->limit, &step);
}

static int take(uint32_t num, bool more, uint8_t szx, size_t len)
{
  return take_with(num, more, szx, len, &plain);
}

static int setup(void **state)
{
  (void)state;
  a = (copal_assembly){0};
  return 0;
}

static void rfc7959_2_5_blocks_in_order(void **state)
{
  (void)state;
  assert_int_equal(take(0, true, 2, 64), COPAL_OK);
  assert_true(step.is_first && !step.is_last && !step.is_repeated && a.is_open);
  assert_int_equal(step.offset, 0);
  assert_int_equal(take(1, true, 2, 64), COPAL_OK);
  assert_true(!step.is_first && !step.is_last && !step.is_repeated);
  assert_int_equal(step.offset, 64);
  assert_int_equal(take(2, false, 2, 5), COPAL_OK);
  assert_true(!step.is_first && step.is_last && !step.is_repeated && !a.is_open);
  assert_int_equal(step.offset, 128);
  assert_int_equal(a.have, 133);
}

static void rfc7959_2_2_the_only_block_is_first_and_last(void **state)
{
  (void)state;
  assert_int_equal(take(0, false, 6, 10), COPAL_OK);
  assert_true(step.is_first && step.is_last && !a.is_open);
}

static void rfc7959_2_2_the_last_block_may_be_full_or_empty(void **state)
{
  (void)state;
  assert_int_equal(take(0, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, false, 0, 16), COPAL_OK);
  assert_int_equal(a.have, 32);
  assert_int_equal(take(0, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, false, 0, 0), COPAL_OK);
  assert_int_equal(a.have, 16);
}

static void rfc7959_2_9_2_a_gap_is_4_08(void **state)
{
  (void)state;
  assert_int_equal(take(0, true, 0, 16), COPAL_OK);
  assert_int_equal(take(2, true, 0, 16), COPAL_EINCOMPLETE);
  assert_int_equal(take(1, true, 0, 16), COPAL_EINCOMPLETE); /* it has to begin again */
  assert_int_equal(take(0, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, false, 0, 16), COPAL_OK);
}

static void rfc7959_2_9_2_what_does_not_begin_with_the_first_is_4_08(void **state)
{
  (void)state;
  assert_int_equal(take(1, true, 0, 16), COPAL_EINCOMPLETE);
  assert_int_equal(take(5, false, 0, 3), COPAL_EINCOMPLETE);
  assert_int_equal(take(0, false, 0, 3), COPAL_OK);
  assert_int_equal(take(1, false, 0, 3), COPAL_EINCOMPLETE); /* nor what follows the last */
}

static void rfc7959_2_9_2_another_content_format_is_4_08(void **state)
{
  (void)state;
  const extra text = {0, -1, LIMIT};
  const extra json = {50, -1, LIMIT};
  const extra *const pairs[][2] = {{&text, &json}, {&text, &plain}, {&plain, &text}};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(take_with(0, true, 0, 16, pairs[i][0]), COPAL_OK);
    assert_int_equal(take_with(1, true, 0, 16, pairs[i][1]), COPAL_EINCOMPLETE);
    assert_false(a.is_open);
  }
  assert_int_equal(take_with(0, true, 0, 16, &json), COPAL_OK);
  assert_int_equal(take_with(1, false, 0, 16, &json), COPAL_OK);
}

static void rfc7959_2_5_a_short_block_that_is_not_the_last_is_4_00(void **state)
{
  (void)state;
  assert_int_equal(take(0, true, 0, 15), COPAL_EBLOCK);
  assert_int_equal(take(0, true, 0, 0), COPAL_EBLOCK);
  assert_int_equal(take(0, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, true, 0, 15), COPAL_EBLOCK);
  assert_false(a.is_open);
}

static void rfc7959_2_2_more_than_a_block_is_4_00(void **state)
{
  (void)state;
  assert_int_equal(take(0, true, 0, 17), COPAL_EBLOCK);
  assert_int_equal(take(0, false, 0, 17), COPAL_EBLOCK);
}

static void rfc7959_2_9_3_too_large_by_size1_is_4_13(void **state)
{
  (void)state;
  const extra fits = {-1, LIMIT, LIMIT};
  const extra large = {-1, LIMIT + 1, LIMIT};
  assert_int_equal(take_with(0, true, 6, 1024, &large), COPAL_ETOOBIG);
  assert_false(a.is_open);
  assert_int_equal(take_with(0, true, 6, 1024, &fits), COPAL_OK);
}

static void rfc7959_2_9_3_too_large_by_what_has_come_is_4_13(void **state)
{
  (void)state;
  for (uint32_t i = 0; i < LIMIT / 1024; i++)
    assert_int_equal(take(i, true, 6, 1024), COPAL_OK);
  assert_int_equal(take(LIMIT / 1024, false, 6, 0), COPAL_OK); /* just fits */
  const extra less = {-1, -1, LIMIT - 1};
  for (uint32_t i = 0; i + 1 < LIMIT / 1024; i++)
    assert_int_equal(take_with(i, true, 6, 1024, &less), COPAL_OK);
  assert_int_equal(take_with(LIMIT / 1024 - 1, true, 6, 1024, &less), COPAL_ETOOBIG);
  assert_int_equal(take(COPAL_BLOCK_NUM_MAX, false, 6, 1), COPAL_ETOOBIG); /* no overflow */
  const extra all = {-1, -1, UINT32_MAX};
  assert_int_equal(take_with(COPAL_BLOCK_NUM_MAX, false, 6, 1, &all), COPAL_EINCOMPLETE);
}

static void rfc7959_2_5_a_repeated_block_is_taken_once(void **state)
{
  (void)state;
  assert_int_equal(take(0, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, true, 0, 16), COPAL_OK);
  assert_true(step.is_repeated && !step.is_first && !step.is_last);
  assert_int_equal(a.have, 32);
  assert_int_equal(take(2, false, 0, 1), COPAL_OK);
  assert_int_equal(a.have, 33);
}

static void rfc7959_2_5_a_last_block_within_the_body_is_of_another(void **state)
{
  (void)state;
  assert_int_equal(take(0, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, true, 0, 16), COPAL_OK);
  assert_int_equal(take(2, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, false, 0, 5), COPAL_EINCOMPLETE);
  assert_false(a.is_open);
  assert_int_equal(take(3, false, 0, 5), COPAL_EINCOMPLETE);
}

static void rfc7959_2_5_block_0_begins_again(void **state)
{
  (void)state;
  const extra json = {50, -1, LIMIT};
  assert_int_equal(take(0, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, true, 0, 16), COPAL_OK);
  assert_int_equal(take_with(0, true, 0, 16, &json), COPAL_OK); /* also in another format */
  assert_true(step.is_first && !step.is_repeated);
  assert_int_equal(a.have, 16);
  assert_int_equal(take_with(2, true, 0, 16, &json), COPAL_EINCOMPLETE);
}

static void rfc7959_2_5_the_block_size_may_change_on_the_way(void **state)
{
  (void)state;
  assert_int_equal(take(0, true, 6, 1024), COPAL_OK);
  assert_int_equal(take(16, true, 2, 64), COPAL_OK); /* 1024 to 1088 */
  assert_int_equal(step.offset, 1024);
  assert_false(step.is_repeated);
  assert_int_equal(take(68, true, 0, 16), COPAL_OK); /* 1088 to 1104 */
  assert_int_equal(a.have, 1104);
  assert_int_equal(take(2, true, 6, 1024), COPAL_EINCOMPLETE); /* 2048: too far */
}

static void a_larger_block_may_overlap_what_is_there(void **state)
{
  (void)state;
  assert_int_equal(take(0, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, true, 0, 16), COPAL_OK);
  assert_int_equal(take(2, true, 0, 16), COPAL_OK);
  assert_int_equal(take(1, true, 1, 32), COPAL_OK); /* 32 to 64, of which 16 are there */
  assert_int_equal(step.offset, 32);
  assert_false(step.is_repeated);
  assert_int_equal(a.have, 64);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7959_2_5_blocks_in_order),
      TEST(rfc7959_2_2_the_only_block_is_first_and_last),
      TEST(rfc7959_2_2_the_last_block_may_be_full_or_empty),
      TEST(rfc7959_2_9_2_a_gap_is_4_08),
      TEST(rfc7959_2_9_2_what_does_not_begin_with_the_first_is_4_08),
      TEST(rfc7959_2_9_2_another_content_format_is_4_08),
      TEST(rfc7959_2_5_a_short_block_that_is_not_the_last_is_4_00),
      TEST(rfc7959_2_2_more_than_a_block_is_4_00),
      TEST(rfc7959_2_9_3_too_large_by_size1_is_4_13),
      TEST(rfc7959_2_9_3_too_large_by_what_has_come_is_4_13),
      TEST(rfc7959_2_5_a_repeated_block_is_taken_once),
      TEST(rfc7959_2_5_a_last_block_within_the_body_is_of_another),
      TEST(rfc7959_2_5_block_0_begins_again),
      TEST(rfc7959_2_5_the_block_size_may_change_on_the_way),
      TEST(a_larger_block_may_overlap_what_is_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
