/* SPDX-License-Identifier: Apache-2.0 */
/* How transfers end, wait and watch: failures, cancellation, hooks that are late, and observations
 * of bodies in blocks. RFC 7959 sections 2.6 and 3.4, RFC 7641 section 3. */
#include "unit/core/proto/transfer_stage.h"

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

/* -------------------------------------------------------------------------------------- failures
 */

/* A download whose second block is outstanding. */
static void begin_download(stage *s, fixture *f)
{
  stage_init(s, f, COPAL_CODE_GET, 0);
  begin(s);
  fx_expect(f, "48 01 %m %t b1 'a'");
  feed(s, "68 45 %m %t 41 'x' d1 06 08 " BLOCK_0);
  fx_expect(f, "48 01 %m %t b1 'a' c1 10");
  stage_expect_going(s);
}

static void an_exchange_without_answer_ends_the_transfer(void **state)
{
  stage s;
  begin_download(&s, *state);
  fx_advance(s.f, (copal_time)300 * COPAL_SECOND);
  assert_int_equal(s.result.status, COPAL_ETIMEDOUT);
  s.f->sent_seen = s.f->sent_count; /* retransmissions */
  stage_expect_done(&s, COPAL_ETIMEDOUT, COPAL_CODE_CONTENT, "0123456789abcdef");
  assert_null(s.result.msg);
  fx_expect_idle(s.f);
}

static void a_reset_ends_the_transfer(void **state)
{
  stage s;
  begin_download(&s, *state);
  feed(&s, "70 00 %m");
  stage_expect_done(&s, COPAL_ERESET, COPAL_CODE_CONTENT, "0123456789abcdef");
}

static void a_network_error_ends_the_transfer(void **state)
{
  stage s;
  begin_download(&s, *state);
  const fx_datagram *d = fx_last(s.f);
  assert_int_equal(
      copal_ep_unreachable(s.f->ep, &s.f->peer, copal_span_of(d->bytes, d->len), s.f->now),
      COPAL_OK);
  stage_expect_done(&s, COPAL_EUNREACH, COPAL_CODE_CONTENT, "0123456789abcdef");
}

static void cancel_ends_the_transfer_before_it_returns(void **state)
{
  stage s;
  begin_download(&s, *state);
  assert_int_equal(copal_transfer_cancel(&s.t, s.f->now), COPAL_OK);
  stage_expect_done(&s, COPAL_ECANCELED, COPAL_CODE_CONTENT, "0123456789abcdef");
  assert_int_equal(copal_transfer_cancel(&s.t, s.f->now), COPAL_ENOTFOUND);
  assert_int_equal(copal_transfer_resume(&s.t, s.f->now), COPAL_EINVAL);
  fx_expect_idle(s.f);
}

static void the_end_of_the_endpoint_ends_the_transfer(void **state)
{
  stage s;
  begin_download(&s, *state);
  copal_ep_wipe(s.f->ep, s.f->now);
  s.f->ep = NULL;
  stage_expect_done(&s, COPAL_ECANCELED, COPAL_CODE_CONTENT, "0123456789abcdef");
}

/* Every way in which a block can be wrong. */
static void rfc7959_2_3_a_server_that_breaks_the_rules_is_left(void **state)
{
  static const char *const wrong[] = {
      "68 45 %m %t 41 'x' d1 06 28 " BLOCK_1, /* another block */
      "68 45 %m %t 41 'x' d1 06 18 " REST,    /* not full */
      "68 45 %m %t 41 'x' d1 06 10 ff '0123456789abcdef+'",
      "68 45 %m %t 41 'x' d1 06 1f " BLOCK_1, /* SZX 7 */
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    stage s;
    begin_download(&s, *state);
    feed(&s, wrong[i]);
    stage_expect_done(&s, COPAL_EBLOCK, COPAL_CODE_CONTENT, "0123456789abcdef");
  }
}

