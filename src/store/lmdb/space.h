/* SPDX-License-Identifier: Apache-2.0 */
/* Room in the data file. The file is made longer before it is needed, so that a full disk is found
 * out before a change is begun, and so that there is always a reserve with which resources can be
 * deleted. Each `space` is of one thread; several may look at the same file. */
#ifndef STORE_LMDB_SPACE_H
#define STORE_LMDB_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/lmdb/env.h"

enum {
  SPACE_RESERVE = 256, /* pages kept for deleting */
  SPACE_STEP = 4096,   /* pages by which the file grows, if the disk has them */
};

typedef struct space {
  const env *env;
  int fd;
  uint64_t pages;     /* that the file has, whether used or not */
  uint64_t pages_max; /* that the map has */
} space;

typedef enum space_answer {
  SPACE_HAS,
  SPACE_SOON, /* after another commit: pages that the last one freed can be used then */
  SPACE_NONE,
} space_answer;

/* Returns 0 or -errno. */
int space_init(space *s, const env *e);

/* Whether `need` pages can be taken with the reserve left over. Makes the file longer when it can.
 */
space_answer space_ask(space *s, uint64_t need);

/* How many of the `want` pages that a transaction would like to take it may take, so that the
 * reserve is left over behind it: all of them while the disk has plenty, else what the file has,
 * can be made to have, or has free. 0 when only the reserve is left. For whoever writes what is
 * already acknowledged and can do so in small parts; a `space` of its own, on its own thread. */
uint64_t space_spare(space *s, uint64_t want);

/* Pages that the disk has room for, beside the file; 0 when it does not say. Thread: any. */
uint64_t space_disk(const space *s);

/* Pages that have been used so far, free ones among them. */
uint64_t space_used(const env *e);

/* Whether an error of LMDB or the system, `rc`, means that there was no room. LMDB reports a write
 * that a full disk cut short as EIO, so the disk is asked then. */
bool space_was_lacking(const env *e, int rc);

#endif
