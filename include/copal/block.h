/* SPDX-License-Identifier: Apache-2.0 */
/* The value of the Block1, Block2, Q-Block1 and Q-Block2 options. RFC 7959 section 2.2, RFC 9177
 * section 4. */
#ifndef COPAL_BLOCK_H
#define COPAL_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/platform.h"
#include "copal/span.h"

COPAL_BEGIN_DECLS

enum {
  COPAL_SZX_MAX = 6,  /* 1024-byte blocks: the largest on datagrams */
  COPAL_SZX_BERT = 7, /* reliable transports only, RFC 8323 section 6 */
  COPAL_BLOCK_NUM_MAX = 0xfffff,
};

typedef struct copal_block {
  uint32_t num; /* 0 to 2^20 - 1 */
  bool more;
  uint8_t szx; /* block size is 2^(szx + 4) bytes */
} copal_block;

/* Bytes of a block: 16 to 1024; 1024 also for BERT. */
static inline size_t copal_block_size(uint8_t szx)
{
  return (size_t)1 << ((szx > 6 ? 6 : szx) + 4);
}

/* Byte offset of the block in the body. */
static inline uint32_t copal_block_offset(copal_block b)
{
  return b.num << ((b.szx > 6 ? 6 : b.szx) + 4);
}

/* Parses an option value on a datagram transport. COPAL_EFORMAT when longer than 3 bytes,
 * COPAL_EBLOCK for SZX 7. */
COPAL_API int copal_block_parse(copal_span value, copal_block *b);

/* The same on a reliable transport, where SZX 7 means BERT. */
COPAL_API int copal_block_parse_reliable(copal_span value, copal_block *b);

/* The option value as an unsigned integer, for copal_opt_put_uint(). */
COPAL_API uint32_t copal_block_value(copal_block b);

/* Largest SZX (0 to 6) whose block is not larger than `size` bytes; 0 below 16. */
COPAL_API uint8_t copal_block_szx_for(size_t size);

COPAL_END_DECLS

#endif