static void rfc7959_2_4_the_first_block_comes_first(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  feed(&s, "68 45 %m %t d1 0a 18 " BLOCK_1);
  stage_expect_done(&s, COPAL_EBLOCK, COPAL_CODE_CONTENT, "");
}

static void rfc7959_2_3_an_upload_must_be_acknowledged_block_by_block(void **state)
{
  static const char *const wrong[] = {
      "68 5f %m %t",          /* no Block1 */
      "68 5f %m %t d1 0e 18", /* not the block sent */
      "68 5f %m %t d1 0e 0f", /* SZX 7 */
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    stage s;
    stage_init(&s, *state, COPAL_CODE_PUT, 16);
    s.rq.body = copal_span_str(STAGE_BODY);
    begin(&s);
    fx_expect(s.f, "48 03 %m %t *");
    feed(&s, wrong[i]);
    stage_expect_done(&s, COPAL_EBLOCK, COPAL_CODE_CONTINUE, "");
  }
}

static void rfc7959_2_9_1_continue_after_the_end_is_wrong(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 16);
  s.rq.body = copal_span_str("short");
  begin(&s);
  fx_expect(s.f, "48 03 %m %t b1 'a' ff 'short'");
  feed(&s, "68 5f %m %t");
  stage_expect_done(&s, COPAL_EBLOCK, COPAL_CODE_CONTINUE, "");
}

static void a_block_beyond_the_last_number_is_too_big(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 16);
  s.rq.offset = 0xfffff0;
  s.body_len = 0xfffff0;
  s.t.write = NULL;
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a' c3 ff ff f0");
  feed(&s, "68 45 %m %t d3 0a ff ff f8 " BLOCK_0);
  assert_int_equal(s.dones, 1);
  assert_int_equal(s.result.status, COPAL_ETOOBIG);
}

/* ---------------------------------------------------------------------------------------- start */

static void a_request_that_makes_no_sense_is_refused(void **state)
{
  static const copal_opt own[] = {{COPAL_OPT_OBSERVE, {NULL, 0}}, {COPAL_OPT_BLOCK1, {NULL, 0}},
                                  {COPAL_OPT_BLOCK2, {NULL, 0}},  {COPAL_OPT_SIZE1, {NULL, 0}},
                                  {COPAL_OPT_SIZE2, {NULL, 0}},   {COPAL_OPT_ECHO, {NULL, 0}}};
  fixture *f = *state;
  stage s;
#define REFUSED(change)                                                                            \
  do {                                                                                             \
    stage_init(&s, f, COPAL_CODE_GET, 0);                                                          \
    change;                                                                                        \
    assert_int_equal(stage_start(&s), COPAL_EINVAL);                                               \
    assert_false(copal_transfer_is_active(&s.t));                                                  \
  } while (0)
  REFUSED(s.rq.struct_size--);
  REFUSED(s.rq.path = NULL);
  REFUSED(s.rq.code = COPAL_CODE_CONTENT);
  REFUSED(s.rq.block_size = 15);
  REFUSED(s.rq.opt_cap = COPAL_TRANSFER_OPTS);
  REFUSED(s.rq.opt_room = NULL);
  REFUSED(s.t.on_done = NULL);
  REFUSED((s.rq.code = COPAL_CODE_PUT, s.rq.offset = 16));
  REFUSED((s.rq.is_observe = true, s.rq.offset = 16));
  REFUSED((s.rq.code = COPAL_CODE_POST, s.rq.is_observe = true));
  REFUSED(s.rq.etag = copal_span_str("123456789"));
  REFUSED((stage_read(&s, "", -2, true)));
  REFUSED((stage_read(&s, "", 0, true), s.rq.block_room.len = 15));
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    REFUSED(s.opts[0] = own[i]);
  f->peer.flags = COPAL_PATH_GROUP;
  REFUSED(s.rq.type = COPAL_NON);
  fx_expect_nothing(f);
}

