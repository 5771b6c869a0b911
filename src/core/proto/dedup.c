/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of messages received. */
#include "core/proto/dedup.h"

#include <assert.h>

#include "core/proto/peer.h"

enum {
  /* Entries given up for one message to keep: bounds the work per message. More than a datagram of
   * 1152 bytes takes pieces of 56. */
  EVICT_MAX = 32,
  SWEEP_MAX = 1024, /* entries given back in one go */
};

/* Entries are swept this much after their end, so that a busy endpoint sweeps many at once. */
static const copal_dur sweep_slack = COPAL_SECOND;

/* Message IDs of a client mostly follow one another: so do their buckets, several in a cache line.
 * Where a client's begin is as good as random. */
static uint32_t mid_hash(uint32_t path_hash, uint16_t mid)
{
  return path_hash + mid;
}

static void unlink_from_mid(copal_ep *ep, dedup *d)
{
  if (d->state == DEDUP_DEAD)
    return;
  copal_map_remove(&ep->dedup_by_mid, &d->link);
  d->state = DEDUP_DEAD;
}

static void detach_exchange(dedup *d)
{
  if (d->exchange)
    d->exchange->dedup = NULL;
  d->exchange = NULL;
}

static void join_peer(dedup *d)
{
  peer *p = d->peer;
  d->newer = p->newest ? p->newest->newer : d;
  if (p->newest)
    p->newest->newer = d;
  p->newest = d;
}

/* An entry that goes is the oldest of its peer: the lists of all and of each peer have one order.
 */
static void leave_peer(const dedup *d)
{
  peer *p = d->peer;
  assert(p->newest->newer == d);
  p->newest->newer = d->newer;
  if (p->newest == d)
    p->newest = NULL;
}

static void give(copal_ep *ep, dedup *d)
{
  peer *p = d->peer;

  unlink_from_mid(ep, d);
  detach_exchange(d);
  if (ep->turn && ep->turn->dedup == d)
    ep->turn->dedup = NULL; /* its handler keeps more than there is room for */
  copal_list_remove(&d->age);
  leave_peer(d);
  copal_chain_give(&d->reply, &ep->chunks);
  copal_pool_give(&ep->dedups, d);
  p->dedup_count--;
  peer_settle(ep, p);
}

static void evict(copal_ep *ep, dedup *d, copal_time now)
{
  if (d->state != DEDUP_DEAD && d->expires > now)
    ep->stats.dedup_evicted++;
  give(ep, d);
}

static dedup *oldest(const copal_ep *ep)
{
  return COPAL_AROUND(ep->dedup_by_age.next, dedup, age);
}

dedup *dedup_find(copal_ep *ep, const copal_path *path, uint16_t mid, copal_time now)
{
  const uint32_t path_hash = ep_path_hash(ep, path);
  const peer *p = peer_find(ep, path, path_hash);
  if (!p || p->dedup_count == 0) /* spares those who only read a look into the larger table */
    return NULL;

  copal_map_link *link = copal_map_first(&ep->dedup_by_mid, mid_hash(path_hash, mid));
  for (; link; link = copal_map_next(&ep->dedup_by_mid, link)) {
    dedup *d = COPAL_AROUND(link, dedup, link);
    if (d->mid != mid || d->local != path->local || d->peer != p)
      continue;
    if (d->expires > now)
      return d;
    /* Of an earlier use of the Message ID: a Non-confirmable one is over before those ahead of it.
     */
    unlink_from_mid(ep, d);
    detach_exchange(d); /* late, when the driver slept */
    return NULL;
  }
  return NULL;
}

void dedup_foresee(const copal_ep *ep, const copal_path *path, uint16_t mid)
{
  copal_map_foresee(&ep->dedup_by_mid, mid_hash(ep_path_hash(ep, path), mid));
}

peer *dedup_take_peer(copal_ep *ep, const copal_path *path, uint32_t path_hash, copal_time now)
{
  peer *p = peer_take(ep, path, path_hash);
  while (!p && !copal_list_is_empty(&ep->dedup_by_age)) {
    evict(ep, oldest(ep), now);
    p = peer_take(ep, path, path_hash);
  }
  return p;
}

static void make_place(copal_ep *ep, peer *p, copal_time now)
{
  if (p->dedup_count > ep->cfg.dedup_per_peer)
    evict(ep, p->newest->newer, now);
  else if (ep->dedups.used >= ep->cfg.dedup_count)
    evict(ep, oldest(ep), now);
}

dedup *dedup_remember(copal_ep *ep, const copal_path *path, uint16_t mid, copal_dur lifetime,
                      copal_time now)
{
  const uint32_t path_hash = ep_path_hash(ep, path);
  peer *p = dedup_take_peer(ep, path, path_hash, now);
  if (!p) {
    ep->stats.dedup_refused++;
    return NULL;
  }

  p->dedup_count++; /* keeps the peer while its only entry makes place for this one */
  make_place(ep, p, now);
  dedup *d = copal_pool_take(&ep->dedups);
  *d = (dedup){.peer = p, .expires = now + lifetime, .mid = mid, .local = path->local};
  copal_map_append(&ep->dedup_by_mid, &d->link, mid_hash(path_hash, mid));
  copal_list_append(&ep->dedup_by_age, &d->age);
  join_peer(d);
  return d;
}

static size_t chunks_for(const copal_ep *ep, size_t len)
{
  size_t chunks = 0;
  for (size_t covered = 0; covered < len; covered += ep->cfg.chunk_size)
    chunks++;
  return chunks;
}

bool dedup_make_room(copal_ep *ep, size_t len, const dedup *spare, copal_time now)
{
  const size_t needed = chunks_for(ep, len);

  if (needed > ep->chunks.count) /* hopeless: then nobody shall lose an entry for it */
    return false;
  for (int i = 0; i < EVICT_MAX && ep->chunks.count - ep->chunks.used < needed; i++) {
    if (copal_list_is_empty(&ep->dedup_by_age) || oldest(ep) == spare)
      return false;
    evict(ep, oldest(ep), now);
  }
  return ep->chunks.count - ep->chunks.used >= needed;
}

void dedup_keep_reply(copal_ep *ep, dedup *d, copal_span reply, copal_time now)
{
  d->state = DEDUP_REPLIED;
  if (dedup_make_room(ep, reply.len, d, now) &&
      copal_chain_keep(&d->reply, &ep->chunks, reply) == COPAL_OK)
    return;
  d->state = DEDUP_SILENT;
  ep->stats.chunks_refused++;
}

void dedup_sweep(copal_ep *ep, copal_time now)
{
  for (int i = 0; i < SWEEP_MAX && !copal_list_is_empty(&ep->dedup_by_age); i++) {
    if (oldest(ep)->expires > now)
      return;
    give(ep, oldest(ep));
  }
}

copal_time dedup_deadline(const copal_ep *ep)
{
  return copal_list_is_empty(&ep->dedup_by_age) ? COPAL_NEVER : oldest(ep)->expires + sweep_slack;
}
