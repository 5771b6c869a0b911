/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing and making borrowed runs of bytes. */
#include <string.h>

#include "copal/span.h"

copal_span copal_span_str(const char *s)
{
  size_t len = 0;
  while (s[len] != '\0') /* strlen() is not among the functions every device has */
    len++;
  return copal_span_of(s, len);
}

bool copal_span_is_equal(copal_span a, copal_span b)
{
  return a.len == b.len && copal_span_has_prefix(a, b);
}

bool copal_span_has_prefix(copal_span s, copal_span prefix)
{
  /* memcmp() must not see NULL, not even for no bytes. */
  return prefix.len == 0 || (s.len >= prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}
