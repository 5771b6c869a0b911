/* SPDX-License-Identifier: Apache-2.0 */
/* The client role: retransmission, matching, separate responses, NSTART, PROBING_RATE, groups.
 * RFC 7252 sections 4.2, 4.7, 5.2, 5.3, 8.2. */
#include "unit/core/proto/fixture.h"

enum { TICK = 1024 }; /* the default wheel, microseconds */

static const copal_time second = COPAL_SECOND;

/* Sends a GET and learns its Message ID and token. */
static copal_xref get(fixture *f, copal_type type)
{
  copal_xref x = 0;
  assert_int_equal(fx_request(f, type, COPAL_CODE_GET, &x), COPAL_OK);
  fx_expect(f, type == COPAL_CON ? "48 01 %m %t" : "58 01 %m %t");
  return x;
}

/* ------------------------------------------------------------------------------- responses */

static void rfc7252_5_2_1_piggybacked_response_ends_the_exchange(void **state)
{
  fixture *f = *state;
  const copal_xref x = get(f, COPAL_CON);
  assert_int_equal(fx_feed(f, "68 45 %m %t ff 'hello'"), COPAL_OK);
  const fx_event *e = fx_expect_event(f, COPAL_EVENT_RESPONSE);
  assert_true(e->exchange == x);
  assert_int_equal(e->code, COPAL_CODE_CONTENT);
  assert_int_equal(e->payload_len, 5);
  assert_memory_equal(e->payload, "hello", 5);
  assert_true(copal_path_is_same_peer(&e->from, &f->peer));
  fx_expect_no_event(f);
  assert_int_equal(fx_stats(f)->rx_responses, 1);
  assert_int_equal(copal_ep_cancel(f->ep, x, f->now), COPAL_ENOTFOUND);
  fx_advance(f, 300 * second);
  fx_expect_nothing(f);
  fx_expect_no_event(f);
  fx_expect_idle(f);
}

static void a_request_is_written_with_options_and_payload(void **state)
{
  fixture *f = *state;
  const copal_opt opts[] = {{COPAL_OPT_URI_PATH, copal_span_str("a")},
                            {COPAL_OPT_URI_PATH, copal_span_str("bc")},
                            {COPAL_OPT_CONTENT_FORMAT, copal_span_str("2")}};
  copal_request rq = fx_request_init(f, COPAL_NON, COPAL_CODE_PUT);
  rq.opts = opts;
  rq.opt_count = 3;
  rq.payload = copal_span_str("{}");
  rq.token = copal_span_str("xy");
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect(f, "52 03 %m 'xy' b1 'a' 02 'bc' 11 '2' ff '{}'");
}

static void rfc7252_5_3_2_token_mismatch_in_piggyback_is_ignored(void **state)
{
  fixture *f = *state;
  (void)get(f, COPAL_CON);
  f->token[0] ^= 1;
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_ESTRAY);
  f->token[0] ^= 1;
  assert_int_equal(fx_feed(f, "60 45 %m"), COPAL_ESTRAY); /* no token */
  f->mid++;
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_ESTRAY); /* Message ID of another */
  f->mid--;
  fx_expect_nothing(f);
  fx_expect_no_event(f);
  fx_advance(f, 3 * second);
  fx_expect(f, "48 01 %m %t"); /* it still waits, and asks again */
  (void)fx_expect_event(f, COPAL_EVENT_RESEND);
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
}

static void rfc7252_5_3_2_response_from_another_endpoint_is_rejected(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(9);
  copal_path port = f->peer, session = f->peer;
  port.remote.port++;
  session.session = 1;
  (void)get(f, COPAL_CON);
  assert_int_equal(fx_feed_from(f, &other, "48 45 77 77 %t"), COPAL_EUNMATCHED);
  fx_expect_to(f, &other, "70 00 77 77");
  assert_int_equal(fx_feed_from(f, &port, "58 45 77 78 %t"), COPAL_EUNMATCHED);
  fx_expect_to(f, &port, "70 00 77 78");
  assert_int_equal(fx_feed_from(f, &session, "58 45 77 79 %t"), COPAL_EUNMATCHED);
  fx_expect_to(f, &session, "70 00 77 79");
  assert_int_equal(fx_feed_from(f, &other, "68 45 %m %t"), COPAL_ESTRAY);
  assert_int_equal(fx_feed_from(f, &other, "60 00 %m"), COPAL_ESTRAY);
  assert_int_equal(fx_feed_from(f, &other, "70 00 %m"), COPAL_ESTRAY);
  fx_expect_nothing(f);
  fx_expect_no_event(f);
}

/* A path of another security session at the same address; 0 is NoSec. */
static copal_path in_session(const fixture *f, uint32_t session)
{
  copal_path path = f->peer;
  path.session = session;
  path.flags = session != 0 ? COPAL_PATH_SECURE : 0;
  return path;
}

static void rfc7252_9_1_1_acknowledgements_of_other_sessions_do_not_count(void **state)
{
  fixture *f = *state;
  f->peer = in_session(f, 7);
  const copal_path plain = in_session(f, 0), other = in_session(f, 8);
  (void)get(f, COPAL_CON);
  assert_int_equal(fx_feed_from(f, &plain, "60 00 %m"), COPAL_ESTRAY);
  assert_int_equal(fx_feed_from(f, &other, "60 00 %m"), COPAL_ESTRAY);
  assert_int_equal(fx_feed_from(f, &plain, "70 00 %m"), COPAL_ESTRAY);
  fx_expect_no_event(f);
  fx_advance(f, 3 * COPAL_SECOND);
  fx_expect(f, "48 01 %m %t"); /* repeated, in the session it began in */
  (void)fx_expect_event(f, COPAL_EVENT_RESEND);
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
}

