/* SPDX-License-Identifier: Apache-2.0 */
/* Deduplication: what duplicates get, how long it lasts, what happens when memory is short.
 * RFC 7252 section 4.5. */
#include "unit/core/proto/fixture.h"

#include "core/proto/dedup.h"
#include "core/proto/ep.h"

static const copal_time exchange_lifetime = (copal_time)247 * COPAL_SECOND; /* section 4.8.2 */
static const copal_time non_lifetime = (copal_time)145 * COPAL_SECOND;

/* Sends a CON POST with that Message ID and expects it to run. */
static void post(fixture *f, const copal_path *path, uint16_t mid)
{
  const int before = f->calls;
  f->mid = mid;
  assert_int_equal(fx_feed_from(f, path, "40 02 %m"), COPAL_OK);
  assert_int_equal(f->calls, before + 1);
  fx_expect_to(f, path, "60 44 %m");
}

/* Sends it again and expects the same answer without a run. */
static void post_again(fixture *f, const copal_path *path, uint16_t mid)
{
  const int before = f->calls;
  f->mid = mid;
  assert_int_equal(fx_feed_from(f, path, "40 02 %m"), COPAL_OK);
  assert_int_equal(f->calls, before);
  fx_expect_to(f, path, "60 44 %m");
}

static void rfc7252_4_5_duplicate_con_replays_ack(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CREATED, "made");
  for (int i = 0; i < 5; i++) {
    assert_int_equal(fx_feed(f, "42 02 12 34 aa bb ff 'x'"), COPAL_OK);
    fx_expect(f, "62 41 12 34 aa bb ff 'made'");
    f->response.payload = copal_span_str("not again");
  }
  assert_int_equal(f->calls, 1);
  assert_int_equal(fx_stats(f)->dup_replayed, 4);
  assert_int_equal(fx_stats(f)->rx_requests, 1);
  fx_expect_idle(f);
}

