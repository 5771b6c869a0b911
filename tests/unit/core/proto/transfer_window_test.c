/* SPDX-License-Identifier: Apache-2.0 */
/* Several blocks of a transfer under way at once, datagram by datagram. RFC 7252 section 4.7, RFC
 * 7959 sections 2.3 to 2.5. */
#include <stdio.h>

#include "unit/core/proto/transfer_stage.h"

enum { BLOCK = 16, SLOTS = 8, NSTART = 4 };

/* Seven blocks, of which the last has 4 bytes. */
#define BODY                                                                                       \
  "0---------------1---------------2---------------3---------------4---------------"               \
  "5---------------last"

typedef struct scene {
  stage s;
  copal_transfer_window w;
  copal_transfer_slot slots[SLOTS];
  uint8_t room[SLOTS * BLOCK];
  size_t first; /* datagrams before the one that leaves next have been looked at */
} scene;

static void open_scene(scene *x, void **state, copal_code code, uint8_t nstart)
{
  fixture *f = *state;
  f->cfg.params = copal_params_default();
  f->cfg.params.nstart = nstart;
  fx_restart(f);
  *x = (scene){.w = {.count = SLOTS}};
  stage_init(&x->s, f, code, BLOCK);
  x->w.slots = x->slots;
  x->w.room = (copal_mspan){x->room, sizeof x->room};
  x->s.rq.window = &x->w;
  if (code == COPAL_CODE_PUT)
    x->s.rq.body = copal_span_str(BODY);
}

/* The block number and M bit of the datagram, which has a single option of that kind. */
static copal_block block_of(const fx_datagram *d, uint16_t number)
{
  copal_msg m;
  copal_span value;
  copal_block b;
  uint8_t bytes[FX_BYTES_MAX];
  memcpy(bytes, d->bytes, d->len);
  assert_int_equal(copal_msg_parse(copal_span_of(bytes, d->len), &m), COPAL_OK);
  if (!copal_opt_find(m.options, number, &value))
    return (copal_block){.num = 0};
  assert_int_equal(copal_block_parse(value, &b), COPAL_OK);
  return b;
}

/* Exactly these blocks have left since the last look. */
static void expect_blocks(scene *x, uint16_t number, const char *nums)
{
  fixture *f = x->s.f;
  char seen[64] = "";
  for (; x->first < f->sent_count; x->first++) {
    const size_t len = strlen(seen);
    snprintf(seen + len, sizeof seen - len, "%s%u", len ? " " : "",
             (unsigned)block_of(&f->sent[x->first], number).num);
  }
  assert_string_equal(seen, nums);
  f->sent_seen = f->sent_count;
}

/* The last datagram that carried that block is answered. */
static void answer(scene *x, uint16_t number, uint32_t num, const char *text)
{
  fixture *f = x->s.f;
  size_t i = f->sent_count;
  while (i-- > 0) {
    const fx_datagram *d = &f->sent[i];
    if (block_of(d, number).num != num)
      continue;
    f->mid = (uint16_t)(d->bytes[2] << 8 | d->bytes[3]);
    f->token_len = d->bytes[0] & 15;
    memcpy(f->token, d->bytes + 4, f->token_len);
    (void)fx_feed(f, text);
    return;
  }
  fail_msg("block %u has not left", (unsigned)num);
}

/* The block with ETag "t" of a body of 100 bytes. */
static void give(scene *x, uint32_t num)
{
  char text[128];
  const size_t at = num * BLOCK;
  const size_t len = sizeof BODY - 1 - at < BLOCK ? sizeof BODY - 1 - at : BLOCK;
  const unsigned value = num << 4 | (at + len < sizeof BODY - 1 ? 8 : 0);
  if (num == 0)
    snprintf(text, sizeof text, "68 45 %%m %%t 41 't' d1 06 %02x 51 64 ff '%.16s'", value, BODY);
  else
    snprintf(text, sizeof text, "68 45 %%m %%t 41 't' d1 06 %02x ff '%.*s'", value, (int)len,
             &BODY[at]);
  answer(x, COPAL_OPT_BLOCK2, num, text);
}

