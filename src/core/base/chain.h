/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes kept beyond a call, in chains of fixed chunks: messages for retransmission, replies for
 * duplicates. One pool serves both, so memory is bounded and never fragments. */
#ifndef CORE_BASE_CHAIN_H
#define CORE_BASE_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "copal/cursor.h"
#include "copal/span.h"
#include "core/base/pool.h"

typedef struct copal_chunk {
  struct copal_chunk *next;
  uint8_t bytes[];
} copal_chunk;

/* A run of kept bytes. All zero is an empty one. */
typedef struct copal_chain {
  copal_chunk *head; /* NULL when empty */
  uint32_t len;      /* bytes */
} copal_chain;

/* Copies `bytes` into chunks of `pool`. COPAL_ENOSLOT when there are not enough; then nothing is
 * taken and `c` is empty. */
int copal_chain_keep(copal_chain *c, copal_pool *pool, copal_span bytes);

/* Appends the kept bytes to `w`. */
void copal_chain_put(const copal_chain *c, const copal_pool *pool, copal_wr *w);

/* Gives the chunks back and empties the chain. Safe on an empty one. */
void copal_chain_give(copal_chain *c, copal_pool *pool);

#endif