static void rfc7252_9_1_2_responses_of_other_sessions_are_rejected(void **state)
{
  fixture *f = *state;
  f->peer = in_session(f, 7);
  const copal_path plain = in_session(f, 0), other = in_session(f, 8);
  (void)get(f, COPAL_CON);
  assert_int_equal(fx_feed_from(f, &plain, "48 45 77 77 %t"), COPAL_EUNMATCHED);
  fx_expect_to(f, &plain, "70 00 77 77");
  assert_int_equal(fx_feed_from(f, &other, "48 45 77 78 %t"), COPAL_EUNMATCHED);
  fx_expect_to(f, &other, "70 00 77 78");
  assert_int_equal(fx_feed_from(f, &plain, "68 45 %m %t"), COPAL_ESTRAY);
  fx_expect_no_event(f);
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
}

static void rfc7252_5_2_2_separate_response_after_the_ack(void **state)
{
  fixture *f = *state;
  const copal_xref x = get(f, COPAL_CON);
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK);
  assert_true(fx_expect_event(f, COPAL_EVENT_ACK)->exchange == x);
  fx_advance(f, 30 * second);
  fx_expect_nothing(f); /* no retransmission */
  assert_int_equal(fx_feed(f, "48 45 77 77 %t ff 'x'"), COPAL_OK);
  fx_expect(f, "60 00 77 77");
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  assert_int_equal(fx_stats(f)->tx_acks, 1);
  fx_expect_idle(f);
  fx_expect_nothing(f);
  fx_expect_no_event(f);
}

static void rfc7252_5_2_2_separate_response_before_the_ack(void **state)
{
  fixture *f = *state;
  (void)get(f, COPAL_CON);
  assert_int_equal(fx_feed(f, "48 45 77 77 %t"), COPAL_OK); /* the ACK was lost */
  fx_expect(f, "60 00 77 77");
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_ESTRAY); /* or late */
  fx_advance(f, 100 * second);
  fx_expect_nothing(f);
  fx_expect_no_event(f);
  fx_expect_idle(f);
}

static void rfc7252_4_5_duplicate_separate_response_is_acknowledged_again(void **state)
{
  fixture *f = *state;
  (void)get(f, COPAL_CON);
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_ACK);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(fx_feed(f, "48 45 77 77 %t"), COPAL_OK);
    fx_expect(f, "60 00 77 77");
  }
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  fx_expect_no_event(f);
  assert_int_equal(fx_stats(f)->dup_reacked, 2);
  fx_advance(f, 246 * second);
  assert_int_equal(fx_feed(f, "48 45 77 77 %t"), COPAL_OK);
  fx_expect(f, "60 00 77 77");
  fx_advance(f, second); /* EXCHANGE_LIFETIME is over */
  assert_int_equal(fx_feed(f, "48 45 77 77 %t"), COPAL_EUNMATCHED);
  fx_expect(f, "70 00 77 77");
  fx_expect_idle(f);
}

static void rfc7252_5_2_3_non_response_to_a_con_request(void **state)
{
  fixture *f = *state;
  (void)get(f, COPAL_CON);
  assert_int_equal(fx_feed(f, "58 45 77 77 %t"), COPAL_OK);
  fx_expect_nothing(f);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  assert_int_equal(fx_feed(f, "58 45 77 77 %t"), COPAL_OK); /* duplicate */
  fx_expect_nothing(f);
  fx_expect_no_event(f);
  assert_int_equal(fx_stats(f)->dup_ignored, 1);
  fx_expect_idle(f);
}

static void rfc7252_5_2_3_con_response_to_a_non_request(void **state)
{
  fixture *f = *state;
  (void)get(f, COPAL_NON);
  assert_int_equal(fx_feed(f, "48 45 77 77 %t"), COPAL_OK);
  fx_expect(f, "60 00 77 77");
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  fx_expect_idle(f);
}

