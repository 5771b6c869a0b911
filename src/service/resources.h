/* SPDX-License-Identifier: Apache-2.0 */
/* Resources that clients create, read, change and delete. RFC 7252 section 5, RFC 8132; documented
 * in docs/resources.md.
 *
 * Threads: one object serves all shards; what a request needs until its change is durable comes
 * from a pool of the shard it arrived on. */
#ifndef SERVICE_RESOURCES_H
#define SERVICE_RESOURCES_H

#include <stdint.h>

#include "server/handler.h"
#include "service/qbodies.h"
#include "service/questions.h"
#include "service/uploads.h"

/* Limits; a field that is zero takes the default named. */
typedef struct resources_cfg {
  uint32_t pending_max; /* changes under way in one shard, beyond that 5.03; default 1024 */
  uint32_t shard_max;   /* shards (handler_env objects) served; default 64 */
  uint32_t retry_s;     /* Max-Age of 5.03, seconds; default 1 */
  uploads_cfg uploads;
  qbodies_cfg qbodies;
  questions_cfg questions;
} resources_cfg;

/* What happened since the service was opened, all shards together. */
typedef struct resources_counts {
  uint64_t pending_refused; /* 5.03: no pending slot or no exchange slot */
  uint64_t patch_retries;   /* patches computed again after a concurrent change */
  uint64_t patch_lost;      /* 5.03: a patch that met concurrent changes too often */
  uint64_t name_retries;    /* names drawn for POST that were taken */
  uint64_t unnamed;         /* carried out, but the store had no room for its name */
  uint64_t repeats;         /* requests that the store knew: answered as before, not carried out */
} resources_counts;

/* Opens the service. `cfg` is copied; NULL means all defaults. Returns NULL without memory. Closed
 * with service->close() after every store port has been closed. */
service *resources_open(const resources_cfg *cfg);

/* Reads the counters of a service that resources_open() made. From any thread. */
resources_counts resources_counts_now(service *s);

#endif
