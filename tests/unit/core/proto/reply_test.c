/* SPDX-License-Identifier: Apache-2.0 */
/* Writing responses: blocks of a body, sizes, suppression. RFC 7959 sections 2.2 to 2.4, RFC 7967
 * section 2.1, RFC 7252 section 8.2. */
#include "unit/core/proto/fixture.h"

#include "core/proto/ep.h"
#include "core/proto/reply.h"

enum { BODY = 4000 };

static uint8_t body[BODY];

/* Answers GETs with the first `total` bytes of the body. */
static void serve_body(fixture *f, uint32_t total)
{
  for (size_t i = 0; i < BODY; i++)
    body[i] = (uint8_t)(i * 31 + (i >> 8));
  f->response = (copal_response){.code = COPAL_CODE_CONTENT, .payload = {body, total}};
}

/* The datagram sent last ends with `len` bytes of the body from `offset`. */
static void expect_part(fixture *f, uint32_t offset, size_t len)
{
  const fx_datagram *d = fx_last(f);
  assert_true(d->len > len);
  assert_memory_equal(d->bytes + d->len - len, body + offset, len);
  assert_int_equal(d->bytes[d->len - len - 1], 0xff);
}

static void rfc7959_2_4_small_body_without_block_option_is_sent_whole(void **state)
{
  fixture *f = *state;
  serve_body(f, 1024);
  assert_int_equal(fx_feed(f, "40 01 00 01"), COPAL_OK);
  fx_expect(f, "60 45 00 01 ff *");
  assert_int_equal(fx_last(f)->len, 5 + 1024);
  expect_part(f, 0, 1024);
  assert_false(f->req.has_block2);
}

static void rfc7959_2_4_large_body_is_sliced_unasked(void **state)
{
  fixture *f = *state;
  serve_body(f, 1025);
  assert_int_equal(fx_feed(f, "40 01 00 01"), COPAL_OK);
  fx_expect(f, "60 45 00 01 d1 0a 0e 52 04 01 ff *"); /* 0/1/1024, Size2 1025 */
  expect_part(f, 0, 1024);
  assert_int_equal(fx_feed(f, "40 01 00 02 d1 0a 16"), COPAL_OK); /* 1/0/1024 */
  fx_expect(f, "60 45 00 02 d1 0a 16 ff ..");
  expect_part(f, 1024, 1);
  assert_true(f->req.has_block2);
  assert_int_equal(f->req.block2.num, 1);
}

static void rfc7959_2_4_early_negotiation_takes_the_clients_size(void **state)
{
  fixture *f = *state;
  serve_body(f, 100);
  assert_int_equal(fx_feed(f, "40 01 00 01 d1 0a 02"), COPAL_OK); /* 0/0/64 */
  fx_expect(f, "60 45 00 01 d1 0a 0a 51 64 ff *");
  expect_part(f, 0, 64);
  assert_int_equal(fx_feed(f, "40 01 00 02 d1 0a 12"), COPAL_OK);
  fx_expect(f, "60 45 00 02 d1 0a 12 ff *");
  assert_int_equal(fx_last(f)->len, 4 + 3 + 1 + 36);
  expect_part(f, 64, 36);
}

static void rfc7959_2_4_explicit_size_is_confirmed_for_a_small_body(void **state)
{
  fixture *f = *state;
  serve_body(f, 10);
  assert_int_equal(fx_feed(f, "40 01 00 01 d0 0a"), COPAL_OK); /* an empty value: 0/0/16 */
  fx_expect(f, "60 45 00 01 d0 0a 51 0a ff *");
  expect_part(f, 0, 10);
}

static void rfc7959_2_4_m_bit_of_the_request_is_ignored(void **state)
{
  fixture *f = *state;
  serve_body(f, 40);
  assert_int_equal(fx_feed(f, "40 01 00 01 d1 0a 28"), COPAL_OK); /* 2/1/16 */
  fx_expect(f, "60 45 00 01 d1 0a 20 ff *");
  expect_part(f, 32, 8);
}

