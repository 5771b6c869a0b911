/* SPDX-License-Identifier: Apache-2.0 */
/* Making and ending an endpoint: its configuration and the plan of its memory. */
#include <assert.h>
#include <string.h>

#include "copal/endpoint.h"
#include "core/base/carver.h"
#include "core/proto/challenge.h"
#include "core/proto/client.h"
#include "core/proto/ep.h"
#include "core/proto/observe.h"
#include "core/proto/peer.h"
#include "core/proto/qblock.h"
#include "core/proto/recall.h"
#include "core/proto/slice.h"
#include "core/wire/option_check.h"

enum {
  CHUNK_SIZE_MIN = 16,
  CHUNK_SIZE_MAX = 4096,
  MESSAGE_MIN = 64,
  NOTIFICATION_HEAD = COPAL_HEADER_SIZE + COPAL_TOKEN_MAX, /* what differs between receivers */
  SLOTS_MAX = 1 << 24, /* of each table below that is not made of pools: its size fits 32 bits */
  TOKEN_LEN_MIN = 4,   /* RFC 7252 section 5.3.1: 32 bits of randomness */
};

/* Counts that are small numbers by default. */
static const struct {
  uint8_t offset; /* in copal_ep_cfg */
  uint8_t value;
} default_counts[] = {
    {offsetof(copal_ep_cfg, exchange_count), 16}, {offsetof(copal_ep_cfg, peer_count), 16},
    {offsetof(copal_ep_cfg, dedup_count), 32},    {offsetof(copal_ep_cfg, dedup_per_peer), 16},
    {offsetof(copal_ep_cfg, chunk_count), 64},    {offsetof(copal_ep_cfg, relation_count), 16},
    {offsetof(copal_ep_cfg, mid_count), 16},      {offsetof(copal_ep_cfg, timer_slots), 64},
};

static uint32_t default_u32(uint32_t v, uint32_t otherwise)
{
  return v ? v : otherwise;
}

static void fill_counts(copal_ep_cfg *c)
{
  for (size_t i = 0; i < sizeof default_counts / sizeof default_counts[0]; i++) {
    uint32_t *count = (uint32_t *)(void *)((char *)c + default_counts[i].offset);
    *count = default_u32(*count, default_counts[i].value);
  }
}

static void fill_defaults(copal_ep_cfg *c)
{
  static const copal_params none;
  if (memcmp(&c->params, &none, sizeof none) == 0)
    c->params = copal_params_default();
  fill_counts(c);
  c->chunk_size = (uint16_t)default_u32(c->chunk_size, 128);
  c->message_max = (uint16_t)default_u32(c->message_max, 1152);
  c->token_cap = (uint16_t)default_u32(c->token_cap, COPAL_TOKEN_MAX);
  c->token_len = (uint8_t)default_u32(c->token_len, COPAL_TOKEN_MAX);
  c->szx_max = c->has_szx_max ? c->szx_max : COPAL_SZX_MAX;
  c->observer_count = default_u32(c->observer_count, c->relation_count);
  c->relation_per_peer = default_u32(c->relation_per_peer, c->relation_count);
  c->notify_con_every = (uint16_t)default_u32(c->notify_con_every, 10);
  c->notify_burst = (uint16_t)default_u32(c->notify_burst, 256);
  c->timer_tick = default_u32(c->timer_tick, COPAL_MILLISECOND);
}

static bool is_power_of_two(uint32_t v)
{
  return v != 0 && (v & (v - 1)) == 0;
}

static bool is_valid(const copal_ep_cfg *c)
{
  return c->sink && c->entropy && (!c->guard || challenge_is_available()) &&
         copal_params_check(&c->params) == COPAL_OK && c->chunk_size >= CHUNK_SIZE_MIN &&
         c->chunk_size <= CHUNK_SIZE_MAX && c->message_max >= MESSAGE_MIN &&
         c->token_cap >= COPAL_TOKEN_MAX && c->token_len >= TOKEN_LEN_MIN &&
         c->token_len <= COPAL_TOKEN_MAX && c->szx_max <= COPAL_SZX_MAX &&
         is_power_of_two(c->mid_count) && c->mid_count <= SLOTS_MAX &&
         is_power_of_two(c->timer_slots) && c->timer_slots <= SLOTS_MAX && qblock_is_valid(c) &&
         recall_is_valid(c);
}

/* Where a member of `*ep` is, also when there is no `ep` and its place is never looked at. */
#define PLACE(ep, member) ((void *)((uintptr_t)(ep) + offsetof(copal_ep, member)))

/* The plan of an endpoint's memory; with `ep` NULL it only measures. Returns the size, or 0 when no
 * memory is that large, or tables would not reach what is in them: counts are the caller's, and on
 * 32 bits a sum of them must not wrap. */
