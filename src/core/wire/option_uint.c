/* SPDX-License-Identifier: Apache-2.0 */
/* Option values that are unsigned integers. RFC 7252 section 3.2. */
#include "copal/error.h"
#include "copal/option.h"

int copal_opt_uint(copal_span value, uint32_t *out)
{
  copal_rd r = {value.ptr, value.len, COPAL_OK};
  const uint32_t v = copal_rd_be(&r, value.len);
  if (r.err == COPAL_OK)
    *out = v;
  return r.err;
}

uint32_t copal_opt_uint_or(copal_span options, uint16_t number, uint32_t otherwise)
{
  copal_span value;
  if (copal_opt_find(options, number, &value))
    (void)copal_opt_uint(value, &otherwise);
  return otherwise;
}
