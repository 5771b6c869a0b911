/* SPDX-License-Identifier: Apache-2.0 */
/* Who may: the first access rule that fits. RFC 7252 sections 5.9.2.2 and 5.9.2.4. Thread: any. */
#include "policy/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "copal/uri.h"
#include "policy/access_rules.h"

access_rules *access_hold(access_rules *rules)
{
  if (rules == NULL)
    return NULL;
  atomic_fetch_add(&rules->holders, 1);
  return rules;
}

void access_release(access_rules *rules)
{
  if (rules == NULL)
    return;
  if (atomic_fetch_sub(&rules->holders, 1) != 1)
    return;
  free(rules->name);
  free(rules->source.ptr);
  free(rules->text.items);
  free(rules->exacts.items);
  free(rules->buckets);
  free(rules->rules.items);
  free(rules->nodes.items);
  free(rules->literals.items);
  free(rules->places.items);
  free(rules);
}

const char *access_name(const access_rules *rules)
{
  return rules->name;
}

copal_span access_line(const access_rules *rules, unsigned line)
{
  copal_span left = copal_span_of(rules->source.ptr, rules->source.len);
  for (unsigned i = 1; left.len > 0; i++) {
    const uint8_t *end = memchr(left.ptr, '\n', left.len);
    const size_t len = end != NULL ? (size_t)(end - left.ptr) : left.len;
    if (i == line)
      return copal_span_of(left.ptr, len > 0 && left.ptr[len - 1] == '\r' ? len - 1 : len);
    const size_t past = end != NULL ? len + 1 : len;
    left = copal_span_of(left.ptr + past, left.len - past);
  }
  return copal_span_none();
}

size_t access_count(const access_rules *rules)
{
  return rules->rules.count;
}

/* ------------------------------------------------------------------------------------------------
 * who */

