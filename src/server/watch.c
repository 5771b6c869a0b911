/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that a thread sleeps on. Thread: the owner's only. */
#include "server/watch.h"

#include <errno.h>
#include <stdlib.h>

enum { CAP_MIN = 8 };

int watch_add(watch *w, int fd)
{
  if (w->count == w->cap) {
    const uint32_t cap = w->cap == 0 ? CAP_MIN : 2 * w->cap;
    struct pollfd *fds = realloc(w->fds, cap * sizeof *fds);
    if (fds == NULL)
      return -ENOMEM;
    w->fds = fds;
    w->cap = cap;
  }
  w->fds[w->count] = (struct pollfd){.fd = fd, .events = POLLIN};
  return (int)w->count++;
}

void watch_remove(watch *w, uint32_t index)
{
  w->fds[index] = (struct pollfd){.fd = -1}; /* which poll() passes over */
}

int watch_wait(watch *w, int timeout_ms)
{
  const int n = poll(w->fds, w->count, timeout_ms);
  return n > 0 ? n : 0;
}

void watch_wipe(watch *w)
{
  free(w->fds);
  *w = (watch){.fds = NULL};
}
