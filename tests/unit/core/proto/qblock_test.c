/* SPDX-License-Identifier: Apache-2.0 */
/* Responses in sets of blocks: Q-Block2 of the server. RFC 9177 sections 4 to 7 and 10.2. */
#include <stdio.h>

#include "unit/core/proto/fixture.h"

#include "copal/qblock.h"

enum { BODY = 1000, BLOCK = 16 };

static uint8_t body[BODY];
static const uint8_t etag_bytes[] = {0x19};
static copal_opt etag = {COPAL_OPT_ETAG, {etag_bytes, 1}};
static copal_qblock params;

/* What one datagram of the server says. */
typedef struct part {
  copal_type type;
  copal_code code;
  copal_block block;
  uint32_t size2;
  uint16_t mid;
  bool has_observe;
} part;

static void start(fixture *f)
{
  params = copal_qblock_default();
  f->cfg.qblock = &params;
  f->cfg.szx_max = 0;
  f->cfg.has_szx_max = true;
  fx_restart(f);
}

static void serve_body(fixture *f, size_t total)
{
  for (size_t i = 0; i < BODY; i++)
    body[i] = (uint8_t)(i * 31 + (i >> 8));
  start(f);
  f->response = (copal_response){
      .code = COPAL_CODE_CONTENT, .opts = &etag, .opt_count = 1, .payload = {body, total}};
}

static size_t left(const fixture *f)
{
  return f->sent_count - f->sent_seen;
}

/* The next datagram is a block of the body, and all of that block. */
static part next_part(fixture *f)
{
  part p = {0};
  copal_msg m;
  copal_span v;
  assert_true(left(f) > 0);
  const fx_datagram *d = &f->sent[f->sent_seen++];
  assert_int_equal(copal_msg_parse(copal_span_of(d->bytes, d->len), &m), COPAL_OK);
  p.type = m.type;
  p.code = m.code;
  p.mid = m.mid;
  p.has_observe = copal_opt_find(m.options, COPAL_OPT_OBSERVE, &v);
  assert_int_equal(m.token.len, 1);
  assert_int_equal(m.token.ptr[0], 0xf0);
  assert_true(copal_opt_find(m.options, COPAL_OPT_ETAG, &v));
  assert_false(copal_opt_find(m.options, COPAL_OPT_BLOCK2, &v));
  assert_true(copal_opt_find(m.options, COPAL_OPT_Q_BLOCK2, &v));
  assert_int_equal(copal_block_parse(v, &p.block), COPAL_OK);
  p.size2 = copal_opt_uint_or(m.options, COPAL_OPT_SIZE2, 0);
  const size_t at = (size_t)p.block.num * BLOCK;
  assert_true(at + m.payload.len <= p.size2);
  assert_memory_equal(m.payload.ptr, body + at, m.payload.len);
  assert_int_equal(p.block.more, at + BLOCK < p.size2);
  assert_int_equal(m.payload.len, p.block.more ? BLOCK : p.size2 - at);
  return p;
}

static void expect_parts(fixture *f, uint32_t from, uint32_t to)
{
  for (uint32_t num = from; num < to; num++) {
    const part p = next_part(f);
    assert_int_equal(p.type, COPAL_NON);
    assert_int_equal(p.block.num, num);
  }
  assert_int_equal(left(f), 0);
}

/* NON GET T:0xf0 with the option Q-Block2 (31 = 13 + 18) as given. */
static int get(fixture *f, uint16_t mid, const char *option)
{
  char text[128];
  snprintf(text, sizeof text, "51 01 %02x %02x f0 %s", mid >> 8, mid & 0xff, option);
  return fx_feed(f, text);
}

static copal_qblock_stats stats(const fixture *f)
{
  copal_qblock_stats s;
  copal_ep_qblock_stats(f->ep, &s);
  return s;
}

