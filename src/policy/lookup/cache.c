/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to lookups by identity. */
#include "policy/lookup/cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "copal/error.h"

enum { BUCKETS_MIN = 64, UNKNOWN_SHARE = 4 };

int cache_init(cache *c, uint32_t max, uint32_t pending_max)
{
  uint32_t count = BUCKETS_MIN;
  while (count < max && count < UINT32_C(1) << 24)
    count *= 2;
  const uint32_t unknown = max / UNKNOWN_SHARE > 0 ? max / UNKNOWN_SHARE : 1;
  *c = (cache){.mask = count - 1};
  c->lists[CACHED_PENDING].max = pending_max;
  c->lists[CACHED_UNKNOWN].max = unknown;
  c->lists[CACHED_KNOWN].max = max > unknown ? max - unknown : 1;
  c->buckets = calloc(count, sizeof(cached *));
  if (c->buckets == NULL || getrandom(&c->seed, sizeof c->seed, 0) != (ssize_t)sizeof c->seed) {
    cache_wipe(c);
    return COPAL_ENOSPC;
  }
  return COPAL_OK;
}

static uint32_t hash_of(const cache *c, copal_span id)
{
  uint64_t h = c->seed;
  for (size_t i = 0; i < id.len; i++)
    h = (h ^ id.ptr[i]) * UINT64_C(0x100000001b3); /* FNV-1a from a random start */
  return (uint32_t)(h ^ h >> 32);
}

/* ------------------------------------------------------------------------------------------------
 * lists */

static void link_in(cache *c, cached *e, cached_state state)
{
  cached_list *l = &c->lists[state];
  e->state = state;
  e->newer = NULL;
  e->older = l->newest;
  if (l->newest != NULL)
    l->newest->newer = e;
  else
    l->oldest = e;
  l->newest = e;
  l->count++;
}

static void link_out(cache *c, cached *e)
{
  cached_list *l = &c->lists[e->state];
  *(e->newer != NULL ? &e->newer->older : &l->newest) = e->older;
  *(e->older != NULL ? &e->older->newer : &l->oldest) = e->newer;
  l->count--;
}

static void forget_answer(cached *e)
{
  if (e->answer != NULL)
    explicit_bzero(e->answer, sizeof *e->answer);
  free(e->answer);
  e->answer = NULL;
}

void cache_remove(cache *c, cached *e)
{
  cached **at = &c->buckets[e->hash & c->mask];
  while (*at != e)
    at = &(*at)->next_in_bucket;
  *at = e->next_in_bucket;
  link_out(c, e);
  forget_answer(e);
  free(e);
}

static void make_room(cache *c, cached_state state)
{
  while (c->lists[state].count >= c->lists[state].max) {
    cache_remove(c, c->lists[state].oldest);
    c->evicted++;
  }
}

/* ------------------------------------------------------------------------------------------------
 */

cached *cache_find(const cache *c, copal_span id)
{
  const uint32_t hash = hash_of(c, id);
  cached *e = c->buckets[hash & c->mask];
  while (e != NULL &&
         (e->hash != hash || !copal_span_is_equal(copal_span_of(e->identity, e->len), id)))
    e = e->next_in_bucket;
  return e;
}

cached *cache_add(cache *c, copal_span id)
{
  if (id.len > DTLS_PSK_IDENTITY_MAX ||
      c->lists[CACHED_PENDING].count >= c->lists[CACHED_PENDING].max)
    return NULL;
  cached *e = calloc(1, sizeof *e);
  if (e == NULL)
    return NULL;
  e->hash = hash_of(c, id);
  e->len = id.len;
  memcpy(e->identity, id.ptr, id.len);
  cached **bucket = &c->buckets[e->hash & c->mask];
  e->next_in_bucket = *bucket;
  *bucket = e;
  link_in(c, e, CACHED_PENDING);
  return e;
}

bool cache_reopen(cache *c, cached *e)
{
  if (c->lists[CACHED_PENDING].count >= c->lists[CACHED_PENDING].max)
    return false;
  link_out(c, e);
  link_in(c, e, CACHED_PENDING);
  return true;
}

static void move(cache *c, cached *e, cached_state state)
{
  link_out(c, e);
  make_room(c, state);
  link_in(c, e, state);
  e->is_flushed = false;
}

void cache_resettle(cache *c, cached *e, uint64_t expires_ms)
{
  e->expires_ms = expires_ms;
  move(c, e, CACHED_KNOWN);
}

void cache_settle(cache *c, cached *e, const answer *a, uint64_t expires_ms, uint64_t fallback_ms)
{
  e->expires_ms = expires_ms;
  e->fallback_ms = fallback_ms;
  forget_answer(e);
  if (a != NULL) {
    e->answer = malloc(sizeof *e->answer);
    if (e->answer == NULL) {
      cache_remove(c, e);
      return;
    }
    *e->answer = *a;
  }
  move(c, e, a != NULL ? CACHED_KNOWN : CACHED_UNKNOWN);
}

void cache_touch(cache *c, cached *e)
{
  const cached_state state = e->state;
  link_out(c, e);
  link_in(c, e, state);
}

void cache_flush(cache *c)
{
  while (c->lists[CACHED_KNOWN].oldest != NULL)
    cache_remove(c, c->lists[CACHED_KNOWN].oldest);
  while (c->lists[CACHED_UNKNOWN].oldest != NULL)
    cache_remove(c, c->lists[CACHED_UNKNOWN].oldest);
  for (cached *e = c->lists[CACHED_PENDING].newest; e != NULL; e = e->older) {
    forget_answer(e);
    e->is_flushed = true;
  }
}

void cache_wipe(cache *c)
{
  for (cached_state s = CACHED_PENDING; s < CACHED_STATE_COUNT; s = (cached_state)(s + 1))
    while (c->lists[s].oldest != NULL)
      cache_remove(c, c->lists[s].oldest);
  free(c->buckets);
  *c = (cache){.buckets = NULL};
}
