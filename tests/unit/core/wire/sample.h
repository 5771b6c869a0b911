/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of codecs share: byte literals, copies that end where a sanitizer looks, and
 * seeded random values. */
#ifndef COPAL_TESTS_UNIT_CORE_WIRE_SAMPLE_H
#define COPAL_TESTS_UNIT_CORE_WIRE_SAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/span.h"

/* A span over a string literal that may contain NUL bytes. */
#define LIT(s) copal_span_of("" s, sizeof(s) - 1)

/* The first `len` bytes of `s` in memory of their own, so that reading one too many is noticed.
 * Given to the caller, who frees `ptr`. */
static inline copal_span exact_copy(copal_span s, size_t len)
{
  uint8_t *copy = malloc(len > 0 ? len : 1);
  if (copy == NULL)
    abort();
  if (len > 0)
    memcpy(copy, s.ptr, len);
  return copal_span_of(copy, len);
}

static inline void exact_free(copal_span s)
{
  free((void *)(uintptr_t)s.ptr);
}

/* xorshift64: the same values for the same seed on every machine. */
typedef struct prng {
  uint64_t state;
} prng;

/* The seed is COPAL_SEED from the environment or a fixed one, and is printed. */
static inline prng prng_init(void)
{
  const char *given = getenv("COPAL_SEED");
  const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 0x5eedc0a9u;
  printf("COPAL_SEED=%llu\n", (unsigned long long)seed);
  return (prng){seed != 0 ? seed : 1};
}

/* Uniform enough below `limit`, which is at least 1. */
static inline uint32_t prng_below(prng *p, uint32_t limit)
{
  p->state ^= p->state << 13;
  p->state ^= p->state >> 7;
  p->state ^= p->state << 17;
  return (uint32_t)(p->state >> 32) % limit;
}

/* Fills with random bytes. */
static inline void prng_fill(prng *p, uint8_t *out, size_t len)
{
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)prng_below(p, 256);
}

/* A length that often sits at the edges of the extended encodings. */
static inline size_t prng_len(prng *p)
{
  static const size_t EDGES[] = {0, 1, 12, 13, 14, 268, 269, 270, 300};
  if (prng_below(p, 2) == 0)
    return EDGES[prng_below(p, sizeof EDGES / sizeof EDGES[0])];
  return prng_below(p, 20);
}

#endif
