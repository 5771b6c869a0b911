/* SPDX-License-Identifier: Apache-2.0 */
/* Block-wise transfers of a client, datagram by datagram: bodies up and down, negotiation,
 * restarts, Echo and Request-Tag. RFC 7959 sections 2 to 4, RFC 9175 sections 2.3 and 3. */
#include "unit/core/proto/transfer_stage.h"

/* The parts of STAGE_BODY. */
#define BLOCK_0 "ff '0123456789abcdef'"
#define BLOCK_1 "ff 'FEDCBA9876543210'"
#define REST    "ff 'rest'"

static void begin(stage *s)
{
  assert_int_equal(stage_start(s), COPAL_OK);
}

static void feed(stage *s, const char *text)
{
  assert_int_equal(fx_feed(s->f, text), COPAL_OK);
}

static void put_init(stage *s, fixture *f, copal_code code)
{
  stage_init(s, f, code, 16);
  s->rq.body = copal_span_str(STAGE_BODY);
}

static bool has_token(const fixture *f, const uint8_t *token)
{
  return memcmp(fx_last(f)->bytes + COPAL_HEADER_SIZE, token, 8) == 0;
}

/* -------------------------------------------------------------------------------------- upload */

static void rfc7959_3_2_a_body_goes_in_blocks_in_order(void **state)
{
  stage s;
  uint8_t token[8];
  put_init(&s, *state, COPAL_CODE_PUT);
  begin(&s);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 08 d1 14 24 " BLOCK_0); /* Size1: 36 */
  memcpy(token, s.f->token, 8);
  feed(&s, "68 5f %m %t d1 0e 08");
  assert_int_equal(s.sent, 16);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 18 " BLOCK_1);
  assert_true(has_token(s.f, token));
  feed(&s, "68 5f %m %t d1 0e 18");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 20 " REST);
  assert_true(has_token(s.f, token));
  stage_expect_going(&s);
  feed(&s, "68 44 %m %t d1 0e 20");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CHANGED, "");
  assert_int_equal(s.writes, 1);
  assert_int_equal(s.progresses, 3);
  fx_expect_idle(s.f);
}

static void rfc7959_3_2_a_stateless_server_answers_each_block_finally(void **state)
{
  stage s;
  put_init(&s, *state, COPAL_CODE_PUT);
  begin(&s);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 08 d1 14 24 " BLOCK_0);
  feed(&s, "68 44 %m %t d0 0e");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 18 " BLOCK_1);
  feed(&s, "68 44 %m %t d1 0e 10");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 20 " REST);
  feed(&s, "68 44 %m %t d1 0e 20");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CHANGED, "");
}

static void rfc7959_3_2_smaller_blocks_are_numbered_anew(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 32);
  s.rq.body = copal_span_str(STAGE_BODY STAGE_BODY);
  begin(&s);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 09 d1 14 48 ff '0123456789abcdefFEDCBA9876543210'");
  feed(&s, "68 5f %m %t d1 0e 08"); /* 1:0/1/16 */
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 28 ff 'rest0123456789ab'");
  feed(&s, "68 5f %m %t d1 0e 28");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 38 ff 'cdefFEDCBA987654'");
  feed(&s, "68 5f %m %t d1 0e 38");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 40 ff '3210rest'");
  feed(&s, "68 44 %m %t d1 0e 40");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CHANGED, "");
}

static void rfc7959_2_9_3_too_large_with_a_smaller_size_begins_again(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 32);
  s.rq.body = copal_span_str(STAGE_BODY);
  begin(&s);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 09 d1 14 24 ff '0123456789abcdefFEDCBA9876543210'");
  feed(&s, "68 8d %m %t d1 0e 08");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 08 d1 14 24 " BLOCK_0);
  feed(&s, "68 8d %m %t d1 0e 08"); /* no smaller one: that is the answer */
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE, "");
}

