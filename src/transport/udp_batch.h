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

enum { UDP_CONTROL_SIZE = 128 }; /* destination address and segment size, with room to spare */

/* Control data, aligned as cmsghdr wants it. */
typedef union udp_control {
  struct cmsghdr align;
  uint8_t bytes[UDP_CONTROL_SIZE];
} udp_control;

typedef struct udp_batch {
  unsigned cap;
  size_t datagram_max;
  size_t stride; /* bytes from one datagram to the next */
  struct mmsghdr *msgs;
  struct iovec *iovs;
  udp_sockaddr *addrs;
  udp_control *controls;
  uint8_t *bytes; /* the first datagram */
  void *map;      /* mapping of `bytes`: pages that no datagram reaches cost nothing */
  size_t map_size;
} udp_batch;

/* Takes the memory and readies all headers for receiving: each names the address, the control data,
 * the vector and the bytes of its number. Returns 0 or -errno. */
int udp_batch_init(udp_batch *b, unsigned cap, size_t datagram_max);

/* Gives it back. Safe on a zeroed object. */
void udp_batch_wipe(udp_batch *b);

/* Where the bytes of datagram `i` are. */
uint8_t *udp_batch_bytes(const udp_batch *b, unsigned i);

/* Readies the first `count` headers for receiving again: what a call writes to is reset. */
void udp_batch_rearm(udp_batch *b, unsigned count);

#endif