static void an_ack_never_answers_a_non_request(void **state)
{
  fixture *f = *state;
  (void)get(f, COPAL_NON);
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_ESTRAY);
  (void)fx_feed(f, "60 00 %m");
  fx_expect_no_event(f);
  fx_expect_nothing(f);
  assert_int_equal(fx_feed(f, "58 45 77 77 %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
}

static void rfc7252_5_4_1_critical_option_in_a_response_is_rejected(void **state)
{
  fixture *f = *state;
  (void)get(f, COPAL_CON);
  assert_int_equal(fx_feed(f, "68 45 %m %t 90"), COPAL_ERESPOPTION);
  fx_expect_nothing(f); /* an ACK is rejected silently */
  assert_int_equal(fx_feed(f, "48 45 77 77 %t 90"), COPAL_ERESPOPTION);
  fx_expect(f, "70 00 77 77");
  assert_int_equal(fx_feed(f, "58 45 77 78 %t 90"), COPAL_ERESPOPTION);
  fx_expect(f, "70 00 77 78");
  assert_int_equal(fx_feed(f, "48 45 77 77 %t 90"), COPAL_ERESPOPTION); /* duplicate */
  fx_expect(f, "70 00 77 77");
  fx_expect_no_event(f);
  assert_int_equal(fx_feed(f, "68 45 %m %t a1 ff"), COPAL_OK); /* elective */
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
}

static void rfc7252_4_2_reset_ends_the_exchange(void **state)
{
  fixture *f = *state;
  get(f, COPAL_CON);
  assert_int_equal(fx_feed(f, "70 00 %m"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESET);
  get(f, COPAL_NON);
  assert_int_equal(fx_feed(f, "70 00 %m"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESET);
  assert_int_equal(fx_feed(f, "70 00 %m"), COPAL_ESTRAY);
  fx_expect_no_event(f);
  assert_int_equal(fx_stats(f)->resets, 2);
  fx_expect_idle(f);
  fx_expect_nothing(f);
}

/* -------------------------------------------------------------------------- retransmission */

/* Follows one unanswered CON; the instants of its datagrams must be `first` * 1, 3, 7, 15 after the
 * first one, each at most a tick late on top of the lateness before. */
static void expect_schedule(fixture *f, uint8_t fill, copal_dur first)
{
  f->fill = fill;
  fx_restart(f);
  const copal_time t0 = f->now;
  copal_time due = t0;
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  const uint16_t mid = f->mid;
  fx_advance(f, 100 * second);
  for (unsigned i = 1; i <= 4; i++) {
    fx_expect(f, "48 01 %m %t");
    assert_int_equal(f->mid, mid);
    due += (copal_time)first << (i - 1);
    due = (due + TICK - 1) / TICK * TICK; /* when the wheel turns */
    assert_true(fx_last(f)->at == due);
    const fx_event *e = fx_expect_event(f, COPAL_EVENT_RESEND);
    assert_int_equal(e->retransmits, i);
    assert_true(e->at == due);
  }
  assert_true(due - t0 <= 45 * second); /* MAX_TRANSMIT_SPAN */
  fx_expect_nothing(f);
  const fx_event *e = fx_expect_event(f, COPAL_EVENT_TIMEOUT);
  assert_int_equal(e->retransmits, 4);
  due = (due + ((copal_time)first << 4) + TICK - 1) / TICK * TICK;
  assert_true(e->at == due);
  assert_true(due - t0 <= 93 * second); /* MAX_TRANSMIT_WAIT */
  fx_expect_no_event(f);
  assert_int_equal(fx_stats(f)->timeouts, 1);
  fx_expect_idle(f);
}

static void rfc7252_4_2_shortest_schedule_begins_with_ack_timeout(void **state)
{
  expect_schedule(*state, 0x00, 2 * COPAL_SECOND);
}

static void rfc7252_4_2_longest_schedule_stays_inside_max_transmit_span(void **state)
{
  fixture *f = *state;
  /* 65535/65536 of the spread of one second, which two ticks are taken from */
  const copal_dur spread = COPAL_SECOND - 2 * TICK;
  const copal_dur most = (copal_dur)(((uint64_t)spread * 65535) >> 16);
  expect_schedule(f, 0xff, 2 * COPAL_SECOND + most - 1);
}

static void rfc7252_4_2_first_timeout_is_spread(void **state)
{
  fixture *f = *state;
  copal_time least = COPAL_NEVER, most = 0;
  for (int i = 0; i < 100; i++) {
    const copal_time t0 = f->now;
    const copal_xref x = get(f, COPAL_CON);
    fx_advance(f, 3 * second);
    fx_expect(f, "48 01 %m %t");
    const copal_time first = fx_last(f)->at - t0;
    assert_true(first >= 2 * second);
    assert_true(first <= 3 * second);
    least = first < least ? first : least;
    most = first > most ? first : most;
    assert_int_equal(copal_ep_cancel(f->ep, x, f->now), COPAL_OK);
    f->sent_count = f->sent_seen = f->event_count = 0;
  }
  assert_true(least < 2100 * (copal_time)COPAL_MILLISECOND);
  assert_true(most > 2900 * (copal_time)COPAL_MILLISECOND);
}

static void rfc7252_4_8_parameters_are_followed(void **state)
{
  fixture *f = *state;
  f->fill = 0;
  f->cfg.params = copal_params_default();
  f->cfg.params.ack_timeout = COPAL_SECOND;
  f->cfg.params.max_retransmit = 1;
  fx_restart(f);
  const copal_time t0 = f->now;
  get(f, COPAL_CON);
  fx_advance(f, 10 * second);
  fx_expect(f, "48 01 %m %t");
  fx_expect_nothing(f);
  assert_true(fx_last(f)->at - t0 < second + TICK);
  (void)fx_expect_event(f, COPAL_EVENT_RESEND);
  assert_true(fx_expect_event(f, COPAL_EVENT_TIMEOUT)->at - t0 < 3 * second + 2 * TICK);
}

static void without_retransmissions_one_datagram_leaves(void **state)
{
  fixture *f = *state;
  f->cfg.params = copal_params_default();
  f->cfg.params.max_retransmit = 0;
  fx_restart(f);
  get(f, COPAL_CON);
  fx_advance(f, 10 * second);
  fx_expect_nothing(f);
  (void)fx_expect_event(f, COPAL_EVENT_TIMEOUT);
}

/* RFC 7252 section 4.2: a sender that was late must not catch up outside MAX_TRANSMIT_SPAN. */
static void rfc7252_4_2_a_late_driver_misses_opportunities(void **state)
{
  fixture *f = *state;
  get(f, COPAL_CON);
  f->now += 46 * second;
  copal_ep_expire(f->ep, f->now);
  fx_expect_nothing(f);
  (void)fx_expect_event(f, COPAL_EVENT_TIMEOUT);
  fx_expect_idle(f);
}

static void rfc7252_4_2_a_late_driver_keeps_the_minimum_spacing(void **state)
{
  fixture *f = *state;
  get(f, COPAL_CON);
  f->now += 20 * second;
  copal_ep_expire(f->ep, f->now);
  fx_expect(f, "48 01 %m %t");
  fx_expect_nothing(f);
  const copal_time late = fx_last(f)->at;
  fx_advance(f, 10 * second);
  fx_expect(f, "48 01 %m %t");
  assert_true(fx_last(f)->at - late >= 2 * second);
}

static void the_callers_timeout_ends_retransmission(void **state)
{
  fixture *f = *state;
  const copal_time t0 = f->now;
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.timeout = 5 * COPAL_SECOND;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  fx_advance(f, 60 * second);
  fx_expect(f, "48 01 %m %t");
  fx_expect_nothing(f);
  (void)fx_expect_event(f, COPAL_EVENT_RESEND);
  const fx_event *e = fx_expect_event(f, COPAL_EVENT_TIMEOUT);
  assert_true(e->at - t0 >= 5 * second && e->at - t0 <= 5 * second + TICK);
  fx_expect_idle(f);
}

static void rfc7252_4_7_acknowledged_request_is_given_up_after_exchange_lifetime(void **state)
{
  fixture *f = *state;
  const copal_time t0 = f->now;
  get(f, COPAL_CON);
  fx_advance(f, second);
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_ACK);
  fx_advance(f, 300 * second);
  const fx_event *e = fx_expect_event(f, COPAL_EVENT_TIMEOUT);
  assert_true(e->at - t0 >= 247 * second && e->at - t0 <= 247 * second + TICK);
  fx_expect_idle(f);
}

static void a_non_request_is_given_up_after_non_lifetime(void **state)
{
  fixture *f = *state;
  const copal_time t0 = f->now;
  get(f, COPAL_NON);
  fx_advance(f, 300 * second);
  fx_expect_nothing(f);
  const fx_event *e = fx_expect_event(f, COPAL_EVENT_TIMEOUT);
  assert_true(e->at - t0 >= 145 * second && e->at - t0 <= 145 * second + TICK);
  fx_expect_idle(f);
}

/* ---------------------------------------------------------------------------------- NSTART */

static void rfc7252_4_7_nstart_1_lets_one_interaction_out(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  copal_xref x[3];
  x[0] = get(f, COPAL_CON);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_PUT, &x[1]), COPAL_OK);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_DELETE, &x[2]), COPAL_OK);
  fx_expect_nothing(f);
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_POST);
  rq.path = &other;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  const uint16_t mid = f->mid;
  fx_expect_to(f, &other, "48 02 %m %t"); /* NSTART is for each peer */
  f->mid = mid;
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK); /* the ACK frees the place */
  assert_true(fx_expect_event(f, COPAL_EVENT_ACK)->exchange == x[0]);
  fx_expect(f, "48 03 %m %t");
  fx_expect_nothing(f);
  assert_int_equal(fx_feed(f, "68 44 %m %t"), COPAL_OK); /* so does the response */
  assert_true(fx_expect_event(f, COPAL_EVENT_RESPONSE)->exchange == x[1]);
  fx_expect(f, "48 04 %m %t");
  assert_int_equal(fx_feed(f, "70 00 %m"), COPAL_OK); /* and the Reset */
  assert_true(fx_expect_event(f, COPAL_EVENT_RESET)->exchange == x[2]);
  fx_expect_nothing(f);
}

