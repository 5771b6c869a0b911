/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of answers to lookups by identity. */
#include "policy/lookup/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"

enum { MAX = 8, KNOWN_MAX = 6, UNKNOWN_MAX = 2, PENDING_MAX = 3 };

static copal_span name_of(int i)
{
  static char text[32];
  snprintf(text, sizeof text, "dev-%d", i);
  return copal_span_str(text);
}

static cached *add(cache *c, int i, bool is_known)
{
  answer a = {.psks = {.count = 1}, .ttl_s = i};
  cached *e = cache_add(c, name_of(i));
  assert_non_null(e);
  cache_settle(c, e, is_known ? &a : NULL, 1, 2);
  return cache_find(c, name_of(i));
}

static void entries_are_found_in_their_state(void **state)
{
  (void)state;
  cache c;
  assert_int_equal(cache_init(&c, MAX, PENDING_MAX), COPAL_OK);
  assert_null(cache_find(&c, name_of(1)));
  cached *e = cache_add(&c, name_of(1));
  assert_ptr_equal(cache_find(&c, name_of(1)), e);
  assert_int_equal(e->state, CACHED_PENDING);
  const answer a = {.ttl_s = 7};
  cache_settle(&c, e, &a, 99, 100);
  assert_int_equal(cache_find(&c, name_of(1))->state, CACHED_KNOWN);
  assert_int_equal(e->expires_ms, 99);
  assert_int_equal(e->answer->ttl_s, 7);
  assert_int_equal(add(&c, 2, false)->state, CACHED_UNKNOWN);
  cache_remove(&c, e);
  assert_null(cache_find(&c, name_of(1)));
  cache_wipe(&c);
}

static void the_one_used_longest_ago_is_pushed_out(void **state)
{
  (void)state;
  cache c;
  assert_int_equal(cache_init(&c, MAX, PENDING_MAX), COPAL_OK);
  for (int i = 0; i < KNOWN_MAX; i++)
    add(&c, i, true);
  cache_touch(&c, cache_find(&c, name_of(0)));
  add(&c, 100, true);
  assert_non_null(cache_find(&c, name_of(0)));
  assert_null(cache_find(&c, name_of(1)));
  assert_int_equal(c.evicted, 1);
  assert_int_equal(c.lists[CACHED_KNOWN].count, KNOWN_MAX);
  cache_wipe(&c);
}

static void strangers_push_out_nobody_who_is_known(void **state)
{
  (void)state;
  cache c;
  assert_int_equal(cache_init(&c, MAX, PENDING_MAX), COPAL_OK);
  for (int i = 0; i < KNOWN_MAX; i++)
    add(&c, i, true);
  for (int i = 100; i < 1000; i++)
    add(&c, i, false);
  for (int i = 0; i < KNOWN_MAX; i++)
    assert_non_null(cache_find(&c, name_of(i)));
  assert_int_equal(c.lists[CACHED_UNKNOWN].count, UNKNOWN_MAX);
  cache_wipe(&c);
}

static void pending_ones_are_bounded_and_never_pushed_out(void **state)
{
  (void)state;
  cache c;
  assert_int_equal(cache_init(&c, MAX, PENDING_MAX), COPAL_OK);
  for (int i = 0; i < PENDING_MAX; i++)
    assert_non_null(cache_add(&c, name_of(i)));
  assert_null(cache_add(&c, name_of(PENDING_MAX)));
  cached *e = cache_find(&c, name_of(0));
  cache_settle(&c, e, NULL, 1, 1);
  for (int i = 100; i < 120; i++)
    add(&c, i, true);
  assert_non_null(cache_find(&c, name_of(1)));
  cache_wipe(&c);
}

static void flush_leaves_pending_ones_which_know_nothing(void **state)
{
  (void)state;
  cache c;
  assert_int_equal(cache_init(&c, MAX, PENDING_MAX), COPAL_OK);
  add(&c, 1, true);
  add(&c, 2, false);
  cached *e = cache_add(&c, name_of(3));
  cached *again = add(&c, 4, true);
  assert_true(cache_reopen(&c, again));
  assert_non_null(again->answer);
  cache_flush(&c);
  assert_null(again->answer);
  assert_null(cache_find(&c, name_of(1)));
  assert_null(cache_find(&c, name_of(2)));
  assert_ptr_equal(cache_find(&c, name_of(3)), e);
  assert_true(e->is_flushed);
  cache_wipe(&c);
}

static void reopened_ones_keep_what_they_know(void **state)
{
  (void)state;
  cache c;
  assert_int_equal(cache_init(&c, MAX, PENDING_MAX), COPAL_OK);
  cached *e = add(&c, 1, true);
  assert_true(cache_reopen(&c, e));
  assert_int_equal(e->state, CACHED_PENDING);
  assert_int_equal(e->fallback_ms, 2);
  for (int i = 100; i < 120; i++)
    add(&c, i, true);
  cache_resettle(&c, e, 50);
  assert_int_equal(e->state, CACHED_KNOWN);
  assert_int_equal(e->expires_ms, 50);
  assert_int_equal(e->fallback_ms, 2);
  assert_int_equal(e->answer->ttl_s, 1);
  assert_int_equal(c.lists[CACHED_KNOWN].count, KNOWN_MAX);
  assert_true(cache_reopen(&c, e));
  cache_settle(&c, e, NULL, 60, 60);
  assert_int_equal(e->state, CACHED_UNKNOWN);
  assert_null(e->answer);
  for (int i = 200; i < 200 + PENDING_MAX; i++)
    assert_non_null(cache_add(&c, name_of(i)));
  assert_false(cache_reopen(&c, e));
  cache_wipe(&c);
}

static void identities_that_share_a_bucket_are_told_apart(void **state)
{
  enum { MANY = 2000 };
  (void)state;
  cache c;
  assert_int_equal(cache_init(&c, 4 * MANY, PENDING_MAX), COPAL_OK);
  c.mask = 1; /* two buckets for all */
  for (int i = 0; i < MANY; i++)
    add(&c, i, true);
  for (int i = 0; i < MANY; i += 2)
    cache_remove(&c, cache_find(&c, name_of(i)));
  for (int i = 0; i < MANY; i++) {
    const cached *e = cache_find(&c, name_of(i));
    assert_int_equal(e != NULL, i % 2);
    assert_true(e == NULL || e->answer->ttl_s == i);
  }
  cache_wipe(&c);
}

static void too_long_an_identity_has_no_entry(void **state)
{
  (void)state;
  uint8_t bytes[DTLS_PSK_IDENTITY_MAX + 1] = {0};
  cache c;
  assert_int_equal(cache_init(&c, MAX, PENDING_MAX), COPAL_OK);
  assert_null(cache_add(&c, copal_span_of(bytes, sizeof bytes)));
  assert_non_null(cache_add(&c, copal_span_of(bytes, sizeof bytes - 1)));
  cache_wipe(&c);
  cache_wipe(&c);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(entries_are_found_in_their_state),
      cmocka_unit_test(the_one_used_longest_ago_is_pushed_out),
      cmocka_unit_test(strangers_push_out_nobody_who_is_known),
      cmocka_unit_test(pending_ones_are_bounded_and_never_pushed_out),
      cmocka_unit_test(flush_leaves_pending_ones_which_know_nothing),
      cmocka_unit_test(reopened_ones_keep_what_they_know),
      cmocka_unit_test(identities_that_share_a_bucket_are_told_apart),
      cmocka_unit_test(too_long_an_identity_has_no_entry),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
