/* SPDX-License-Identifier: Apache-2.0 */
/* Where the memory engine keeps entries: striped hash tables. */
#include <stdlib.h>
#include <string.h>

#include "store/memory/engine.h"

enum { SLOTS_FIRST = 4 /* of a stripe's table; doubled when full */ };

uint64_t entry_size(copal_span key)
{
  return sizeof(entry) + key.len + sizeof(entry *);
}

void entry_free(entry *e)
{
  representation_give(e->rep);
  if (e->former != NULL)
    for (uint32_t i = 0; i < e->former->count; i++)
      representation_give(e->former->reps[i]);
  free(e->former);
  free(e);
}

bool shelf_init(shelf *sh, uint32_t stripe_count, uint64_t seed)
{
  stripe *stripes = aligned_alloc(MEMORY_CACHE_LINE, stripe_count * sizeof *stripes);
  if (stripes == NULL)
    return false;
  memset(stripes, 0, stripe_count * sizeof *stripes);
  for (uint32_t i = 0; i < stripe_count; i++)
    pthread_rwlock_init(&stripes[i].lock, NULL);
  pthread_rwlock_init(&sh->keys_lock, NULL);
  sh->stripes = stripes;
  sh->keys = keytree_init(seed);
  return true;
}

static void drop_entry(void *ctx, keytree_node *n)
{
  (void)ctx;
  entry_free((entry *)n); /* its first member */
}

void shelf_wipe(shelf *sh, uint32_t stripe_count)
{
  if (sh->stripes == NULL)
    return;
  keytree_clear(&sh->keys, drop_entry, NULL);
  for (uint32_t i = 0; i < stripe_count; i++) {
    free(sh->stripes[i].slots);
    pthread_rwlock_destroy(&sh->stripes[i].lock);
  }
  pthread_rwlock_destroy(&sh->keys_lock);
  free(sh->stripes);
  sh->stripes = NULL;
}

stripe *shelf_stripe(const memory_store *s, store_space space, uint64_t hash)
{
  return &s->shelves[space].stripes[hash & (s->cfg.stripe_count - 1)];
}

/* The low bits of the hash chose the stripe, the high ones choose the slot. */
static entry **slot_of(const stripe *st, uint64_t hash)
{
  return &st->slots[(hash >> 32) & (st->slot_count - 1)];
}

entry *stripe_find(const stripe *st, uint64_t hash, copal_span key)
{
  if (st->slot_count == 0)
    return NULL;
  for (entry *e = *slot_of(st, hash); e != NULL; e = e->next)
    if (e->hash == hash && copal_span_is_equal(keytree_key(&e->node), key))
      return e;
  return NULL;
}

/* Makes room for one more. Only the first table is needed: a crowded one works, slowly. */
bool stripe_grow(stripe *st)
{
  if (st->count < st->slot_count || st->slot_count > UINT32_MAX / 2)
    return true;
  stripe wider = {.slot_count = st->slot_count == 0 ? SLOTS_FIRST : st->slot_count * 2};
  wider.slots = calloc(wider.slot_count, sizeof *wider.slots);
  if (wider.slots == NULL)
    return st->slot_count != 0;
  for (uint32_t i = 0; i < st->slot_count; i++)
    for (entry *e = st->slots[i], *next; e != NULL; e = next) {
      next = e->next;
      e->next = *slot_of(&wider, e->hash);
      *slot_of(&wider, e->hash) = e;
    }
  free(st->slots);
  st->slots = wider.slots;
  st->slot_count = wider.slot_count;
  return true;
}

void stripe_insert(stripe *st, entry *e)
{
  entry **slot = slot_of(st, e->hash);
  e->next = *slot;
  *slot = e;
  st->count++;
}

void stripe_remove(stripe *st, entry *e)
{
  entry **at = slot_of(st, e->hash);
  while (*at != e)
    at = &(*at)->next;
  *at = e->next;
  st->count--;
}
