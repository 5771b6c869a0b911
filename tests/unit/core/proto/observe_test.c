/* SPDX-License-Identifier: Apache-2.0 */
/* Relations and notifications of a server. RFC 7641 section 4, RFC 7959 section 2.6. */
#include "unit/core/proto/fixture.h"

static const copal_time second = COPAL_SECOND;
static const copal_time ms = COPAL_MILLISECOND;
static const copal_time leisure = 5 * COPAL_SECOND; /* RFC 7252 section 4.8 */

/* ----------------------------------------------------------------------------------------- stage
 */

/* What is observed. */
typedef struct thing {
  copal_subject subject;
  copal_code code;
  const char *body;
  int err; /* of render() */
  unsigned renders, idles;
} thing;

static thing things[2];
static thing *asked; /* that the handler serves */

static int render(copal_subject *s, copal_ep *ep, copal_response *r, copal_time now)
{
  thing *t = (thing *)s;
  (void)ep;
  (void)now;
  t->renders++;
  *r = (copal_response){.code = t->code, .payload = copal_span_str(t->body)};
  return t->err;
}

static void on_idle(copal_subject *s, copal_ep *ep)
{
  thing *t = (thing *)s;
  (void)ep;
  assert_int_equal(s->count, 0);
  t->idles++;
}

static int serve(fixture *f, const copal_req *req)
{
  const copal_response r = {.code = asked->code, .payload = copal_span_str(asked->body)};
  if (req->wants_observe)
    assert_int_equal(copal_ep_observe(f->ep, &asked->subject), COPAL_OK);
  return copal_ep_respond(f->ep, &r, f->now);
}

static thing thing_init(const char *body)
{
  return (thing){
      .subject = {.render = render, .on_idle = on_idle}, .code = COPAL_CODE_CONTENT, .body = body};
}

static int setup(void **state)
{
  const int err = fx_setup(state);
  ((fixture *)*state)->handler = serve;
  things[0] = thing_init("a0");
  things[1] = thing_init("b0");
  asked = &things[0];
  return err;
}

static void change(fixture *f, thing *t, const char *body)
{
  t->body = body;
  copal_ep_notify(f->ep, &t->subject, f->now);
}

/* A response or notification, taken apart. */
typedef struct note {
  copal_type type;
  copal_code code;
  uint16_t mid;
  size_t token_len;
  uint8_t token[8];
  bool has_observe;
  uint32_t observe;
  bool has_block2;
  copal_block block2;
  size_t payload_len;
  char payload[1200];
  copal_time at;
} note;

/* Takes the next datagram sent apart; it went to `path`. */
static note next_to(fixture *f, const copal_path *path)
{
  note n = {0};
  copal_msg m;
  copal_span value;
  assert_true(f->sent_seen < f->sent_count);
  const fx_datagram *d = &f->sent[f->sent_seen++];
  assert_true(copal_path_is_same_peer(&d->path, path));
  assert_int_equal(copal_msg_parse(copal_span_of(d->bytes, d->len), &m), COPAL_OK);
  n = (note){.type = m.type, .code = m.code, .mid = m.mid, .token_len = m.token.len, .at = d->at};
  assert_true(m.token.len <= sizeof n.token);
  if (m.token.len)
    memcpy(n.token, m.token.ptr, m.token.len);
  n.has_observe = copal_opt_find(m.options, COPAL_OPT_OBSERVE, &value);
  if (n.has_observe)
    assert_int_equal(copal_opt_uint(value, &n.observe), COPAL_OK);
  n.has_block2 = copal_opt_find(m.options, COPAL_OPT_BLOCK2, &value);
  if (n.has_block2)
    assert_int_equal(copal_block_parse(value, &n.block2), COPAL_OK);
  assert_true(m.payload.len < sizeof n.payload);
  if (m.payload.len)
    memcpy(n.payload, m.payload.ptr, m.payload.len);
  n.payload_len = m.payload.len;
  f->mid = m.mid;
  if (f->sent_seen == f->sent_count)
    f->sent_seen = f->sent_count = 0;
  return n;
}

static note next_note(fixture *f)
{
  return next_to(f, &f->peer);
}

/* The next datagram is a notification of that type and body for token `token`. */
static note expect_note_to(fixture *f, const copal_path *path, copal_type type, uint8_t token,
                           const char *body)
{
  const note n = next_to(f, path);
  assert_int_equal(n.type, type);
  assert_int_equal(n.code, COPAL_CODE_CONTENT);
  assert_true(n.has_observe);
  assert_int_equal(n.token_len, 1);
  assert_int_equal(n.token[0], token);
  assert_string_equal(n.payload, body);
  return n;
}

static note expect_note(fixture *f, copal_type type, uint8_t token, const char *body)
{
  return expect_note_to(f, &f->peer, type, token, body);
}

static uint16_t request_mid;

/* A GET with that Observe value; the answer. */
static note get_from(fixture *f, const copal_path *path, uint8_t token, uint8_t observe)
{
  const uint8_t bytes[] = {0x41, 0x01,   (uint8_t)(++request_mid >> 8), (uint8_t)request_mid, token,
                           0x61, observe};
  assert_int_equal(fx_feed_bytes(f, path, bytes, sizeof bytes), COPAL_OK);
  const note n = next_to(f, path);
  assert_int_equal(n.type, COPAL_ACK);
  assert_int_equal(n.mid, request_mid);
  assert_int_equal(n.token[0], token);
  return n;
}

static note observe_from(fixture *f, const copal_path *path, uint8_t token)
{
  return get_from(f, path, token, 0);
}

static note observe(fixture *f, uint8_t token)
{
  const note n = observe_from(f, &f->peer, token);
  assert_int_equal(n.code, COPAL_CODE_CONTENT);
  assert_true(n.has_observe);
  return n;
}

static void reply_empty(fixture *f, const copal_path *path, uint8_t type, uint16_t mid, int expect)
{
  const uint8_t bytes[] = {(uint8_t)(0x40 | type << 4), 0, (uint8_t)(mid >> 8), (uint8_t)mid};
  assert_int_equal(fx_feed_bytes(f, path, bytes, sizeof bytes), expect);
}

static void ack(fixture *f, const note *n)
{
  reply_empty(f, &f->peer, COPAL_ACK, n->mid, COPAL_OK);
}

static void reset(fixture *f, const note *n)
{
  reply_empty(f, &f->peer, COPAL_RST, n->mid, COPAL_OK);
}

/* Has one notification confirmed after `rtt`, so that the next ones are non-confirmable. */
static void learn_rtt(fixture *f, uint8_t token, copal_time rtt)
{
  change(f, asked, "probe");
  const note n = expect_note(f, COPAL_CON, token, "probe");
  fx_advance(f, rtt);
  ack(f, &n);
  fx_advance(f, 2 * rtt);
  fx_expect_nothing(f);
}

static void expect_no_relations(fixture *f)
{
  const copal_usage u = copal_ep_usage(f->ep);
  assert_int_equal(u.relations, 0);
  assert_int_equal(u.observers, 0);
  assert_int_equal(things[0].subject.count + things[1].subject.count, 0);
  fx_expect_idle(f);
}

/* Whether `b` is newer than `a` in 24-bit serial arithmetic. RFC 7641 section 3.4. */
static bool is_newer(uint32_t a, uint32_t b)
{
  const uint32_t ahead = (b - a) & 0xffffff;
  return ahead != 0 && ahead < 1 << 23;
}

/* ----------------------------------------------------------------------------------- registration
 */

static void rfc7641_4_1_registration_is_confirmed_with_observe(void **state)
{
  fixture *f = *state;
  const note n = observe(f, 0xaa);
  assert_string_equal(n.payload, "a0");
  assert_int_equal(things[0].subject.count, 1);
  assert_int_equal(copal_ep_usage(f->ep).relations, 1);
  assert_int_equal(copal_ep_usage(f->ep).observers, 1);
  fx_advance(f, 1000 * second);
  fx_expect_nothing(f); /* nothing changes, nothing is said */
}

static void rfc7641_4_1_same_token_replaces_relation(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  observe(f, 0xaa);
  assert_int_equal(things[0].subject.count, 1);
  assert_int_equal(copal_ep_usage(f->ep).relations, 1);
  assert_int_equal(things[0].idles, 0);
  change(f, asked, "a1");
  const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  fx_expect_nothing(f);
  ack(f, &n);
  fx_expect_nothing(f);
}

static void rfc7641_4_1_a_renewal_changes_the_block_size(void **state)
{
  fixture *f = *state;
  asked->body = "0123456789abcdefghij";
  observe(f, 0xaa);
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 60 d1 04 00"), COPAL_OK); /* Block2 0/0/16 */
  assert_true(next_note(f).has_block2);
  copal_ep_notify(f->ep, &asked->subject, f->now);
  assert_int_equal(next_note(f).payload_len, 16);
}

static void rfc7641_4_1_another_token_is_a_second_relation(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  observe(f, 0xbb);
  assert_int_equal(things[0].subject.count, 2);
  assert_int_equal(copal_ep_usage(f->ep).relations, 2);
  assert_int_equal(copal_ep_usage(f->ep).observers, 1);
  change(f, asked, "a1");
  const note first = expect_note(f, COPAL_CON, 0xaa, "a1");
  fx_expect_nothing(f);
  ack(f, &first);
  expect_note(f, COPAL_NON, 0xbb, "a1");
}

static void rfc7641_4_1_a_token_used_for_another_resource_moves(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  asked = &things[1];
  observe(f, 0xaa);
  assert_int_equal(things[0].subject.count, 0);
  assert_int_equal(things[0].idles, 1);
  assert_int_equal(things[1].subject.count, 1);
  change(f, &things[0], "a1");
  fx_expect_nothing(f);
  change(f, &things[1], "b1");
  expect_note(f, COPAL_CON, 0xaa, "b1");
}

static void rfc7641_4_1_endpoints_are_told_apart(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  observe(f, 0xaa);
  observe_from(f, &other, 0xaa);
  assert_int_equal(copal_ep_usage(f->ep).observers, 2);
  get_from(f, &other, 0xaa, 1);
  assert_int_equal(things[0].subject.count, 1);
  change(f, asked, "a1");
  expect_note(f, COPAL_CON, 0xaa, "a1");
  fx_expect_nothing(f);
}

