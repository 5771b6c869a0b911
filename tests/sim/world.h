/* SPDX-License-Identifier: Apache-2.0 */
/* A world of endpoints: real copal_ep objects on a virtual network, with client and server
 * applications, watched by the oracle. One world runs many configurations, one after the other. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "net.h"
#include "oracle.h"
#include "rng.h"

enum {
  WORLD_DEFERRED_MAX = 64,
  WORLD_ROOM = 2048,
  WORLD_BODY_MAX = 4096,
  WORLD_CAPTURED_MAX = 64,
  WORLD_AMPLE = 256,       /* dedup entries: more than a run needs */
  WORLD_GROUP_HOST = 0xff, /* last address byte of the group */
};

/* Faults that the self-test plants to show that the oracle notices. */
typedef enum world_fault {
  FAULT_NONE,
  FAULT_RERUN_DUPLICATE, /* the handler runs for a duplicate too */
  FAULT_SKIP_HANDLER,    /* a 2.xx without the handler having run */
  FAULT_LOSE_LAST_EVENT,
  FAULT_DOUBLE_LAST_EVENT,
  FAULT_LATE_LAST_EVENT, /* the application learns an hour late */
  FAULT_EARLY_RESEND,    /* a CON leaves twice within ACK_TIMEOUT */
  FAULT_EXTRA_RESEND,    /* a CON leaves once more after it was settled */
  FAULT_SLOW_RESEND,     /* retransmissions are noted a second late */
  FAULT_NSTART,          /* one more interaction than allowed */
  FAULT_ACK_TO_ACK,
  FAULT_STRAY_ACK,      /* an ACK for a Message ID that never came */
  FAULT_SECOND_REPLY,   /* two ACKs for one CON */
  FAULT_OTHER_REPLY,    /* a duplicate gets other bytes */
  FAULT_PIGGYBACK_LATE, /* an Empty ACK, then a piggybacked response */
  FAULT_OTHER_TOKEN,    /* a response with another token */
  FAULT_RESPONSE_TWICE, /* a separate response with two Message IDs */
  FAULT_OTHER_RESULT,   /* the payload of another request */
  FAULT_MID_REUSE,      /* a Message ID for two messages */
  FAULT_LEAK,
  FAULT_STUCK_DEADLINE, /* a deadline that does not advance */
  FAULT_MALFORMED,      /* a payload marker without payload */
  FAULT_DEAF,           /* an endpoint that stops answering */
  FAULT_GROUP_ERROR,    /* an error in answer to a group request */
  FAULT_COUNT,
} world_fault;

/* What a run is made of. */
typedef struct world_cfg {
  uint64_t seed;
  uint8_t node_count;
  bool is_client[NET_NODES_MAX];
  bool is_server[NET_NODES_MAX];
  net_link link;
  copal_ep_cfg ep; /* hooks are filled in by the world */
  uint8_t requests_per_client;
  copal_dur think_max; /* between requests of a client */
  copal_dur late_max;  /* handlers that defer answer within this time */
  uint8_t con_percent, ping_percent, group_percent, cancel_percent, defer_percent;
  uint8_t sink_full_percent; /* of the datagrams the sink has no room */
  uint8_t inject_percent;    /* chance that a delivered datagram is followed by a made-up one */
  uint8_t spoof_percent;     /* chance that a delivered datagram is followed by a spoofed ICMP */
  bool wipes_early;          /* the endpoints are wiped while exchanges are going on */
  copal_dur lag_max;         /* the driver calls copal_ep_expire() up to this late */
  bool expires_idly;         /* copal_ep_expire() is also called when nothing is due */
  world_fault fault;
} world_cfg;

/* The core under test slices responses into blocks; without, bodies are small. */
extern const bool sim_has_blocks;

struct world;

/* The hooks of a node; each begins with what the endpoint sees. */
typedef struct node_sink {
  copal_sink base;
  struct world *world;
  uint8_t node;
  size_t cap;    /* of the last reservation */
  uint8_t *room; /* WORLD_ROOM bytes; used from the end, so that sanitizers see a byte too many */
} node_sink;

typedef struct node_entropy {
  copal_entropy base;
  sim_rng rng;
} node_entropy;

typedef struct node_server {
  copal_server base;
  struct world *world;
  uint8_t node;
} node_server;

/* A request that a server application will answer later. */
typedef struct world_deferred {
  bool is_used;
  bool is_abandoned; /* will be given up instead of answered */
  uint8_t node;
  copal_xref exchange;
  int id; /* oracle's request, or -1 */
} world_deferred;

