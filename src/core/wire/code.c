/* SPDX-License-Identifier: Apache-2.0 */
/* Properties of message codes. RFC 7252 sections 3 and 5.1. */
#include "copal/code.h"
#include "copal/registry.h"

bool copal_code_is_safe(copal_code c)
{
  return c == COPAL_CODE_GET || c == COPAL_CODE_FETCH;
}

void copal_code_format(copal_code c, char out[5])
{
  unsigned tens = 0;
  unsigned ones = copal_code_detail(c);
  for (; ones >= 10; ones -= 10)
    tens++;
  out[0] = (char)('0' + copal_code_class(c));
  out[1] = '.';
  out[2] = (char)('0' + tens);
  out[3] = (char)('0' + ones);
  out[4] = '\0';
}
