/* SPDX-License-Identifier: Apache-2.0 */
/* Block values: the number they mean is the number they came from. */
#include "copal/block.h"
#include "copal/error.h"
#include "copal/option.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  copal_block b, strict;
  uint32_t v = 0;
  const copal_span value = copal_span_of(data, size);
  const int err = copal_block_parse_reliable(value, &b);
  REQUIRE((err == COPAL_OK) == (size <= 3));
  if (err != COPAL_OK)
    return 0;
  REQUIRE(copal_opt_uint(value, &v) == COPAL_OK && copal_block_value(b) == v);
  REQUIRE(b.num <= COPAL_BLOCK_NUM_MAX);
  REQUIRE(copal_block_szx_for(copal_block_size(b.szx)) == (b.szx < 7 ? b.szx : COPAL_SZX_MAX));
  REQUIRE(copal_block_parse(value, &strict) == (b.szx == 7 ? COPAL_EBLOCK : COPAL_OK));
  return 0;
}