static void rfc7959_2_9_3_a_limit_below_the_body_is_final(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 32);
  s.rq.body = copal_span_str(STAGE_BODY);
  begin(&s);
  fx_expect(s.f, "48 03 %m %t *");
  feed(&s, "68 8d %m %t d1 0e 08 d1 14 20"); /* Size1: 32 */
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE, "");
}

static void rfc7959_2_9_3_too_large_without_blocks_asks_for_them(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 0);
  s.rq.body = copal_span_str(STAGE_BODY);
  begin(&s);
  fx_expect(s.f, "48 03 %m %t b1 'a' ff '" STAGE_BODY "'");
  feed(&s, "68 8d %m %t");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 09 d1 14 24 ff '0123456789abcdefFEDCBA9876543210'");
  feed(&s, "68 5f %m %t d1 0e 09");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 11 " REST);
  feed(&s, "68 44 %m %t d1 0e 11");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CHANGED, "");
}

static void rfc7959_2_9_2_lost_blocks_are_sent_again_a_few_times(void **state)
{
  stage s;
  put_init(&s, *state, COPAL_CODE_POST);
  s.rq.restarts = 2;
  begin(&s);
  for (unsigned i = 0; i < 3; i++) {
    fx_expect(s.f, "48 02 %m %t b1 'a' d1 03 08 d1 14 24 " BLOCK_0);
    feed(&s, "68 5f %m %t d1 0e 08");
    fx_expect(s.f, "48 02 %m %t b1 'a' d1 03 18 " BLOCK_1);
    assert_int_equal(s.restarts, i);
    feed(&s, "68 88 %m %t");
  }
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_REQUEST_ENTITY_INCOMPLETE, "");
}

static void rfc7959_2_9_2_a_refused_first_block_is_final(void **state)
{
  stage s;
  put_init(&s, *state, COPAL_CODE_POST);
  begin(&s);
  fx_expect(s.f, "48 02 %m %t *");
  feed(&s, "68 88 %m %t");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_REQUEST_ENTITY_INCOMPLETE, "");
}

static void rfc7959_2_10_if_none_match_goes_with_the_first_block_only(void **state)
{
  stage s;
  put_init(&s, *state, COPAL_CODE_PUT);
  s.opts[0] = (copal_opt){COPAL_OPT_IF_NONE_MATCH, copal_span_none()};
  s.opts[1] = (copal_opt){COPAL_OPT_URI_PATH, copal_span_str("a")};
  s.rq.opt_count = 2;
  begin(&s);
  fx_expect(s.f, "48 03 %m %t 50 61 'a' d1 03 08 d1 14 24 " BLOCK_0);
  feed(&s, "68 5f %m %t d1 0e 08");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 18 " BLOCK_1);
  feed(&s, "68 5f %m %t d1 0e 18");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 20 " REST);
  feed(&s, "68 41 %m %t d1 0e 20");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CREATED, "");
}

static void a_body_of_unknown_size_ends_where_its_source_says(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 16);
  stage_read(&s, "0123456789abcdefFEDCBA9876543210", COPAL_TRANSFER_UNKNOWN, true);
  begin(&s);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 08 " BLOCK_0); /* no Size1 */
  feed(&s, "68 5f %m %t d1 0e 08");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 10 " BLOCK_1);
  feed(&s, "68 44 %m %t d1 0e 10");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CHANGED, "");
}

static void a_source_that_learns_of_its_end_late_sends_an_empty_block(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 16);
  stage_read(&s, "0123456789abcdef", COPAL_TRANSFER_UNKNOWN, false);
  begin(&s);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 08 " BLOCK_0);
  feed(&s, "68 5f %m %t d1 0e 08");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 10");
  feed(&s, "68 44 %m %t d1 0e 10");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CHANGED, "");
}

