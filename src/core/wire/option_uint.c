/* SPDX-License-Identifier: Apache-2.0 */
/* Option values that are unsigned integers. RFC 7252 section 3.2. */
#include "copal/error.h"
#include "copal/option.h"
#include "core/base/cursor_join.h"

int copal_opt_uint(copal_span value, uint32_t *out)
{
  if (value.len > sizeof *out)
    return COPAL_EFORMAT;
  *out = copal_be(value.ptr, value.len);
  return COPAL_OK;
}

uint32_t copal_opt_uint_or(copal_span options, uint16_t number, uint32_t otherwise)
{
  copal_span value;
  if (copal_opt_find(options, number, &value))
    (void)copal_opt_uint(value, &otherwise);
  return otherwise;
}
