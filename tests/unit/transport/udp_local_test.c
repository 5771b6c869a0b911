/* SPDX-License-Identifier: Apache-2.0 */
/* The table behind copal_path.local. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <string.h>

#include "transport/udp_local.h"

static udp_locals table; /* larger than a stack frame should be */

static udp_local entry(uint16_t socket, uint16_t n)
{
  udp_local l = {.socket = socket};
  memcpy(l.ip, &n, sizeof n);
  return l;
}

static void local_equal_entries_share_an_index(void **state)
{
  (void)state;
  udp_locals_init(&table);
  const udp_local a = entry(0, 1), b = entry(1, 1);
  udp_local c = entry(0, 1);
  c.ifindex = 7;
  const uint16_t ia = udp_locals_intern(&table, &a);
  assert_int_not_equal(ia, 0);
  assert_int_equal(udp_locals_intern(&table, &a), ia);
  const uint16_t ib = udp_locals_intern(&table, &b);
  const uint16_t ic = udp_locals_intern(&table, &c);
  assert_int_not_equal(ib, ia);
  assert_int_not_equal(ic, ia);
  assert_int_not_equal(ic, ib);
  assert_int_equal(udp_locals_at(&table, ic)->ifindex, 7);
  assert_int_equal(udp_locals_at(&table, ib)->socket, 1);
}

static void local_index_zero_and_unknown_ones_are_nothing(void **state)
{
  (void)state;
  udp_locals_init(&table);
  assert_null(udp_locals_at(&table, 0));
  assert_null(udp_locals_at(&table, 1));
  assert_null(udp_locals_at(&table, UINT16_MAX));
}

static void local_full_table_still_finds_what_it_has(void **state)
{
  (void)state;
  udp_locals_init(&table);
  for (uint16_t i = 1; i < UDP_LOCAL_MAX; i++) {
    const udp_local l = entry(0, i);
    assert_int_equal(udp_locals_intern(&table, &l), i);
  }
  const udp_local more = entry(0, UDP_LOCAL_MAX);
  assert_int_equal(udp_locals_intern(&table, &more), 0);
  const udp_local known = entry(0, 77);
  assert_int_equal(udp_locals_intern(&table, &known), 77);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(local_equal_entries_share_an_index),
      cmocka_unit_test(local_index_zero_and_unknown_ones_are_nothing),
      cmocka_unit_test(local_full_table_still_finds_what_it_has),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
