/* SPDX-License-Identifier: Apache-2.0 */
/* Dividing one run of memory. */
#include "core/base/carver.h"

#include <assert.h>
#include <string.h>

enum { UNIT = sizeof(uint64_t) }; /* no object of the core is aligned more strictly */

void *copal_carve(copal_carver *c, uint64_t size)
{
  uint8_t *part = c->mem ? c->mem + (size_t)c->len : NULL;
  c->len += (size + UNIT - 1) & ~(uint64_t)(UNIT - 1);
  return part;
}

void *copal_carve_zeros(copal_carver *c, uint64_t size)
{
  void *part = copal_carve(c, size);
  if (part)
    memset(part, 0, (size_t)size);
  return part;
}

void copal_carve_pool(copal_carver *c, copal_pool *pool, size_t size, uint32_t count)
{
  assert(copal_pool_item_size(1) == UNIT);
  uint8_t *part = copal_carve(c, (uint64_t)copal_pool_item_size(size) * count);
  if (part)
    copal_pool_init(pool, part, size, count);
}