static void rfc7252_4_7_nstart_counts_what_is_outstanding(void **state)
{
  fixture *f = *state;
  f->cfg.params = copal_params_default();
  f->cfg.params.nstart = 3;
  fx_restart(f);
  for (int i = 0; i < 5; i++)
    assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK);
  for (int i = 0; i < 3; i++)
    fx_expect(f, "48 01 %m %t");
  fx_expect_nothing(f);
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  fx_expect_nothing(f);
}

static void rfc7252_4_7_timeout_frees_the_place(void **state)
{
  fixture *f = *state;
  get(f, COPAL_CON);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_PUT, NULL), COPAL_OK);
  fx_advance(f, 94 * second);
  for (int i = 0; i < 4; i++) {
    fx_expect(f, "48 01 %m %t");
    (void)fx_expect_event(f, COPAL_EVENT_RESEND);
  }
  (void)fx_expect_event(f, COPAL_EVENT_TIMEOUT);
  fx_expect(f, "48 03 %m %t");
}

static void cancelling_what_waits_sends_nothing(void **state)
{
  fixture *f = *state;
  copal_xref x;
  get(f, COPAL_CON);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_PUT, &x), COPAL_OK);
  assert_int_equal(copal_ep_cancel(f->ep, x, f->now), COPAL_OK);
  assert_true(fx_expect_event(f, COPAL_EVENT_CANCELED)->exchange == x);
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  fx_expect_nothing(f);
  fx_expect_idle(f);
}

static void cancelling_frees_the_place(void **state)
{
  fixture *f = *state;
  const copal_xref x = get(f, COPAL_CON);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_PUT, NULL), COPAL_OK);
  assert_int_equal(copal_ep_cancel(f->ep, x, f->now), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_CANCELED);
  fx_expect(f, "48 03 %m %t");
  assert_int_equal(copal_ep_cancel(f->ep, x, f->now), COPAL_ENOTFOUND);
  fx_expect_no_event(f);
}

static void nothing_matches_a_request_that_was_not_sent_yet(void **state)
{
  fixture *f = *state;
  copal_xref x;
  get(f, COPAL_CON);
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_PUT);
  rq.token = copal_span_str("w");
  assert_int_equal(copal_ep_request(f->ep, &rq, &x, f->now), COPAL_OK);
  assert_int_equal(fx_feed(f, "41 44 77 77 'w'"), COPAL_EUNMATCHED);
  fx_expect(f, "70 00 77 77");
  for (unsigned mid = 0; mid <= UINT16_MAX; mid++) {
    const uint16_t kept = f->mid;
    if (mid == kept)
      continue;
    f->mid = (uint16_t)mid;
    (void)fx_feed(f, "60 00 %m");
    (void)fx_feed(f, "70 00 %m");
    f->mid = kept;
  }
  fx_expect_no_event(f);
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  fx_expect(f, "41 03 %m 'w'");
}

