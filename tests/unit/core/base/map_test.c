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

enum {
  BUCKETS = 8,
  LINKS = 6,
};

/* A table and what is in it, in one run of memory. */
typedef struct stage {
  copal_map_link links[LINKS];
  uint64_t mem[64];
} stage;

static void carve(stage *s, copal_map *m, uint32_t count)
{
  copal_carver measure = {0};
  copal_carver c = {.mem = (uint8_t *)s->mem};

  memset(s, 0xa5, sizeof *s); /* memory need not be clear */
  copal_map_carve(NULL, &measure, count);
  copal_map_carve(m, &c, count);
  assert_int_equal(c.len, measure.len);
  assert_true(c.len <= sizeof s->mem);
}

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
  for (copal_map_link *l = copal_map_first(m, hash); l; l = copal_map_next(m, l)) {
    assert_int_equal(l->hash, hash);
    n++;
  }
  return n;
}

static void walks_meet_only_links_of_that_hash(void **state)
{
  const uint32_t hashes[LINKS] = {3, 3 + BUCKETS, 3, 4, 3 + 2 * BUCKETS, 3};
  stage s;
  copal_map m;
  (void)state;

  carve(&s, &m, BUCKETS);
  assert_null(copal_map_first(&m, 3));
  for (int i = 0; i < LINKS; i++)
    copal_map_insert(&m, &s.links[i], hashes[i]);
  assert_int_equal(count_of(&m, 3), 3);
  assert_int_equal(count_of(&m, 3 + BUCKETS), 1);
  assert_int_equal(count_of(&m, 3 + 2 * BUCKETS), 1);
  assert_int_equal(count_of(&m, 4), 1);
  assert_int_equal(count_of(&m, 5), 0);
  assert_int_equal(count_of(&m, 3 + 3 * BUCKETS), 0);
}

static void remove_takes_exactly_that_link(void **state)
{
  stage s;
  copal_map m;
  (void)state;

  carve(&s, &m, 1);
  for (int i = 0; i < 4; i++)
    copal_map_insert(&m, &s.links[i], 7);
  copal_map_remove(&m, &s.links[1]); /* the middle */
  assert_int_equal(count_of(&m, 7), 3);
  copal_map_remove(&m, &s.links[3]); /* the head */
  assert_int_equal(count_of(&m, 7), 2);
  copal_map_remove(&m, &s.links[0]); /* the tail */
  assert_ptr_equal(copal_map_first(&m, 7), &s.links[2]);
  copal_map_remove(&m, &s.links[2]);
  assert_null(copal_map_first(&m, 7));
  assert_int_equal(*copal_map_bucket(&m, 7), 0);
}

static void one_bucket_takes_all_hashes(void **state)
{
  stage s;
  copal_map m;
  (void)state;

  carve(&s, &m, 0);
  for (uint32_t i = 0; i < LINKS; i++)
    copal_map_insert(&m, &s.links[i], UINT32_MAX - i);
  for (uint32_t i = 0; i < LINKS; i++)
    assert_ptr_equal(copal_map_first(&m, UINT32_MAX - i), &s.links[i]);
  for (uint32_t i = 0; i < LINKS; i++)
    copal_map_remove(&m, &s.links[i]);
  assert_null(copal_map_alike(&m, 0));
}

static void alike_are_those_of_one_bucket(void **state)
{
  stage s;
  copal_map m;
  (void)state;

  carve(&s, &m, BUCKETS);
  assert_int_equal(m.mask, BUCKETS - 1);
  assert_null(copal_map_alike(&m, 5));
  copal_map_insert(&m, &s.links[0], 5 + BUCKETS);
  assert_ptr_equal(copal_map_alike(&m, 5), &s.links[0]);
  assert_null(copal_map_alike(&m, 4));
  copal_map_remove(&m, &s.links[0]);
  assert_null(copal_map_alike(&m, 5));
}

static void links_are_newest_first(void **state)
{
  stage s;
  copal_map m;
  (void)state;

  carve(&s, &m, BUCKETS);
  for (int i = 0; i < LINKS; i++)
    copal_map_insert(&m, &s.links[i], 9);
  const copal_map_link *link = copal_map_first(&m, 9);
  for (int i = LINKS; i-- > 0; link = copal_map_next(&m, link))
    assert_ptr_equal(link, &s.links[i]);
  assert_null(link);
}

static void appended_links_are_oldest_first(void **state)
{
  stage s;
  copal_map m;
  (void)state;

  carve(&s, &m, BUCKETS);
  for (int i = 0; i < LINKS; i++)
    copal_map_append(&m, &s.links[i], 9);
  copal_map_remove(&m, &s.links[0]);         /* the first */
  copal_map_remove(&m, &s.links[LINKS - 1]); /* the last: its place is the next one's */
  copal_map_append(&m, &s.links[0], 9);
  const int order[] = {1, 2, 3, 4, 0};
  const copal_map_link *link = copal_map_first(&m, 9);
  for (size_t i = 0; i < sizeof order / sizeof order[0]; i++, link = copal_map_next(&m, link))
    assert_ptr_equal(link, &s.links[order[i]]);
  assert_null(link);
}

static void foresight_changes_nothing(void **state)
{
  stage s;
  copal_map m;
  (void)state;

  carve(&s, &m, BUCKETS);
  copal_map_foresee(&m, 9); /* nobody is there */
  copal_map_insert(&m, &s.links[0], 9);
  const stage before = s;
  copal_map_foresee(&m, 9);
  assert_memory_equal(&s, &before, sizeof s);
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
      cmocka_unit_test(one_bucket_takes_all_hashes),
      cmocka_unit_test(alike_are_those_of_one_bucket),
      cmocka_unit_test(links_are_newest_first),
      cmocka_unit_test(appended_links_are_oldest_first),
      cmocka_unit_test(foresight_changes_nothing),
      cmocka_unit_test(hash_depends_on_seed_and_each_byte),
      cmocka_unit_test(hash_spreads_consecutive_words_over_low_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