static void rfc7641_4_1_deregistration_removes_the_entry(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  const note n = get_from(f, &f->peer, 0xaa, 1);
  assert_int_equal(n.code, COPAL_CODE_CONTENT);
  assert_false(n.has_observe);
  assert_string_equal(n.payload, "a0");
  assert_int_equal(fx_stats(f)->relations_deregistered, 1);
  assert_int_equal(things[0].idles, 1);
  change(f, asked, "a1");
  fx_expect_nothing(f);
  expect_no_relations(f);
}

static void rfc7641_4_1_deregistration_of_what_is_not_there_is_a_get(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  const note n = get_from(f, &f->peer, 0xbb, 1);
  assert_int_equal(n.code, COPAL_CODE_CONTENT);
  assert_false(n.has_observe);
  assert_int_equal(fx_stats(f)->relations_deregistered, 0);
  assert_int_equal(things[0].subject.count, 1);
}

static void rfc7641_2_other_values_of_observe_mean_nothing(void **state)
{
  fixture *f = *state;
  assert_false(get_from(f, &f->peer, 0xaa, 2).has_observe);
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 64 00 00 00 00"), COPAL_OK); /* longer than 3 bytes */
  assert_false(next_note(f).has_observe);
  assert_int_equal(fx_feed(f, "41 03 70 02 aa 60"), COPAL_OK); /* a PUT */
  assert_false(next_note(f).has_observe);
  assert_int_equal(copal_ep_usage(f->ep).relations, 0);
}

static void rfc8132_2_4_fetch_registers(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 05 70 01 aa 60"), COPAL_OK);
  assert_true(next_note(f).has_observe);
  change(f, asked, "a1");
  expect_note(f, COPAL_CON, 0xaa, "a1");
}

static void rfc7641_4_1_a_non_request_registers(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "51 01 70 01 aa 60"), COPAL_OK);
  const note n = next_note(f);
  assert_int_equal(n.type, COPAL_NON);
  assert_true(n.has_observe);
  assert_int_equal(things[0].subject.count, 1);
}

/* A Non-confirmable GET to a group with that Observe value; nothing is said at once. */
static void get_by_group(fixture *f, uint8_t observe_value)
{
  copal_path path = f->peer;
  path.flags = COPAL_PATH_GROUP;
  const uint8_t bytes[] = {
      0x51, 0x01, (uint8_t)(++request_mid >> 8), (uint8_t)request_mid, 0xaa, 0x61, observe_value};
  assert_int_equal(fx_feed_bytes(f, &path, bytes, sizeof bytes), COPAL_OK);
  fx_expect_nothing(f);
}

static void rfc10020_3_7_a_group_request_registers(void **state)
{
  fixture *f = *state;
  get_by_group(f, 0);
  assert_int_equal(things[0].subject.count, 1);
  fx_advance(f, leisure);
  const note n = next_note(f);
  assert_int_equal(n.type, COPAL_NON);
  assert_true(n.has_observe);
  get_by_group(f, 1);
  fx_advance(f, leisure);
  assert_false(next_note(f).has_observe);
  expect_no_relations(f);
}

static void rfc10020_3_7_notifications_of_a_group_wait_for_leisure(void **state)
{
  fixture *f = *state;
  get_by_group(f, 0);
  fx_advance(f, leisure);
  (void)next_note(f);
  change(f, &things[0], "a1");
  fx_expect_nothing(f);
  change(f, &things[0], "a2");
  fx_expect_nothing(f);
  fx_advance(f, leisure);
  const note n = next_note(f);
  assert_int_equal(n.type, COPAL_CON); /* the client's interest is verified */
  assert_string_equal(n.payload, "a2");
}

static void rfc10020_3_7_an_error_to_a_group_establishes_nothing(void **state)
{
  fixture *f = *state;
  asked->code = COPAL_CODE_NOT_FOUND;
  get_by_group(f, 0);
  expect_no_relations(f);
}

static void rfc7641_4_2_error_establishes_nothing(void **state)
{
  fixture *f = *state;
  asked->code = COPAL_CODE_NOT_FOUND;
  const note n = observe_from(f, &f->peer, 0xaa);
  assert_int_equal(n.code, COPAL_CODE_NOT_FOUND);
  assert_false(n.has_observe);
  expect_no_relations(f);
}

static void rfc7641_4_2_error_answers_a_renewal_and_ends_it(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  asked->code = COPAL_CODE_NOT_FOUND;
  assert_false(observe_from(f, &f->peer, 0xaa).has_observe);
  assert_int_equal(things[0].idles, 1);
  expect_no_relations(f);
}

/* Nobody waits for the answer to a late copy: the client is told once more. */
static void rfc7641_4_2_an_error_that_answers_a_copy_is_followed_by_the_last_notification(
    void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 60"), COPAL_OK);
  assert_true(next_note(f).has_observe);
  asked->code = COPAL_CODE_NOT_FOUND;
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 60"), COPAL_OK);
  const note answer = next_note(f);
  assert_int_equal(answer.type, COPAL_ACK);
  assert_int_equal(answer.code, COPAL_CODE_NOT_FOUND);
  assert_int_equal(asked->subject.count, 0);
  fx_advance(f, 10 * ms);
  const note last = next_note(f);
  assert_int_equal(last.type, COPAL_CON);
  assert_int_equal(last.code, COPAL_CODE_NOT_FOUND);
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 60"), COPAL_OK); /* does not silence it */
  (void)next_note(f);
  fx_advance(f, 4 * second);
  assert_int_equal(next_note(f).mid, last.mid);
  ack(f, &last);
  expect_no_relations(f);
}

static void rfc7641_4_1_beyond_the_relations_it_is_an_ordinary_get(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  f->cfg.relation_count = 2;
  fx_restart(f);
  observe(f, 0xaa);
  observe(f, 0xbb);
  const note n = observe_from(f, &other, 0xcc);
  assert_int_equal(n.code, COPAL_CODE_CONTENT);
  assert_false(n.has_observe);
  assert_int_equal(fx_stats(f)->relations_refused, 1);
  assert_int_equal(copal_ep_usage(f->ep).observers, 1); /* none is kept for the stranger */
  observe(f, 0xaa);                                     /* a renewal needs no room */
  get_from(f, &f->peer, 0xbb, 1);
  assert_true(observe_from(f, &other, 0xcc).has_observe);
}

static void rfc7641_4_1_beyond_the_observers_it_is_an_ordinary_get(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  f->cfg.observer_count = 1;
  fx_restart(f);
  observe(f, 0xaa);
  assert_false(observe_from(f, &other, 0xaa).has_observe);
  assert_int_equal(fx_stats(f)->relations_refused, 1);
  observe(f, 0xbb);
}

static void one_client_has_only_its_share_of_relations(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  f->cfg.relation_per_peer = 2;
  fx_restart(f);
  observe(f, 0xaa);
  observe(f, 0xbb);
  assert_false(observe_from(f, &f->peer, 0xcc).has_observe);
  assert_int_equal(fx_stats(f)->relations_refused, 1);
  assert_true(observe_from(f, &other, 0xcc).has_observe);
}

static void rfc8974_a_token_beyond_eight_bytes_is_not_observed(void **state)
{
  fixture *f = *state;
  f->cfg.token_cap = 16;
  fx_restart(f);
  assert_int_equal(fx_feed(f, "48 01 70 01 '12345678' 60"), COPAL_OK);
  assert_true(next_note(f).has_observe);
  assert_int_equal(fx_feed(f, "4d 01 70 02 00 '1234567890123' 60"), COPAL_OK);
  fx_expect(f, "6d 45 70 02 00 '1234567890123' ff 'a0'");
  assert_int_equal(fx_stats(f)->relations_refused, 1);
}

static void rfc7641_4_2_an_empty_token_is_a_token(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 01 70 01 60"), COPAL_OK);
  assert_true(next_note(f).has_observe);
  change(f, asked, "a1");
  const note n = next_note(f);
  assert_int_equal(n.token_len, 0);
  assert_true(n.has_observe);
}

static void rfc7959_2_6_a_later_block_is_no_registration(void **state)
{
  fixture *f = *state;
  asked->body = "0123456789abcdefghij";
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 60 d1 04 10"), COPAL_OK); /* Block2 1/0/16 */
  const note n = next_note(f);
  assert_false(n.has_observe);
  assert_string_equal(n.payload, "ghij");
  assert_int_equal(copal_ep_usage(f->ep).relations, 0);
}

static void rfc7967_a_suppressed_answer_registers_nothing(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 60 d1 ef 02"), COPAL_OK);
  fx_expect(f, "60 00 70 01");
  assert_int_equal(copal_ep_usage(f->ep).relations, 0);
}

static void observing_is_only_for_requests_that_ask(void **state)
{
  fixture *f = *state;
  assert_int_equal(copal_ep_observe(f->ep, &things[0].subject), COPAL_EINVAL);
}

/* --------------------------------------------------------------------------------- notifications
 */

static void rfc7641_4_5_first_notification_is_confirmable_then_they_are_not(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  change(f, asked, "a1");
  const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  fx_advance(f, 10 * ms);
  ack(f, &n);
  fx_advance(f, second);
  change(f, asked, "a2");
  expect_note(f, COPAL_NON, 0xaa, "a2");
  assert_int_equal(fx_stats(f)->notify_cons, 1);
  assert_int_equal(fx_stats(f)->notify_nons, 1);
}

static void rfc7641_7_each_nth_notification_is_confirmable(void **state)
{
  fixture *f = *state;
  f->cfg.notify_con_every = 3;
  fx_restart(f);
  observe(f, 0xaa);
  for (int round = 0; round < 3; round++) {
    change(f, asked, "a1");
    const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
    fx_advance(f, 10 * ms);
    ack(f, &n);
    for (int i = 0; i < 3; i++) {
      fx_advance(f, second);
      change(f, asked, "a2");
      expect_note(f, COPAL_NON, 0xaa, "a2");
    }
    fx_advance(f, second);
  }
}

static void rfc7641_4_5_a_confirmable_one_at_least_every_24_hours(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 10 * ms);
  change(f, asked, "a1");
  expect_note(f, COPAL_NON, 0xaa, "a1");
  fx_advance(f, 9 * second);
  note n = expect_note(f, COPAL_CON, 0xaa, "a1"); /* the repetition */
  ack(f, &n);
  fx_advance(f, 24 * 3600 * second);
  fx_expect_nothing(f);
  change(f, asked, "a2");
  expect_note(f, COPAL_CON, 0xaa, "a2");
}