/* The next request of a client that starts it from its callback comes after those that wait. */
static void start_another(fixture *f, const copal_event *event)
{
  if (event->kind != COPAL_EVENT_RESPONSE)
    return;
  f->on_event = NULL;
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_DELETE, NULL), COPAL_OK);
}

static void a_callback_may_start_a_request(void **state)
{
  fixture *f = *state;
  get(f, COPAL_CON);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_PUT, NULL), COPAL_OK);
  f->on_event = start_another;
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_OK);
  fx_expect(f, "48 03 %m %t");
  fx_expect_nothing(f);
  assert_int_equal(fx_feed(f, "68 44 %m %t"), COPAL_OK);
  fx_expect(f, "48 04 %m %t");
}

/* ---------------------------------------------------------------------------- PROBING_RATE */

static void rfc7252_4_7_probing_rate_spaces_unanswered_nons(void **state)
{
  fixture *f = *state;
  const copal_time t0 = f->now;
  f->cfg.params = copal_params_default();
  f->cfg.params.nstart = 10;
  fx_restart(f);
  copal_request rq = fx_request_init(f, COPAL_NON, COPAL_CODE_POST);
  rq.payload = copal_span_str("0123456"); /* 20 bytes in all */
  for (int i = 0; i < 3; i++)
    assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  for (unsigned i = 0; i < 3; i++) {
    fx_advance(f, 20 * second + TICK);
    fx_expect(f, "58 02 %m %t ff '0123456'");
    const copal_time at = fx_last(f)->at - t0;
    assert_true(at >= i * 20 * second && at <= i * (20 * second + TICK));
  }
  fx_expect_nothing(f);
}

