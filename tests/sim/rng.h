/* SPDX-License-Identifier: Apache-2.0 */
/* A small deterministic generator for simulations (splitmix64). Not for anything secret. */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sim_rng {
  uint64_t state;
} sim_rng;

/* The next 64 bits. */
static inline uint64_t rng_next(sim_rng *r)
{
  r->state += 0x9e3779b97f4a7c15u;
  uint64_t z = r->state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* A value in [0, n); 0 when `n` is 0. */
static inline uint32_t rng_below(sim_rng *r, uint32_t n)
{
  return n == 0 ? 0 : (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

/* A value in [lo, hi]. */
static inline uint32_t rng_range(sim_rng *r, uint32_t lo, uint32_t hi)
{
  return lo + rng_below(r, hi - lo + 1);
}

/* True in `percent` of 100 draws. */
static inline bool rng_percent(sim_rng *r, uint32_t percent)
{
  return rng_below(r, 100) < percent;
}

/* Fills `len` bytes. */
static inline void rng_fill(sim_rng *r, uint8_t *out, size_t len)
{
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)(rng_next(r) >> 56);
}

#endif
