/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated world: hooks of the endpoints, the event loop, the phases of a run. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_table.h"

enum {
  PORT = 5683,
  STEPS_MAX = 400000, /* far beyond what any run needs: more means that something spins */
};

static const copal_time probe_patience = 30 * (copal_time)COPAL_SECOND;

/* ------------------------------------------------------------------------------------------------
 * addresses */

copal_path world_path(uint8_t to)
{
  copal_path p;
  memset(&p, 0, sizeof(p));
  p.remote.ip[10] = p.remote.ip[11] = 0xff;
  p.remote.ip[12] = to == NET_GROUP ? 224 : 10;
  p.remote.ip[15] = to == NET_GROUP ? WORLD_GROUP_HOST : (uint8_t)(to + 1);
  p.remote.port = PORT;
  p.flags = to == NET_GROUP ? COPAL_PATH_GROUP : 0;
  return p;
}

uint8_t world_node_of(const copal_path *path)
{
  if (path->remote.ip[15] == WORLD_GROUP_HOST)
    return NET_GROUP;
  const uint8_t host = path->remote.ip[15];
  return host >= 1 && host <= NET_NODES_MAX ? (uint8_t)(host - 1) : NET_NODES_MAX + 1;
}

/* ------------------------------------------------------------------------------------------------
 * hooks */

static copal_mspan sink_reserve(copal_sink *base, const copal_path *path, size_t cap)
{
  node_sink *s = (node_sink *)base;
  world *w = s->world;
  (void)path;
  if (!w->is_closing && rng_percent(&w->rng, w->cfg.sink_full_percent)) {
    w->oracle.has_refusals = true;
    return (copal_mspan){NULL, 0};
  }
  if (cap > WORLD_ROOM) {
    oracle_fail(&w->oracle, RULE_FORMAT, w->now, "node %u: asks for %zu bytes", s->node, cap);
    return (copal_mspan){NULL, 0};
  }
  s->cap = cap;
  return (copal_mspan){s->room + WORLD_ROOM - cap, cap};
}

/* Somebody else sends the same bytes, and they arrive first. */
static void mimic(world *w, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len)
{
  const uint8_t other = (uint8_t)rng_below(&w->rng, w->cfg.node_count);
  if (other != from && other != to && to != NET_GROUP)
    net_inject(&w->net, other, to, bytes, len, w->now);
}

static void sink_commit(copal_sink *base, const copal_path *path, size_t len)
{
  node_sink *s = (node_sink *)base;
  world *w = s->world;
  uint8_t *bytes = s->room + WORLD_ROOM - s->cap;
  const uint8_t to = world_node_of(path);
  size_t left = len;
  if (len > s->cap) {
    oracle_fail(&w->oracle, RULE_FORMAT, w->now, "node %u: commits more than it asked for",
                s->node);
    return;
  }
  w->sent[s->node]++;
  fault_on_send(w, s->node, to, bytes, &left);
  oracle_on_send(&w->oracle, s->node, to, bytes, left, w->now);
  fault_after_send(w, s->node, to, bytes, left);
  if (!w->is_closing && rng_percent(&w->rng, w->cfg.inject_percent))
    mimic(w, s->node, to, bytes, left);
  net_send(&w->net, w->address[s->node], to, bytes, left, w->now);
  w->total_datagrams++;
}

static void entropy_fill(copal_entropy *base, copal_mspan out)
{
  node_entropy *e = (node_entropy *)base;
  rng_fill(&e->rng, out.ptr, out.len);
}

/* ------------------------------------------------------------------------------------------------
 * nodes */

static void node_open(world *w, uint8_t i)
{
  world_node *n = &w->nodes[i];
  copal_ep_cfg cfg = w->cfg.ep;
  memset(n, 0, sizeof(*n));
  n->sink = (node_sink){{sink_reserve, sink_commit}, w, i, 0, malloc(WORLD_ROOM)};
  n->inbox = malloc(NET_MTU);
  n->entropy = (node_entropy){{entropy_fill}, {rng_next(&w->rng)}};
  n->server = (node_server){{.on_request = server_on_request}, w, i};
  cfg.sink = &n->sink.base;
  cfg.entropy = &n->entropy.base;
  cfg.server = w->cfg.is_server[i] ? &n->server.base : NULL;
  const size_t size = copal_ep_size(&cfg);
  n->memory = malloc(size);
  if (size == 0 || n->memory == NULL || n->inbox == NULL || n->sink.room == NULL)
    abort();
  if (copal_ep_init((copal_mspan){n->memory, size}, &cfg, &n->ep, w->now) != COPAL_OK)
    abort();
  w->oracle.stats[i] = copal_ep_stats(n->ep);
  if (w->cfg.is_client[i]) {
    n->requests_left = w->cfg.requests_per_client;
    net_wake(&w->net, i, COOKIE_NEXT, w->now + rng_below(&w->rng, w->cfg.think_max));
  }
}