static void rfc7252_4_7_a_response_ends_probing(void **state)
{
  fixture *f = *state;
  get(f, COPAL_NON);
  assert_int_equal(fx_request(f, COPAL_NON, COPAL_CODE_PUT, NULL), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(fx_feed(f, "58 45 77 77 %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  fx_expect(f, "58 03 %m %t");
}

static void probing_rate_outlives_a_cancelled_request(void **state)
{
  fixture *f = *state;
  const copal_xref x = get(f, COPAL_NON); /* 12 bytes */
  assert_int_equal(copal_ep_cancel(f->ep, x, f->now), COPAL_OK);
  assert_int_equal(fx_request(f, COPAL_NON, COPAL_CODE_PUT, NULL), COPAL_OK);
  fx_advance(f, 12 * second - TICK);
  fx_expect_nothing(f);
  fx_advance(f, 2 * TICK);
  fx_expect(f, "58 03 %m %t");
}

static void probing_rate_0_turns_the_limit_off(void **state)
{
  fixture *f = *state;
  f->cfg.params = copal_params_default();
  f->cfg.params.probing_rate = 0;
  f->cfg.params.nstart = 2;
  fx_restart(f);
  get(f, COPAL_NON);
  get(f, COPAL_NON);
  assert_int_equal(fx_request(f, COPAL_NON, COPAL_CODE_PUT, NULL), COPAL_OK);
  fx_expect_nothing(f); /* NSTART holds */
}

static void probing_rate_is_kept_to_the_millisecond(void **state)
{
  static const struct {
    uint32_t rate;  /* bytes per second */
    copal_time gap; /* behind the 12 bytes of a NON */
  } cases[] = {{5, 2400 * COPAL_MILLISECOND},
               {1000, 12 * COPAL_MILLISECOND},
               {7000, 2 * COPAL_MILLISECOND},
               {UINT32_MAX, COPAL_MILLISECOND}};
  fixture *f = *state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    f->cfg.params = copal_params_default();
    f->cfg.params.probing_rate = cases[i].rate;
    f->cfg.params.nstart = 2;
    fx_restart(f);
    get(f, COPAL_NON);
    const copal_time t0 = f->now;
    assert_int_equal(fx_request(f, COPAL_NON, COPAL_CODE_PUT, NULL), COPAL_OK);
    fx_expect_nothing(f);
    fx_advance(f, cases[i].gap + TICK);
    fx_expect(f, "58 03 %m %t");
    const copal_time gap = fx_last(f)->at - t0;
    assert_true(gap >= cases[i].gap && gap <= cases[i].gap + TICK);
  }
}

/* ------------------------------------------------------------------------------------ ping */

static void rfc7252_4_3_ping_is_answered_by_reset(void **state)
{
  fixture *f = *state;
  copal_xref x;
  assert_int_equal(copal_ep_ping(f->ep, &f->peer, &f->client, &x, f->now), COPAL_OK);
  fx_expect(f, "40 00 %m");
  assert_int_equal(fx_feed(f, "70 00 %m"), COPAL_OK);
  assert_true(fx_expect_event(f, COPAL_EVENT_RESET)->exchange == x);
  assert_int_equal(copal_ep_ping(f->ep, &f->peer, &f->client, &x, f->now), COPAL_OK);
  fx_expect(f, "40 00 %m");
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK); /* it lives, whatever it says */
  (void)fx_expect_event(f, COPAL_EVENT_RESET);
  fx_expect_idle(f);
  fx_expect_nothing(f);
}

static void a_ping_is_retransmitted_and_given_up(void **state)
{
  fixture *f = *state;
  assert_int_equal(copal_ep_ping(f->ep, &f->peer, &f->client, NULL, f->now), COPAL_OK);
  fx_advance(f, 94 * second);
  for (int i = 0; i < 5; i++)
    fx_expect(f, "40 00 %m");
  fx_expect_nothing(f);
  for (int i = 0; i < 4; i++)
    (void)fx_expect_event(f, COPAL_EVENT_RESEND);
  (void)fx_expect_event(f, COPAL_EVENT_TIMEOUT);
  fx_expect_idle(f);
}

static void a_ping_waits_for_its_turn_and_may_be_cancelled(void **state)
{
  fixture *f = *state;
  copal_xref x;
  get(f, COPAL_CON);
  assert_int_equal(copal_ep_ping(f->ep, &f->peer, &f->client, &x, f->now), COPAL_OK);
  fx_expect_nothing(f);
  assert_int_equal(copal_ep_cancel(f->ep, x, f->now), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_CANCELED);
}

static void a_group_cannot_be_pinged(void **state)
{
  fixture *f = *state;
  copal_path group = f->peer;
  group.flags = COPAL_PATH_GROUP;
  assert_int_equal(copal_ep_ping(f->ep, &group, &f->client, NULL, f->now), COPAL_EINVAL);
  fx_expect_nothing(f);
}

static void a_ping_without_resources_leaves_nothing_behind(void **state)
{
  fixture *f = *state;
  f->is_full = true;
  assert_int_equal(copal_ep_ping(f->ep, &f->peer, &f->client, NULL, f->now), COPAL_ENOSLOT);
  f->is_full = false;
  fx_expect_idle(f);
  f->cfg.exchange_count = 1;
  fx_restart(f);
  get(f, COPAL_CON);
  assert_int_equal(copal_ep_ping(f->ep, &f->peer, &f->client, NULL, f->now), COPAL_ENOSLOT);
  fx_expect_no_event(f);
}

/* ---------------------------------------------------------------------------------- groups */

static copal_path group_path(void)
{
  copal_path p = {.remote = {.ip = {0xff, 0x02, [15] = 0xfd}, .port = 5683, .zone = 2}};
  p.flags = COPAL_PATH_GROUP;
  return p;
}

static void rfc7252_8_2_group_responses_are_matched_by_token_alone(void **state)
{
  fixture *f = *state;
  const copal_path group = group_path(), a = fx_peer(11), b = fx_peer(12);
  copal_request rq = fx_request_init(f, COPAL_NON, COPAL_CODE_GET);
  const copal_time t0 = f->now;
  rq.path = &group;
  rq.wants_many = true;
  rq.timeout = 10 * COPAL_SECOND;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect_to(f, &group, "58 01 %m %t");
  assert_int_equal(fx_feed_from(f, &a, "58 45 00 01 %t ff 'a'"), COPAL_OK);
  assert_int_equal(fx_feed_from(f, &a, "58 45 00 01 %t ff 'a'"), COPAL_OK); /* duplicate */
  fx_advance(f, second);
  assert_int_equal(fx_feed_from(f, &b, "48 45 00 01 %t ff 'b'"), COPAL_OK);
  fx_expect_to(f, &b, "60 00 00 01");
  const fx_event *e = fx_expect_event(f, COPAL_EVENT_RESPONSE);
  assert_int_equal(e->payload[0], 'a');
  assert_true(copal_path_is_same_peer(&e->from, &a));
  e = fx_expect_event(f, COPAL_EVENT_RESPONSE);
  assert_int_equal(e->payload[0], 'b');
  assert_true(copal_path_is_same_peer(&e->from, &b));
  fx_advance(f, 20 * second);
  e = fx_expect_event(f, COPAL_EVENT_TIMEOUT); /* the end */
  assert_true(e->at - t0 >= 10 * second && e->at - t0 <= 10 * second + TICK);
  assert_int_equal(fx_feed_from(f, &a, "58 45 00 02 %t"), COPAL_EUNMATCHED);
  fx_expect_to(f, &a, "70 00 00 02");
  fx_expect_no_event(f);
  fx_expect_idle(f);
}

static void a_group_request_for_one_ends_with_the_first(void **state)
{
  fixture *f = *state;
  const copal_path group = group_path();
  copal_request rq = fx_request_init(f, COPAL_NON, COPAL_CODE_GET);
  rq.path = &group;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect_to(f, &group, "58 01 %m %t");
  assert_int_equal(fx_feed(f, "58 45 00 01 %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  fx_expect_idle(f);
  fx_expect_no_event(f);
}

static void rfc7252_8_1_group_requests_are_non_confirmable(void **state)
{
  fixture *f = *state;
  const copal_path group = group_path();
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.path = &group;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  fx_expect_nothing(f);
}

/* A Reset meant for one of them would end the other: its sender does not know about the group. */
static void rfc7252_8_2_1_a_get_to_a_group_carries_no_etag(void **state)
{
  fixture *f = *state;
  const copal_opt opts[] = {{COPAL_OPT_ETAG, copal_span_str("a")},
                            {COPAL_OPT_URI_PATH, copal_span_str("b")}};
  copal_path group = f->peer;
  group.flags = COPAL_PATH_GROUP;
  copal_request rq = fx_request_init(f, COPAL_NON, COPAL_CODE_GET);
  rq.path = &group;
  rq.opts = opts;
  rq.opt_count = 2;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  fx_expect_nothing(f);
  rq.path = &f->peer;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect(f, "58 01 %m %t 41 'a' 71 'b'");
  rq.path = &group;
  rq.opts++;
  rq.opt_count--;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect_to(f, &group, "58 01 %m %t b1 'b'");
}

static void rfc7252_8_1_group_and_unicast_message_ids_differ(void **state)
{
  fixture *f = *state;
  const copal_path group = group_path();
  static uint8_t seen[8192];
  memset(seen, 0, sizeof seen);
  f->cfg.exchange_count = 65;
  f->cfg.peer_count = 64;
  fx_restart(f);
  for (uint8_t n = 1; n <= 64; n++) { /* of 64 requests that stay active */
    const copal_path p = fx_peer(n);
    copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
    rq.path = &p;
    assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
    fx_expect_to(f, &p, "48 01 %m %t");
    seen[f->mid / 8] |= (uint8_t)(1 << f->mid % 8);
  }
  for (int i = 0; i < 20000; i++) { /* no group request has the Message ID */
    copal_request rq = fx_request_init(f, COPAL_NON, COPAL_CODE_GET);
    copal_xref x;
    rq.path = &group;
    assert_int_equal(copal_ep_request(f->ep, &rq, &x, f->now), COPAL_OK);
    fx_expect_to(f, &group, "58 01 %m %t");
    assert_int_equal(seen[f->mid / 8] >> f->mid % 8 & 1, 0);
    assert_int_equal(copal_ep_cancel(f->ep, x, f->now), COPAL_OK);
    f->sent_count = f->sent_seen = f->event_count = 0;
  }
}

static void rfc7252_8_1_unicast_avoids_the_message_id_of_a_group(void **state)
{
  fixture *f = *state;
  const copal_path group = group_path();
  copal_request rq = fx_request_init(f, COPAL_NON, COPAL_CODE_GET);
  rq.path = &group;
  rq.wants_many = true;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect_to(f, &group, "58 01 %m %t");
  const uint16_t taken = f->mid;
  for (unsigned i = 0; i <= UINT16_MAX; i++) {
    copal_xref x;
    assert_int_equal(copal_ep_ping(f->ep, &f->peer, NULL, &x, f->now), COPAL_OK);
    fx_expect(f, "40 00 %m");
    assert_int_not_equal(f->mid, taken);
    assert_int_equal(copal_ep_cancel(f->ep, x, f->now), COPAL_OK);
    f->sent_count = f->sent_seen = 0;
  }
}

static void several_responses_from_one_peer_until_the_timeout(void **state)
{
  fixture *f = *state;
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.wants_many = true;
  rq.timeout = 20 * COPAL_SECOND;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_PUT, NULL), COPAL_OK);
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  const uint16_t mid = f->mid;
  uint8_t token[8];
  memcpy(token, f->token, 8);
  fx_expect(f, "48 03 %m %t"); /* the first response frees the place */
  assert_int_equal(fx_feed(f, "68 44 %m %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  f->mid = mid;
  memcpy(f->token, token, 8);
  assert_int_equal(fx_feed(f, "58 45 77 77 %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  fx_advance(f, 30 * second);
  (void)fx_expect_event(f, COPAL_EVENT_TIMEOUT);
  fx_expect_nothing(f);
  fx_expect_idle(f);
}

/* --------------------------------------------------------------------------------- refusals */

static void bad_requests_are_refused_without_a_trace(void **state)
{
  fixture *f = *state;
  const copal_opt disordered[] = {{COPAL_OPT_URI_PATH, {NULL, 0}}, {COPAL_OPT_ETAG, {NULL, 0}}};
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.struct_size = 1;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.path = NULL;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  rq = fx_request_init(f, COPAL_ACK, COPAL_CODE_GET);
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  rq = fx_request_init(f, COPAL_RST, COPAL_CODE_GET);
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  rq = fx_request_init(f, COPAL_CON, COPAL_CODE_EMPTY);
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  rq = fx_request_init(f, COPAL_CON, COPAL_CODE_CONTENT);
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.opts = disordered;
  rq.opt_count = 2;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.token = copal_span_str("123456789");
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  rq = fx_request_init(f, COPAL_CON, COPAL_CODE_PUT);
  rq.payload = copal_span_of(f->room, 1153);
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_ENOSPC);
  f->is_full = true;
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_ENOSLOT);
  f->is_full = false;
  fx_expect_nothing(f);
  fx_expect_no_event(f);
  fx_expect_idle(f);
}

static void a_token_in_use_at_the_peer_is_refused(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.has_token = true; /* the empty one */
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect(f, "40 01 %m");
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_EINVAL);
  rq.path = &other;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  const uint16_t mid = f->mid;
  fx_expect_to(f, &other, "40 01 %m");
  f->mid = mid;
  assert_int_equal(fx_feed(f, "60 45 %m"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_RESPONSE);
  rq.path = &f->peer;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK); /* free again */
  fx_expect(f, "40 01 %m");
}

static void rfc7252_5_3_1_tokens_are_drawn_at_the_length_asked(void **state)
{
  fixture *f = *state;
  f->cfg.token_len = 4;
  fx_restart(f);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK);
  fx_expect(f, "44 01 %m %t");
}

static void entropy_that_repeats_draws_no_second_token(void **state)
{
  fixture *f = *state;
  f->fill = 0x55;
  fx_restart(f);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK);
  fx_expect(f, "48 01 %m 55 55 55 55 55 55 55 55");
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_EINVAL);
  fx_expect_nothing(f);
  fx_expect_no_event(f);
  fx_expect_idle(f);
}

