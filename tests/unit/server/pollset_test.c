/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that a thread sleeps on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include "server/pollset.h"

enum { COUNT = 20, PATIENCE_MS = 60000 };

static void pollset_finds_what_has_something_and_only_that(void **state)
{
  (void)state;
  pollset p = {.fds = NULL};
  int fds[COUNT];
  for (int i = 0; i < COUNT; i++) {
    fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(pollset_add(&p, fds[i]), i);
  }
  assert_int_equal(pollset_wait(&p, 0), 0);
  assert_int_equal(eventfd_write(fds[3], 1), 0);
  assert_int_equal(eventfd_write(fds[COUNT - 1], 1), 0);
  assert_int_equal(pollset_wait(&p, PATIENCE_MS), 2);
  for (int i = 0; i < COUNT; i++)
    assert_int_equal(p.fds[i].revents, i == 3 || i == COUNT - 1 ? POLLIN : 0);
  for (int i = 0; i < COUNT; i++)
    close(fds[i]);
  pollset_wipe(&p);
}

static void pollset_does_not_look_at_what_was_removed(void **state)
{
  (void)state;
  pollset p = {.fds = NULL};
  const int first = eventfd(1, EFD_CLOEXEC), second = eventfd(1, EFD_CLOEXEC);
  assert_int_equal(pollset_add(&p, first), 0);
  assert_int_equal(pollset_add(&p, second), 1);
  assert_int_equal(pollset_wait(&p, 0), 2);
  pollset_remove(&p, 0);
  assert_int_equal(pollset_wait(&p, 0), 1);
  assert_int_equal(p.fds[0].revents, 0);
  assert_int_equal(p.fds[1].revents, POLLIN);
  pollset_remove(&p, 1);
  assert_int_equal(pollset_wait(&p, 0), 0);
  close(first);
  close(second);
  pollset_wipe(&p);
  pollset_wipe(&p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pollset_finds_what_has_something_and_only_that),
      cmocka_unit_test(pollset_does_not_look_at_what_was_removed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
