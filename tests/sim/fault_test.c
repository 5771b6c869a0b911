/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle can fail: for each planted fault the rule that it breaks must notice, and without a
 * fault none does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

enum { SEEDS = 60 };

static world_cfg cfg_with(world_fault fault, uint64_t seed)
{
  world_cfg c = world_cfg_plain(seed);
  c.fault = fault;
  c.node_count = 3;
  c.is_server[2] = true;
  c.ep.params.probing_rate = 0;
  c.link.loss_percent = 15;
  c.link.dup_percent = 30;
  c.link.delay_max = 300 * COPAL_MILLISECOND;
  c.group_percent = fault == FAULT_GROUP_ERROR ? 50 : 0;
  c.think_max = 200 * COPAL_MILLISECOND;
  if (fault == FAULT_NSTART)
    c.ep.params.nstart = 3;
  return c;
}

static void oracle_is_silent_without_fault(void **state)
{
  world *w = *state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    const world_cfg c = cfg_with(FAULT_NONE, seed);
    if (!world_run(w, &c, false))
      fail_msg("seed %u: %s: %s", (unsigned)seed, oracle_rule_name(w->oracle.broken),
               w->oracle.text);
  }
}

static bool is_noticed(world *w, world_fault fault)
{
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    const world_cfg c = cfg_with(fault, seed);
    if (!world_run(w, &c, false) && w->oracle.broken == fault_rule(fault))
      return true;
  }
  return false;
}

static void oracle_notices_each_fault(void **state)
{
  for (int f = FAULT_NONE + 1; f < FAULT_COUNT; f++)
    if (!is_noticed(*state, (world_fault)f))
      fail_msg("not noticed: %s; last: %s", fault_name((world_fault)f),
               ((world *)*state)->oracle.text);
}

static uint64_t trace_of(world *w, uint64_t seed)
{
  const world_cfg c = world_cfg_of(seed);
  world_run(w, &c, false);
  return w->oracle.wire_hash;
}

static void a_seed_reproduces_its_run(void **state)
{
  uint64_t first[SEEDS];
  for (uint64_t seed = 0; seed < SEEDS; seed++)
    first[seed] = trace_of(*state, seed);
  for (uint64_t seed = SEEDS; seed-- > 0;)
    assert_true(trace_of(*state, seed) == first[seed]);
  assert_true(first[0] != first[1]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(oracle_is_silent_without_fault),
      cmocka_unit_test(oracle_notices_each_fault),
      cmocka_unit_test(a_seed_reproduces_its_run),
  };
  return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