static void pools_of_the_client_run_out_one_by_one(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.path = &other;

  f->cfg.exchange_count = 1;
  fx_restart(f);
  const copal_xref first = get(f, COPAL_CON);
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_ENOSLOT);
  assert_int_equal(fx_stats(f)->exchanges_refused, 1);
  assert_int_equal(copal_ep_cancel(f->ep, first, f->now), COPAL_OK);
  fx_expect_idle(f);

  f->cfg.exchange_count = 4;
  f->cfg.peer_count = 1;
  fx_restart(f);
  get(f, COPAL_CON);
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_ENOSLOT);
  assert_int_equal(fx_stats(f)->exchanges_refused, 1);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 1);

  f->cfg.peer_count = 4;
  f->cfg.chunk_count = 1;
  fx_restart(f);
  get(f, COPAL_CON);
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_ENOSLOT);
  assert_int_equal(fx_stats(f)->chunks_refused, 1);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 1);
  assert_int_equal(copal_ep_usage(f->ep).peers, 1);
  rq.type = COPAL_NON; /* needs no chunk */
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect_to(f, &other, "58 01 %m %t");
}

/* Strangers fill the table of peers; a request of our own must not starve. */
static void strangers_do_not_keep_the_client_from_asking(void **state)
{
  fixture *f = *state;
  f->cfg.peer_count = 4;
  fx_restart(f);
  for (uint8_t n = 20; n < 24; n++) {
    const copal_path p = fx_peer(n);
    assert_int_equal(fx_feed_from(f, &p, "51 02 00 01 aa"), COPAL_OK);
    fx_expect_to(f, &p, "51 45 %m aa");
  }
  get(f, COPAL_CON);
  assert_int_equal(fx_stats(f)->dedup_evicted, 1);
  assert_int_equal(copal_ep_usage(f->ep).peers, 4);
}

