/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual datagram network with its clock: links that lose, duplicate, delay, reorder and corrupt
 * datagrams, deterministic from a seed. Nodes are small integers; NET_GROUP reaches all but the
 * sender. */
#ifndef SIM_NET_H
#define SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/time.h"
#include "rng.h"

enum {
  NET_NODES_MAX = 6,
  NET_GROUP = NET_NODES_MAX, /* destination: all nodes but the sender */
  NET_MTU = 1280,
};

/* What a link does to a datagram. Percentages are per datagram; reordering follows from delays that
 * differ. */
typedef struct net_link {
  uint8_t loss_percent;
  uint8_t dup_percent;
  uint8_t corrupt_percent; /* one to four bits are flipped */
  uint8_t icmp_percent;    /* of the lost ones: an error message quotes it back to the sender */
  copal_dur delay_min;
  copal_dur delay_max;
  copal_time cut_from; /* nothing passes in [cut_from, cut_until) */
  copal_time cut_until;
} net_link;

typedef enum net_kind {
  NET_DELIVER, /* a datagram arrives at `to` */
  NET_ICMP,    /* node `to` learns that its datagram to `from` was refused; bytes are the quote */
  NET_WAKE,    /* a timer of the application at `to` */
} net_kind;

typedef struct net_event {
  copal_time at;
  uint64_t seq; /* ties are broken by order of scheduling */
  net_kind kind;
  uint8_t from;
  uint8_t to;
  bool group;      /* NET_DELIVER: was sent to the group */
  bool corrupted;  /* NET_DELIVER: bits were flipped on the way */
  uint32_t cookie; /* NET_WAKE */
  uint16_t len;
  uint8_t bytes[NET_MTU];
} net_event;

typedef struct net {
  sim_rng rng;
  uint8_t node_count;
  net_link links[NET_NODES_MAX][NET_NODES_MAX]; /* [from][to] */
  net_event *pool;                              /* events; the heap holds indices into it */
  uint32_t *heap;
  uint32_t *unused; /* stack of free indices */
  uint32_t heap_count;
  uint32_t unused_count;
  uint32_t cap;
  uint64_t seq;
  uint64_t lost;
  uint64_t duplicated;
  uint64_t corrupted;
} net;

/* Makes a network of `node_count` nodes with perfect links. net_wipe() frees it. */
void net_init(net *n, uint8_t node_count, uint64_t seed);
void net_wipe(net *n);

/* Forgets what is in flight and keeps the memory: another run of another seed. */
void net_reset(net *n, uint8_t node_count, uint64_t seed);

/* Gives all links the same properties. */
void net_set_links(net *n, const net_link *link);

/* Sends a datagram of at most NET_MTU bytes to a node or to NET_GROUP. */
void net_send(net *n, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len, copal_time now);

/* Delivers a datagram at `at` as if `from` had sent it, past the link. */
void net_inject(net *n, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len, copal_time at);

/* Schedules an application timer. */
void net_wake(net *n, uint8_t node, uint32_t cookie, copal_time at);

/* When the next event is due, or COPAL_NEVER. */
copal_time net_next(const net *n);

/* Takes the next event out. Returns false when there is none. */
bool net_pop(net *n, net_event *event);

#endif