static void a_source_may_be_late_or_fail(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 16);
  stage_read(&s, STAGE_BODY, 36, false);
  s.read_result = COPAL_EPENDING;
  begin(&s);
  fx_expect_nothing(s.f);
  stage_expect_going(&s);
  assert_int_equal(copal_transfer_resume(&s.t, s.f->now), COPAL_OK);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 08 d1 14 24 " BLOCK_0);
  assert_int_equal(copal_transfer_resume(&s.t, s.f->now), COPAL_EINVAL);
  s.read_result = COPAL_EPENDING;
  feed(&s, "68 5f %m %t d1 0e 08");
  fx_expect_nothing(s.f);
  assert_int_equal(copal_transfer_resume(&s.t, s.f->now), COPAL_OK);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 18 " BLOCK_1);
  s.read_result = -1234;
  feed(&s, "68 5f %m %t d1 0e 18");
  stage_expect_done(&s, -1234, COPAL_CODE_EMPTY, "");
}

static void a_source_shorter_than_announced_fails(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 16);
  stage_read(&s, "0123456789abcdefFED", 36, false);
  begin(&s);
  fx_expect(s.f, "48 03 %m %t *");
  feed(&s, "68 5f %m %t d1 0e 08");
  stage_expect_done(&s, COPAL_EINVAL, COPAL_CODE_EMPTY, "");
}

static void blocks_shrink_to_what_a_datagram_holds(void **state)
{
  fixture *f = *state;
  stage s;
  f->cfg.message_max = 64;
  fx_restart(f);
  stage_init(&s, f, COPAL_CODE_PUT, 0);
  s.rq.body = copal_span_str(STAGE_BODY STAGE_BODY);
  begin(&s);
  fx_expect(f, "48 03 %m %t b1 'a' d1 03 09 d1 14 48 ff '0123456789abcdefFEDCBA9876543210'");
  feed(&s, "68 5f %m %t d1 0e 09");
  fx_expect(f, "48 03 %m %t b1 'a' d1 03 19 *");
  assert_int_equal(copal_transfer_cancel(&s.t, f->now), COPAL_OK);
  stage_expect_done(&s, COPAL_ECANCELED, COPAL_CODE_EMPTY, "");
}

/* ------------------------------------------------------------------------------------ download */

static void rfc7959_2_4_early_negotiation_and_blocks_in_order(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 32);
  s.rq.negotiates_late = false;
  s.rq.asks_size = true;
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 01 50");
  feed(&s, "68 45 %m %t 41 'x' d1 06 08 51 24 " BLOCK_0); /* 2:0/1/16, Size2: 36 */
  assert_int_equal(s.total, 36);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  feed(&s, "68 45 %m %t 41 'x' d1 06 18 " BLOCK_1);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 20");
  assert_false(s.has_last);
  feed(&s, "68 45 %m %t 41 'x' d1 06 20 " REST);
  assert_true(s.has_last);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, STAGE_BODY);
  assert_int_equal(s.writes, 3);
  fx_expect_idle(s.f);
}

static void rfc7959_2_4_late_negotiation_makes_blocks_smaller(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 16);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  feed(&s, "68 45 %m %t d1 0a 09 ff '0123456789abcdefFEDCBA9876543210'");
  assert_int_equal(s.total, COPAL_TRANSFER_UNKNOWN);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 20"); /* 2:2/0/16 */
  feed(&s, "68 45 %m %t d1 0a 20 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, STAGE_BODY);
}

static void rfc7959_2_3_a_server_may_reduce_its_blocks_on_the_way(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  feed(&s, "68 45 %m %t d1 0a 09 ff '0123456789abcdefFEDCBA9876543210'");
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 11");
  feed(&s, "68 45 %m %t d1 0a 28 " BLOCK_0); /* 2:2/1/16 for 2:1/0/32 */
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 30");
  feed(&s, "68 45 %m %t d1 0a 30 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT,
                    "0123456789abcdefFEDCBA98765432100123456789abcdefrest");
}

static void a_body_of_one_message_needs_no_block(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  feed(&s, "68 45 %m %t ff 'small'");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, "small");
  assert_int_equal(s.writes, 1);
  s.dones = 0; /* and the object may be used again */
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  feed(&s, "68 84 %m %t ff 'diagnosis'");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_NOT_FOUND, "small");
  assert_int_equal(s.writes, 1);
}