static void rfc7641_4_5_uncounted_only_the_day_asks_for_a_confirmation(void **state)
{
  fixture *f = *state;
  uint32_t nons = 0;
  f->cfg.notify_con_every = UINT16_MAX;
  fx_restart(f);
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 10 * ms);
  for (;; nons++) {
    fx_advance(f, second);
    change(f, asked, "a1");
    if (next_note(f).type == COPAL_CON)
      break;
  }
  assert_in_range(nons, 22 * 3600, 24 * 3600);
}

static void a_subject_may_want_all_its_notifications_confirmed(void **state)
{
  fixture *f = *state;
  asked->subject.is_confirmable = true;
  observe(f, 0xaa);
  for (int i = 0; i < 5; i++) {
    change(f, asked, "a1");
    const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
    fx_advance(f, 10 * ms);
    ack(f, &n);
  }
}

static void rfc7641_4_5_the_last_state_of_a_burst_is_confirmed(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 10 * ms);
  change(f, asked, "a1");
  const note lost = expect_note(f, COPAL_NON, 0xaa, "a1");
  fx_advance(f, 5 * second);
  fx_expect_nothing(f);
  fx_advance(f, 5 * second);
  const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  assert_int_not_equal(n.mid, lost.mid);
  assert_true(is_newer(lost.observe, n.observe));
  ack(f, &n);
  fx_advance(f, 1000 * second);
  fx_expect_nothing(f);
}

static void rfc7641_4_5_a_burst_that_goes_on_is_not_repeated(void **state)
{
  fixture *f = *state;
  f->cfg.notify_con_every = 1000;
  fx_restart(f);
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 10 * ms);
  for (int i = 0; i < 60; i++) {
    change(f, asked, "a1");
    expect_note(f, COPAL_NON, 0xaa, "a1");
    fx_advance(f, second);
    fx_expect_nothing(f);
  }
  fx_advance(f, 9 * second);
  const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  ack(f, &n);
  fx_advance(f, 1000 * second);
  fx_expect_nothing(f);
}

static void rfc7641_4_5_a_busy_relation_does_not_hide_a_quiet_one(void **state)
{
  fixture *f = *state;
  f->cfg.notify_con_every = 1000;
  fx_restart(f);
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 10 * ms);
  asked = &things[1];
  observe(f, 0xbb);
  change(f, &things[1], "b1");
  expect_note(f, COPAL_NON, 0xbb, "b1"); /* is lost */
  bool is_repeated = false;
  for (int i = 0; i < 20 && !is_repeated; i++) {
    fx_advance(f, second);
    if (f->sent_count > 0) {
      const note n = expect_note(f, COPAL_CON, 0xbb, "b1");
      ack(f, &n);
      is_repeated = true;
    }
    change(f, &things[0], "a1");
    fx_advance(f, 20 * ms);
    expect_note(f, COPAL_NON, 0xaa, "a1");
  }
  assert_true(is_repeated);
}

static void rfc7641_4_5_what_a_full_sink_drops_is_said_again(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 10 * ms);
  f->is_full = true;
  change(f, asked, "a1");
  fx_expect_nothing(f);
  f->is_full = false;
  fx_advance(f, 9 * second);
  expect_note(f, COPAL_CON, 0xaa, "a1");
}

static void a_full_sink_delays_a_confirmable_notification(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  f->is_full = true;
  change(f, asked, "a1");
  fx_expect_nothing(f);
  f->is_full = false;
  fx_advance(f, 4 * second);
  expect_note(f, COPAL_CON, 0xaa, "a1");
}

static void expect_last_word(const note *n, copal_code code, uint8_t token)
{
  assert_int_equal(n->type, COPAL_CON);
  assert_int_equal(n->code, code);
  assert_false(n->has_observe);
  assert_int_equal(n->token_len, 1);
  assert_int_equal(n->token[0], token);
}

static void rfc7641_4_2_error_is_the_last_notification(void **state)
{
  fixture *f = *state;
  static const copal_code codes[] = {COPAL_CODE_NOT_FOUND, COPAL_CODE_NOT_ACCEPTABLE};
  for (size_t i = 0; i < 2; i++) {
    things[0] = thing_init("a0");
    observe(f, 0xaa);
    asked->code = codes[i];
    change(f, asked, "gone");
    const note n = next_note(f);
    expect_last_word(&n, codes[i], 0xaa);
    assert_string_equal(n.payload, "gone");
    assert_int_equal(things[0].idles, 1);
    assert_int_equal(things[0].subject.count, 0);
    assert_int_equal(fx_stats(f)->relations_finished, i + 1);
    fx_expect_nothing(f);
    asked->code = COPAL_CODE_CONTENT;
    change(f, asked, "back");
    fx_expect_nothing(f);
    ack(f, &n);
    change(f, asked, "again");
    fx_advance(f, 1000 * second);
    fx_expect_nothing(f);
    expect_no_relations(f);
  }
}

/* Has one relation told that it has ended. */
static note last_word(fixture *f)
{
  observe(f, 0xaa);
  asked->code = COPAL_CODE_NOT_FOUND;
  change(f, asked, "gone");
  const note n = next_note(f);
  expect_last_word(&n, COPAL_CODE_NOT_FOUND, 0xaa);
  return n;
}

static void rfc7641_4_2_a_lost_last_notification_is_said_again(void **state)
{
  fixture *f = *state;
  const note first = last_word(f);
  assert_string_equal(first.payload, "gone");
  asked->body = "no matter"; /* there is nothing to be rendered any more */
  fx_advance(f, 4 * second);
  fx_advance(f, 6 * second);
  for (int i = 0; i < 2; i++) {
    const note n = next_note(f);
    expect_last_word(&n, COPAL_CODE_NOT_FOUND, 0xaa);
    assert_int_equal(n.mid, first.mid);
    assert_string_equal(n.payload, "gone");
  }
  ack(f, &first);
  fx_advance(f, 1000 * second);
  fx_expect_nothing(f);
  assert_int_equal(fx_stats(f)->relations_lost, 0);
  expect_no_relations(f);
}

static void rfc7641_4_2_a_last_notification_without_answer_is_given_up(void **state)
{
  fixture *f = *state;
  const note first = last_word(f);
  fx_advance(f, 200 * second);
  for (int i = 0; i < 4; i++)
    assert_int_equal(next_note(f).mid, first.mid);
  fx_expect_nothing(f);
  assert_int_equal(fx_stats(f)->relations_finished, 1);
  assert_int_equal(fx_stats(f)->relations_lost, 0); /* it is counted once */
  expect_no_relations(f);
}

static void rfc7641_4_2_a_rejected_last_notification_is_over(void **state)
{
  fixture *f = *state;
  const note n = last_word(f);
  reset(f, &n);
  assert_int_equal(fx_stats(f)->relations_reset, 0);
  expect_no_relations(f);
}

static void rfc7641_4_2_a_token_used_again_silences_the_last_notification(void **state)
{
  fixture *f = *state;
  (void)last_word(f);
  asked->code = COPAL_CODE_CONTENT;
  observe(f, 0xaa); /* the resource is there again */
  fx_advance(f, 200 * second);
  fx_expect_nothing(f);
  assert_int_equal(asked->subject.count, 1);
  assert_int_equal(copal_ep_usage(f->ep).relations, 1);
  assert_int_equal(fx_stats(f)->relations_deregistered, 0);
}

static void rfc7641_4_2_without_room_the_last_notification_is_bare(void **state)
{
  fixture *f = *state;
  f->cfg.chunk_count = 1;
  f->cfg.chunk_size = 16;
  fx_restart(f);
  observe(f, 0xaa);
  asked->code = COPAL_CODE_NOT_FOUND;
  change(f, asked, "more than the chunks can hold");
  note n = next_note(f);
  const uint16_t mid = n.mid;
  expect_last_word(&n, COPAL_CODE_NOT_FOUND, 0xaa);
  assert_int_equal(n.payload_len, 0);
  fx_advance(f, 4 * second);
  n = next_note(f);
  assert_int_equal(n.mid, mid);
  assert_int_equal(n.payload_len, 0);
  assert_int_equal(fx_stats(f)->chunks_refused, 1);
}

static void rfc7641_4_5_2_the_error_takes_the_place_of_a_retransmission(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  change(f, asked, "a1");
  const note first = expect_note(f, COPAL_CON, 0xaa, "a1");
  asked->code = COPAL_CODE_NOT_FOUND;
  change(f, asked, "gone");
  fx_advance(f, 200 * second);
  const note last = next_note(f);
  expect_last_word(&last, COPAL_CODE_NOT_FOUND, 0xaa);
  assert_int_not_equal(last.mid, first.mid);
  copal_time gap = last.at - first.at, at = last.at;
  for (int i = 0; i < 3; i++) { /* the schedule goes on, four retransmissions in all */
    const note n = next_note(f);
    assert_int_equal(n.mid, last.mid);
    assert_in_range(n.at - at, 2 * gap - 2 * ms, 2 * gap + 2 * ms);
    gap = n.at - at;
    at = n.at;
  }
  fx_expect_nothing(f);
  expect_no_relations(f);
}

/* Refuses one thing, or one client. */
typedef struct judge {
  copal_reviewer hook; /* first */
  const copal_subject *subject;
  const copal_path *path;
} judge;

static copal_code refuse(copal_reviewer *r, const copal_subject *s, const copal_path *path,
                         copal_code method)
{
  const judge *j = (const judge *)r;
  assert_int_equal(method, COPAL_CODE_GET);
  if (s == j->subject)
    return COPAL_CODE_FORBIDDEN;
  return j->path && copal_path_is_same_peer(path, j->path) ? COPAL_CODE_UNAUTHORIZED : 0;
}

