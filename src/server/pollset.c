/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that a thread sleeps on. Thread: the owner's only. */
#include "server/pollset.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { CAP_MIN = 8 };

static_assert(POLLIN == (int)EPOLLIN && POLLERR == (int)EPOLLERR, "one is taken for the other");

static int grow(pollset *p)
{
  const uint32_t cap = p->cap == 0 ? CAP_MIN : 2 * p->cap;
  struct pollfd *fds = realloc(p->fds, cap * sizeof *fds);
  if (fds != NULL)
    p->fds = fds;
  uint32_t *found = realloc(p->found, cap * sizeof *found);
  if (found != NULL)
    p->found = found;
  struct epoll_event *events = realloc(p->events, cap * sizeof *events);
  if (events != NULL)
    p->events = events;
  if (fds == NULL || found == NULL || events == NULL)
    return -ENOMEM;
  p->cap = cap;
  return 0;
}

static int enter(const pollset *p, uint32_t index)
{
  struct epoll_event e = {.events = EPOLLIN, .data.u32 = index};
  const int fd = p->fds[index].fd;
  return fd < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -errno;
}

/* From poll() to epoll: enters those that there are. */
static int change_over(pollset *p)
{
  p->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (p->epoll < 0)
    return -errno;
  for (uint32_t i = 0; i < p->count; i++) {
    const int rc = enter(p, i);
    if (rc < 0) {
      close(p->epoll);
      return rc;
    }
  }
  p->has_epoll = true;
  return 0;
}

int pollset_add(pollset *p, int fd)
{
  int rc = p->count == p->cap ? grow(p) : 0;
  if (rc == 0 && p->count >= POLLSET_FEW && !p->has_epoll)
    rc = change_over(p);
  if (rc < 0)
    return rc;
  p->fds[p->count] = (struct pollfd){.fd = fd, .events = POLLIN};
  rc = p->has_epoll ? enter(p, p->count) : 0;
  return rc < 0 ? rc : (int)p->count++;
}

void pollset_remove(pollset *p, uint32_t index)
{
  if (p->has_epoll && p->fds[index].fd >= 0)
    (void)epoll_ctl(p->epoll, EPOLL_CTL_DEL, p->fds[index].fd, NULL);
  p->fds[index] = (struct pollfd){.fd = -1}; /* which poll() passes over */
}

static int wait_few(pollset *p, int timeout_ms)
{
  const int n = poll(p->fds, p->count, timeout_ms);
  for (uint32_t i = 0; n > 0 && p->found_count < (uint32_t)n; i++)
    if (p->fds[i].revents != 0)
      p->found[p->found_count++] = i;
  return n;
}

static int wait_many(pollset *p, int timeout_ms)
{
  const int n = epoll_wait(p->epoll, p->events, (int)p->count, timeout_ms);
  for (; n > 0 && p->found_count < (uint32_t)n; p->found_count++) {
    const struct epoll_event *e = &p->events[p->found_count];
    p->found[p->found_count] = e->data.u32;
    p->fds[e->data.u32].revents = (short)e->events;
  }
  return n;
}

int pollset_wait(pollset *p, int timeout_ms)
{
  for (uint32_t i = 0; i < p->found_count; i++)
    p->fds[p->found[i]].revents = 0;
  p->found_count = 0;
  const int n = p->has_epoll ? wait_many(p, timeout_ms) : wait_few(p, timeout_ms);
  return n > 0 ? n : 0;
}

void pollset_wipe(pollset *p)
{
  if (p->has_epoll)
    close(p->epoll);
  free(p->fds);
  free(p->found);
  free(p->events);
  *p = (pollset){.fds = NULL};
}
