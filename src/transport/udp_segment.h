/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of datagrams between two sockets pass the system's network stack as one message, which is
 * cut into datagrams of one size on its way out (UDP_SEGMENT) and put together again on its way in
 * (UDP_GRO). To the peer they are ordinary datagrams. Thread: the owner's only. */
#ifndef TRANSPORT_UDP_SEGMENT_H
#define TRANSPORT_UDP_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/udp_batch.h"

enum {
  UDP_SEGMENTS_MAX = 64,       /* datagrams of a message, as all kernels with UDP_SEGMENT allow */
  UDP_MESSAGE_MAX = 65535,     /* bytes of a message that is received */
  UDP_SENT_MESSAGE_MAX = 65000 /* of one that is sent, headers of any kind left out */
};

/* Messages made of the queued datagrams. */
typedef struct udp_train {
  struct mmsghdr *msgs; /* as many as a batch has */
  struct iovec *iovs;   /* of messages whose datagrams lie one behind the other */
  unsigned *firsts;     /* the first datagram of each message */
  unsigned count;
} udp_train;

/* Takes the memory. Returns 0 or -errno. */
int udp_train_init(udp_train *t, unsigned cap);

/* Gives it back. Safe on a zeroed object. */
void udp_train_wipe(udp_train *t);

/* Joins neighbours among the datagrams `from` to `to` of `b`: those of one size, the last of a
 * message may be shorter, and of one route, which is one destination and one local side and of
 * which `routes` holds the number for each. Returns false when there is nothing to join; the
 * messages of `b` serve then. */
bool udp_train_join(udp_train *t, const udp_batch *b, const uint32_t *routes, unsigned from,
                    unsigned to);

/* Datagrams of message `i`, when the last one ends at `to`. */
unsigned udp_train_length(const udp_train *t, unsigned i, unsigned to);

/* Reads from control data of a received message how many bytes each of its datagrams has, the last
 * of which may be shorter. Returns false when `c` is about something else. */
bool udp_segment_read(const struct cmsghdr *c, size_t *size);

/* Lets a socket receive messages. Systems without it deliver datagrams one by one. */
void udp_segment_allow(int fd);

#endif
