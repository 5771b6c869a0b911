/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the daemon: a copy of what a shard has counted, sums over shards, and their way into
 * the log. Thread: a snapshot is taken on its shard's thread and then given to the main thread. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "policy/guard.h"
#include "server/fanout.h"
#include "server/log.h"
#include "server/pipeline.h"
#include "server/router.h"
#include "store/store.h"
#include "transport/dtls/dtls.h"
#include "transport/udp.h"

/* What a shard's loop counts. */
typedef struct shard_stats {
  uint64_t batches;
  uint64_t sleeps;
  uint64_t drain_ignored;   /* requests left to a successor while shutting down */
  uint64_t yield_abandoned; /* requests that an upgrade left without an answer */
  uint64_t network_errors;  /* reported for datagrams that were sent */
  uint64_t errors_lost;     /* of these, for another shard and not brought there */
  uint64_t mailbox_refused; /* messages that found the mailbox full */
  uint64_t arena_peak;      /* bytes; the largest of all shards */
} shard_stats;

typedef struct metrics {
  copal_stats ep;
  copal_usage usage;
  copal_qblock_stats qblock;
  udp_stats udp;
  pipeline_stats pipeline;
  admission_stats admission;
  guard_stats guard;
  dtls_stats dtls;
  dtls_sessions_stats sessions;
  dtls_usage dtls_usage;
  shard_stats shard;
} metrics;

enum { SECURE_COUNT_MAX = 16 }; /* counters of credentials */

/* What no shard counts for itself. */
typedef struct metrics_shared {
  store_usage stored;
  store_count counts[STORE_COUNT_MAX]; /* of the store's engine */
  size_t count;
  fanout_stats fanout;
  store_count credentials[SECURE_COUNT_MAX];
  size_t credential_count;
} metrics_shared;

/* Reads them. From any thread. */
metrics_shared metrics_shared_now(store *s, fanout *f);

/* Adds the counters of one shard to `sum`. */
void metrics_add(metrics *sum, const metrics *m);

/* Writes everything as one line at level info, with the counters of the store, the fan-out
 * and the mounted services; counters of rare events only when they are not zero. */
void metrics_log(logger *l, const metrics *m, const metrics_shared *shared, const router *mounted);

#endif
