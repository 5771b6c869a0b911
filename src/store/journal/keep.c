/* SPDX-License-Identifier: Apache-2.0 */
/* What the overlay keeps for the next change. */
#include "store/journal/keep.h"

#include <stdlib.h>

enum { FIRST_CAP = 1024, AHEAD = 8 };

static keep_slot *slot_at(const keep *k, size_t i)
{
  return &k->slots[(k->first + i) & (k->cap - 1)];
}

static bool widen(keep *k)
{
  keep wider = {.count = k->count, .cap = k->cap == 0 ? FIRST_CAP : 2 * k->cap};
  wider.slots = malloc(wider.cap * sizeof *wider.slots);
  if (wider.slots == NULL)
    return false;
  for (size_t i = 0; i < k->count; i++)
    wider.slots[i] = *slot_at(k, i);
  free(k->slots);
  *k = wider;
  return true;
}

bool keep_push(keep *k, overlay_entry *e, uint64_t checkpoint)
{
  if (k->count == k->cap && !widen(k))
    return false;
  *slot_at(k, k->count++) = (keep_slot){.entry = e, .checkpoint = checkpoint};
  return true;
}

static keep_slot pop(keep *k)
{
  const keep_slot slot = *slot_at(k, 0);
  k->first = (k->first + 1) & (k->cap - 1);
  k->count--;
  return slot;
}

void keep_trim(keep *k, overlay *o, uint64_t max, uint64_t oldest)
{
  /* Twice around at most: each has one second chance. */
  for (size_t left = 2 * k->count; k->count > 0 && left > 0 && overlay_idle(o) > max; left--) {
    if (AHEAD < k->count)
      __builtin_prefetch(slot_at(k, AHEAD)->entry);
    keep_slot slot = *slot_at(k, 0);
    switch (overlay_evict(o, slot.entry, &slot.checkpoint, oldest)) {
    case OVERLAY_GONE: pop(k); break;
    case OVERLAY_AGAIN:
      pop(k);
      *slot_at(k, k->count++) = slot;
      break;
    case OVERLAY_NEEDED: return;
    }
  }
}

void keep_wipe(keep *k)
{
  free(k->slots);
  *k = (keep){.slots = NULL};
}
