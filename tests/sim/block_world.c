/* SPDX-License-Identifier: Apache-2.0 */
/* One server and two clients on a virtual network, for transfers in blocks. */
#include "block_world.h"

#include <stdlib.h>
#include <string.h>

static const copal_time start_time = (copal_time)1000 * COPAL_SECOND;

copal_path block_world_path(uint8_t node)
{
  copal_path p;
  memset(&p, 0, sizeof(p));
  p.remote.ip[15] = (uint8_t)(node + 1);
  p.remote.port = 5683;
  return p;
}

static block_node *node_of(void *hook, size_t offset)
{
  return (block_node *)(void *)((uint8_t *)hook - offset);
}

static copal_mspan reserve(copal_sink *s, const copal_path *path, size_t cap)
{
  block_node *n = node_of(s, offsetof(block_node, sink));
  (void)path;
  if (cap > sizeof(n->room) || rng_percent(&n->rng, n->full_percent))
    return (copal_mspan){NULL, 0};
  return (copal_mspan){n->room, cap};
}

static void commit(copal_sink *s, const copal_path *path, size_t len)
{
  block_node *n = node_of(s, offsetof(block_node, sink));
  net_send(&n->world->net, n->number, (uint8_t)(path->remote.ip[15] - 1), n->room, len,
           n->world->now);
}

static void fill(copal_entropy *e, copal_mspan out)
{
  block_node *n = node_of(e, offsetof(block_node, entropy));
  rng_fill(&n->rng, out.ptr, out.len);
}

static void open_node(block_world *w, uint8_t number)
{
  block_node *n = &w->nodes[number];
  const size_t size = copal_ep_size(&n->cfg);
  n->memory = malloc(size);
  if (size == 0 || n->memory == NULL ||
      copal_ep_init((copal_mspan){n->memory, size}, &n->cfg, &n->ep, w->now) != COPAL_OK)
    abort();
}

static void close_node(block_world *w, uint8_t number)
{
  block_node *n = &w->nodes[number];
  copal_ep_wipe(n->ep, w->now);
  free(n->memory);
  n->ep = NULL;
}

void block_world_open(block_world *w, uint64_t seed, const net_link *link, uint8_t server_szx,
                      copal_server *server)
{
  net_reset(&w->net, BLOCK_NODES, seed);
  net_set_links(&w->net, link);
  w->now = start_time;
  w->server = server;
  w->on_wake = NULL;
  for (uint8_t i = 0; i < BLOCK_NODES; i++) {
    block_node *n = &w->nodes[i];
    memset(n, 0, sizeof(*n));
    n->sink = (copal_sink){reserve, commit};
    n->entropy.fill = fill;
    n->world = w;
    n->rng.state = seed * BLOCK_NODES + i;
    n->number = i;
    n->cfg = (copal_ep_cfg)COPAL_EP_CFG_INIT;
    n->cfg.sink = &n->sink;
    n->cfg.entropy = &n->entropy;
    n->cfg.server = i == BLOCK_SERVER ? server : NULL;
    n->cfg.dedup_count = 1024;
    n->cfg.dedup_per_peer = 512;
    n->cfg.exchange_count = 32;
    n->cfg.chunk_count = 512;
    n->cfg.params = copal_params_default();
    n->cfg.params.nstart = 4;
    n->cfg.szx_max = server_szx;
    n->cfg.has_szx_max = true;
    open_node(w, i);
  }
}

uint32_t block_world_close(block_world *w)
{
  uint32_t used = 0;
  block_world_run(w, COPAL_NEVER);
  for (uint8_t i = 0; i < BLOCK_NODES; i++) {
    const copal_usage u = copal_ep_usage(w->nodes[i].ep);
    used += u.exchanges + u.peers + u.dedups + u.chunks + u.relations + u.observers;
    close_node(w, i);
  }
  return used;
}

void block_world_restart_server(block_world *w)
{
  close_node(w, BLOCK_SERVER);
  open_node(w, BLOCK_SERVER);
}

static void handle(block_world *w, net_event *e)
{
  const copal_path path = block_world_path(e->from);
  if (e->kind == NET_WAKE)
    w->on_wake(w, e->cookie);
  else if (e->kind == NET_ICMP)
    (void)copal_ep_unreachable(w->nodes[e->to].ep, &path, copal_span_of(e->bytes, e->len), w->now);
  else
    (void)copal_ep_input(w->nodes[e->to].ep, &path, (copal_mspan){e->bytes, e->len}, w->now);
}

static copal_time next_deadline(const block_world *w)
{
  copal_time due = COPAL_NEVER;
  for (uint8_t i = 0; i < BLOCK_NODES; i++) {
    const copal_time d = copal_ep_deadline(w->nodes[i].ep);
    due = d < due ? d : due;
  }
  return due;
}

void block_world_run(block_world *w, copal_time until)
{
  static net_event e;
  for (;;) {
    const copal_time arrival = net_next(&w->net), deadline = next_deadline(w);
    const copal_time due = arrival < deadline ? arrival : deadline;
    if (due > until || due == COPAL_NEVER)
      break;
    w->now = due > w->now ? due : w->now;
    if (arrival <= w->now && net_pop(&w->net, &e))
      handle(w, &e);
    for (uint8_t i = 0; i < BLOCK_NODES; i++)
      if (copal_ep_deadline(w->nodes[i].ep) <= w->now)
        copal_ep_expire(w->nodes[i].ep, w->now);
  }
  if (until != COPAL_NEVER && until > w->now)
    w->now = until;
}
