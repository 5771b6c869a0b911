/* SPDX-License-Identifier: Apache-2.0 */
/* Observations of a client: order, freshness, renewal, end. RFC 7641 section 3. */
#include <stdio.h>

#include "unit/core/proto/fixture.h"

static const copal_time second = COPAL_SECOND;

/* Which events were notifications, in their order. */
static bool was_notification[FX_EVENT_MAX];

static void on_event(fixture *f, const copal_event *event)
{
  was_notification[f->event_count - 1] = event->is_notification;
}

static int setup(void **state)
{
  const int err = fx_setup(state);
  ((fixture *)*state)->on_event = on_event;
  return err;
}

static copal_xref request(fixture *f, copal_type type, const char *path)
{
  const copal_opt opts[] = {{COPAL_OPT_OBSERVE, {NULL, 0}},
                            {COPAL_OPT_URI_PATH, copal_span_str(path)}};
  copal_request rq = fx_request_init(f, type, COPAL_CODE_GET);
  copal_xref x = 0;
  rq.opts = opts;
  rq.opt_count = 2;
  const int fill = f->fill;
  f->fill = -1; /* tokens must differ */
  assert_int_equal(copal_ep_request(f->ep, &rq, &x, f->now), COPAL_OK);
  f->fill = fill;
  return x;
}

static void expect_end(fixture *f, copal_event_kind kind)
{
  fx_expect_event(f, kind);
  assert_false(was_notification[f->event_seen - 1]);
  fx_expect_no_event(f);
}

static void expect_news(fixture *f, const char *payload)
{
  const fx_event *e = fx_expect_event(f, COPAL_EVENT_RESPONSE);
  assert_true(was_notification[f->event_seen - 1]);
  assert_int_equal(e->payload_len, strlen(payload));
  assert_memory_equal(e->payload, payload, e->payload_len);
  fx_expect_no_event(f);
  if (f->event_seen > FX_EVENT_MAX / 2)
    f->event_seen = f->event_count = 0;
}

static uint16_t next_mid = 0x1000;

/* Feeds a notification with that number; `max_age` in seconds, negative: none. */
static int notify(fixture *f, unsigned type, uint32_t sequence, int max_age, const char *payload)
{
  char text[128];
  char age[16] = "";
  next_mid++;
  if (max_age >= 0)
    snprintf(age, sizeof age, "81 %02x", (unsigned)max_age);
  snprintf(text, sizeof text, "%x8 45 %04x %%t 63 %06x %s ff '%s'", 4 + type, next_mid, sequence,
           age, payload);
  return fx_feed(f, text);
}

static int notify_non(fixture *f, uint32_t sequence, const char *payload)
{
  return notify(f, COPAL_NON, sequence, -1, payload);
}

/* Registers; the first representation has that number. */
static copal_xref observe(fixture *f, uint32_t sequence)
{
  char text[64];
  const copal_xref x = request(f, COPAL_CON, "s");
  fx_expect(f, "48 01 %m %t 60 51 's'");
  snprintf(text, sizeof text, "68 45 %%m %%t 63 %06x ff 'v0'", sequence);
  assert_int_equal(fx_feed(f, text), COPAL_OK);
  expect_news(f, "v0");
  return x;
}

static void cancel(fixture *f, copal_xref x)
{
  assert_int_equal(copal_ep_cancel(f->ep, x, f->now), COPAL_OK);
  expect_end(f, COPAL_EVENT_CANCELED);
}

/* ----------------------------------------------------------------------------------------- order
 */

static void rfc7641_3_2_notifications_follow_the_response(void **state)
{
  fixture *f = *state;
  const copal_xref x = observe(f, 5);
  assert_int_equal(notify_non(f, 6, "v1"), COPAL_OK);
  expect_news(f, "v1");
  fx_advance(f, second);
  assert_int_equal(notify_non(f, 7, "v2"), COPAL_OK);
  expect_news(f, "v2");
  fx_expect_nothing(f);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 1);
  cancel(f, x);
  fx_expect_idle(f);
}

