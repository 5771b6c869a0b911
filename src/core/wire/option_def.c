/* SPDX-License-Identifier: Apache-2.0 */
/* What is registered of options. RFC 7252 sections 5.4 and 12.2. */
#include "core/wire/registry_table.h"

/* The first row that is not before the number's; it may be the end. */
static size_t row_of(uint16_t number)
{
  size_t from = 0, to = copal_option_row_count;
  while (from < to) {
    const size_t at = (from + to) / 2;
    if (copal_option_rows[at] >> 16 < number)
      from = at + 1;
    else
      to = at;
  }
  return from;
}

bool copal_opt_def_find(uint16_t number, copal_opt_def *def)
{
  const size_t at = row_of(number);
  const uint32_t row = at < copal_option_row_count ? copal_option_rows[at] : 0;
  if (row >> 16 != number || row == 0)
    return false;
  def->number = number;
  def->max_len = (uint16_t)(row >> 5 & 0x7ff);
  def->min_len = (uint16_t)(row >> 3 & 3);
  def->repeatable = (row & 4) != 0;
  def->format = (copal_opt_format)(row & 3);
  return true;
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
