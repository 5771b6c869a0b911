/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that a thread sleeps on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server/pollset.h"

enum { PATIENCE_MS = 60000, MANY = 3 * POLLSET_FEW };

/* A set of eventfds: `fds[i]` is at index i. */
static void open_all(pollset *p, int *fds, uint32_t count)
{
  *p = (pollset){.fds = NULL};
  for (uint32_t i = 0; i < count; i++) {
    fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(pollset_add(p, fds[i]), i);
  }
}

static void close_all(pollset *p, const int *fds, uint32_t count)
{
  for (uint32_t i = 0; i < count; i++)
    close(fds[i]);
  pollset_wipe(p);
}

/* Exactly those two have something, and the set says so in both ways. */
static void expect_two(const pollset *p, uint32_t one, uint32_t other)
{
  assert_int_equal(p->found_count, 2);
  assert_true((p->found[0] == one && p->found[1] == other) ||
              (p->found[0] == other && p->found[1] == one));
  for (uint32_t i = 0; i < p->count; i++)
    assert_int_equal(p->fds[i].revents, i == one || i == other ? POLLIN : 0);
}

static void expect_what_has_something(uint32_t count)
{
  pollset p;
  int fds[MANY];
  open_all(&p, fds, count);
  assert_int_equal(p.has_epoll, count > POLLSET_FEW);
  assert_int_equal(pollset_wait(&p, 0), 0);
  assert_int_equal(eventfd_write(fds[3], 1), 0);
  assert_int_equal(eventfd_write(fds[count - 1], 1), 0);
  assert_int_equal(pollset_wait(&p, PATIENCE_MS), 2);
  expect_two(&p, 3, count - 1);
  assert_int_equal(pollset_wait(&p, PATIENCE_MS), 2); /* nobody has read it */
  expect_two(&p, 3, count - 1);
  eventfd_t v;
  assert_int_equal(eventfd_read(fds[3], &v), 0);
  assert_int_equal(pollset_wait(&p, PATIENCE_MS), 1);
  assert_int_equal(p.found[0], count - 1);
  assert_int_equal(p.fds[3].revents, 0);
  close_all(&p, fds, count);
}

static void pollset_finds_what_has_something_and_only_that(void **state)
{
  (void)state;
  for (uint32_t count = 5; count <= MANY; count++)
    expect_what_has_something(count);
}

static void expect_no_look_at_removed(uint32_t count)
{
  pollset p;
  int fds[MANY];
  open_all(&p, fds, count);
  assert_int_equal(eventfd_write(fds[0], 1), 0);
  assert_int_equal(eventfd_write(fds[1], 1), 0);
  assert_int_equal(pollset_wait(&p, PATIENCE_MS), 2);
  pollset_remove(&p, 0);
  assert_int_equal(pollset_wait(&p, PATIENCE_MS), 1);
  assert_int_equal(p.fds[0].revents, 0);
  assert_int_equal(p.fds[1].revents, POLLIN);
  pollset_remove(&p, 1);
  pollset_remove(&p, 1);
  assert_int_equal(pollset_wait(&p, 0), 0);
  close_all(&p, fds, count);
  pollset_wipe(&p);
}

static void pollset_does_not_look_at_what_was_removed(void **state)
{
  (void)state;
  expect_no_look_at_removed(POLLSET_FEW);
  expect_no_look_at_removed(MANY);
}

/* Some are removed before others make them too many for poll(). */
static void pollset_goes_on_after_it_has_become_many(void **state)
{
  (void)state;
  pollset p;
  int fds[MANY];
  open_all(&p, fds, POLLSET_FEW);
  pollset_remove(&p, 2);
  for (uint32_t i = POLLSET_FEW; i < MANY; i++) {
    fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_int_equal(pollset_add(&p, fds[i]), i);
  }
  assert_true(p.has_epoll);
  assert_int_equal(eventfd_write(fds[1], 1), 0);
  assert_int_equal(eventfd_write(fds[2], 1), 0);
  assert_int_equal(eventfd_write(fds[MANY - 1], 1), 0);
  assert_int_equal(pollset_wait(&p, PATIENCE_MS), 2);
  expect_two(&p, 1, MANY - 1);
  close_all(&p, fds, MANY);
}

static void pollset_refuses_what_is_no_descriptor_and_goes_on(void **state)
{
  (void)state;
  pollset p;
  int fds[MANY];
  open_all(&p, fds, MANY);
  const int closed = dup(fds[0]);
  close(closed);
  assert_int_equal(pollset_add(&p, closed), -EBADF);
  assert_int_equal(p.count, MANY);
  assert_int_equal(eventfd_write(fds[0], 1), 0);
  assert_int_equal(pollset_wait(&p, PATIENCE_MS), 1);
  assert_int_equal(p.found[0], 0);
  close_all(&p, fds, MANY);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pollset_finds_what_has_something_and_only_that),
      cmocka_unit_test(pollset_does_not_look_at_what_was_removed),
      cmocka_unit_test(pollset_goes_on_after_it_has_become_many),
      cmocka_unit_test(pollset_refuses_what_is_no_descriptor_and_goes_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
