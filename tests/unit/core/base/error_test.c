/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and error codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/error.h"
#include "copal/path.h"
#include "copal/registry.h"

static void path_peer_is_address_and_session(void **state)
{
  (void)state;
  const copal_path a = {.remote = {.ip = {1, 2}, .port = 5683, .zone = 3}};
  copal_path b = a;
  b.local = 9;
  b.flags = COPAL_PATH_GROUP;
  assert_true(copal_path_is_same_peer(&a, &b));
  b.remote.port = 5684;
  assert_false(copal_path_is_same_peer(&a, &b));
  b = a;
  b.remote.zone = 4;
  assert_false(copal_path_is_same_peer(&a, &b));
  b = a;
  b.remote.ip[15] = 1;
  assert_false(copal_path_is_same_peer(&a, &b));
  b = a;
  b.session = 8;
  assert_false(copal_path_is_same_peer(&a, &b));
}

static void rfc9146_6_peer_of_a_session_is_the_same_wherever_it_is(void **state)
{
  (void)state;
  const copal_path a = {.remote = {.ip = {1, 2}, .port = 5683}, .session = 7};
  copal_path b = {.remote = {.ip = {9, 9}, .port = 40000}, .session = 7};
  assert_true(copal_path_is_same_peer(&a, &b));
  b = a;
  b.session = 8;
  assert_false(copal_path_is_same_peer(&a, &b));
}

static void error_has_one_reaction(void **state)
{
  (void)state;
  assert_int_equal(copal_err_reaction(COPAL_OK), COPAL_REACT_NONE);
  assert_int_equal(copal_err_reaction(12), COPAL_REACT_NONE);
  assert_int_equal(copal_err_reaction(-COPAL_ERR_COUNT), COPAL_REACT_NONE);
  assert_int_equal(copal_err_reaction(INT32_MIN), COPAL_REACT_NONE);
  assert_int_equal(copal_err_reaction(COPAL_EVERSION), COPAL_REACT_IGNORE);
  assert_int_equal(copal_err_reaction(COPAL_EFORMAT), COPAL_REACT_RESET);
  assert_int_equal(copal_err_reaction(COPAL_EOVERSIZE), COPAL_REACT_ABORT);
  assert_int_equal(copal_err_reaction(COPAL_EOPTION), COPAL_REACT_BAD_OPTION);
}

static void rfc7252_5_9_reaction_has_a_response_code(void **state)
{
  (void)state;
  static const struct {
    int err;
    copal_code code;
  } ROWS[] = {
      {COPAL_EOPTION, COPAL_CODE_BAD_OPTION},
      {COPAL_EPROXY, COPAL_CODE_PROXYING_NOT_SUPPORTED},
      {COPAL_ETOKEN, COPAL_CODE_BAD_REQUEST},
      {COPAL_ETOOBIG, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE},
      {COPAL_ENOSLOT, COPAL_CODE_SERVICE_UNAVAILABLE},
      {COPAL_EFORMAT, COPAL_CODE_EMPTY},
      {COPAL_EVERSION, COPAL_CODE_EMPTY},
      {COPAL_ESIGNAL, COPAL_CODE_EMPTY},
      {COPAL_OK, COPAL_CODE_EMPTY},
  };
  for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
    assert_int_equal(copal_reaction_code(copal_err_reaction(ROWS[i].err)), ROWS[i].code);
}

static void error_has_a_name(void **state)
{
  (void)state;
  assert_string_equal(copal_err_name(COPAL_OK), "OK");
  assert_string_equal(copal_err_name(3), "OK");
  assert_string_equal(copal_err_name(COPAL_EFORMAT), "EFORMAT");
  assert_string_equal(copal_err_name(COPAL_EOVERSIZE), "EOVERSIZE");
  assert_string_not_equal(copal_err_name(1 - COPAL_ERR_COUNT), "unknown");
  assert_string_equal(copal_err_name(-COPAL_ERR_COUNT), "unknown");
  assert_string_equal(copal_err_name(INT32_MIN), "unknown");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(path_peer_is_address_and_session),
      cmocka_unit_test(rfc9146_6_peer_of_a_session_is_the_same_wherever_it_is),
      cmocka_unit_test(error_has_one_reaction),
      cmocka_unit_test(rfc7252_5_9_reaction_has_a_response_code),
      cmocka_unit_test(error_has_a_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