static void rfc7959_2_2_a_body_of_too_many_blocks_is_refused(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 16);
  stage_read(&s, "", (1 << 24) + 1, true);
  assert_int_equal(stage_start(&s), COPAL_ETOOBIG);
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  s.rq.offset = 1u << 30;
  assert_int_equal(stage_start(&s), COPAL_ETOOBIG);
}

static void what_read_says_is_what_start_says(void **state)
{
  copal_transfer_set set = {0};
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 16);
  stage_read(&s, STAGE_BODY, 36, true);
  s.rq.set = &set;
  s.read_result = -77;
  assert_int_equal(stage_start(&s), -77);
  assert_int_equal(s.dones, 0);
  assert_null(set.first);
}

static void a_full_endpoint_is_waited_for(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_PUT, 16);
  s.rq.body = copal_span_str(STAGE_BODY);
  s.f->is_full = true;
  assert_int_equal(stage_start(&s), COPAL_ENOSLOT);
  s.f->is_full = false;
  begin(&s);
  fx_expect(s.f, "48 03 %m %t *");
  s.f->is_full = true;
  feed(&s, "68 5f %m %t d1 0e 08");
  assert_int_equal(s.stalls, 1);
  stage_expect_going(&s);
  s.f->is_full = false;
  assert_int_equal(copal_transfer_resume(&s.t, s.f->now), COPAL_OK);
  fx_expect(s.f, "48 03 %m %t b1 'a' d1 03 18 " BLOCK_1);
  s.f->is_full = true;
  s.t.on_event = NULL; /* nobody to tell */
  feed(&s, "68 5f %m %t d1 0e 18");
  stage_expect_done(&s, COPAL_ENOSLOT, COPAL_CODE_EMPTY, "");
}

/* ---------------------------------------------------------------------------------------- write */

static void a_receiver_may_be_late(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  s.write_result = COPAL_EPENDING;
  feed(&s, "68 45 %m %t d1 0a 08 " BLOCK_0);
  fx_expect_nothing(s.f);
  stage_expect_going(&s);
  assert_int_equal(copal_transfer_resume(&s.t, s.f->now), COPAL_OK);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  feed(&s, "68 45 %m %t d1 0a 10 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, "0123456789abcdefrest");
}

static void a_transfer_that_is_held_can_be_canceled(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  s.write_result = COPAL_EPENDING;
  feed(&s, "68 45 %m %t d1 0a 08 " BLOCK_0);
  assert_int_equal(copal_transfer_cancel(&s.t, s.f->now), COPAL_OK);
  stage_expect_done(&s, COPAL_ECANCELED, COPAL_CODE_CONTENT, "0123456789abcdef");
}

static void a_receiver_that_fails_ends_the_transfer(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  begin(&s);
  fx_expect(s.f, "48 01 %m %t b1 'a'");
  s.write_result = -99;
  feed(&s, "68 45 %m %t d1 0a 08 " BLOCK_0);
  stage_expect_done(&s, -99, COPAL_CODE_CONTENT, "0123456789abcdef");
  assert_int_equal(s.result.size, 0); /* not taken */
}

static void a_validated_representation_has_no_body(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  s.opts[0] = (copal_opt){COPAL_OPT_ETAG, copal_span_str("x")};
  begin(&s);
  fx_expect(s.f, "48 01 %m %t 41 'x'");
  feed(&s, "68 43 %m %t 41 'x'");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_VALID, "");
  assert_int_equal(s.writes, 0);
}

/* -------------------------------------------------------------------------------------- observe */

static uint8_t relation[8]; /* its token */

static void expect_state(stage *s, int status, const char *body)
{
  assert_int_equal(s->states, 1);
  assert_int_equal(s->state.status, status);
  assert_int_equal(s->body_len, strlen(body));
  assert_memory_equal(s->body, body, s->body_len);
  s->states = 0;
  stage_expect_going(s);
}

