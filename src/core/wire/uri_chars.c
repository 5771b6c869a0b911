/* SPDX-License-Identifier: Apache-2.0 */
/* Characters and hosts of URIs. RFC 3986 sections 2 and 3.2.2, RFC 6874 section 2. */
#include "core/wire/uri_chars.h"
#include "core/wire/text.h"

enum {
  TRIPLET_SIZE = 3, /* "%41" */
  IPV4_PARTS = 4,
  IPV4_PART_MAX = 255,
  IPV6_GROUPS = 8,
  IPV6_GROUP_DIGITS = 4,
};

unsigned uri_class(uint8_t c)
{
  if (ascii_is_alpha(c) || ascii_is_digit(c))
    return URI_UNRESERVED;
  switch (c) {
  case '-':
  case '.':
  case '_':
  case '~': return URI_UNRESERVED;
  case '!':
  case '$':
  case '\'':
  case '(':
  case ')':
  case '*':
  case '+':
  case ',':
  case ';':
  case '=': return URI_SUB_DELIM;
  case '&': return URI_AMPERSAND;
  case ':':
  case '@': return URI_COLON_AT;
  case '/': return URI_SLASH;
  case '?': return URI_QUESTION;
  case '[':
  case ']':
  case '#': return URI_GEN_REST;
  default: return 0;
  }
}

size_t uri_run(copal_span s, unsigned classes)
{
  size_t at = 0;
  while (at < s.len) {
    if ((uri_class(s.ptr[at]) & classes) != 0)
      at++;
    else if (s.ptr[at] == '%' && s.len - at >= TRIPLET_SIZE && ascii_hex(s.ptr[at + 1]) >= 0 &&
             ascii_hex(s.ptr[at + 2]) >= 0)
      at += TRIPLET_SIZE;
    else
      break;
  }
  return at;
}

/* Steps over a dec-octet: 0 to 255 without leading zeros. False when there is none. */
static bool octet_skip(copal_span s, size_t *at)
{
  const size_t start = *at;
  unsigned v = 0;
  while (*at < s.len && ascii_is_digit(s.ptr[*at]) && v <= IPV4_PART_MAX) {
    v = v * 10 + (unsigned)(s.ptr[*at] - '0');
    ++*at;
  }
  const bool has_leading_zero = *at - start > 1 && s.ptr[start] == '0';
  return *at > start && v <= IPV4_PART_MAX && !has_leading_zero;
}

bool uri_is_ipv4(copal_span s)
{
  size_t at = 0;
  for (int part = 0; part < IPV4_PARTS; part++) {
    if (part > 0 && (at >= s.len || s.ptr[at++] != '.'))
      return false;
    if (!octet_skip(s, &at))
      return false;
  }
  return at == s.len;
}

/* Hexadecimal digits at `at`, at most four. */
static size_t group_digits(copal_span s, size_t at)
{
  size_t n = 0;
  while (n < IPV6_GROUP_DIGITS && at + n < s.len && ascii_hex(s.ptr[at + n]) >= 0)
    n++;
  return n;
}

static bool is_double_colon(copal_span s, size_t at)
{
  return s.len - at >= 2 && s.ptr[at] == ':' && s.ptr[at + 1] == ':';
}

/* An IPv6address without zone: groups, one of which may be "::", the last two perhaps as IPv4. */
static bool is_ipv6_groups(copal_span s)
{
  size_t at = 0;
  int groups = 0;
  bool has_gap = is_double_colon(s, 0);
  if (has_gap)
    at = 2;
  while (at < s.len) {
    const size_t n = group_digits(s, at);
    if (at + n < s.len && s.ptr[at + n] == '.') {
      groups += 2;
      if (!uri_is_ipv4(copal_span_of(s.ptr + at, s.len - at)))
        return false;
      break;
    }
    if (n == 0 || ++groups > IPV6_GROUPS)
      return false;
    at += n;
    if (at == s.len)
      break;
    if (is_double_colon(s, at) && !has_gap) {
      has_gap = true;
      at += 2;
    } else if (s.ptr[at] != ':' || ++at == s.len) {
      return false;
    }
  }
  return has_gap ? groups < IPV6_GROUPS : groups == IPV6_GROUPS;
}

bool uri_is_ipv6(copal_span s)
{
  const uint8_t *percent = span_find(s, '%');
  if (percent == NULL)
    return is_ipv6_groups(s);
  const size_t len = (size_t)(percent - s.ptr);
  const copal_span zone = copal_span_of(percent, s.len - len);
  if (!copal_span_has_prefix(zone, copal_span_str("%25")) || zone.len == TRIPLET_SIZE)
    return false;
  return uri_run(zone, URI_UNRESERVED) == zone.len && is_ipv6_groups(copal_span_of(s.ptr, len));
}