static void rfc7252_4_5_duplicate_non_is_silently_ignored(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(fx_feed(f, "51 03 12 34 aa"), COPAL_OK);
  fx_expect(f, "51 44 %m aa");
  assert_int_equal(fx_feed(f, "51 03 12 34 aa"), COPAL_OK);
  assert_int_equal(fx_feed(f, "51 03 12 34 aa"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(f->calls, 1);
  assert_int_equal(fx_stats(f)->dup_ignored, 2);
  fx_expect_idle(f);
}

static void rfc7252_4_5_duplicate_non_get_is_silently_ignored(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "51 01 12 34 aa"), COPAL_OK);
  fx_expect(f, "51 45 %m aa");
  assert_int_equal(fx_feed(f, "51 01 12 34 aa"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(f->calls, 1);
}

static void rfc7252_4_5_duplicate_con_get_gets_the_same_answer(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa");
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa");
  assert_int_equal(copal_ep_usage(f->ep).dedups, 0); /* relaxed: a GET may run again */
}

static void rfc7252_4_5_duplicate_of_an_error_replays_it(void **state)
{
  fixture *f = *state;
  f->result = COPAL_ENOTFOUND;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(fx_feed(f, "40 04 12 34"), COPAL_OK);
    fx_expect(f, "60 84 12 34 ff 'no such resource'");
  }
  assert_int_equal(f->calls, 1);
}

static void rfc7252_4_8_2_con_is_forgotten_after_exchange_lifetime(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  post(f, &f->peer, 7);
  fx_advance(f, exchange_lifetime - 1);
  post_again(f, &f->peer, 7);
  fx_advance(f, 1);
  post(f, &f->peer, 7);
  assert_int_equal(fx_stats(f)->dedup_evicted, 0);
  fx_expect_idle(f);
}

static void rfc7252_4_8_2_non_is_forgotten_after_non_lifetime(void **state)
{
  fixture *f = *state;
  f->response.code = COPAL_CODE_EMPTY;
  assert_int_equal(fx_feed(f, "50 02 00 07"), COPAL_OK);
  fx_advance(f, non_lifetime - 1);
  assert_int_equal(fx_feed(f, "50 02 00 07"), COPAL_OK);
  assert_int_equal(f->calls, 1);
  fx_advance(f, 1);
  assert_int_equal(fx_feed(f, "50 02 00 07"), COPAL_OK);
  assert_int_equal(f->calls, 2);
  fx_expect_idle(f);
}

/* A confirmable entry ahead in the order of age must not prolong a non-confirmable one. */
static void a_non_behind_a_con_is_forgotten_in_time(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  post(f, &f->peer, 1);
  f->response.code = COPAL_CODE_EMPTY;
  assert_int_equal(fx_feed(f, "50 02 00 07"), COPAL_OK);
  assert_int_equal(f->calls, 2);
  fx_advance(f, non_lifetime);
  assert_int_equal(fx_feed(f, "50 02 00 07"), COPAL_OK);
  assert_int_equal(f->calls, 3);
  assert_int_equal(fx_feed(f, "50 02 00 07"), COPAL_OK);
  assert_int_equal(f->calls, 3);
  fx_answer(f, COPAL_CODE_CHANGED, "");
  post_again(f, &f->peer, 1);
  fx_expect_idle(f);
}

static void rfc7252_4_5_endpoint_and_message_id_make_the_duplicate(void **state)
{
  fixture *f = *state;
  copal_path other = fx_peer(2);
  copal_path port = f->peer, local = f->peer, session = f->peer;
  port.remote.port++;
  local.local = 3;
  session.session = 9;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  post(f, &f->peer, 7);
  post(f, &f->peer, 8);
  post(f, &other, 7);
  post(f, &port, 7);
  post(f, &local, 7);
  post(f, &session, 7);
  post_again(f, &f->peer, 7);
  post_again(f, &other, 7);
  post_again(f, &port, 7);
  post_again(f, &local, 7);
  post_again(f, &session, 7);
  fx_expect_idle(f);
}

static void a_peer_beyond_its_share_loses_its_own_oldest(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  f->cfg.dedup_per_peer = 3;
  fx_restart(f);
  fx_answer(f, COPAL_CODE_CHANGED, "");
  post(f, &other, 1);
  for (uint16_t mid = 1; mid <= 4; mid++)
    post(f, &f->peer, mid);
  assert_int_equal(fx_stats(f)->dedup_evicted, 1);
  assert_int_equal(copal_ep_usage(f->ep).dedups, 4);
  for (uint16_t mid = 2; mid <= 4; mid++)
    post_again(f, &f->peer, mid);
  post_again(f, &other, 1);
  post(f, &f->peer, 1); /* its entry went */
  assert_int_equal(fx_stats(f)->dedup_evicted, 2);
  fx_expect_idle(f);
}

static void when_all_entries_are_taken_the_oldest_goes(void **state)
{
  fixture *f = *state;
  f->cfg.dedup_count = 3;
  fx_restart(f);
  fx_answer(f, COPAL_CODE_CHANGED, "");
  for (uint8_t n = 1; n <= 4; n++) {
    const copal_path p = fx_peer(n);
    post(f, &p, 7);
  }
  assert_int_equal(fx_stats(f)->dedup_evicted, 1);
  assert_int_equal(copal_ep_usage(f->ep).dedups, 3);
  assert_int_equal(copal_ep_usage(f->ep).peers, 3);
  for (uint8_t n = 2; n <= 4; n++) {
    const copal_path p = fx_peer(n);
    post_again(f, &p, 7);
  }
  post(f, &f->peer, 7);
  fx_expect_idle(f);
}

static void a_share_of_one_holds_the_newest(void **state)
{
  fixture *f = *state;
  f->cfg.dedup_per_peer = 1;
  fx_restart(f);
  fx_answer(f, COPAL_CODE_CHANGED, "");
  post(f, &f->peer, 1);
  post(f, &f->peer, 2);
  post_again(f, &f->peer, 2);
  post(f, &f->peer, 1);
  fx_expect_idle(f);
}

static void when_all_peers_are_taken_the_oldest_entries_go(void **state)
{
  fixture *f = *state;
  f->cfg.peer_count = 2;
  fx_restart(f);
  fx_answer(f, COPAL_CODE_CHANGED, "");
  for (uint8_t n = 1; n <= 3; n++) {
    const copal_path p = fx_peer(n);
    post(f, &p, 7);
  }
  assert_int_equal(fx_stats(f)->dedup_evicted, 1);
  assert_int_equal(copal_ep_usage(f->ep).peers, 2);
  fx_expect_idle(f);
}

static void without_any_place_an_unsafe_request_is_refused(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  f->cfg.peer_count = 1;
  fx_restart(f);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  assert_int_equal(fx_feed_from(f, &other, "41 02 12 34 aa"), COPAL_ENOSLOT);
  fx_expect_to(f, &other, "61 a3 12 34 aa d1 01 01 ff 'busy, try again'");
  assert_int_equal(f->calls, 0);
  assert_int_equal(fx_stats(f)->dedup_refused, 1);
  assert_int_equal(fx_feed_from(f, &other, "41 01 12 35 aa"), COPAL_OK); /* safe */
  fx_expect_to(f, &other, "61 45 12 35 aa");
  assert_int_equal(fx_feed_from(f, &other, "51 01 12 36 aa"), COPAL_OK); /* safe */
  fx_expect_to(f, &other, "51 45 %m aa");
  assert_int_equal(f->calls, 2);
}

static void a_reply_that_cannot_be_kept_makes_duplicates_silent(void **state)
{
  fixture *f = *state;
  f->cfg.chunk_count = 1;
  f->cfg.chunk_size = 16;
  fx_restart(f);
  fx_answer(f, COPAL_CODE_CHANGED, "0123456789abcdefghij");
  assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK);
  fx_expect(f, "60 44 12 34 ff '0123456789abcdefghij'");
  assert_int_equal(fx_stats(f)->chunks_refused, 1);
  assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(f->calls, 1);
  assert_int_equal(fx_stats(f)->dup_ignored, 1);
  fx_expect_idle(f);
}

