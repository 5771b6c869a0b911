/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of changes under way, one for each shard. */
#include "service/pending.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct pending_pool {
  const handler_env *owner;
  pending *objects;
  pending *free;
} pending_pool;

struct pendings {
  pthread_rwlock_t lock; /* guards `used` and the owners; a pool is its owner's alone */
  uint32_t pending_max;
  uint32_t shard_max;
  uint32_t used;
  pending_pool pools[];
};

pendings *pendings_open(uint32_t shard_max, uint32_t pending_max)
{
  pendings *all = calloc(1, sizeof *all + shard_max * sizeof all->pools[0]);
  if (all == NULL)
    return NULL;
  pthread_rwlock_init(&all->lock, NULL);
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
  for (uint32_t i = 0; i < all->used; i++) {
    for (uint32_t k = 0; k < all->pending_max; k++)
      forget(&all->pools[i].objects[k]);
    free(all->pools[i].objects);
  }
  pthread_rwlock_destroy(&all->lock);
  free(all);
}

static pending_pool *find_pool(pendings *all, const handler_env *env)
{
  pending_pool *found = NULL;
  pthread_rwlock_rdlock(&all->lock);
  for (uint32_t i = 0; i < all->used && found == NULL; i++)
    if (all->pools[i].owner == env)
      found = &all->pools[i];
  pthread_rwlock_unlock(&all->lock);
  return found;
}

/* The first request of a shard makes its pool. */
static pending_pool *make_pool(pendings *all, const handler_env *env)
{
  pending *objects = calloc(all->pending_max, sizeof *objects);
  if (objects == NULL)
    return NULL;
  pending_pool *pool = NULL;
  pthread_rwlock_wrlock(&all->lock);
  if (all->used < all->shard_max) {
    pool = &all->pools[all->used++];
    *pool = (pending_pool){.owner = env, .objects = objects};
    for (uint32_t i = 0; i < all->pending_max; i++) {
      objects[i].next = pool->free;
      pool->free = &objects[i];
    }
  }
  pthread_rwlock_unlock(&all->lock);
  if (pool == NULL)
    free(objects);
  return pool;
}

pending *pendings_take(pendings *all, const handler_env *env)
{
  pending_pool *pool = find_pool(all, env);
  if (pool == NULL)
    pool = make_pool(all, env);
  if (pool == NULL || pool->free == NULL)
    return NULL;
  pending *p = pool->free;
  pool->free = p->next;
  *p = (pending){.pool = pool};
  return p;
}

void pending_give(pending *p)
{
  pending_pool *pool = p->pool;
  forget(p);
  *p = (pending){.next = pool->free};
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