/* The server acknowledges the block. */
static void acknowledge(scene *x, uint32_t num)
{
  char text[64];
  snprintf(text, sizeof text, "68 5f %%m %%t d1 0e %02x", (unsigned)num << 4 | 8);
  answer(x, COPAL_OPT_BLOCK1, num, text);
}

/* ------------------------------------------------------------------------------------ downloads */

static void rfc7252_4_7_blocks_are_asked_for_ahead_within_nstart(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  expect_blocks(&x, COPAL_OPT_BLOCK2, "0");
  give(&x, 0);
  expect_blocks(&x, COPAL_OPT_BLOCK2, "1 2");
  give(&x, 1);
  expect_blocks(&x, COPAL_OPT_BLOCK2, "3 4");
  give(&x, 2);
  expect_blocks(&x, COPAL_OPT_BLOCK2, "5 6"); /* Size2 tells that this is the last */
  for (uint32_t num = 3; num < 6; num++)
    give(&x, num);
  stage_expect_going(&x.s);
  give(&x, 6);
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CONTENT, BODY);
  assert_int_equal(x.s.progresses, 7);
  assert_int_equal(x.s.restarts, 0);
  fx_expect_idle(x.s.f);
}

static void rfc7252_4_7_with_nstart_one_there_is_no_window(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, 1);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  for (uint32_t num = 0; num < 7; num++) {
    char nums[8];
    snprintf(nums, sizeof nums, "%u", (unsigned)num);
    expect_blocks(&x, COPAL_OPT_BLOCK2, nums);
    give(&x, num);
  }
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CONTENT, BODY);
}

static void blocks_that_come_before_their_turn_are_handed_on_in_order(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  give(&x, 0);
  give(&x, 2);
  assert_int_equal(x.s.body_len, BLOCK);
  give(&x, 3);
  give(&x, 4);
  assert_int_equal(x.s.body_len, BLOCK);
  give(&x, 1);
  assert_int_equal(x.s.body_len, 5 * BLOCK);
  give(&x, 6);
  stage_expect_going(&x.s);
  give(&x, 5);
  x.s.f->sent_seen = x.s.f->sent_count;
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CONTENT, BODY);
  fx_expect_idle(x.s.f);
}

/* Without Size2 the end is found by its M bit; what was asked for behind it is waited for. */
static void a_body_of_unknown_size_ends_with_its_last_block(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  answer(&x, COPAL_OPT_BLOCK2, 0, "68 45 %m %t 41 't' d1 06 08 ff '0---------------'");
  expect_blocks(&x, COPAL_OPT_BLOCK2, "0 1 2");
  answer(&x, COPAL_OPT_BLOCK2, 1, "68 45 %m %t 41 't' d1 06 10 ff 'end'");
  stage_expect_going(&x.s);
  answer(&x, COPAL_OPT_BLOCK2, 2, "68 80 %m %t");
  expect_blocks(&x, COPAL_OPT_BLOCK2, "");
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CONTENT, "0---------------end");
  fx_expect_idle(x.s.f);
}

static void rfc7959_2_4_another_etag_in_the_window_begins_again(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  give(&x, 0);
  answer(&x, COPAL_OPT_BLOCK2, 1, "68 45 %m %t 41 'u' d1 06 18 ff 'xxxxxxxxxxxxxxxx'");
  expect_blocks(&x, COPAL_OPT_BLOCK2, "0 1 2"); /* nothing more until the window is empty */
  answer(&x, COPAL_OPT_BLOCK2, 2, "68 45 %m %t 41 'u' d1 06 28 ff 'xxxxxxxxxxxxxxxx'");
  expect_blocks(&x, COPAL_OPT_BLOCK2, "1"); /* by itself */
  answer(&x, COPAL_OPT_BLOCK2, 1, "68 45 %m %t 41 'u' d1 06 18 ff 'xxxxxxxxxxxxxxxx'");
  assert_int_equal(x.s.restarts, 1);
  expect_blocks(&x, COPAL_OPT_BLOCK2, "0");
  answer(&x, COPAL_OPT_BLOCK2, 0, "68 45 %m %t 41 'u' ff 'new'");
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CONTENT, "new");
}

