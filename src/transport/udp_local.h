/* SPDX-License-Identifier: Apache-2.0 */
/* The table behind copal_path.local: small numbers for (socket, local address, interface), so that
 * a reply leaves as the request came. Bounded; when it is full, the entry of the socket alone is
 * used. Thread: the owner's only. */
#ifndef TRANSPORT_UDP_LOCAL_H
#define TRANSPORT_UDP_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

enum {
  UDP_LOCAL_MAX = 1024, /* entries, those of sockets included */
  UDP_LOCAL_SLOTS = 2 * UDP_LOCAL_MAX,
};

typedef struct udp_local {
  uint8_t ip[16];   /* all zero: the kernel chooses */
  uint32_t ifindex; /* 0: the kernel chooses */
  uint16_t socket;
} udp_local;

typedef struct udp_locals {
  uint16_t count;                  /* entries used; entry 0 is never used */
  uint16_t slots[UDP_LOCAL_SLOTS]; /* open addressing; 0 is empty */
  udp_local entries[UDP_LOCAL_MAX];
} udp_locals;

/* True when all members are the same. */
bool udp_local_is_equal(const udp_local *a, const udp_local *b);

void udp_locals_init(udp_locals *t);

/* The index of an entry equal to `l`, made when there is none; 0 when the table is full. */
uint16_t udp_locals_intern(udp_locals *t, const udp_local *l);

/* The entry of an index, or NULL when there is none. */
const udp_local *udp_locals_at(const udp_locals *t, uint16_t index);

#endif
