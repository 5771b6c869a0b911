/* SPDX-License-Identifier: Apache-2.0 */
/* Reads access rules; the language is described in docs/access.md. Thread: any. */
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/uri.h"
#include "policy/access_rules.h"

enum {
  WHO_MAX = 256,     /* terms in one line */
  SEGMENT_MAX = 255, /* bytes of a Uri-Path option, RFC 7252 section 5.10 */
};

#define WHO_HINT                                                                                   \
  "anyone, anonymous, authenticated, group:NAME, or psk:, rpk:, x509:, oscore: or any: and a name"
#define RIGHT_HINT "GET, POST, PUT, DELETE, FETCH, PATCH, iPATCH, OBSERVE, READ, WRITE or *"

/* What is being read. */
typedef struct reading {
  access_rules *a;
  lines l;
  uint32_t who[WHO_MAX]; /* the terms of the present line */
  size_t who_count;
} reading;

static void out_of_memory(reading *r)
{
  lines_wrong(&r->l, "out of memory");
}

/* ------------------------------------------------------------------------------------------------
 * who */

static uint32_t find_broad(const access_rules *a, bool is_group, uint8_t kinds, copal_span text)
{
  for (uint32_t i = BROAD_FREE; i < a->broad_count; i++) {
    const access_broad *b = &a->broads[i];
    if (b->is_group == is_group && b->kinds == kinds &&
        copal_span_is_equal(access_text_span(a, b->text), text))
      return i;
  }
  return ACCESS_BROAD_MAX;
}

/* The bit of a group or pattern, made when it is new; ACCESS_BROAD_MAX after a mistake. */
static uint32_t take_broad(reading *r, bool is_group, uint8_t kinds, copal_span text)
{
  access_rules *a = r->a;
  const uint32_t known = find_broad(a, is_group, kinds, text);
  if (known < ACCESS_BROAD_MAX)
    return known;
  if (a->broad_count == ACCESS_BROAD_MAX) {
    lines_wrong(&r->l, "more than %d groups and name patterns", ACCESS_BROAD_MAX - BROAD_FREE);
    return ACCESS_BROAD_MAX;
  }
  access_broad *b = &a->broads[a->broad_count];
  *b = (access_broad){.is_group = is_group, .kinds = kinds};
  if (access_text_add(a, text, &b->text) < 0) {
    out_of_memory(r);
    return ACCESS_BROAD_MAX;
  }
  access_bits_set(b->implied.words, a->broad_count);
  return a->broad_count++;
}

static bool add_who(reading *r, uint32_t who)
{
  if (r->who_count == WHO_MAX) {
    lines_wrong(&r->l, "more than %d identities in a line; make a group of them", WHO_MAX);
    return false;
  }
  r->who[r->who_count++] = who;
  return true;
}

static bool add_group_term(reading *r, copal_span name)
{
  const uint32_t bit = find_broad(r->a, true, 0, name);
  if (bit == ACCESS_BROAD_MAX)
    lines_wrong(&r->l, "there is no group \"%.*s\" so far; define it above: group %.*s = ...",
                (int)name.len, (const char *)name.ptr, (int)name.len, (const char *)name.ptr);
  return bit < ACCESS_BROAD_MAX && add_who(r, bit);
}

static bool name_has_star(copal_span name)
{
  return name.len > 0 && memchr(name.ptr, LINES_STAR, name.len) != NULL;
}

static bool is_name(copal_span name)
{
  uint8_t plain[IDENTITY_NAME_MAX];
  if (name.len > sizeof plain)
    return false;
  for (size_t i = 0; i < name.len; i++)
    plain[i] = name.ptr[i] == LINES_STAR ? '*' : name.ptr[i];
  return identity_name_is_valid(copal_span_of(plain, name.len));
}

/* A name, or a pattern of names, of one kind or of any. */
static bool add_name_term(reading *r, uint8_t kinds, identity_kind kind, copal_span name)
{
  if (!is_name(name)) {
    lines_wrong(&r->l, "a name has 1 to %d bytes of UTF-8 without control characters",
                IDENTITY_NAME_MAX);
    return false;
  }
  if (kinds == KINDS_ANY || name_has_star(name)) {
    const uint32_t bit = take_broad(r, false, kinds, name);
    return bit < ACCESS_BROAD_MAX && add_who(r, bit);
  }
  const uint32_t number = access_exact_add(r->a, kind, name);
  if (number == 0)
    out_of_memory(r);
  return number != 0 && add_who(r, ACCESS_BROAD_MAX + number);
}

