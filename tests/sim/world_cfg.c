/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of simulated worlds, drawn from a seed. */
#include <string.h>

#include "world.h"

static copal_params random_params(sim_rng *r)
{
  copal_params p = copal_params_default();
  if (rng_percent(r, 40)) {
    p.ack_timeout = rng_range(r, COPAL_SECOND, 3 * COPAL_SECOND);
    p.ack_random_percent = (uint16_t)rng_range(r, 100, 200);
    p.max_retransmit = (uint8_t)rng_below(r, 6);
    p.ack_delay = rng_below(r, COPAL_SECOND);
    p.processing_delay = p.ack_timeout;
  }
  p.nstart = (uint8_t)rng_range(r, 1, 4);
  if (rng_percent(r, 40))
    p.max_latency = rng_range(r, 20, 100) * COPAL_SECOND;
  p.default_leisure = rng_range(r, 0, 10) * COPAL_SECOND;
  p.probing_rate = 0;
  if (rng_percent(r, 50))
    p.probing_rate = rng_percent(r, 30) ? rng_range(r, 1, 10) : rng_range(r, 100, 10000);
  return p;
}

static void ample_pools(copal_ep_cfg *c)
{
  c->exchange_count = 64;
  c->peer_count = 16;
  c->dedup_count = WORLD_AMPLE;
  c->dedup_per_peer = 200;
  c->chunk_count = 512;
  c->chunk_size = 128;
}

static void tiny_pools(sim_rng *r, copal_ep_cfg *c)
{
  c->exchange_count = rng_range(r, 1, 6);
  c->peer_count = rng_range(r, 1, 4);
  c->dedup_count = rng_range(r, 1, 8);
  c->dedup_per_peer = rng_range(r, 1, 4);
  c->chunk_count = rng_range(r, 4, 24); /* enough for the smallest request */
  c->chunk_size = (uint16_t)rng_range(r, 16, 128);
}

static copal_ep_cfg random_ep(sim_rng *r)
{
  copal_ep_cfg c = COPAL_EP_CFG_INIT;
  c.params = random_params(r);
  if (rng_percent(r, 60))
    ample_pools(&c);
  else
    tiny_pools(r, &c);
  c.message_max = (uint16_t)(rng_percent(r, 50) ? 1152 : rng_range(r, 256, 1280));
  c.token_len = (uint8_t)rng_range(r, 4, 8);
  c.has_szx_max = true;
  c.szx_max = (uint8_t)rng_below(r, 7);
  c.mid_count = (uint32_t)1 << rng_below(r, 5);
  c.timer_slots = (uint32_t)1 << rng_range(r, 6, 10);
  c.timer_tick = rng_range(r, 1, 16) * COPAL_MILLISECOND;
  return c;
}

static net_link random_link(sim_rng *r)
{
  net_link l;
  memset(&l, 0, sizeof(l));
  const uint32_t distance = rng_below(r, 3);
  if (rng_percent(r, 85))
    l.loss_percent = (uint8_t)rng_below(r, 61);
  if (rng_percent(r, 70))
    l.dup_percent = (uint8_t)rng_below(r, 31);
  if (rng_percent(r, 10))
    l.corrupt_percent = (uint8_t)rng_below(r, 20);
  if (rng_percent(r, 20))
    l.icmp_percent = (uint8_t)rng_below(r, 40);
  l.delay_min = distance == 0 ? 100 : rng_below(r, 50 * COPAL_MILLISECOND);
  l.delay_max = l.delay_min + (distance == 0   ? 20 * COPAL_MILLISECOND
                               : distance == 1 ? 800 * COPAL_MILLISECOND
                                               : rng_below(r, 8 * COPAL_SECOND));
  if (rng_percent(r, 15)) {
    l.cut_from = rng_below(r, 20 * COPAL_SECOND);
    l.cut_until = l.cut_from + rng_below(r, 120 * COPAL_SECOND);
  }
  return l;
}

static void random_roles(sim_rng *r, world_cfg *c)
{
  c->node_count = (uint8_t)(rng_percent(r, 50) ? 2 : rng_range(r, 3, 5));
  for (uint8_t i = 0; i < c->node_count; i++) {
    c->is_client[i] = rng_percent(r, 60);
    c->is_server[i] = rng_percent(r, 70);
  }
  c->is_client[0] = true;
  c->is_server[1] = true;
}

world_cfg world_cfg_of(uint64_t seed)
{
  sim_rng rng = {seed};
  sim_rng *r = &rng;
  world_cfg c;
  memset(&c, 0, sizeof(c));
  c.seed = seed;
  random_roles(r, &c);
  c.link = random_link(r);
  c.ep = random_ep(r);
  c.requests_per_client = (uint8_t)rng_range(r, 2, 10);
  c.think_max = rng_percent(r, 50) ? COPAL_SECOND : 10 * COPAL_SECOND;
  c.late_max = rng_percent(r, 70) ? 3 * COPAL_SECOND : 40 * COPAL_SECOND;
  c.con_percent = (uint8_t)rng_range(r, 50, 100);
  c.ping_percent = (uint8_t)rng_below(r, 15);
  c.group_percent = rng_percent(r, 25) ? 20 : 0;
  c.cancel_percent = rng_percent(r, 40) ? 15 : 0;
  c.defer_percent = (uint8_t)rng_below(r, 60);
  c.sink_full_percent = rng_percent(r, 8) ? 10 : 0;
  c.inject_percent = rng_percent(r, 10) ? 30 : 0;
  c.spoof_percent = rng_percent(r, 10) ? 20 : 0;
  c.wipes_early = rng_percent(r, 4);
  c.lag_max = rng_percent(r, 10) ? rng_below(r, 5 * COPAL_SECOND) : 0;
  c.expires_idly = rng_percent(r, 20);
  return c;
}

world_cfg world_cfg_plain(uint64_t seed)
{
  world_cfg c;
  memset(&c, 0, sizeof(c));
  c.seed = seed;
  c.node_count = 2;
  c.is_client[0] = true;
  c.is_server[1] = true;
  c.link.delay_min = COPAL_MILLISECOND;
  c.link.delay_max = 20 * COPAL_MILLISECOND;
  c.ep = (copal_ep_cfg)COPAL_EP_CFG_INIT;
  c.ep.params = copal_params_default();
  ample_pools(&c.ep);
  c.ep.message_max = 1152;
  c.ep.timer_slots = 1024;
  c.ep.timer_tick = COPAL_MILLISECOND;
  c.requests_per_client = 10;
  c.think_max = COPAL_SECOND;
  c.late_max = 3 * COPAL_SECOND;
  c.con_percent = 100;
  c.defer_percent = 30;
  return c;
}