static size_t lay_out(copal_ep *ep, const copal_ep_cfg *cfg, copal_time now)
{
  copal_carver c = {.mem = (uint8_t *)ep};

  copal_carve(&c, sizeof *ep);
  copal_carve_pool(&c, PLACE(ep, exchanges), sizeof(exchange) + cfg->token_cap,
                   cfg->exchange_count);
  copal_carve_pool(&c, PLACE(ep, peers), sizeof(peer), cfg->peer_count);
  copal_carve_pool(&c, PLACE(ep, dedups), sizeof(dedup), cfg->dedup_count);
  copal_map_carve(PLACE(ep, peers_by_path), &c, cfg->peer_count);
  uint32_t *peer_marks = copal_carve_zeros(&c, peer_marks_size(cfg->peer_count));
  copal_map_carve(PLACE(ep, dedup_by_mid), &c, cfg->dedup_count);
  copal_map_carve(PLACE(ep, exchange_by_token), &c, cfg->exchange_count);
  copal_map_carve(PLACE(ep, exchange_by_mid), &c, cfg->exchange_count);
  observe_lay_out(&c, ep, cfg);
  const bool is_in_reach = copal_map_reaches(c.len);
  copal_carve_pool(&c, PLACE(ep, chunks), sizeof(copal_chunk) + cfg->chunk_size, cfg->chunk_count);
  qblock_lay_out(&c, ep, cfg);
  recall_lay_out(&c, ep, cfg);
  mid_counter *mids = copal_carve_zeros(&c, sizeof(mid_counter) * cfg->mid_count);
  uint32_t *mid_rounds = copal_carve_zeros(&c, sizeof *mid_rounds * cfg->mid_count);
  void *slots = copal_carve(&c, copal_timerq_size(cfg->timer_slots));
  uint8_t *scratch = copal_carve(&c, cfg->message_max);
  if (ep) {
    ep->scratch = (copal_mspan){scratch, cfg->message_max - NOTIFICATION_HEAD};
    ep->mids = mids;
    ep->peer_marks = peer_marks;
    ep->mid_rounds = mid_rounds;
    copal_timerq_init(&ep->timers, slots, cfg->timer_slots, cfg->timer_tick, now);
  }
  return is_in_reach && c.len <= SIZE_MAX ? (size_t)c.len : 0;
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
  return take_cfg(given, &cfg) ? 0 : lay_out(NULL, &cfg, 0);
}

/* The critical options whose meaning the endpoint or its handlers know. Blocks of responses are put
 * together by the client's user. */
enum {
  CRITICAL_RESPONSES = COPAL_CRITICAL_BIT(COPAL_OPT_BLOCK1) | COPAL_CRITICAL_BIT(COPAL_OPT_BLOCK2),
  CRITICAL_REQUESTS =
      COPAL_CRITICAL_BIT(COPAL_OPT_BLOCK1) | COPAL_CRITICAL_BIT(COPAL_OPT_IF_MATCH) |
      COPAL_CRITICAL_BIT(COPAL_OPT_URI_HOST) | COPAL_CRITICAL_BIT(COPAL_OPT_IF_NONE_MATCH) |
      COPAL_CRITICAL_BIT(COPAL_OPT_URI_PORT) | COPAL_CRITICAL_BIT(COPAL_OPT_URI_PATH) |
      COPAL_CRITICAL_BIT(COPAL_OPT_URI_QUERY) | COPAL_CRITICAL_BIT(COPAL_OPT_ACCEPT),
  PROXY_REQUESTS =
      COPAL_CRITICAL_BIT(COPAL_OPT_PROXY_URI) | COPAL_CRITICAL_BIT(COPAL_OPT_PROXY_SCHEME),
};

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
  copal_ep *ep = (copal_ep *)(void *)mem.ptr;
  const size_t size = copal_ep_size(given);
  if (size == 0)
    return COPAL_EINVAL;
  if (mem.len < size)
    return COPAL_ENOSPC;

  *ep = (copal_ep){0};
  take_cfg(given, &ep->cfg);
  lay_out(ep, &ep->cfg, now);
  copal_list_init(&ep->dedup_by_age);
  copal_list_init(&ep->telling);
  ep->seed = ep_random(ep);
  ep->ack_spread = ack_spread(ep);
  ep->transmit_span = copal_max_transmit_span(&ep->cfg.params);
  ep->exchange_lifetime = copal_exchange_lifetime(&ep->cfg.params);
  ep->non_lifetime = copal_non_lifetime(&ep->cfg.params);
  ep->critical_requests = CRITICAL_REQUESTS | slice_understood() | qblock_understood(&ep->cfg);
  if (ep->cfg.has_proxy)
    ep->critical_requests |= PROXY_REQUESTS;
  ep->critical_responses = CRITICAL_RESPONSES | qblock_understood(&ep->cfg);
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
