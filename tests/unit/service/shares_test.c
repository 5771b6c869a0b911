/* SPDX-License-Identifier: Apache-2.0 */
/* Shares of holders: as counting all things tells, whatever comes and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/shares.h"

enum { THINGS = 60, HOLDERS = 7, STEPS = 20000 };

/* A thing, who holds it, and when it was new. */
typedef struct thing {
  holding h;
  uint8_t key;
  bool is_held;
  unsigned since;
} thing;

static thing things[THINGS];
static shares s;

static copal_span key_of(const thing *t)
{
  return copal_span_of(&t->key, sizeof t->key);
}

static uint32_t count_of(uint8_t key, const thing **oldest)
{
  uint32_t count = 0;
  *oldest = NULL;
  for (int i = 0; i < THINGS; i++) {
    const thing *t = &things[i];
    if (!t->is_held || t->key != key)
      continue;
    count++;
    if (*oldest == NULL || t->since < (*oldest)->since)
      *oldest = t;
  }
  return count;
}

static uint32_t count_all(void)
{
  uint32_t count = 0;
  for (int i = 0; i < THINGS; i++)
    count += things[i].is_held;
  return count;
}

static void expect_right_shares(void)
{
  const thing *most = NULL;
  const uint32_t total = count_all();
  for (uint8_t key = 0; key < HOLDERS; key++) {
    const thing *oldest;
    holding *told;
    const uint32_t count = count_of(key, &oldest);
    assert_int_equal(shares_of(&s, copal_span_of(&key, 1), &told), count);
    assert_ptr_equal(told, oldest != NULL ? &oldest->h : NULL);
    if (count > total / 2)
      most = oldest;
  }
  assert_ptr_equal(shares_majority(&s, total), most != NULL ? &most->h : NULL);
}

static void shares_are_right_whatever_comes_and_goes(void **state)
{
  uint32_t random = 1;
  unsigned majorities = 0;
  (void)state;
  for (unsigned step = 1; step <= STEPS; step++) {
    random = random * 1664525u + 1013904223u;
    thing *t = &things[(random >> 8) % THINGS];
    if (!t->is_held) {
      /* In some stretches nearly all belongs to one. */
      t->key = (uint8_t)(step / 1000 % 2 == 0 || random >> 30 == 0 ? (random >> 16) % HOLDERS : 3);
      assert_true(shares_add(&s, &t->h, key_of(t)));
      t->is_held = true;
      t->since = step;
    } else if (random >> 31 != 0) {
      shares_renew(&t->h);
      t->since = step;
    } else {
      shares_drop(&s, &t->h);
      t->is_held = false;
    }
    expect_right_shares();
    majorities += shares_majority(&s, count_all()) != NULL;
  }
  assert_in_range(majorities, STEPS / 10, STEPS - STEPS / 10);
  for (int i = 0; i < THINGS; i++)
    shares_drop(&s, &things[i].h);
  assert_int_equal(s.count, 0);
  shares_wipe(&s);
}

static void what_nobody_holds_may_be_dropped_and_renewed(void **state)
{
  holding h = {0};
  holding *oldest = &h;
  (void)state;
  shares_renew(&h);
  shares_drop(&s, &h);
  assert_int_equal(shares_of(&s, copal_span_str("x"), &oldest), 0);
  assert_null(oldest);
  assert_null(shares_majority(&s, 0));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shares_are_right_whatever_comes_and_goes),
      cmocka_unit_test(what_nobody_holds_may_be_dropped_and_renewed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
