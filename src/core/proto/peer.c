/* SPDX-License-Identifier: Apache-2.0 */
/* The table of remote endpoints. */
#include "core/proto/peer.h"

enum { MARKS = 32 }; /* of a word */

size_t peer_marks_size(uint32_t peer_count)
{
  return (copal_map_bucket_count(peer_count) / MARKS + 1) * sizeof(uint32_t);
}

/* The word with the mark of a bucket. */
static uint32_t *marks_at(const copal_ep *ep, uint32_t path_hash)
{
  return &ep->peer_marks[(path_hash & ep->peers_by_path.mask) / MARKS];
}

static uint32_t mark_of(const copal_ep *ep, uint32_t path_hash)
{
  return UINT32_C(1) << (path_hash & ep->peers_by_path.mask) % MARKS;
}

peer *peer_find(copal_ep *ep, const copal_path *path, uint32_t path_hash)
{
  if (!(*marks_at(ep, path_hash) & mark_of(ep, path_hash)))
    return NULL;
  copal_map_link *link = copal_map_first(&ep->peers_by_path, path_hash);
  for (; link; link = copal_map_next(&ep->peers_by_path, link)) {
    peer *p = COPAL_AROUND(link, peer, link);
    if (copal_path_is_same_peer(&p->path, path))
      return p;
  }
  return NULL;
}

peer *peer_take(copal_ep *ep, const copal_path *path, uint32_t path_hash)
{
  peer *p = peer_find(ep, path, path_hash);
  if (p)
    return p;
  p = copal_pool_take(&ep->peers);
  if (!p)
    return NULL;

  *p = (peer){.path = *path};
  copal_timer_init(&p->quiet);
  copal_list_init(&p->waiting);
  copal_map_insert(&ep->peers_by_path, &p->link, path_hash);
  *marks_at(ep, path_hash) |= mark_of(ep, path_hash);
  return p;
}

void peer_settle(copal_ep *ep, peer *p)
{
  if (p->dedup_count || p->exchange_count || copal_timer_is_armed(&p->quiet))
    return;
  const uint32_t hash = p->link.hash;
  copal_map_remove(&ep->peers_by_path, &p->link);
  if (!copal_map_alike(&ep->peers_by_path, hash))
    *marks_at(ep, hash) &= ~mark_of(ep, hash);
  copal_pool_give(&ep->peers, p);
}

bool peer_is_free(const copal_ep *ep, const peer *p)
{
  return p->outstanding < ep->cfg.params.nstart && !copal_timer_is_armed(&p->quiet);
}

/* Time that a datagram of `len` bytes takes at the rate: whole milliseconds, rounded up, kept below
 * the longest duration. Datagrams are below 64 KiB, so 32 bits are enough. */
static copal_dur time_at_rate(size_t len, uint32_t bytes_per_second)
{
  const uint32_t scaled = (uint32_t)len * (COPAL_SECOND / COPAL_MILLISECOND);
  const uint32_t most = UINT32_MAX / COPAL_MILLISECOND;
  if (bytes_per_second >= scaled)
    return COPAL_MILLISECOND;
  const uint32_t ms = (scaled + bytes_per_second - 1) / bytes_per_second;
  return (ms < most ? ms : most) * COPAL_MILLISECOND;
}

void peer_probed(copal_ep *ep, peer *p, size_t len, copal_time now)
{
  if (ep->cfg.params.probing_rate == 0)
    return;
  copal_timerq_arm(&ep->timers, &p->quiet, now + time_at_rate(len, ep->cfg.params.probing_rate));
}

void peer_responded(copal_ep *ep, peer *p)
{
  copal_timerq_cancel(&ep->timers, &p->quiet);
}
