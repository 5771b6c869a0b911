/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-1-3 against known answers: key 00 01 .. 0f, input 00 01 .. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/memory/keyhash.h"

static void keyhash_matches_known_answers(void **state)
{
  (void)state;
  const keyhash_secret secret = {{0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};
  const uint8_t input[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
  assert_true(keyhash(&secret, copal_span_of(input, 0)) == 0xabac0158050fc4dcu);
  assert_true(keyhash(&secret, copal_span_of(input, 1)) == 0xc9f49bf37d57ca93u);
}

static void keyhash_depends_on_key_length_and_every_byte(void **state)
{
  (void)state;
  const keyhash_secret a = {{1, 2}};
  const keyhash_secret b = {{1, 3}};
  uint8_t bytes[17] = {0};
  const uint64_t before = keyhash(&a, copal_span_of(bytes, 17));
  assert_true(before != keyhash(&b, copal_span_of(bytes, 17)));
  assert_true(before != keyhash(&a, copal_span_of(bytes, 16)));
  for (size_t i = 0; i < 17; i++) {
    bytes[i] = 1;
    assert_true(before != keyhash(&a, copal_span_of(bytes, 17)));
    bytes[i] = 0;
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keyhash_matches_known_answers),
      cmocka_unit_test(keyhash_depends_on_key_length_and_every_byte),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