static void rfc7959_2_4_every_block_of_every_size(void **state)
{
  fixture *f = *state;
  const uint32_t total = 2500;
  serve_body(f, total);
  for (uint8_t szx = 0; szx <= 6; szx++) {
    const uint32_t size = (uint32_t)1 << (szx + 4);
    for (uint32_t num = 0; num * size < total; num++) {
      const uint32_t v = num << 4 | szx;
      const uint8_t in[] = {0x40, 0x01, (uint8_t)(num >> 8), (uint8_t)num,
                            0xd2, 0x0a, (uint8_t)(v >> 8),   (uint8_t)v};
      const bool more = (num + 1) * size < total;
      assert_int_equal(fx_feed_bytes(f, &f->peer, in, sizeof in), COPAL_OK);
      fx_expect(f, "60 45 .. .. *");
      expect_part(f, num * size, more ? size : total - num * size);
      copal_msg m;
      copal_block b;
      copal_span value;
      assert_int_equal(copal_msg_parse(copal_span_of(fx_last(f)->bytes, fx_last(f)->len), &m), 0);
      assert_true(copal_opt_find(m.options, COPAL_OPT_BLOCK2, &value));
      assert_int_equal(copal_block_parse(value, &b), COPAL_OK);
      assert_int_equal(b.num, num);
      assert_int_equal(b.szx, szx);
      assert_int_equal(b.more, more);
      assert_int_equal(copal_opt_find(m.options, COPAL_OPT_SIZE2, &value), num == 0);
      f->sent_count = f->sent_seen = 0;
    }
  }
}

static void rfc7959_2_4_late_smaller_size_continues_at_the_offset(void **state)
{
  fixture *f = *state;
  serve_body(f, 2000);
  assert_int_equal(fx_feed(f, "40 01 00 01"), COPAL_OK);
  fx_expect(f, "60 45 00 01 d1 0a 0e *");                            /* 1024 bytes */
  assert_int_equal(fx_feed(f, "40 01 00 02 d2 0a 01 02"), COPAL_OK); /* 16/0/64 */
  fx_expect(f, "60 45 00 02 d2 0a 01 0a ff *");
  expect_part(f, 1024, 64);
}

static void the_limit_of_the_server_shrinks_the_block(void **state)
{
  fixture *f = *state;
  f->cfg.szx_max = 2;
  f->cfg.has_szx_max = true;
  fx_restart(f);
  serve_body(f, 2000);
  assert_int_equal(fx_feed(f, "40 01 00 01"), COPAL_OK);
  fx_expect(f, "60 45 00 01 d1 0a 0a 52 07 d0 ff *");
  expect_part(f, 0, 64);
  assert_int_equal(fx_feed(f, "40 01 00 02 d1 0a 16"), COPAL_OK); /* 1/0/1024 */
  assert_int_equal(f->req.block2.num, 16);
  assert_int_equal(f->req.block2.szx, 2);
  fx_expect(f, "60 45 00 02 d2 0a 01 0a ff *"); /* 16/1/64: the same offset */
  expect_part(f, 1024, 64);
}

static void the_smallest_limit_may_be_meant(void **state)
{
  fixture *f = *state;
  f->cfg.szx_max = 0;
  f->cfg.has_szx_max = true;
  fx_restart(f);
  serve_body(f, 17);
  assert_int_equal(fx_feed(f, "40 01 00 01"), COPAL_OK);
  fx_expect(f, "60 45 00 01 d1 0a 08 51 11 ff *");
  expect_part(f, 0, 16);
}

static void a_small_message_shrinks_the_block(void **state)
{
  fixture *f = *state;
  f->cfg.message_max = 100;
  fx_restart(f);
  serve_body(f, 200);
  assert_int_equal(fx_feed(f, "40 01 00 01"), COPAL_OK);
  fx_expect(f, "60 45 00 01 d1 0a 0a 51 c8 ff *");
  expect_part(f, 0, 64);
  assert_int_equal(fx_feed(f, "40 01 00 02 d1 0a 13"), COPAL_OK); /* 1/0/128 */
  fx_expect(f, "60 45 00 02 d1 0a 2a ff *");                      /* 2/1/64 */
  expect_part(f, 128, 64);
}

static void rfc7959_2_2_szx_7_is_4_00(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 01 00 01 aa d1 0a 07"), COPAL_EBLOCK); /* Block2 */
  fx_expect(f, "61 80 00 01 aa ff 'no such block'");
  assert_int_equal(fx_feed(f, "41 03 00 02 aa d1 0e 0f ff 'x'"), COPAL_EBLOCK); /* Block1 */
  fx_expect(f, "61 80 00 02 aa ff 'no such block'");
  assert_int_equal(fx_feed(f, "51 01 00 03 aa d1 0a 17"), COPAL_EBLOCK);
  fx_expect(f, "51 80 %m aa ff 'no such block'");
  assert_int_equal(f->calls, 0);
}

