/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one request. Thread: the owner's only. */
#include "server/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"

int arena_init(arena *a, size_t cap)
{
  memset(a, 0, sizeof *a);
  a->bytes = malloc(cap);
  if (a->bytes == NULL)
    return COPAL_ENOSPC;
  a->cap = cap;
  return COPAL_OK;
}

void *arena_take(arena *a, size_t size)
{
  const size_t align = alignof(max_align_t);
  const size_t left = a->cap - a->used;
  const size_t pad = (align - a->used % align) % align;
  if (pad > left || size > left - pad) {
    a->refused++;
    return NULL;
  }
  void *piece = a->bytes + a->used + pad;
  a->used += pad + size;
  if (a->used > a->peak)
    a->peak = a->used;
  return piece;
}

void arena_reset(arena *a)
{
  a->used = 0;
}

void arena_wipe(arena *a)
{
  free(a->bytes);
  memset(a, 0, sizeof *a);
}