static void a_reply_that_never_fits_costs_nobody_an_entry(void **state)
{
  fixture *f = *state;
  f->cfg.chunk_count = 2;
  f->cfg.chunk_size = 16;
  fx_restart(f);
  fx_answer(f, COPAL_CODE_CHANGED, "");
  post(f, &f->peer, 1);
  fx_answer(f, COPAL_CODE_CHANGED, "0123456789abcdef0123456789abcdef");
  assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK);
  fx_expect(f, "60 44 12 34 ff '0123456789abcdef0123456789abcdef'");
  assert_int_equal(fx_stats(f)->chunks_refused, 1);
  assert_int_equal(fx_stats(f)->dedup_evicted, 0);
  post_again(f, &f->peer, 1);
}

static void replies_kept_give_way_to_newer_ones(void **state)
{
  fixture *f = *state;
  f->cfg.chunk_count = 2;
  f->cfg.chunk_size = 16;
  fx_restart(f);
  fx_answer(f, COPAL_CODE_CHANGED, "");
  for (uint16_t mid = 1; mid <= 3; mid++)
    post(f, &f->peer, mid);
  assert_int_equal(fx_stats(f)->dedup_evicted, 1);
  post_again(f, &f->peer, 2);
  post_again(f, &f->peer, 3);
  fx_expect_idle(f);
}

/* A block in pieces of the size that a server has takes those of as many short replies. */
static void a_block_takes_the_place_of_short_replies(void **state)
{
  enum { PIECE = 56, PIECES = 1152 / PIECE + 1 };
  static char block[1025];
  fixture *f = *state;
  memset(block, 'b', sizeof block - 1);
  f->cfg.dedup_count = f->cfg.dedup_per_peer = 2 * PIECES;
  f->cfg.chunk_count = PIECES;
  f->cfg.chunk_size = PIECE;
  f->cfg.message_max = 1152;
  fx_restart(f);
  fx_answer(f, COPAL_CODE_CHANGED, "");
  for (uint16_t mid = 1; mid <= PIECES; mid++)
    post(f, &f->peer, mid);
  assert_int_equal(fx_stats(f)->dedup_evicted, 0);
  fx_answer(f, COPAL_CODE_CHANGED, block);
  assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK);
  assert_int_equal(fx_stats(f)->chunks_refused, 0);
  assert_int_equal(fx_stats(f)->dedup_evicted, 1028 / PIECE + 1);
}

