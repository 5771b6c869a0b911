/* SPDX-License-Identifier: Apache-2.0 */
/* Filtering links by the query of a discovery request. RFC 6690 section 4.1, RFC 7252
 * section 7.2.1. */
#include "copal/link.h"
#include "core/wire/text.h"

/* What a filter asks for. */
typedef struct wanted {
  copal_span name;
  copal_span text;
  bool is_prefix;
  bool by_words; /* the attribute is a list of words, each a value of its own */
} wanted;

/* Takes one character of a quoted-string, resolving a quoted-pair. */
static uint8_t char_next(copal_span value, size_t *at)
{
  if (value.ptr[*at] == '\\' && value.len - *at > 1)
    ++*at;
  return value.ptr[(*at)++];
}

/* Matches `text` against the value from `at` on, up to its end or, by words, to a space. */
static bool is_match_at(copal_span value, size_t at, const wanted *f)
{
  for (size_t i = 0; i < f->text.len; i++) {
    if (at >= value.len)
      return false;
    const uint8_t c = char_next(value, &at);
    if (c != f->text.ptr[i] || (f->by_words && c == ' '))
      return false;
  }
  if (f->is_prefix || at >= value.len)
    return true;
  return f->by_words && f->text.len > 0 && char_next(value, &at) == ' ';
}

static bool is_value_match(copal_span value, const wanted *f)
{
  if (is_match_at(value, 0, f))
    return true;
  if (!f->by_words)
    return false;
  for (size_t at = 0; at < value.len;) {
    if (char_next(value, &at) == ' ' && at < value.len && is_match_at(value, at, f))
      return true;
  }
  return false;
}

bool copal_link_value_is(copal_span value, copal_span text, bool is_prefix)
{
  const wanted f = {.text = text, .is_prefix = is_prefix};
  return is_match_at(value, 0, &f);
}

static bool is_list(copal_span name)
{
  static const char *const LISTS[] = {"rt", "if", "rel", "rev", "ct"};
  for (size_t i = 0; i < sizeof LISTS / sizeof LISTS[0]; i++) {
    if (copal_span_is_equal(name, copal_span_str(LISTS[i])))
      return true;
  }
  return false;
}

/* "name=text", "name=text*", or "name", which asks for presence as "name=*" does. */
static wanted filter_parse(copal_span filter)
{
  const uint8_t *sign = span_find(filter, '=');
  const size_t name_len = sign != NULL ? (size_t)(sign - filter.ptr) : filter.len;
  wanted f = {.name = copal_span_of(filter.ptr, name_len), .is_prefix = sign == NULL};
  if (sign != NULL)
    f.text = copal_span_of(sign + 1, filter.len - name_len - 1);
  if (f.text.len > 0 && f.text.ptr[f.text.len - 1] == '*') {
    f.is_prefix = true;
    f.text.len--;
  }
  f.by_words = is_list(f.name);
  return f;
}

/* Targets are compared as they are written: nothing in them is escaped as in a quoted-string. */
static bool is_target_match(copal_span target, const wanted *f)
{
  return f->is_prefix ? copal_span_has_prefix(target, f->text)
                      : copal_span_is_equal(target, f->text);
}

bool copal_link_is_match(const copal_link *link, copal_span filter)
{
  if (filter.len == 0)
    return true;
  const wanted f = filter_parse(filter);
  if (copal_span_is_equal(f.name, copal_span_str("href")))
    return is_target_match(link->target, &f);
  copal_link_attr attr;
  for (size_t pos = 0; copal_link_attr_next(link, &pos, &attr);) {
    if (copal_span_is_equal(attr.name, f.name) && is_value_match(attr.value, &f))
      return true;
  }
  return false;
}