static void rfc7641_4_2_who_may_no_longer_observe_is_told_and_ended(void **state)
{
  fixture *f = *state;
  copal_path other = f->peer;
  other.remote.port++;
  observe(f, 1);
  observe_from(f, &other, 2);
  asked = &things[1];
  observe(f, 3);
  judge j = {.hook.judge = refuse, .subject = &things[1].subject, .path = &other};
  copal_ep_review(f->ep, &j.hook, f->now);
  note n = next_note(f);
  expect_last_word(&n, COPAL_CODE_FORBIDDEN, 3);
  assert_int_equal(n.payload_len, 0);
  ack(f, &n);
  n = next_to(f, &other);
  expect_last_word(&n, COPAL_CODE_UNAUTHORIZED, 2);
  reply_empty(f, &other, COPAL_ACK, n.mid, COPAL_OK);
  assert_int_equal(things[1].idles, 1);
  assert_int_equal(copal_ep_usage(f->ep).relations, 1);
  change(f, &things[1], "b1");
  fx_expect_nothing(f);
  j.path = NULL;
  fx_advance(f, second);
  things[0].subject.is_confirmable = true;
  change(f, &things[0], "a1");
  n = expect_note(f, COPAL_CON, 1, "a1");
  j.subject = &things[0].subject; /* also with a notification in flight, which goes first */
  copal_ep_review(f->ep, &j.hook, f->now);
  copal_ep_review(f->ep, &j.hook, f->now); /* is not asked again about what ends */
  assert_int_equal(things[0].subject.count, 0);
  fx_expect_nothing(f);
  ack(f, &n);
  n = next_note(f);
  expect_last_word(&n, COPAL_CODE_FORBIDDEN, 1);
  ack(f, &n);
  expect_no_relations(f);
}

static void rfc7641_4_5_2_who_does_not_acknowledge_is_refused_in_a_retransmission(void **state)
{
  fixture *f = *state;
  judge j = {.hook.judge = refuse, .subject = &things[0].subject};
  observe(f, 1);
  change(f, asked, "a1");
  const note first = expect_note(f, COPAL_CON, 1, "a1");
  copal_ep_review(f->ep, &j.hook, f->now);
  fx_expect_nothing(f);
  fx_advance(f, 4 * second);
  const note n = next_note(f);
  expect_last_word(&n, COPAL_CODE_FORBIDDEN, 1);
  assert_int_not_equal(n.mid, first.mid);
  ack(f, &n);
  expect_no_relations(f);
}

static void rfc7641_4_2_error_ends_all_relations_also_those_that_wait(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  observe(f, 0xaa);
  observe(f, 0xbb);
  observe_from(f, &other, 0xcc);
  change(f, asked, "a1");
  const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  (void)next_to(f, &other);
  asked->code = COPAL_CODE_NOT_FOUND;
  change(f, asked, "gone");
  fx_expect_nothing(f); /* both clients owe an acknowledgement */
  ack(f, &n);
  note last = next_note(f);
  expect_last_word(&last, COPAL_CODE_NOT_FOUND, 0xbb); /* had waited longer */
  fx_expect_nothing(f);
  ack(f, &last);
  last = next_note(f);
  expect_last_word(&last, COPAL_CODE_NOT_FOUND, 0xaa);
  ack(f, &last);
  fx_expect_nothing(f);
  assert_int_equal(asked->subject.count, 1);
  fx_advance(f, 4 * second); /* instead of a retransmission */
  last = next_to(f, &other);
  expect_last_word(&last, COPAL_CODE_NOT_FOUND, 0xcc);
  reply_empty(f, &other, COPAL_ACK, last.mid, COPAL_OK);
  assert_int_equal(fx_stats(f)->relations_finished, 3);
  assert_int_equal(asked->idles, 1);
  expect_no_relations(f);
}

static void rfc7641_4_5_reset_of_a_confirmable_notification_ends_the_relation(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  change(f, asked, "a1");
  const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  reset(f, &n);
  assert_int_equal(fx_stats(f)->relations_reset, 1);
  assert_int_equal(things[0].idles, 1);
  expect_no_relations(f);
}

static void rfc7641_4_5_reset_of_a_non_notification_ends_the_relation(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 10 * ms);
  change(f, asked, "a1");
  const note n = expect_note(f, COPAL_NON, 0xaa, "a1");
  reset(f, &n);
  assert_int_equal(fx_stats(f)->relations_reset, 1);
  expect_no_relations(f);
}

static void a_reset_ends_only_the_relation_it_means(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  observe(f, 0xaa);
  observe(f, 0xbb);
  observe_from(f, &other, 0xaa);
  change(f, asked, "a1");
  const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  (void)next_to(f, &other);
  reply_empty(f, &other, COPAL_RST, n.mid, COPAL_ESTRAY); /* not the one it was sent to */
  assert_int_equal(asked->subject.count, 3);
  reset(f, &n);
  expect_note(f, COPAL_CON, 0xbb, "a1"); /* had waited behind it */
  assert_int_equal(asked->subject.count, 2);
}

static void rfc7641_4_5_a_reset_is_heard_among_a_great_many_relations(void **state)
{
  enum { MANY = 600 };
  fixture *f = *state;
  f->cfg.relation_count = MANY;
  fx_restart(f);
  for (uint16_t i = 0; i < MANY; i++) {
    const uint8_t bytes[] = {
        0x42,       0x01, (uint8_t)(++request_mid >> 8), (uint8_t)request_mid, (uint8_t)(i >> 8),
        (uint8_t)i, 0x60};
    assert_int_equal(fx_feed_bytes(f, &f->peer, bytes, sizeof bytes), COPAL_OK);
    assert_true(next_note(f).has_observe);
  }
  change(f, asked, "a1");
  note n = next_note(f);
  assert_int_equal(n.type, COPAL_CON);
  fx_advance(f, 20 * ms);
  ack(f, &n);
  for (int i = 1; i < MANY; i++) {
    n = next_note(f); /* one in a round-trip time */
    fx_expect_nothing(f);
    reset(f, &n);
    for (int k = 0; k < 40 && f->sent_count == 0 && i + 1 < MANY; k++)
      fx_advance(f, ms);
  }
  assert_int_equal(asked->subject.count, 1);
  assert_int_equal(fx_stats(f)->relations_reset, MANY - 1);
}

static void nobody_can_acknowledge_what_was_not_sent(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  for (uint32_t mid = 0; mid <= UINT16_MAX; mid++) {
    reply_empty(f, &f->peer, COPAL_ACK, (uint16_t)mid, COPAL_ESTRAY);
    reply_empty(f, &f->peer, COPAL_RST, (uint16_t)mid, COPAL_ESTRAY);
  }
  assert_int_equal(asked->subject.count, 1);
}

static void rfc7641_4_5_a_client_that_never_acknowledges_is_removed(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  change(f, asked, "a1");
  const note first = expect_note(f, COPAL_CON, 0xaa, "a1");
  copal_time gap = 0, last = first.at;
  for (int i = 0; i < 4; i++) {
    fx_advance(f, 50 * second);
    if (i == 0)
      assert_true(f->sent_count == 4); /* at 3, 9, 21 and 45 seconds at most */
    const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
    assert_int_equal(n.mid, first.mid);
    assert_int_equal(n.observe, first.observe);
    if (gap != 0)
      assert_in_range(n.at - last, 2 * gap - 3 * ms, 2 * gap + 3 * ms);
    else
      assert_in_range(n.at - last, 2 * second, 3 * second + ms);
    gap = n.at - last;
    last = n.at;
    if (f->sent_count == 0)
      break;
  }
  assert_int_equal(asked->subject.count, 0);
  assert_int_equal(fx_stats(f)->relations_lost, 1);
  assert_int_equal(fx_stats(f)->tx_retransmits, 4);
  assert_int_equal(things[0].idles, 1);
  expect_no_relations(f);
}

static void rfc7641_4_5_after_a_loss_the_others_are_asked_to_confirm(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 10 * ms);
  things[0].subject.is_confirmable = true;
  change(f, &things[0], "a1");
  expect_note(f, COPAL_CON, 0xaa, "a1");
  fx_advance(f, 2 * second); /* of the next beat */
  asked = &things[1];
  observe(f, 0xbb); /* asks, but acknowledges nothing */
  change(f, &things[1], "b1");
  fx_advance(f, 94 * second);
  for (int i = 0; i < 4; i++)
    expect_note(f, COPAL_CON, 0xaa, "a1");
  expect_note(f, COPAL_CON, 0xbb, "b1");
  assert_int_equal(things[0].subject.count, 0);
  assert_int_equal(things[1].subject.count, 1);
  assert_int_equal(fx_stats(f)->relations_lost, 1);
}

static void rfc7641_4_5_a_silent_client_loses_all_its_relations_at_once(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  f->cfg.relation_count = 60;
  fx_restart(f);
  for (uint8_t i = 1; i <= 50; i++) {
    asked = &things[i % 2];
    observe(f, i);
  }
  observe_from(f, &other, 0xcc);
  change(f, &things[1], "b1");
  expect_note(f, COPAL_CON, 1, "b1");
  change(f, &things[0], "a1");
  const note n = expect_note_to(f, &other, COPAL_CON, 0xcc, "a1");
  reply_empty(f, &other, COPAL_ACK, n.mid, COPAL_OK);
  fx_advance(f, 94 * second); /* of one schedule */
  for (int i = 0; i < 4; i++)
    expect_note(f, COPAL_CON, 1, "b1");
  fx_expect_nothing(f);
  assert_int_equal(fx_stats(f)->relations_lost, 50);
  assert_int_equal(things[1].idles, 1);
  assert_int_equal(things[0].subject.count, 1);
  assert_int_equal(copal_ep_usage(f->ep).relations, 1);
  assert_int_equal(copal_ep_usage(f->ep).observers, 1);
}

static void rfc7641_4_5_1_at_most_one_outstanding_for_a_client(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  observe(f, 0xbb);
  asked = &things[1];
  observe(f, 0xcc);
  change(f, &things[0], "a1");
  change(f, &things[1], "b1");
  note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  fx_advance(f, second);
  fx_expect_nothing(f);
  ack(f, &n);
  expect_note(f, COPAL_NON, 0xbb, "a1");
  fx_expect_nothing(f); /* a NON is outstanding for a round-trip time */
  fx_advance(f, second - 10 * ms);
  fx_expect_nothing(f);
  fx_advance(f, 20 * ms);
  expect_note(f, COPAL_NON, 0xcc, "b1");
  fx_expect_nothing(f);
}

static void rfc7641_4_5_1_other_clients_do_not_wait(void **state)
{
  fixture *f = *state;
  for (uint8_t i = 1; i <= 8; i++) {
    const copal_path p = fx_peer(i);
    observe_from(f, &p, i);
  }
  change(f, asked, "a1");
  for (uint8_t i = 1; i <= 8; i++) {
    const copal_path p = fx_peer(i);
    expect_note_to(f, &p, COPAL_CON, i, "a1");
  }
  assert_int_equal(asked->renders, 1); /* rendered once for all */
}

