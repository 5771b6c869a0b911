/* SPDX-License-Identifier: Apache-2.0 */
/* The amplification guard: what an unverified source may be sent. RFC 7252 section 11.3, RFC 9175
 * section 2.4.
 *
 * Responses of up to `free_size` bytes go to anybody. Beyond that a source draws on the budget of
 * its address prefix (/24 for IPv4, /56 for IPv6), as response rate limiting does in name servers;
 * when that is used up it is asked to return an Echo. Verified sources are not limited: those in a
 * secure session, on loopback or in a trusted network, that returned an Echo, that acknowledged an
 * unpredictable Message ID, or that answered a ping. Whoever draws on a budget is pinged, and
 * ordinary clients answer with a Reset long before the budget is used up.
 *
 * All tables have a fixed size; a stranger takes no memory. Prefixes that share a bucket share its
 * budget, and a verified source may be forgotten early when another takes its place. Thread: the
 * owner's only. */
#ifndef POLICY_GUARD_H
#define POLICY_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/guard.h"
#include "copal/path.h"
#include "copal/time.h"

/* A network: the first `bits` bits of an address. IPv4 is mapped: 96 bits more. */
typedef struct guard_net {
  uint8_t ip[16];
  uint8_t bits; /* 0 to 128 */
} guard_net;

enum { GUARD_NET_MAX = 32 };

typedef struct guard_cfg {
  uint32_t free_size;     /* bytes; RFC 9175 section 2.4 item 3: 136 */
  uint32_t burst;         /* bytes of a full budget */
  uint32_t refill;        /* bytes per second */
  copal_dur verified_for; /* microseconds since the source was last seen to be reachable */
  size_t net_count;
  guard_net nets[GUARD_NET_MAX]; /* trusted */
} guard_cfg;

typedef struct guard_stats {
  uint64_t drawn;    /* responses paid from a budget */
  uint64_t refused;  /* responses that were not sent */
  uint64_t verified; /* sources that showed they are reachable */
  uint64_t echo_bad; /* Echo values that were not ours, or too old */
} guard_stats;

typedef struct guard guard;

/* 136 bytes free, bursts of 16 KiB, 2 KiB per second, five minutes. */
guard_cfg guard_cfg_default(void);

/* Parses "192.0.2.0/24", "2001:db8::/32" or a single address. Returns 0 or COPAL_EINVAL. */
int guard_net_parse(const char *text, guard_net *net);

/* Returns NULL without memory or randomness. */
guard *guard_open(const guard_cfg *cfg);
void guard_close(guard *g);

/* New limits; what was learned stays. */
void guard_reload(guard *g, const guard_cfg *cfg);

/* Wants to know when the peer of a security session has shown to be where it is now; `is_fresh`:
 * by an Echo value, which tells as well that the request is no replay. */
typedef struct guard_proof {
  void (*on_proof)(struct guard_proof *p, const copal_path *path, bool is_fresh);
} guard_proof;

/* Lent for the guard's life. */
void guard_set_proof(guard *g, guard_proof *proof);

/* For copal_ep_cfg.guard. */
copal_guard *guard_hook(guard *g);

const guard_stats *guard_stats_now(const guard *g);

#endif
