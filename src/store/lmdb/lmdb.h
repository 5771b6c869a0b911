/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that keeps representations in LMDB: what was acknowledged is on stable storage.
 *
 * Threads: as store.h says. Ports hand their changes to one writer thread, which commits all that
 * queued while the last commit ran as one transaction. It tells followers and ports only when the
 * transaction is on stable storage. Reads look into the database's map and never wait. */
#ifndef STORE_LMDB_H
#define STORE_LMDB_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/store.h"

/* What an operator wants to know. Called on the writer thread; must be quick. */
typedef enum lmdb_event {
  LMDB_EVENT_FULL,    /* changes are refused for lack of space, from now on */
  LMDB_EVENT_ROOM,    /* there is space again */
  LMDB_EVENT_FAILED,  /* stable storage failed: nothing is acknowledged from now on */
  LMDB_EVENT_DAMAGED, /* what is stored cannot be read; `why` begins with its key. From any thread,
                         for at most one of many a minute */
} lmdb_event;

typedef struct lmdb_listener {
  void (*on_event)(struct lmdb_listener *l, lmdb_event event, const char *why);
} lmdb_listener;

/* What could not be read, for counting and telling. */
typedef struct lmdb_damage {
  lmdb_listener *listener;   /* lent; may be NULL */
  atomic_uint_fast64_t told; /* monotonic second of the last one that was told, plus one; 0: none */
} lmdb_damage;

/* Tells the listener of a read that failed, unless another one was a short while ago. `key` may be
 * empty. Any thread. */
void lmdb_damage_tell(lmdb_damage *d, copal_span key, int rc);

/* Limits; a field that is zero takes the default named. */
typedef struct lmdb_store_cfg {
  uint64_t resource_max;   /* resources; default 1,000,000 */
  uint64_t byte_max;       /* bytes of the data file; default 64 GiB */
  uint64_t queue_max;      /* bytes of changes waiting for the writer; default 64 MiB */
  uint32_t pending_max;    /* changes under way in one port; default 4096 */
  uint32_t batch_max;      /* changes in one transaction; default 512 */
  uint64_t name_max;       /* named operations whose results are kept; default 1,000,000 */
  uint32_t history;        /* former representations kept of each resource; default none */
  copal_time now;          /* the clock of store_commit() now; the wall clock is kept beside it */
  uint64_t wall;           /* the wall clock now, microseconds since 1970; 0: the system's */
  store_clock *clock;      /* for what expires; NULL: the system's, beginning at `now`; lent */
  lmdb_listener *listener; /* lent for the store's life; may be NULL */
} lmdb_store_cfg;

/* Since the store was opened. */
typedef struct lmdb_store_counts {
  uint64_t commits;           /* transactions that reached stable storage */
  uint64_t changes;           /* changes in them */
  uint64_t resources_refused; /* STORE_FULL: `resource_max` */
  uint64_t bytes_refused;     /* STORE_FULL: `byte_max` or the file system */
  uint64_t pending_refused;   /* COPAL_ENOSLOT: `pending_max` or `queue_max` */
  uint64_t names_refused;     /* results not kept: `name_max` */
  uint64_t repeats;           /* named operations that had been carried out before */
  uint64_t expired;           /* resources deleted at the end of their lifetime */
  uint64_t failed;            /* STORE_FAILED */
  uint64_t reads_failed;      /* reads that could not be made: no memory, or a damaged record */
} lmdb_store_counts;

enum { LMDB_WHY_SIZE = 448, LMDB_COUNT_COUNT = 10 };

/* Names them for store_counts_now(). */
void lmdb_store_name_counts(const lmdb_store_counts *c, store_count counts[LMDB_COUNT_COUNT]);

/* Opens the store in a directory, which is made when it is missing; one process at a time. `cfg` is
 * copied; NULL means all defaults. Returns 0, or -errno or a negative COPAL_E* with a sentence in
 * `why`. */
int lmdb_store_open(const char *dir, const lmdb_store_cfg *cfg, store **s, char why[LMDB_WHY_SIZE]);

/* Reads the counters of a store that lmdb_store_open() made. From any thread. */
lmdb_store_counts lmdb_store_counts_now(store *s);

/* What lmdb_store_check() found. */
typedef struct lmdb_report {
  uint32_t format;    /* of the store */
  uint64_t resources; /* expired ones that are still there among them */
  uint64_t former;    /* representations in their history */
  uint64_t states;    /* the server's own records */
  uint64_t ops;       /* results of named operations */
  store_rev rev;
  uint64_t bytes;   /* of the data file that are in use */
  uint64_t damaged; /* records and structures that are not as they should be */
} lmdb_report;

/* Reads the whole store of a directory, changing nothing, and calls `each` with a sentence for
 * every damage. Returns 0, damage or not, or -errno or a negative COPAL_E* with a sentence in `why`
 * when the store cannot be read at all. */
int lmdb_store_check(const char *dir, void (*each)(void *ctx, const char *damage), void *ctx,
                     lmdb_report *report, char why[LMDB_WHY_SIZE]);

#endif