static void node_close(world *w, uint8_t i)
{
  world_node *n = &w->nodes[i];
  w->oracle.stats[i] = NULL;
  if (n->ep != NULL)
    copal_ep_wipe(n->ep, w->now);
  free(n->memory);
  free(n->inbox);
  free(n->sink.room);
  memset(n, 0, sizeof(*n));
}

/* ------------------------------------------------------------------------------------------------
 * events */

/* The endpoint of the node has returned from a call. */
static void after_call(world *w, uint8_t node)
{
  oracle_after_call(&w->oracle, node, w->now);
  if (!w->oracle.is_verbose)
    return;
  const copal_usage u = copal_ep_usage(w->nodes[node].ep);
  fprintf(stderr, "%12.6f use  %u: %u exchanges, %u peers, %u dedups, %u chunks\n",
          oracle_seconds(w->now), node, u.exchanges, u.peers, u.dedups, u.chunks);
}

static void capture(world *w, const net_event *e)
{
  net_event *c = &w->captured[w->captured_count++ % WORLD_CAPTURED_MAX];
  memcpy(c, e, offsetof(net_event, bytes));
  memcpy(c->bytes, e->bytes, e->len);
}

static void mutate(sim_rng *r, uint8_t *bytes, uint16_t *len)
{
  switch (rng_below(r, 5)) {
  case 0: break; /* a replay */
  case 1: *len = (uint16_t)rng_below(r, *len + 1u); break;
  case 2: bytes[0] ^= (uint8_t)(rng_below(r, 4) << 4); break; /* another type */
  case 3:
    for (unsigned i = 0; i < 3 && *len > 0; i++)
      bytes[rng_below(r, *len)] = (uint8_t)rng_below(r, 256);
    break;
  case 4:
    *len = (uint16_t)rng_below(r, 40);
    rng_fill(r, bytes, *len);
    break;
  }
}

/* Makes a datagram up, in the name of a node that exists. */
static void inject(world *w)
{
  const uint32_t count =
      w->captured_count < WORLD_CAPTURED_MAX ? w->captured_count : WORLD_CAPTURED_MAX;
  net_event e = w->captured[rng_below(&w->rng, count)];
  mutate(&w->rng, e.bytes, &e.len);
  net_inject(&w->net, e.from, e.to, e.bytes, e.len, w->now + rng_below(&w->rng, COPAL_SECOND));
}

static void report_unreachable(world *w, uint8_t node, uint8_t to, const uint8_t *quote, size_t len)
{
  const peek p = peek_at(quote, len);
  const copal_path path = world_path(to);
  w->icmp_mid = p.has_head ? p.mid : -1;
  const int err = copal_ep_unreachable(w->nodes[node].ep, &path, copal_span_of(quote, len), w->now);
  w->icmp_mid = -1;
  if (err != COPAL_OK && err != COPAL_ESTRAY)
    oracle_fail(&w->oracle, RULE_API, w->now, "unreachable returned %d", err);
  after_call(w, node);
}

/* A forged error message: the quote of a real request with another Message ID or token. */
static void spoof(world *w, const net_event *e)
{
  uint8_t quote[NET_MTU];
  if (e->len < 8 || (e->bytes[0] & 15) < 4)
    return;
  memcpy(quote, e->bytes, e->len);
  quote[rng_range(&w->rng, 2, 7)] ^= (uint8_t)rng_range(&w->rng, 1, 255);
  const int before = (int)w->ends[COPAL_EVENT_UNREACHABLE];
  report_unreachable(w, e->from, e->to, quote, e->len);
  /* Another request of the same node cannot have that Message ID and that token. */
  if ((int)w->ends[COPAL_EVENT_UNREACHABLE] != before)
    oracle_fail(&w->oracle, RULE_RESULT, w->now, "node %u: believed a forged error", e->from);
}

