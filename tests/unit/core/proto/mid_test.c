/* SPDX-License-Identifier: Apache-2.0 */
/* Message IDs: each once before any comes again, a sequence for each peer that cannot be guessed.
 * RFC 7252 sections 4.4 and 11.4. */
#include "unit/core/proto/fixture.h"

#include "core/proto/ep.h"
#include "core/proto/mid.h"

enum { MANY = 50000 };

static void rfc7252_4_4_no_message_id_comes_again_early(void **state)
{
  fixture *f = *state;
  static uint8_t seen[8192];
  memset(seen, 0, sizeof seen);
  for (unsigned i = 0; i < MANY; i++) {
    const uint16_t mid = mid_draw(f->ep, 0x1234, f->now);
    assert_int_equal(seen[mid / 8] & 1 << mid % 8, 0);
    seen[mid / 8] |= (uint8_t)(1 << mid % 8);
  }
  assert_int_equal(fx_stats(f)->mid_wraps, 0);
}

static void a_round_too_fast_is_counted(void **state)
{
  fixture *f = *state;
  for (unsigned i = 0; i < 2 * 65536; i++)
    (void)mid_draw(f->ep, 0x1234, f->now);
  const copal_count wraps = fx_stats(f)->mid_wraps;
  assert_in_range(wraps, 1, 3);
  (void)mid_draw(f->ep, 0x1235, f->now); /* another counter begins */
  assert_int_equal(fx_stats(f)->mid_wraps, wraps);
  f->now += (copal_time)247 * COPAL_SECOND; /* EXCHANGE_LIFETIME: one round more is fine */
  for (unsigned i = 0; i < MANY; i++)
    (void)mid_draw(f->ep, 0x1234, f->now);
  assert_int_equal(fx_stats(f)->mid_wraps, wraps);
}

static void rfc7252_8_1_groups_have_message_ids_of_their_own(void **state)
{
  fixture *f = *state;
  static uint8_t seen[8192];
  memset(seen, 0, sizeof seen);
  for (unsigned i = 0; i < 4000; i++) {
    const uint16_t mid = mid_draw_group(f->ep, 99, f->now);
    seen[mid / 8] |= (uint8_t)(1 << mid % 8);
  }
  for (unsigned i = 0; i < MANY; i++) {
    const uint16_t mid = mid_draw(f->ep, 1234, f->now);
    assert_int_equal(seen[mid / 8] & 1 << mid % 8, 0);
  }
}

static void a_slow_round_is_no_wrap(void **state)
{
  fixture *f = *state;
  for (unsigned i = 0; i < 3 * 65536; i++) {
    (void)mid_draw(f->ep, 0x1234, f->now);
    f->now += 5 * COPAL_MILLISECOND; /* 327 s for a round */
  }
  assert_int_equal(fx_stats(f)->mid_wraps, 0);
}

static void rfc7252_11_4_consecutive_ids_are_not_consecutive(void **state)
{
  fixture *f = *state;
  unsigned near = 0;
  uint16_t last = mid_draw(f->ep, 77, f->now);
  for (int i = 0; i < 1000; i++) {
    const uint16_t mid = mid_draw(f->ep, 77, f->now);
    near += (uint16_t)(mid - last) < 16 || (uint16_t)(last - mid) < 16;
    last = mid;
  }
  assert_true(near < 20); /* about one half in a thousand by chance */
}

static void peers_that_share_a_counter_have_sequences_of_their_own(void **state)
{
  fixture *f = *state;
  unsigned equal = 0;
  for (int i = 0; i < 1000; i++) {
    const uint16_t a = mid_draw(f->ep, 16, f->now);
    const uint16_t b = mid_draw(f->ep, 32, f->now); /* the same counter of sixteen */
    equal += (uint16_t)(b - a) == 1;
  }
  assert_true(equal < 10);
}

static void rfc7252_4_4_the_first_id_depends_on_entropy(void **state)
{
  fixture *f = *state;
  uint16_t first[8];
  unsigned equal = 0;
  for (int i = 0; i < 8; i++) {
    fx_restart(f);
    first[i] = mid_draw(f->ep, 1, f->now);
    for (int j = 0; j < i; j++)
      equal += first[j] == first[i];
  }
  assert_true(equal < 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_4_4_no_message_id_comes_again_early),
      TEST(a_round_too_fast_is_counted),
      TEST(rfc7252_8_1_groups_have_message_ids_of_their_own),
      TEST(a_slow_round_is_no_wrap),
      TEST(rfc7252_11_4_consecutive_ids_are_not_consecutive),
      TEST(peers_that_share_a_counter_have_sequences_of_their_own),
      TEST(rfc7252_4_4_the_first_id_depends_on_entropy),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
