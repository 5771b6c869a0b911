/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of fixed chunks. */
#include "core/base/chain.h"
#include "core/base/cursor_join.h"

#include <string.h>

#include "copal/error.h"

static size_t chunk_room(const copal_pool *pool)
{
  return pool->item_size - sizeof(copal_chunk);
}

static size_t smaller(size_t a, size_t b)
{
  return a < b ? a : b;
}

int copal_chain_keep(copal_chain *c, copal_pool *pool, copal_span bytes)
{
  const size_t room = chunk_room(pool);
  copal_chunk **tail = &c->head;

  *c = (copal_chain){.len = (uint32_t)bytes.len};
  for (size_t at = 0; at < bytes.len; at += room) {
    copal_chunk *chunk = copal_pool_take(pool);
    if (!chunk) {
      copal_chain_give(c, pool);
      return COPAL_ENOSLOT;
    }
    memcpy(chunk->bytes, bytes.ptr + at, smaller(room, bytes.len - at));
    chunk->next = NULL;
    *tail = chunk;
    tail = &chunk->next;
  }
  return COPAL_OK;
}

void copal_chain_put(const copal_chain *c, const copal_pool *pool, copal_wr *w)
{
  const size_t room = chunk_room(pool);
  size_t left = c->len;

  for (const copal_chunk *chunk = c->head; chunk; chunk = chunk->next) {
    const size_t len = smaller(room, left);
    copal_wr_bytes(w, chunk->bytes, len);
    left -= len;
  }
}

void copal_chain_give(copal_chain *c, copal_pool *pool)
{
  copal_chunk *chunk = c->head;

  while (chunk) {
    copal_chunk *next = chunk->next;
    copal_pool_give(pool, chunk);
    chunk = next;
  }
  *c = (copal_chain){0};
}