static void a_block_behind_the_end_is_4_00(void **state)
{
  fixture *f = *state;
  serve_body(f, 64);
  assert_int_equal(fx_feed(f, "40 01 00 01 d1 0a 20"), COPAL_OK); /* 2/0/16 */
  fx_expect(f, "60 45 00 01 d1 0a 28 ff *");
  assert_int_equal(fx_feed(f, "40 01 00 02 d1 0a 30"), COPAL_OK); /* the last */
  fx_expect(f, "60 45 00 02 d1 0a 30 ff *");
  assert_int_equal(fx_feed(f, "40 01 00 03 d1 0a 40"), COPAL_OK); /* right behind */
  fx_expect(f, "60 80 00 03 ff 'no such block'");
  assert_int_equal(fx_feed(f, "40 01 00 04 d3 0a ff ff f6"), COPAL_OK); /* far behind */
  fx_expect(f, "60 80 00 04 ff 'no such block'");
  assert_int_equal(f->respond_result, COPAL_OK);
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "40 01 00 05 d1 0a 40"), COPAL_OK);
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "60 80 00 05 ff 'no such block'");
}

static void a_part_of_the_body_is_enough(void **state)
{
  fixture *f = *state;
  serve_body(f, 0);
  f->response.payload = copal_span_of(body + 128, 64);
  f->response.offset = 128;
  f->response.total = 1000;
  assert_int_equal(fx_feed(f, "40 01 00 01 d1 0a 22"), COPAL_OK); /* 2/0/64 */
  fx_expect(f, "60 45 00 01 d1 0a 2a ff *");
  expect_part(f, 128, 64);
  assert_int_equal(fx_feed(f, "40 01 00 02 d1 0a 90"), COPAL_OK); /* 9/0/16, inside */
  fx_expect(f, "60 45 00 02 d1 0a 98 ff *");
  expect_part(f, 144, 16);
  f->response.payload = copal_span_of(body + 960, 40);
  f->response.offset = 960;
  assert_int_equal(fx_feed(f, "40 01 00 03 d1 0a f2"), COPAL_OK); /* 15/0/64, the last */
  fx_expect(f, "60 45 00 03 d1 0a f2 ff *");
  expect_part(f, 960, 40);
}

static void a_part_that_does_not_cover_the_block_is_the_handlers_mistake(void **state)
{
  fixture *f = *state;
  serve_body(f, 0);
  f->response.payload = copal_span_of(body + 128, 64);
  f->response.offset = 128;
  f->response.total = 1000;
  assert_int_equal(fx_feed(f, "40 01 00 01 d1 0a 12"), COPAL_OK); /* before */
  assert_int_equal(f->respond_result, COPAL_EINVAL);
  fx_expect(f, "60 00 00 01");
  assert_int_equal(fx_feed(f, "40 01 00 02 d1 0a 32"), COPAL_OK); /* behind */
  assert_int_equal(f->respond_result, COPAL_EINVAL);
  fx_expect(f, "60 00 00 02");
  assert_int_equal(fx_feed(f, "40 01 00 03 d1 0a 13"), COPAL_OK); /* only half of 128 */
  assert_int_equal(f->respond_result, COPAL_EINVAL);
  fx_expect(f, "60 00 00 03");
  f->response.total = 160;
  assert_int_equal(fx_feed(f, "40 01 00 04 d1 0a 22"), COPAL_OK); /* 64 bytes from 128 on of 160 */
  assert_int_equal(f->respond_result, COPAL_EINVAL);
  fx_expect(f, "60 00 00 04");
}

static void errors_are_never_sliced(void **state)
{
  fixture *f = *state;
  f->cfg.message_max = 64;
  fx_restart(f);
  serve_body(f, 100);
  f->response.code = COPAL_CODE_BAD_REQUEST;
  assert_int_equal(fx_feed(f, "40 01 00 01 d1 0a 10"), COPAL_OK);
  fx_expect(f, "60 80 00 01 ff *"); /* cut to the room */
  assert_true(fx_last(f)->len <= 64);
  assert_memory_equal(fx_last(f)->bytes + 5, body, fx_last(f)->len - 5);
}

static void an_empty_body_has_no_block(void **state)
{
  fixture *f = *state;
  serve_body(f, 0);
  assert_int_equal(fx_feed(f, "40 01 00 01 d1 0a 02"), COPAL_OK);
  fx_expect(f, "60 45 00 01");
}

