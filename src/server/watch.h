/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that a thread sleeps on. By poll(), not epoll: who is entered with a socket for
 * good is told of every datagram that has left by it, and that costs more than looking at a handful
 * of sockets now and then. Thread: the owner's only. */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include <poll.h>
#include <stdint.h>

typedef struct watch {
  struct pollfd *fds; /* what was found is in `revents`; POLLERR is looked for in any case */
  uint32_t count;
  uint32_t cap;
} watch;

/* Looks for data on `fd` from now on. Returns its index, from 0 on, or -ENOMEM. */
int watch_add(watch *w, int fd);

/* Looks at it no longer; the indices of the others stay. */
void watch_remove(watch *w, uint32_t index);

/* Waits until one of them has something, at most `timeout_ms` (-1: for ever, 0: only looks).
 * Returns how many have; 0 when interrupted. */
int watch_wait(watch *w, int timeout_ms);

/* Safe on a zeroed object. */
void watch_wipe(watch *w);

#endif