static void a_client_without_callback_is_allowed(void **state)
{
  fixture *f = *state;
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.client = NULL;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK);
  assert_int_equal(fx_feed(f, "48 45 77 77 %t"), COPAL_OK);
  fx_expect(f, "60 00 77 77");
  fx_expect_no_event(f);
  fx_expect_idle(f);
}

static void a_queued_request_dropped_by_a_full_sink_is_retransmitted(void **state)
{
  fixture *f = *state;
  get(f, COPAL_CON);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_PUT, NULL), COPAL_OK);
  f->is_full = true;
  assert_int_equal(fx_feed(f, "68 45 %m %t"), COPAL_OK);
  fx_expect_nothing(f);
  f->is_full = false;
  fx_advance(f, 3 * second + TICK);
  fx_expect(f, "48 03 %m %t");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_5_2_1_piggybacked_response_ends_the_exchange),
      TEST(a_request_is_written_with_options_and_payload),
      TEST(rfc7252_5_3_2_token_mismatch_in_piggyback_is_ignored),
      TEST(rfc7252_5_3_2_response_from_another_endpoint_is_rejected),
      TEST(rfc7252_9_1_1_acknowledgements_of_other_sessions_do_not_count),
      TEST(rfc7252_9_1_2_responses_of_other_sessions_are_rejected),
      TEST(rfc7252_5_2_2_separate_response_after_the_ack),
      TEST(rfc7252_5_2_2_separate_response_before_the_ack),
      TEST(rfc7252_4_5_duplicate_separate_response_is_acknowledged_again),
      TEST(rfc7252_5_2_3_non_response_to_a_con_request),
      TEST(rfc7252_5_2_3_con_response_to_a_non_request),
      TEST(an_ack_never_answers_a_non_request),
      TEST(rfc7252_5_4_1_critical_option_in_a_response_is_rejected),
      TEST(rfc7252_4_2_reset_ends_the_exchange),
      TEST(rfc7252_4_2_shortest_schedule_begins_with_ack_timeout),
      TEST(rfc7252_4_2_longest_schedule_stays_inside_max_transmit_span),
      TEST(rfc7252_4_2_first_timeout_is_spread),
      TEST(rfc7252_4_8_parameters_are_followed),
      TEST(without_retransmissions_one_datagram_leaves),
      TEST(rfc7252_4_2_a_late_driver_misses_opportunities),
      TEST(rfc7252_4_2_a_late_driver_keeps_the_minimum_spacing),
      TEST(the_callers_timeout_ends_retransmission),
      TEST(rfc7252_4_7_acknowledged_request_is_given_up_after_exchange_lifetime),
      TEST(a_non_request_is_given_up_after_non_lifetime),
      TEST(rfc7252_4_7_nstart_1_lets_one_interaction_out),
      TEST(rfc7252_4_7_nstart_counts_what_is_outstanding),
      TEST(rfc7252_4_7_timeout_frees_the_place),
      TEST(cancelling_what_waits_sends_nothing),
      TEST(cancelling_frees_the_place),
      TEST(nothing_matches_a_request_that_was_not_sent_yet),
      TEST(a_callback_may_start_a_request),
      TEST(rfc7252_4_7_probing_rate_spaces_unanswered_nons),
      TEST(rfc7252_4_7_a_response_ends_probing),
      TEST(probing_rate_outlives_a_cancelled_request),
      TEST(probing_rate_0_turns_the_limit_off),
      TEST(probing_rate_is_kept_to_the_millisecond),
      TEST(rfc7252_4_3_ping_is_answered_by_reset),
      TEST(a_ping_is_retransmitted_and_given_up),
      TEST(a_ping_waits_for_its_turn_and_may_be_cancelled),
      TEST(a_group_cannot_be_pinged),
      TEST(a_ping_without_resources_leaves_nothing_behind),
      TEST(rfc7252_8_2_group_responses_are_matched_by_token_alone),
      TEST(a_group_request_for_one_ends_with_the_first),
      TEST(rfc7252_8_1_group_requests_are_non_confirmable),
      TEST(rfc7252_8_2_1_a_get_to_a_group_carries_no_etag),
      TEST(rfc7252_8_1_group_and_unicast_message_ids_differ),
      TEST(rfc7252_8_1_unicast_avoids_the_message_id_of_a_group),
      TEST(several_responses_from_one_peer_until_the_timeout),
      TEST(bad_requests_are_refused_without_a_trace),
      TEST(a_token_in_use_at_the_peer_is_refused),
      TEST(rfc7252_5_3_1_tokens_are_drawn_at_the_length_asked),
      TEST(entropy_that_repeats_draws_no_second_token),
      TEST(pools_of_the_client_run_out_one_by_one),
      TEST(strangers_do_not_keep_the_client_from_asking),
      TEST(a_client_without_callback_is_allowed),
      TEST(a_queued_request_dropped_by_a_full_sink_is_retransmitted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
