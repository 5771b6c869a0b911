/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors that a thread sleeps on. By poll() while they are few: who is entered with a
 * socket for good, as epoll is, is told of every datagram that has left by it, and that costs more
 * than looking at a handful of sockets now and then. By epoll when they are many, for poll() looks
 * at all of them for each message that comes alone. Thread: the owner's only. */
#ifndef SERVER_POLLSET_H
#define SERVER_POLLSET_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct epoll_event;

enum { POLLSET_FEW = 16 }; /* descriptors; beyond that epoll is cheaper */

typedef struct pollset {
  struct pollfd *fds; /* what was found is in `revents`; POLLERR is looked for in any case */
  uint32_t *found;    /* indices of those that have something, in no order */
  uint32_t count;
  uint32_t cap;
  uint32_t found_count;
  bool has_epoll;
  int epoll;
  struct epoll_event *events;
} pollset;

/* Looks for data on `fd` from now on. Returns its index, from 0 on, or the negative errno; then the
 * set is as it was. */
int pollset_add(pollset *p, int fd);

/* Looks at it no longer; the indices of the others stay. Before the descriptor is closed. */
void pollset_remove(pollset *p, uint32_t index);

/* Waits until one of them has something, at most `timeout_ms` (-1: for ever, 0: only looks).
 * Returns how many have, see `found`; 0 when interrupted. */
int pollset_wait(pollset *p, int timeout_ms);

/* Safe on a zeroed object. */
void pollset_wipe(pollset *p);

#endif