static void rfc7641_3_4_an_older_notification_is_dropped(void **state)
{
  fixture *f = *state;
  observe(f, 5);
  assert_int_equal(notify_non(f, 9, "v9"), COPAL_OK);
  expect_news(f, "v9");
  assert_int_equal(notify_non(f, 7, "v7"), COPAL_OK);
  assert_int_equal(notify_non(f, 9, "v9"), COPAL_OK); /* nothing new either */
  fx_expect_no_event(f);
  assert_int_equal(fx_stats(f)->notify_reordered, 2);
  assert_int_equal(notify_non(f, 10, "v10"), COPAL_OK);
  expect_news(f, "v10");
}

static void rfc7641_3_4_numbers_wrap_in_serial_arithmetic(void **state)
{
  fixture *f = *state;
  const struct {
    uint32_t first, then;
    bool is_newer;
  } cases[] = {
      {0xffffff, 0, true},        {0, 0xffffff, false},        {0, 0x7fffff, true},
      {0, 0x800000, false},       {0x800000, 0, false},        {0x800001, 0, true},
      {0xabcdef, 0x2bcdee, true}, {0xabcdef, 0x2bcdef, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const copal_xref x = observe(f, cases[i].first);
    assert_int_equal(notify_non(f, cases[i].then, "v1"), COPAL_OK);
    if (cases[i].is_newer)
      expect_news(f, "v1");
    fx_expect_no_event(f);
    cancel(f, x);
  }
}

static void rfc7641_3_4_after_128_seconds_any_number_is_newer(void **state)
{
  fixture *f = *state;
  char text[64];
  for (int i = 0; i < 2; i++) {
    const copal_xref x = request(f, COPAL_CON, "s");
    fx_expect(f, "48 01 %m %t 60 51 's'");
    snprintf(text, sizeof text, "68 45 %%m %%t 61 64 81 c8 ff 'v0'"); /* 100; Max-Age 200 s */
    assert_int_equal(fx_feed(f, text), COPAL_OK);
    expect_news(f, "v0");
    fx_advance(f, 128 * second + (copal_time)i);
    assert_int_equal(notify_non(f, 50, "v1"), COPAL_OK);
    if (i == 1)
      expect_news(f, "v1");
    fx_expect_no_event(f);
    cancel(f, x);
  }
}

static void rfc7252_4_5_a_duplicate_is_not_delivered_twice(void **state)
{
  fixture *f = *state;
  observe(f, 5);
  assert_int_equal(fx_feed(f, "48 45 20 01 %t 61 06 ff 'v1'"), COPAL_OK);
  fx_expect(f, "60 00 20 01");
  expect_news(f, "v1");
  assert_int_equal(fx_feed(f, "48 45 20 01 %t 61 06 ff 'v1'"), COPAL_OK);
  fx_expect(f, "60 00 20 01"); /* but acknowledged again */
  fx_expect_no_event(f);
  assert_int_equal(fx_feed(f, "58 45 20 02 %t 61 07 ff 'v2'"), COPAL_OK);
  expect_news(f, "v2");
  assert_int_equal(fx_feed(f, "58 45 20 02 %t 61 07 ff 'v2'"), COPAL_OK);
  fx_expect_no_event(f);
  fx_expect_nothing(f);
}

static void a_duplicate_of_the_first_response_is_no_news(void **state)
{
  fixture *f = *state;
  observe(f, 5);
  assert_int_equal(fx_feed(f, "68 45 %m %t 63 00 00 05 ff 'v0'"), COPAL_OK);
  fx_expect_no_event(f);
}

/* ----------------------------------------------------------------------------------- transmission
 */

static void rfc7641_3_5_a_confirmable_notification_is_acknowledged(void **state)
{
  fixture *f = *state;
  observe(f, 5);
  assert_int_equal(fx_feed(f, "48 45 20 01 %t 61 06 ff 'v1'"), COPAL_OK);
  fx_expect(f, "60 00 20 01");
  expect_news(f, "v1");
  assert_int_equal(fx_feed(f, "48 45 20 02 %t 61 04 ff 'v4'"), COPAL_OK);
  fx_expect(f, "60 00 20 02"); /* also when it is older: the token is known */
  fx_expect_no_event(f);
}

static void rfc7641_3_5_an_unknown_token_is_rejected(void **state)
{
  fixture *f = *state;
  observe(f, 5);
  assert_int_equal(fx_feed(f, "41 45 20 01 99 61 06 ff 'v1'"), COPAL_EUNMATCHED);
  fx_expect(f, "70 00 20 01");
  assert_int_equal(fx_feed(f, "51 45 20 02 99 61 06 ff 'v1'"), COPAL_EUNMATCHED);
  fx_expect(f, "70 00 20 02");
  fx_expect_no_event(f);
}

static void rfc7641_3_6_a_forgotten_observation_is_rejected(void **state)
{
  fixture *f = *state;
  cancel(f, observe(f, 5));
  fx_expect_nothing(f);
  assert_int_equal(fx_feed(f, "48 45 20 01 %t 61 06 ff 'v1'"), COPAL_EUNMATCHED);
  fx_expect(f, "70 00 20 01");
  fx_expect_no_event(f);
  fx_expect_idle(f);
}

static void rfc7641_3_5_the_source_must_be_the_server(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  observe(f, 5);
  assert_int_equal(fx_feed_from(f, &other, "58 45 20 01 %t 61 06 ff 'v1'"), COPAL_EUNMATCHED);
  fx_expect_no_event(f);
}

static void a_notification_may_overtake_the_first_response(void **state)
{
  fixture *f = *state;
  request(f, COPAL_CON, "s");
  fx_expect(f, "48 01 %m %t 60 51 's'");
  assert_int_equal(notify_non(f, 6, "v1"), COPAL_OK);
  expect_news(f, "v1");
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 05 ff 'v0'"), COPAL_OK);
  fx_expect_no_event(f); /* older */
  fx_advance(f, 50 * second);
  fx_expect_nothing(f); /* the registration is not sent again: it has arrived */
}

static void rfc7641_3_2_the_first_response_may_come_separately(void **state)
{
  fixture *f = *state;
  request(f, COPAL_CON, "s");
  fx_expect(f, "48 01 %m %t 60 51 's'");
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK);
  fx_expect_event(f, COPAL_EVENT_ACK);
  assert_int_equal(fx_feed(f, "48 45 20 01 %t 61 05 ff 'v0'"), COPAL_OK);
  fx_expect(f, "60 00 20 01");
  expect_news(f, "v0");
  assert_int_equal(notify_non(f, 6, "v1"), COPAL_OK);
  expect_news(f, "v1");
}

