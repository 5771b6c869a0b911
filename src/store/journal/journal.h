/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that writes changes to a journal and moves them into LMDB behind the scenes: what was
 * acknowledged is on stable storage.
 *
 * Threads: as store.h says. Ports hand their changes to one writer thread, which makes all that
 * queued while the last sync ran durable with one write and one sync, shows it to readers, and
 * tells followers and ports. A checkpointer thread writes what has changed into the database, from
 * where most reads come, and releases the journal's files. Reads look at what the checkpoint has
 * not yet, then into the database's map, and never wait. */
#ifndef STORE_JOURNAL_JOURNAL_H
#define STORE_JOURNAL_JOURNAL_H

#include <stdint.h>

#include "store/lmdb/lmdb.h"
#include "store/store.h"

/* Limits; a field that is zero takes the default named. */
typedef struct journal_store_cfg {
  lmdb_store_cfg common;  /* as for LMDB; `batch_max`: changes in one batch, default 4096 */
  uint64_t segment_size;  /* bytes of a file of the journal; default 64 MiB, less on a small disk */
  uint64_t journal_max;   /* bytes of batches that no checkpoint has; default 1 GiB */
  uint64_t memory_max;    /* bytes of what the database has not yet, and, up to a quarter of it, of
                             what is kept for the next change; default 256 MiB, or an eighth of
                             the machine's memory if that is less */
  uint64_t checkpoint_us; /* a change waits so long for its checkpoint, or eight times what the last
                             one took if that is longer; less when much has changed; default 1 s */
} journal_store_cfg;

/* Since the store was opened, but for what is said to be now. */
typedef struct journal_store_counts {
  lmdb_store_counts common; /* `commits`: batches */
  uint64_t syncs;           /* of the journal */
  uint64_t journal_bytes;   /* written to it */
  uint64_t checkpoints;     /* complete ones */
  uint64_t checkpoint_txns; /* transactions of the database */
  uint64_t checkpoint_us;   /* spent on them */
  uint64_t checkpointed;    /* records written to the database */
  uint64_t lag_records;     /* now: keys that no checkpoint has */
  uint64_t lag_bytes;       /* now: bytes of batches that no checkpoint has */
  uint64_t memory;          /* now: bytes of what is not in the database for all readers, and of
                               what is kept although it is */
  uint64_t files_bytes;     /* now: of the journal */
  uint64_t waits;           /* batches that were held up because the checkpoint was behind */
  uint64_t waited_us;       /* how long in all */
  uint64_t recovered;       /* batches that were found in the journal when it was opened */
} journal_store_counts;

/* Opens the store in a directory, which is made when it is missing; one process at a time. A store
 * that LMDB alone has written is taken over. `cfg` is copied; NULL means all defaults. Returns 0,
 * or -errno or a negative COPAL_E* with a sentence in `why`. */
int journal_store_open(const char *dir, const journal_store_cfg *cfg, store **s,
                       char why[LMDB_WHY_SIZE]);

/* Reads the counters of a store that journal_store_open() made. From any thread. */
journal_store_counts journal_store_counts_now(store *s);

/* What journal_store_check() found. */
typedef struct journal_report {
  bool has_journal;
  uint64_t batches; /* that no checkpoint has */
  uint64_t bytes;   /* of the files */
  bool is_torn;     /* one more had been begun and was not acknowledged */
  uint64_t damaged;
} journal_report;

/* Reads the journal of a directory, changing nothing, and calls `each` with a sentence for damage.
 * Returns as lmdb_store_check(), which checks what is in the database. */
int journal_store_check(const char *dir, void (*each)(void *ctx, const char *damage), void *ctx,
                        journal_report *report, char why[LMDB_WHY_SIZE]);

#endif