static bool add_named_term(reading *r, copal_span kind, copal_span name)
{
  static const identity_kind kinds[] = {IDENTITY_PSK, IDENTITY_RPK, IDENTITY_X509, IDENTITY_OSCORE};
  if (copal_span_is_equal(kind, copal_span_str("group")))
    return add_group_term(r, name);
  if (copal_span_is_equal(kind, copal_span_str("any")))
    return add_name_term(r, KINDS_ANY, IDENTITY_ANONYMOUS, name);
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (copal_span_is_equal(kind, copal_span_str(identity_kind_name(kinds[i]))))
      return add_name_term(r, (uint8_t)(1u << kinds[i]), kinds[i], name);
  lines_wrong(&r->l, "\"%.*s:\" is no kind of identity; expected is " WHO_HINT, (int)kind.len,
              (const char *)kind.ptr);
  return false;
}

static bool add_term(reading *r)
{
  const copal_span item = copal_span_of(r->l.item, r->l.len);
  const uint8_t *colon = memchr(r->l.item, ':', r->l.len);
  if (colon != NULL) {
    const size_t len = (size_t)(colon - item.ptr);
    return add_named_term(r, copal_span_of(item.ptr, len),
                          copal_span_of(colon + 1, item.len - len - 1));
  }
  if (strcmp(r->l.item, "anyone") == 0 || (item.len == 1 && item.ptr[0] == LINES_STAR))
    return add_who(r, BROAD_ANYONE);
  if (strcmp(r->l.item, "anonymous") == 0)
    return add_who(r, BROAD_ANONYMOUS);
  if (strcmp(r->l.item, "authenticated") == 0)
    return add_who(r, BROAD_AUTHENTICATED);
  lines_wrong(&r->l, "\"%s\" is nobody; expected is " WHO_HINT, r->l.item);
  return false;
}

