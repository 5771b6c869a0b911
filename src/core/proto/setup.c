/* SPDX-License-Identifier: Apache-2.0 */
/* Making and ending an endpoint: its configuration and the plan of its memory. */
#include <assert.h>
#include <string.h>

#include "copal/endpoint.h"
#include "core/proto/client.h"
#include "core/proto/ep.h"
#include "core/proto/observe.h"
#include "core/wire/option_check.h"

enum {
  CHUNK_SIZE_MIN = 16,
  CHUNK_SIZE_MAX = 4096,
  MESSAGE_MIN = 64,
  NOTIFICATION_HEAD = COPAL_HEADER_SIZE + COPAL_TOKEN_MAX, /* what differs between receivers */
  TOKEN_LEN_MIN = 4, /* RFC 7252 section 5.3.1: 32 bits of randomness */
};

static uint32_t default_u32(uint32_t v, uint32_t otherwise)
{
  return v ? v : otherwise;
}

static void fill_defaults(copal_ep_cfg *c)
{
  static const copal_params none;
  if (memcmp(&c->params, &none, sizeof none) == 0)
    c->params = copal_params_default();
  c->exchange_count = default_u32(c->exchange_count, 16);
  c->peer_count = default_u32(c->peer_count, 16);
  c->dedup_count = default_u32(c->dedup_count, 32);
  c->dedup_per_peer = default_u32(c->dedup_per_peer, 16);
  c->chunk_count = default_u32(c->chunk_count, 64);
  c->chunk_size = (uint16_t)default_u32(c->chunk_size, 128);
  c->message_max = (uint16_t)default_u32(c->message_max, 1152);
  c->token_cap = (uint16_t)default_u32(c->token_cap, COPAL_TOKEN_MAX);
  c->token_len = (uint8_t)default_u32(c->token_len, COPAL_TOKEN_MAX);
  c->szx_max = c->has_szx_max ? c->szx_max : COPAL_SZX_MAX;
  c->relation_count = default_u32(c->relation_count, 16);
  c->observer_count = default_u32(c->observer_count, c->relation_count);
  c->relation_per_peer = default_u32(c->relation_per_peer, c->relation_count);
  c->notify_con_every = (uint16_t)default_u32(c->notify_con_every, 10);
  c->mid_count = default_u32(c->mid_count, 16);
  c->timer_slots = default_u32(c->timer_slots, 64);
  c->timer_tick = default_u32(c->timer_tick, COPAL_MILLISECOND);
}

static bool is_power_of_two(uint32_t v)
{
  return v != 0 && (v & (v - 1)) == 0;
}

static bool is_valid(const copal_ep_cfg *c)
{
  return c->sink && c->entropy && copal_params_check(&c->params) == COPAL_OK &&
         c->chunk_size >= CHUNK_SIZE_MIN && c->chunk_size <= CHUNK_SIZE_MAX &&
         c->message_max >= MESSAGE_MIN && c->token_cap >= COPAL_TOKEN_MAX &&
         c->token_len >= TOKEN_LEN_MIN && c->token_len <= COPAL_TOKEN_MAX &&
         c->szx_max <= COPAL_SZX_MAX && is_power_of_two(c->mid_count) &&
         is_power_of_two(c->timer_slots);
}

/* Hands out parts of the caller's memory one after another; counts only when `mem` is NULL. */
typedef struct carver {
  uint8_t *mem;
  size_t len;
} carver;

static void *carve(carver *c, size_t size, size_t count)
{
  void *part = c->mem ? c->mem + c->len : NULL;
  c->len += copal_pool_item_size(size) * count;
  return part;
}

static void *carve_array(carver *c, size_t size, size_t count, copal_ep *ep)
{
  void *part = carve(c, size * count, 1);
  if (ep)
    memset(part, 0, size * count);
  return part;
}

static void carve_pool(carver *c, copal_pool *pool, size_t size, uint32_t count)
{
  uint8_t *part = carve(c, size, count);
  if (pool)
    copal_pool_init(pool, part, size, count);
}

static void carve_map(carver *c, copal_ep *ep, copal_map *map, uint32_t count)
{
  const uint32_t buckets = copal_map_bucket_count(count);
  void *part = carve_array(c, sizeof(void *), buckets, ep);
  if (map)
    copal_map_init(map, part, buckets);
}

