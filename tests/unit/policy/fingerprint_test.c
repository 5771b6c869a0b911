/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of fingerprints of public keys. RFC 6920, RFC 7252 section 9.1.3.2.1. */
#include "policy/fingerprint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* The key of RFC 6920 section 8.1. */
static const char whole[] =
    "sha-256:53269057e12fe2b74ba07c892560a2d753877eb62ff44d5a19002530ed97ffe4";

static fingerprint read(const char *text)
{
  fingerprint f;
  const char *wrong = fingerprint_read(text, &f);
  if (wrong != NULL)
    fail_msg("%s %s", text, wrong);
  return f;
}

static void assert_wrong(const char *text, const char *reason)
{
  fingerprint f;
  const char *wrong = fingerprint_read(text, &f);
  if (wrong == NULL || strstr(wrong, reason) == NULL)
    fail_msg("%s: %s", text, wrong != NULL ? wrong : "is read");
}

static void rfc6920_8_1_all_forms_name_the_same_key(void **state)
{
  static const char *const forms[] = {
      "53269057e12fe2b74ba07c892560a2d753877eb62ff44d5a19002530ed97ffe4",
      "sha256:53269057E12FE2B74BA07C892560A2D753877EB62FF44D5A19002530ED97FFE4",
      "SHA256:53:26:90:57:e1:2f:e2:b7:4b:a0:7c:89:25:60:a2:d7:"
      "53:87:7e:b6:2f:f4:4d:5a:19:00:25:30:ed:97:ff:e4",
      "ni:///sha-256;UyaQV-Ev4rdLoHyJJWCi11OHfrYv9E1aGQAlMO2X_-Q",
      "ni://example.com/sha-256;UyaQV-Ev4rdLoHyJJWCi11OHfrYv9E1aGQAlMO2X_-Q?ct=text/plain",
      "pin-sha256:UyaQV+Ev4rdLoHyJJWCi11OHfrYv9E1aGQAlMO2X/+Q=",
      "sha256//UyaQV+Ev4rdLoHyJJWCi11OHfrYv9E1aGQAlMO2X/+Q=",
  };
  char text[FINGERPRINT_TEXT];
  (void)state;
  for (size_t i = 0; i < COUNT(forms); i++) {
    const fingerprint f = read(forms[i]);
    assert_int_equal(f.len, FINGERPRINT_SIZE);
    fingerprint_write(&f, text);
    assert_string_equal(text, whole);
  }
}

static void rfc7252_9_1_3_2_1_fingerprints_of_120_bits_are_enough(void **state)
{
  static const char *const forms[] = {
      "nih:sha-256-120;5326-9057-e12f-e2b7-4ba0-7c89-2560-a2;f",
      "nih:sha-256-120;53269057e12fe2b74ba07c892560a2",
      "ni:///sha-256-120;UyaQV-Ev4rdLoHyJJWCi",
      "sha-256-120:53269057e12fe2b74ba07c892560a2",
      "sha-256-128:53269057e12fe2b74ba07c892560a2d7",
  };
  const fingerprint key = read(whole);
  fingerprint other = key;
  (void)state;
  other.bytes[FINGERPRINT_MIN - 1] ^= 1;
  for (size_t i = 0; i < COUNT(forms); i++) {
    const fingerprint f = read(forms[i]);
    assert_true(f.len == FINGERPRINT_MIN || f.len == 16);
    assert_true(fingerprint_is_of(&f, &key));
    assert_false(fingerprint_is_of(&f, &other));
  }
}

static void rfc7252_9_1_3_2_1_shorter_ones_are_refused(void **state)
{
  (void)state;
  assert_wrong("nih:sha-256-32;53269057;b", "less than 120 bits");
  assert_wrong("ni:///sha-256-64;UyaQV-Ev4rc", "less than 120 bits");
  assert_wrong("sha-256-96:53269057e12fe2b74ba07c89", "less than 120 bits");
}

static void rfc6920_7_a_slip_shows_in_the_check_digit(void **state)
{
  (void)state;
  assert_wrong("nih:sha-256-120;5326-9057-e12f-e2b7-4ba0-7c89-2560-a3;f", "check digit");
  assert_wrong("nih:sha-256-120;3526-9057-e12f-e2b7-4ba0-7c89-2560-a2;f", "check digit");
  assert_wrong("nih:sha-256-120;5326-9057-e12f-e2b7-4ba0-7c89-2560-a2;e", "check digit");
  assert_wrong("nih:sha-256-120;5326-9057-e12f-e2b7-4ba0-7c89-2560-a2;", "check digit");
}

static void what_is_no_fingerprint_is_refused(void **state)
{
  static const char *const texts[] = {
      "",
      "sha256:",
      "sha256:53",
      "sha1:53269057e12fe2b74ba07c892560a2d753877eb6",
      "ni:///",
      "ni:///sha-256;",
      "ni:///sha-256;UyaQV-Ev4rdLoHyJJWCi11OHfrYv9E1aGQAlMO2X_-R",
      "ni:///sha-256;UyaQV-Ev4rdLoHyJJWCi11OHfrYv9E1aGQAlMO2X_-QA",
      "nih:sha-256-120;",
      "nih:",
      "pin-sha256:",
      "pin-sha256:UyaQV",
      "sha256//====",
      "sha-256-120:5326-9057",
      "53269057e12fe2b74ba07c892560a2d753877eb62ff44d5a19002530ed97ffe",
      "53269057e12fe2b74ba07c892560a2d753877eb62ff44d5a19002530ed97ffe4a",
      "5326905ze12fe2b74ba07c892560a2d753877eb62ff44d5a19002530ed97ffe4",
      "ni:///sha-256;UyaQV-Ev4rdLoHyJJWCi11OHfrYv9E1aGQAlMO2X_-QUyaQV-Ev4rdLoHyJJWCi11OHfrYv9E1aG"};
  (void)state;
  for (size_t i = 0; i < COUNT(texts); i++)
    assert_wrong(texts[i], "no fingerprint");
}

static void fingerprint_of_a_key_is_its_sha_256(void **state)
{
  char text[FINGERPRINT_TEXT];
  fingerprint f;
  (void)state;
  assert_true(fingerprint_of(copal_span_str("abc"), &f));
  fingerprint_write(&f, text);
  assert_string_equal(text,
                      "sha-256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc6920_8_1_all_forms_name_the_same_key),
      cmocka_unit_test(rfc7252_9_1_3_2_1_fingerprints_of_120_bits_are_enough),
      cmocka_unit_test(rfc7252_9_1_3_2_1_shorter_ones_are_refused),
      cmocka_unit_test(rfc6920_7_a_slip_shows_in_the_check_digit),
      cmocka_unit_test(what_is_no_fingerprint_is_refused),
      cmocka_unit_test(fingerprint_of_a_key_is_its_sha_256),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
