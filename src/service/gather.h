/* SPDX-License-Identifier: Apache-2.0 */
/* Which blocks of a body are there when they come in any order. RFC 9177 section 4.3.
 *
 * All blocks below `base` are there; of those behind it a window is remembered. A block beyond the
 * window counts as lost: the memory for a body is the same whatever its sender claims. */
#ifndef SERVICE_GATHER_H
#define SERVICE_GATHER_H

#include <stddef.h>
#include <stdint.h>

enum { GATHER_WINDOW = 1024 }; /* blocks, a power of two */

typedef struct gather {
  uint32_t base;                     /* first block that is missing */
  uint32_t top;                      /* behind the last block seen */
  uint64_t bits[GATHER_WINDOW / 64]; /* of blocks from `base` on, at their number modulo window */
} gather;

typedef enum gather_result {
  GATHER_NEW,
  GATHER_REPEATED, /* it is there already */
  GATHER_BEYOND,   /* too far ahead of the first that is missing: not taken */
} gather_result;

/* Notes that block `num` has come. */
gather_result gather_take(gather *g, uint32_t num);

/* Writes the numbers of missing blocks below `end`, ascending, at most `cap`. Returns how many. */
size_t gather_missing(const gather *g, uint32_t end, uint32_t *nums, size_t cap);

#endif
