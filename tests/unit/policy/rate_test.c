/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the limits on requests. RFC 8516 section 3. */
#include "policy/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const copal_time start = 1000 * COPAL_SECOND;
static const identity nobody = {.kind = IDENTITY_ANONYMOUS};

/* 203.0.113.`host`, port `port`. */
static copal_path source(uint8_t host, uint16_t port)
{
  return (copal_path){
      .remote = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, host}, port, 0}};
}

static rate *open_rate(rate_limit identity_limit, rate_limit address, rate_limit prefix)
{
  const rate_cfg cfg = {
      .identity = identity_limit, .address = address, .prefix = prefix, .silent_after = 3};
  rate *r = rate_open(&cfg);
  assert_non_null(r);
  return r;
}

static void by_default_there_is_no_limit(void **state)
{
  (void)state;
  const rate_cfg cfg = rate_cfg_default();
  const copal_path path = source(1, 1);
  rate *r = rate_open(&cfg);
  for (int i = 0; i < 10000; i++) {
    assert_int_equal(rate_take(r, &path, &nobody, start), 0);
    assert_false(rate_is_silent(r, &path, start));
  }
  rate_close(r);
}

static void rfc8516_3_refusals_say_when_there_is_a_token_again(void **state)
{
  (void)state;
  rate *r = open_rate((rate_limit){0, 1}, (rate_limit){1, 5}, (rate_limit){0, 1});
  const copal_path path = source(1, 1), same = source(1, 2), other = source(2, 1);
  for (int i = 0; i < 5; i++)
    assert_int_equal(rate_take(r, &path, &nobody, start), 0);
  assert_int_equal(rate_take(r, &path, &nobody, start), 1);
  assert_int_equal(rate_take(r, &same, &nobody, start + COPAL_SECOND / 2), 1);
  assert_int_equal(rate_take(r, &other, &nobody, start), 0);
  assert_int_equal(rate_take(r, &path, &nobody, start + COPAL_SECOND), 0);
  assert_int_equal(rate_take(r, &path, &nobody, start + COPAL_SECOND), 1);
  assert_int_equal(rate_stats_now(r)->addresses, 3);
  rate_close(r);
}

static void after_a_pause_the_burst_is_whole_again_and_no_larger(void **state)
{
  (void)state;
  rate *r = open_rate((rate_limit){0, 1}, (rate_limit){10, 4}, (rate_limit){0, 1});
  const copal_path path = source(1, 1);
  for (copal_time now = start; now < start + 100 * COPAL_SECOND; now += 50 * COPAL_SECOND) {
    for (int i = 0; i < 4; i++)
      assert_int_equal(rate_take(r, &path, &nobody, now), 0);
    assert_int_equal(rate_take(r, &path, &nobody, now), 1);
  }
  rate_close(r);
}

static void a_prefix_shares_its_limit(void **state)
{
  (void)state;
  rate *r = open_rate((rate_limit){0, 1}, (rate_limit){100, 100}, (rate_limit){1, 8});
  for (uint8_t host = 1; host <= 8; host++) {
    const copal_path path = source(host, 1);
    assert_int_equal(rate_take(r, &path, &nobody, start), 0);
  }
  const copal_path path = source(9, 1);
  assert_int_equal(rate_take(r, &path, &nobody, start), 1);
  assert_int_equal(rate_stats_now(r)->prefixes, 1);
  rate_close(r);
}

static void identities_are_limited_by_themselves_alone(void **state)
{
  (void)state;
  rate *r = open_rate((rate_limit){1, 2}, (rate_limit){1, 1}, (rate_limit){1, 1});
  const identity a = {.kind = IDENTITY_PSK, .name = copal_span_str("a"), .serial = 1};
  const identity b = {.kind = IDENTITY_PSK, .name = copal_span_str("b"), .serial = 2};
  copal_path path = source(1, 1);
  path.flags = COPAL_PATH_SECURE;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(rate_take(r, &path, &a, start), 0);
    assert_int_equal(rate_take(r, &path, &b, start), 0);
  }
  assert_int_equal(rate_take(r, &path, &a, start), 1);
  assert_int_equal(rate_stats_now(r)->identities, 1);
  for (int i = 0; i < 10; i++)
    rate_take(r, &path, &a, start);
  assert_false(rate_is_silent(r, &path, start));
  rate_close(r);
}

static void a_flood_is_met_with_silence_until_it_pauses(void **state)
{
  (void)state;
  rate *r = open_rate((rate_limit){0, 1}, (rate_limit){10, 1}, (rate_limit){0, 1});
  const copal_path path = source(1, 1);
  assert_int_equal(rate_take(r, &path, &nobody, start), 0);
  for (int i = 0; i < 3; i++) {
    assert_false(rate_is_silent(r, &path, start));
    assert_int_equal(rate_take(r, &path, &nobody, start), 1);
  }
  assert_true(rate_is_silent(r, &path, start));
  assert_int_equal(rate_stats_now(r)->silenced, 1);
  const copal_time later = start + COPAL_SECOND;
  assert_false(rate_is_silent(r, &path, later));
  assert_int_equal(rate_take(r, &path, &nobody, later), 0);
  assert_int_equal(rate_take(r, &path, &nobody, later), 1);
  assert_false(rate_is_silent(r, &path, later));
  rate_close(r);
}

static void a_reload_takes_effect_at_once(void **state)
{
  (void)state;
  rate *r = open_rate((rate_limit){0, 1}, (rate_limit){1, 100}, (rate_limit){0, 1});
  const copal_path path = source(1, 1);
  for (int i = 0; i < 50; i++)
    assert_int_equal(rate_take(r, &path, &nobody, start), 0);
  rate_cfg cfg = {.address = {1, 10}, .prefix = {0, 1}, .silent_after = 3};
  rate_reload(r, &cfg);
  assert_true(rate_take(r, &path, &nobody, start) > 0);
  cfg.address.per_second = 0;
  rate_reload(r, &cfg);
  assert_int_equal(rate_take(r, &path, &nobody, start), 0);
  rate_close(r);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(by_default_there_is_no_limit),
      cmocka_unit_test(rfc8516_3_refusals_say_when_there_is_a_token_again),
      cmocka_unit_test(after_a_pause_the_burst_is_whole_again_and_no_larger),
      cmocka_unit_test(a_prefix_shares_its_limit),
      cmocka_unit_test(identities_are_limited_by_themselves_alone),
      cmocka_unit_test(a_flood_is_met_with_silence_until_it_pauses),
      cmocka_unit_test(a_reload_takes_effect_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
