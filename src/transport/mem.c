/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams between endpoints of one process. Thread: one for the hub and all its nodes. */
#include "transport/mem.h"

#include <stdlib.h>
#include <string.h>

#include "copal/error.h"

enum { NODE_DEFAULT = 8, QUEUE_DEFAULT = 256, DATAGRAM_MAX_DEFAULT = 2048 };

typedef struct mem_node {
  copal_sink sink; /* first */
  mem_hub *hub;
  copal_addr addr;
} mem_node;

typedef struct mem_datagram {
  copal_addr from;
  copal_addr to;
  size_t len;
} mem_datagram;

struct mem_hub {
  mem_cfg cfg;
  mem_stats stats;
  mem_node *nodes;
  uint32_t node_count;
  mem_datagram *queue; /* a ring; bytes[i] belong to queue[i] */
  uint8_t *bytes;
  uint8_t *lent; /* what mem_recv() has lent */
  uint32_t head;
  uint32_t count;
};

static bool is_same_addr(const copal_addr *a, const copal_addr *b)
{
  return memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->port == b->port && a->zone == b->zone;
}

static int find_node(const mem_hub *hub, const copal_addr *addr)
{
  for (uint32_t i = 0; i < hub->node_count; i++)
    if (is_same_addr(&hub->nodes[i].addr, addr))
      return (int)i;
  return COPAL_ENOTFOUND;
}

static uint32_t tail(const mem_hub *hub)
{
  return (hub->head + hub->count) % hub->cfg.queue;
}

static copal_mspan node_reserve(copal_sink *sink, const copal_path *path, size_t cap)
{
  mem_hub *hub = ((mem_node *)sink)->hub;
  (void)path;
  if (hub->count == hub->cfg.queue || cap > hub->cfg.datagram_max) {
    hub->stats.no_room++;
    return (copal_mspan){NULL, 0};
  }
  return (copal_mspan){hub->bytes + (size_t)tail(hub) * hub->cfg.datagram_max, cap};
}

static void node_commit(copal_sink *sink, const copal_path *path, size_t len)
{
  mem_node *node = (mem_node *)sink;
  mem_hub *hub = node->hub;
  hub->queue[tail(hub)] = (mem_datagram){node->addr, path->remote, len};
  hub->count++;
}

int mem_open(const mem_cfg *cfg, mem_hub **out)
{
  mem_hub *hub = calloc(1, sizeof *hub);
  if (hub == NULL)
    return COPAL_ENOSPC;
  hub->cfg = *cfg;
  if (hub->cfg.node_max == 0)
    hub->cfg.node_max = NODE_DEFAULT;
  if (hub->cfg.queue == 0)
    hub->cfg.queue = QUEUE_DEFAULT;
  if (hub->cfg.datagram_max == 0)
    hub->cfg.datagram_max = DATAGRAM_MAX_DEFAULT;
  hub->nodes = calloc(hub->cfg.node_max, sizeof *hub->nodes);
  hub->queue = calloc(hub->cfg.queue, sizeof *hub->queue);
  hub->bytes = calloc(hub->cfg.queue, hub->cfg.datagram_max);
  hub->lent = malloc(hub->cfg.datagram_max);
  if (hub->nodes == NULL || hub->queue == NULL || hub->bytes == NULL || hub->lent == NULL) {
    mem_close(hub);
    return COPAL_ENOSPC;
  }
  *out = hub;
  return COPAL_OK;
}

void mem_close(mem_hub *hub)
{
  if (hub == NULL)
    return;
  free(hub->nodes);
  free(hub->queue);
  free(hub->bytes);
  free(hub->lent);
  free(hub);
}

int mem_attach(mem_hub *hub, const copal_addr *addr)
{
  if (find_node(hub, addr) >= 0)
    return COPAL_EINVAL;
  if (hub->node_count == hub->cfg.node_max)
    return COPAL_ENOSLOT;
  hub->nodes[hub->node_count] = (mem_node){{node_reserve, node_commit}, hub, *addr};
  return (int)hub->node_count++;
}

copal_sink *mem_sink(mem_hub *hub, int node)
{
  return &hub->nodes[node].sink;
}

int mem_recv(mem_hub *hub, mem_slot *slot)
{
  while (hub->count > 0) {
    const mem_datagram *d = &hub->queue[hub->head];
    memcpy(hub->lent, hub->bytes + (size_t)hub->head * hub->cfg.datagram_max, d->len);
    hub->head = (hub->head + 1) % hub->cfg.queue;
    hub->count--;
    const int node = find_node(hub, &d->to);
    if (node < 0) {
      hub->stats.no_address++;
      continue;
    }
    hub->stats.delivered++;
    *slot = (mem_slot){.path = {.remote = d->from}, .bytes = {hub->lent, d->len}};
    return node;
  }
  return COPAL_ENOTFOUND;
}

const mem_stats *mem_stats_now(const mem_hub *hub)
{
  return &hub->stats;
}
