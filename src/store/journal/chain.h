/* SPDX-License-Identifier: Apache-2.0 */
/* The journal as a whole: segments with consecutive numbers, the batches in them with consecutive
 * numbers. Batches go to the newest segment; the oldest ones are released when a checkpoint has
 * all of their batches.
 *
 * Threads: one appends, another releases and makes spares; both are named at the functions. */
#ifndef STORE_JOURNAL_CHAIN_H
#define STORE_JOURNAL_CHAIN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/journal/batch.h"
#include "store/journal/segment.h"
#include "store/store.h"

enum {
  CHAIN_WHY_SIZE = 320,
  CHAIN_SEGMENT_MIN = 64 << 10, /* bytes; smaller ones are not tried on a full disk */
};

typedef struct chain {
  int dir_fd; /* -1: not open */
  uint64_t store_id;
  uint64_t segment_size;
  uint64_t next_batch; /* the appender's */
  uint64_t next_seq;   /* the appender's */

  pthread_mutex_t lock; /* of what follows */
  segment *oldest, *newest;
  segment *spare;
  uint32_t spare_number;
  atomic_uint_fast64_t bytes; /* of all files; read without the lock */
  atomic_uint_fast64_t segments;
  atomic_uint_fast64_t maps; /* of chain_map() that are not unmapped; whoever does says so here */
} chain;

/* A place in the journal. */
typedef struct chain_place {
  segment *in;
  uint64_t offset;
} chain_place;

typedef enum chain_mode {
  CHAIN_SERVE, /* for what the files have, and to append to it */
  CHAIN_CHECK, /* changes nothing */
} chain_mode;

/* Opens the directory `journal` below `dir`, made when it is missing unless it is a check. Returns
 * 0, or COPAL_EFORMAT or -errno with a sentence in `why`. */
int chain_open(chain *c, const char *dir, uint64_t store_id, uint64_t segment_size, chain_mode mode,
               char why[CHAIN_WHY_SIZE]);

/* What reading finds. */
typedef struct chain_reader {
  /* A record of a batch that the checkpoint does not have, lent; `body` says where in the journal
   * its body is. Returns 0 or -errno, which ends the reading. NULL: batches are counted only. */
  int (*on_record)(struct chain_reader *r, uint64_t batch, const batch_record *rec,
                   const chain_place *body);
  uint64_t applied; /* all batches up to this one are in the checkpoint */
  uint64_t newest;  /* number of a segment that must be there, or newer ones; 0: not known */
  uint64_t batches; /* read, those in the checkpoint not counted */
  bool is_torn;     /* a batch behind the last whole one had been begun */
  store_rev rev;    /* last one that was given out, when there were batches */
} chain_reader;

/* Reads all batches behind `applied` in order and leaves the chain ready to append behind them.
 * Returns 0; or COPAL_EFORMAT with a sentence in `why` when there is damage in front of batches
 * that were acknowledged; or -errno. */
int chain_read(chain *c, chain_reader *r, char why[CHAIN_WHY_SIZE]);

/* Reads a journal that the database says is closed, and has all of up to `applied`. Returns as
 * chain_read(); COPAL_EFORMAT also when there are batches behind: then the database is not the one
 * that they were written for. */
int chain_read_closed(chain *c, chain_reader *r, char why[CHAIN_WHY_SIZE]);

/* Deletes the segments, which the database says it does not need: left over when opening or closing
 * was cut short, or come back by a power loss. Returns 0; or as chain_read_closed(), with nothing
 * deleted. */
int chain_discard(chain *c, uint64_t applied, char why[CHAIN_WHY_SIZE]);

/* Appends a batch and makes it durable. Returns 0 with its number in `*number`; -ENOSPC, -EDQUOT,
 * -EFBIG or -ENOMEM, with nothing appended; or another -errno, after which nothing may be appended
 * any more. The appender's thread. */
int chain_append(chain *c, batch *b, store_rev rev, uint64_t *number, chain_place *place);

/* Begins a segment behind the newest one. Returns as chain_append(). The appender's thread. */
int chain_start(chain *c);

/* Begins anew in the file of the newest segment, all of whose batches are in the checkpoint.
 * Returns as chain_append(); -ENOSPC also while bodies are read from the journal. The appender's
 * thread, while the other does nothing with the chain. */
int chain_restart(chain *c);

/* Number of the newest segment, which is durable; 0: there is none. From any thread. */
uint64_t chain_newest(chain *c);

/* Maps bytes of a segment for reading, for as long as they are read. Returns NULL when it fails;
 * the bytes are at `*bytes`, to be unmapped as `*map` with `*len`. */
void *chain_map(chain *c, const chain_place *place, uint64_t at, size_t size, uint8_t **bytes,
                size_t *len);

/* Makes a spare segment when one will be needed soon and the disk has plenty of room. Any one
 * thread. */
void chain_make_spare(chain *c);

/* Releases segments of which all batches are up to `applied`, but not the newest. Returns 0 or
 * -errno. Any one thread. */
int chain_release(chain *c, uint64_t applied);

/* Closes all files. With `is_clean` everything is in the checkpoint: only a spare file stays. Safe
 * on an object that chain_open() failed for. */
void chain_close(chain *c, bool is_clean);

#endif
