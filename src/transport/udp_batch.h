/* SPDX-License-Identifier: Apache-2.0 */
/* Storage of one recvmmsg() or sendmmsg() call: headers, addresses, control data and bytes of a
 * fixed number of datagrams. Thread: the owner's only. */
#ifndef TRANSPORT_UDP_BATCH_H
#define TRANSPORT_UDP_BATCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "transport/udp_socket.h"

enum { UDP_CONTROL_SIZE = 128 }; /* destination address and drop counter, with room to spare */

/* Control data, aligned as cmsghdr wants it. */
typedef union udp_control {
  struct cmsghdr align;
  uint8_t bytes[UDP_CONTROL_SIZE];
} udp_control;

typedef struct udp_batch {
  unsigned cap;
  size_t datagram_max;
  struct mmsghdr *msgs;
  struct iovec *iovs;
  udp_sockaddr *addrs;
  udp_control *controls;
  uint8_t *bytes; /* the first datagram */
  void *map;      /* mapping of `bytes`: pages that no datagram reaches cost nothing */
  size_t map_size;
} udp_batch;

/* Takes the memory. Returns 0 or -errno. */
int udp_batch_init(udp_batch *b, unsigned cap, size_t datagram_max);

/* Gives it back. Safe on a zeroed object. */
void udp_batch_wipe(udp_batch *b);

/* Where the bytes of datagram `i` are. */
uint8_t *udp_batch_bytes(const udp_batch *b, unsigned i);

/* Readies the first `count` headers for receiving. */
void udp_batch_rearm(udp_batch *b, unsigned count);

#endif
