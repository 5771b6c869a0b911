/* SPDX-License-Identifier: Apache-2.0 */
/* Link attributes and lifetimes from requests. RFC 6690 section 2, RFC 9176 section 5. */
#include "service/attrs.h"

#include <string.h>

#include "copal/error.h"
#include "copal/link.h"
#include "copal/option.h"
#include "copal/registry.h"

enum {
  ROOM_PER_ARGUMENT = 4, /* ';', '=' and two quotes */
  NAME_MAX_SHOWN = 32,   /* bytes of a name that an error repeats */
};

/* What the server knows itself, and what a link cannot carry (RFC 6690 section 2). */
static const char *const reserved_names[] = {"ct", "sz", "obs", "href", "anchor"};

static bool name_is_reserved(copal_span name)
{
  for (size_t i = 0; i < sizeof reserved_names / sizeof reserved_names[0]; i++)
    if (copal_span_is_equal(name, copal_span_str(reserved_names[i])))
      return true;
  return false;
}

/* [a-z][a-z0-9.-]* */
static bool name_is_plain(copal_span name)
{
  for (size_t i = 0; i < name.len; i++) {
    const uint8_t c = name.ptr[i];
    const bool is_letter = c >= 'a' && c <= 'z';
    const bool is_more = (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (!is_letter && (i == 0 || !is_more))
      return false;
  }
  return name.len > 0;
}

/* Bytes of the UTF-8 character at the head of `s` that has no control code, or 0. RFC 3629
 * section 4. */
static size_t text_char(copal_span s)
{
  const uint8_t c = s.ptr[0];
  if (c < 0x80)
    return c >= 0x20 && c != 0x7f ? 1 : 0;
  const size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
  if (c < 0xc2 || c > 0xf4 || s.len < len)
    return 0;
  for (size_t i = 1; i < len; i++)
    if ((s.ptr[i] & 0xc0) != 0x80)
      return 0;
  const uint8_t next = s.ptr[1]; /* overlong forms, surrogates, beyond U+10FFFF, C1 controls */
  if ((c == 0xe0 && next < 0xa0) || (c == 0xed && next > 0x9f) || (c == 0xf0 && next < 0x90) ||
      (c == 0xf4 && next > 0x8f) || (c == 0xc2 && next < 0xa0))
    return 0;
  return len;
}

static bool is_text(copal_span s)
{
  while (s.len > 0) {
    const size_t len = text_char(s);
    if (len == 0)
      return false;
    s = copal_span_of(s.ptr + len, s.len - len);
  }
  return true;
}

static int shown_len(copal_span name)
{
  return (int)(name.len < NAME_MAX_SHOWN ? name.len : NAME_MAX_SHOWN);
}

/* Splits "name=value"; without "=" the name is a flag. */
static copal_link_attr split_argument(copal_span argument)
{
  const uint8_t *sign = argument.len > 0 ? memchr(argument.ptr, '=', argument.len) : NULL;
  if (sign == NULL)
    return (copal_link_attr){.name = argument};
  const size_t at = (size_t)(sign - argument.ptr);
  return (copal_link_attr){.name = copal_span_of(argument.ptr, at),
                           .value = copal_span_of(sign + 1, argument.len - at - 1),
                           .has_value = true};
}

static bool next_argument(copal_opt_iter *it, copal_span *argument)
{
  for (copal_opt opt; copal_opt_next(it, &opt);)
    if (opt.number == COPAL_OPT_URI_QUERY) {
      *argument = opt.value;
      return true;
    }
  return false;
}

/* Decimal digits of a number below 2^32. */
static bool read_seconds(copal_span digits, uint32_t *seconds)
{
  uint64_t value = 0;
  for (size_t i = 0; i < digits.len; i++) {
    if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
      return false;
    value = value * 10 + (uint64_t)(digits.ptr[i] - '0');
    if (value > UINT32_MAX)
      return false;
  }
  *seconds = (uint32_t)value;
  return digits.len > 0;
}

static bool is_lifetime(const copal_link_attr *attr)
{
  return copal_span_is_equal(attr->name, copal_span_str(ATTRS_LIFETIME));
}

bool attrs_read_lifetime(copal_span options, attrs_lifetime *lt, problem *why)
{
  copal_opt_iter it = copal_opt_iter_init(options);
  *lt = (attrs_lifetime){.is_given = false};
  for (copal_span argument; next_argument(&it, &argument);) {
    const copal_link_attr attr = split_argument(argument);
    if (!is_lifetime(&attr))
      continue;
    if (lt->is_given) {
      problem_set(why, COPAL_CODE_BAD_REQUEST, "The lifetime, lt, is given twice");
      return false;
    }
    if (!read_seconds(attr.value, &lt->seconds)) {
      problem_set(why, COPAL_CODE_BAD_REQUEST,
                  "lt takes the resource's lifetime in seconds, 1 to 4294967295; lt=0 for none");
      return false;
    }
    lt->is_given = true;
  }
  return true;
}

size_t attrs_room(copal_span options)
{
  size_t room = 0;
  copal_opt_iter it = copal_opt_iter_init(options);
  for (copal_span argument; next_argument(&it, &argument);)
    room += 2 * argument.len + ROOM_PER_ARGUMENT; /* every byte of a value may need a backslash */
  return room;
}

bool attrs_is_document(copal_span options)
{
  copal_opt_iter it = copal_opt_iter_init(options);
  for (copal_span argument; next_argument(&it, &argument);)
    if (copal_span_is_equal(argument, copal_span_str(ATTRS_QUERY)))
      return true;
  return false;
}

/* Checks one attribute against the rules, and against those in front of it. */
static bool attr_is_settable(const copal_link_attr *attr, const copal_link *before, problem *why)
{
  const int shown = shown_len(attr->name);
  const char *name = (const char *)attr->name.ptr;
  copal_link_attr same;
  if (name_is_reserved(attr->name))
    problem_set(why, COPAL_CODE_BAD_REQUEST,
                "Attribute '%.*s' cannot be set: the server keeps ct, sz and obs itself; href and "
                "anchor are no attributes of a resource",
                shown, name);
  else if (attr->has_value && !is_text(attr->value))
    problem_set(why, COPAL_CODE_BAD_REQUEST, "Attribute '%.*s': value is not printable UTF-8",
                shown, name);
  else if (copal_link_attr_find(before, attr->name, &same))
    problem_set(why, COPAL_CODE_BAD_REQUEST,
                "Attribute '%.*s' is given twice; separate several values by spaces", shown, name);
  else
    return true;
  return false;
}

static bool fits(size_t len, uint32_t max, problem *why)
{
  if (len <= max)
    return true;
  problem_set(why, COPAL_CODE_BAD_REQUEST, "Link attributes too long: at most %u bytes",
              (unsigned)max);
  return false;
}

bool attrs_from_query(copal_wr *w, copal_span options, uint32_t max, problem *why)
{
  copal_link_wr l = copal_link_wr_init(w);
  copal_opt_iter it = copal_opt_iter_init(options);
  for (copal_span argument; next_argument(&it, &argument);) {
    if (argument.len == 0)
      continue; /* "coap://host/a?" has one empty argument */
    const copal_link_attr attr = split_argument(argument);
    if (is_lifetime(&attr))
      continue;
    if (!name_is_plain(attr.name)) {
      problem_set(why, COPAL_CODE_BAD_REQUEST,
                  "Query arguments of PUT and POST set link attributes: name=value with a name of "
                  "a-z, 0-9, '.' and '-'");
      return false;
    }
    const copal_link before = {.attrs = copal_wr_done(w)};
    if (!attr_is_settable(&attr, &before, why))
      return false;
    if (attr.has_value)
      copal_link_put_text(&l, attr.name, attr.value);
    else
      copal_link_put_flag(&l, attr.name);
  }
  return fits(copal_wr_done(w).len, max, why);
}

/* Checks all attributes of a link. */
static bool link_is_settable(const copal_link *link, problem *why)
{
  size_t pos = 0;
  copal_link_attr attr;
  for (size_t start = 0; copal_link_attr_next(link, &pos, &attr); start = pos) {
    const copal_link before = {.attrs = copal_span_of(link->attrs.ptr, start)};
    if (!attr_is_settable(&attr, &before, why))
      return false;
  }
  return true;
}

bool attrs_from_document(copal_span document, copal_span key, uint32_t max, copal_span *attrs,
                         problem *why)
{
  copal_link_iter it = copal_link_iter_init(document);
  copal_link link;
  copal_link more;
  if (!copal_link_next(&it, &link) || copal_link_next(&it, &more) || it.rd.err != COPAL_OK) {
    problem_set(why, COPAL_CODE_BAD_REQUEST,
                "The body must be a link-format document of exactly one link, <>;rt=\"x\"");
    return false;
  }
  if (link.target.len > 0 && !copal_span_is_equal(link.target, key)) {
    problem_set(why, COPAL_CODE_BAD_REQUEST,
                "The link must point to the resource itself: <> or its path");
    return false;
  }
  if (!fits(link.attrs.len, max, why) || !link_is_settable(&link, why))
    return false;
  *attrs = link.attrs;
  return true;
}
