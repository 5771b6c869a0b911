/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of equal objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/pool.h"

enum { COUNT = 5, SIZE = 20 };

static int setup(void **state)
{
  copal_pool *p = malloc(sizeof *p + COUNT * copal_pool_item_size(SIZE));
  assert_non_null(p);
  copal_pool_init(p, (uint8_t *)(p + 1), SIZE, COUNT);
  *state = p;
  return 0;
}

static int teardown(void **state)
{
  free(*state);
  return 0;
}

static void item_size_is_rounded_to_alignment(void **state)
{
  (void)state;
  assert_int_equal(copal_pool_item_size(1), 8);
  assert_int_equal(copal_pool_item_size(8), 8);
  assert_int_equal(copal_pool_item_size(9), 16);
  assert_int_equal(copal_pool_item_size(0), 0);
}

static void take_yields_each_object_once(void **state)
{
  copal_pool *p = *state;
  uint8_t *item[COUNT];

  for (unsigned i = 0; i < COUNT; i++) {
    item[i] = copal_pool_take(p);
    assert_non_null(item[i]);
    assert_int_equal((uintptr_t)item[i] % 8, 0);
    assert_int_equal(copal_pool_index(p, item[i]), i);
    memset(item[i], (int)i, SIZE);
    assert_int_equal(p->used, i + 1);
  }
  for (unsigned i = 0; i < COUNT; i++)
    for (unsigned b = 0; b < SIZE; b++)
      assert_int_equal(item[i][b], i);
}

static void take_fails_when_exhausted(void **state)
{
  copal_pool *p = *state;
  void *last = NULL;

  for (unsigned i = 0; i < COUNT; i++)
    last = copal_pool_take(p);
  assert_null(copal_pool_take(p));
  assert_int_equal(p->used, COUNT);
  copal_pool_give(p, last);
  assert_ptr_equal(copal_pool_take(p), last);
  assert_null(copal_pool_take(p));
}

static void objects_given_back_are_taken_again_last_first(void **state)
{
  copal_pool *p = *state;
  void *a = copal_pool_take(p);
  void *b = copal_pool_take(p);

  copal_pool_give(p, a);
  copal_pool_give(p, b);
  assert_int_equal(p->used, 0);
  assert_ptr_equal(copal_pool_take(p), b);
  assert_ptr_equal(copal_pool_take(p), a);
  assert_int_equal(copal_pool_index(p, copal_pool_take(p)), 2);
}

static void at_finds_only_objects_ever_taken(void **state)
{
  copal_pool *p = *state;
  void *a = copal_pool_take(p);

  assert_ptr_equal(copal_pool_at(p, 0), a);
  assert_null(copal_pool_at(p, 1));
  assert_null(copal_pool_at(p, UINT32_MAX));
  copal_pool_give(p, a);
  assert_ptr_equal(copal_pool_at(p, 0), a);
}

static void a_zeroed_pool_is_empty(void **state)
{
  copal_pool p = {0};
  (void)state;
  assert_null(copal_pool_take(&p));
  assert_null(copal_pool_at(&p, 0));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(item_size_is_rounded_to_alignment),
      cmocka_unit_test_setup_teardown(take_yields_each_object_once, setup, teardown),
      cmocka_unit_test_setup_teardown(take_fails_when_exhausted, setup, teardown),
      cmocka_unit_test_setup_teardown(objects_given_back_are_taken_again_last_first, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(at_finds_only_objects_ever_taken, setup, teardown),
      cmocka_unit_test(a_zeroed_pool_is_empty),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