/* An observation whose first representation, "ab", has come. */
static void begin_watch(stage *s, fixture *f)
{
  stage_init(s, f, COPAL_CODE_GET, 16);
  s->rq.is_observe = true;
  s->rq.negotiates_late = false;
  begin(s);
  fx_expect(f, "48 01 %m %t 60 51 'a' c0"); /* Observe, 2:0/0/16 */
  memcpy(relation, f->token, sizeof relation);
  feed(s, "68 45 %m %t 41 'v' 21 01 ff 'ab'");
  expect_state(s, COPAL_OK, "ab");
}

/* A notification that arrives as a NON of the relation. */
static void notify(stage *s, const char *head, const char *rest)
{
  uint8_t bytes[FX_BYTES_MAX];
  size_t len = fx_bytes(s->f, head, bytes);
  memcpy(bytes + len, relation, sizeof relation);
  len += sizeof relation;
  len += fx_bytes(s->f, rest, bytes + len);
  assert_int_equal(fx_feed_bytes(s->f, &s->f->peer, bytes, len), COPAL_OK);
}

/* What identifies the request that fx_expect() has seen last. */
typedef struct request {
  uint16_t mid;
  uint8_t token[8];
} request;

static request request_seen(const fixture *f)
{
  request seen = {.mid = f->mid};
  memcpy(seen.token, f->token, sizeof seen.token);
  return seen;
}

/* An answer to a request that has been given up changes nothing. */
static void expect_late_answer_ignored(stage *s, const request *late, const char *text)
{
  fixture *f = s->f;
  const request newest = request_seen(f);
  const unsigned writes = s->writes;

  f->mid = late->mid;
  memcpy(f->token, late->token, sizeof f->token);
  assert_int_equal(fx_feed(f, text), COPAL_ESTRAY);
  assert_int_equal(s->writes, writes);
  stage_expect_going(s);
  f->mid = newest.mid;
  memcpy(f->token, newest.token, sizeof f->token);
}

static void rfc7959_3_4_a_notification_is_completed_by_requests(void **state)
{
  stage s;
  begin_watch(&s, *state);
  notify(&s, "58 45 00 11", "41 'w' 21 02 d1 04 08 " BLOCK_0);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10"); /* without Observe */
  assert_memory_not_equal(s.f->token, relation, 8);
  feed(&s, "68 45 %m %t 41 'w' d1 06 18 " BLOCK_1);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 20");
  feed(&s, "68 45 %m %t 41 'w' d1 06 20 " REST);
  expect_state(&s, COPAL_OK, STAGE_BODY);
  assert_int_equal(copal_transfer_cancel(&s.t, s.f->now), COPAL_OK);
  stage_expect_done(&s, COPAL_ECANCELED, COPAL_CODE_CONTENT, STAGE_BODY);
  fx_expect_idle(s.f);
}

static void rfc7959_2_6_a_newer_notification_replaces_what_is_fetched(void **state)
{
  stage s;
  begin_watch(&s, *state);
  notify(&s, "58 45 00 11", "41 'w' 21 02 d1 04 08 " BLOCK_0);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  notify(&s, "58 45 00 12", "41 'w' 21 03 d1 04 08 " BLOCK_0); /* the same: is being fetched */
  assert_int_equal(s.writes, 2);
  request first = request_seen(s.f);
  notify(&s, "58 45 00 13", "41 'y' 21 04 d1 04 08 " BLOCK_1);
  assert_int_equal(s.writes, 3);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10"); /* at once, not when the other has timed out */
  expect_late_answer_ignored(&s, &first, "68 45 %m %t 41 'w' d1 06 10 " REST);
  feed(&s, "68 45 %m %t 41 'y' d1 06 10 " REST);
  expect_state(&s, COPAL_OK, "FEDCBA9876543210rest");
  notify(&s, "58 45 00 14", "41 'z' 21 05 d1 04 08 " BLOCK_0);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  first = request_seen(s.f);
  notify(&s, "58 45 00 15", "41 's' 21 06 ff 'small'"); /* complete at once */
  expect_state(&s, COPAL_OK, "small");
  expect_late_answer_ignored(&s, &first, "68 45 %m %t 41 'z' d1 06 10 " REST);
  assert_int_equal(s.body_len, 5);
  assert_int_equal(copal_transfer_cancel(&s.t, s.f->now), COPAL_OK);
}

