/* SPDX-License-Identifier: Apache-2.0 */
/* Something that each shard is to be told, until each has been told: a shard whose mailbox is full
 * is tried again. Thread: the main thread only. */
#ifndef SERVER_ERRAND_H
#define SERVER_ERRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/time.h"

/* An instant is never far: a mailbox that is full is being emptied. */
#define ERRAND_PAUSE (50 * COPAL_MILLISECOND)

typedef struct errand {
  /* Tells a shard what is true now, whatever was true when the errand began. Returns 0, or a
   * negative number when the shard could not be told. */
  int (*tell)(struct errand *e, uint32_t index);

  /* The rest is set by the functions below. */
  uint32_t count;    /* of shards */
  bool *is_due;      /* of each shard: it has not been told */
  uint32_t left;     /* how many have not */
  uint32_t attempts; /* since it began */
  copal_time next;   /* COPAL_NEVER: nobody is left */
} errand;

/* `tell` is set. Returns 0 or COPAL_ENOSPC. */
int errand_init(errand *e, uint32_t count);

/* Safe on a zeroed object. */
void errand_wipe(errand *e);

/* Everybody is to be told anew. Those that cannot be now are tried again from errand_run(). Returns
 * how many are left. */
uint32_t errand_begin(errand *e, copal_time now);

/* Tries those that are left, when errand.next has come. Returns how many are left then. */
uint32_t errand_run(errand *e, copal_time now);

/* Nobody is left to tell. */
void errand_drop(errand *e);

#endif
