/* SPDX-License-Identifier: Apache-2.0 */
/* Echo challenges, as a guard asks for them. RFC 9175 sections 2.3 and 2.4. */
#include "unit/core/proto/fixture.h"

enum { FREE = 40 }; /* bytes that anybody may be sent */

static const char echo_text[] = "0123456789ab";

/* A guard with one client: verified or not. */
static copal_guard guard;
static bool is_verified;

static bool on_allows(copal_guard *g, const copal_path *path, size_t len, copal_time now)
{
  (void)g, (void)path, (void)now;
  return is_verified || len <= FREE;
}

static void on_challenge(copal_guard *g, const copal_path *path, uint8_t echo[COPAL_ECHO_SIZE],
                         copal_time now)
{
  (void)g, (void)path, (void)now;
  memcpy(echo, echo_text, COPAL_ECHO_SIZE);
}

static void on_echo(copal_guard *g, const copal_path *path, copal_span echo, copal_time now)
{
  (void)g, (void)path, (void)now;
  is_verified |= copal_span_is_equal(echo, copal_span_str(echo_text));
}

static bool on_probe(copal_guard *g, const copal_path *path, uint16_t *mid, copal_time now)
{
  (void)g, (void)path, (void)mid, (void)now;
  return false;
}

static bool on_reset(copal_guard *g, const copal_path *path, uint16_t mid, copal_time now)
{
  (void)g, (void)path, (void)mid, (void)now;
  return false;
}

static void on_acknowledged(copal_guard *g, const copal_path *path, copal_time now)
{
  (void)g, (void)path, (void)now;
  is_verified = true;
}

static const char *body;

static int render(copal_subject *s, copal_ep *ep, copal_response *r, copal_time now)
{
  (void)s, (void)ep, (void)now;
  *r = (copal_response){.code = COPAL_CODE_CONTENT, .payload = copal_span_str(body)};
  return COPAL_OK;
}

static copal_subject subject;

static int serve(fixture *f, const copal_req *req)
{
  const copal_response r = {.code = COPAL_CODE_CONTENT, .payload = copal_span_str(body)};
  if (req->wants_observe)
    assert_int_equal(copal_ep_observe(f->ep, &subject), COPAL_OK);
  return copal_ep_respond(f->ep, &r, f->now);
}

static const char small[] = "small";
static const char large[] = "a body that is larger than what strangers may be sent";

static int setup(void **state)
{
  const int err = fx_setup(state);
  fixture *f = *state;
  guard = (copal_guard){on_allows, on_challenge, on_echo, on_probe, on_reset, on_acknowledged};
  is_verified = false;
  subject = (copal_subject){.render = render};
  body = large;
  f->handler = serve;
  f->cfg.guard = &guard;
  fx_restart(f);
  return err;
}

static void rfc9175_2_4_a_large_response_is_replaced_by_a_challenge(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 81 12 34 aa dc ef '0123456789ab'"); /* Echo is 252: 13 + 239 */
  assert_int_equal(fx_stats(f)->challenged, 1);
  assert_int_equal(fx_feed(f, "41 01 12 35 aa dc ef '0123456789ab'"), COPAL_OK);
  fx_expect(f, "61 45 12 35 aa ff *");
  assert_int_equal(fx_last(f)->len, 5 + 1 + strlen(large));
  assert_int_equal(fx_stats(f)->challenged, 1);
}

static void rfc9175_2_3_another_value_is_challenged_again(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa dc ef 'ba9876543210'"), COPAL_OK);
  fx_expect(f, "61 81 12 34 aa dc ef '0123456789ab'");
  assert_int_equal(fx_feed(f, "41 01 12 35 aa d0 ef"), COPAL_OK); /* empty: no Echo at all */
  fx_expect(f, "61 81 12 35 aa dc ef '0123456789ab'");
}

static void rfc9175_2_4_a_small_response_is_free(void **state)
{
  fixture *f = *state;
  body = small;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa ff 'small'");
  assert_int_equal(fx_stats(f)->challenged, 0);
}

static void an_unsafe_request_has_had_its_effect_and_is_answered(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 02 12 34 aa ff 'x'"), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa *");
}

static void a_challenge_establishes_no_observation(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa 60"), COPAL_OK);
  fx_expect(f, "61 81 12 34 aa dc ef '0123456789ab'"); /* and no Observe */
  assert_int_equal(subject.count, 0);
  assert_int_equal(copal_ep_usage(f->ep).observers, 0);
}

static void a_large_notification_is_not_sent_to_a_stranger(void **state)
{
  fixture *f = *state;
  body = small;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa 60"), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa 63 .. .. .. ff 'small'");
  body = large;
  copal_ep_notify(f->ep, &subject, f->now);
  fx_advance(f, 5 * COPAL_SECOND);
  fx_expect_nothing(f);
  is_verified = true; /* by another request, say */
  fx_advance(f, 6 * COPAL_SECOND);
  fx_expect(f, "41 45 %m aa 63 *");
}

/* Who can guess what acknowledges a notification could verify an address that is not his. */
static void an_observer_is_not_verified_by_a_guess(void **state)
{
  fixture *f = *state;
  body = small;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa 60"), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa *");
  assert_int_equal(fx_feed(f, "60 00 00 00"), COPAL_ESTRAY);
  assert_int_equal(fx_feed(f, "70 00 00 00"), COPAL_ESTRAY);
  assert_int_equal(fx_feed(f, "60 00 12 34"), COPAL_ESTRAY);
  assert_false(is_verified);
  copal_ep_notify(f->ep, &subject, f->now);
  fx_expect(f, "41 45 %m aa *");
  assert_int_equal(fx_feed(f, "60 00 %m"), COPAL_OK);
  assert_true(is_verified);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc9175_2_4_a_large_response_is_replaced_by_a_challenge),
      TEST(rfc9175_2_3_another_value_is_challenged_again),
      TEST(rfc9175_2_4_a_small_response_is_free),
      TEST(an_unsafe_request_has_had_its_effect_and_is_answered),
      TEST(a_challenge_establishes_no_observation),
      TEST(a_large_notification_is_not_sent_to_a_stranger),
      TEST(an_observer_is_not_verified_by_a_guess),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