static void rfc7959_2_4_a_changed_representation_begins_again(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  feed(&s, "68 45 %m %t 41 'x' d1 06 08 ff 'xxxxxxxxxxxxxxxx'");
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  feed(&s, "68 45 %m %t 41 'y' d1 06 18 " BLOCK_1);
  assert_int_equal(s.restarts, 1);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  feed(&s, "68 45 %m %t 41 'y' d1 06 08 " BLOCK_0);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  feed(&s, "68 45 %m %t 41 'y' d1 06 10 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, "0123456789abcdefrest");
}

/* Whatever tells representations apart counts, and also an ETag that is gone. */
static void rfc7959_2_3_other_code_format_or_no_etag_is_a_change(void **state)
{
  static const char *const changed[] = {
      "68 44 %m %t 41 'x' d1 06 18 " BLOCK_1,     /* code */
      "68 45 %m %t 41 'x' 81 '2' b1 18 " BLOCK_1, /* Content-Format */
      "68 45 %m %t d1 0a 18 " BLOCK_1,            /* no ETag */
      "68 45 %m %t 42 'xx' d1 06 18 " BLOCK_1,    /* a longer one */
      "68 45 %m %t 41 'x' ff 'now it is small'",  /* no Block2 */
      "68 80 %m %t",                              /* no such block any more */
      "68 88 %m %t",
  };
  for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
    stage s;
    stage_init(&s, *state, COPAL_CODE_GET, 0);
    s.rq.restarts = -1;
    begin(&s);
    fx_expect(s.f, "48 01 %m %t b1 'a'");
    feed(&s, "68 45 %m %t 41 'x' d1 06 08 " BLOCK_0);
    fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
    feed(&s, changed[i]);
    assert_int_equal(s.dones, 1);
    assert_int_equal(s.result.status, i < 5 ? COPAL_EINCOMPLETE : COPAL_OK);
    assert_int_equal(s.body_len, 16);
  }
}

static void rfc7959_2_4_a_body_that_keeps_changing_ends_the_transfer(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  for (unsigned i = 0; i <= COPAL_TRANSFER_RESTARTS; i++) {
    fx_expect(s.f, "48 01 %m %t b1 'a'");
    feed(&s, "68 45 %m %t 41 'x' d1 06 08 " BLOCK_0);
    fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
    feed(&s, "68 45 %m %t 41 'y' d1 06 18 " BLOCK_1);
  }
  assert_int_equal(s.restarts, COPAL_TRANSFER_RESTARTS);
  stage_expect_done(&s, COPAL_EINCOMPLETE, COPAL_CODE_CONTENT, "0123456789abcdef");
}

static void going_on_with_a_download_checks_the_etag(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 16);
  s.body_len = 20;
  s.rq.offset = 20;
  s.rq.etag = copal_span_str("x");
  memcpy(s.body, STAGE_BODY, 20);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10"); /* from byte 16, of which four are there */
  feed(&s, "68 45 %m %t 41 'x' d1 06 18 " BLOCK_1);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 20");
  feed(&s, "68 45 %m %t 41 'x' d1 06 20 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, STAGE_BODY);
  assert_int_equal(s.restarts, 0);
}

static void going_on_with_what_is_gone_begins_again(void **state)
{
  static const char *const gone[] = {
      "68 45 %m %t 41 'y' d1 06 20 " REST, /* another ETag */
      "68 45 %m %t d1 0a 20 " REST,        /* none */
      "68 45 %m %t 41 'x' ff 'small'",     /* no such block */
      "68 80 %m %t",
      "68 82 %m %t",
      "68 45 %m %t 41 'x' d1 06 20", /* shorter than what is there */
  };
  for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
    stage s;
    stage_init(&s, *state, COPAL_CODE_GET, 16);
    s.body_len = 33;
    s.rq.offset = 33;
    s.rq.etag = copal_span_str("x");
    begin(&s);
    fx_expect(s.f, "48 01 %m %t b1 'a' c1 20");
    feed(&s, gone[i]);
    assert_int_equal(s.restarts, 1);
    fx_expect(s.f, "48 01 %m %t b1 'a'");
    feed(&s, "68 45 %m %t 41 'y' ff 'small'");
    stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, "small");
  }
}

