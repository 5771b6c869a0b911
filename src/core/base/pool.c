/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of equal objects: a free list threaded through the objects given back, a watermark for
 * those never taken. */
#include "core/base/pool.h"

#include <assert.h>
#include <string.h>

typedef union strictest {
  void *ptr;
  uint64_t word;
} strictest;

size_t copal_pool_item_size(size_t size)
{
  const size_t unit = sizeof(strictest);
  return (size + unit - 1) & ~(unit - 1);
}

void copal_pool_init(copal_pool *p, uint8_t *mem, size_t size, uint32_t count)
{
  *p = (copal_pool){.items = mem, .item_size = copal_pool_item_size(size), .count = count};
}

void *copal_pool_take(copal_pool *p)
{
  void *item = p->free_list;
  if (item)
    memcpy(&p->free_list, item, sizeof p->free_list);
  else if (p->fresh < p->count)
    item = p->items + p->fresh++ * p->item_size;
  else
    return NULL;
  p->used++;
  return item;
}

void copal_pool_give(copal_pool *p, void *item)
{
  assert(p->used > 0);
  memcpy(item, &p->free_list, sizeof p->free_list);
  p->free_list = item;
  p->used--;
}

uint32_t copal_pool_index(const copal_pool *p, const void *item)
{
  return (uint32_t)((size_t)((const uint8_t *)item - p->items) / p->item_size);
}

bool copal_pool_has(const copal_pool *p, const void *at)
{
  const uintptr_t from = (uintptr_t)p->items;
  return (uintptr_t)at - from < p->fresh * p->item_size;
}

void *copal_pool_at(const copal_pool *p, uint32_t index)
{
  return index < p->fresh ? p->items + index * p->item_size : NULL;
}
