/* SPDX-License-Identifier: Apache-2.0 */
/* Reading without locks: what was taken out of a structure is freed when nobody can be looking at
 * it any more.
 *
 * Each reader has a seat of its own and notes there when it begins to look and when it has ended;
 * it writes to no memory that others write to. What is retired waits until every reader has ended
 * that began before. Pointers that readers follow are loaded and replaced in sequentially
 * consistent order (plain `atomic_load` and `atomic_store`): so either the reader sees that a thing
 * is gone, or who took it out sees the reader.
 *
 * Threads: a seat belongs to who opened it; readers may be on it only, one at a time. */
#ifndef STORE_MEMORY_GRACE_H
#define STORE_MEMORY_GRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GRACE_LINE = 64 }; /* bytes of a cache line */

struct grace;
struct grace_bag;

typedef struct grace_seat {
  _Alignas(GRACE_LINE) atomic_uint_fast64_t since; /* the period it looks since; 0: not looking */
  _Alignas(GRACE_LINE) struct grace *all;          /* what follows is for the owner only */
  struct grace_bag *open;                          /* retired lately */
  struct grace_bag *first, **last;                 /* those that wait, the oldest first */
  struct grace_bag *spare;
  struct grace_seat *next; /* of all; constant */
  atomic_bool is_taken;
} grace_seat;

typedef struct grace {
  _Alignas(GRACE_LINE) atomic_uint_fast64_t now; /* number of the period; begins with 1 */
  _Atomic(grace_seat *) seats;
} grace;

void grace_init(grace *g);

/* Frees all seats and what waits. Nobody may be looking. Safe on a zeroed object. */
void grace_wipe(grace *g);

/* A seat, or NULL without memory. */
grace_seat *grace_open(grace *g);

/* What still waits is left to the seat's next owner. Safe on NULL. */
void grace_close(grace_seat *s);

/* Begins to look. */
void grace_begin(grace_seat *s);

/* Sees to it that the owner is looking. */
static inline void grace_enter(grace_seat *s)
{
  if (atomic_load_explicit(&s->since, memory_order_relaxed) == 0)
    grace_begin(s);
}

static inline bool grace_is_inside(const grace_seat *s)
{
  return atomic_load_explicit(&s->since, memory_order_relaxed) != 0;
}

/* Ends looking: no pointer that was read is followed after this. Frees what can be. */
void grace_leave(grace_seat *s);

/* Has malloc()ed memory freed that nobody can find any more, in time. Safe on NULL. */
void grace_retire(grace_seat *s, void *memory);

/* True when something that was retired by this seat waits. */
bool grace_waits(const grace_seat *s);

/* True for an owner who has retired much without looking: grace_leave() is due. */
static inline bool grace_is_due(const grace_seat *s)
{
  return s->first != NULL && !grace_is_inside(s);
}

#endif
