/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of exchanges, its two indexes and the retransmission schedule. */
#include "core/proto/exchange.h"

#include <assert.h>
#include <string.h>

#include "core/proto/dedup.h"
#include "core/proto/mid.h"
#include "core/proto/send.h"

enum {
  XREF_INDEX_BITS = 32,
  MID_OFFSET = 2, /* RFC 7252 section 3 */
};

exchange *exchange_take(copal_ep *ep, const copal_path *path)
{
  exchange *x = ep->is_ending ? NULL : copal_pool_take(&ep->exchanges);
  if (!x) {
    ep->stats.exchanges_refused++;
    return NULL;
  }
  if (++ep->generation == 0)
    ep->generation = 1; /* no handle is 0 */
  *x = (exchange){.path = *path, .generation = ep->generation};
  copal_timer_init(&x->timer);
  copal_list_init(&x->queue);
  return x;
}

void exchange_give(copal_ep *ep, exchange *x)
{
  copal_timerq_cancel(&ep->timers, &x->timer);
  copal_list_remove(&x->queue);
  if (x->has_token)
    copal_map_remove(&ep->exchange_by_token, &x->by_token);
  exchange_unlink_mid(ep, x);
  copal_chain_give(&x->kept, &ep->chunks);
  if (x->dedup)
    x->dedup->exchange = NULL;
  x->state = EXCHANGE_FREE;
  copal_pool_give(&ep->exchanges, x);
}

copal_xref exchange_ref(const copal_ep *ep, const exchange *x)
{
  return (copal_xref)x->generation << XREF_INDEX_BITS | copal_pool_index(&ep->exchanges, x);
}

exchange *exchange_at(const copal_ep *ep, copal_xref ref)
{
  exchange *x = copal_pool_at(&ep->exchanges, (uint32_t)ref);
  if (!x || x->state == EXCHANGE_FREE || x->generation != (uint32_t)(ref >> XREF_INDEX_BITS))
    return NULL;
  return x;
}

void exchange_set_token(exchange *x, copal_span token)
{
  x->token_len = (uint16_t)token.len;
  if (token.len)
    memcpy(x->token, token.ptr, token.len);
}

copal_span exchange_token(const exchange *x)
{
  return copal_span_of(x->token, x->token_len);
}

static uint32_t token_hash(const copal_ep *ep, copal_span token)
{
  uint32_t hash = ep->seed ^ (uint32_t)token.len;
  for (size_t i = 0; i < token.len; i++)
    hash = copal_hash_mix(hash, token.ptr[i]);
  return hash;
}

void exchange_link_token(copal_ep *ep, exchange *x)
{
  x->has_token = true;
  copal_map_insert(&ep->exchange_by_token, &x->by_token, token_hash(ep, exchange_token(x)));
}

void exchange_link_mid(copal_ep *ep, exchange *x, uint16_t mid)
{
  assert(!x->has_mid);
  x->mid = mid;
  x->has_mid = true;
  copal_map_insert(&ep->exchange_by_mid, &x->by_mid, copal_hash_mix(ep->seed, mid));
}

void exchange_unlink_mid(copal_ep *ep, exchange *x)
{
  if (x->has_mid)
    copal_map_remove(&ep->exchange_by_mid, &x->by_mid);
  x->has_mid = false;
}

uint16_t exchange_draw_mid(copal_ep *ep, const exchange *x, uint32_t path_hash, copal_time now)
{
  const bool is_group = (x->path.flags & COPAL_PATH_GROUP) != 0;
  return is_group ? mid_draw_group(ep, path_hash, now) : mid_draw(ep, path_hash, now);
}

void exchange_renew_mid(copal_ep *ep, exchange *x, uint16_t mid)
{
  copal_mspan head = {x->kept.head->bytes, COPAL_HEADER_SIZE};
  copal_wr w = copal_wr_init(head);
  w.len = COPAL_HEADER_SIZE; /* patch what is there */
  copal_wr_patch(&w, MID_OFFSET, mid, sizeof mid);
  exchange_unlink_mid(ep, x);
  exchange_link_mid(ep, x, mid);
}

exchange *exchange_find_token(copal_ep *ep, const copal_path *path, copal_span token)
{
  copal_map_link *link = copal_map_first(&ep->exchange_by_token, token_hash(ep, token));
  for (; link; link = copal_map_next(&ep->exchange_by_token, link)) {
    exchange *x = COPAL_AROUND(link, exchange, by_token);
    if (!copal_span_is_equal(exchange_token(x), token))
      continue;
    if ((x->path.flags & COPAL_PATH_GROUP) || copal_path_is_same_peer(&x->path, path))
      return x;
  }
  return NULL;
}

exchange *exchange_find_mid(copal_ep *ep, const copal_path *path, uint16_t mid)
{
  copal_map_link *link = copal_map_first(&ep->exchange_by_mid, copal_hash_mix(ep->seed, mid));
  for (; link; link = copal_map_next(&ep->exchange_by_mid, link)) {
    exchange *x = COPAL_AROUND(link, exchange, by_mid);
    if (x->mid == mid && copal_path_is_same_peer(&x->path, path))
      return x;
  }
  return NULL;
}

int exchange_keep(copal_ep *ep, exchange *x, copal_span datagram, copal_time now)
{
  if (dedup_make_room(ep, datagram.len, x->dedup, now) &&
      copal_chain_keep(&x->kept, &ep->chunks, datagram) == COPAL_OK)
    return COPAL_OK;
  ep->stats.chunks_refused++;
  return COPAL_ENOSLOT;
}

/* Arms the interval, or the end of the caller's patience when that comes first. */
static void arm_interval(copal_ep *ep, exchange *x, copal_time now)
{
  copal_time due = now + x->interval;
  if (x->is_client && x->give_up < due)
    due = x->give_up;
  copal_timerq_arm(&ep->timers, &x->timer, due);
}

void exchange_start_con(copal_ep *ep, exchange *x, copal_time now)
{
  x->state = EXCHANGE_WAIT_ACK;
  x->retransmits = 0;
  x->interval = ep->cfg.params.ack_timeout + ep_random_dur(ep, ep->ack_spread);
  x->span_end = now + ep->transmit_span;
  arm_interval(ep, x, now);
}

bool exchange_resend(copal_ep *ep, exchange *x, copal_time now)
{
  if (x->retransmits >= ep->cfg.params.max_retransmit || now > x->span_end)
    return false;
  x->retransmits++;
  x->interval *= 2;
  ep->stats.tx_retransmits++;
  send_kept(ep, &x->path, &x->kept);
  arm_interval(ep, x, now);
  return true;
}