bool access_name_fits(copal_span pattern, copal_span name)
{
  size_t p = 0, n = 0, star = SIZE_MAX, retry = 0;
  while (n < name.len) {
    if (p < pattern.len && pattern.ptr[p] == LINES_STAR) {
      star = p++;
      retry = n;
    } else if (p < pattern.len && pattern.ptr[p] == name.ptr[n]) {
      p++;
      n++;
    } else if (star != SIZE_MAX) {
      p = star + 1;
      n = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.len && pattern.ptr[p] == LINES_STAR)
    p++;
  return p == pattern.len;
}

/* The groups that the credentials put somebody in, as far as the rules know them. */
static void join_given_groups(const access_rules *rules, copal_span groups, uint64_t *broad)
{
  copal_span group;
  while (identity_next_group(&groups, &group))
    for (uint32_t i = BROAD_FREE; i < rules->broad_count; i++) {
      const access_broad *b = &rules->broads[i];
      if (b->is_group && copal_span_is_equal(access_text_span(rules, b->text), group))
        access_bits_join(broad, b->implied.words);
    }
}

access_profile access_profile_of(const access_rules *rules, const identity *id, uint8_t over)
{
  access_profile p = {.id = id, .over = over};
  const bool is_anonymous = id->kind == IDENTITY_ANONYMOUS;
  access_bits_join(p.broad, rules->broads[BROAD_ANYONE].implied.words);
  access_bits_join(
      p.broad, rules->broads[is_anonymous ? BROAD_ANONYMOUS : BROAD_AUTHENTICATED].implied.words);
  if (is_anonymous)
    return p;
  p.exact = access_exact_find(rules, id->kind, id->name);
  if (p.exact != 0)
    access_bits_join(p.broad, access_exact_at(rules, p.exact)->groups.words);
  join_given_groups(rules, id->groups, p.broad);
  for (uint32_t i = BROAD_FREE; i < rules->broad_count; i++) {
    const access_broad *b = &rules->broads[i];
    if (!b->is_group && (b->kinds >> id->kind & 1) != 0 &&
        access_name_fits(access_text_span(rules, b->text), id->name))
      access_bits_join(p.broad, b->implied.words);
  }
  return p;
}

static const char *prefix_of(const access_broad *b)
{
  if (b->is_group)
    return "group";
  for (int kind = IDENTITY_PSK; kind <= IDENTITY_OSCORE; kind++)
    if (b->kinds == 1u << kind)
      return identity_kind_name((identity_kind)kind);
  return "any";
}

void access_profile_text(const access_rules *rules, const access_profile *who, char *out,
                         size_t size)
{
  static const char *const words[BROAD_FREE] = {"anyone", "anonymous", "authenticated"};
  size_t len = 0;
  out[0] = '\0';
  for (uint32_t i = 0; i < rules->broad_count && len < size; i++) {
    const access_broad *b = &rules->broads[i];
    if (!access_bits_has(who->broad, i))
      continue;
    char text[LINES_ITEM_MAX + 1] = "";
    const copal_span t = access_text_span(rules, b->text);
    for (size_t k = 0; k < t.len && k < LINES_ITEM_MAX; k++)
      text[k] = t.ptr[k] == LINES_STAR ? '*' : (char)t.ptr[k];
    const char *comma = len == 0 ? "" : ", ";
    const int n = i < BROAD_FREE
                      ? snprintf(out + len, size - len, "%s%s", comma, words[i])
                      : snprintf(out + len, size - len, "%s%s:%s", comma, prefix_of(b), text);
    len += n > 0 ? (size_t)n : 0;
  }
}

/* ------------------------------------------------------------------------------------------------
 * what */

static const struct {
  const char *name;
  unsigned right;
} right_names[] = {
    {"GET", ACCESS_GET},       {"POST", ACCESS_POST},       {"PUT", ACCESS_PUT},
    {"DELETE", ACCESS_DELETE}, {"FETCH", ACCESS_FETCH},     {"PATCH", ACCESS_PATCH},
    {"iPATCH", ACCESS_IPATCH}, {"OBSERVE", ACCESS_OBSERVE},
};

static char lower(char c)
{
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_same_word(const char *a, const char *b)
{
  while (*a != '\0' && lower(*a) == lower(*b)) {
    a++;
    b++;
  }
  return *a == *b;
}

unsigned access_right_named(const char *name)
{
  for (size_t i = 0; i < sizeof right_names / sizeof right_names[0]; i++)
    if (is_same_word(name, right_names[i].name))
      return right_names[i].right;
  return 0;
}

unsigned access_right_of(copal_code method)
{
  switch (method) {
  case COPAL_CODE_GET: return ACCESS_GET;
  case COPAL_CODE_POST: return ACCESS_POST;
  case COPAL_CODE_PUT: return ACCESS_PUT;
  case COPAL_CODE_DELETE: return ACCESS_DELETE;
  case COPAL_CODE_FETCH: return ACCESS_FETCH;
  case COPAL_CODE_PATCH: return ACCESS_PATCH;
  case COPAL_CODE_IPATCH: return ACCESS_IPATCH;
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------
 * the search */

typedef struct search {
  const access_rules *a;
  const access_profile *who;
  unsigned right;
  uint32_t best; /* the smallest rule that fits so far */
} search;

static bool fits(const search *s, const access_rule *r)
{
  return (r->rights & s->right) != 0 && (r->over & s->who->over) != 0;
}

static uint32_t who_at(const search *s, const uint32_t *places, uint32_t i)
{
  return access_rule_at(s->a, places[i])->who;
}

/* Rules with the asker's name lie side by side. */
static void consider_exact(search *s, const uint32_t *places, uint32_t count)
{
  const uint32_t who = ACCESS_BROAD_MAX + s->who->exact;
  uint32_t from = 0, to = count;
  while (from < to) {
    const uint32_t middle = from + (to - from) / 2;
    if (who_at(s, places, middle) < who)
      from = middle + 1;
    else
      to = middle;
  }
  for (; from < count && places[from] < s->best && who_at(s, places, from) == who; from++)
    if (fits(s, access_rule_at(s->a, places[from])))
      s->best = places[from];
}

static void consider(search *s, const access_list *list)
{
  if (list->broad_count == 0 && list->exact_count == 0)
    return; /* there may be no places at all */
  const uint32_t *places = (const uint32_t *)s->a->places.items + list->at;
  for (uint32_t i = 0; i < list->broad_count && places[i] < s->best; i++) {
    const access_rule *r = access_rule_at(s->a, places[i]);
    if (access_bits_has(s->who->broad, r->who) && fits(s, r))
      s->best = places[i];
  }
  if (s->who->exact != 0 && list->exact_count > 0)
    consider_exact(s, places + list->broad_count, list->exact_count);
}

/* Takes the first segment off a key; what is left begins with the next slash, or is empty. */
static copal_span take_segment(copal_span *key)
{
  const uint8_t *from = key->ptr + 1;
  const uint8_t *end = memchr(from, '/', key->len - 1);
  const size_t len = end != NULL ? (size_t)(end - from) : key->len - 1;
  *key = copal_span_of(from + len, key->len - 1 - len);
  return copal_span_of(from, len);
}

static int compare(copal_span x, copal_span y)
{
  const size_t len = x.len < y.len ? x.len : y.len;
  const int order = len > 0 ? memcmp(x.ptr, y.ptr, len) : 0;
  return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

/* The place of the first child whose segment is not in front of this one. */
static uint32_t lower_bound(const access_rules *a, const access_node *n, copal_span segment)
{
  uint32_t from = n->literals, to = n->literals + n->literal_count;
  while (from < to) {
    const uint32_t middle = from + (to - from) / 2;
    if (compare(access_text_span(a, access_literal_at(a, middle)->segment), segment) < 0)
      from = middle + 1;
    else
      to = middle;
  }
  return from;
}

/* The child for that very segment, or 0: the root is nobody's child. */
static uint32_t literal_child(const access_rules *a, const access_node *n, copal_span segment)
{
  const uint32_t at = lower_bound(a, n, segment);
  if (at == n->literals + n->literal_count)
    return 0;
  const access_literal *l = access_literal_at(a, at);
  return copal_span_is_equal(access_text_span(a, l->segment), segment) ? l->node : 0;
}

static unsigned digit(uint8_t c)
{
  return c <= '9' ? (unsigned)c - '0' : ((unsigned)c | 0x20) - 'a' + 10;
}

/* True when a segment, percent-encoded as in canonical paths, is the asker's name. */
static bool is_identity(const search *s, copal_span segment)
{
  const copal_span name = s->who->id->name;
  size_t at = 0;
  for (size_t i = 0; i < name.len; i++) {
    if (at == segment.len)
      return false;
    unsigned c = segment.ptr[at++];
    if (c == '%' && segment.len - at >= 2) {
      c = digit(segment.ptr[at]) << 4 | digit(segment.ptr[at + 1]);
      at += 2;
    }
    if (c != name.ptr[i])
      return false;
  }
  return at == segment.len && name.len > 0;
}

static void visit(search *s, const access_node *n, copal_span rest)
{
  if (n->first >= s->best)
    return;
  consider(s, &n->below);
  if (rest.len == 0) {
    consider(s, &n->here);
    return;
  }
  const copal_span segment = take_segment(&rest);
  const uint32_t literal = literal_child(s->a, n, segment);
  if (literal != 0)
    visit(s, access_node_at(s->a, literal), rest);
  if (n->identity != 0 && is_identity(s, segment))
    visit(s, access_node_at(s->a, n->identity), rest);
  if (n->star != 0)
    visit(s, access_node_at(s->a, n->star), rest);
}

/* What a key has behind the root: the root itself has no segment. */
static copal_span below_root(copal_span key)
{
  return key.len <= 1 ? copal_span_none() : key;
}

static access_verdict verdict_of(const search *s)
{
  if (s->best == RULE_NONE)
    return (access_verdict){s->a->allows_by_default, s->a->default_line};
  const access_rule *r = access_rule_at(s->a, s->best);
  return (access_verdict){r->is_allowed, r->line};
}

access_verdict access_judge(const access_rules *rules, const access_profile *who, unsigned right,
                            copal_span key)
{
  search s = {.a = rules, .who = who, .right = right, .best = RULE_NONE};
  visit(&s, access_node_at(rules, 0), below_root(key));
  return verdict_of(&s);
}

/* ------------------------------------------------------------------------------------------------
 * stretches */

enum { NAME_ENCODED_MAX = 3 * IDENTITY_NAME_MAX };

/* A search that also learns how far its verdict holds. */
typedef struct stretch {
  search search; /* first */
  copal_span key;
  copal_span name; /* the asker's, percent-encoded */
  copal_wr *until;
} stretch;

/* The verdict may change at `prefix` `segment` `end` (a character, or 0). Nothing in `until` is the
 * end of all keys. */
static void may_change_at(stretch *s, copal_span prefix, copal_span segment, uint8_t end)
{
  const size_t len = prefix.len + segment.len + (end != 0);
  uint8_t text[ACCESS_UNTIL_MAX];
  if (len > sizeof text)
    return; /* no key is that long */
  copal_wr w = copal_wr_init((copal_mspan){text, sizeof text});
  copal_wr_span(&w, prefix);
  copal_wr_span(&w, segment);
  if (end != 0)
    copal_wr_u8(&w, end);
  const copal_span bound = copal_wr_done(&w);
  if (compare(bound, s->key) <= 0)
    return;
  if (s->until->len > 0 && compare(bound, copal_wr_done(s->until)) >= 0)
    return;
  s->until->len = 0;
  copal_wr_span(s->until, bound);
}

/* At the child itself, and where what is below it begins. */
static void may_change_at_child(stretch *s, copal_span parent, copal_span segment)
{
  may_change_at(s, parent, segment, 0);
  may_change_at(s, parent, segment, '/');
}

/* The key is in the child: the verdict holds for it alone, or for all that is below it. */
static void stay_in_child(stretch *s, copal_span parent, copal_span segment, bool is_below)
{
  if (is_below) {
    may_change_at(s, parent, segment, '/' + 1);
  } else {
    uint8_t next[ACCESS_UNTIL_MAX];
    copal_wr w = copal_wr_init((copal_mspan){next, sizeof next});
    copal_wr_span(&w, parent);
    copal_wr_span(&w, segment);
    copal_wr_u8(&w, 0);
    if (w.err == COPAL_OK &&
        (s->until->len == 0 || compare(copal_wr_done(&w), copal_wr_done(s->until)) < 0)) {
      s->until->len = 0;
      copal_wr_span(s->until, copal_wr_done(&w));
    }
  }
}

/* The children with given segments that may come next. One whose segment is the beginning of this
 * one may have what is below it behind this key: "/a-b" stands between "/a" and "/a/". */
static void stop_at_literals(stretch *s, const access_node *n, copal_span parent,
                             copal_span segment)
{
  const access_rules *a = s->search.a;
  const uint32_t end = n->literals + n->literal_count;
  const copal_span tail = copal_span_of(segment.ptr, s->key.len - parent.len);
  const uint32_t at = lower_bound(a, n, tail);
  for (uint32_t i = at; i < end && i < at + 2; i++)
    may_change_at_child(s, parent, access_text_span(a, access_literal_at(a, i)->segment));
  for (size_t len = 0; len < segment.len; len++)
    if (segment.ptr[len] < '/' && literal_child(a, n, copal_span_of(segment.ptr, len)) != 0)
      may_change_at_child(s, parent, copal_span_of(segment.ptr, len));
}

static void visit_stretch(stretch *s, const access_node *n, copal_span rest);

/* Goes down into a child that the key is in, or below. */
static void enter(stretch *s, uint32_t child, copal_span parent, copal_span segment,
                  copal_span rest)
{
  const access_node *n = access_node_at(s->search.a, child);
  if (n->first >= s->search.best)
    return;
  stay_in_child(s, parent, segment, rest.len > 0);
  visit_stretch(s, n, rest);
}

static void visit_stretch(stretch *s, const access_node *n, copal_span rest)
{
  consider(&s->search, &n->below);
  if (rest.len == 0) {
    consider(&s->search, &n->here);
    return;
  }
  /* "/a" and the slash behind it */
  const copal_span parent = copal_span_of(s->key.ptr, (size_t)(rest.ptr - s->key.ptr) + 1);
  const copal_span segment = take_segment(&rest);
  const uint32_t literal = literal_child(s->search.a, n, segment);
  if (literal != 0)
    enter(s, literal, parent, segment, rest);
  stop_at_literals(s, n, parent, segment);
  if (n->identity != 0 && is_identity(&s->search, segment))
    enter(s, n->identity, parent, segment, rest);
  else if (n->identity != 0 && s->name.len > 0)
    may_change_at_child(s, parent, s->name);
  if (n->star != 0)
    enter(s, n->star, parent, segment, rest);
}

access_verdict access_stretch(const access_rules *rules, const access_profile *who, unsigned right,
                              copal_span key, copal_wr *until)
{
  uint8_t encoded[NAME_ENCODED_MAX];
  copal_wr w = copal_wr_init((copal_mspan){encoded, sizeof encoded});
  copal_uri_put_segment(&w, who->id->name);
  stretch s = {.search = {.a = rules, .who = who, .right = right, .best = RULE_NONE},
               .key = key,
               .name = copal_wr_done(&w),
               .until = until};
  until->len = 0;
  if (key.len <= 1)
    copal_wr_span(until, copal_span_of("/\0", 2)); /* the root stands alone */
  visit_stretch(&s, access_node_at(rules, 0), below_root(key));
  return verdict_of(&s.search);
}
