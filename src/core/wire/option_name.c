/* SPDX-License-Identifier: Apache-2.0 */
/* Names of options. RFC 7252 section 12.2. */
#include "copal/error.h"
#include "core/wire/registry_table.h"
#include "core/wire/text.h"

const char *copal_opt_name(uint16_t number)
{
  for (size_t i = 0; i < copal_option_name_row_count; i++) {
    if (copal_option_name_rows[i].number == number)
      return copal_option_name_rows[i].name;
  }
  return NULL;
}

static bool is_same(const char *a, const char *b)
{
  while (*a != '\0' && ascii_lower(*a) == ascii_lower(*b)) {
    a++;
    b++;
  }
  return *a == '\0' && *b == '\0';
}

int copal_opt_number_of(const char *name)
{
  for (size_t i = 0; i < copal_option_name_row_count; i++) {
    if (is_same(copal_option_name_rows[i].name, name))
      return copal_option_name_rows[i].number;
  }
  return COPAL_ENOTFOUND;
}