static void rfc9177_10_2_1_simple_example_is_four_non_blocks(void **state)
{
  fixture *f = *state;
  serve_body(f, 4 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 08"), COPAL_OK); /* 0/1/16 */
  expect_parts(f, 0, 4);
  fx_advance(f, 10 * COPAL_SECOND);
  assert_int_equal(left(f), 0);
  assert_int_equal(f->calls, 1);
}

static void rfc9177_4_4_each_block_has_its_message_id_and_the_exact_size2(void **state)
{
  fixture *f = *state;
  uint16_t mids[4];
  serve_body(f, 4 * BLOCK - 3);
  assert_int_equal(get(f, 1, "d1 12 08"), COPAL_OK);
  for (size_t i = 0; i < 4; i++) {
    const part p = next_part(f);
    mids[i] = p.mid;
    assert_int_equal(p.size2, 4 * BLOCK - 3);
    for (size_t k = 0; k < i; k++)
      assert_int_not_equal(mids[k], mids[i]);
  }
}

static void rfc9177_7_2_next_set_waits_for_non_timeout_random(void **state)
{
  fixture *f = *state;
  serve_body(f, 23 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 08"), COPAL_OK);
  expect_parts(f, 0, 10);
  fx_advance(f, params.non_timeout - 1);
  assert_int_equal(left(f), 0);
  fx_advance(f, params.non_timeout / 2 + 10 * COPAL_MILLISECOND);
  expect_parts(f, 10, 20);
  fx_advance(f, 3 * COPAL_SECOND + 10 * COPAL_MILLISECOND);
  expect_parts(f, 20, 23);
  fx_advance(f, 10 * COPAL_SECOND);
  assert_int_equal(left(f), 0);
  assert_int_equal(stats(f).sets, 2);
  assert_int_equal(stats(f).ended, 0);
  assert_int_equal(copal_ep_usage(f->ep).chunks, 0);
}

static void rfc9177_10_2_2_continue_brings_the_next_set_at_once(void **state)
{
  fixture *f = *state;
  serve_body(f, 12 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 08"), COPAL_OK);
  expect_parts(f, 0, 10);
  assert_int_equal(get(f, 2, "d1 12 a8"), COPAL_OK); /* 10/1/16 */
  expect_parts(f, 10, 12);
  fx_advance(f, 10 * COPAL_SECOND);
  assert_int_equal(left(f), 0);
  assert_int_equal(stats(f).sets, 0);
}

static void rfc9177_10_2_3_missing_blocks_are_sent_again_alone(void **state)
{
  fixture *f = *state;
  serve_body(f, 10 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 10 01 50 01 90"), COPAL_OK); /* 1, 5 and 9 */
  assert_int_equal(next_part(f).block.num, 1);
  assert_int_equal(next_part(f).block.num, 5);
  assert_int_equal(next_part(f).block.num, 9);
  assert_int_equal(left(f), 0);
}

static void rfc9177_10_2_4_m_bit_asks_for_the_rest_of_the_set(void **state)
{
  fixture *f = *state;
  serve_body(f, 30 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 d8"), COPAL_OK); /* 13/1/16 */
  expect_parts(f, 13, 20);
  fx_advance(f, 10 * COPAL_SECOND);
  assert_int_equal(left(f), 0);
}

static void rfc9177_4_4_unset_m_bit_asks_for_one_block(void **state)
{
  fixture *f = *state;
  serve_body(f, 30 * BLOCK);
  assert_int_equal(get(f, 1, "d0 12"), COPAL_OK);
  expect_parts(f, 0, 1);
  fx_advance(f, 10 * COPAL_SECOND);
  assert_int_equal(left(f), 0);
}

static void rfc9177_4_4_overlapping_requests_bring_each_block_once(void **state)
{
  fixture *f = *state;
  serve_body(f, 30 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 78 01 80"), COPAL_OK); /* 7/1 and 8/0 */
  expect_parts(f, 7, 10);
}

static void rfc9177_4_4_blocks_out_of_order_or_twice_are_refused(void **state)
{
  fixture *f = *state;
  serve_body(f, 30 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 50 01 30"), COPAL_EBLOCK);
  fx_expect(f, "51 80 .. .. f0 *");
  assert_int_equal(get(f, 2, "d1 12 50 01 50"), COPAL_EBLOCK);
  fx_expect(f, "51 80 .. .. f0 *");
  assert_int_equal(f->calls, 0);
}

static void rfc9177_4_1_block2_and_qblock2_together_are_refused(void **state)
{
  fixture *f = *state;
  serve_body(f, 30 * BLOCK);
  assert_int_equal(fx_feed(f, "41 01 00 01 f0 d0 0a 81 08"), COPAL_EOPTION);
  fx_expect(f, "61 82 00 01 f0 *");
}

static void rfc9177_4_1_without_support_the_option_is_a_bad_option(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 01 00 01 f0 d1 12 08"), COPAL_EOPTION);
  fx_expect(f, "61 82 00 01 f0 *");
  assert_int_equal(fx_feed(f, "51 01 00 02 f0 d1 12 08"), COPAL_EOPTION);
  fx_expect(f, "70 00 00 02");
}

static void rfc9177_4_8_multicast_requests_are_ignored(void **state)
{
  fixture *f = *state;
  serve_body(f, 30 * BLOCK);
  copal_path group = f->peer;
  group.flags |= COPAL_PATH_GROUP;
  assert_int_equal(fx_feed_from(f, &group, "51 01 00 01 f0 d1 12 08"), COPAL_EMULTICAST);
  fx_advance(f, 10 * COPAL_SECOND);
  assert_int_equal(left(f), 0);
  assert_int_equal(f->calls, 0);
}

static void rfc9177_4_3_qblock1_without_request_tag_or_size1_is_a_bad_request(void **state)
{
  fixture *f = *state;
  serve_body(f, BLOCK);
  /* Q-Block1 (19), Size1 (60), Request-Tag (292) */
  assert_int_equal(fx_feed(f, "41 03 00 01 f0 d1 06 08 d1 1c 20 ff 00"), COPAL_EBLOCK);
  fx_expect(f, "61 80 00 01 f0 *");
  assert_int_equal(fx_feed(f, "41 03 00 02 f0 d1 06 08 e1 00 04 09 ff 00"), COPAL_EBLOCK);
  fx_expect(f, "61 80 00 02 f0 *");
  assert_int_equal(fx_feed(f, "41 03 00 03 f0 d1 06 08 d1 1c 20 d1 db 09 ff 00"), COPAL_OK);
  assert_true(f->req.has_block1 && f->req.is_qblock1);
}

static void rfc9177_4_4_changed_body_ends_the_transfer(void **state)
{
  fixture *f = *state;
  static const uint8_t other[] = {0x20};
  copal_opt changed = {COPAL_OPT_ETAG, {other, 1}};
  serve_body(f, 30 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 08"), COPAL_OK);
  expect_parts(f, 0, 10);
  f->response.opts = &changed;
  fx_advance(f, 10 * COPAL_SECOND);
  assert_int_equal(left(f), 0);
  assert_int_equal(stats(f).ended, 1);
  assert_int_equal(get(f, 2, "d1 12 d0"), COPAL_OK); /* the latest ETag answers */
  assert_int_equal(next_part(f).block.num, 13);
}

static void rfc9177_7_2_a_silent_client_gets_a_bounded_number_of_sets(void **state)
{
  fixture *f = *state;
  serve_body(f, 62 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 08"), COPAL_OK);
  fx_advance(f, 60 * COPAL_SECOND);
  expect_parts(f, 0, 50); /* the first and NON_MAX_RETRANSMIT more */
  assert_int_equal(stats(f).ended, 1);
  assert_int_equal(copal_ep_usage(f->ep).chunks, 0);
}

static void rfc9177_7_2_a_request_for_missing_blocks_restarts_the_pause(void **state)
{
  fixture *f = *state;
  serve_body(f, 20 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 08"), COPAL_OK);
  expect_parts(f, 0, 10);
  fx_advance(f, params.non_timeout - COPAL_SECOND / 2);
  assert_int_equal(get(f, 2, "d1 12 30"), COPAL_OK);
  expect_parts(f, 3, 4);
  fx_advance(f, params.non_timeout - 1);
  assert_int_equal(left(f), 0);
  fx_advance(f, 2 * COPAL_SECOND);
  expect_parts(f, 10, 20);
}

/* RFC 9177 appendix A.2: the first block in the acknowledgement, the others each confirmable. */
static void rfc9177_7_1_confirmable_blocks_go_one_at_a_time(void **state)
{
  fixture *f = *state;
  serve_body(f, 12 * BLOCK);
  assert_int_equal(fx_feed(f, "41 01 00 01 f0 d1 12 08"), COPAL_OK);
  part p = next_part(f);
  assert_int_equal(p.type, COPAL_ACK);
  for (uint32_t num = 1; num < 12; num++) {
    fx_advance(f, 20 * COPAL_MILLISECOND);
    assert_int_equal(left(f), 1);
    p = next_part(f);
    assert_int_equal(p.type, COPAL_CON);
    assert_int_equal(p.block.num, num);
    const uint8_t ack[] = {0x60, 0, (uint8_t)(p.mid >> 8), (uint8_t)p.mid};
    assert_int_equal(fx_feed_bytes(f, &f->peer, ack, sizeof ack), COPAL_OK);
  }
  fx_advance(f, 100 * COPAL_SECOND);
  assert_int_equal(left(f), 0);
  assert_int_equal(stats(f).ended, 0);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
}

static void rfc9177_4_4_confirmable_transfer_ends_when_not_acknowledged(void **state)
{
  fixture *f = *state;
  serve_body(f, 12 * BLOCK);
  assert_int_equal(fx_feed(f, "41 01 00 01 f0 d1 12 08"), COPAL_OK);
  fx_advance(f, 300 * COPAL_SECOND);
  assert_int_equal(left(f), 1 + 5); /* the first, and one with its retransmissions */
  assert_int_equal(stats(f).ended, 1);
  assert_int_equal(copal_ep_usage(f->ep).chunks, 0);
  f->sent_seen = f->sent_count;
}

static void rfc9177_4_4_body_without_etag_comes_with_block2(void **state)
{
  fixture *f = *state;
  copal_msg m;
  copal_span v;
  serve_body(f, 30 * BLOCK);
  f->response.opt_count = 0;
  assert_int_equal(get(f, 1, "d1 12 08"), COPAL_OK);
  assert_int_equal(left(f), 1);
  const fx_datagram *d = &f->sent[f->sent_seen++];
  assert_int_equal(copal_msg_parse(copal_span_of(d->bytes, d->len), &m), COPAL_OK);
  assert_true(copal_opt_find(m.options, COPAL_OPT_BLOCK2, &v));
  assert_false(copal_opt_find(m.options, COPAL_OPT_Q_BLOCK2, &v));
}

static void rfc9177_4_4_flows_are_bounded_and_refusals_counted(void **state)
{
  fixture *f = *state;
  serve_body(f, 30 * BLOCK);
  params.flow_count = 1;
  fx_restart(f);
  const copal_path other = fx_peer(7);
  assert_int_equal(get(f, 1, "d1 12 08"), COPAL_OK);
  assert_int_equal(fx_feed_from(f, &other, "51 01 00 01 f0 d1 12 08"), COPAL_OK);
  assert_int_equal(stats(f).refused, 1);
  assert_int_equal(left(f), 20);
  f->sent_seen = f->sent_count;
}

/* A guard with a budget of `allowed` bytes. */
typedef struct miser {
  copal_guard guard;
  size_t allowed;
} miser;

static bool miser_allows(copal_guard *g, const copal_path *path, size_t len, copal_time now)
{
  miser *m = (miser *)g;
  (void)path, (void)now;
  if (len > m->allowed)
    return false;
  m->allowed -= len;
  return true;
}

static void miser_challenge(copal_guard *g, const copal_path *path, uint8_t echo[COPAL_ECHO_SIZE],
                            copal_time now)
{
  (void)g, (void)path, (void)now;
  memset(echo, 7, COPAL_ECHO_SIZE);
}

static void miser_on_echo(copal_guard *g, const copal_path *path, copal_span echo, copal_time now)
{
  (void)g, (void)path, (void)echo, (void)now;
}

static bool miser_probe(copal_guard *g, const copal_path *path, uint16_t *mid, copal_time now)
{
  (void)g, (void)path, (void)mid, (void)now;
  return false;
}

static void rfc9175_2_4_the_guard_weighs_the_whole_set(void **state)
{
  fixture *f = *state;
  miser m = {.guard = {.allows = miser_allows,
                       .challenge = miser_challenge,
                       .on_echo = miser_on_echo,
                       .probe = miser_probe},
             .allowed = 200};
  f->cfg.guard = &m.guard;
  serve_body(f, 30 * BLOCK);
  assert_int_equal(get(f, 1, "d1 12 08"), COPAL_OK);
  fx_expect(f, "51 81 .. .. f0 *"); /* ten blocks are beyond it */
  fx_expect_nothing(f);
  m.allowed = 1000;
  assert_int_equal(get(f, 2, "d1 12 08"), COPAL_OK);
  expect_parts(f, 0, 10);
  fx_advance(f, 10 * COPAL_SECOND); /* the next set finds the budget spent */
  assert_int_equal(left(f), 0);
  assert_int_equal(stats(f).withheld, 1);
}

static void rfc9177_7_2_parameters_default_and_are_checked(void **state)
{
  (void)state;
  copal_qblock q = copal_qblock_default();
  assert_int_equal(q.max_payloads, 10);
  assert_int_equal(q.non_max_retransmit, 4);
  assert_int_equal(q.non_timeout, 2 * COPAL_SECOND);
  assert_int_equal(q.non_receive_timeout, 4 * COPAL_SECOND);
  assert_int_equal(q.non_partial_timeout, 247 * COPAL_SECOND);
  assert_int_equal(copal_qblock_check(&q), COPAL_OK);
  assert_int_equal(copal_qblock_pause(&q, 0), 2 * COPAL_SECOND);
  assert_true(copal_qblock_pause(&q, UINT32_MAX) < 3 * COPAL_SECOND);
  assert_int_equal(copal_qblock_patience(&q, 0), 4 * COPAL_SECOND);
  assert_int_equal(copal_qblock_patience(&q, 3), 32 * COPAL_SECOND);
  q.non_receive_timeout = 4 * COPAL_SECOND - 1;
  assert_int_equal(copal_qblock_check(&q), COPAL_EINVAL);
  q = copal_qblock_default();
  q.max_payloads = COPAL_QBLOCK_PAYLOADS_MAX + 1;
  assert_int_equal(copal_qblock_check(&q), COPAL_EINVAL);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      ROW(rfc9177_10_2_1_simple_example_is_four_non_blocks),
      ROW(rfc9177_4_4_each_block_has_its_message_id_and_the_exact_size2),
      ROW(rfc9177_7_2_next_set_waits_for_non_timeout_random),
      ROW(rfc9177_10_2_2_continue_brings_the_next_set_at_once),
      ROW(rfc9177_10_2_3_missing_blocks_are_sent_again_alone),
      ROW(rfc9177_10_2_4_m_bit_asks_for_the_rest_of_the_set),
      ROW(rfc9177_4_4_unset_m_bit_asks_for_one_block),
      ROW(rfc9177_4_4_overlapping_requests_bring_each_block_once),
      ROW(rfc9177_4_4_blocks_out_of_order_or_twice_are_refused),
      ROW(rfc9177_4_1_block2_and_qblock2_together_are_refused),
      ROW(rfc9177_4_1_without_support_the_option_is_a_bad_option),
      ROW(rfc9177_4_8_multicast_requests_are_ignored),
      ROW(rfc9177_4_3_qblock1_without_request_tag_or_size1_is_a_bad_request),
      ROW(rfc9177_4_4_changed_body_ends_the_transfer),
      ROW(rfc9177_7_2_a_silent_client_gets_a_bounded_number_of_sets),
      ROW(rfc9177_7_2_a_request_for_missing_blocks_restarts_the_pause),
      ROW(rfc9177_7_1_confirmable_blocks_go_one_at_a_time),
      ROW(rfc9177_4_4_confirmable_transfer_ends_when_not_acknowledged),
      ROW(rfc9177_4_4_body_without_etag_comes_with_block2),
      ROW(rfc9177_4_4_flows_are_bounded_and_refusals_counted),
      ROW(rfc9175_2_4_the_guard_weighs_the_whole_set),
      cmocka_unit_test(rfc9177_7_2_parameters_default_and_are_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
