/* SPDX-License-Identifier: Apache-2.0 */
/* Collects the sessions of all shards while these go on: each shard writes its own, a slice at a
 * time, and says when it is done. RFC 6347 section 4.1.
 *
 *   state       event                        next        action
 *   IDLE        the interval is over, or a   COLLECTING  checkpoint_begin(): every shard is asked
 *               session wants it
 *   COLLECTING  the last shard has answered  WRITING     the owner writes checkpoint_put()
 *   WRITING     checkpoint_finish()          IDLE        the shards are told
 *
 * Thread: the main thread, but for what is said to run on a shard. */
#ifndef SERVER_CHECKPOINT_H
#define SERVER_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/time.h"
#include "policy/identity.h"
#include "server/server.h"
#include "server/state.h"

typedef enum checkpoint_state {
  CHECKPOINT_IDLE,
  CHECKPOINT_COLLECTING,
  CHECKPOINT_WRITING,
} checkpoint_state;

/* What has become of the file. */
typedef enum checkpoint_end {
  CHECKPOINT_WRITTEN, /* it is on the disk, or may be and there was none before */
  CHECKPOINT_FAILED,  /* it is not; the one before may be */
  CHECKPOINT_GONE,    /* there is none */
} checkpoint_end;

typedef struct collector collector;

typedef struct checkpoint {
  checkpoint_state state;
  collector *collectors; /* one for each shard */
  const identities *known;
  uint32_t count;       /* of shards */
  uint32_t outstanding; /* shards that have not answered */
  bool is_broken;       /* a shard could not be asked */
  copal_dur interval;   /* 0: no checkpoints */
  copal_time due;
  copal_time not_before; /* after one that failed */
} checkpoint;

/* For that many shards; the first one is due now. Opening it again forgets what was under way: no
 * shard has any of its messages. Returns false without memory. */
bool checkpoint_open(checkpoint *c, uint32_t shards, copal_dur interval, const identities *known,
                     copal_time now);

/* When no shard runs. Safe on a zeroed object. */
void checkpoint_close(checkpoint *c);

/* When checkpoint_begin() is to be called, or COPAL_NEVER. */
copal_time checkpoint_deadline(const checkpoint *c);

/* The next one is wanted now, or right after the one that is under way. */
void checkpoint_hurry(checkpoint *c, copal_time now);

/* IDLE: asks all shards. */
void checkpoint_begin(checkpoint *c, server *s, copal_time now);

/* COLLECTING: a shard has said SHARD_HAS_SAVED. True when it was the last one; the state is WRITING
 * then. */
bool checkpoint_collected(checkpoint *c);

/* WRITING: whether all sessions are there; moves them to `w`, and returns how many. */
bool checkpoint_is_whole(const checkpoint *c);
uint64_t checkpoint_put(checkpoint *c, state_writer *w);

/* WRITING: tells the shards what has become of it. */
void checkpoint_finish(checkpoint *c, server *s, checkpoint_end end, copal_time now);

#endif
