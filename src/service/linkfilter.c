/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of discovery. RFC 6690 section 4.1. */
#include <string.h>

#include "service/linkindex.h"

linkindex_filter linkindex_filter_of(copal_span argument)
{
  const uint8_t *sign = argument.len > 0 ? memchr(argument.ptr, '=', argument.len) : NULL;
  if (sign == NULL)
    return (linkindex_filter){.name = argument, .is_prefix = true};
  const size_t at = (size_t)(sign - argument.ptr);
  linkindex_filter f = {.name = copal_span_of(argument.ptr, at),
                        .value = copal_span_of(sign + 1, argument.len - at - 1)};
  f.is_prefix = f.value.len > 0 && f.value.ptr[f.value.len - 1] == '*';
  f.value.len -= f.is_prefix;
  return f;
}

void linkindex_filters_put(copal_wr *w, const linkindex_filter *filters, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    copal_wr_be(w, (uint32_t)filters[i].name.len, 4);
    copal_wr_span(w, filters[i].name);
    copal_wr_u8(w, filters[i].is_prefix);
    copal_wr_be(w, (uint32_t)filters[i].value.len, 4);
    copal_wr_span(w, filters[i].value);
  }
}