static void going_on_without_etag_takes_what_there_is(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 16);
  s.body_len = 32;
  s.rq.offset = 32;
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 20");
  feed(&s, "68 45 %m %t 41 'y' d1 06 20 " REST);
  assert_int_equal(s.result.size, 36);
  assert_memory_equal(s.body + 32, "rest", 4);
  assert_int_equal(s.dones, 1);
}

/* ------------------------------------------------------------------------------- both ways */

static void rfc7959_2_7_a_response_in_blocks_follows_a_request_in_blocks(void **state)
{
  stage s;
  put_init(&s, *state, COPAL_CODE_POST);
  s.rq.negotiates_late = false;
  begin(&s);
  fx_expect(s.f, "48 02 %m %t b1 'a' d1 03 08 d1 14 24 " BLOCK_0);
  feed(&s, "68 5f %m %t d1 0e 08");
  fx_expect(s.f, "48 02 %m %t b1 'a' d1 03 18 " BLOCK_1);
  feed(&s, "68 5f %m %t d1 0e 18");
  fx_expect(s.f, "48 02 %m %t b1 'a' c0 41 20 " REST); /* 2:0/0/16, 1:2/0/16 */
  feed(&s, "68 44 %m %t d1 0a 08 41 20 " BLOCK_1);
  fx_expect(s.f, "48 02 %m %t b1 'a' c1 10"); /* no payload, no Block1 */
  feed(&s, "68 44 %m %t d1 0a 10 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CHANGED, "FEDCBA9876543210rest");
}

static void rfc7959_2_7_what_is_not_safe_is_not_done_twice(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_POST, 0);
  begin(&s);
  fx_expect(s.f, "48 02 %m %t b1 'a'");
  feed(&s, "68 44 %m %t 41 'x' d1 06 08 " BLOCK_0);
  fx_expect(s.f, "48 02 %m %t b1 'a' c1 10");
  feed(&s, "68 44 %m %t 41 'y' d1 06 10 " REST);
  stage_expect_done(&s, COPAL_EINCOMPLETE, COPAL_CODE_CHANGED, "0123456789abcdef");
}

static void rfc8132_2_a_short_fetch_repeats_its_payload(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_FETCH, 0);
  s.rq.body = copal_span_str("which");
  begin(&s);
  fx_expect(s.f, "48 05 %m %t b1 'a' ff 'which'");
  feed(&s, "68 45 %m %t d1 0a 08 " BLOCK_0);
  fx_expect(s.f, "48 05 %m %t b1 'a' c1 10 ff 'which'");
  feed(&s, "68 45 %m %t d1 0a 10 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, "0123456789abcdefrest");
}

/* -------------------------------------------------------------------------------------- tokens */

static void every_block_may_have_a_token_of_its_own(void **state)
{
  fixture *f = *state;
  for (int secure = 0; secure < 2; secure++) {
    stage s;
    uint8_t token[8];
    put_init(&s, f, COPAL_CODE_PUT);
    s.rq.has_fresh_tokens = !secure;
    f->peer.flags = secure ? COPAL_PATH_SECURE : 0; /* RFC 9175 section 4.2 */
    begin(&s);
    fx_expect(f, "48 03 %m %t *");
    memcpy(token, f->token, 8);
    feed(&s, "68 5f %m %t d1 0e 08");
    fx_expect(f, "48 03 %m %t *");
    assert_false(has_token(f, token));
    assert_int_equal(copal_transfer_cancel(&s.t, f->now), COPAL_OK);
  }
}

static void the_caller_may_choose_the_token(void **state)
{
  stage s;
  put_init(&s, *state, COPAL_CODE_PUT);
  s.rq.token = copal_span_str("tok");
  begin(&s);
  fx_expect(s.f, "43 03 %m 'tok' *");
  feed(&s, "63 5f %m 'tok' d1 0e 08");
  fx_expect(s.f, "43 03 %m 'tok' *");
  assert_int_equal(copal_transfer_cancel(&s.t, s.f->now), COPAL_OK);
}