/* The representation and its options cost most of a notification. */
static void rfc7641_4_5_1_those_that_waited_alike_share_a_rendering(void **state)
{
  fixture *f = *state;
  uint16_t mids[8];
  for (uint8_t i = 0; i < 8; i++) {
    const copal_path p = fx_peer(i + 1);
    observe_from(f, &p, i);
  }
  change(f, asked, "a1");
  for (uint8_t i = 0; i < 8; i++) {
    const copal_path p = fx_peer(i + 1);
    mids[i] = expect_note_to(f, &p, COPAL_CON, i, "a1").mid;
  }
  fx_advance(f, 100 * ms);
  for (uint8_t i = 0; i < 8; i++) {
    const copal_path p = fx_peer(i + 1);
    reply_empty(f, &p, COPAL_ACK, mids[i], COPAL_OK);
  }
  fx_advance(f, second);
  for (unsigned k = 0; k < 2; k++) {
    change(f, asked, k == 0 ? "a2" : "a3");
    if (k == 1) /* they have had a notification less than a round-trip time ago */
      fx_expect_nothing(f);
    fx_advance(f, k == 0 ? 50 * ms : second);
    for (uint8_t i = 0; i < 8; i++) {
      const copal_path p = fx_peer(i + 1);
      expect_note_to(f, &p, k == 0 ? COPAL_NON : COPAL_CON, i, k == 0 ? "a2" : "a3");
    }
  }
  assert_int_equal(asked->renders, 3);
}

static void rfc7641_4_5_1_non_notifications_keep_a_round_trip_apart(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 500 * ms);
  change(f, asked, "a1");
  expect_note(f, COPAL_NON, 0xaa, "a1");
  fx_advance(f, 100 * ms);
  change(f, asked, "a2");
  fx_advance(f, 100 * ms);
  change(f, asked, "a3");
  fx_advance(f, 290 * ms);
  fx_expect_nothing(f);
  fx_advance(f, 20 * ms);
  expect_note(f, COPAL_CON, 0xaa, "a3"); /* the state between was skipped */
  fx_expect_nothing(f);
}

/* A notification has just left. The next one, which waits for the round-trip time of 500 ms. */
static note next_that_waited(fixture *f)
{
  unsigned waited_ms = 0;
  change(f, asked, "a1");
  while (f->sent_count == 0 && waited_ms++ < 600)
    fx_advance(f, ms);
  assert_in_range(waited_ms, 480, 520);
  return next_note(f);
}

/* The first sample may come from an instant at which many were notified: who waits because of it
 * has the next notification confirmed. */
static void rfc7641_4_5_1_a_round_trip_that_delays_is_measured_anew(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 500 * ms);
  change(f, asked, "a1");
  expect_note(f, COPAL_NON, 0xaa, "a1");
  const note n = next_that_waited(f);
  assert_int_equal(n.type, COPAL_CON);
  fx_advance(f, 30 * ms);
  ack(f, &n);
  fx_advance(f, 100 * ms);
  for (int i = 0; i < 5; i++) {
    change(f, asked, "a2");
    expect_note(f, COPAL_NON, 0xaa, "a2");
    fx_advance(f, 60 * ms);
  }
}

/* Where the path is slow indeed, most notifications stay non-confirmable. */
static void rfc7641_4_5_1_a_slow_path_is_measured_ever_less_often(void **state)
{
  fixture *f = *state;
  unsigned cons = 0;
  f->cfg.notify_con_every = 1000;
  fx_restart(f);
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, 500 * ms);
  change(f, asked, "a1");
  expect_note(f, COPAL_NON, 0xaa, "a1");
  for (unsigned i = 1; i <= 400; i++) {
    const note n = next_that_waited(f);
    if (n.type == COPAL_NON)
      continue;
    cons++;
    fx_advance(f, 500 * ms);
    ack(f, &n);
    change(f, asked, "a2");
    expect_note(f, COPAL_NON, 0xaa, "a2");
  }
  assert_in_range(cons, 7, 10);
}

/* Has the last of several round-trip times measured, of which each is the next of `rtts`. */
static void learn_rtts(fixture *f, const unsigned *rtts_ms, size_t count)
{
  asked->subject.is_confirmable = true;
  for (size_t i = 0; i < count; i++)
    learn_rtt(f, 0xaa, rtts_ms[i] * ms);
  asked->subject.is_confirmable = false;
}

/* A notification that follows another one waits for so long. */
static void expect_wait(fixture *f, unsigned least_ms, unsigned most_ms)
{
  change(f, asked, "a1");
  expect_note(f, COPAL_NON, 0xaa, "a1");
  change(f, asked, "a2");
  fx_advance(f, (least_ms - 1) * ms);
  fx_expect_nothing(f);
  fx_advance(f, (most_ms - least_ms + 2) * ms);
  expect_note(f, COPAL_CON, 0xaa, "a2");
}

/* Timers go by ticks of about a millisecond. What is late for that is made up for, no more. */
static void rfc7641_4_5_1_the_tick_of_the_timers_does_not_set_the_pace(void **state)
{
  const copal_time rtt = 250, changes = 1000, apart = 50;
  fixture *f = *state;
  unsigned notes = 0;
  f->cfg.notify_con_every = 60000;
  fx_restart(f);
  observe(f, 0xaa);
  learn_rtt(f, 0xaa, rtt);
  const copal_time began = f->now;
  for (unsigned i = 0; i < changes; i++) {
    change(f, asked, "a1");
    fx_advance(f, apart);
    for (; f->sent_count > 0; notes++) {
      const note n = next_note(f);
      if (n.type != COPAL_CON)
        continue;
      fx_advance(f, rtt);
      ack(f, &n);
    }
  }
  const copal_time most = (f->now - began) / rtt;
  assert_in_range(notes, most * 9 / 10, most + 8);
}

static void rfc7641_4_5_1_a_longer_round_trip_counts_by_an_eighth(void **state)
{
  static const unsigned rtts_ms[] = {100, 300};
  fixture *f = *state;
  observe(f, 0xaa);
  learn_rtts(f, rtts_ms, 2);
  expect_wait(f, 125, 126);
}

static void rfc7641_4_5_1_one_that_is_far_longer_counts_for_little(void **state)
{
  static const unsigned rtts_ms[] = {20, 1900};
  fixture *f = *state;
  observe(f, 0xaa);
  learn_rtts(f, rtts_ms, 2);
  expect_wait(f, 27, 28);
}

static void rfc7641_4_5_1_a_path_that_has_become_slow_is_believed_soon(void **state)
{
  static const unsigned rtts_ms[] = {20, 800, 800, 800, 800, 800, 800, 800, 800, 800, 800, 800};
  fixture *f = *state;
  observe(f, 0xaa);
  learn_rtts(f, rtts_ms, sizeof rtts_ms / sizeof rtts_ms[0]);
  expect_wait(f, 400, 800);
}

/* A clock that does not move between two datagrams makes the shortest of all. */
static void rfc7641_4_5_1_even_the_shortest_estimate_rises(void **state)
{
  enum { LONG_ONES = 60 };
  unsigned rtts_ms[1 + LONG_ONES] = {0};
  fixture *f = *state;
  observe(f, 0xaa);
  for (unsigned i = 1; i <= LONG_ONES; i++)
    rtts_ms[i] = 800;
  learn_rtts(f, rtts_ms, 1 + LONG_ONES);
  expect_wait(f, 400, 800);
}

/* One in a round-trip time on average, not one in the shortest. */
static void rfc7641_4_5_1_round_trips_that_vary_are_averaged(void **state)
{
  static const unsigned rtts_ms[] = {20, 980};
  fixture *f = *state;
  observe(f, 0xaa);
  for (unsigned i = 0; i < 20; i++)
    learn_rtts(f, rtts_ms, 2);
  learn_rtts(f, rtts_ms, 1);
  expect_wait(f, 400, 600);
}

enum { CROWD = 5 };

/* As many clients observe the thing; two of them are told of a change at once. */
static void gather_crowd(fixture *f)
{
  f->cfg.notify_burst = 2;
  fx_restart(f);
  for (uint8_t i = 1; i <= CROWD; i++) {
    const copal_path p = fx_peer(i);
    observe_from(f, &p, i);
  }
}

static note expect_con_to(fixture *f, uint8_t i, const char *body)
{
  const copal_path p = fx_peer(i);
  return expect_note_to(f, &p, COPAL_CON, i, body);
}

static void expect_burst(fixture *f, uint8_t first, uint8_t last, const char *body)
{
  for (uint8_t i = first; i <= last; i++)
    expect_con_to(f, i, body);
  fx_expect_nothing(f);
}

static void go_on(fixture *f)
{
  assert_true(copal_ep_deadline(f->ep) <= f->now);
  f->now += ms;
  copal_ep_expire(f->ep, f->now);
}

static void many_observers_are_told_in_bursts(void **state)
{
  fixture *f = *state;
  gather_crowd(f);
  change(f, asked, "a1");
  expect_burst(f, 1, 2, "a1");
  go_on(f);
  expect_burst(f, 3, 4, "a1");
  go_on(f);
  expect_burst(f, 5, 5, "a1");
  assert_true(copal_ep_deadline(f->ep) > f->now);
}

/* Refuses all, and counts how often it is asked. */
typedef struct gate {
  copal_reviewer hook; /* first */
  unsigned asked;
} gate;

static copal_code refuse_all(copal_reviewer *r, const copal_subject *s, const copal_path *path,
                             copal_code method)
{
  (void)s, (void)path, (void)method;
  ((gate *)r)->asked++;
  return COPAL_CODE_FORBIDDEN;
}

static copal_code refuse_none(copal_reviewer *r, const copal_subject *s, const copal_path *path,
                              copal_code method)
{
  (void)s, (void)path, (void)method;
  ((gate *)r)->asked++;
  return 0;
}

static void expect_refusals(fixture *f, uint8_t first, uint8_t last)
{
  for (uint8_t i = first; i <= last; i++) {
    const copal_path p = fx_peer(i);
    const note n = next_to(f, &p);
    expect_last_word(&n, COPAL_CODE_FORBIDDEN, i);
    reply_empty(f, &p, COPAL_ACK, n.mid, COPAL_OK);
  }
  fx_expect_nothing(f);
}

