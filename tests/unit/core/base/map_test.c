/* SPDX-License-Identifier: Apache-2.0 */
/* Chained hash tables and their hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/map.h"

enum { BUCKETS = 8 };

static void bucket_count_is_the_next_power_of_two(void **state)
{
  (void)state;
  assert_int_equal(copal_map_bucket_count(0), 1);
  assert_int_equal(copal_map_bucket_count(1), 1);
  assert_int_equal(copal_map_bucket_count(2), 2);
  assert_int_equal(copal_map_bucket_count(3), 4);
  assert_int_equal(copal_map_bucket_count(1000000), 1u << 20);
  assert_int_equal(copal_map_bucket_count(UINT32_MAX), 1u << 31);
}

static unsigned count_of(const copal_map *m, uint32_t hash)
{
  unsigned n = 0;
  for (copal_map_link *l = copal_map_first(m, hash); l; l = copal_map_next(l)) {
    assert_int_equal(l->hash, hash);
    n++;
  }
  return n;
}

static void walks_meet_only_links_of_that_hash(void **state)
{
  copal_map_link *buckets[BUCKETS] = {0};
  copal_map_link links[6] = {0};
  const uint32_t hashes[6] = {3, 3 + BUCKETS, 3, 4, 3 + 2 * BUCKETS, 3};
  copal_map m;
  (void)state;

  copal_map_init(&m, buckets, BUCKETS);
  assert_null(copal_map_first(&m, 3));
  for (int i = 0; i < 6; i++)
    copal_map_insert(&m, &links[i], hashes[i]);
  assert_int_equal(count_of(&m, 3), 3);
  assert_int_equal(count_of(&m, 3 + BUCKETS), 1);
  assert_int_equal(count_of(&m, 3 + 2 * BUCKETS), 1);
  assert_int_equal(count_of(&m, 4), 1);
  assert_int_equal(count_of(&m, 5), 0);
  assert_int_equal(count_of(&m, 3 + 3 * BUCKETS), 0);
}

static void remove_takes_exactly_that_link(void **state)
{
  copal_map_link *buckets[1] = {0};
  copal_map_link links[4] = {0};
  copal_map m;
  (void)state;

  copal_map_init(&m, buckets, 1);
  for (int i = 0; i < 4; i++)
    copal_map_insert(&m, &links[i], 7);
  copal_map_remove(&m, &links[1]); /* the middle */
  assert_int_equal(count_of(&m, 7), 3);
  copal_map_remove(&m, &links[3]); /* the head */
  assert_int_equal(count_of(&m, 7), 2);
  copal_map_remove(&m, &links[0]); /* the tail */
  assert_ptr_equal(copal_map_first(&m, 7), &links[2]);
  copal_map_remove(&m, &links[2]);
  assert_null(copal_map_first(&m, 7));
  assert_null(buckets[0]);
}

static void hash_depends_on_seed_and_each_byte(void **state)
{
  uint8_t bytes[20] = {0};
  const uint32_t base = copal_hash(1, bytes, sizeof bytes);
  (void)state;

  assert_int_equal(copal_hash(1, bytes, sizeof bytes), base);
  assert_int_not_equal(copal_hash(2, bytes, sizeof bytes), base);
  for (size_t i = 0; i < sizeof bytes; i++) {
    bytes[i] = 1;
    assert_int_not_equal(copal_hash(1, bytes, sizeof bytes), base);
    bytes[i] = 0;
  }
}

static void hash_spreads_consecutive_words_over_low_bits(void **state)
{
  unsigned load[64] = {0};
  (void)state;

  for (uint32_t i = 0; i < 64 * 64; i++)
    load[copal_hash_mix(0x12345678, i) & 63]++;
  for (unsigned b = 0; b < 64; b++)
    assert_in_range(load[b], 24, 112);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bucket_count_is_the_next_power_of_two),
      cmocka_unit_test(walks_meet_only_links_of_that_hash),
      cmocka_unit_test(remove_takes_exactly_that_link),
      cmocka_unit_test(hash_depends_on_seed_and_each_byte),
      cmocka_unit_test(hash_spreads_consecutive_words_over_low_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