static void a_response_to_an_earlier_block_is_not_taken_for_this_one(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  feed(&s, "68 45 %m %t d1 0a 08 " BLOCK_0);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  feed(&s, "58 45 77 77 %t d1 0a 08 " BLOCK_0); /* the first once more, as a message of its own */
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  feed(&s, "68 45 %m %t d1 0a 10 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, "0123456789abcdefrest");
}

/* ------------------------------------------------------------------------------ Echo, Request-Tag
 */

static void rfc9175_2_3_a_challenge_is_answered_once_per_block(void **state)
{
  stage s;
  put_init(&s, *state, COPAL_CODE_PUT);
  begin(&s);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 08 d1 14 24 " BLOCK_0);
  feed(&s, "68 81 %m %t d2 ef 'e1'");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 08 d1 14 24 d2 b3 'e1' " BLOCK_0);
  feed(&s, "68 5f %m %t d1 0e 08");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 18 d2 d4 'e1' " BLOCK_1); /* kept */
  feed(&s, "68 81 %m %t d2 ef 'e2'");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 18 d2 d4 'e2' " BLOCK_1);
  feed(&s, "68 5f %m %t d1 0e 18 d3 d4 'pre'"); /* a value in advance */
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 20 d3 d4 'pre' " REST);
  feed(&s, "68 81 %m %t d2 ef 'e3'");
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 20 d2 d4 'e3' " REST);
  feed(&s, "68 81 %m %t d2 ef 'e4'"); /* never content */
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_UNAUTHORIZED, "");
}

static void rfc9175_2_3_a_challenge_in_a_download_is_answered(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  feed(&s, "68 45 %m %t d1 0a 08 " BLOCK_0);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  feed(&s, "68 81 %m %t d2 ef 'e1'");
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10 d2 d8 'e1'");
  feed(&s, "68 45 %m %t d1 0a 10 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, "0123456789abcdefrest");
}

static void rfc7252_5_8_not_authorized_without_echo_is_final(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  feed(&s, "68 81 %m %t");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_UNAUTHORIZED, "");
}

static void rfc9175_3_5_2_concurrent_uploads_are_kept_apart(void **state)
{
  fixture *f = *state;
  copal_transfer_set set = {0};
  stage a, b, c;
  f->cfg.params = copal_params_default();
  f->cfg.params.nstart = 4;
  fx_restart(f);
  put_init(&a, f, COPAL_CODE_POST);
  put_init(&b, f, COPAL_CODE_POST);
  put_init(&c, f, COPAL_CODE_POST);
  c.opts[0].value = copal_span_str("c"); /* another resource */
  a.rq.set = b.rq.set = c.rq.set = &set;
  b.rq.token = copal_span_str("b");
  begin(&a);
  fx_expect(f, "48 02 %m %t b1 'a' d1 03 08 d1 14 24 " BLOCK_0);
  begin(&c);
  fx_expect(f, "48 02 %m %t b1 'c' d1 03 08 d1 14 24 " BLOCK_0);
  begin(&b);
  fx_expect(f, "41 02 %m 'b' b1 'a' d1 03 08 d1 14 24 d1 db 01 " BLOCK_0);
  feed(&b, "61 5f %m 'b' d1 0e 08");
  fx_expect(f, "41 02 %m 'b' b1 'a' d1 03 18 d1 fc 01 " BLOCK_1);
  feed(&b, "61 5f %m 'b' d1 0e 18");
  fx_expect(f, "41 02 %m 'b' b1 'a' d1 03 20 d1 fc 01 " REST);
  feed(&b, "61 44 %m 'b' d1 0a 08 41 20 " BLOCK_0);
  fx_expect(f, "41 02 %m 'b' b1 'a' c1 10 e1 00 00 01"); /* RFC 9175 section 3.4 */
  feed(&b, "61 44 %m 'b' d1 0a 10 " REST);
  stage_expect_done(&b, COPAL_OK, COPAL_CODE_CHANGED, "0123456789abcdefrest");
  assert_int_equal(copal_transfer_cancel(&a.t, f->now), COPAL_OK);
  assert_int_equal(copal_transfer_cancel(&c.t, f->now), COPAL_OK);
  assert_null(set.first);
}

