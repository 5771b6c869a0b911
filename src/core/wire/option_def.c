/* SPDX-License-Identifier: Apache-2.0 */
/* What is registered of options. RFC 7252 sections 5.4 and 12.2. */
#include "core/wire/registry_table.h"

bool copal_opt_def_find(uint16_t number, copal_opt_def *def)
{
  for (size_t i = 0; i < copal_option_row_count; i++) {
    const uint32_t row = copal_option_rows[i];
    if (row >> 16 != number)
      continue;
    def->number = number;
    def->max_len = (uint16_t)(row >> 5 & 0x7ff);
    def->min_len = (uint16_t)(row >> 3 & 3);
    def->repeatable = (row & 4) != 0;
    def->format = (copal_opt_format)(row & 3);
    return true;
  }
  return false;
}

bool copal_opt_find_valid(copal_span options, uint16_t number, copal_span *value)
{
  copal_opt_def def;
  copal_span v;
  if (!copal_opt_find(options, number, &v) || !copal_opt_def_find(number, &def))
    return false;
  if (v.len < def.min_len || v.len > def.max_len)
    return false;
  *value = v;
  return true;
}
