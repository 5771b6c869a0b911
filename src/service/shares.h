/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds how many of the things that a table is full of: the oldest of one holder, and of the
 * one that holds more than half, without looking at the others. O(log holders).
 *
 * Threads: none of its own; the caller locks. RFC 7959 section 2.5 leaves to servers how many
 * unfinished bodies they keep. */
#ifndef SERVICE_SHARES_H
#define SERVICE_SHARES_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/span.h"

struct holder;

/* A thing that is held; embedded in it. Zeroed: held by nobody. */
typedef struct holding {
  struct holding *newer, *older; /* of the same holder */
  struct holder *holder;
} holding;

/* Zeroed: nobody holds anything. */
typedef struct shares {
  void *tree;           /* of holder, by key */
  struct holder **heap; /* who holds most comes first */
  uint32_t count, cap;
} shares;

/* Adds a thing, the newest of the holder with that key, which is copied. Returns false without
 * memory. */
bool shares_add(shares *s, holding *h, copal_span key);

/* Makes the thing the newest of its holder. */
void shares_renew(holding *h);

/* Takes the thing away from its holder, if it has one. */
void shares_drop(shares *s, holding *h);

/* How many the holder of that key has; `oldest` is one of them, or NULL. */
uint32_t shares_of(const shares *s, copal_span key, holding **oldest);

/* The oldest thing of who holds more than half of `total`, which is that of all; NULL when nobody
 * does. */
holding *shares_majority(const shares *s, uint64_t total);

/* Frees what is left when all things have been taken away. */
void shares_wipe(shares *s);

#endif
