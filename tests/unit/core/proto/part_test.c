/* SPDX-License-Identifier: Apache-2.0 */
/* An endpoint that makes way for another. RFC 7252 sections 4.2, 5.2.2 and 8.2. */
#include "unit/core/proto/fixture.h"

#include "core/proto/ep.h"

static void deferred_requests_are_counted_until_they_are_answered(void **state)
{
  fixture *f = *state;
  const copal_response r = {.code = COPAL_CODE_CONTENT};
  f->result = COPAL_EPENDING;
  assert_int_equal(copal_ep_deferred(f->ep), 0);
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  const copal_xref first = f->late;
  assert_int_equal(fx_feed(f, "41 01 12 35 ab"), COPAL_OK);
  const copal_xref second = f->late;
  assert_int_equal(copal_ep_deferred(f->ep), 2);
  assert_int_equal(copal_ep_resume(f->ep, first, &r, f->now), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa");
  assert_int_equal(copal_ep_deferred(f->ep), 1);
  fx_advance(f, 2 * COPAL_SECOND);
  fx_expect(f, "60 00 12 35"); /* late, but still owed */
  assert_int_equal(copal_ep_deferred(f->ep), 1);
  assert_int_equal(copal_ep_abandon(f->ep, second, f->now), COPAL_OK);
  assert_int_equal(copal_ep_deferred(f->ep), 0);
}

/* The client has an Empty ACK and will not ask again; the successor cannot repeat the response. */
static void rfc7252_4_2_what_is_not_acknowledged_is_sent_once_more(void **state)
{
  fixture *f = *state;
  const copal_response r = {.code = COPAL_CODE_CONTENT};
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_advance(f, 2 * COPAL_SECOND);
  fx_expect(f, "60 00 12 34");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &r, f->now), COPAL_OK);
  fx_expect(f, "41 45 .. .. aa");
  copal_ep_part(f->ep, f->now);
  fx_expect(f, "41 45 .. .. aa");
  assert_int_equal(fx_stats(f)->tx_retransmits, 1);
  fx_expect_nothing(f);
}

static void rfc7252_8_2_leisure_ends_with_the_endpoint(void **state)
{
  fixture *f = *state;
  copal_path group = f->peer;
  group.flags = COPAL_PATH_GROUP;
  fx_answer(f, COPAL_CODE_CONTENT, "warm");
  assert_int_equal(fx_feed_from(f, &group, "51 01 12 34 aa"), COPAL_OK);
  fx_expect_nothing(f);
  copal_ep_part(f->ep, f->now);
  fx_expect(f, "51 45 .. .. aa ff 'warm'");
  fx_expect_nothing(f);
}

static void requests_of_the_endpoint_itself_are_left_alone(void **state)
{
  fixture *f = *state;
  copal_xref ref;
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, &ref), COPAL_OK);
  fx_expect(f, "*");
  assert_int_equal(copal_ep_deferred(f->ep), 0);
  copal_ep_part(f->ep, f->now);
  fx_expect_nothing(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
  const struct CMUnitTest tests[] = {
      TEST(deferred_requests_are_counted_until_they_are_answered),
      TEST(rfc7252_4_2_what_is_not_acknowledged_is_sent_once_more),
      TEST(rfc7252_8_2_leisure_ends_with_the_endpoint),
      TEST(requests_of_the_endpoint_itself_are_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
