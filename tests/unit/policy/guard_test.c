/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the amplification guard. RFC 7252 section 11.3, RFC 9175 sections 2.3 and 2.4. */
#include "policy/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"

enum { FREE = 136, BURST = 1000, REFILL = 100 };

static const copal_time start = 1000 * COPAL_SECOND;

/* 203.0.113.`host`, port 5683. */
static copal_path source(uint8_t host)
{
  return (copal_path){
      .remote = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, host}, 5683, 0}};
}

static guard *open_guard(void)
{
  const guard_cfg cfg = {
      .free_size = FREE, .burst = BURST, .refill = REFILL, .verified_for = 60 * COPAL_SECOND};
  guard *g = guard_open(&cfg);
  assert_non_null(g);
  return g;
}

static bool may_send(guard *g, const copal_path *path, size_t len, copal_time now)
{
  copal_guard *hook = guard_hook(g);
  return hook->allows(hook, path, len, now);
}

static void spend_budget(guard *g, const copal_path *path)
{
  assert_true(may_send(g, path, BURST, start));
  assert_false(may_send(g, path, FREE + 1, start));
}

static void rfc9175_2_4_small_responses_are_free(void **state)
{
  (void)state;
  guard *g = open_guard();
  const copal_path path = source(1);
  spend_budget(g, &path);
  for (int i = 0; i < 1000; i++)
    assert_true(may_send(g, &path, FREE, start));
  assert_int_equal(guard_stats_now(g)->drawn, 1);
  assert_int_equal(guard_stats_now(g)->refused, 1);
  guard_close(g);
}

static void rfc7252_11_3_prefix_shares_a_budget_that_refills(void **state)
{
  (void)state;
  guard *g = open_guard();
  const copal_path path = source(1), neighbour = source(2);
  spend_budget(g, &path);
  assert_false(may_send(g, &neighbour, 200, start));
  assert_false(may_send(g, &neighbour, 200, start + COPAL_SECOND));
  assert_true(may_send(g, &neighbour, 200, start + 2 * COPAL_SECOND));
  assert_false(may_send(g, &path, 200, start + 2 * COPAL_SECOND));
  assert_true(may_send(g, &path, BURST, start + 100 * (copal_time)COPAL_SECOND));
  guard_close(g);
}

static void rfc9175_2_3_echo_verifies_its_endpoint_only(void **state)
{
  (void)state;
  guard *g = open_guard();
  copal_guard *hook = guard_hook(g);
  const copal_path path = source(1), other = source(2);
  uint8_t echo[COPAL_ECHO_SIZE];
  spend_budget(g, &path);
  hook->challenge(hook, &path, echo, start);
  hook->on_echo(hook, &other, copal_span_of(echo, sizeof echo), start);
  assert_false(may_send(g, &other, 500, start));
  assert_int_equal(guard_stats_now(g)->echo_bad, 1);
  hook->on_echo(hook, &path, copal_span_of(echo, sizeof echo), start);
  assert_true(may_send(g, &path, 100000, start));
  assert_int_equal(guard_stats_now(g)->verified, 1);
  assert_false(may_send(g, &path, 100000, start + 60 * (copal_time)COPAL_SECOND));
  guard_close(g);
}

static void rfc9175_2_3_echo_that_is_old_forged_or_cut_is_refused(void **state)
{
  (void)state;
  guard *g = open_guard();
  copal_guard *hook = guard_hook(g);
  const copal_path path = source(1);
  uint8_t echo[COPAL_ECHO_SIZE];
  spend_budget(g, &path);
  hook->challenge(hook, &path, echo, start);
  hook->on_echo(hook, &path, copal_span_of(echo, sizeof echo),
                start + 60 * (copal_time)COPAL_SECOND);
  hook->on_echo(hook, &path, copal_span_of(echo, sizeof echo - 1), start);
  for (size_t i = 0; i < sizeof echo; i++) {
    echo[i] ^= 1;
    hook->on_echo(hook, &path, copal_span_of(echo, sizeof echo), start);
    echo[i] ^= 1;
  }
  assert_false(may_send(g, &path, 500, start));
  assert_int_equal(guard_stats_now(g)->echo_bad, 2 + sizeof echo);
  assert_int_equal(guard_stats_now(g)->verified, 0);
  guard_close(g);
}

static void rfc9175_2_4_acknowledgement_verifies(void **state)
{
  (void)state;
  guard *g = open_guard();
  copal_guard *hook = guard_hook(g);
  const copal_path path = source(1);
  spend_budget(g, &path);
  hook->on_acknowledged(hook, &path, start);
  assert_true(may_send(g, &path, 5000, start));
  guard_close(g);
}