/* ------------------------------------------------------------------------------------------- end
 */

static void rfc7641_4_1_a_response_without_observe_is_the_only_one(void **state)
{
  fixture *f = *state;
  request(f, COPAL_CON, "s");
  fx_expect(f, "48 01 %m %t 60 51 's'");
  assert_int_equal(fx_feed(f, "68 45 %m %t ff 'v0'"), COPAL_OK);
  expect_end(f, COPAL_EVENT_RESPONSE);
  assert_int_equal(notify_non(f, 6, "v1"), COPAL_EUNMATCHED);
  fx_expect_no_event(f);
}

static void rfc7641_3_2_a_notification_without_observe_is_the_last(void **state)
{
  fixture *f = *state;
  observe(f, 5);
  assert_int_equal(fx_feed(f, "58 45 20 01 %t ff 'v1'"), COPAL_OK);
  expect_end(f, COPAL_EVENT_RESPONSE);
  fx_expect_idle(f);
}

static void rfc7641_3_2_an_error_is_the_last(void **state)
{
  fixture *f = *state;
  for (int i = 0; i < 2; i++) {
    observe(f, 5);
    /* 4.04; an Observe option in it, which it must not have, changes nothing */
    assert_int_equal(fx_feed(f, i == 0 ? "58 84 20 01 %t" : "58 84 20 02 %t 61 06"), COPAL_OK);
    assert_int_equal(f->events[f->event_seen].code, COPAL_CODE_NOT_FOUND);
    expect_end(f, COPAL_EVENT_RESPONSE);
  }
  fx_expect_idle(f);
}

