/* SPDX-License-Identifier: Apache-2.0 */
/* Dividing one run of memory into the parts of an object that is sized at run time. The same plan
 * measures first and divides later. */
#ifndef CORE_BASE_CARVER_H
#define CORE_BASE_CARVER_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"

typedef struct copal_carver {
  uint8_t *mem; /* aligned for any object; NULL to measure only */
  uint64_t len; /* bytes handed out; when measuring it may exceed any size_t */
} copal_carver;

/* Hands out `size` bytes, aligned for any object, or NULL when measuring. */
void *copal_carve(copal_carver *c, uint64_t size);

/* Hands out `size` bytes of zeros, or NULL when measuring. */
void *copal_carve_zeros(copal_carver *c, uint64_t size);

/* Makes `pool` of `count` objects of `size` bytes; its memory and, when measuring,
 * `pool` itself are not touched. */
void copal_carve_pool(copal_carver *c, copal_pool *pool, size_t size, uint32_t count);

#endif
