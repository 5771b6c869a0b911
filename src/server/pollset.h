/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that a thread sleeps on. By poll(), not epoll: who is entered with a socket for
 * good is told of every datagram that has left by it, and that costs more than looking at a handful
 * of sockets now and then. Thread: the owner's only. */
#ifndef SERVER_POLLSET_H
#define SERVER_POLLSET_H

#include <poll.h>
#include <stdint.h>

typedef struct pollset {
  struct pollfd *fds; /* what was found is in `revents`; POLLERR is looked for in any case */
  uint32_t count;
  uint32_t cap;
} pollset;

/* Looks for data on `fd` from now on. Returns its index, from 0 on, or -ENOMEM. */
int pollset_add(pollset *p, int fd);

/* Looks at it no longer; the indices of the others stay. */
void pollset_remove(pollset *p, uint32_t index);

/* Waits until one of them has something, at most `timeout_ms` (-1: for ever, 0: only looks).
 * Returns how many have; 0 when interrupted. */
int pollset_wait(pollset *p, int timeout_ms);

/* Safe on a zeroed object. */
void pollset_wipe(pollset *p);

#endif