static void rfc7641_4_2_many_are_reviewed_in_bursts(void **state)
{
  fixture *f = *state;
  gate g = {.hook.judge = refuse_all};
  gather_crowd(f);
  copal_ep_review(f->ep, &g.hook, f->now);
  assert_int_equal(g.asked, 2);
  expect_refusals(f, 1, 2);
  go_on(f);
  assert_int_equal(g.asked, 4);
  expect_refusals(f, 3, 4);
  go_on(f);
  expect_refusals(f, 5, 5);
  assert_int_equal(g.asked, CROWD);
  assert_true(copal_ep_deadline(f->ep) > f->now);
  expect_no_relations(f);
}

/* A change meanwhile is told to nobody who would be refused. */
static void rfc7641_4_2_who_waits_for_the_review_is_told_no_change(void **state)
{
  fixture *f = *state;
  gate g = {.hook.judge = refuse_all};
  gather_crowd(f);
  copal_ep_review(f->ep, &g.hook, f->now);
  expect_refusals(f, 1, 2);
  change(f, asked, "a1");
  expect_refusals(f, 3, 4);
  go_on(f);
  expect_refusals(f, 5, 5);
  assert_int_equal(g.asked, CROWD);
  expect_no_relations(f);
}

/* So it is with what has been sent and is not acknowledged. */
static void rfc7641_4_5_2_who_waits_for_the_review_is_refused_in_a_retransmission(void **state)
{
  fixture *f = *state;
  gate g = {.hook.judge = refuse_all};
  gather_crowd(f);
  change(f, asked, "a1");
  expect_burst(f, 1, 2, "a1");
  go_on(f);
  expect_burst(f, 3, 4, "a1");
  go_on(f);
  expect_burst(f, 5, 5, "a1");
  f->now += 4 * second; /* all are to be sent once more */
  copal_ep_review(f->ep, &g.hook, f->now);
  fx_expect_nothing(f);
  go_on(f);
  assert_int_equal(f->sent_count, CROWD); /* at random instants, so in any order */
  for (int i = 0; i < CROWD; i++) {
    const copal_path p = f->sent[i].path;
    const note n = next_to(f, &p);
    expect_last_word(&n, COPAL_CODE_FORBIDDEN, n.token[0]);
    reply_empty(f, &p, COPAL_ACK, n.mid, COPAL_OK);
  }
  fx_expect_nothing(f);
  assert_int_equal(g.asked, CROWD);
  expect_no_relations(f);
}

/* Who has been asked about by the old rules is asked about by the new ones. */
static void rfc7641_4_2_a_review_during_a_review_asks_about_all(void **state)
{
  fixture *f = *state;
  gate lenient = {.hook.judge = refuse_none}, strict = {.hook.judge = refuse_all};
  gather_crowd(f);
  copal_ep_review(f->ep, &lenient.hook, f->now);
  go_on(f);
  assert_int_equal(lenient.asked, 4);
  copal_ep_review(f->ep, &strict.hook, f->now);
  expect_refusals(f, 1, 2);
  go_on(f);
  expect_refusals(f, 3, 4);
  go_on(f);
  expect_refusals(f, 5, 5);
  assert_int_equal(lenient.asked, 4);
  assert_int_equal(strict.asked, CROWD);
  expect_no_relations(f);
}

/* Whoever leaves meanwhile is not asked about, nor does his place hold up the others. */
static void a_review_goes_by_the_places_of_those_who_have_left(void **state)
{
  fixture *f = *state;
  gate g = {.hook.judge = refuse_all};
  gather_crowd(f);
  copal_ep_review(f->ep, &g.hook, f->now);
  expect_refusals(f, 1, 2);
  for (uint8_t i = 3; i <= 4; i++) {
    const copal_path gone = fx_peer(i);
    copal_ep_forget(f->ep, &gone, f->now);
  }
  go_on(f);
  go_on(f);
  expect_refusals(f, 5, 5);
  assert_int_equal(g.asked, 3);
  expect_no_relations(f);
}

/* The endpoint makes way for another: nobody is left unasked, and nothing is said after its end. */
static void an_endpoint_that_parts_ends_its_review(void **state)
{
  fixture *f = *state;
  gate g = {.hook.judge = refuse_all};
  gather_crowd(f);
  copal_ep_review(f->ep, &g.hook, f->now);
  copal_ep_part(f->ep, f->now);
  assert_int_equal(g.asked, CROWD);
  expect_refusals(f, 1, CROWD);
  expect_no_relations(f);
}

/* Whoever waits for the first change is told of the second; the others when they may be. */
static void rfc7641_4_5_2_a_change_between_bursts_reaches_all(void **state)
{
  fixture *f = *state;
  gather_crowd(f);
  change(f, asked, "a1");
  note first[2] = {expect_con_to(f, 1, "a1"), expect_con_to(f, 2, "a1")};
  change(f, asked, "a2");
  expect_burst(f, 3, 4, "a2");
  go_on(f);
  expect_con_to(f, 5, "a2");
  fx_expect_nothing(f); /* to the first two, who have not acknowledged */
  go_on(f);
  fx_expect_nothing(f);
  for (uint8_t i = 0; i < 2; i++) {
    const copal_path p = fx_peer(i + 1);
    reply_empty(f, &p, COPAL_ACK, first[i].mid, COPAL_OK);
    expect_note_to(f, &p, COPAL_NON, i + 1, "a2");
  }
  assert_true(copal_ep_deadline(f->ep) > f->now);
}

/* Observe numbers that are used up faster than the clock moves end up at a limit, where two changes
 * of one instant have the same one. RFC 7641 section 4.4. */
static void rfc7641_4_2_no_burst_sends_what_a_change_has_replaced(void **state)
{
  fixture *f = *state;
  gather_crowd(f);
  f->now += ms;
  asked->subject.sequence = (uint32_t)(f->now >> 5) + f->cfg.sequence_base + (1 << 11);
  change(f, asked, "a1");
  expect_burst(f, 1, 2, "a1");
  change(f, asked, "a2");
  expect_burst(f, 3, 4, "a2");
}

static void rfc7252_4_2_what_is_repeated_after_bursts_is_the_same_message(void **state)
{
  fixture *f = *state;
  uint16_t mids[CROWD + 1] = {0};
  gather_crowd(f);
  change(f, asked, "a1");
  for (uint8_t i = 1; i <= CROWD; i++) {
    mids[i] = expect_con_to(f, i, "a1").mid;
    if (i % 2 == 0)
      go_on(f);
  }
  f->now += 3 * second + 100 * ms;
  copal_ep_expire(f->ep, f->now);
  assert_int_equal(f->sent_count - f->sent_seen, CROWD);
  for (; f->sent_seen < f->sent_count; f->sent_seen++) {
    const fx_datagram *sent = &f->sent[f->sent_seen];
    const uint8_t i = sent->path.remote.ip[15];
    assert_in_range(i, 1, CROWD);
    assert_int_equal(sent->bytes[2] << 8 | sent->bytes[3], mids[i]);
    mids[i] = 0; /* each once */
  }
}

static void rfc7641_4_4_who_registers_between_bursts_sees_rising_numbers(void **state)
{
  fixture *f = *state;
  gather_crowd(f);
  change(f, asked, "a1");
  const note first = expect_con_to(f, 1, "a1");
  expect_con_to(f, 2, "a1");
  const copal_path waits = fx_peer(4);
  const note again =
      observe_from(f, &waits, 4); /* has the newest state, and may be told it again */
  assert_true(is_newer(first.observe, again.observe));
  go_on(f);
  expect_con_to(f, 3, "a1");
  const note told = expect_con_to(f, 4, "a1");
  assert_true(is_newer(again.observe, told.observe));
}

static void who_leaves_between_bursts_holds_up_nobody(void **state)
{
  fixture *f = *state;
  gather_crowd(f);
  change(f, asked, "a1");
  expect_burst(f, 1, 2, "a1");
  const copal_path gone = fx_peer(3), told = fx_peer(1);
  copal_ep_forget(f->ep, &gone, f->now);
  copal_ep_forget(f->ep, &told, f->now);
  go_on(f);
  expect_burst(f, 4, 5, "a1");
  for (uint8_t i = 2; i <= CROWD; i++) {
    const copal_path p = fx_peer(i);
    copal_ep_forget(f->ep, &p, f->now);
  }
  assert_int_equal(asked->idles, 1);
  expect_no_relations(f);
}

static void a_subject_that_ends_between_bursts_tells_all_and_goes(void **state)
{
  fixture *f = *state;
  gather_crowd(f);
  asked->code = COPAL_CODE_NOT_FOUND;
  change(f, asked, "");
  for (uint8_t i = 1; i <= CROWD; i++) {
    const copal_path p = fx_peer(i);
    if (i == 3 || i == 5)
      go_on(f);
    const note n = next_to(f, &p);
    expect_last_word(&n, COPAL_CODE_NOT_FOUND, i);
  }
  assert_int_equal(asked->idles, 1);
  fx_expect_nothing(f);
  assert_true(copal_ep_deadline(f->ep) > f->now);
}

static void a_subject_taken_away_between_bursts_is_forgotten(void **state)
{
  fixture *f = *state;
  gather_crowd(f);
  change(f, asked, "a1");
  expect_burst(f, 1, 2, "a1");
  copal_ep_end_subject(f->ep, &asked->subject, f->now);
  assert_int_equal(asked->idles, 1);
  memset(&asked->subject, 0xa5, sizeof asked->subject);
  copal_ep_expire(f->ep, f->now);
  fx_expect_nothing(f);
}

static void an_endpoint_that_parts_tells_all_first(void **state)
{
  fixture *f = *state;
  gather_crowd(f);
  change(f, asked, "a1");
  expect_burst(f, 1, 2, "a1");
  copal_ep_part(f->ep, f->now);
  expect_burst(f, 3, 5, "a1");
}

static void rfc7641_4_5_2_a_newer_state_replaces_one_that_waits(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  change(f, asked, "a1");
  const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  change(f, asked, "a2");
  change(f, asked, "a3");
  fx_advance(f, 100 * ms);
  fx_expect_nothing(f);
  ack(f, &n);
  const note next = expect_note(f, COPAL_NON, 0xaa, "a3");
  assert_true(is_newer(n.observe, next.observe));
  fx_advance(f, second);
  fx_expect_nothing(f);
}

