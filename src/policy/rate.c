/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets, each kept as one instant: the one at which it will be full again. RFC 8516. */
#include "policy/rate.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
  BUCKETS = 8192,         /* of each kind; a power of two */
  PREFIX_BYTES_IPV4 = 15, /* of the mapped address: /24 */
  PREFIX_BYTES_IPV6 = 7,  /* /56 */
};

typedef struct bucket {
  copal_time full_at;
  uint32_t refusals; /* since it was full last */
} bucket;

struct rate {
  rate_cfg cfg;
  rate_stats stats;
  uint64_t seed;
  bucket identities[BUCKETS];
  bucket addresses[BUCKETS];
  bucket prefixes[BUCKETS];
};

rate_cfg rate_cfg_default(void)
{
  return (rate_cfg){
      .identity = {0, 100}, .address = {0, 100}, .prefix = {0, 1000}, .silent_after = 10};
}

/* ------------------------------------------------------------------------------------------------
 * buckets */

static bucket *place_of(const rate *r, bucket *table, const void *bytes, size_t len)
{
  const uint8_t *at = bytes;
  uint64_t h = r->seed;
  for (size_t i = 0; i < len; i++)
    h = (h ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a from a random start */
  return &table[(h ^ h >> 32) & (BUCKETS - 1)];
}

static bool is_ipv4(const uint8_t ip[16])
{
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return memcmp(ip, mapped, sizeof mapped) == 0;
}

static bucket *address_of(rate *r, const copal_path *path)
{
  return place_of(r, r->addresses, path->remote.ip, sizeof path->remote.ip);
}

static bucket *prefix_of(rate *r, const copal_path *path)
{
  const uint8_t *ip = path->remote.ip;
  return place_of(r, r->prefixes, ip, is_ipv4(ip) ? PREFIX_BYTES_IPV4 : PREFIX_BYTES_IPV6);
}

/* The time in which a token comes. */
static copal_time cost_of(const rate_limit *l)
{
  return COPAL_SECOND / l->per_second;
}

/* Microseconds until there is a token; 0: there is one. */
static copal_time wait_of(const rate_limit *l, bucket *b, copal_time now)
{
  if (l->per_second == 0)
    return 0;
  const copal_time most = cost_of(l) * l->burst;
  if (b->full_at > now + most)
    b->full_at = now + most; /* a reload has made the bucket smaller */
  const copal_time full_at = b->full_at > now ? b->full_at : now;
  const copal_time after = full_at + cost_of(l) - now;
  return after > most ? after - most : 0;
}

static void take(const rate_limit *l, bucket *b, copal_time now)
{
  if (l->per_second == 0)
    return;
  if (b->full_at <= now) {
    b->full_at = now;
    b->refusals = 0;
  }
  b->full_at += cost_of(l);
}

static uint32_t refuse(bucket *b, copal_time wait, uint64_t *counter)
{
  if (b->refusals < UINT32_MAX)
    b->refusals++;
  ++*counter;
  return (uint32_t)((wait + COPAL_SECOND - 1) / COPAL_SECOND);
}

/* ------------------------------------------------------------------------------------------------
 * requests */

static uint32_t take_of_identity(rate *r, const identity *who, copal_time now)
{
  const rate_limit *l = &r->cfg.identity;
  bucket *b = place_of(r, r->identities, &who->serial, sizeof who->serial);
  const copal_time wait = wait_of(l, b, now);
  if (wait > 0)
    return refuse(b, wait, &r->stats.identities);
  take(l, b, now);
  return 0;
}

uint32_t rate_take(rate *r, const copal_path *path, const identity *who, copal_time now)
{
  if (who->kind != IDENTITY_ANONYMOUS)
    return take_of_identity(r, who, now);
  bucket *address = address_of(r, path);
  bucket *prefix = prefix_of(r, path);
  const copal_time wait = wait_of(&r->cfg.address, address, now);
  if (wait > 0)
    return refuse(address, wait, &r->stats.addresses);
  const copal_time prefix_wait = wait_of(&r->cfg.prefix, prefix, now);
  if (prefix_wait > 0)
    return refuse(prefix, prefix_wait, &r->stats.prefixes);
  take(&r->cfg.address, address, now);
  take(&r->cfg.prefix, prefix, now);
  return 0;
}

static bool is_flood(const rate *r, const rate_limit *l, bucket *b, copal_time now)
{
  return wait_of(l, b, now) > 0 && b->refusals >= r->cfg.silent_after;
}

bool rate_is_silent(rate *r, const copal_path *path, copal_time now)
{
  if ((path->flags & COPAL_PATH_SECURE) != 0 ||
      (!is_flood(r, &r->cfg.address, address_of(r, path), now) &&
       !is_flood(r, &r->cfg.prefix, prefix_of(r, path), now)))
    return false;
  r->stats.silenced++;
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * opening and closing */

rate *rate_open(const rate_cfg *cfg)
{
  rate *r = calloc(1, sizeof *r);
  if (r == NULL)
    return NULL;
  if (getrandom(&r->seed, sizeof r->seed, 0) != (ssize_t)sizeof r->seed) {
    free(r);
    return NULL;
  }
  rate_reload(r, cfg);
  return r;
}

void rate_close(rate *r)
{
  free(r);
}

void rate_reload(rate *r, const rate_cfg *cfg)
{
  r->cfg = *cfg;
}

const rate_stats *rate_stats_now(const rate *r)
{
  return &r->stats;
}
