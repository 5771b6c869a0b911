/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual network: a heap of events ordered by time, then by order of scheduling. */
#include "net.h"

#include <stdlib.h>
#include <string.h>

static bool is_before(const net *n, uint32_t a, uint32_t b)
{
  const net_event *x = &n->pool[a];
  const net_event *y = &n->pool[b];
  return x->at != y->at ? x->at < y->at : x->seq < y->seq;
}

static void swap(uint32_t *a, uint32_t *b)
{
  const uint32_t t = *a;
  *a = *b;
  *b = t;
}

static void sift_up(net *n, uint32_t i)
{
  while (i > 0 && is_before(n, n->heap[i], n->heap[(i - 1) / 2])) {
    swap(&n->heap[i], &n->heap[(i - 1) / 2]);
    i = (i - 1) / 2;
  }
}

static void sift_down(net *n, uint32_t i)
{
  for (;;) {
    uint32_t least = i;
    for (uint32_t c = 2 * i + 1; c <= 2 * i + 2 && c < n->heap_count; c++)
      if (is_before(n, n->heap[c], n->heap[least]))
        least = c;
    if (least == i)
      return;
    swap(&n->heap[i], &n->heap[least]);
    i = least;
  }
}

static void grow(net *n)
{
  const uint32_t cap = n->cap == 0 ? 64 : n->cap * 2;
  n->pool = realloc(n->pool, cap * sizeof(*n->pool));
  n->heap = realloc(n->heap, cap * sizeof(*n->heap));
  n->unused = realloc(n->unused, cap * sizeof(*n->unused));
  if (n->pool == NULL || n->heap == NULL || n->unused == NULL)
    abort();
  for (uint32_t i = n->cap; i < cap; i++)
    n->unused[n->unused_count++] = i;
  n->cap = cap;
}

static net_event *schedule(net *n, net_kind kind, uint8_t from, uint8_t to, copal_time at)
{
  if (n->unused_count == 0)
    grow(n);
  const uint32_t slot = n->unused[--n->unused_count];
  net_event *e = &n->pool[slot];
  e->at = at;
  e->seq = n->seq++;
  e->kind = kind;
  e->from = from;
  e->to = to;
  e->group = false;
  e->corrupted = false;
  e->cookie = 0;
  e->len = 0;
  n->heap[n->heap_count] = slot;
  sift_up(n, n->heap_count++);
  return e;
}

static void fill(net_event *e, const uint8_t *bytes, size_t len)
{
  if (len > NET_MTU)
    abort();
  memcpy(e->bytes, bytes, len);
  e->len = (uint16_t)len;
}

void net_init(net *n, uint8_t node_count, uint64_t seed)
{
  memset(n, 0, sizeof(*n));
  net_reset(n, node_count, seed);
}

void net_reset(net *n, uint8_t node_count, uint64_t seed)
{
  n->rng.state = seed;
  n->node_count = node_count;
  memset(n->links, 0, sizeof(n->links));
  while (n->heap_count > 0)
    n->unused[n->unused_count++] = n->heap[--n->heap_count];
  n->seq = 0;
  n->lost = 0;
  n->duplicated = 0;
  n->corrupted = 0;
}

void net_wipe(net *n)
{
  free(n->pool);
  free(n->heap);
  free(n->unused);
  memset(n, 0, sizeof(*n));
}

void net_set_links(net *n, const net_link *link)
{
  for (size_t i = 0; i < NET_NODES_MAX; i++)
    for (size_t j = 0; j < NET_NODES_MAX; j++)
      n->links[i][j] = *link;
}

static copal_time arrival(net *n, const net_link *link, copal_time now)
{
  return now + rng_range(&n->rng, link->delay_min, link->delay_max);
}

static void corrupt(net *n, net_event *e)
{
  if (e->len == 0)
    return;
  const uint32_t flips = rng_range(&n->rng, 1, 4);
  for (uint32_t i = 0; i < flips; i++) {
    const uint32_t bit = rng_below(&n->rng, (uint32_t)e->len * 8);
    e->bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
  }
  e->corrupted = true;
  n->corrupted++;
}

static void lose(net *n, const net_link *link, uint8_t from, uint8_t to, const uint8_t *bytes,
                 size_t len, copal_time now)
{
  n->lost++;
  if (!rng_percent(&n->rng, link->icmp_percent))
    return;
  net_event *e = schedule(n, NET_ICMP, to, from, arrival(n, link, now));
  /* Routers quote at least 8 bytes of a UDP payload, mostly much more. RFC 1812 section 4.3.2.3. */
  const size_t quote = rng_range(&n->rng, 8, 64);
  fill(e, bytes, len < quote ? len : quote);
}

static void pass(net *n, uint8_t from, uint8_t to, bool group, const uint8_t *bytes, size_t len,
                 copal_time now)
{
  const net_link *link = &n->links[from][to];
  const bool is_cut = now >= link->cut_from && now < link->cut_until;
  if (is_cut || rng_percent(&n->rng, link->loss_percent)) {
    if (!group)
      lose(n, link, from, to, bytes, len, now);
    return;
  }
  uint32_t copies = 1;
  while (copies < 4 && rng_percent(&n->rng, link->dup_percent))
    copies++;
  n->duplicated += copies - 1;
  while (copies-- > 0) {
    net_event *e = schedule(n, NET_DELIVER, from, to, arrival(n, link, now));
    e->group = group;
    fill(e, bytes, len);
    if (rng_percent(&n->rng, link->corrupt_percent))
      corrupt(n, e);
  }
}

void net_send(net *n, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len, copal_time now)
{
  if (to < n->node_count) {
    pass(n, from, to, false, bytes, len, now);
    return;
  }
  for (uint8_t i = 0; to == NET_GROUP && i < n->node_count; i++)
    if (i != from)
      pass(n, from, i, true, bytes, len, now);
}

void net_inject(net *n, uint8_t from, uint8_t to, const uint8_t *bytes, size_t len, copal_time at)
{
  net_event *e = schedule(n, NET_DELIVER, from, to, at);
  e->corrupted = true;
  fill(e, bytes, len);
}

void net_wake(net *n, uint8_t node, uint32_t cookie, copal_time at)
{
  schedule(n, NET_WAKE, node, node, at)->cookie = cookie;
}

copal_time net_next(const net *n)
{
  return n->heap_count == 0 ? COPAL_NEVER : n->pool[n->heap[0]].at;
}

bool net_pop(net *n, net_event *event)
{
  if (n->heap_count == 0)
    return false;
  const uint32_t slot = n->heap[0];
  const net_event *e = &n->pool[slot];
  memcpy(event, e, offsetof(net_event, bytes));
  memcpy(event->bytes, e->bytes, e->len);
  n->heap[0] = n->heap[--n->heap_count];
  n->unused[n->unused_count++] = slot;
  sift_down(n, 0);
  return true;
}