static void rfc7959_2_3_smaller_blocks_in_the_window_are_followed(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  x.s.rq.block_size = 2 * BLOCK;
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  answer(&x, COPAL_OPT_BLOCK2, 0,
         "68 45 %m %t d1 0a 09 51 38 ff '0---------------1---------------'");
  expect_blocks(&x, COPAL_OPT_BLOCK2, "0 1"); /* 56 bytes are two blocks */
  answer(&x, COPAL_OPT_BLOCK2, 1, "68 45 %m %t d1 0a 28 ff '2---------------'");
  expect_blocks(&x, COPAL_OPT_BLOCK2, "1"); /* the same by itself, to be judged */
  answer(&x, COPAL_OPT_BLOCK2, 1, "68 45 %m %t d1 0a 28 ff '2---------------'");
  expect_blocks(&x, COPAL_OPT_BLOCK2, "3");
  answer(&x, COPAL_OPT_BLOCK2, 3, "68 45 %m %t d1 0a 30 ff '3-------'");
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CONTENT,
                    "0---------------1---------------2---------------3-------");
}

static void rfc9175_2_3_a_challenge_in_the_window_is_answered(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  give(&x, 0);
  answer(&x, COPAL_OPT_BLOCK2, 1, "68 81 %m %t d2 ef 'e1'");
  give(&x, 2);
  x.first = x.s.f->sent_count - 1;
  expect_blocks(&x, COPAL_OPT_BLOCK2, "1");
  give(&x, 1);
  expect_blocks(&x, COPAL_OPT_BLOCK2, "2 3"); /* goes on as a window */
  for (uint32_t num = 2; num < 7; num++)
    give(&x, num);
  x.s.f->sent_seen = x.s.f->sent_count;
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CONTENT, BODY);
}

static void rfc7252_4_2_a_retransmission_halves_the_window(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  give(&x, 0);
  give(&x, 1);
  give(&x, 2);
  expect_blocks(&x, COPAL_OPT_BLOCK2, "0 1 2 3 4 5 6");
  assert_int_equal(x.w.size, 4);
  fx_advance(x.s.f, 3 * COPAL_SECOND + COPAL_SECOND / 2); /* all four again, in some order */
  assert_int_equal(x.w.size, 2);
  assert_int_equal(x.w.threshold, 2);
  for (uint32_t num = 3; num < 7; num++)
    give(&x, num);
  x.s.f->sent_seen = x.s.f->sent_count;
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CONTENT, BODY);
}

static void a_server_that_falls_silent_ends_the_window(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  give(&x, 0);
  fx_advance(x.s.f, 100 * (copal_time)COPAL_SECOND);
  assert_int_equal(x.s.dones, 1);
  assert_int_equal(x.s.result.status, COPAL_ETIMEDOUT);
  x.s.f->sent_seen = x.s.f->sent_count;
  fx_expect_idle(x.s.f);
}

static void a_window_can_be_canceled(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  give(&x, 0);
  give(&x, 1);
  assert_int_equal(copal_transfer_cancel(&x.s.t, x.s.f->now), COPAL_OK);
  assert_int_equal(x.s.dones, 1);
  assert_int_equal(x.s.result.status, COPAL_ECANCELED);
  assert_false(copal_transfer_is_active(&x.s.t));
  fx_expect_idle(x.s.f);
}

static void the_end_of_the_endpoint_ends_a_window(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  give(&x, 0);
  fx_restart(x.s.f);
  assert_int_equal(x.s.dones, 1);
  assert_int_equal(x.s.result.status, COPAL_ECANCELED);
}

