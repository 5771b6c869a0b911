/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what a lookup asks and hears. RFC 4279 section 5, RFC 8259. */
#include "policy/lookup/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"

static int read_text(const char *text, answer *a, char why[LOOKUP_WHY_SIZE])
{
  char *copy = strdup(text);
  const size_t len = strlen(text);
  const int rc = answer_read(a, (copal_mspan){(uint8_t *)copy, len}, why);
  for (size_t i = 0; i < len; i++)
    assert_int_equal(copy[i], 0); /* it may have held a key */
  free(copy);
  return rc;
}

static answer good(const char *text)
{
  answer a;
  char why[LOOKUP_WHY_SIZE] = "";
  if (read_text(text, &a, why) != COPAL_OK)
    fail_msg("%s: %s", text, why);
  return a;
}

static void refuse(const char *text, const char *reason)
{
  answer a;
  char why[LOOKUP_WHY_SIZE] = "";
  assert_int_equal(read_text(text, &a, why), COPAL_EFORMAT);
  if (strstr(why, reason) == NULL)
    fail_msg("%s: %s", text, why);
  assert_int_equal(a.psks.count, 0);
}

static void question_says_the_identity_as_text_and_in_hexadecimal(void **state)
{
  (void)state;
  question q;
  question_write(&q, copal_span_str("--a\"\\b"));
  assert_string_equal(
      q.json,
      "{\"kind\":\"psk\",\"identity\":\"--a\\\"\\\\b\",\"identity_hex\":\"2d2d61225c62\"}\n");
  assert_int_equal(q.json_len, strlen(q.json));
  assert_string_equal(q.hex, "2d2d61225c62");
  assert_string_equal((const char *)q.identity, "--a\"\\b");
}

static void question_of_the_longest_identity_fits(void **state)
{
  (void)state;
  question q;
  char id[DTLS_PSK_IDENTITY_MAX + 1];
  memset(id, '"', sizeof id - 1);
  id[sizeof id - 1] = '\0';
  question_write(&q, copal_span_str(id));
  assert_true(q.json_len < sizeof q.json);
  assert_int_equal(q.json[q.json_len - 1], '\n');
  assert_int_equal(q.json[q.json_len - 2], '}');
}

static void answer_with_keys_name_groups_and_ttl(void **state)
{
  (void)state;
  answer a = good("{\"keys\":[\"0a0B\",\"ff\"],\"name\":\"lamp\",\"groups\":[\"x\",\"y.z\"],"
                  "\"ttl\":60,\"more\":{}}\nrest of no interest");
  assert_int_equal(a.psks.count, 2);
  assert_int_equal(a.psks.keys[0].len, 2);
  assert_memory_equal(a.psks.keys[0].bytes, "\x0a\x0b", 2);
  assert_int_equal(a.psks.keys[1].len, 1);
  assert_string_equal(a.name, "lamp");
  assert_string_equal(a.groups, "x,y.z");
  assert_int_equal(a.ttl_s, 60);
  a = good("{\"key\":\"00\"}");
  assert_int_equal(a.psks.count, 1);
  assert_int_equal(a.ttl_s, ANSWER_TTL_UNSAID);
  assert_string_equal(a.name, "");
  a = good("{\"key\":\"00\",\"ttl\":99999999999}");
  assert_int_equal(a.ttl_s, LOOKUP_TTL_MAX);
}

static void answer_without_a_key_means_nobody(void **state)
{
  static const char *const texts[] = {"{}", "{\"key\":null}", "{\"keys\":[]}", "{\"ttl\":5}"};
  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    assert_int_equal(good(texts[i]).psks.count, 0);
}

static void answers_that_are_none(void **state)
{
  (void)state;
  refuse("", "no JSON object");
  refuse("\n{\"key\":\"00\"}", "no JSON object");
  refuse("[]", "no JSON object");
  refuse("{\"key\":\"00\"", "no JSON object");
  refuse("{\"key\":\"00\",\"key\":\"01\"}", "no JSON object");
  refuse("{\"key\":\"0\"}", "a key is not");
  refuse("{\"key\":\"\"}", "a key is not");
  refuse("{\"key\":\"0g\"}", "a key is not");
  refuse("{\"key\":17}", "a key is not");
  refuse("{\"keys\":\"00\"}", "\"keys\" is no list");
  refuse("{\"keys\":[\"00\",\"01\",\"02\"]}", "more than two");
  refuse("{\"key\":\"00\",\"keys\":[\"01\",\"02\"]}", "more than two");
  refuse("{\"key\":\"00\",\"name\":\"\"}", "\"name\"");
  refuse("{\"key\":\"00\",\"name\":\"a\\u0007\"}", "\"name\"");
  refuse("{\"key\":\"00\",\"groups\":\"x\"}", "\"groups\" is no list");
  refuse("{\"key\":\"00\",\"groups\":[\"x y\"]}", "name of a group");
  refuse("{\"key\":\"00\",\"ttl\":-1}", "\"ttl\"");
  refuse("{\"key\":\"00\",\"ttl\":\"5\"}", "\"ttl\"");
}

static void key_of_65_bytes_is_refused(void **state)
{
  (void)state;
  char text[256] = "{\"key\":\"";
  memset(text + strlen(text), 'a', 2 * (size_t)DTLS_PSK_SIZE_MAX);
  char longer[300];
  snprintf(longer, sizeof longer, "%s\"}", text);
  assert_int_equal(good(longer).psks.keys[0].len, DTLS_PSK_SIZE_MAX);
  snprintf(longer, sizeof longer, "%saa\"}", text);
  refuse(longer, "a key is not");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(question_says_the_identity_as_text_and_in_hexadecimal),
      cmocka_unit_test(question_of_the_longest_identity_fits),
      cmocka_unit_test(answer_with_keys_name_groups_and_ttl),
      cmocka_unit_test(answer_without_a_key_means_nobody),
      cmocka_unit_test(answers_that_are_none),
      cmocka_unit_test(key_of_65_bytes_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
