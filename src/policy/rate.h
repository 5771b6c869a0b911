/* SPDX-License-Identifier: Apache-2.0 */
/* How often somebody may ask: token buckets per identity, per address and per address prefix (/24
 * for IPv4, /56 for IPv6). RFC 7252 section 11.3, RFC 8516.
 *
 * Who has proved an identity is limited by that alone; everybody else by address and prefix. All
 * tables have a fixed size; a stranger takes no memory, and those who share a bucket share its
 * tokens. Thread: the owner's only; so each shard counts for itself. */
#ifndef POLICY_RATE_H
#define POLICY_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/path.h"
#include "copal/time.h"
#include "policy/identity.h"

/* One limit. */
typedef struct rate_limit {
  uint32_t per_second; /* requests; 0: no limit */
  uint32_t burst;      /* requests at once, at least 1 */
} rate_limit;

enum { RATE_MAX = 1000000 }; /* of both */

typedef struct rate_cfg {
  rate_limit identity, address, prefix;
  uint32_t silent_after; /* refusals that are answered before a flood is met with silence */
} rate_cfg;

typedef struct rate_stats {
  uint64_t identities; /* requests refused, by the limit that refused them */
  uint64_t addresses;
  uint64_t prefixes;
  uint64_t silenced; /* requests dropped unread */
} rate_stats;

typedef struct rate rate;

/* No limits; bursts of 100, silence after 10 refusals. */
rate_cfg rate_cfg_default(void);

/* Returns NULL without memory or randomness. */
rate *rate_open(const rate_cfg *cfg);
void rate_close(rate *r);

/* New limits; who has spent what is kept. */
void rate_reload(rate *r, const rate_cfg *cfg);

/* Takes a token for a request. Returns 0, or the seconds to wait (1 or more) when there is none:
 * the value for Max-Age of 4.29. RFC 8516 section 3. */
uint32_t rate_take(rate *r, const copal_path *path, const identity *who, copal_time now);

/* True for a request that is not worth being read, because its address or prefix goes on after the
 * refusals that were answered. Not for secure sessions, whose limit is their identity's. */
bool rate_is_silent(rate *r, const copal_path *path, copal_time now);

const rate_stats *rate_stats_now(const rate *r);

#endif
