/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the tree in which access rules are looked up: the rules sorted by path, and each run with
 * the same beginning a node. Thread: any; nobody else has the set yet. */
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "policy/access_rules.h"

enum { TABLE_FIRST = 16, TEXT_FIRST = 256 };

/* ------------------------------------------------------------------------------------------------
 * tables */

static bool grow(access_table *t, size_t size, uint32_t count)
{
  if (count <= t->cap)
    return true;
  uint32_t cap = t->cap == 0 ? TABLE_FIRST : t->cap;
  while (cap < count)
    cap *= 2;
  void *items = realloc(t->items, cap * size);
  if (items == NULL)
    return false;
  t->items = items;
  t->cap = cap;
  return true;
}

void *access_table_add(access_table *t, size_t size)
{
  if (!grow(t, size, t->count + 1))
    return NULL;
  void *item = (uint8_t *)t->items + size * t->count++;
  memset(item, 0, size);
  return item;
}

int access_text_add(access_rules *a, copal_span bytes, access_text *where)
{
  if (bytes.len > UINT32_MAX / 4 - a->text.count ||
      !grow(&a->text, 1, a->text.count + (uint32_t)bytes.len + 1))
    return COPAL_ENOSPC;
  *where = (access_text){a->text.count, (uint32_t)bytes.len};
  if (bytes.len > 0)
    memcpy((uint8_t *)a->text.items + where->at, bytes.ptr, bytes.len);
  a->text.count += where->len;
  return COPAL_OK;
}

/* ------------------------------------------------------------------------------------------------
 * names */

static uint32_t hash_of(identity_kind kind, copal_span name)
{
  uint32_t h = 0x811c9dc5 ^ (uint32_t)kind;
  for (size_t i = 0; i < name.len; i++)
    h = (h ^ name.ptr[i]) * 0x01000193; /* FNV-1a; the names are the operator's */
  return h ^ h >> 15;
}

uint32_t access_exact_find(const access_rules *a, identity_kind kind, copal_span name)
{
  if (a->buckets == NULL)
    return 0;
  uint32_t at = a->buckets[hash_of(kind, name) & a->bucket_mask];
  for (; at != 0; at = access_exact_at(a, at)->next) {
    const access_exact *e = access_exact_at(a, at);
    if (e->kind == kind && copal_span_is_equal(access_text_span(a, e->name), name))
      return at;
  }
  return 0;
}

static void file_exact(access_rules *a, uint32_t number)
{
  access_exact *e = access_exact_at(a, number);
  uint32_t *bucket = &a->buckets[hash_of(e->kind, access_text_span(a, e->name)) & a->bucket_mask];
  e->next = *bucket;
  *bucket = number;
}

/* As many buckets as there is room for names. */
static bool fit_buckets(access_rules *a)
{
  if (a->buckets != NULL && a->exacts.cap <= a->bucket_mask + 1)
    return true;
  uint32_t *buckets = calloc(a->exacts.cap, sizeof *buckets);
  if (buckets == NULL)
    return false;
  free(a->buckets);
  a->buckets = buckets;
  a->bucket_mask = a->exacts.cap - 1; /* which is a power of two */
  for (uint32_t i = 1; i < a->exacts.count; i++)
    file_exact(a, i);
  return true;
}

uint32_t access_exact_add(access_rules *a, identity_kind kind, copal_span name)
{
  access_text text;
  const uint32_t known = access_exact_find(a, kind, name);
  if (known != 0)
    return known;
  access_exact *e = access_table_add(&a->exacts, sizeof *e);
  if (e == NULL || access_text_add(a, name, &text) < 0)
    return 0;
  *e = (access_exact){.kind = kind, .name = text};
  if (!fit_buckets(a))
    return 0;
  file_exact(a, a->exacts.count);
  return a->exacts.count;
}

/* ------------------------------------------------------------------------------------------------
 * the tree */

/* Rules under construction of the tree, sorted by path. */
typedef struct building {
  access_rules *a;
  uint32_t *order;
  int err;
} building;

/* A run of rules in that order. */
typedef struct run {
  uint32_t from, to;
} run;

static copal_span path_at(const building *b, uint32_t i)
{
  return access_text_span(b->a, access_rule_at(b->a, b->order[i])->path);
}

static int compare_spans(copal_span x, copal_span y)
{
  const size_t len = x.len < y.len ? x.len : y.len;
  const int order = len > 0 ? memcmp(x.ptr, y.ptr, len) : 0;
  return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

/* qsort() takes no context; what is sorted carries it. */
typedef struct sorted {
  copal_span path;
  uint32_t rule;
} sorted;

static int compare_sorted(const void *x, const void *y)
{
  const sorted *a = x, *b = y;
  const int order = compare_spans(a->path, b->path);
  return order != 0 ? order : (a->rule > b->rule) - (a->rule < b->rule);
}

static bool sort_rules(building *b)
{
  const uint32_t count = b->a->rules.count;
  sorted *all = calloc((size_t)count + 1, sizeof *all);
  b->order = calloc((size_t)count + 1, sizeof *b->order);
  if (all != NULL && b->order != NULL) {
    for (uint32_t i = 0; i < count; i++)
      all[i] = (sorted){access_text_span(b->a, access_rule_at(b->a, i)->path), i};
    qsort(all, count, sizeof *all, compare_sorted);
    for (uint32_t i = 0; i < count; i++)
      b->order[i] = all[i].rule;
  }
  const bool is_done = all != NULL && b->order != NULL;
  free(all);
  return is_done;
}

typedef struct placed {
  uint32_t who;
  uint32_t rule;
} placed;

static int compare_placed(const void *x, const void *y)
{
  const placed *a = x, *b = y;
  const bool a_is_exact = a->who >= ACCESS_BROAD_MAX, b_is_exact = b->who >= ACCESS_BROAD_MAX;
  if (a_is_exact != b_is_exact)
    return a_is_exact ? 1 : -1;
  if (a_is_exact && a->who != b->who)
    return a->who > b->who ? 1 : -1;
  return (a->rule > b->rule) - (a->rule < b->rule);
}

/* Makes the list of a run of rules that have the same path. */
static access_list place(building *b, run r)
{
  access_list list = {.at = b->a->places.count};
  const uint32_t count = r.to - r.from;
  placed *all = calloc((size_t)count + 1, sizeof *all);
  if (all == NULL) {
    b->err = COPAL_ENOSPC;
    return list;
  }
  for (uint32_t i = 0; i < count; i++)
    all[i] = (placed){access_rule_at(b->a, b->order[r.from + i])->who, b->order[r.from + i]};
  qsort(all, count, sizeof *all, compare_placed);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t *to = access_table_add(&b->a->places, sizeof *to);
    if (to == NULL) {
      b->err = COPAL_ENOSPC;
      break;
    }
    *to = all[i].rule;
    if (all[i].who < ACCESS_BROAD_MAX)
      list.broad_count++;
    else
      list.exact_count++;
  }
  free(all);
  return list;
}

