/* SPDX-License-Identifier: Apache-2.0 */
/* Client addresses: up to LANES_SOCKETS of them are a socket each; more share the sockets, each of
 * which then speaks for several addresses of 127.0.0.0/8. */
#ifndef BENCH_LANES_H
#define BENCH_LANES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { LANES_SOCKETS = 10000 };

typedef struct lanes {
  struct sockaddr_in server;
  uint32_t count;   /* addresses */
  uint32_t sockets; /* lane i is address i / sockets of socket i % sockets */
  int *fds;
  int epoll; /* finds a socket under its index */
} lanes;

/* Opens so many addresses, non-blocking. Ends the program when that fails. */
void lanes_open(lanes *l, const struct sockaddr_in *server, uint32_t count);
void lanes_close(lanes *l);

/* What cannot be sent is as good as lost. */
void lanes_send(const lanes *l, uint32_t lane, const void *bytes, size_t len);

/* Receives by a socket and tells the lane. Returns as recv(), or -1 when it came from elsewhere. */
ssize_t lanes_receive(const lanes *l, uint32_t socket, void *bytes, size_t size, uint32_t *lane);

/* The socket that a lane shares with no other. */
int lanes_fd(const lanes *l, uint32_t lane);

#endif
