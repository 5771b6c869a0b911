/* SPDX-License-Identifier: Apache-2.0 */
/* A window of blocks received. */
#include "service/gather.h"

#include <stdbool.h>

static bool has(const gather *g, uint32_t num)
{
  const uint32_t at = num % GATHER_WINDOW;
  return num < g->base ||
         (num - g->base < GATHER_WINDOW && (g->bits[at / 64] >> (at % 64) & 1) != 0);
}

static void set(gather *g, uint32_t num, bool value)
{
  const uint32_t at = num % GATHER_WINDOW;
  const uint64_t bit = (uint64_t)1 << (at % 64);
  g->bits[at / 64] = value ? g->bits[at / 64] | bit : g->bits[at / 64] & ~bit;
}

gather_result gather_take(gather *g, uint32_t num)
{
  if (num >= g->base && num - g->base >= GATHER_WINDOW)
    return GATHER_BEYOND;
  if (has(g, num))
    return GATHER_REPEATED;
  set(g, num, true);
  if (num >= g->top)
    g->top = num + 1;
  while (has(g, g->base)) {
    set(g, g->base, false);
    g->base++;
  }
  return GATHER_NEW;
}

size_t gather_missing(const gather *g, uint32_t end, uint32_t *nums, size_t cap)
{
  size_t count = 0;
  for (uint32_t num = g->base; num < end && count < cap; num++)
    if (!has(g, num))
      nums[count++] = num;
  return count;
}
