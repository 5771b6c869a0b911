/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that keeps representations in memory: nothing survives the process.
 *
 * Threads: as store.h says. Reads take no lock and write to no memory that another thread writes
 * to; changes are applied inside store_commit() under the lock of one of many stripes, their
 * results wait for store_drain(). What a port lends is an immutable representation, which is freed
 * at the earliest when the port's view is renewed: a port that reads and never renews its view
 * keeps all that is replaced meanwhile. */
#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H

#include <stdint.h>

#include "store/store.h"

/* Limits; a field that is zero takes the default named. */
typedef struct memory_store_cfg {
  uint64_t resource_max; /* resources; default 1,000,000 */
  uint64_t byte_max;     /* bytes of all resources with what they cost beside their bodies; default
                            1 GiB */
  uint32_t pending_max;  /* results waiting in one port; default 4096 */
  uint32_t stripe_count; /* locks, a power of two; default 1024 */
  uint64_t name_max;     /* named operations whose results are kept; default 1,000,000 */
  uint32_t history;      /* former representations kept of each resource; default none */
  copal_time now;        /* the clock of store_commit() now */
  store_clock *clock;    /* for what expires; NULL: the system's, beginning at `now`; lent */
} memory_store_cfg;

/* Since the store was opened. */
typedef struct memory_store_counts {
  uint64_t resources_refused; /* STORE_FULL: `resource_max` */
  uint64_t bytes_refused;     /* STORE_FULL: `byte_max` */
  uint64_t memory_refused;    /* STORE_FULL: the system gave no memory */
  uint64_t pending_refused;   /* COPAL_ENOSLOT: `pending_max` */
  uint64_t names_refused;     /* results not kept: `name_max`, or no memory for a name */
  uint64_t repeats;           /* named operations that had been carried out before */
  uint64_t expired;           /* resources deleted at the end of their lifetime */
} memory_store_counts;

/* Opens an empty store. `cfg` is copied; NULL means all defaults. Returns NULL when there is no
 * memory, no randomness, or `stripe_count` is not a power of two. */
store *memory_store_open(const memory_store_cfg *cfg);

/* Reads the counters of a store that memory_store_open() made. From any thread. */
memory_store_counts memory_store_counts_now(store *s);

#endif
