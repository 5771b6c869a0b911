/* SPDX-License-Identifier: Apache-2.0 */
/* Tells shards of the changes of the resources that they watch: one message for each shard with
 * observers of the resource, and none for the others.
 *
 * Threads: the store tells of a change on any thread; watches are opened, closed and run on the
 * thread of the shard that owns them. A watch is in its shard's mailbox at most once, so a burst of
 * changes costs one message; the shard finds the newest state when it looks. */
#ifndef SERVER_FANOUT_H
#define SERVER_FANOUT_H

#include <stdint.h>

#include "server/handler.h"
#include "server/mailbox.h"
#include "store/store.h"

typedef struct fanout fanout;

typedef struct fanout_stats {
  uint64_t watches; /* open now */
  uint64_t posted;  /* messages to shards */
  uint64_t merged;  /* changes that found their message still under way */
  uint64_t refused; /* messages that a full mailbox refused: must stay 0 */
  uint64_t passed; /* watches of other resources that changes went by: less than one for a change */
} fanout_stats;

/* Makes the table and follows the store; before the first commit only (store_follow()). Returns 0
 * or COPAL_ENOSPC. */
int fanout_open(store *s, fanout **f);

/* When no port of the store is left to commit, and no watch. Safe on NULL. */
void fanout_close(fanout *f);

fanout_stats fanout_stats_now(fanout *f);

/* A shard's place at the fan-out: what handler_env carries. */
struct fanout_seat {
  fanout *fanout;
  mailbox *mailbox; /* with room for every watch of the shard */
};

#endif