static void rfc7641_4_5_2_retransmission_carries_the_newest_state(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  change(f, asked, "a1");
  const note first = expect_note(f, COPAL_CON, 0xaa, "a1");
  change(f, asked, "a2");
  fx_advance(f, 4 * second);
  const note second_one = expect_note(f, COPAL_CON, 0xaa, "a2");
  assert_int_not_equal(second_one.mid, first.mid);
  assert_true(is_newer(first.observe, second_one.observe));
  change(f, asked, "a3");
  fx_advance(f, 6 * second);
  const note third = expect_note(f, COPAL_CON, 0xaa, "a3");
  const copal_time gap = second_one.at - first.at; /* the schedule goes on: doubled */
  assert_in_range(third.at - second_one.at, 2 * gap - 2 * ms, 2 * gap + 2 * ms);
  fx_advance(f, 200 * second);
  expect_note(f, COPAL_CON, 0xaa, "a3");
  expect_note(f, COPAL_CON, 0xaa, "a3");
  fx_expect_nothing(f); /* four retransmissions in all */
  assert_int_equal(fx_stats(f)->relations_lost, 1);
  expect_no_relations(f);
}

static void rfc7641_4_5_2_ack_of_what_was_superseded_ends_nothing(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  change(f, asked, "a1");
  const note first = expect_note(f, COPAL_CON, 0xaa, "a1");
  change(f, asked, "a2");
  fx_advance(f, 4 * second);
  const note n = expect_note(f, COPAL_CON, 0xaa, "a2");
  reply_empty(f, &f->peer, COPAL_ACK, first.mid, COPAL_ESTRAY);
  assert_int_equal(asked->subject.count, 1);
  ack(f, &n);
  fx_advance(f, 1000 * second);
  fx_expect_nothing(f);
  assert_int_equal(asked->subject.count, 1);
}

static void rfc7641_4_4_retransmission_after_a_renewal_is_a_new_message(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  change(f, asked, "a1");
  const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  const note renewed = observe(f, 0xaa);
  assert_true(is_newer(n.observe, renewed.observe));
  fx_advance(f, 4 * second);
  const note again = expect_note(f, COPAL_CON, 0xaa, "a1");
  assert_true(is_newer(renewed.observe, again.observe));
  assert_int_not_equal(again.mid, n.mid); /* so it is another message */
  ack(f, &again);
  fx_advance(f, 1000 * second);
  fx_expect_nothing(f);
}

static void rfc7641_4_1_deregistration_lets_other_relations_follow(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  asked = &things[1];
  observe(f, 0xbb);
  change(f, &things[0], "a1");
  expect_note(f, COPAL_CON, 0xaa, "a1");
  change(f, &things[1], "b1"); /* waits behind the other */
  fx_expect_nothing(f);
  get_from(f, &f->peer, 0xaa, 1);
  fx_advance(f, 10 * ms);
  expect_note(f, COPAL_CON, 0xbb, "b1");
}

static void what_cannot_be_rendered_is_not_sent(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  asked->err = COPAL_ENOSPC;
  change(f, asked, "a1");
  fx_advance(f, 100 * second);
  fx_expect_nothing(f);
  asked->err = COPAL_OK;
  change(f, asked, "a2");
  const note n = expect_note(f, COPAL_CON, 0xaa, "a2");
  asked->err = COPAL_ENOSPC; /* nor is it sent again, but the schedule goes on */
  fx_advance(f, 8 * second);
  fx_expect_nothing(f);
  asked->err = COPAL_OK;
  fx_advance(f, 15 * second);
  assert_int_equal(expect_note(f, COPAL_CON, 0xaa, "a2").mid, n.mid);
}

static void rfc7959_2_6_a_notification_carries_the_first_block(void **state)
{
  fixture *f = *state;
  const copal_path small = fx_peer(2);
  char body[3000];
  memset(body, 'x', sizeof body - 1);
  body[sizeof body - 1] = 0;
  asked->body = body;
  observe(f, 0xaa);
  assert_int_equal(fx_feed_from(f, &small, "41 01 70 01 bb 60 d1 04 01"), COPAL_OK); /* 0/0/32 */
  assert_int_equal(next_to(f, &small).payload_len, 32);
  copal_ep_notify(f->ep, &asked->subject, f->now);
  const note large = next_note(f);
  assert_true(large.has_observe && large.has_block2 && large.block2.more);
  assert_int_equal(large.block2.num, 0);
  assert_int_equal(large.block2.szx, 6);
  assert_int_equal(large.payload_len, 1024);
  const note n = next_to(f, &small);
  assert_true(n.has_observe && n.has_block2 && n.block2.more);
  assert_int_equal(n.block2.num, 0);
  assert_int_equal(n.block2.szx, 1);
  assert_int_equal(n.payload_len, 32);
}

static void rfc7641_4_3_network_error_ends_the_relation(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  observe(f, 0xbb);
  change(f, asked, "a1");
  const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
  uint8_t quoted[] = {0x51, 0x45, (uint8_t)(n.mid >> 8), (uint8_t)n.mid, 0xaa};
  const copal_span quote = copal_span_of(quoted, sizeof quoted);
  assert_int_equal(copal_ep_unreachable(f->ep, &f->peer, quote, f->now), COPAL_ESTRAY); /* type */
  assert_int_equal(asked->subject.count, 2);
  quoted[0] = 0x41;
  assert_int_equal(copal_ep_unreachable(f->ep, &f->peer, quote, f->now), COPAL_OK);
  assert_int_equal(fx_stats(f)->relations_lost, 1);
  assert_int_equal(asked->subject.count, 1);
  expect_note(f, COPAL_CON, 0xbb, "a1");
}

/* -------------------------------------------------------------------------------------- sequence
 */

static void rfc7641_4_4_sequence_increases_when_changes_outrun_the_clock(void **state)
{
  fixture *f = *state;
  uint32_t last = observe(f, 0xaa).observe;
  asked->subject.is_confirmable = true;
  for (int i = 0; i < 1000; i++) { /* without moving the clock */
    change(f, asked, "a1");
    const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
    assert_true(is_newer(last, n.observe));
    last = n.observe;
    ack(f, &n);
  }
}

static void rfc7641_4_4_sequence_wraps(void **state)
{
  fixture *f = *state;
  bool has_wrapped = false;
  asked->subject.is_confirmable = true;
  uint32_t last = observe(f, 0xaa).observe;
  for (int i = 0; i < 30; i++) {
    fx_advance(f, 60 * second); /* 2^24 ticks are 537 seconds */
    change(f, asked, "a1");
    const note n = expect_note(f, COPAL_CON, 0xaa, "a1");
    assert_true(is_newer(last, n.observe));
    has_wrapped |= n.observe < last;
    last = n.observe;
    ack(f, &n);
  }
  assert_true(has_wrapped);
}

static void rfc7641_4_4_sequence_goes_on_when_the_subject_is_made_anew(void **state)
{
  fixture *f = *state;
  const copal_time starts[] = {1000 * second,
                               100000 * second,
                               200000 * second,
                               1 << 20,
                               ((copal_time)1 << 36) - second,
                               ((copal_time)1 << 37) - second};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
    f->now = starts[i];
    fx_restart(f);
    things[0] = thing_init("a0");
    uint32_t last = observe(f, 0xaa).observe;
    for (int k = 0; k < 8; k++) {
      fx_advance(f, 400 * ms);
      change(f, asked, "a1");
      note n = expect_note(f, COPAL_CON, 0xaa, "a1");
      assert_true(is_newer(last, n.observe));
      ack(f, &n);
      last = n.observe;
      get_from(f, &f->peer, 0xaa, 1);
      things[0] = thing_init("a0"); /* as the daemon does: no memory of the one before */
      fx_advance(f, ms);
      n = observe(f, 0xaa);
      assert_true(is_newer(last, n.observe));
      last = n.observe;
    }
    get_from(f, &f->peer, 0xaa, 1);
  }
}

static void rfc7641_4_4_each_registration_response_is_newer(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  observe_from(f, &other, 0xbb); /* keeps the subject observed */
  uint32_t last = observe(f, 0xaa).observe;
  for (int i = 0; i < 10; i++) {
    if (i % 2)
      get_from(f, &f->peer, 0xaa, 1);
    const note n = observe(f, 0xaa);
    assert_true(is_newer(last, n.observe));
    last = n.observe;
  }
}

static void rfc7641_4_4_registrations_cannot_drive_the_sequence_round(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  const uint32_t clock = (uint32_t)(f->now >> 5);
  asked->subject.sequence = clock + (1 << 11) - 2; /* after a great many of them */
  for (int i = 0; i < 10; i++)
    observe(f, 0xaa);
  assert_int_equal(asked->subject.sequence, clock + (1 << 11));
  fx_advance(f, second);
  change(f, asked, "a1");
  assert_true(is_newer((clock + (1 << 11)) & 0xffffff, next_note(f).observe));
}

/* ----------------------------------------------------------------------------------- subjects, end
 */

/* A subject that frees itself, as the daemon's do. */
static unsigned freed;

static void free_subject(copal_subject *s, copal_ep *ep)
{
  (void)ep;
  freed++;
  free(s);
}

static thing *thing_new(void)
{
  thing *t = malloc(sizeof *t);
  assert_non_null(t);
  *t = thing_init("a0");
  t->subject.on_idle = free_subject;
  freed = 0;
  return t;
}

static void a_subject_may_be_freed_when_its_last_relation_ends(void **state)
{
  fixture *f = *state;
  for (int way = 0; way < 6; way++) {
    asked = thing_new();
    for (uint8_t i = 1; i <= 3; i++) {
      const copal_path p = fx_peer(i);
      observe_from(f, &p, 0xaa);
    }
    if (way == 0) { /* an error for all */
      asked->code = COPAL_CODE_NOT_FOUND;
      change(f, asked, "gone");
    } else if (way == 1) {
      copal_ep_end_subject(f->ep, &asked->subject, f->now);
    } else if (way == 2) { /* nobody acknowledges */
      change(f, asked, "a1");
      fx_advance(f, 100 * second);
    } else if (way == 3) { /* all reject */
      change(f, asked, "a1");
      for (uint8_t i = 1; i <= 3; i++) {
        const copal_path p = fx_peer(i);
        const note n = next_to(f, &p);
        reply_empty(f, &p, COPAL_RST, n.mid, COPAL_OK);
      }
    } else if (way == 4) { /* the error takes the place of retransmissions */
      change(f, asked, "a1");
      asked->code = COPAL_CODE_NOT_FOUND;
      fx_advance(f, 4 * second);
    } else { /* the error waits for acknowledgements */
      change(f, asked, "a1");
      asked->code = COPAL_CODE_NOT_FOUND;
      change(f, asked, "gone");
      for (uint8_t i = 1; i <= 3; i++) {
        const copal_path p = fx_peer(i);
        reply_empty(f, &p, COPAL_ACK, next_to(f, &p).mid, COPAL_OK);
      }
    }
    assert_int_equal(freed, 1);
    fx_advance(f, 100 * second); /* nobody hears the last words */
    assert_int_equal(freed, 1);
    assert_int_equal(copal_ep_usage(f->ep).relations, 0);
    assert_int_equal(copal_ep_usage(f->ep).observers, 0);
    f->sent_seen = f->sent_count = 0;
  }
  asked = &things[0];
  expect_no_relations(f);
}

