/* SPDX-License-Identifier: Apache-2.0 */
/* Requests with Observe that come more than once: a registration that its client has taken back is
 * not made again by a late copy of the request, and a late deregistration ends nothing that came
 * after it. RFC 7252 section 4.5, RFC 7641 section 4.1. */
#include "unit/core/proto/fixture.h"

static const copal_time second = COPAL_SECOND;

static const char *const registration = "41 01 70 01 aa 60";
static const char *const renewal = "41 01 70 02 aa 60";
static const char *const deregistration = "41 01 70 03 aa 61 01";
static const char *const next_registration = "41 01 70 04 aa 60";

static copal_subject subjects[2];
static copal_subject *asked;
static unsigned handled;

static int render(copal_subject *s, copal_ep *ep, copal_response *r, copal_time now)
{
  (void)s, (void)ep, (void)now;
  *r = (copal_response){.code = COPAL_CODE_CONTENT, .payload = copal_span_str("state")};
  return COPAL_OK;
}

static int serve(fixture *f, const copal_req *req)
{
  const copal_response r = {.code = COPAL_CODE_CONTENT, .payload = copal_span_str("state")};
  handled++;
  if (req->wants_observe)
    assert_int_equal(copal_ep_observe(f->ep, asked), COPAL_OK);
  return copal_ep_respond(f->ep, &r, f->now);
}

static int setup(void **state)
{
  const int err = fx_setup(state);
  ((fixture *)*state)->handler = serve;
  for (int i = 0; i < 2; i++)
    subjects[i] = (copal_subject){.render = render};
  asked = &subjects[0];
  handled = 0;
  return err;
}

/* The answer to a datagram, which is one acknowledgement with a success; whether it has Observe. */
static bool ask(fixture *f, const char *datagram)
{
  copal_msg m;
  copal_span value;
  assert_int_equal(fx_feed(f, datagram), COPAL_OK);
  assert_int_equal(f->sent_count - f->sent_seen, 1);
  const fx_datagram *d = &f->sent[f->sent_seen++];
  assert_int_equal(copal_msg_parse(copal_span_of(d->bytes, d->len), &m), COPAL_OK);
  f->sent_seen = f->sent_count = 0;
  assert_int_equal(m.type, COPAL_ACK);
  assert_int_equal(m.code, COPAL_CODE_CONTENT);
  return copal_opt_find(m.options, COPAL_OPT_OBSERVE, &value);
}

static copal_time lifetime(void)
{
  const copal_params p = copal_params_default();
  return copal_exchange_lifetime(&p);
}

/* Notifies; the Message ID of the one notification that leaves. */
static uint16_t notify(fixture *f)
{
  copal_msg m;
  copal_ep_notify(f->ep, asked, f->now);
  assert_int_equal(f->sent_count - f->sent_seen, 1);
  const fx_datagram *d = &f->sent[f->sent_seen++];
  assert_int_equal(copal_msg_parse(copal_span_of(d->bytes, d->len), &m), COPAL_OK);
  f->sent_seen = f->sent_count = 0;
  return m.mid;
}

static void reject(fixture *f, uint16_t mid)
{
  const uint8_t bytes[] = {0x70, 0, (uint8_t)(mid >> 8), (uint8_t)mid};
  assert_int_equal(fx_feed_bytes(f, &f->peer, bytes, sizeof bytes), COPAL_OK);
}

static void rfc7252_4_5_a_late_copy_of_a_registration_renews_what_lives(void **state)
{
  fixture *f = *state;
  assert_true(ask(f, registration));
  assert_true(ask(f, registration));
  assert_int_equal(asked->count, 1);
  assert_int_equal(copal_ep_usage(f->ep).dedups, 0); /* as long as it lives nothing is kept */
}

static void rfc7641_4_1_what_was_deregistered_is_not_registered_by_a_late_copy(void **state)
{
  fixture *f = *state;
  assert_true(ask(f, registration));
  assert_false(ask(f, deregistration));
  fx_advance(f, 100 * second); /* MAX_LATENCY */
  assert_false(ask(f, registration));
  assert_false(ask(f, registration));
  assert_int_equal(asked->count, 0);
  assert_int_equal(copal_ep_usage(f->ep).relations, 0);
  assert_int_equal(fx_stats(f)->relations_refused, 0);
  assert_int_equal(handled, 3); /* it is answered, and the second copy as the first */
  assert_int_equal(fx_stats(f)->dup_replayed, 1);
  assert_true(ask(f, next_registration)); /* that is another request */
  assert_int_equal(asked->count, 1);
}

static void rfc7641_4_5_what_was_reset_is_not_registered_by_a_late_copy(void **state)
{
  fixture *f = *state;
  assert_true(ask(f, registration));
  reject(f, notify(f));
  assert_int_equal(asked->count, 0);
  assert_false(ask(f, registration));
  assert_int_equal(asked->count, 0);
  assert_true(ask(f, next_registration));
}

