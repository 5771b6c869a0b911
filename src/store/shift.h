/* SPDX-License-Identifier: Apache-2.0 */
/* Tells whether what readers see may have changed: a number that goes up before a change is shown,
 * which makes it odd, and once more behind it. What store_engine.state() returns.
 *
 * Threads. One at a time changes, under a lock of its own; any reads. Changes are shown by stores
 * that release, or under a lock that readers take: who sees one sees that the number has become
 * odd. */
#ifndef STORE_SHIFT_H
#define STORE_SHIFT_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct shift {
  atomic_uint_fast64_t count; /* zeroed by its owner */
} shift;

static inline void shift_begin(shift *s)
{
  const uint64_t count = atomic_load_explicit(&s->count, memory_order_relaxed);
  atomic_store_explicit(&s->count, count + 1, memory_order_relaxed);
}

static inline void shift_end(shift *s)
{
  const uint64_t count = atomic_load_explicit(&s->count, memory_order_relaxed);
  atomic_store_explicit(&s->count, count + 1, memory_order_release);
}

static inline uint64_t shift_read(const shift *s)
{
  return atomic_load_explicit(&s->count, memory_order_acquire);
}

#endif
