/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of changes under way, one for each shard. */
#include "service/pending.h"

#include <stdlib.h>
#include <string.h>

enum { CACHE_LINE = 64 };

typedef struct pending_pool {
  _Alignas(CACHE_LINE) const handler_env *owner; /* NULL: no request yet */
  pending *objects;
  pending *free;   /* given back */
  uint32_t opened; /* of `objects`; the rest has never been touched, so it takes no memory */
} pending_pool;

struct pendings {
  uint32_t pending_max;
  uint32_t shard_max;
  pending_pool pools[]; /* by number of the shard, touched by it only */
};

pendings *pendings_open(uint32_t shard_max, uint32_t pending_max)
{
  const size_t size = sizeof(pendings) + shard_max * sizeof(pending_pool);
  pendings *all = aligned_alloc(CACHE_LINE, size);
  if (all == NULL)
    return NULL;
  memset(all, 0, size);
  all->shard_max = shard_max;
  all->pending_max = pending_max;
  return all;
}

static void forget(pending *p)
{
  free(p->key.ptr);
  free(p->body.ptr);
  free(p->attrs.ptr);
  if (p->lent != NULL)
    p->lent->release(p->lent);
}

void pendings_close(pendings *all)
{
  if (all == NULL)
    return;
  for (uint32_t i = 0; i < all->shard_max; i++) {
    pending *objects = all->pools[i].objects;
    for (uint32_t k = 0; k < all->pools[i].opened; k++)
      forget(&objects[k]);
    free(objects);
  }
  free(all);
}

/* The first request of a shard makes its pool. Returns false without memory. */
static bool pool_make(pending_pool *pool, const handler_env *env, uint32_t count)
{
  pending *objects = malloc(count * sizeof *objects);
  if (objects == NULL)
    return false;
  *pool = (pending_pool){.owner = env, .objects = objects};
  return true;
}

/* An object that nobody has had yet. NULL when there is none. */
static pending *pool_open(pending_pool *pool, uint32_t count)
{
  if (pool->opened == count)
    return NULL;
  pending *p = &pool->objects[pool->opened++];
  *p = (pending){.pool = pool};
  return p;
}

pending *pendings_take(pendings *all, const handler_env *env)
{
  pending_pool *pool = env->shard < all->shard_max ? &all->pools[env->shard] : NULL;
  if (pool == NULL || (pool->owner == NULL && !pool_make(pool, env, all->pending_max)))
    return NULL;
  if (pool->owner != env)
    return NULL;
  pending *p = pool->free;
  if (p == NULL)
    return pool_open(pool, all->pending_max);
  pool->free = p->next;
  return p;
}

void pending_give(pending *p)
{
  pending_pool *pool = p->pool;
  forget(p);
  p->key = p->body = p->attrs = (copal_mspan){NULL, 0};
  p->lent = NULL;
  p->next = pool->free;
  pool->free = p;
}

bool pending_keep(copal_mspan *kept, copal_span bytes)
{
  *kept = (copal_mspan){NULL, bytes.len};
  if (bytes.len == 0)
    return true;
  kept->ptr = malloc(bytes.len);
  if (kept->ptr == NULL)
    return false;
  memcpy(kept->ptr, bytes.ptr, bytes.len);
  return true;
}
