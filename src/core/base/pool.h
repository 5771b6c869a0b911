/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of equal objects in memory of the caller. Taking and giving are O(1); memory of objects
 * never taken is never touched. */
#ifndef CORE_BASE_POOL_H
#define CORE_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct copal_pool {
  uint8_t *items;
  size_t item_size; /* bytes, a multiple of the strictest alignment */
  uint32_t count;   /* objects in the pool */
  uint32_t fresh;   /* objects never taken so far begin at this index */
  uint32_t used;    /* objects taken now */
  void *free_list;  /* objects given back; each begins with the pointer to the next */
} copal_pool;

/* Bytes that an object of `size` occupies in a pool or an arena: rounded up for alignment. */
size_t copal_pool_item_size(size_t size);

/* Makes a pool of `count` objects of `size` bytes in `mem`, which is lent and holds
 * count * copal_pool_item_size(size) bytes, aligned for any object. */
void copal_pool_init(copal_pool *p, uint8_t *mem, size_t size, uint32_t count);

/* Takes an object with undefined content, or NULL when the pool is exhausted. */
void *copal_pool_take(copal_pool *p);

/* Gives an object back. Its first pointer-sized bytes are overwritten. */
void copal_pool_give(copal_pool *p, void *item);

/* Position of an object of the pool, 0 to count - 1. */
uint32_t copal_pool_index(const copal_pool *p, const void *item);

/* True when `at` points into an object of the pool. */
bool copal_pool_has(const copal_pool *p, const void *at);

/* Object at `index` if it was ever taken, else NULL. */
void *copal_pool_at(const copal_pool *p, uint32_t index);

#endif
