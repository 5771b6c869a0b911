/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of datagrams between two sockets as one message (UDP_SEGMENT, UDP_GRO). */
#ifndef BENCH_RUNS_H
#define BENCH_RUNS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { RUN_BYTES = 65536, RUN_COUNT = 64 };

/* Lets a socket receive runs. */
void runs_allow(int fd);

/* Receives a run into RUN_BYTES bytes; `*each` receives the length of its datagrams, of which the
 * last may be shorter. `from` may be NULL. Returns the bytes of all, or -1 with errno. */
ssize_t runs_receive(int fd, struct sockaddr_in *from, void *bytes, size_t *each);

/* Sends `count` datagrams of `iov[0].iov_len` bytes each, the last of which may be shorter, to
 * `to`, or to the peer of a connected socket when that is NULL. */
bool runs_send(int fd, const struct sockaddr_in *to, struct iovec *iov, unsigned count);

#endif
