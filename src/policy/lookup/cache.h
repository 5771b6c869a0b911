/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to lookups by identity, for as long as they hold: keys of those who are known, and the
 * names of those who are not, each with a limit of their own, so that strangers who make up names
 * push out nobody who is known. Thread: the caller sees to it that there is one at a time. */
#ifndef POLICY_LOOKUP_CACHE_H
#define POLICY_LOOKUP_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/lookup/answer.h"

typedef enum cached_state {
  CACHED_PENDING, /* is being asked, and is never pushed out */
  CACHED_KNOWN,
  CACHED_UNKNOWN, /* there is nobody, or nobody could tell */
  CACHED_STATE_COUNT,
} cached_state;

typedef struct cached {
  struct cached *next_in_bucket;
  struct cached *newer, *older; /* in the list of its state */
  cached_state state;
  bool is_flushed;      /* pending: its answer is used once */
  uint64_t expires_ms;  /* but for pending ones */
  uint64_t fallback_ms; /* up to then `answer` is good when nobody can be asked */
  uint32_t hash;
  dtls_psk_wait *waiters; /* pending: lent by handshakes */
  answer *answer;         /* of a known one; of a pending one, when it is asked for once more */
  size_t len;
  uint8_t identity[DTLS_PSK_IDENTITY_MAX];
} cached;

/* The entries of a state, from the newest to the one used longest ago. */
typedef struct cached_list {
  cached *newest, *oldest;
  uint32_t count, max;
} cached_list;

typedef struct cache {
  cached **buckets;
  uint32_t mask;
  uint64_t seed;
  cached_list lists[CACHED_STATE_COUNT];
  uint64_t evicted;
} cache;

/* Returns 0 or COPAL_ENOSPC. `max` entries, of which `pending_max` pending ones come on top. */
int cache_init(cache *c, uint32_t max, uint32_t pending_max);

/* Safe on a zeroed object. */
void cache_wipe(cache *c);

cached *cache_find(const cache *c, copal_span id);

/* A pending entry for an identity that has none. NULL when there are too many, or no memory. */
cached *cache_add(cache *c, copal_span id);

/* An entry becomes pending again, with what is known so far. False when there are too many. */
bool cache_reopen(cache *c, cached *e);

/* Ends the pending state of an entry; `a` (NULL: nobody) is copied. May push others out. Without
 * memory it is removed. */
void cache_settle(cache *c, cached *e, const answer *a, uint64_t expires_ms, uint64_t fallback_ms);

/* Ends the pending state of an entry that has an answer from before, which holds on. */
void cache_resettle(cache *c, cached *e, uint64_t expires_ms);

/* It was of use: it is the newest now. */
void cache_touch(cache *c, cached *e);

void cache_remove(cache *c, cached *e);

/* Removes all but pending entries, which forget what they had; what they get is used once. */
void cache_flush(cache *c);

#endif
