/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing link-format documents, strictly. RFC 6690 section 2. */
#include "copal/link.h"
#include "copal/error.h"
#include "core/wire/text.h"
#include "core/wire/uri_chars.h"

enum { ASCII_END = 0x80, DELETE = 0x7f };

static bool is_in(int c, const char *set)
{
  while (*set != '\0' && *set != c)
    set++;
  return *set != '\0';
}

/* attr-char of RFC 5987 section 3.2.1. */
static bool is_name_char(int c)
{
  return ascii_is_alpha(c) || ascii_is_digit(c) || is_in(c, "!#$&+-.^_`|~");
}

static bool is_token_char(int c)
{
  return is_name_char(c) || is_in(c, "%'()*/:<=>?@[]{}");
}

/* Steps over `c` when it is next. */
static bool skip(copal_rd *r, char c)
{
  if (r->left == 0 || *r->ptr != (uint8_t)c)
    return false;
  (void)copal_rd_u8(r);
  return true;
}

/* Reads the longest run of characters of a kind. */
static copal_span run(copal_rd *r, bool (*is_kind)(int))
{
  size_t n = 0;
  while (n < r->left && is_kind(r->ptr[n]))
    n++;
  return copal_rd_span(r, n);
}

/* Reads a quoted-string behind its first quote, RFC 2616 section 2.2. */
static bool quoted(copal_rd *r, copal_span *value)
{
  size_t n = 0;
  for (; n < r->left && r->ptr[n] != '"'; n++) {
    const bool is_pair = r->ptr[n] == '\\';
    if (is_pair && (++n == r->left || r->ptr[n] >= ASCII_END))
      break;
    if (!is_pair && ((r->ptr[n] < ' ' && r->ptr[n] != '\t') || r->ptr[n] == DELETE))
      break;
  }
  *value = copal_rd_span(r, n < r->left ? n : r->left);
  return skip(r, '"');
}

/* Reads one link-param behind its semicolon. */
static bool param(copal_rd *r, copal_link_attr *attr)
{
  *attr = (copal_link_attr){0};
  const uint8_t *start = r->ptr;
  const size_t name_len = run(r, is_name_char).len;
  const bool has_star = name_len > 0 && skip(r, '*');
  attr->name = copal_span_of(start, name_len + (has_star ? 1 : 0));
  if (name_len == 0)
    return false;
  attr->has_value = skip(r, '=');
  if (!attr->has_value)
    return true;
  attr->is_quoted = skip(r, '"');
  if (attr->is_quoted)
    return quoted(r, &attr->value);
  attr->value = run(r, is_token_char);
  return attr->value.len > 0;
}

/* Reads one link-value. */
static bool link_value(copal_rd *r, copal_link *link)
{
  if (!skip(r, '<'))
    return false;
  link->target = copal_rd_span(r, uri_run(copal_rd_rest(r), URI_ANY));
  if (!skip(r, '>'))
    return false;
  const copal_span rest = copal_rd_rest(r);
  copal_link_attr attr;
  while (skip(r, ';')) {
    if (!param(r, &attr))
      return false;
  }
  link->attrs = copal_span_of(rest.ptr, rest.len - r->left);
  /* A comma announces another link. */
  return r->left == 0 || (skip(r, ',') && r->left > 0);
}

copal_link_iter copal_link_iter_init(copal_span document)
{
  copal_link_iter it;
  it.rd = copal_rd_init(document);
  return it;
}

bool copal_link_next(copal_link_iter *it, copal_link *link)
{
  if (it->rd.err != COPAL_OK || it->rd.left == 0)
    return false;
  copal_rd r = it->rd;
  const bool is_good = link_value(&r, link);
  it->rd = r;
  if (!is_good)
    it->rd.err = COPAL_ELINK;
  return is_good;
}

bool copal_link_attr_next(const copal_link *link, size_t *pos, copal_link_attr *attr)
{
  if (*pos >= link->attrs.len)
    return false;
  copal_rd r = copal_rd_init(copal_span_of(link->attrs.ptr + *pos, link->attrs.len - *pos));
  if (!skip(&r, ';') || !param(&r, attr))
    return false;
  *pos = link->attrs.len - r.left;
  return true;
}

bool copal_link_attr_find(const copal_link *link, copal_span name, copal_link_attr *attr)
{
  size_t pos = 0;
  while (copal_link_attr_next(link, &pos, attr)) {
    if (copal_span_is_equal(attr->name, name))
      return true;
  }
  return false;
}
