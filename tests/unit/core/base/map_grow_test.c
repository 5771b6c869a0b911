/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that grow with what is in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/map.h"

enum {
  COUNT = 1 << 16, /* that the table is made for */
  MORE = COUNT + COUNT / 4,
  HEAD = 16, /* bytes in front of the buckets: some are left as they are */
  FILLING = 0xa5,
};

/* A table and what is in it, in one run of memory. */
typedef struct stage {
  copal_map m;
  uint64_t len; /* bytes of the table */
  bool is_in[MORE];
  copal_map_link links[MORE];
  uint8_t mem[COUNT * sizeof(copal_map_ref) + 64];
} stage;

static int open_stage(void **state)
{
  stage *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
  if (!s)
    return -1;
  memset(s, FILLING, sizeof *s);
  memset(s->is_in, 0, sizeof s->is_in);
  copal_carver c = {.mem = s->mem};
  copal_map_carve(&s->m, &c, COUNT);
  s->len = c.len;
  *state = s;
  return c.len <= sizeof s->mem ? 0 : -1;
}

static int close_stage(void **state)
{
  free(*state);
  return 0;
}

/* Neighbours have neighbouring hashes, as Message IDs have; runs of them lie anywhere. */
static uint32_t hash_of(uint32_t i)
{
  return copal_hash_mix(77, i / 64) + i % 64;
}

static void insert(stage *s, uint32_t i)
{
  copal_map_insert(&s->m, &s->links[i], hash_of(i));
  s->is_in[i] = true;
}

static void take_out(stage *s, uint32_t i)
{
  copal_map_remove(&s->m, &s->links[i]);
  s->is_in[i] = false;
}

static bool is_found(const stage *s, uint32_t i)
{
  const copal_map_link *link = copal_map_first(&s->m, hash_of(i));
  while (link && link != &s->links[i])
    link = copal_map_next(&s->m, link);
  return link != NULL;
}

static void assert_all(const stage *s)
{
  for (uint32_t i = 0; i < MORE; i++)
    assert_int_equal(is_found(s, i), s->is_in[i]);
}

/* Bytes of the table that have been written to, `known` of them seen before. */
static size_t touched(const stage *s, size_t known)
{
  const uint8_t fresh[sizeof(copal_map_ref)] = {FILLING, FILLING, FILLING, FILLING};
  while (known < s->len && memcmp(s->mem + known, fresh, sizeof fresh) != 0)
    known += sizeof fresh;
  return known;
}

/* Each insertion may put buckets into use; one of those that were there before is looked for each
 * time, all now and then. */
static void all_are_found_while_it_grows_and_beyond(void **state)
{
  stage *s = *state;
  for (uint32_t i = 0; i < MORE; i++) {
    insert(s, i);
    assert_true(is_found(s, i));
    assert_true(is_found(s, i * 7919u % (i + 1)));
    if (i % 4096 == 4095)
      assert_all(s);
  }
  assert_all(s);
}

/* As messages received are: each goes in behind those of its bucket, the oldest leave. */
static void appended_links_are_found_and_leave_in_their_order(void **state)
{
  enum { WINDOW = COUNT / 2 };
  stage *s = *state;
  for (uint32_t i = 0; i < MORE; i++) {
    copal_map_append(&s->m, &s->links[i], hash_of(i));
    s->is_in[i] = true;
    if (i >= WINDOW)
      take_out(s, i - WINDOW);
    assert_true(is_found(s, i));
    if (i % 4096 == 4095)
      assert_all(s);
  }
  assert_all(s);
}

static void memory_is_touched_in_proportion(void **state)
{
  stage *s = *state;
  const size_t begin = touched(s, HEAD);
  assert_in_range(begin, HEAD + 1, s->len / 4);
  size_t before = begin;
  for (uint32_t i = 0; i < COUNT; i++) {
    if (i == COUNT / 4)
      assert_in_range(before, begin, s->len * 5 / 8);
    insert(s, i);
    const size_t now = touched(s, before);
    assert_in_range(now - before, 0, 256); /* no pause: a few buckets at a time */
    before = now;
  }
  assert_true(before + 8 > s->len);
}