static void rfc7641_2_only_zero_registers(void **state)
{
  fixture *f = *state;
  const copal_opt opts[] = {{COPAL_OPT_OBSERVE, copal_span_str("\x01")}};
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.opts = opts;
  rq.opt_count = 1;
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect(f, "48 01 %m %t 61 01");
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 05 ff 'v0'"), COPAL_OK);
  expect_end(f, COPAL_EVENT_RESPONSE);
}

static void rfc7641_3_6_a_reset_ends_the_registration(void **state)
{
  fixture *f = *state;
  request(f, COPAL_CON, "s");
  fx_expect(f, "48 01 %m %t 60 51 's'");
  assert_int_equal(fx_feed(f, "70 00 %m"), COPAL_OK);
  expect_end(f, COPAL_EVENT_RESET);
  fx_expect_idle(f);
}

/* --------------------------------------------------------------------------------------- renewal
 */

static void rfc7641_3_3_1_it_registers_again_after_max_age(void **state)
{
  fixture *f = *state;
  const uint8_t fills[] = {0, 0xff};
  for (size_t i = 0; i < 2; i++) {
    f->fill = fills[i];
    fx_restart(f);
    observe(f, 5);
    fx_advance(f, 50 * second);
    assert_int_equal(notify(f, COPAL_NON, 6, 30, "v1"), COPAL_OK); /* Max-Age 30 from here */
    expect_news(f, "v1");
    const copal_time grace = (i == 0 ? 4 : 14) * second;
    fx_advance(f, 30 * second + grace);
    fx_expect_nothing(f);
    fx_advance(f, second + 2000);
    const uint16_t first_mid = f->mid;
    fx_expect(f, "48 01 %m %t 60 51 's'"); /* the same token and options */
    assert_int_not_equal(f->mid, first_mid);
    expect_end(f, COPAL_EVENT_STALE);
    assert_int_equal(fx_feed(f, "68 45 %m %t 61 07 ff 'v2'"), COPAL_OK);
    expect_news(f, "v2");
    assert_int_equal(notify_non(f, 8, "v3"), COPAL_OK);
    expect_news(f, "v3");
  }
}

static void rfc7641_3_3_1_max_age_is_60_by_default(void **state)
{
  fixture *f = *state;
  f->fill = 0;
  fx_restart(f);
  observe(f, 5);
  fx_advance(f, 65 * second - 2000);
  fx_expect_nothing(f);
  fx_advance(f, 4000);
  fx_expect(f, "48 01 %m %t 60 51 's'");
}

static void rfc7641_3_3_1_the_longest_max_age_is_no_overflow(void **state)
{
  fixture *f = *state;
  request(f, COPAL_CON, "s");
  fx_expect(f, "48 01 %m %t 60 51 's'");
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 05 84 ff ff ff ff ff 'v0'"), COPAL_OK);
  expect_news(f, "v0");
  fx_advance(f, 1800 * second);
  fx_expect_nothing(f);
}

static void rfc7641_3_3_1_each_notification_puts_the_renewal_off(void **state)
{
  fixture *f = *state;
  observe(f, 5);
  for (uint32_t i = 6; i < 30; i++) {
    fx_advance(f, 40 * second);
    assert_int_equal(notify_non(f, i, "v"), COPAL_OK);
    expect_news(f, "v");
  }
  fx_expect_nothing(f);
}

/* Lets the representation grow old. */
static void grow_old(fixture *f)
{
  fx_advance(f, 76 * second);
  fx_expect(f, "48 01 %m %t 60 51 's'");
  fx_expect_event(f, COPAL_EVENT_STALE);
  while (f->event_seen < f->event_count)
    fx_expect_event(f, COPAL_EVENT_RESEND);
  f->sent_seen = f->sent_count;
}

static void a_server_that_started_anew_is_believed(void **state)
{
  fixture *f = *state;
  observe(f, 1000);
  grow_old(f);
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 01 ff 'v1'"), COPAL_OK); /* counts from 1 again */
  expect_news(f, "v1");
  assert_int_equal(notify_non(f, 2, "v2"), COPAL_OK);
  expect_news(f, "v2");
}

