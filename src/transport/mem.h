/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams between endpoints of one process, without sockets: a hub with a bounded queue and nodes
 * that have addresses. In order, without loss but for a full queue. Thread: one for the hub and all
 * its nodes. */
#ifndef TRANSPORT_MEM_H
#define TRANSPORT_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "copal/path.h"
#include "copal/span.h"

typedef struct mem_hub mem_hub;

typedef struct mem_cfg {
  uint32_t node_max;     /* 0: 8 */
  uint32_t queue;        /* datagrams under way; 0: 256 */
  uint16_t datagram_max; /* bytes; 0: 2048 */
} mem_cfg;

typedef struct mem_stats {
  uint64_t delivered;
  uint64_t no_room;    /* not queued: the queue was full or the datagram too large */
  uint64_t no_address; /* queued for an address that no node has */
} mem_stats;

/* A received datagram. */
typedef struct mem_slot {
  copal_path path;
  copal_mspan bytes; /* lent until the next mem_recv() */
} mem_slot;

/* Makes a hub without nodes. Returns 0 or COPAL_ENOSPC. */
int mem_open(const mem_cfg *cfg, mem_hub **hub);
void mem_close(mem_hub *hub);

/* Adds a node. Returns its index, COPAL_ENOSLOT, or COPAL_EINVAL when the address is taken. */
int mem_attach(mem_hub *hub, const copal_addr *addr);

/* The sink of an endpoint at a node. */
copal_sink *mem_sink(mem_hub *hub, int node);

/* Takes the oldest datagram from the queue, whoever it is for. Returns the node it is for and fills
 * `slot`, or COPAL_ENOTFOUND when the queue is empty. */
int mem_recv(mem_hub *hub, mem_slot *slot);

const mem_stats *mem_stats_now(const mem_hub *hub);

#endif
