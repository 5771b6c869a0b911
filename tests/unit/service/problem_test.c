/* SPDX-License-Identifier: Apache-2.0 */
/* Errors as diagnostic payloads and as concise problem details: RFC 7252 section 5.5.2, RFC 9290.
 */
#include <string.h>

#include "service/problem.h"
#include "unit/service/scene.h"

static void rfc7252_5_5_2_long_text_is_cut_between_characters(void **state)
{
  (void)state;
  char text[2 * PROBLEM_DETAIL_SIZE];
  for (size_t pad = 0; pad < 5; pad++) {
    memset(text, 'x', pad);
    text[pad] = 0;
    while (strlen(text) < sizeof text - 5)
      strcat(text, "\xf0\x9f\x98\x80");
    problem p;
    problem_set(&p, COPAL_CODE_BAD_REQUEST, "%s", text);
    const size_t len = strlen(p.detail);
    assert_in_range(len, PROBLEM_DETAIL_SIZE - 8, PROBLEM_DETAIL_SIZE - 1);
    assert_int_equal((len - pad) % 4, 0);
    assert_memory_equal(p.detail, text, len);
  }
  problem p;
  problem_set(&p, COPAL_CODE_BAD_REQUEST, "%d of %s", 7, "nine");
  assert_string_equal(p.detail, "7 of nine");
}

/* A service that answers with the problem under test. */
static problem told;

static int tell(service *s, const handler_req *req)
{
  (void)s;
  const reply r = reply_to(req);
  return problem_send(&told, &r);
}

static void run(uint32_t accept)
{
  scene s;
  service teller = {.name = "teller", .on_request = tell};
  scene_open(&s, NULL);
  s.service = &teller;
  scene_ask a;
  ask_begin(&a, COPAL_CODE_GET, "/a");
  if (accept != REPLY_ANY_FORMAT)
    ask_uint(&a, COPAL_OPT_ACCEPT, accept);
  assert_int_equal(scene_run(&s, &a), told.code);
  s.service = NULL;
  scene_close(&s);
}

static void rfc9290_2_map_of_title_detail_and_code(void **state)
{
  (void)state;
  problem_set(&told, COPAL_CODE_CONFLICT, "Why");
  run(257);
  const uint8_t expected[] = {0xa3,
                              0x20,
                              0x68,
                              'C',
                              'o',
                              'n',
                              'f',
                              'l',
                              'i',
                              'c',
                              't',
                              0x21,
                              0x63,
                              'W',
                              'h',
                              'y',
                              0x23,
                              0x18,
                              COPAL_CODE_CONFLICT};
  assert_int_equal(answered->payload.len, sizeof expected);
  assert_memory_equal(answered->payload.ptr, expected, sizeof expected);
  assert_int_equal(answer_uint(COPAL_OPT_CONTENT_FORMAT), 257);
  run(0);
  assert_payload("Why");
  assert_false(answer_has(COPAL_OPT_CONTENT_FORMAT));
}

static void rfc9290_2_unregistered_code_has_no_title(void **state)
{
  (void)state;
  problem_set(&told, copal_code_of(4, 31), "Why");
  run(257);
  assert_int_equal(answered->payload.ptr[0], 0xa2);
  assert_int_equal(answered->payload.ptr[1], 0x21);
}

static void rfc7252_5_9_size1_and_max_age_go_along(void **state)
{
  (void)state;
  problem_set_too_large(&told, 700);
  run(257);
  assert_int_equal(answer_uint(COPAL_OPT_SIZE1), 700);
  problem_set_unavailable(&told, 30, "Later");
  run(REPLY_ANY_FORMAT);
  assert_int_equal(answer_uint(COPAL_OPT_MAX_AGE), 30);
  assert_payload("Later");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_5_5_2_long_text_is_cut_between_characters),
      cmocka_unit_test(rfc9290_2_map_of_title_detail_and_code),
      cmocka_unit_test(rfc9290_2_unregistered_code_has_no_title),
      cmocka_unit_test(rfc7252_5_9_size1_and_max_age_go_along),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