static void a_writer_may_hold_the_window(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  give(&x, 0);
  x.s.write_result = COPAL_EPENDING;
  give(&x, 1);
  expect_blocks(&x, COPAL_OPT_BLOCK2, "0 1 2"); /* taken, but nothing more is asked for */
  give(&x, 2);
  assert_int_equal(x.s.body_len, 2 * BLOCK);
  assert_int_equal(copal_transfer_resume(&x.s.t, x.s.f->now), COPAL_OK);
  assert_int_equal(x.s.body_len, 3 * BLOCK);
  for (uint32_t num = 3; num < 7; num++)
    give(&x, num);
  x.s.f->sent_seen = x.s.f->sent_count;
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CONTENT, BODY);
}

static void a_writer_that_fails_ends_the_window(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  give(&x, 0);
  x.s.write_result = COPAL_EINVAL;
  give(&x, 1);
  stage_expect_going(&x.s); /* block 2 is out */
  give(&x, 2);
  assert_int_equal(x.s.dones, 1);
  assert_int_equal(x.s.result.status, COPAL_EINVAL);
}

/* -------------------------------------------------------------------------------------- uploads */

static void rfc7959_2_5_the_last_block_leaves_when_all_others_are_there(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_PUT, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  expect_blocks(&x, COPAL_OPT_BLOCK1, "0");
  acknowledge(&x, 0);
  expect_blocks(&x, COPAL_OPT_BLOCK1, "1 2");
  acknowledge(&x, 1);
  acknowledge(&x, 2);
  expect_blocks(&x, COPAL_OPT_BLOCK1, "3 4 5");
  acknowledge(&x, 5);
  acknowledge(&x, 3);
  assert_int_equal(x.s.sent, 4 * BLOCK);
  expect_blocks(&x, COPAL_OPT_BLOCK1, "");
  acknowledge(&x, 4);
  expect_blocks(&x, COPAL_OPT_BLOCK1, "6");
  answer(&x, COPAL_OPT_BLOCK1, 6, "68 44 %m %t d1 0e 60");
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CHANGED, "");
  assert_int_equal(x.s.sent, sizeof BODY - 1);
  fx_expect_idle(x.s.f);
}

static void rfc7959_2_5_a_server_that_wants_blocks_in_order_gets_them_so(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_PUT, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  acknowledge(&x, 0);
  answer(&x, COPAL_OPT_BLOCK1, 2, "68 88 %m %t d1 0e 28"); /* block 1 has been lost */
  expect_blocks(&x, COPAL_OPT_BLOCK1, "0 1 2");
  answer(&x, COPAL_OPT_BLOCK1, 1, "68 88 %m %t d1 0e 18");
  assert_int_equal(x.s.restarts, 1);
  for (uint32_t num = 0; num < 6; num++) {
    char nums[8];
    snprintf(nums, sizeof nums, "%u", (unsigned)num);
    expect_blocks(&x, COPAL_OPT_BLOCK1, nums);
    acknowledge(&x, num);
  }
  expect_blocks(&x, COPAL_OPT_BLOCK1, "6");
  answer(&x, COPAL_OPT_BLOCK1, 6, "68 44 %m %t d1 0e 60");
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CHANGED, "");
}

/* Servers that tell bodies apart by token lose their way only at the end. */
static void a_server_that_is_confused_at_the_end_gets_blocks_in_order(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_PUT, NSTART);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  for (uint32_t num = 0; num < 6; num++)
    acknowledge(&x, num);
  expect_blocks(&x, COPAL_OPT_BLOCK1, "0 1 2 3 4 5 6");
  answer(&x, COPAL_OPT_BLOCK1, 6, "68 a0 %m %t");
  assert_int_equal(x.s.restarts, 1);
  for (uint32_t num = 0; num < 6; num++)
    acknowledge(&x, num);
  expect_blocks(&x, COPAL_OPT_BLOCK1, "0 1 2 3 4 5 6");
  answer(&x, COPAL_OPT_BLOCK1, 6, "68 a0 %m %t"); /* now it means it */
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_INTERNAL_SERVER_ERROR, "");
}

static void what_is_not_idempotent_is_sent_block_by_block(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_POST, NSTART);
  x.s.rq.body = copal_span_str(BODY);
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  acknowledge(&x, 0);
  expect_blocks(&x, COPAL_OPT_BLOCK1, "0 1");
  acknowledge(&x, 1);
  expect_blocks(&x, COPAL_OPT_BLOCK1, "2");
  assert_int_equal(copal_transfer_cancel(&x.s.t, x.s.f->now), COPAL_OK);
}

