/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations as they are stored: what is written is read again, and nothing else is. RFC 7641
 * section 4.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "service/registration.h"

enum { VALUE_SIZE = 512 };

typedef struct stored {
  uint8_t key[REGISTRATION_KEY_MAX], value[VALUE_SIZE];
  size_t key_len, value_len;
} stored;

static registration example(void)
{
  registration r = {.token = copal_span_str("token-8b"),
                    .request_code = 5,
                    .has_block2 = true,
                    .szx = 6,
                    .content_format = 110,
                    .key = copal_span_str("/a/b"),
                    .query = copal_span_str("\xd6\x02"
                                            "c.gt=1"),
                    .is_fetch = true,
                    .fetch_format = 320,
                    .accept = 60,
                    .fetch = copal_span_str("[{\"n\":\"a\"}]")};
  r.way.who_len = 5;
  memcpy(r.way.who, "who-5", 5);
  r.way.side_len = 3;
  memcpy(r.way.side, "our", 3);
  return r;
}

static stored put(const registration *r)
{
  stored s;
  copal_wr key = copal_wr_init((copal_mspan){s.key, sizeof s.key});
  copal_wr value = copal_wr_init((copal_mspan){s.value, sizeof s.value});
  registration_put_key(&key, &r->way, r->token);
  registration_put(&value, r);
  assert_int_equal(key.err, COPAL_OK);
  assert_int_equal(value.err, COPAL_OK);
  assert_true(value.len <= registration_size(r));
  s.key_len = key.len;
  s.value_len = value.len;
  return s;
}

static bool get(registration *r, const stored *s)
{
  return registration_get(r, copal_span_of(s->key, s->key_len),
                          copal_span_of(s->value, s->value_len));
}

static void assert_span(copal_span a, copal_span b)
{
  assert_true(copal_span_is_equal(a, b));
}

static void rfc7641_4_1_all_of_a_registration_comes_back(void **state)
{
  const registration r = example();
  const stored s = put(&r);
  registration back;
  (void)state;
  assert_true(get(&back, &s));
  assert_span(back.token, r.token);
  assert_span(back.key, r.key);
  assert_span(back.query, r.query);
  assert_span(back.fetch, r.fetch);
  assert_int_equal(back.request_code, 5);
  assert_true(back.has_block2 && back.is_fetch);
  assert_int_equal(back.szx, 6);
  assert_int_equal(back.content_format, 110);
  assert_int_equal(back.fetch_format, 320);
  assert_int_equal(back.accept, 60);
  assert_int_equal(back.way.who_len, 5);
  assert_memory_equal(back.way.who, "who-5", 5);
  assert_int_equal(back.way.side_len, 3);
  assert_memory_equal(back.way.side, "our", 3);
}

static void the_longest_key_has_room(void **state)
{
  registration r = example(), back;
  (void)state;
  r.way.who_len = HANDLER_WHO_MAX;
  memset(r.way.who, 'w', sizeof r.way.who);
  const stored s = put(&r);
  assert_int_equal(s.key_len, REGISTRATION_KEY_MAX);
  assert_true(get(&back, &s));
}

static void an_empty_token_and_no_query_come_back(void **state)
{
  registration r = example(), back;
  (void)state;
  r.token = r.query = r.fetch = (copal_span){.len = 0};
  r.is_fetch = r.has_block2 = false;
  r.request_code = 1;
  const stored s = put(&r);
  assert_true(get(&back, &s));
  assert_int_equal(back.token.len, 0);
  assert_int_equal(back.query.len, 0);
  assert_false(back.is_fetch || back.has_block2);
}

static void rfc7641_2_token_and_client_make_the_key(void **state)
{
  registration r = example();
  const stored first = put(&r);
  (void)state;
  r.key = copal_span_str("/other");
  const stored same = put(&r);
  assert_int_equal(first.key_len, same.key_len);
  assert_memory_equal(first.key, same.key, first.key_len);
  r.token = copal_span_str("token-8c");
  const stored token = put(&r);
  assert_memory_not_equal(first.key, token.key, first.key_len);
  /* who "who-5t" with token "oken.." is another client, though the bytes run together alike */
  r.token = copal_span_str("oken-8b");
  r.way.who_len = 6;
  memcpy(r.way.who, "who-5t", 6);
  const stored shifted = put(&r);
  assert_int_equal(first.key_len, shifted.key_len);
  assert_memory_not_equal(first.key, shifted.key, first.key_len);
}

static void what_is_cut_or_longer_is_damaged(void **state)
{
  const registration r = example();
  stored s = put(&r);
  registration back;
  (void)state;
  const size_t whole = s.value_len;
  for (s.value_len = 0; s.value_len < whole; s.value_len++)
    assert_false(get(&back, &s));
  s.value[whole] = 0;
  s.value_len = whole + 1;
  assert_false(get(&back, &s));
  s.value_len = whole;
  assert_true(get(&back, &s));
  s.key_len = sizeof REGISTRATION_PREFIX + 3; /* inside `who` */
  assert_false(get(&back, &s));
}

static void values_that_mean_nothing_are_damaged(void **state)
{
  const registration r = example();
  registration back;
  (void)state;
  stored s = put(&r);
  s.value[0] = 2; /* version */
  assert_false(get(&back, &s));
  s = put(&r);
  s.value[1] = 2; /* POST is not observed */
  assert_false(get(&back, &s));
  s = put(&r);
  s.value[3] = 7; /* SZX */
  assert_false(get(&back, &s));
  s = put(&r);
  s.key[sizeof REGISTRATION_PREFIX - 1] = HANDLER_WHO_MAX + 1;
  assert_false(get(&back, &s));
  s = put(&r);
  s.key[0] = 'x';
  assert_false(get(&back, &s));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7641_4_1_all_of_a_registration_comes_back),
      cmocka_unit_test(the_longest_key_has_room),
      cmocka_unit_test(an_empty_token_and_no_query_come_back),
      cmocka_unit_test(rfc7641_2_token_and_client_make_the_key),
      cmocka_unit_test(what_is_cut_or_longer_is_damaged),
      cmocka_unit_test(values_that_mean_nothing_are_damaged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