static void rfc9175_3_5_1_no_tag_is_recycled_when_asked_for(void **state)
{
  copal_transfer_set set = {.is_strict = true};
  for (unsigned i = 1; i < 3; i++) {
    stage s;
    put_init(&s, *state, COPAL_CODE_PUT);
    s.rq.set = &set;
    begin(&s);
    fx_expect(s.f, i == 1 ? "48 03 %m %t b1 'a' d1 03 08 d1 14 24 d1 db 01 " BLOCK_0
                          : "48 03 %m %t b1 'a' d1 03 08 d1 14 24 d1 db 02 " BLOCK_0);
    feed(&s, "68 a0 %m %t");
    stage_expect_done(&s, COPAL_OK, COPAL_CODE_INTERNAL_SERVER_ERROR, "");
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
      TEST(rfc7959_3_2_a_body_goes_in_blocks_in_order),
      TEST(rfc7959_3_2_a_stateless_server_answers_each_block_finally),
      TEST(rfc7959_3_2_smaller_blocks_are_numbered_anew),
      TEST(rfc7959_2_9_3_too_large_with_a_smaller_size_begins_again),
      TEST(rfc7959_2_9_3_a_limit_below_the_body_is_final),
      TEST(rfc7959_2_9_3_too_large_without_blocks_asks_for_them),
      TEST(rfc7959_2_9_2_lost_blocks_are_sent_again_a_few_times),
      TEST(rfc7959_2_9_2_a_refused_first_block_is_final),
      TEST(rfc7959_2_10_if_none_match_goes_with_the_first_block_only),
      TEST(a_body_of_unknown_size_ends_where_its_source_says),
      TEST(a_source_that_learns_of_its_end_late_sends_an_empty_block),
      TEST(a_source_may_be_late_or_fail),
      TEST(a_source_shorter_than_announced_fails),
      TEST(blocks_shrink_to_what_a_datagram_holds),
      TEST(rfc7959_2_4_early_negotiation_and_blocks_in_order),
      TEST(rfc7959_2_4_late_negotiation_makes_blocks_smaller),
      TEST(rfc7959_2_3_a_server_may_reduce_its_blocks_on_the_way),
      TEST(a_body_of_one_message_needs_no_block),
      TEST(rfc7959_2_4_a_changed_representation_begins_again),
      TEST(rfc7959_2_3_other_code_format_or_no_etag_is_a_change),
      TEST(rfc7959_2_4_a_body_that_keeps_changing_ends_the_transfer),
      TEST(going_on_with_a_download_checks_the_etag),
      TEST(going_on_with_what_is_gone_begins_again),
      TEST(going_on_without_etag_takes_what_there_is),
      TEST(rfc7959_2_7_a_response_in_blocks_follows_a_request_in_blocks),
      TEST(rfc7959_2_7_what_is_not_safe_is_not_done_twice),
      TEST(rfc8132_2_a_short_fetch_repeats_its_payload),
      TEST(every_block_may_have_a_token_of_its_own),
      TEST(the_caller_may_choose_the_token),
      TEST(a_response_to_an_earlier_block_is_not_taken_for_this_one),
      TEST(rfc9175_2_3_a_challenge_is_answered_once_per_block),
      TEST(rfc9175_2_3_a_challenge_in_a_download_is_answered),
      TEST(rfc7252_5_8_not_authorized_without_echo_is_final),
      TEST(rfc9175_3_5_2_concurrent_uploads_are_kept_apart),
      TEST(rfc9175_3_5_1_no_tag_is_recycled_when_asked_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
