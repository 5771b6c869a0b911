/* SPDX-License-Identifier: Apache-2.0 */
/* Changes under way: what a request needs between its commit and its answer, from a bounded pool
 * per shard.
 *
 * Threads: pendings_take(), pending_give() and pending_keep() on the shard's thread. */
#ifndef SERVICE_PENDING_H
#define SERVICE_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "service/ask.h"
#include "service/reply.h"

struct pending_pool;
struct resources;

/* A change under way. `op` is first, so that its completion finds the rest. */
typedef struct pending {
  store_op op;
  struct pending *next; /* free list */
  struct pending_pool *pool;
  struct resources *service;
  void (*finish)(struct pending *p, const store_result *result);
  reply reply;
  lender *lent; /* to `op`; released with the pending */
  uint8_t tries;
  /* What a second try needs: POST and PATCH only. */
  ask ask;
  copal_mspan key; /* of the request; freed with the pending */
  copal_mspan body;
  copal_mspan attrs;
} pending;

/* The pools of all shards. */
typedef struct pendings pendings;

/* Returns NULL without memory. */
pendings *pendings_open(uint32_t shard_max, uint32_t pending_max);
void pendings_close(pendings *all);

/* An object of the shard's pool with nothing kept in it, the rest is for the caller to set; or NULL
 * when the pool is exhausted or there are too many shards. */
pending *pendings_take(pendings *all, const handler_env *env);

/* Gives the object and what it keeps back. */
void pending_give(pending *p);

/* Copies bytes that the pending keeps; `*kept` is freed with it. Returns false without memory. */
bool pending_keep(copal_mspan *kept, copal_span bytes);

#endif
