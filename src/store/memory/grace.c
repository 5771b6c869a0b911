/* SPDX-License-Identifier: Apache-2.0 */
/* Grace periods: a bag of what was retired is closed with the number of a period, which begins a
 * new one; it is emptied when all who look have begun in a later one. */
#include "store/memory/grace.h"

#include <stdlib.h>

enum { BAG_MAX = 253 };

typedef struct grace_bag {
  struct grace_bag *next;
  uint64_t closed; /* the period in which it was closed */
  uint64_t count;
  void *items[BAG_MAX];
} bag;

void grace_init(grace *g)
{
  atomic_init(&g->now, 1);
  atomic_init(&g->seats, NULL);
}

static void bag_empty(bag *b)
{
  for (uint64_t i = 0; i < b->count; i++)
    free(b->items[i]);
  b->count = 0;
}

static void bags_free(bag *b)
{
  while (b != NULL) {
    bag *next = b->next;
    bag_empty(b);
    free(b);
    b = next;
  }
}

void grace_wipe(grace *g)
{
  grace_seat *s = atomic_load(&g->seats);
  while (s != NULL) {
    grace_seat *next = s->next;
    bags_free(s->first);
    if (s->open != NULL)
      s->open->next = NULL;
    bags_free(s->open);
    free(s->spare);
    free(s);
    s = next;
  }
  atomic_store(&g->seats, NULL);
}

/* A seat that was given up, or NULL. */
static grace_seat *take_old(grace *g)
{
  for (grace_seat *s = atomic_load(&g->seats); s != NULL; s = s->next) {
    bool is_taken = false;
    if (atomic_compare_exchange_strong(&s->is_taken, &is_taken, true))
      return s;
  }
  return NULL;
}

grace_seat *grace_open(grace *g)
{
  grace_seat *s = take_old(g);
  if (s != NULL)
    return s;
  s = aligned_alloc(GRACE_LINE, sizeof *s);
  if (s == NULL)
    return NULL;
  *s = (grace_seat){.all = g};
  atomic_init(&s->since, 0);
  atomic_init(&s->is_taken, true);
  s->last = &s->first;
  s->next = atomic_load(&g->seats);
  while (!atomic_compare_exchange_weak(&g->seats, &s->next, s)) {
  }
  return s;
}

void grace_close(grace_seat *s)
{
  if (s == NULL)
    return;
  grace_leave(s);
  atomic_store(&s->is_taken, false);
}

void grace_begin(grace_seat *s)
{
  atomic_store(&s->since, atomic_load(&s->all->now));
}

bool grace_waits(const grace_seat *s)
{
  return s->first != NULL || (s->open != NULL && s->open->count > 0);
}

/* The open bag waits from now on. */
static void close_bag(grace_seat *s)
{
  bag *b = s->open;
  s->open = NULL;
  b->next = NULL;
  b->closed = atomic_fetch_add(&s->all->now, 1);
  *s->last = b;
  s->last = &b->next;
}

/* The oldest period that somebody looks since. */
static uint64_t oldest(const grace *g)
{
  uint64_t first = UINT64_MAX;
  for (const grace_seat *s = atomic_load(&g->seats); s != NULL; s = s->next) {
    const uint64_t since = atomic_load(&s->since);
    if (since != 0 && since < first)
      first = since;
  }
  return first;
}

/* Empties the bags that have waited long enough. */
static void empty_bags(grace_seat *s)
{
  const uint64_t until = oldest(s->all);
  while (s->first != NULL && s->first->closed < until) {
    bag *b = s->first;
    s->first = b->next;
    bag_empty(b);
    free(s->spare);
    s->spare = b;
  }
  if (s->first == NULL)
    s->last = &s->first;
}

/* The open bag is closed when no other waits: there are no more bags than periods that somebody
 * still looks since. */
static void reclaim(grace_seat *s)
{
  if (s->first != NULL)
    empty_bags(s);
  if (s->first != NULL || s->open == NULL || s->open->count == 0)
    return;
  close_bag(s);
  empty_bags(s);
}

void grace_leave(grace_seat *s)
{
  if (grace_is_inside(s))
    atomic_store_explicit(&s->since, 0, memory_order_release);
  if (grace_waits(s))
    reclaim(s);
}

/* A bag with room, or NULL without memory. */
static bag *open_bag(grace_seat *s)
{
  if (s->open != NULL && s->open->count == BAG_MAX)
    close_bag(s);
  if (s->open == NULL) {
    s->open = s->spare != NULL ? s->spare : malloc(sizeof *s->open);
    s->spare = NULL;
    if (s->open != NULL)
      s->open->count = 0;
  }
  return s->open;
}

/* Without memory for a bag the thing is given up: it leaks, and nobody reads what was freed. */
void grace_retire(grace_seat *s, void *memory)
{
  bag *b = memory != NULL ? open_bag(s) : NULL;
  if (b != NULL)
    b->items[b->count++] = memory;
}