static void deliver(world *w, const net_event *e)
{
  world_node *n = &w->nodes[e->to];
  copal_path path = world_path(e->from);
  if (e->group)
    path.flags |= COPAL_PATH_GROUP;
  capture(w, e);
  if (!fault_on_deliver(w, e))
    return;
  oracle_on_deliver(&w->oracle, e);
  uint8_t *bytes = n->inbox + NET_MTU - e->len;
  memcpy(bytes, e->bytes, e->len);
  w->received[e->to]++;
  (void)copal_ep_input(n->ep, &path, (copal_mspan){bytes, e->len}, w->now);
  after_call(w, e->to);
  if (!w->is_closing && rng_percent(&w->rng, w->cfg.inject_percent))
    inject(w);
  if (!e->group && !e->corrupted && rng_percent(&w->rng, w->cfg.spoof_percent))
    spoof(w, e);
}

/* Finds the node that has the address `*to` now. */
static bool find_node(const world *w, uint8_t *to)
{
  for (uint8_t i = 0; i < w->cfg.node_count; i++)
    if (w->address[i] == *to) {
      *to = i;
      return true;
    }
  return false;
}

static void dispatch(world *w, const net_event *e)
{
  switch (e->kind) {
  case NET_DELIVER: deliver(w, e); return;
  case NET_ICMP: report_unreachable(w, e->to, e->from, e->bytes, e->len); return;
  case NET_WAKE:
    if ((e->cookie & ~(uint32_t)COOKIE_MASK) == COOKIE_ANSWER)
      server_wake(w, e->cookie);
    else
      client_wake(w, e->to, e->cookie);
    after_call(w, e->to);
    return;
  }
}

static void expire(world *w, uint8_t i)
{
  copal_ep_expire(w->nodes[i].ep, w->now);
  w->nodes[i].lag = rng_below(&w->rng, w->cfg.lag_max);
  after_call(w, i);
  const bool is_stuck = w->cfg.fault == FAULT_STUCK_DEADLINE;
  if (is_stuck || copal_ep_deadline(w->nodes[i].ep) <= w->now)
    oracle_fail(&w->oracle, RULE_PROGRESS, w->now, "node %u: the deadline stays in the past", i);
}

static copal_time next_deadline(const world *w, uint8_t *node)
{
  copal_time least = COPAL_NEVER;
  for (uint8_t i = 0; i < w->cfg.node_count; i++) {
    copal_time t = copal_ep_deadline(w->nodes[i].ep);
    if (t != COPAL_NEVER)
      t += w->nodes[i].lag;
    if (t < least) {
      least = t;
      *node = i;
    }
  }
  return least;
}

/* One event or one deadline. Returns false when there is none up to `until`. */
static bool step(world *w, copal_time until)
{
  uint8_t node = 0;
  const copal_time due = next_deadline(w, &node);
  const copal_time arrival = net_next(&w->net);
  const copal_time next = due < arrival ? due : arrival;
  if (next == COPAL_NEVER || next > until)
    return false;
  w->now = next > w->now ? next : w->now;
  if (w->cfg.expires_idly && rng_percent(&w->rng, 30))
    expire(w, (uint8_t)rng_below(&w->rng, w->cfg.node_count));
  if (arrival <= due) {
    net_event e;
    net_pop(&w->net, &e);
    if (e.kind == NET_WAKE || find_node(w, &e.to))
      dispatch(w, &e);
  } else {
    expire(w, node);
  }
  return true;
}

void world_step_until(world *w, copal_time until)
{
  while (w->oracle.broken == RULE_NONE && step(w, until))
    if (++w->steps > STEPS_MAX) {
      oracle_fail(&w->oracle, RULE_PROGRESS, w->now, "more than %d steps", STEPS_MAX);
      return;
    }
  if (until != COPAL_NEVER && until > w->now)
    w->now = until;
}

/* ------------------------------------------------------------------------------------------------
 * runs */

void world_init(world *w)
{
  memset(w, 0, sizeof(*w));
  net_init(&w->net, 0, 0);
}

void world_wipe(world *w)
{
  net_wipe(&w->net);
}

