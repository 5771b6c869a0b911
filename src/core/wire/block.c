/* SPDX-License-Identifier: Apache-2.0 */
/* The value of block options. RFC 7959 section 2.2, RFC 8323 section 6. */
#include "copal/block.h"
#include "copal/error.h"
#include "copal/option.h"

enum {
  VALUE_MAX = 3, /* bytes, RFC 7959 section 2.2 */
  MORE_BIT = 8,
  SZX_MASK = 7,
  NUM_SHIFT = 4,
};

int copal_block_parse_reliable(copal_span value, copal_block *b)
{
  uint32_t v = 0;
  if (value.len > VALUE_MAX)
    return COPAL_EFORMAT;
  (void)copal_opt_uint(value, &v);
  b->num = v >> NUM_SHIFT;
  b->more = (v & MORE_BIT) != 0;
  b->szx = v & SZX_MASK;
  return COPAL_OK;
}

int copal_block_parse(copal_span value, copal_block *b)
{
  const int err = copal_block_parse_reliable(value, b);
  if (err != COPAL_OK)
    return err;
  return b->szx == COPAL_SZX_BERT ? COPAL_EBLOCK : COPAL_OK;
}

uint32_t copal_block_value(copal_block b)
{
  return b.num << NUM_SHIFT | (b.more ? (uint32_t)MORE_BIT : 0) | b.szx;
}

uint8_t copal_block_szx_for(size_t size)
{
  uint8_t szx = COPAL_SZX_MAX;
  while (szx > 0 && copal_block_size(szx) > size)
    szx--;
  return szx;
}