/* A request of a client application. */
typedef struct world_call {
  copal_client base;
  struct world *world;
  uint8_t node;
  uint32_t id;
  bool is_over;
  copal_xref exchange;
} world_call;

typedef struct world_node {
  copal_ep *ep;
  void *memory;
  uint8_t *inbox; /* NET_MTU bytes; used from the end as well */
  node_sink sink;
  node_entropy entropy;
  node_server server;
  uint8_t requests_left;
  copal_dur lag; /* of the next call of copal_ep_expire() */
} world_node;

typedef struct world {
  world_cfg cfg;
  net net;
  oracle oracle;
  sim_rng rng;
  copal_time now;
  world_node nodes[NET_NODES_MAX];
  world_call calls[ORACLE_REQUESTS_MAX];
  world_deferred deferred[WORLD_DEFERRED_MAX];
  uint8_t body[WORLD_BODY_MAX];
  net_event captured[WORLD_CAPTURED_MAX]; /* datagrams seen, for replay and mutation */
  uint32_t captured_count;
  uint64_t steps;
  uint8_t
      address[NET_NODES_MAX]; /* under which the others see a node: its number, until it moves */
  int icmp_mid;               /* Message ID of the datagram quoted to the call in progress, or -1 */
  uint64_t sent[NET_NODES_MAX];     /* datagrams a node put into its sink */
  uint64_t received[NET_NODES_MAX]; /* datagrams fed to a node */
  bool is_closing;                  /* no new requests, servers answer at once */
  bool has_faulted;                 /* the planted fault has happened */
  net_event kept;                   /* a message that a fault repeats */
  uint64_t total_datagrams;         /* over all runs */
  uint64_t total_requests;
  uint64_t ends[COPAL_EVENT_CANCELED + 1]; /* how exchanges ended, over all runs */
} world;

/* The configuration of a seed: everything varies. */
world_cfg world_cfg_of(uint64_t seed);

/* A quiet world: two nodes, a client and a server, a perfect network, ample pools. */
world_cfg world_cfg_plain(uint64_t seed);

void world_init(world *w);
void world_wipe(world *w);

/* A world for a group of cmocka tests: `*state` is one that world_init() made. */
int world_setup(void **state);
int world_teardown(void **state);

/* Runs one configuration to its end. Returns true when the oracle has nothing to say; else
 * w->oracle holds what broke. */
bool world_run(world *w, const world_cfg *cfg, bool is_verbose);

/* For the applications and for scenes. */
copal_path world_path(uint8_t to);
uint8_t world_node_of(const copal_path *path); /* NET_NODES_MAX + 1 when unknown */
bool world_open(world *w, const world_cfg *cfg, bool is_verbose);
void world_step_until(world *w, copal_time until); /* events and deadlines up to `until` */
void world_close(world *w);

/* From now on the others see the node under another address, as behind a NAT that has forgotten it;
 * what is sent to the old one is lost. `address` is the number of no node. */
void world_move(world *w, uint8_t node, uint8_t address);

/* One random request of a client application, a given one, a GET; and the answer of a server
 * application. */
void client_next(world *w, uint8_t node);
void client_request(world *w, const oracle_request *r);
void client_get(world *w, uint8_t node, uint8_t to);
void client_wake(world *w, uint8_t node, uint32_t cookie);
int server_on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time now);
void server_wake(world *w, uint32_t cookie);

/* Kinds of application timers, in the upper byte of a cookie. */
enum {
  COOKIE_NEXT = 1u << 24,   /* the client issues its next request */
  COOKIE_CANCEL = 2u << 24, /* the client gives request `cookie & COOKIE_MASK` up */
  COOKIE_ANSWER = 3u << 24, /* the server answers deferred `cookie & COOKIE_MASK` */
  COOKIE_MASK = (1u << 24) - 1,
};

/* Plants the configured fault. fault_on_open() lets the oracle expect something else than the
 * endpoints do. Of the others, the first changes a datagram on its way out before the oracle sees
 * it; the second shows the oracle more than was sent; the third may swallow a datagram on its way
 * in (false) or act on it beside the endpoint. */
void fault_on_open(world *w);
void fault_on_send(world *w, uint8_t from, uint8_t to, uint8_t *bytes, size_t *len);
void fault_after_send(world *w, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len);
bool fault_on_deliver(world *w, const net_event *e);
const char *fault_name(world_fault f);
oracle_rule fault_rule(world_fault f); /* the rule that must notice */

#endif
