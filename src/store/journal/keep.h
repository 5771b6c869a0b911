/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of the overlay that stay although the database has them: what was changed once is, as a
 * rule, changed again, and is found here at less cost. A ring, oldest first, with a second chance
 * for those that have been changed meanwhile.
 *
 * Thread: the checkpointer's. */
#ifndef STORE_JOURNAL_KEEP_H
#define STORE_JOURNAL_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/journal/overlay.h"

typedef struct keep_slot {
  overlay_entry *entry;
  uint64_t checkpoint; /* that it was settled by when it was put here */
} keep_slot;

/* Zeroed: empty. */
typedef struct keep {
  keep_slot *slots;
  size_t first, count, cap; /* a power of two, or 0 */
} keep;

/* Takes an entry in; the overlay has marked it. Returns false without memory. */
bool keep_push(keep *k, overlay_entry *e, uint64_t checkpoint);

/* Drops entries, the oldest first, until what is kept takes no more than `max` bytes; but none that
 * somebody needs who looks at a snapshot older than checkpoint `oldest` has made. */
void keep_trim(keep *k, overlay *o, uint64_t max, uint64_t oldest);

/* Frees the ring, not the entries. */
void keep_wipe(keep *k);

#endif
