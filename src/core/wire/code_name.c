/* SPDX-License-Identifier: Apache-2.0 */
/* Names of message codes. RFC 7252 section 12.1. */
#include "core/wire/registry_table.h"

const char *copal_code_name(copal_code c)
{
  for (size_t i = 0; i < copal_code_row_count; i++) {
    if (copal_code_rows[i].code == c)
      return copal_code_rows[i].name;
  }
  return NULL;
}