static void rfc7641_3_4_renewing_does_not_let_older_ones_in(void **state)
{
  fixture *f = *state;
  observe(f, 5);
  assert_int_equal(notify_non(f, 9, "v9"), COPAL_OK);
  expect_news(f, "v9");
  grow_old(f);
  assert_int_equal(notify_non(f, 7, "v7"), COPAL_OK); /* was long under way */
  fx_expect_no_event(f);
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 0a ff 'v10'"), COPAL_OK);
  expect_news(f, "v10");
  assert_int_equal(notify_non(f, 8, "v8"), COPAL_OK);
  fx_expect_no_event(f);
  assert_int_equal(fx_stats(f)->notify_reordered, 2);
}

static void rfc7641_3_4_the_response_to_a_renewal_may_be_overtaken(void **state)
{
  fixture *f = *state;
  observe(f, 5);
  grow_old(f);
  assert_int_equal(notify_non(f, 9, "v9"), COPAL_OK);
  expect_news(f, "v9");
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 08 ff 'v8'"), COPAL_OK);
  fx_expect_no_event(f);
}

static void a_server_may_answer_a_renewal_with_the_same_number(void **state)
{
  fixture *f = *state;
  f->fill = 0;
  fx_restart(f);
  request(f, COPAL_NON, "s");
  fx_expect(f, "58 01 %m %t 60 51 's'");
  assert_int_equal(notify_non(f, 5, "v0"), COPAL_OK);
  expect_news(f, "v0");
  fx_advance(f, 66 * second);
  fx_expect(f, "58 01 %m %t 60 51 's'"); /* non-confirmable as before */
  fx_expect_event(f, COPAL_EVENT_STALE);
  assert_int_equal(notify_non(f, 5, "v0"), COPAL_OK);
  expect_news(f, "v0");
  assert_int_equal(notify_non(f, 5, "v0"), COPAL_OK);
  fx_expect_no_event(f);
}

static void a_renewal_without_an_answer_ends_in_a_timeout(void **state)
{
  fixture *f = *state;
  f->fill = 0;
  fx_restart(f);
  observe(f, 5);
  fx_advance(f, 300 * second);
  fx_expect_event(f, COPAL_EVENT_STALE);
  for (int i = 0; i < 4; i++)
    fx_expect_event(f, COPAL_EVENT_RESEND);
  expect_end(f, COPAL_EVENT_TIMEOUT);
  fx_expect(f, "48 01 %m %t 60 51 's'");
  for (int i = 0; i < 4; i++)
    fx_expect(f, "48 01 %m %t 60 51 's'");
  fx_expect_nothing(f);
  fx_expect_idle(f);
}

static void a_renewal_answered_without_observe_ends(void **state)
{
  fixture *f = *state;
  observe(f, 5);
  grow_old(f);
  assert_int_equal(fx_feed(f, "68 45 %m %t ff 'v1'"), COPAL_OK);
  expect_end(f, COPAL_EVENT_RESPONSE);
  fx_expect_idle(f);
}

static void rfc7252_4_7_renewals_wait_for_their_turn(void **state)
{
  fixture *f = *state;
  f->fill = -1;
  const copal_xref first = observe(f, 5);
  uint8_t tokens[2][8];
  memcpy(tokens[0], f->token, 8);
  request(f, COPAL_CON, "t");
  fx_expect(f, "48 01 %m %t 60 51 't'");
  memcpy(tokens[1], f->token, 8);
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 05 ff 'w0'"), COPAL_OK);
  expect_news(f, "w0");

  fx_advance(f, 76 * second); /* both have grown old, but NSTART is 1 */
  fx_expect_event(f, COPAL_EVENT_STALE);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 2);
  for (size_t i = 0; i < f->sent_count; i++) /* only one has left, perhaps several times */
    assert_memory_equal(f->sent[i].bytes + 4, f->sent[f->sent_count - 1].bytes + 4,
                        i < f->sent_seen ? 0 : 8);
  const uint8_t *sent = f->sent[f->sent_count - 1].bytes + 4;
  const int one = memcmp(sent, tokens[0], 8) == 0 ? 0 : 1;
  while (f->event_seen < f->event_count)
    f->event_seen++;
  f->sent_seen = f->sent_count;

  memcpy(f->token, tokens[1 - one], 8); /* news for the one that waits: no need to ask */
  assert_int_equal(notify_non(f, 6, "w1"), COPAL_OK);
  expect_news(f, "w1");
  memcpy(f->token, tokens[one], 8);
  assert_int_equal(notify_non(f, 6, "v1"), COPAL_OK);
  expect_news(f, "v1");
  fx_advance(f, 30 * second);
  fx_expect_nothing(f);
  cancel(f, first);
}

