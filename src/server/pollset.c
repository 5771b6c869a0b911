/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that a thread sleeps on. Thread: the owner's only. */
#include "server/pollset.h"

#include <errno.h>
#include <stdlib.h>

enum { CAP_MIN = 8 };

int pollset_add(pollset *p, int fd)
{
  if (p->count == p->cap) {
    const uint32_t cap = p->cap == 0 ? CAP_MIN : 2 * p->cap;
    struct pollfd *fds = realloc(p->fds, cap * sizeof *fds);
    if (fds == NULL)
      return -ENOMEM;
    p->fds = fds;
    p->cap = cap;
  }
  p->fds[p->count] = (struct pollfd){.fd = fd, .events = POLLIN};
  return (int)p->count++;
}

void pollset_remove(pollset *p, uint32_t index)
{
  p->fds[index] = (struct pollfd){.fd = -1}; /* which poll() passes over */
}

int pollset_wait(pollset *p, int timeout_ms)
{
  const int n = poll(p->fds, p->count, timeout_ms);
  return n > 0 ? n : 0;
}

void pollset_wipe(pollset *p)
{
  free(p->fds);
  *p = (pollset){.fds = NULL};
}