static void rfc7959_2_6_blocks_of_another_etag_are_not_mixed_in(void **state)
{
  static const char *const other[] = {"68 45 %m %t 41 'y' d1 06 10 " REST, "68 84 %m %t",
                                      "68 80 %m %t", "68 45 %m %t 41 'w' d1 06 28 " BLOCK_1,
                                      "70 00 %m"};
  static const int status[] = {COPAL_EINCOMPLETE, COPAL_EINCOMPLETE, COPAL_EINCOMPLETE,
                               COPAL_EBLOCK, COPAL_ERESET};
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
    stage s;
    begin_watch(&s, *state);
    notify(&s, i ? "58 45 00 11" : "58 45 00 12", "41 'w' 21 02 d1 04 08 " BLOCK_0);
    fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
    feed(&s, other[i]);
    expect_state(&s, status[i], "0123456789abcdef");
    fx_expect_nothing(s.f); /* the notification of the change will come */
    assert_int_equal(copal_transfer_cancel(&s.t, s.f->now), COPAL_OK);
    fx_advance(s.f, (copal_time)400 * COPAL_SECOND);
  }
}

static void rfc7641_4_2_an_error_ends_the_observation(void **state)
{
  stage s;
  begin_watch(&s, *state);
  notify(&s, "58 84 00 11", "");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_NOT_FOUND, "ab");
}

static void rfc7641_3_2_an_error_ends_it_while_it_fetches(void **state)
{
  stage s;
  begin_watch(&s, *state);
  notify(&s, "58 45 00 11", "41 'w' 21 02 d1 04 08 " BLOCK_0);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  notify(&s, "58 84 00 12", "");
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_NOT_FOUND, "0123456789abcdef");
  fx_expect_idle(s.f);
}

static void a_last_notification_without_observe_is_completed(void **state)
{
  stage s;
  begin_watch(&s, *state);
  notify(&s, "58 45 00 11", "41 'w' d1 06 08 " BLOCK_0);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  feed(&s, "68 45 %m %t 41 'w' d1 06 10 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, "0123456789abcdefrest");
}

static void a_server_that_does_not_observe_answers_once(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_GET, 0);
  s.rq.is_observe = true;
  begin(&s);
  fx_expect(s.f, "48 01 %m %t 60 51 'a'");
  feed(&s, "68 45 %m %t d1 0a 08 " BLOCK_0);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  feed(&s, "68 45 %m %t d1 0a 10 " REST);
  stage_expect_done(&s, COPAL_OK, COPAL_CODE_CONTENT, "0123456789abcdefrest");
  assert_int_equal(s.states, 0);
}

static void the_end_of_a_long_fetch_registers_the_observation(void **state)
{
  stage s;
  stage_init(&s, *state, COPAL_CODE_FETCH, 16);
  s.rq.is_observe = true;
  s.rq.body = copal_span_str(STAGE_BODY);
  begin(&s);
  fx_expect(s.f, "48 05 %m %t b1 'a' d1 03 08 d1 14 24 " BLOCK_0);
  feed(&s, "68 5f %m %t d1 0e 08");
  fx_expect(s.f, "48 05 %m %t b1 'a' d1 03 18 " BLOCK_1);
  feed(&s, "68 5f %m %t 61 09 d1 08 18"); /* an Observe that nobody asked for */
  fx_expect(s.f, "48 05 %m %t 60 51 'a' d1 03 20 " REST);
  feed(&s, "68 45 %m %t 41 'v' 21 01 d1 04 08 41 20 " BLOCK_0);
  fx_expect(s.f, "48 05 %m %t b1 'a' c1 10");
  feed(&s, "68 45 %m %t 41 'v' d1 06 10 " REST);
  expect_state(&s, COPAL_OK, "0123456789abcdefrest");
  assert_int_equal(copal_transfer_cancel(&s.t, s.f->now), COPAL_OK);
}