static void rfc7252_4_7_a_renewal_follows_the_one_before_it(void **state)
{
  fixture *f = *state;
  f->fill = 0;
  observe(f, 5);
  request(f, COPAL_CON, "t");
  fx_expect(f, "48 01 %m %t 60 51 't'");
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 05 ff 'w0'"), COPAL_OK);
  expect_news(f, "w0");
  fx_advance(f, 65 * second + 10000);
  fx_expect_event(f, COPAL_EVENT_STALE);
  fx_expect_event(f, COPAL_EVENT_STALE);
  fx_expect(f, "48 01 %m %t 60 51 *");
  fx_expect_nothing(f);
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 06 ff 'v1'"), COPAL_OK);
  expect_news(f, "v1");
  fx_expect(f, "48 01 %m %t 60 51 *");
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 06 ff 'w1'"), COPAL_OK);
  expect_news(f, "w1");
}

static void cancelling_a_renewal_that_waits_leaves_nothing(void **state)
{
  fixture *f = *state;
  f->fill = 0;
  const copal_xref first = observe(f, 5);
  const copal_xref other = request(f, COPAL_CON, "t");
  fx_expect(f, "48 01 %m %t 60 51 't'");
  assert_int_equal(fx_feed(f, "68 45 %m %t 61 05 ff 'w0'"), COPAL_OK);
  expect_news(f, "w0");
  fx_advance(f, 65 * second + 10000);
  fx_expect_event(f, COPAL_EVENT_STALE);
  fx_expect_event(f, COPAL_EVENT_STALE);
  cancel(f, first);
  cancel(f, other);
  fx_expect_idle(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7641_3_2_notifications_follow_the_response),
      TEST(rfc7641_3_4_an_older_notification_is_dropped),
      TEST(rfc7641_3_4_numbers_wrap_in_serial_arithmetic),
      TEST(rfc7641_3_4_after_128_seconds_any_number_is_newer),
      TEST(rfc7252_4_5_a_duplicate_is_not_delivered_twice),
      TEST(a_duplicate_of_the_first_response_is_no_news),
      TEST(rfc7641_3_5_a_confirmable_notification_is_acknowledged),
      TEST(rfc7641_3_5_an_unknown_token_is_rejected),
      TEST(rfc7641_3_6_a_forgotten_observation_is_rejected),
      TEST(rfc7641_3_5_the_source_must_be_the_server),
      TEST(a_notification_may_overtake_the_first_response),
      TEST(rfc7641_3_2_the_first_response_may_come_separately),
      TEST(rfc7641_4_1_a_response_without_observe_is_the_only_one),
      TEST(rfc7641_3_2_a_notification_without_observe_is_the_last),
      TEST(rfc7641_3_2_an_error_is_the_last),
      TEST(rfc7641_2_only_zero_registers),
      TEST(rfc7641_3_6_a_reset_ends_the_registration),
      TEST(rfc7641_3_3_1_it_registers_again_after_max_age),
      TEST(rfc7641_3_3_1_max_age_is_60_by_default),
      TEST(rfc7641_3_3_1_the_longest_max_age_is_no_overflow),
      TEST(rfc7641_3_3_1_each_notification_puts_the_renewal_off),
      TEST(a_server_that_started_anew_is_believed),
      TEST(rfc7641_3_4_renewing_does_not_let_older_ones_in),
      TEST(rfc7641_3_4_the_response_to_a_renewal_may_be_overtaken),
      TEST(a_server_may_answer_a_renewal_with_the_same_number),
      TEST(a_renewal_without_an_answer_ends_in_a_timeout),
      TEST(a_renewal_answered_without_observe_ends),
      TEST(rfc7252_4_7_renewals_wait_for_their_turn),
      TEST(rfc7252_4_7_a_renewal_follows_the_one_before_it),
      TEST(cancelling_a_renewal_that_waits_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