/* The plan of an endpoint's memory; with `ep` NULL it only measures. */
static size_t lay_out(copal_ep *ep, uint8_t *mem, const copal_ep_cfg *cfg, copal_time now)
{
  carver c = {.mem = mem};

  carve(&c, sizeof *ep, 1);
  carve_pool(&c, ep ? &ep->exchanges : NULL, sizeof(exchange) + cfg->token_cap,
             cfg->exchange_count);
  carve_pool(&c, ep ? &ep->peers : NULL, sizeof(peer), cfg->peer_count);
  carve_pool(&c, ep ? &ep->dedups : NULL, sizeof(dedup), cfg->dedup_count);
  carve_pool(&c, ep ? &ep->chunks : NULL, sizeof(copal_chunk) + cfg->chunk_size, cfg->chunk_count);
  carve_pool(&c, ep ? &ep->observers : NULL, sizeof(observer), cfg->observer_count);
  carve_pool(&c, ep ? &ep->relations : NULL, sizeof(relation), cfg->relation_count);
  carve_map(&c, ep, ep ? &ep->observers_by_path : NULL, cfg->observer_count);
  carve_map(&c, ep, ep ? &ep->relations_by_token : NULL, cfg->relation_count);
  carve_map(&c, ep, ep ? &ep->peers_by_path : NULL, cfg->peer_count);
  carve_map(&c, ep, ep ? &ep->dedup_by_mid : NULL, cfg->dedup_count);
  carve_map(&c, ep, ep ? &ep->exchange_by_token : NULL, cfg->exchange_count);
  carve_map(&c, ep, ep ? &ep->exchange_by_mid : NULL, cfg->exchange_count);
  mid_counter *mids = carve_array(&c, sizeof(mid_counter), cfg->mid_count, ep);
  copal_node *slots = carve_array(&c, sizeof(copal_node), cfg->timer_slots, ep);
  uint32_t *words =
      carve_array(&c, sizeof(uint32_t), copal_timerq_word_count(cfg->timer_slots), ep);
  uint8_t *scratch = carve(&c, cfg->message_max, 1);
  if (ep) {
    ep->scratch = (copal_mspan){scratch, cfg->message_max - NOTIFICATION_HEAD};
    ep->mids = mids;
    copal_timerq_init(&ep->timers, slots, words, cfg->timer_slots, cfg->timer_tick, now);
  }
  return c.len;
}

static int take_cfg(const copal_ep_cfg *given, copal_ep_cfg *cfg)
{
  if (given->struct_size != sizeof *given)
    return COPAL_EINVAL;
  *cfg = *given;
  fill_defaults(cfg);
  return is_valid(cfg) ? COPAL_OK : COPAL_EINVAL;
}

size_t copal_ep_size(const copal_ep_cfg *given)
{
  copal_ep_cfg cfg;
  return take_cfg(given, &cfg) ? 0 : lay_out(NULL, NULL, &cfg, 0);
}

/* The critical options whose meaning the endpoint or its handlers know. */
static uint32_t critical_set(bool is_request)
{
  const uint32_t both = COPAL_CRITICAL_BIT(COPAL_OPT_BLOCK1) | COPAL_CRITICAL_BIT(COPAL_OPT_BLOCK2);
  if (!is_request)
    return both;
  return both | COPAL_CRITICAL_BIT(COPAL_OPT_IF_MATCH) | COPAL_CRITICAL_BIT(COPAL_OPT_URI_HOST) |
         COPAL_CRITICAL_BIT(COPAL_OPT_IF_NONE_MATCH) | COPAL_CRITICAL_BIT(COPAL_OPT_URI_PORT) |
         COPAL_CRITICAL_BIT(COPAL_OPT_URI_PATH) | COPAL_CRITICAL_BIT(COPAL_OPT_URI_QUERY) |
         COPAL_CRITICAL_BIT(COPAL_OPT_ACCEPT) | COPAL_CRITICAL_BIT(COPAL_OPT_PROXY_URI) |
         COPAL_CRITICAL_BIT(COPAL_OPT_PROXY_SCHEME);
}

/* Timers may fire a tick late, five times in a row; the jitter leaves room for that, so that all
 * transmissions stay inside MAX_TRANSMIT_SPAN. */
static copal_dur ack_spread(const copal_ep *ep)
{
  copal_params once = ep->cfg.params;
  once.max_retransmit = 1;
  const copal_dur spread = copal_max_transmit_span(&once) - once.ack_timeout;
  const copal_dur margin = 2 * copal_timerq_tick(&ep->timers);
  return spread > margin ? spread - margin : 0;
}

int copal_ep_init(copal_mspan mem, const copal_ep_cfg *given, copal_ep **out, copal_time now)
{
  copal_ep_cfg cfg;
  int err = take_cfg(given, &cfg);
  if (err)
    return err;
  if (mem.len < lay_out(NULL, NULL, &cfg, now))
    return COPAL_ENOSPC;

  copal_ep *ep = (copal_ep *)(void *)mem.ptr;
  *ep = (copal_ep){.cfg = cfg};
  lay_out(ep, mem.ptr, &cfg, now);
  copal_list_init(&ep->dedup_by_age);
  ep->seed = ep_random(ep);
  ep->ack_spread = ack_spread(ep);
  ep->transmit_span = copal_max_transmit_span(&cfg.params);
  ep->exchange_lifetime = copal_exchange_lifetime(&cfg.params);
  ep->non_lifetime = copal_non_lifetime(&cfg.params);
  ep->critical_requests = critical_set(true);
  ep->critical_responses = critical_set(false);
  *out = ep;
  return COPAL_OK;
}

/* Ends client exchanges; those that wait for their turn go first, so that the end of another does
 * not send them. */
static void cancel_requests(copal_ep *ep, bool only_queued, copal_time now)
{
  exchange *x;

  for (uint32_t i = 0; (x = copal_pool_at(&ep->exchanges, i)); i++) {
    if (x->is_client &&
        (x->state == EXCHANGE_QUEUED || (x->state != EXCHANGE_FREE && !only_queued)))
      client_end(ep, x, COPAL_EVENT_CANCELED, now);
  }
}

void copal_ep_wipe(copal_ep *ep, copal_time now)
{
  if (!ep)
    return;
  assert(!ep->is_busy);
  ep->is_busy = true;
  ep->is_ending = true;
  cancel_requests(ep, true, now);
  cancel_requests(ep, false, now);
  observe_wipe(ep);
  memset(ep, 0, sizeof *ep);
}