static void what_comes_and_goes_takes_no_more_memory(void **state)
{
  stage *s = *state;
  for (uint32_t i = 0; i < COUNT / 4; i++)
    insert(s, i);
  const size_t before = touched(s, HEAD);
  for (uint32_t i = COUNT / 4; i < COUNT; i++) {
    take_out(s, i - COUNT / 4);
    insert(s, i);
  }
  assert_int_equal(touched(s, HEAD), before);
  assert_all(s);
}

static void any_may_go_while_it_grows(void **state)
{
  stage *s = *state;
  uint32_t random = 1;
  for (uint32_t i = 0; i < 4 * COUNT; i++) {
    random = random * 1664525 + 1013904223;
    const uint32_t at = (random >> 8) % MORE;
    if (!s->is_in[at])
      insert(s, at);
    else if (random >> 31)
      take_out(s, at);
    assert_int_equal(is_found(s, at), s->is_in[at]);
  }
  assert_all(s);
}

static void an_emptied_table_serves_again(void **state)
{
  stage *s = *state;
  for (int round = 0; round < 2; round++) {
    for (uint32_t i = 0; i < MORE; i++)
      insert(s, i);
    assert_all(s);
    for (uint32_t i = 0; i < MORE; i++)
      take_out(s, i);
    assert_all(s);
  }
  for (uint32_t hash = 0; hash < COUNT; hash++)
    assert_null(copal_map_alike(&s->m, hash));
}

/* An attacker who knew the key: one bucket has them all, and stays in order. */
static void equal_hashes_stay_together_newest_first(void **state)
{
  enum { EQUAL = 500 };
  stage *s = *state;
  for (uint32_t i = 0; i < EQUAL; i++)
    copal_map_insert(&s->m, &s->links[i], 0xfffffff7);
  for (uint32_t i = EQUAL; i < COUNT; i++)
    insert(s, i);
  const copal_map_link *link = copal_map_first(&s->m, 0xfffffff7);
  for (uint32_t i = EQUAL; i-- > 0; link = copal_map_next(&s->m, link))
    assert_ptr_equal(link, &s->links[i]);
  assert_null(link);
  for (uint32_t i = 0; i < EQUAL; i++)
    copal_map_remove(&s->m, &s->links[i]);
  assert_null(copal_map_first(&s->m, 0xfffffff7));
}

static void alike_share_a_bucket_of_the_whole_table(void **state)
{
  stage *s = *state;
  copal_map_insert(&s->m, &s->links[0], 5);
  for (uint32_t bit = 1; bit < COUNT; bit <<= 1)
    assert_null(copal_map_alike(&s->m, 5 ^ bit)); /* though one bucket has both, at first */
  assert_ptr_equal(copal_map_alike(&s->m, 5 + COUNT), &s->links[0]);
}

static void a_table_reaches_16_gibibytes(void **state)
{
  (void)state;
  assert_true(copal_map_reaches((UINT64_C(1) << 34) - 1));
  assert_int_equal(copal_map_reaches(UINT64_C(1) << 34), sizeof(void *) == sizeof(uint32_t));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(all_are_found_while_it_grows_and_beyond),
      TEST(appended_links_are_found_and_leave_in_their_order),
      TEST(memory_is_touched_in_proportion),
      TEST(what_comes_and_goes_takes_no_more_memory),
      TEST(any_may_go_while_it_grows),
      TEST(an_emptied_table_serves_again),
      TEST(equal_hashes_stay_together_newest_first),
      TEST(alike_share_a_bucket_of_the_whole_table),
      cmocka_unit_test(a_table_reaches_16_gibibytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