static void canceling_takes_observation_and_request_along(void **state)
{
  stage s;
  begin_watch(&s, *state);
  notify(&s, "58 45 00 11", "41 'w' 21 02 d1 04 08 " BLOCK_0);
  fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
  assert_int_equal(copal_transfer_cancel(&s.t, s.f->now), COPAL_OK);
  stage_expect_done(&s, COPAL_ECANCELED, COPAL_CODE_CONTENT, "0123456789abcdef");
  assert_int_equal(s.states, 0);
  fx_expect_idle(s.f);
}

static void the_end_of_the_endpoint_ends_an_observation(void **state)
{
  for (int superseded = 0; superseded < 2; superseded++) {
    stage s;
    begin_watch(&s, *state);
    notify(&s, "58 45 00 11", "41 'w' 21 02 d1 04 08 " BLOCK_0);
    fx_expect(s.f, "48 01 %m %t b1 'a' c1 10");
    if (superseded)
      notify(&s, "58 45 00 12", "41 'y' 21 03 d1 04 08 " BLOCK_0);
    fx_restart(s.f);
    assert_int_equal(s.dones, 1);
    assert_int_equal(s.result.status, COPAL_ECANCELED);
    assert_int_equal(s.f->sent_count, 0);
  }
}

static void a_receiver_that_fails_does_not_end_an_observation(void **state)
{
  stage s;
  begin_watch(&s, *state);
  s.write_result = -5;
  notify(&s, "58 45 00 11", "41 'w' 21 02 d1 04 08 " BLOCK_0);
  expect_state(&s, -5, "0123456789abcdef");
  notify(&s, "58 45 00 12", "41 'x' 21 03 ff 'small'");
  expect_state(&s, COPAL_OK, "small");
  assert_int_equal(copal_transfer_cancel(&s.t, s.f->now), COPAL_OK);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
      TEST(an_exchange_without_answer_ends_the_transfer),
      TEST(a_reset_ends_the_transfer),
      TEST(a_network_error_ends_the_transfer),
      TEST(cancel_ends_the_transfer_before_it_returns),
      TEST(the_end_of_the_endpoint_ends_the_transfer),
      TEST(rfc7959_2_3_a_server_that_breaks_the_rules_is_left),
      TEST(rfc7959_2_4_the_first_block_comes_first),
      TEST(rfc7959_2_3_an_upload_must_be_acknowledged_block_by_block),
      TEST(rfc7959_2_9_1_continue_after_the_end_is_wrong),
      TEST(a_block_beyond_the_last_number_is_too_big),
      TEST(a_request_that_makes_no_sense_is_refused),
      TEST(rfc7959_2_2_a_body_of_too_many_blocks_is_refused),
      TEST(what_read_says_is_what_start_says),
      TEST(a_full_endpoint_is_waited_for),
      TEST(a_receiver_may_be_late),
      TEST(a_transfer_that_is_held_can_be_canceled),
      TEST(a_receiver_that_fails_ends_the_transfer),
      TEST(a_validated_representation_has_no_body),
      TEST(rfc7959_3_4_a_notification_is_completed_by_requests),
      TEST(rfc7959_2_6_a_newer_notification_replaces_what_is_fetched),
      TEST(rfc7959_2_6_blocks_of_another_etag_are_not_mixed_in),
      TEST(rfc7641_4_2_an_error_ends_the_observation),
      TEST(rfc7641_3_2_an_error_ends_it_while_it_fetches),
      TEST(a_last_notification_without_observe_is_completed),
      TEST(a_server_that_does_not_observe_answers_once),
      TEST(the_end_of_a_long_fetch_registers_the_observation),
      TEST(canceling_takes_observation_and_request_along),
      TEST(the_end_of_the_endpoint_ends_an_observation),
      TEST(a_receiver_that_fails_does_not_end_an_observation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
