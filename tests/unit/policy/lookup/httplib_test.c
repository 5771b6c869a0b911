/* SPDX-License-Identifier: Apache-2.0 */
/* The library for HTTP is found when it is needed, and what is wrong with it is told. */
#include "policy/lookup/httplib.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"

static void it_is_loaded_under_the_name_that_the_build_has_found(void **state)
{
  httplib h = {.handle = NULL};
  char why[LOOKUP_WHY_SIZE] = "nothing";
  (void)state;
  for (int i = 0; i < 2; i++) { /* a reload may close and open it */
    assert_int_equal(httplib_open(&h, HTTPLIB_NAME, why), COPAL_OK);
    struct curl_slist *list = h.slist_append(NULL, "one");
    assert_non_null(list);
    assert_string_equal(list->data, "one");
    h.slist_free_all(list);
    CURL *c = h.easy_init();
    assert_non_null(c);
    assert_int_equal(h.easy_setopt(c, CURLOPT_URL, "gopher-like://127.0.0.1/"), CURLE_OK);
    assert_int_equal(h.easy_perform(c), CURLE_UNSUPPORTED_PROTOCOL);
    long status = 1;
    assert_int_equal(h.easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status), CURLE_OK);
    assert_int_equal(status, 0);
    assert_true(strlen(h.easy_strerror(CURLE_UNSUPPORTED_PROTOCOL)) > 0);
    h.easy_cleanup(c);
    httplib_close(&h);
    assert_null(h.handle);
  }
  assert_string_equal(why, "nothing");
}

static void refuse(const char *name)
{
  httplib h = {.handle = NULL};
  char why[LOOKUP_WHY_SIZE] = "";
  assert_int_equal(httplib_open(&h, name, why), COPAL_EINVAL);
  assert_non_null(strstr(why, "the library for HTTP cannot be loaded"));
  assert_null(h.handle);
  httplib_close(&h); /* does nothing */
}

static void one_that_is_missing_is_told(void **state)
{
  (void)state;
  refuse("libthere-is-no-such-library.so.0");
}

static void one_that_lacks_a_function_is_told(void **state)
{
  (void)state;
  refuse("libc.so.6");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_is_loaded_under_the_name_that_the_build_has_found),
      cmocka_unit_test(one_that_is_missing_is_told),
      cmocka_unit_test(one_that_lacks_a_function_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
