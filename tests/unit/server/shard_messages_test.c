/* SPDX-License-Identifier: Apache-2.0 */
/* Messages for a shard: a crowd of them runs some at a time, so that it reads meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "copal/error.h"
#include "server/shard_inside.h"

enum { CROWD = 1000, AT_ONCE = 256 };

static uint32_t ran;

static void run(shard_msg *m, shard *s)
{
  (void)m;
  (void)s;
  ran++;
}

static void a_crowd_runs_some_at_a_time_and_all_of_it(void **state)
{
  static shard_msg crowd[CROWD];
  static shard s;
  (void)state;
  assert_int_equal(mailbox_open(CROWD, &s.mailbox), 0);
  assert_false(shard_run_messages(&s));
  for (int i = 0; i < CROWD; i++) {
    crowd[i].run = run;
    assert_int_equal(shard_post(&s, &crowd[i]), COPAL_OK);
  }
  for (uint32_t before = 0; ran < CROWD; before = ran) {
    assert_true(before == 0 || s.has_mail);
    assert_true(shard_run_messages(&s));
    assert_true(ran > before && ran - before <= AT_ONCE);
  }
  assert_false(s.has_mail);
  assert_false(shard_run_messages(&s));
  assert_int_equal(ran, CROWD);
  mailbox_close(s.mailbox);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_crowd_runs_some_at_a_time_and_all_of_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
