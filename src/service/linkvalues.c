/* SPDX-License-Identifier: Apache-2.0 */
/* Values of attributes. RFC 6690 sections 2 and 4.1. */
#include "service/linkvalues.h"

#include <string.h>

/* Attributes whose value is a list of words, each a value of its own: RFC 6690 section 4.1. */
static bool is_word_list(copal_span name)
{
  static const char *const names[] = {"rt", "if", "rel", "rev"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (copal_span_is_equal(name, copal_span_str(names[i])))
      return true;
  return false;
}

static bool each_word(copal_span name, copal_span words, linkvalues_see *see, void *ctx)
{
  size_t at = 0;
  while (at < words.len) {
    size_t end = at;
    while (end < words.len && words.ptr[end] != ' ')
      end++;
    if (end > at && !see(ctx, name, copal_span_of(words.ptr + at, end - at)))
      return false;
    at = end + 1;
  }
  return true;
}

/* Drops the backslashes of a quoted string; `*at` has room for the value and moves behind it. */
static copal_span unescape(copal_span value, uint8_t **at)
{
  if (value.len == 0 || memchr(value.ptr, '\\', value.len) == NULL)
    return value;
  uint8_t *out = *at;
  size_t len = 0;
  for (size_t i = 0; i < value.len; i++) {
    if (value.ptr[i] == '\\' && i + 1 < value.len)
      i++;
    out[len++] = value.ptr[i];
  }
  *at += len;
  return copal_span_of(out, len);
}

bool linkvalues_each(const copal_link *l, uint8_t *scratch, linkvalues_see *see, void *ctx)
{
  size_t pos = 0;
  copal_link_attr attr;
  while (copal_link_attr_next(l, &pos, &attr)) {
    const copal_span value = unescape(attr.value, &scratch);
    const bool goes_on = is_word_list(attr.name) ? each_word(attr.name, value, see, ctx)
                                                 : see(ctx, attr.name, value);
    if (!goes_on)
      return false;
  }
  return true;
}

static bool keep_value(void *ctx, copal_span name, copal_span value)
{
  linkvalues *v = ctx;
  if (v->count < LINKVALUES_KEPT)
    v->first[v->count] = (linkvalue){name, value};
  v->count++;
  return true;
}

void linkvalues_read(linkvalues *v, const copal_link *l, uint8_t *scratch)
{
  v->count = 0;
  linkvalues_each(l, scratch, keep_value, v);
}
