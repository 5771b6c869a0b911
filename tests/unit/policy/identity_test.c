/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of identities by number. RFC 7252 section 9.1. */
#include "policy/identity.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"

enum { MAX = 4, THREADS = 4, ROUNDS = 2000 };

static identities *open_all(uint32_t max)
{
  identities *all = identities_open(max);
  assert_non_null(all);
  return all;
}

static identity_ref hold(identities *all, identity_kind kind, const char *name)
{
  identity_ref ref;
  assert_int_equal(identity_hold(all, kind, copal_span_str(name), &ref), COPAL_OK);
  return ref;
}

static void zero_is_anonymous_and_needs_no_holding(void **state)
{
  (void)state;
  identities *all = open_all(MAX);
  identity_ref ref = 7;
  assert_int_equal(identity_hold(all, IDENTITY_ANONYMOUS, copal_span_none(), &ref), COPAL_OK);
  assert_int_equal(ref, 0);
  assert_int_equal(identity_of(all, 0)->kind, IDENTITY_ANONYMOUS);
  assert_int_equal(identity_of(all, 0)->name.len, 0);
  identity_hold_again(all, 0);
  identity_release(all, 0);
  assert_int_equal(identities_count(all), 0);
  identities_close(all);
}

static void equal_identities_share_a_number_while_held(void **state)
{
  (void)state;
  identities *all = open_all(MAX);
  const identity_ref a = hold(all, IDENTITY_PSK, "alice");
  assert_int_equal(hold(all, IDENTITY_PSK, "alice"), a);
  assert_int_not_equal(hold(all, IDENTITY_X509, "alice"), a);
  identity_hold_again(all, a);
  identity_release(all, a);
  identity_release(all, a);
  assert_true(copal_span_is_equal(identity_of(all, a)->name, copal_span_str("alice")));
  assert_int_equal(identity_of(all, a)->kind, IDENTITY_PSK);
  identity_release(all, a);
  assert_int_equal(identities_count(all), 1);
  identities_close(all);
}

static void a_number_used_again_has_another_serial(void **state)
{
  (void)state;
  identities *all = open_all(1);
  const identity_ref a = hold(all, IDENTITY_PSK, "a");
  const uint64_t serial = identity_of(all, a)->serial;
  assert_true(serial != identity_of(all, 0)->serial);
  identity_release(all, a);
  assert_int_equal(hold(all, IDENTITY_PSK, "b"), a);
  assert_true(identity_of(all, a)->serial != serial);
  identities_close(all);
}

static void beyond_the_maximum_there_is_no_slot_until_one_is_released(void **state)
{
  (void)state;
  identities *all = open_all(MAX);
  identity_ref refs[MAX], ref;
  for (int i = 0; i < MAX; i++)
    refs[i] = hold(all, IDENTITY_PSK, (const char *[]){"a", "b", "c", "d"}[i]);
  assert_int_equal(identity_hold(all, IDENTITY_PSK, copal_span_str("e"), &ref), COPAL_ENOSLOT);
  assert_int_equal(ref, 0);
  identity_release(all, refs[1]);
  assert_int_equal(hold(all, IDENTITY_PSK, "e"), refs[1]);
  assert_int_equal(hold(all, IDENTITY_PSK, "a"), refs[0]);
  identities_close(all);
}

static void names_are_utf8_without_controls(void **state)
{
  (void)state;
  static const char *const bad[] = {"",         "a\nb",     "\x7f",         "\xff",
                                    "\xc0\x80", "\xc2\x85", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                    "a\xc3"};
  static const char *const good[] = {"a", "../", "a b,c=\"d\"", "\xc3\xa9", "\xf0\x9f\x94\x91"};
  identities *all = open_all(MAX);
  identity_ref ref;
  uint8_t name[IDENTITY_NAME_MAX + 1];
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(identity_hold(all, IDENTITY_PSK, copal_span_str(bad[i]), &ref), COPAL_EINVAL);
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
    assert_true(identity_name_is_valid(copal_span_str(good[i])));
  memset(name, 'n', sizeof name);
  assert_true(identity_name_is_valid(copal_span_of(name, IDENTITY_NAME_MAX)));
  assert_false(identity_name_is_valid(copal_span_of(name, IDENTITY_NAME_MAX + 1)));
  identities_close(all);
}

