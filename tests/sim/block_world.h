/* SPDX-License-Identifier: Apache-2.0 */
/* One server and two clients on a virtual network, for transfers in blocks: endpoints, clock and
 * the server's restart; what the nodes do is the test's. */
#ifndef SIM_BLOCK_WORLD_H
#define SIM_BLOCK_WORLD_H

#include "copal/endpoint.h"
#include "net.h"

enum { BLOCK_NODES = 3, BLOCK_SERVER = 2 };

typedef struct block_world block_world;

typedef struct block_node {
  copal_sink sink;
  copal_entropy entropy;
  block_world *world;
  copal_ep *ep;
  copal_ep_cfg cfg;
  void *memory;
  sim_rng rng;
  uint8_t number;
  uint8_t full_percent; /* of the datagrams find no room in the sink */
  uint8_t room[NET_MTU];
} block_node;

struct block_world {
  net net;
  copal_time now;
  copal_server *server; /* hooks of the test */
  void (*on_wake)(block_world *w, uint32_t cookie);
  block_node nodes[BLOCK_NODES];
};

/* Opens all nodes; `server_szx` limits the blocks of responses. */
void block_world_open(block_world *w, uint64_t seed, const net_link *link, uint8_t server_szx,
                      copal_server *server);

/* Ends all nodes; nothing may be in use when all lifetimes are over. Returns what is. */
uint32_t block_world_close(block_world *w);

/* Runs until the instant, or as long as anything is due (COPAL_NEVER). */
void block_world_run(block_world *w, copal_time until);

/* The server loses all it knew of exchanges and relations. */
void block_world_restart_server(block_world *w);

copal_path block_world_path(uint8_t node);

#endif