/* Terms with commas between them. */
static bool read_who(reading *r)
{
  r->who_count = 0;
  do {
    if (!lines_item(&r->l, ",") || r->l.len == 0) {
      lines_wrong(&r->l, "who is missing; expected is " WHO_HINT);
      return false;
    }
    if (!add_term(r))
      return false;
  } while (lines_skip(&r->l, ','));
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * groups */

/* Those who are in the group's member are in the group, and in all that the group is in. */
static void join_group(access_rules *a, uint32_t member, uint32_t group)
{
  const uint64_t *implied = a->broads[group].implied.words;
  if (member >= ACCESS_BROAD_MAX) {
    access_bits_join(access_exact_at(a, member - ACCESS_BROAD_MAX)->groups.words, implied);
    return;
  }
  for (uint32_t i = 0; i < a->broad_count; i++)
    if (access_bits_has(a->broads[i].implied.words, member))
      access_bits_join(a->broads[i].implied.words, implied);
  for (uint32_t i = 1; i <= a->exacts.count; i++)
    if (access_bits_has(access_exact_at(a, i)->groups.words, member))
      access_bits_join(access_exact_at(a, i)->groups.words, implied);
}

/* group NAME = WHO, WHO ...; or group NAME, whose members the credentials tell. */
static void read_group(reading *r)
{
  if (!lines_item(&r->l, "=") || !identity_group_is_valid(copal_span_of(r->l.item, r->l.len))) {
    lines_wrong(&r->l, "a group's name has letters, digits, \"-\", \"_\" and \".\"");
    return;
  }
  const uint32_t group = take_broad(r, true, 0, copal_span_of(r->l.item, r->l.len));
  if (group == ACCESS_BROAD_MAX)
    return;
  if (lines_is_over(&r->l))
    return;
  if (!lines_skip(&r->l, '=')) {
    lines_wrong(&r->l, "\"=\" is expected behind the group's name");
    return;
  }
  if (!read_who(r))
    return;
  for (size_t i = 0; i < r->who_count; i++)
    join_group(r->a, r->who[i], group);
}

/* ------------------------------------------------------------------------------------------------
 * rules */

static unsigned rights_named(const lines *l)
{
  if (l->len == 1 && l->item[0] == LINES_STAR)
    return ACCESS_ALL;
  if (strcmp(l->item, "READ") == 0 || strcmp(l->item, "read") == 0)
    return ACCESS_READ;
  if (strcmp(l->item, "WRITE") == 0 || strcmp(l->item, "write") == 0)
    return ACCESS_WRITE;
  return access_right_named(l->item);
}

static bool read_rights(reading *r, uint8_t *rights)
{
  *rights = 0;
  do {
    const bool has_item = lines_item(&r->l, ",") && r->l.len > 0;
    const unsigned named = has_item ? rights_named(&r->l) : 0;
    if (!has_item)
      lines_wrong(&r->l, "methods are missing; expected is " RIGHT_HINT);
    else if (named == 0)
      lines_wrong(&r->l, "\"%s\" is no method; expected is " RIGHT_HINT, r->l.item);
    if (named == 0)
      return false;
    *rights |= (uint8_t)named;
  } while (lines_skip(&r->l, ','));
  return true;
}

static bool has_star(copal_span segment)
{
  return segment.len > 0 && memchr(segment.ptr, LINES_STAR, segment.len) != NULL;
}

/* Writes a segment as itself, percent-encoded as canonical paths are. */
static bool put_literal(reading *r, copal_span segment, copal_wr *out)
{
  uint8_t decoded[LINES_ITEM_MAX];
  copal_wr w = copal_wr_init((copal_mspan){decoded, sizeof decoded});
  if (has_star(segment)) {
    lines_wrong(&r->l, "\"*\" stands for a whole segment and \"**\" for the rest of a path; a star "
                       "that is meant itself is written \\*");
    return false;
  }
  if (copal_uri_decode(segment, &w) < 0) {
    lines_wrong(&r->l, "\"%%\" is followed by two hexadecimal digits");
    return false;
  }
  const copal_span plain = copal_wr_done(&w);
  const bool is_dots = plain.len > 0 && plain.len <= 2 && memcmp(plain.ptr, "..", plain.len) == 0;
  if (is_dots || plain.len > SEGMENT_MAX) {
    lines_wrong(&r->l, is_dots ? "no path has a segment \".\" or \"..\""
                               : "no segment is longer than 255 bytes");
    return false;
  }
  copal_uri_put_segment(out, plain);
  return true;
}

static bool put_segment(reading *r, copal_span segment, bool is_last, copal_wr *out)
{
  static const uint8_t rest[] = {LINES_STAR, LINES_STAR};
  copal_wr_u8(out, MARK_SEPARATOR);
  if (copal_span_is_equal(segment, copal_span_of(rest, 2))) {
    if (!is_last)
      lines_wrong(&r->l, "\"**\" stands at the end of a path");
    copal_wr_u8(out, MARK_REST);
    return is_last;
  }
  if (copal_span_is_equal(segment, copal_span_of(rest, 1)))
    copal_wr_u8(out, MARK_STAR);
  else if (copal_span_is_equal(segment, copal_span_str("{identity}")))
    copal_wr_u8(out, MARK_IDENTITY);
  else if (memchr(segment.ptr, '{', segment.len) != NULL) {
    lines_wrong(&r->l, "\"{identity}\" stands for a whole segment, and there is no other {...}");
    return false;
  } else
    return put_literal(r, segment, out);
  return true;
}

/* Writes the normalised form of the path in `item`. */
static bool put_path(reading *r, copal_wr *out)
{
  copal_span left = copal_span_of(r->l.item, r->l.len);
  if (left.len == 0 || left.ptr[0] != '/') {
    lines_wrong(&r->l, "\"%s\" is no path; a path begins with \"/\"", r->l.item);
    return false;
  }
  if (left.len == 1)
    return true;
  for (int depth = 0; left.len > 0; depth++) {
    const uint8_t *end = memchr(left.ptr + 1, '/', left.len - 1);
    const size_t len = end != NULL ? (size_t)(end - left.ptr) : left.len;
    if (depth == ACCESS_DEPTH_MAX) {
      lines_wrong(&r->l, "a path has at most %d segments", ACCESS_DEPTH_MAX);
      return false;
    }
    if (!put_segment(r, copal_span_of(left.ptr + 1, len - 1), len == left.len, out))
      return false;
    left = copal_span_of(left.ptr + len, left.len - len);
  }
  return true;
}

/* Adds a rule for each of those who are named. */
static bool add_rules(reading *r, const access_rule *like, copal_span path)
{
  access_rule fresh = *like;
  if (access_text_add(r->a, path, &fresh.path) < 0) {
    out_of_memory(r);
    return false;
  }
  for (size_t i = 0; i < r->who_count; i++) {
    if (r->a->rules.count == ACCESS_RULE_MAX) {
      lines_wrong(&r->l, "more than %d rules", ACCESS_RULE_MAX);
      return false;
    }
    access_rule *rule = access_table_add(&r->a->rules, sizeof *rule);
    if (rule == NULL) {
      out_of_memory(r);
      return false;
    }
    fresh.who = r->who[i];
    *rule = fresh;
  }
  return true;
}

/* over any | secure | oscore */
static bool read_over(reading *r, uint8_t *over)
{
  if (!lines_item(&r->l, ""))
    lines_wrong(&r->l, "any, secure or oscore is expected behind \"over\"");
  else if (strcmp(r->l.item, "any") == 0)
    *over = ACCESS_PLAIN | ACCESS_SESSION | ACCESS_OSCORE;
  else if (strcmp(r->l.item, "secure") == 0)
    *over = ACCESS_SESSION | ACCESS_OSCORE;
  else if (strcmp(r->l.item, "oscore") == 0)
    *over = ACCESS_OSCORE;
  else
    lines_wrong(&r->l, "\"over %s\": expected is any, secure or oscore", r->l.item);
  if (!r->l.is_bad && !lines_is_over(&r->l))
    lines_wrong(&r->l, "nothing is expected behind \"over\" and its word");
  return !r->l.is_bad;
}

/* allow WHO METHODS PATH... [over HOW] */
static void read_rule(reading *r, bool is_allowed)
{
  uint8_t text[3 * LINES_ITEM_MAX + 2 * ACCESS_DEPTH_MAX];
  const uint32_t first = r->a->rules.count;
  access_rule like = {.line = r->l.number,
                      .over = ACCESS_PLAIN | ACCESS_SESSION | ACCESS_OSCORE,
                      .is_allowed = is_allowed};
  if (!read_who(r) || !read_rights(r, &like.rights))
    return;
  bool has_path = false;
  while (lines_item(&r->l, "")) {
    if (has_path && strcmp(r->l.item, "over") == 0) {
      if (!read_over(r, &like.over))
        return;
      break;
    }
    copal_wr path = copal_wr_init((copal_mspan){text, sizeof text});
    if (!put_path(r, &path) || !add_rules(r, &like, copal_wr_done(&path)))
      return;
    has_path = true;
  }
  if (!has_path)
    lines_wrong(&r->l, "a path is missing, such as /devices/{identity}/**");
  for (uint32_t i = first; i < r->a->rules.count; i++)
    ((access_rule *)r->a->rules.items)[i].over = like.over;
}

/* default allow | default deny */
static void read_default(reading *r)
{
  if (!lines_item(&r->l, ""))
    r->l.item[0] = '\0';
  r->a->allows_by_default = strcmp(r->l.item, "allow") == 0;
  if (!r->a->allows_by_default && strcmp(r->l.item, "deny") != 0)
    lines_wrong(&r->l, "expected is default allow or default deny");
  else if (!lines_is_over(&r->l))
    lines_wrong(&r->l, "nothing is expected behind \"default %s\"", r->l.item);
  r->a->default_line = r->l.number;
}

static void read_line(reading *r)
{
  if (r->a->default_line != 0)
    lines_wrong(&r->l, "nothing stands behind the default, which is the last line");
  else if (!lines_item(&r->l, ""))
    return;
  else if (strcmp(r->l.item, "allow") == 0)
    read_rule(r, true);
  else if (strcmp(r->l.item, "deny") == 0)
    read_rule(r, false);
  else if (strcmp(r->l.item, "group") == 0)
    read_group(r);
  else if (strcmp(r->l.item, "default") == 0)
    read_default(r);
  else
    lines_wrong(&r->l, "a line begins with allow, deny, group or default, not with \"%s\"",
                r->l.item);
}

/* ------------------------------------------------------------------------------------------------
 * sets */

static access_rules *make(copal_mspan source, const char *name)
{
  access_rules *a = calloc(1, sizeof *a);
  if (a == NULL) {
    free(source.ptr);
    return NULL;
  }
  a->holders = 1;
  a->source = source;
  a->name = strdup(name);
  a->broad_count = BROAD_FREE;
  for (uint32_t i = 0; i < BROAD_FREE; i++)
    access_bits_set(a->broads[i].implied.words, i);
  if (a->name == NULL) {
    access_release(a);
    return NULL;
  }
  return a;
}

/* The text is given. */
static int parse(copal_mspan source, const char *name, access_rules **rules, mistakes *m)
{
  const size_t before = m->count;
  *rules = NULL;
  access_rules *a = make(source, name);
  if (a == NULL) {
    mistakes_add(m, name, 0, "out of memory");
    return COPAL_EINVAL;
  }
  reading r = {.a = a,
               .l = {.file = name, .left = copal_span_of(source.ptr, source.len), .mistakes = m}};
  while (lines_next(&r.l))
    read_line(&r);
  if (m->count == before && a->default_line == 0)
    mistakes_add(m, name, r.l.number + 1,
                 "the last line says what holds when no rule fits: default deny, or default allow");
  if (m->count == before && access_build(a) < 0)
    mistakes_add(m, name, 0, "out of memory");
  if (m->count > before) {
    access_release(a);
    return COPAL_EINVAL;
  }
  *rules = a;
  return COPAL_OK;
}

int access_parse(copal_span text, const char *name, access_rules **rules, mistakes *m)
{
  uint8_t *copy = malloc(text.len + 1);
  if (copy == NULL) {
    mistakes_add(m, name, 0, "out of memory");
    return COPAL_EINVAL;
  }
  if (text.len > 0)
    memcpy(copy, text.ptr, text.len);
  return parse((copal_mspan){copy, text.len}, name, rules, m);
}

int access_load(const char *path, access_rules **rules, mistakes *m)
{
  copal_mspan text;
  *rules = NULL;
  const int rc = lines_load(path, LINES_OPEN, &text, m);
  return rc < 0 ? rc : parse(text, path, rules, m);
}