/* The segment behind `at`, where a separator stands. */
static copal_span segment_at(copal_span path, size_t at)
{
  const size_t from = at + 1;
  const uint8_t *end = memchr(path.ptr + from, MARK_SEPARATOR, path.len - from);
  return copal_span_of(path.ptr + from,
                       end != NULL ? (size_t)(end - path.ptr) - from : path.len - from);
}

static bool is_mark(copal_span segment, uint8_t mark)
{
  return segment.len == 1 && segment.ptr[0] == mark;
}

static bool is_literal(copal_span segment)
{
  return !is_mark(segment, MARK_STAR) && !is_mark(segment, MARK_IDENTITY) &&
         !is_mark(segment, MARK_REST);
}

/* The rules from `from` on whose next segment is the same. */
static run run_at(const building *b, uint32_t from, uint32_t to, size_t depth)
{
  const copal_span segment = segment_at(path_at(b, from), depth);
  run r = {from, from + 1};
  while (r.to < to && copal_span_is_equal(segment_at(path_at(b, r.to), depth), segment))
    r.to++;
  return r;
}

static uint32_t smallest_rule(const building *b, run r)
{
  uint32_t first = RULE_NONE;
  for (uint32_t i = r.from; i < r.to; i++)
    first = b->order[i] < first ? b->order[i] : first;
  return first;
}

/* Reserves places for the children with given segments, which must lie side by side. */
static void reserve_literals(building *b, uint32_t node, run r, size_t depth)
{
  const uint32_t at = b->a->literals.count;
  uint32_t count = 0;
  for (run child = {r.from, r.from}; child.from < r.to && b->err == COPAL_OK;
       child.from = child.to) {
    child = run_at(b, child.from, r.to, depth);
    const copal_span segment = segment_at(path_at(b, child.from), depth);
    if (!is_literal(segment))
      continue;
    access_literal *l = access_table_add(&b->a->literals, sizeof *l);
    if (l == NULL) {
      b->err = COPAL_ENOSPC;
      return;
    }
    l->segment = (access_text){(uint32_t)(segment.ptr - (const uint8_t *)b->a->text.items),
                               (uint32_t)segment.len};
    count++;
  }
  access_node_at(b->a, node)->literals = at;
  access_node_at(b->a, node)->literal_count = count;
}

static uint32_t make_node(building *b, run r, size_t depth);

/* A child of `node`; tables may move while it is made. */
static void make_child(building *b, uint32_t node, run r, size_t depth, uint32_t *literal)
{
  const copal_span segment = segment_at(path_at(b, r.from), depth);
  const size_t deeper = depth + 1 + segment.len;
  if (is_mark(segment, MARK_REST)) {
    const access_list below = place(b, r);
    access_node_at(b->a, node)->below = below;
    return;
  }
  const uint32_t child = make_node(b, r, deeper);
  if (is_mark(segment, MARK_STAR))
    access_node_at(b->a, node)->star = child;
  else if (is_mark(segment, MARK_IDENTITY))
    access_node_at(b->a, node)->identity = child;
  else
    ((access_literal *)b->a->literals.items)[(*literal)++].node = child;
}

/* The node of a run of rules whose paths are the same up to `depth`. Recursion ends at
 * ACCESS_DEPTH_MAX segments. */
static uint32_t make_node(building *b, run r, size_t depth)
{
  const uint32_t node = b->a->nodes.count;
  access_node *fresh = access_table_add(&b->a->nodes, sizeof *fresh);
  if (fresh == NULL || b->err != COPAL_OK) {
    b->err = COPAL_ENOSPC;
    return 0;
  }
  fresh->first = smallest_rule(b, r);
  run here = {r.from, r.from};
  while (here.to < r.to && path_at(b, here.to).len == depth)
    here.to++;
  const access_list list = place(b, here);
  access_node_at(b->a, node)->here = list;
  reserve_literals(b, node, (run){here.to, r.to}, depth);
  uint32_t literal = access_node_at(b->a, node)->literals;
  for (run child = {here.to, here.to}; child.from < r.to && b->err == COPAL_OK;
       child.from = child.to) {
    child = run_at(b, child.from, r.to, depth);
    make_child(b, node, child, depth, &literal);
  }
  return node;
}

int access_build(access_rules *a)
{
  building b = {.a = a};
  if (!sort_rules(&b))
    b.err = COPAL_ENOSPC;
  else
    (void)make_node(&b, (run){0, a->rules.count}, 0);
  free(b.order);
  return b.err;
}