bool world_open(world *w, const world_cfg *cfg, bool is_verbose)
{
  w->cfg = *cfg;
  w->rng.state = cfg->seed ^ 0x776f726c64u;
  w->now = rng_below(&w->rng, 1000000000);
  w->steps = 0;
  w->captured_count = 0;
  w->icmp_mid = -1;
  w->is_closing = false;
  w->has_faulted = false;
  for (uint8_t i = 0; i < NET_NODES_MAX; i++)
    w->address[i] = i;
  memset(w->deferred, 0, sizeof(w->deferred));
  memset(w->sent, 0, sizeof(w->sent));
  memset(w->received, 0, sizeof(w->received));
  for (size_t i = 0; i < sizeof(w->body); i++)
    w->body[i] = (uint8_t)(i * 7);
  net_reset(&w->net, cfg->node_count, cfg->seed);
  net_link link = cfg->link;
  link.cut_from += w->now;
  link.cut_until += link.cut_until == 0 ? 0 : w->now;
  net_set_links(&w->net, &link);
  /* The wheel rounds a tick up to a power of two. */
  oracle_reset(&w->oracle, &cfg->ep.params, 2 * cfg->ep.timer_tick, cfg->ep.message_max);
  w->oracle.is_ample = cfg->ep.dedup_count >= WORLD_AMPLE;
  w->oracle.lag = cfg->lag_max;
  w->oracle.is_verbose = is_verbose;
  fault_on_open(w);
  for (uint8_t i = 0; i < cfg->node_count; i++)
    node_open(w, i);
  return w->oracle.broken == RULE_NONE;
}

void world_move(world *w, uint8_t node, uint8_t address)
{
  if (address < w->cfg.node_count || address >= NET_NODES_MAX)
    abort();
  w->address[node] = address;
  if (w->net.node_count <= address)
    w->net.node_count = (uint8_t)(address + 1);
}

void world_close(world *w)
{
  w->is_closing = true;
  w->oracle.is_cut_short |= net_next(&w->net) != COPAL_NEVER;
  for (uint8_t i = 0; i < w->cfg.node_count; i++) {
    w->oracle.is_cut_short |= copal_ep_deadline(w->nodes[i].ep) != COPAL_NEVER;
    node_close(w, i);
  }
  oracle_finish(&w->oracle, w->now);
}

static void check_leaks(world *w)
{
  for (uint8_t i = 0; i < w->cfg.node_count; i++) {
    const copal_usage u = copal_ep_usage(w->nodes[i].ep);
    const uint32_t chunks = u.chunks + (w->cfg.fault == FAULT_LEAK);
    if (u.exchanges + u.peers + u.dedups + u.relations + u.observers + chunks != 0)
      oracle_fail(&w->oracle, RULE_LEAK, w->now,
                  "node %u: %u exchanges, %u peers, %u dedups, %u chunks in use at the end", i,
                  u.exchanges, u.peers, u.dedups, chunks);
    const copal_stats *s = copal_ep_stats(w->nodes[i].ep);
    if (s->tx_datagrams != (copal_count)w->sent[i] ||
        s->rx_datagrams != (copal_count)w->received[i])
      oracle_fail(&w->oracle, RULE_API, w->now, "node %u: datagram counters are wrong", i);
  }
}

/* A request that must succeed, over a perfect network. */
static void probe(world *w, uint8_t client, uint8_t server)
{
  const uint32_t id = w->oracle.request_count;
  client_get(w, client, server);
  world_step_until(w, w->now + probe_patience);
  const oracle_request *r = &w->oracle.requests[id];
  if (r->ends != 1 || r->end != COPAL_EVENT_RESPONSE)
    oracle_fail(&w->oracle, RULE_ALIVE, w->now, "node %u: no answer from node %u at the end",
                client, server);
}

static void probe_all(world *w)
{
  const net_link perfect = {.delay_min = 1, .delay_max = COPAL_MILLISECOND};
  net_set_links(&w->net, &perfect);
  w->is_closing = true;
  for (uint8_t i = 0; i < w->cfg.node_count; i++)
    for (uint8_t j = 0; j < w->cfg.node_count; j++)
      if (i != j && w->cfg.is_client[i])
        probe(w, i, j);
}

bool world_run(world *w, const world_cfg *cfg, bool is_verbose)
{
  world_open(w, cfg, is_verbose);
  if (cfg->wipes_early) {
    world_step_until(w, w->now + rng_below(&w->rng, 60 * COPAL_SECOND));
  } else {
    world_step_until(w, COPAL_NEVER);
    check_leaks(w);
    probe_all(w);
    world_step_until(w, COPAL_NEVER);
    check_leaks(w);
  }
  world_close(w);
  return w->oracle.broken == RULE_NONE;
}

int world_setup(void **state)
{
  world *w = malloc(sizeof(*w));
  if (w == NULL)
    return -1;
  world_init(w);
  *state = w;
  return 0;
}

int world_teardown(void **state)
{
  world_wipe(*state);
  free(*state);
  return 0;
}