static void block_options_go_to_their_places(void **state)
{
  fixture *f = *state;
  static const uint8_t v[1] = {1};
  const copal_opt opts[] = {{COPAL_OPT_ETAG, {v, 1}},
                            {COPAL_OPT_MAX_AGE, {v, 1}},
                            {COPAL_OPT_BLOCK1, {v, 1}},
                            {COPAL_OPT_SIZE1, {v, 1}}};
  serve_body(f, 20);
  f->response.opts = opts;
  f->response.opt_count = 4;
  assert_int_equal(fx_feed(f, "40 01 00 01 d0 0a"), COPAL_OK);
  /* 4, 14, 23, 27, 28, 60 */
  fx_expect(f, "60 45 00 01 41 01 a1 01 91 08 41 01 11 14 d1 13 01 ff *");
  expect_part(f, 0, 16);
}

static void a_separate_response_is_sliced_too(void **state)
{
  fixture *f = *state;
  serve_body(f, 100);
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 01 00 01 aa d1 0a 12"), COPAL_OK);
  fx_advance(f, COPAL_SECOND);
  fx_expect(f, "60 00 00 01");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "41 45 %m aa d1 0a 12 ff *");
  expect_part(f, 64, 36);
}

static void block1_is_read_for_the_handler(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 03 00 01 d1 0e 2a ff 'x'"), COPAL_OK); /* 2/1/64 */
  assert_true(f->req.has_block1);
  assert_int_equal(f->req.block1.num, 2);
  assert_true(f->req.block1.more);
  assert_int_equal(f->req.block1.szx, 2);
  assert_false(f->req.has_block2);
}

static void suppression_by_class(void **state)
{
  reply_rules rules = {0};
  (void)state;
  assert_false(reply_is_suppressed(&rules, COPAL_CODE_CONTENT));
  assert_false(reply_is_suppressed(&rules, COPAL_CODE_NOT_FOUND));
  rules.is_group = true;
  assert_false(reply_is_suppressed(&rules, COPAL_CODE_CONTENT));
  assert_true(reply_is_suppressed(&rules, COPAL_CODE_NOT_FOUND));
  assert_true(reply_is_suppressed(&rules, COPAL_CODE_INTERNAL_SERVER_ERROR));
  rules.has_no_response = true; /* what the client says takes precedence */
  assert_false(reply_is_suppressed(&rules, COPAL_CODE_NOT_FOUND));
  rules.no_response = 26;
  assert_true(reply_is_suppressed(&rules, COPAL_CODE_CONTENT));
  assert_true(reply_is_suppressed(&rules, COPAL_CODE_NOT_FOUND));
  assert_true(reply_is_suppressed(&rules, COPAL_CODE_INTERNAL_SERVER_ERROR));
}

/* A block number has 20 bits; what lies behind cannot be named. */
static void a_block_that_cannot_be_named_is_4_00(void **state)
{
  fixture *f = *state;
  f->cfg.has_szx_max = true; /* 16 bytes */
  fx_restart(f);
  serve_body(f, 64);
  f->response.offset = 0xfffff * 1024u;
  f->response.total = 0x7fffffff;
  assert_int_equal(fx_feed(f, "40 01 00 01 d3 0a ff ff f6"), COPAL_OK);
  fx_expect(f, "60 80 00 01 ff 'no such block'");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7959_2_4_small_body_without_block_option_is_sent_whole),
      TEST(rfc7959_2_4_large_body_is_sliced_unasked),
      TEST(rfc7959_2_4_early_negotiation_takes_the_clients_size),
      TEST(rfc7959_2_4_explicit_size_is_confirmed_for_a_small_body),
      TEST(rfc7959_2_4_m_bit_of_the_request_is_ignored),
      TEST(rfc7959_2_4_every_block_of_every_size),
      TEST(rfc7959_2_4_late_smaller_size_continues_at_the_offset),
      TEST(the_limit_of_the_server_shrinks_the_block),
      TEST(the_smallest_limit_may_be_meant),
      TEST(a_small_message_shrinks_the_block),
      TEST(rfc7959_2_2_szx_7_is_4_00),
      TEST(a_block_behind_the_end_is_4_00),
      TEST(a_part_of_the_body_is_enough),
      TEST(a_part_that_does_not_cover_the_block_is_the_handlers_mistake),
      TEST(errors_are_never_sliced),
      TEST(an_empty_body_has_no_block),
      TEST(block_options_go_to_their_places),
      TEST(a_separate_response_is_sliced_too),
      TEST(block1_is_read_for_the_handler),
      TEST(suppression_by_class),
      TEST(a_block_that_cannot_be_named_is_4_00),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
