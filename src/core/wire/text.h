/* SPDX-License-Identifier: Apache-2.0 */
/* ASCII text without locales. */
#ifndef COPAL_CORE_WIRE_TEXT_H
#define COPAL_CORE_WIRE_TEXT_H

#include <stdbool.h>

#include "copal/span.h"

/* Where `c` first stands in `s`, or NULL. */
static inline const uint8_t *span_find(copal_span s, char c)
{
  for (size_t i = 0; i < s.len; i++) {
    if (s.ptr[i] == (uint8_t)c)
      return s.ptr + i;
  }
  return NULL;
}

static inline bool ascii_is_upper(int c)
{
  return c >= 'A' && c <= 'Z';
}

static inline bool ascii_is_digit(int c)
{
  return c >= '0' && c <= '9';
}

static inline int ascii_lower(int c)
{
  return ascii_is_upper(c) ? c - 'A' + 'a' : c;
}

static inline bool ascii_is_alpha(int c)
{
  const int lower = c | ('a' - 'A'); /* of a letter; nothing else becomes one */
  return lower >= 'a' && lower <= 'z';
}

/* Value of a hexadecimal digit, or -1. */
static inline int ascii_hex(int c)
{
  if (ascii_is_digit(c))
    return c - '0';
  c = ascii_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