static void *hold_and_release(void *arg)
{
  identities *all = arg;
  for (int i = 0; i < ROUNDS; i++) {
    char name[16];
    identity_ref ref;
    const size_t len = (size_t)snprintf(name, sizeof name, "dev-%d", i % 16);
    if (identity_hold(all, IDENTITY_PSK, copal_span_of(name, len), &ref) != COPAL_OK ||
        !copal_span_is_equal(identity_of(all, ref)->name, copal_span_of(name, len)))
      return all;
    identity_release(all, ref);
  }
  return NULL;
}

static void threads_hold_and_release_at_once(void **state)
{
  (void)state;
  identities *all = open_all(16);
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, hold_and_release, all), 0);
  for (int i = 0; i < THREADS; i++) {
    void *wrong;
    assert_int_equal(pthread_join(threads[i], &wrong), 0);
    assert_null(wrong);
  }
  assert_int_equal(identities_count(all), 0);
  identities_close(all);
}

static void kinds_have_names(void **state)
{
  (void)state;
  assert_string_equal(identity_kind_name(IDENTITY_ANONYMOUS), "anonymous");
  assert_string_equal(identity_kind_name(IDENTITY_PSK), "psk");
  assert_string_equal(identity_kind_name(IDENTITY_RPK), "rpk");
  assert_string_equal(identity_kind_name(IDENTITY_X509), "x509");
  assert_string_equal(identity_kind_name(IDENTITY_OSCORE), "oscore");
}

static void others_groups_are_another_identity(void **state)
{
  (void)state;
  identities *all = open_all(MAX);
  identity_ref a, b, c;
  const copal_span name = copal_span_str("alice");
  assert_int_equal(identity_hold_in(all, IDENTITY_PSK, name, copal_span_str("x,y"), &a), COPAL_OK);
  assert_int_equal(identity_hold_in(all, IDENTITY_PSK, name, copal_span_str("x,y"), &b), COPAL_OK);
  assert_int_equal(identity_hold_in(all, IDENTITY_PSK, name, copal_span_str("x"), &c), COPAL_OK);
  assert_int_equal(a, b);
  assert_int_not_equal(a, c);
  assert_int_not_equal(a, hold(all, IDENTITY_PSK, "alice"));
  assert_true(copal_span_is_equal(identity_of(all, a)->groups, copal_span_str("x,y")));
  assert_true(copal_span_is_equal(identity_of(all, a)->name, name));
  identities_close(all);
}

static void groups_are_names_between_commas(void **state)
{
  static const char *const bad[] = {",", "a,", ",a", "a,,b", "a b", "a\n", "a/b", ""};
  copal_span list = copal_span_str("a-b,C_2,d.e"), group;
  (void)state;
  assert_true(identity_groups_are_valid(list));
  assert_true(identity_next_group(&list, &group));
  assert_true(copal_span_is_equal(group, copal_span_str("a-b")));
  assert_true(identity_next_group(&list, &group));
  assert_true(identity_next_group(&list, &group));
  assert_true(copal_span_is_equal(group, copal_span_str("d.e")));
  assert_false(identity_next_group(&list, &group));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_false(identity_groups_are_valid(copal_span_str(bad[i])));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zero_is_anonymous_and_needs_no_holding),
      cmocka_unit_test(others_groups_are_another_identity),
      cmocka_unit_test(groups_are_names_between_commas),
      cmocka_unit_test(equal_identities_share_a_number_while_held),
      cmocka_unit_test(a_number_used_again_has_another_serial),
      cmocka_unit_test(beyond_the_maximum_there_is_no_slot_until_one_is_released),
      cmocka_unit_test(names_are_utf8_without_controls),
      cmocka_unit_test(threads_hold_and_release_at_once),
      cmocka_unit_test(kinds_have_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
