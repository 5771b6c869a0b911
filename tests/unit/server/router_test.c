/* SPDX-License-Identifier: Apache-2.0 */
/* Which service answers for a path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/error.h"
#include "server/router.h"

static service root = {.name = "root"}, a = {.name = "a"}, ab = {.name = "ab"};

static service *find(const router *r, const char *key)
{
  return router_find(r, copal_span_str(key));
}

static void router_longest_prefix_of_whole_segments_wins(void **state)
{
  (void)state;
  router r;
  router_init(&r);
  assert_int_equal(router_mount_at(&r, "/a", &a), COPAL_OK);
  assert_int_equal(router_mount_at(&r, "/", &root), COPAL_OK);
  assert_int_equal(router_mount_at(&r, "/a/b", &ab), COPAL_OK);
  assert_ptr_equal(find(&r, "/"), &root);
  assert_ptr_equal(find(&r, "/x"), &root);
  assert_ptr_equal(find(&r, "/a"), &a);
  assert_ptr_equal(find(&r, "/a/"), &a);
  assert_ptr_equal(find(&r, "/a/c"), &a);
  assert_ptr_equal(find(&r, "/ab"), &root);
  assert_ptr_equal(find(&r, "/a/b"), &ab);
  assert_ptr_equal(find(&r, "/a/b/c"), &ab);
  assert_ptr_equal(find(&r, "/a/bc"), &a);
}

static void router_without_a_mount_finds_nothing(void **state)
{
  (void)state;
  router r;
  router_init(&r);
  assert_null(find(&r, "/"));
  assert_int_equal(router_mount_at(&r, "/a", &a), COPAL_OK);
  assert_null(find(&r, "/"));
  assert_null(find(&r, "/b"));
}

static void router_refuses_bad_prefixes_duplicates_and_too_many(void **state)
{
  (void)state;
  static const char *const names[ROUTER_MOUNT_MAX] = {
      "/00", "/01", "/02", "/03", "/04", "/05", "/06", "/07", "/08", "/09", "/10",
      "/11", "/12", "/13", "/14", "/15", "/16", "/17", "/18", "/19", "/20", "/21",
      "/22", "/23", "/24", "/25", "/26", "/27", "/28", "/29", "/30", "/31"};
  router r;
  router_init(&r);
  assert_int_equal(router_mount_at(&r, "", &a), COPAL_EINVAL);
  assert_int_equal(router_mount_at(&r, "a", &a), COPAL_EINVAL);
  assert_int_equal(router_mount_at(&r, "/a/", &a), COPAL_EINVAL);
  for (size_t i = 0; i < ROUTER_MOUNT_MAX; i++)
    assert_int_equal(router_mount_at(&r, names[i], &a), COPAL_OK);
  assert_int_equal(router_mount_at(&r, "/x", &a), COPAL_ENOSPC);
  router_init(&r);
  assert_int_equal(router_mount_at(&r, "/a", &a), COPAL_OK);
  assert_int_equal(router_mount_at(&r, "/a", &ab), COPAL_EINVAL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(router_longest_prefix_of_whole_segments_wins),
      cmocka_unit_test(router_without_a_mount_finds_nothing),
      cmocka_unit_test(router_refuses_bad_prefixes_duplicates_and_too_many),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