static void sweeping_is_due_when_the_oldest_entry_is_over(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  post(f, &f->peer, 1);
  const copal_time due = copal_ep_deadline(f->ep);
  assert_true(due >= f->now + exchange_lifetime);
  assert_true(due <= f->now + exchange_lifetime + 2 * COPAL_SECOND);
  copal_ep_expire(f->ep, f->now + exchange_lifetime - 1);
  assert_int_equal(copal_ep_usage(f->ep).dedups, 1);
  f->now = due;
  copal_ep_expire(f->ep, f->now);
  assert_int_equal(copal_ep_usage(f->ep).dedups, 0);
  assert_int_equal(copal_ep_usage(f->ep).chunks, 0);
  assert_int_equal(copal_ep_usage(f->ep).peers, 0);
}

/* The driver slept: the entry of a request that still waits for its handler is over, its Message ID
 * is used again, and only then the timer of the first one fires. */
static void an_entry_out_of_its_lifetime_lets_its_exchange_go(void **state)
{
  fixture *f = *state;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK);
  const copal_xref first = f->late;
  f->now += exchange_lifetime + COPAL_SECOND;
  assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK);
  assert_int_equal(f->calls, 2);
  assert_true(f->late != first);
  fx_advance(f, COPAL_SECOND);
  fx_expect(f, "60 00 12 34"); /* both are late */
  fx_expect(f, "60 00 12 34");
  fx_expect_nothing(f);
  assert_int_equal(copal_ep_abandon(f->ep, first, f->now), COPAL_OK);
  assert_int_equal(copal_ep_abandon(f->ep, f->late, f->now), COPAL_OK);
  fx_expect_idle(f);
}

/* The handler takes all memory for a request of its own, and so its own entry goes. */
static int greedy(fixture *f, const copal_req *req)
{
  (void)req;
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_PUT);
  const copal_path other = fx_peer(7);
  rq.path = &other;
  rq.payload = copal_span_str("0123456789abcdef0123456789abcdef");
  f->respond_result = copal_ep_request(f->ep, &rq, NULL, f->now);
  return copal_ep_respond(f->ep, &f->response, f->now);
}

static void a_handler_may_use_up_the_memory_of_its_own_request(void **state)
{
  fixture *f = *state;
  f->cfg.chunk_count = 3;
  f->cfg.chunk_size = 16;
  fx_restart(f);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  f->handler = greedy;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK);
  fx_expect(f, "60 44 12 34");
  assert_int_equal(f->respond_result, COPAL_ENOSLOT);
  fx_expect_idle(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_4_5_duplicate_con_replays_ack),
      TEST(rfc7252_4_5_duplicate_non_is_silently_ignored),
      TEST(rfc7252_4_5_duplicate_non_get_is_silently_ignored),
      TEST(rfc7252_4_5_duplicate_con_get_gets_the_same_answer),
      TEST(rfc7252_4_5_duplicate_of_an_error_replays_it),
      TEST(rfc7252_4_8_2_con_is_forgotten_after_exchange_lifetime),
      TEST(rfc7252_4_8_2_non_is_forgotten_after_non_lifetime),
      TEST(a_non_behind_a_con_is_forgotten_in_time),
      TEST(rfc7252_4_5_endpoint_and_message_id_make_the_duplicate),
      TEST(a_peer_beyond_its_share_loses_its_own_oldest),
      TEST(when_all_entries_are_taken_the_oldest_goes),
      TEST(a_share_of_one_holds_the_newest),
      TEST(when_all_peers_are_taken_the_oldest_entries_go),
      TEST(without_any_place_an_unsafe_request_is_refused),
      TEST(a_reply_that_cannot_be_kept_makes_duplicates_silent),
      TEST(a_reply_that_never_fits_costs_nobody_an_entry),
      TEST(replies_kept_give_way_to_newer_ones),
      TEST(a_block_takes_the_place_of_short_replies),
      TEST(sweeping_is_due_when_the_oldest_entry_is_over),
      TEST(an_entry_out_of_its_lifetime_lets_its_exchange_go),
      TEST(a_handler_may_use_up_the_memory_of_its_own_request),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