static void rfc7641_4_1_an_earlier_registration_does_not_come_back_either(void **state)
{
  fixture *f = *state;
  assert_true(ask(f, registration));
  assert_true(ask(f, renewal));
  assert_true(ask(f, registration)); /* out of order, while it lives */
  assert_false(ask(f, deregistration));
  (void)ask(f, registration); /* the same answer as before, whatever has become of it */
  assert_false(ask(f, renewal));
  assert_int_equal(asked->count, 0);
}

static void rfc7252_4_5_a_late_copy_does_not_take_a_token_back(void **state)
{
  fixture *f = *state;
  assert_true(ask(f, registration));
  assert_false(ask(f, deregistration));
  asked = &subjects[1];
  assert_true(ask(f, next_registration)); /* the token for another resource */
  asked = &subjects[0];
  assert_false(ask(f, registration));
  assert_int_equal(subjects[0].count, 0);
  assert_int_equal(subjects[1].count, 1);
}

static void rfc7252_4_5_a_late_deregistration_ends_nothing_newer(void **state)
{
  fixture *f = *state;
  assert_true(ask(f, registration));
  assert_false(ask(f, deregistration));
  assert_true(ask(f, next_registration));
  assert_false(ask(f, deregistration));
  assert_int_equal(asked->count, 1);
  assert_int_equal(fx_stats(f)->relations_deregistered, 1);
  assert_int_equal(fx_stats(f)->dup_replayed, 1);
}

static void rfc7252_4_4_after_the_lifetime_a_message_id_is_a_new_request(void **state)
{
  fixture *f = *state;
  assert_true(ask(f, registration));
  assert_false(ask(f, deregistration));
  fx_advance(f, lifetime() + 2 * second);
  assert_int_equal(copal_ep_usage(f->ep).dedups, 0);
  assert_true(ask(f, registration));
}

static void rfc7252_4_4_a_registration_older_than_its_lifetime_needs_no_memory(void **state)
{
  fixture *f = *state;
  assert_true(ask(f, registration));
  fx_advance(f, lifetime() + 3 * second);
  reject(f, notify(f));
  assert_int_equal(copal_ep_usage(f->ep).dedups, 0);
  assert_true(ask(f, registration));
}

static void an_entry_for_one_message_makes_place_while_it_is_handled(void **state)
{
  fixture *f = *state;
  f->cfg.dedup_count = 1;
  f->cfg.dedup_per_peer = 1;
  fx_restart(f);
  assert_true(ask(f, registration));
  assert_false(ask(f, deregistration)); /* needs an entry itself */
  assert_int_equal(asked->count, 0);
  assert_int_equal(fx_stats(f)->dedup_evicted, 1);
  assert_false(ask(f, registration));
}

static void rfc7641_7_notifications_stay_in_the_session_of_the_request(void **state)
{
  fixture *f = *state;
  copal_path first = f->peer, second_one = f->peer;
  first.session = 1;
  second_one.session = 2; /* at the same address */
  assert_int_equal(fx_feed_from(f, &first, registration), COPAL_OK);
  assert_int_equal(fx_feed_from(f, &second_one, "41 01 70 07 aa"), COPAL_OK);
  f->sent_seen = f->sent_count;
  copal_ep_notify(f->ep, asked, f->now);
  assert_int_equal(f->sent_count - f->sent_seen, 1);
  assert_int_equal(f->sent[f->sent_seen++].path.session, 1);
  copal_ep_forget(f->ep, &first, f->now);
  copal_ep_notify(f->ep, asked, f->now);
  fx_advance(f, 100 * second);
  assert_int_equal(f->sent_count, f->sent_seen);
  assert_int_equal(asked->count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_4_5_a_late_copy_of_a_registration_renews_what_lives),
      TEST(rfc7641_4_1_what_was_deregistered_is_not_registered_by_a_late_copy),
      TEST(rfc7641_4_5_what_was_reset_is_not_registered_by_a_late_copy),
      TEST(rfc7641_4_1_an_earlier_registration_does_not_come_back_either),
      TEST(rfc7252_4_5_a_late_copy_does_not_take_a_token_back),
      TEST(rfc7252_4_5_a_late_deregistration_ends_nothing_newer),
      TEST(rfc7252_4_4_after_the_lifetime_a_message_id_is_a_new_request),
      TEST(rfc7252_4_4_a_registration_older_than_its_lifetime_needs_no_memory),
      TEST(rfc7641_7_notifications_stay_in_the_session_of_the_request),
      TEST(an_entry_for_one_message_makes_place_while_it_is_handled),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
