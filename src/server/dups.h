/* SPDX-License-Identifier: Apache-2.0 */
/* The memory for duplicates in the state file: a request that was answered before a restart in
 * order gets the same answer after it. RFC 7252 section 4.5.
 *
 * A section "DUPS" holds records, the oldest of each shard first: length of the rest (4 bytes) |
 * microseconds left (4) | Message ID (2) | answer (1, copal_dup_answer) | length and bytes of
 * handler_way.who | the same of .side | the reply. Thread: the main thread, while no shard runs. */
#ifndef SERVER_DUPS_H
#define SERVER_DUPS_H

#include <stdint.h>

#include "copal/endpoint.h"
#include "server/handler.h"
#include "server/state.h"

/* What a shard lends: its endpoint, and the ways to its clients. */
typedef struct dups_shard {
  copal_ep *ep;
  handler_ways *ways;
} dups_shard;

typedef struct dups {
  state_section section; /* first */
  uint32_t count;        /* of shards */
  dups_shard *shards;
  copal_time now; /* on the endpoints' clock */
  uint64_t saved; /* entries */
  uint64_t restored;
  uint64_t refused; /* not restored: too old, no way to the client, no room */
} dups;

void dups_init(dups *d);

/* The shards to work with from here on, lent. */
void dups_lend(dups *d, dups_shard *shards, uint32_t count, copal_time now);

#endif