static void rfc9175_2_4_reset_to_a_probe_verifies(void **state)
{
  (void)state;
  guard *g = open_guard();
  copal_guard *hook = guard_hook(g);
  const copal_path path = source(1), other = source(2);
  uint16_t mid, ignored;
  assert_false(hook->probe(hook, &path, &mid, start));
  assert_true(may_send(g, &path, BURST / 2, start));
  assert_true(hook->probe(hook, &path, &mid, start));
  assert_false(hook->probe(hook, &path, &ignored, start));
  assert_false(hook->on_reset(hook, &path, (uint16_t)(mid + 1), start));
  assert_false(hook->on_reset(hook, &other, mid, start));
  assert_true(hook->on_reset(hook, &path, mid, start + 50 * (copal_time)COPAL_SECOND));
  assert_true(may_send(g, &path, 100000, start));
  assert_false(may_send(g, &other, 100000, start));
  guard_close(g);
}

static void rfc7252_8_2_who_asks_a_group_is_not_probed(void **state)
{
  (void)state;
  guard *g = open_guard();
  copal_guard *hook = guard_hook(g);
  copal_path path = source(1);
  const copal_path other = source(2);
  uint16_t mid;
  path.flags |= COPAL_PATH_GROUP;
  assert_true(may_send(g, &path, BURST / 2, start));
  assert_false(hook->probe(hook, &path, &mid, start));
  assert_false(hook->probe(hook, &other, &mid, start)); /* which has drawn nothing */
  guard_close(g);
}

static void rfc9175_2_4_guessing_a_probe_spends_the_budget(void **state)
{
  (void)state;
  guard *g = open_guard();
  copal_guard *hook = guard_hook(g);
  const copal_path path = source(1);
  uint16_t mid;
  assert_true(may_send(g, &path, 200, start));
  assert_true(hook->probe(hook, &path, &mid, start));
  for (uint16_t i = 1; i < 100; i++)
    assert_false(hook->on_reset(hook, &path, (uint16_t)(mid + i), start));
  assert_false(hook->on_reset(hook, &path, mid, start));
  guard_close(g);
}

static void loopback_secure_and_trusted_sources_are_not_limited(void **state)
{
  (void)state;
  guard *g = open_guard();
  copal_path secure = source(1);
  copal_path loopback = source(1), loopback6 = {.remote = {{[15] = 1}, 5683, 0}};
  guard_cfg cfg = {.free_size = FREE, .net_count = 1};
  spend_budget(g, &secure);
  secure.flags = COPAL_PATH_SECURE;
  memcpy(loopback.remote.ip + 12, (uint8_t[]){127, 1, 2, 3}, 4);
  assert_true(may_send(g, &secure, 5000, start));
  assert_true(may_send(g, &loopback, 5000, start));
  assert_true(may_send(g, &loopback6, 5000, start));
  assert_int_equal(guard_net_parse("203.0.113.0/25", &cfg.nets[0]), 0);
  guard_reload(g, &cfg);
  const copal_path inside = source(127), outside = source(128);
  assert_true(may_send(g, &inside, 5000, start));
  assert_false(may_send(g, &outside, 5000, start));
  guard_close(g);
}

static void networks_are_parsed_strictly(void **state)
{
  (void)state;
  static const char *const good[] = {"0.0.0.0/0", "10.0.0.0/8", "192.0.2.1", "::/0",
                                     "2001:db8::/32"};
  static const char *const bad[] = {"",    "10.0.0.0/33", "10.0.0/8",    "::/129", "10.0.0.0/",
                                    "x/8", "::1/-1",      "10.0.0.0/8x", "/8",     "1.2.3.4/ 8"};
  static const uint8_t bits[] = {96, 104, 128, 0, 32};
  guard_net net;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    assert_int_equal(guard_net_parse(good[i], &net), 0);
    assert_int_equal(net.bits, bits[i]);
  }
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(guard_net_parse(bad[i], &net), COPAL_EINVAL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc9175_2_4_small_responses_are_free),
      cmocka_unit_test(rfc7252_11_3_prefix_shares_a_budget_that_refills),
      cmocka_unit_test(rfc9175_2_3_echo_verifies_its_endpoint_only),
      cmocka_unit_test(rfc9175_2_3_echo_that_is_old_forged_or_cut_is_refused),
      cmocka_unit_test(rfc9175_2_4_acknowledgement_verifies),
      cmocka_unit_test(rfc9175_2_4_reset_to_a_probe_verifies),
      cmocka_unit_test(rfc7252_8_2_who_asks_a_group_is_not_probed),
      cmocka_unit_test(rfc9175_2_4_guessing_a_probe_spends_the_budget),
      cmocka_unit_test(loopback_secure_and_trusted_sources_are_not_limited),
      cmocka_unit_test(networks_are_parsed_strictly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
