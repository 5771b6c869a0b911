/* SPDX-License-Identifier: Apache-2.0 */
/* Characters and hosts of URIs. RFC 3986 sections 2 and 3.2.2, RFC 6874 section 2. */
#include "core/wire/uri_chars.h"

#include <string.h>

#include "core/wire/text.h"

#define EACH     (UINT64_MAX / UINT8_MAX) /* one in each byte */
#define TOP_BITS (EACH * ASCII_END)

enum {
  ASCII_END = 0x80,
  TRIPLET_SIZE = 3, /* "%41" */
  IPV4_PARTS = 4,
  IPV4_PART_MAX = 255,
  IPV6_GROUPS = 8,
  IPV6_GROUP_DIGITS = 4,
};

/* Classes of ASCII, by character. */
#define U URI_UNRESERVED
#define D URI_SUB_DELIM
#define A URI_AMPERSAND
#define C URI_COLON_AT
#define S URI_SLASH
#define Q URI_QUESTION
#define G URI_GEN_REST
static const uint8_t CLASSES[ASCII_END] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* controls */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* controls */
    0, D, 0, G, D, 0, A, D, D, D, D, D, D, U, U, S, /*  !"#$%&'()*+,-./ */
    U, U, U, U, U, U, U, U, U, U, C, D, 0, D, 0, Q, /* 0123456789:;<=>? */
    C, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, /* @ABCDEFGHIJKLMNO */
    U, U, U, U, U, U, U, U, U, U, U, G, 0, G, 0, U, /* PQRSTUVWXYZ[\]^_ */
    0, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, /* `abcdefghijklmno */
    U, U, U, U, U, U, U, U, U, U, U, 0, 0, 0, U, 0, /* pqrstuvwxyz{|}~ */
};
#undef U
#undef D
#undef A
#undef C
#undef S
#undef Q
#undef G

unsigned uri_class(uint8_t c)
{
  return c < ASCII_END ? CLASSES[c] : 0;
}

/* The top bit of each byte of `word` that is not below `low`; bytes are ASCII. */
static uint64_t not_below(uint64_t word, char low)
{
  return word + EACH * (uint64_t)(ASCII_END - low);
}

/* True when eight bytes are letters, digits, "-" or ".", which are unreserved: most of what paths
 * are made of. The order of bytes does not matter. */
static bool is_plain(uint64_t word)
{
  const uint64_t lower = word | EACH * ('a' - 'A'); /* of a letter; nothing else becomes one */
  const uint64_t letter = not_below(lower, 'a') & ~not_below(lower, 'z' + 1);
  const uint64_t digit =
      not_below(word, '-') & ~not_below(word, '9' + 1) & not_below(word ^ EACH * '/', 1);
  return ((letter | digit) & ~word & TOP_BITS) == TOP_BITS;
}

size_t uri_stretch(copal_span s, unsigned classes)
{
  size_t at = 0;
  for (uint64_t word; (classes & URI_UNRESERVED) != 0 && s.len - at >= sizeof word;
       at += sizeof word) {
    memcpy(&word, s.ptr + at, sizeof word);
    if (!is_plain(word))
      break;
  }
  while (at < s.len && (uri_class(s.ptr[at]) & classes) != 0)
    at++;
  return at;
}

static bool is_triplet_at(copal_span s, size_t at)
{
  return s.len - at >= TRIPLET_SIZE && s.ptr[at] == '%' && ascii_hex(s.ptr[at + 1]) >= 0 &&
         ascii_hex(s.ptr[at + 2]) >= 0;
}

size_t uri_run(copal_span s, unsigned classes)
{
  size_t at = uri_stretch(s, classes);
  while (is_triplet_at(s, at)) {
    at += TRIPLET_SIZE;
    at += uri_stretch(copal_span_of(s.ptr + at, s.len - at), classes);
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