static void ending_a_subject_is_silent_and_lets_others_follow(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  observe(f, 0xab);
  asked = &things[1];
  observe(f, 0xbb);
  change(f, &things[0], "a1");
  expect_note(f, COPAL_CON, 0xaa, "a1");
  change(f, &things[1], "b1");
  copal_ep_end_subject(f->ep, &things[0].subject, f->now);
  assert_int_equal(things[0].idles, 1);
  assert_int_equal(things[0].subject.count, 0);
  fx_advance(f, 10 * ms);
  expect_note(f, COPAL_CON, 0xbb, "b1");
  copal_ep_end_subject(f->ep, &things[0].subject, f->now); /* nothing there: nothing happens */
  copal_ep_notify(f->ep, &things[0].subject, f->now);
  assert_int_equal(things[0].idles, 1);
}

static void wiping_the_endpoint_ends_all_relations(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  observe(f, 0xaa);
  observe_from(f, &other, 0xaa);
  get_from(f, &other, 0xaa, 1);
  asked = &things[1];
  observe_from(f, &other, 0xbb);
  change(f, &things[0], "a1");
  fx_restart(f);
  assert_int_equal(things[0].idles, 1);
  assert_int_equal(things[1].idles, 1);
}

static void an_observer_costs_at_most_256_bytes(void **state)
{
  fixture *f = *state;
  f->cfg.relation_count = 1024;
  const size_t some = copal_ep_size(&f->cfg);
  f->cfg.relation_count = 2048;
  const size_t each = (copal_ep_size(&f->cfg) - some) / 1024;
  assert_in_range(each, 1, 256);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7641_4_1_registration_is_confirmed_with_observe),
      TEST(rfc7641_4_1_same_token_replaces_relation),
      TEST(rfc7641_4_1_a_renewal_changes_the_block_size),
      TEST(rfc7641_4_1_another_token_is_a_second_relation),
      TEST(rfc7641_4_1_a_token_used_for_another_resource_moves),
      TEST(rfc7641_4_1_endpoints_are_told_apart),
      TEST(rfc7641_4_1_deregistration_removes_the_entry),
      TEST(rfc7641_4_1_deregistration_of_what_is_not_there_is_a_get),
      TEST(rfc7641_2_other_values_of_observe_mean_nothing),
      TEST(rfc8132_2_4_fetch_registers),
      TEST(rfc7641_4_1_a_non_request_registers),
      TEST(rfc10020_3_7_a_group_request_registers),
      TEST(rfc10020_3_7_notifications_of_a_group_wait_for_leisure),
      TEST(rfc10020_3_7_an_error_to_a_group_establishes_nothing),
      TEST(rfc7641_4_2_error_establishes_nothing),
      TEST(rfc7641_4_2_error_answers_a_renewal_and_ends_it),
      TEST(rfc7641_4_2_an_error_that_answers_a_copy_is_followed_by_the_last_notification),
      TEST(rfc7641_4_1_beyond_the_relations_it_is_an_ordinary_get),
      TEST(rfc7641_4_1_beyond_the_observers_it_is_an_ordinary_get),
      TEST(one_client_has_only_its_share_of_relations),
      TEST(rfc8974_a_token_beyond_eight_bytes_is_not_observed),
      TEST(rfc7641_4_2_an_empty_token_is_a_token),
      TEST(rfc7959_2_6_a_later_block_is_no_registration),
      TEST(rfc7967_a_suppressed_answer_registers_nothing),
      TEST(observing_is_only_for_requests_that_ask),
      TEST(rfc7641_4_5_first_notification_is_confirmable_then_they_are_not),
      TEST(rfc7641_7_each_nth_notification_is_confirmable),
      TEST(rfc7641_4_5_a_confirmable_one_at_least_every_24_hours),
      TEST(rfc7641_4_5_uncounted_only_the_day_asks_for_a_confirmation),
      TEST(a_subject_may_want_all_its_notifications_confirmed),
      TEST(rfc7641_4_5_the_last_state_of_a_burst_is_confirmed),
      TEST(rfc7641_4_5_a_burst_that_goes_on_is_not_repeated),
      TEST(rfc7641_4_5_a_busy_relation_does_not_hide_a_quiet_one),
      TEST(rfc7641_4_5_what_a_full_sink_drops_is_said_again),
      TEST(a_full_sink_delays_a_confirmable_notification),
      TEST(rfc7641_4_2_error_is_the_last_notification),
      TEST(rfc7641_4_2_a_lost_last_notification_is_said_again),
      TEST(rfc7641_4_2_a_last_notification_without_answer_is_given_up),
      TEST(rfc7641_4_2_a_rejected_last_notification_is_over),
      TEST(rfc7641_4_2_a_token_used_again_silences_the_last_notification),
      TEST(rfc7641_4_2_without_room_the_last_notification_is_bare),
      TEST(rfc7641_4_5_2_the_error_takes_the_place_of_a_retransmission),
      TEST(rfc7641_4_5_2_who_does_not_acknowledge_is_refused_in_a_retransmission),
      TEST(rfc7641_4_2_error_ends_all_relations_also_those_that_wait),
      TEST(rfc7641_4_2_who_may_no_longer_observe_is_told_and_ended),
      TEST(rfc7641_4_5_reset_of_a_confirmable_notification_ends_the_relation),
      TEST(rfc7641_4_5_reset_of_a_non_notification_ends_the_relation),
      TEST(a_reset_ends_only_the_relation_it_means),
      TEST(rfc7641_4_5_a_reset_is_heard_among_a_great_many_relations),
      TEST(nobody_can_acknowledge_what_was_not_sent),
      TEST(rfc7641_4_5_a_client_that_never_acknowledges_is_removed),
      TEST(rfc7641_4_5_after_a_loss_the_others_are_asked_to_confirm),
      TEST(rfc7641_4_5_a_silent_client_loses_all_its_relations_at_once),
      TEST(rfc7641_4_5_1_at_most_one_outstanding_for_a_client),
      TEST(rfc7641_4_5_1_other_clients_do_not_wait),
      TEST(rfc7641_4_5_1_those_that_waited_alike_share_a_rendering),
      TEST(rfc7641_4_5_1_non_notifications_keep_a_round_trip_apart),
      TEST(rfc7641_4_5_1_a_round_trip_that_delays_is_measured_anew),
      TEST(rfc7641_4_5_1_a_slow_path_is_measured_ever_less_often),
      TEST(rfc7641_4_5_1_the_tick_of_the_timers_does_not_set_the_pace),
      TEST(rfc7641_4_5_1_a_longer_round_trip_counts_by_an_eighth),
      TEST(rfc7641_4_5_1_one_that_is_far_longer_counts_for_little),
      TEST(rfc7641_4_5_1_a_path_that_has_become_slow_is_believed_soon),
      TEST(rfc7641_4_5_1_even_the_shortest_estimate_rises),
      TEST(rfc7641_4_5_1_round_trips_that_vary_are_averaged),
      TEST(many_observers_are_told_in_bursts),
      TEST(rfc7641_4_2_many_are_reviewed_in_bursts),
      TEST(rfc7641_4_2_who_waits_for_the_review_is_told_no_change),
      TEST(rfc7641_4_5_2_who_waits_for_the_review_is_refused_in_a_retransmission),
      TEST(rfc7641_4_2_a_review_during_a_review_asks_about_all),
      TEST(a_review_goes_by_the_places_of_those_who_have_left),
      TEST(an_endpoint_that_parts_ends_its_review),
      TEST(rfc7641_4_5_2_a_change_between_bursts_reaches_all),
      TEST(rfc7641_4_2_no_burst_sends_what_a_change_has_replaced),
      TEST(rfc7252_4_2_what_is_repeated_after_bursts_is_the_same_message),
      TEST(rfc7641_4_4_who_registers_between_bursts_sees_rising_numbers),
      TEST(who_leaves_between_bursts_holds_up_nobody),
      TEST(a_subject_that_ends_between_bursts_tells_all_and_goes),
      TEST(a_subject_taken_away_between_bursts_is_forgotten),
      TEST(an_endpoint_that_parts_tells_all_first),
      TEST(rfc7641_4_5_2_a_newer_state_replaces_one_that_waits),
      TEST(rfc7641_4_5_2_retransmission_carries_the_newest_state),
      TEST(rfc7641_4_5_2_ack_of_what_was_superseded_ends_nothing),
      TEST(rfc7641_4_4_retransmission_after_a_renewal_is_a_new_message),
      TEST(rfc7641_4_1_deregistration_lets_other_relations_follow),
      TEST(what_cannot_be_rendered_is_not_sent),
      TEST(rfc7959_2_6_a_notification_carries_the_first_block),
      TEST(rfc7641_4_3_network_error_ends_the_relation),
      TEST(rfc7641_4_4_sequence_increases_when_changes_outrun_the_clock),
      TEST(rfc7641_4_4_sequence_wraps),
      TEST(rfc7641_4_4_sequence_goes_on_when_the_subject_is_made_anew),
      TEST(rfc7641_4_4_each_registration_response_is_newer),
      TEST(rfc7641_4_4_registrations_cannot_drive_the_sequence_round),
      TEST(a_subject_may_be_freed_when_its_last_relation_ends),
      TEST(ending_a_subject_is_silent_and_lets_others_follow),
      TEST(wiping_the_endpoint_ends_all_relations),
      TEST(an_observer_costs_at_most_256_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