static void a_body_of_two_blocks_needs_no_window(void **state)
{
  scene x;
  open_scene(&x, state, COPAL_CODE_PUT, NSTART);
  x.s.rq.body = copal_span_str("0---------------last");
  assert_int_equal(stage_start(&x.s), COPAL_OK);
  acknowledge(&x, 0);
  expect_blocks(&x, COPAL_OPT_BLOCK1, "0 1");
  answer(&x, COPAL_OPT_BLOCK1, 1, "68 44 %m %t d1 0e 10");
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CHANGED, "");
}

/* -------------------------------------------------------------------------------------- adopted */

static copal_msg parse(fixture *f, const char *text, uint8_t *bytes)
{
  copal_msg m;
  const size_t len = fx_bytes(f, text, bytes);
  assert_int_equal(copal_msg_parse(copal_span_of(bytes, len), &m), COPAL_OK);
  return m;
}

static void rfc7959_2_8_a_response_that_came_otherwise_is_completed(void **state)
{
  scene x;
  uint8_t bytes[FX_BYTES_MAX];
  open_scene(&x, state, COPAL_CODE_GET, NSTART);
  const copal_msg first =
      parse(x.s.f, "58 45 1234 'abcdefgh' 41 't' d1 06 08 51 64 ff '0---------------'", bytes);
  assert_int_equal(copal_transfer_adopt(&x.s.t, x.s.f->ep, &x.s.rq, &first, x.s.f->now), COPAL_OK);
  expect_blocks(&x, COPAL_OPT_BLOCK2, "1 2");
  for (uint32_t num = 1; num < 7; num++)
    give(&x, num);
  x.s.f->sent_seen = x.s.f->sent_count;
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CONTENT, BODY);
}

static void an_adopted_response_that_is_whole_needs_no_request(void **state)
{
  scene x;
  uint8_t bytes[FX_BYTES_MAX];
  open_scene(&x, state, COPAL_CODE_POST, NSTART);
  const copal_msg first = parse(x.s.f, "58 44 1234 'abcdefgh' ff 'done'", bytes);
  assert_int_equal(copal_transfer_adopt(&x.s.t, x.s.f->ep, &x.s.rq, &first, x.s.f->now), COPAL_OK);
  stage_expect_done(&x.s, COPAL_OK, COPAL_CODE_CHANGED, "done");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
      TEST(rfc7252_4_7_blocks_are_asked_for_ahead_within_nstart),
      TEST(rfc7252_4_7_with_nstart_one_there_is_no_window),
      TEST(blocks_that_come_before_their_turn_are_handed_on_in_order),
      TEST(a_body_of_unknown_size_ends_with_its_last_block),
      TEST(rfc7959_2_4_another_etag_in_the_window_begins_again),
      TEST(rfc7959_2_3_smaller_blocks_in_the_window_are_followed),
      TEST(rfc9175_2_3_a_challenge_in_the_window_is_answered),
      TEST(rfc7252_4_2_a_retransmission_halves_the_window),
      TEST(a_server_that_falls_silent_ends_the_window),
      TEST(a_window_can_be_canceled),
      TEST(the_end_of_the_endpoint_ends_a_window),
      TEST(a_writer_may_hold_the_window),
      TEST(a_writer_that_fails_ends_the_window),
      TEST(rfc7959_2_5_the_last_block_leaves_when_all_others_are_there),
      TEST(rfc7959_2_5_a_server_that_wants_blocks_in_order_gets_them_so),
      TEST(a_server_that_is_confused_at_the_end_gets_blocks_in_order),
      TEST(what_is_not_idempotent_is_sent_block_by_block),
      TEST(a_body_of_two_blocks_needs_no_window),
      TEST(rfc7959_2_8_a_response_that_came_otherwise_is_completed),
      TEST(an_adopted_response_that_is_whole_needs_no_request),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
