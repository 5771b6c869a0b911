/* SPDX-License-Identifier: Apache-2.0 */
/* The ordered list: nodes grow in small steps up to their limit and go when they are empty, so that
 * few bytes are unused whatever the order of insertions. */
#include "store/keylist.h"

#include <stdlib.h>
#include <string.h>

enum {
  LEAF_MAX = 64, /* entries of a node; both are even */
  INNER_MAX = 32,
  FIRST_CAP = 2,
  STEP = 8, /* entries by which a node grows */
};

/* Shared head of leaves and inner nodes. */
typedef struct keylist_node {
  uint16_t count, cap;
  uint32_t height; /* 0: a leaf */
} node;

typedef struct leaf {
  node head; /* first */
  void *items[];
} leaf;

/* A node below another. */
typedef struct branch {
  node *child;
  const void *least; /* the first object below */
  uint64_t sum;      /* of the weights below */
} branch;

typedef struct inner {
  node head; /* first */
  branch branches[];
} inner;

static leaf *leaf_of(node *n)
{
  return (leaf *)n;
}

static inner *inner_of(node *n)
{
  return (inner *)n;
}

static uint64_t weight_of(const keylist *l, const void *item)
{
  return l->kind->weight != NULL ? l->kind->weight(item) : 0;
}

static bool is_before(const keylist *l, const void *item, copal_span key, keytree_edge edge)
{
  const copal_span own = l->kind->key(item);
  if (edge == KEYTREE_PAST && copal_span_has_prefix(own, key))
    return true;
  const int order = keytree_compare(own, key);
  return edge == KEYTREE_BEFORE ? order < 0 : order <= 0;
}

/* Number of objects of a leaf in front of the edge. */
static uint32_t leaf_search(const keylist *l, const leaf *f, copal_span key, keytree_edge edge)
{
  uint32_t low = 0;
  uint32_t high = f->head.count;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (is_before(l, f->items[middle], key, edge))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* The branch in which the edge lies: the last that begins in front of it, or the first. */
static uint32_t inner_search(const keylist *l, const inner *in, copal_span key, keytree_edge edge)
{
  uint32_t low = 1;
  uint32_t high = in->head.count;
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    if (is_before(l, in->branches[middle].least, key, edge))
      low = middle + 1;
    else
      high = middle;
  }
  return low - 1;
}

/* ------------------------------------------------------------------------------------------------
 * nodes */

static size_t node_size(uint32_t height, uint32_t cap)
{
  return sizeof(node) + cap * (height == 0 ? sizeof(void *) : sizeof(branch));
}

static bool is_full(const node *n)
{
  return n->count == (n->height == 0 ? LEAF_MAX : INNER_MAX);
}

static node *node_make(uint32_t height, uint32_t cap)
{
  node *n = malloc(node_size(height, cap));
  if (n != NULL)
    *n = (node){.cap = (uint16_t)cap, .height = height};
  return n;
}

/* Gives the node room for `cap` entries; it may move. Returns false without memory. */
static bool node_resize(node **at, uint32_t cap)
{
  node *n = realloc(*at, node_size((*at)->height, cap));
  if (n == NULL)
    return false;
  n->cap = (uint16_t)cap;
  *at = n;
  return true;
}

/* Room for one more entry in a node that is not full. */
static bool node_grow(node **at)
{
  const node *n = *at;
  if (n->count < n->cap)
    return true;
  return node_resize(at, n->cap < STEP ? STEP : n->cap + STEP);
}

/* Gives room back that will hardly be needed; without memory for less it stays. */
static void node_shrink(node **at)
{
  const node *n = *at;
  if (n->cap - n->count >= 2 * STEP)
    (void)node_resize(at, n->cap - STEP);
}

static const void *least_of(node *n)
{
  return n->height == 0 ? leaf_of(n)->items[0] : inner_of(n)->branches[0].least;
}

static uint64_t sum_of(const keylist *l, node *n)
{
  uint64_t sum = 0;
  for (uint32_t i = 0; i < n->count; i++)
    sum += n->height == 0 ? weight_of(l, leaf_of(n)->items[i]) : inner_of(n)->branches[i].sum;
  return sum;
}

/* Moves the entries from `first` on into a node of their own. NULL without memory. */
static node *node_split(node *n, uint32_t first)
{
  const uint32_t moved = n->count - first;
  node *right = node_make(n->height, (moved + STEP - 1) / STEP * STEP);
  if (right == NULL)
    return NULL;
  if (n->height == 0)
    memcpy(leaf_of(right)->items, leaf_of(n)->items + first, moved * sizeof(void *));
  else
    memcpy(inner_of(right)->branches, inner_of(n)->branches + first, moved * sizeof(branch));
  right->count = (uint16_t)moved;
  n->count = (uint16_t)first;
  return right;
}

static void inner_open(inner *in, uint32_t at)
{
  memmove(in->branches + at + 1, in->branches + at, (in->head.count - at) * sizeof(branch));
  in->head.count++;
}

static void inner_close(inner *in, uint32_t at)
{
  in->head.count--;
  memmove(in->branches + at, in->branches + at + 1, (in->head.count - at) * sizeof(branch));
}

/* ------------------------------------------------------------------------------------------------
 * inserting */

/* An object on its way to its place. */
typedef struct placing {
  void *item;
  copal_span key;
  bool is_last; /* its key is behind all others: nothing is compared */
  void *there;  /* the object that has the key already, when that ended it */
} placing;

static bool lies_before(const keylist *l, const void *item, const placing *p)
{
  return p->is_last || is_before(l, item, p->key, KEYTREE_BEHIND);
}

/* Where to split a full node: behind the last entry but one when the end is what grows, so that
 * what comes in order leaves full nodes behind. */
static uint32_t split_at(const keylist *l, const node *n, const void *least, const placing *p)
{
  return lies_before(l, least, p) ? n->count - 1u : n->count / 2u;
}

/* Splits a full child of a node that is not. Returns false without memory. */
static bool split_child(keylist *l, node **at, uint32_t i, const placing *p)
{
  if (!node_grow(at))
    return false;
  inner *in = inner_of(*at);
  node *child = in->branches[i].child;
  const void *last = child->height == 0 ? leaf_of(child)->items[child->count - 1]
                                        : inner_of(child)->branches[child->count - 1].least;
  node *right = node_split(child, split_at(l, child, last, p));
  if (right == NULL)
    return false;
  (void)node_resize(&in->branches[i].child, (child->count + STEP - 1u) / STEP * STEP);
  inner_open(in, i + 1);
  const uint64_t moved = sum_of(l, right);
  in->branches[i].sum -= moved;
  in->branches[i + 1] = (branch){.child = right, .least = least_of(right), .sum = moved};
  return true;
}

/* Puts a new root above the present one. */
static bool raise_root(keylist *l)
{
  node *root = node_make(l->root->height + 1, STEP);
  if (root == NULL)
    return false;
  root->count = 1;
  inner_of(root)->branches[0] =
      (branch){.child = l->root, .least = least_of(l->root), .sum = l->sum};
  l->root = root;
  return true;
}

static bool insert_into_leaf(const keylist *l, node **at, placing *p)
{
  leaf *f = leaf_of(*at);
  const uint32_t i = p->is_last ? f->head.count : leaf_search(l, f, p->key, KEYTREE_BEFORE);
  if (i < f->head.count && keytree_compare(l->kind->key(f->items[i]), p->key) == 0) {
    p->there = f->items[i];
    return false;
  }
  if (!node_grow(at))
    return false;
  f = leaf_of(*at);
  memmove(f->items + i + 1, f->items + i, (f->head.count - i) * sizeof(void *));
  f->items[i] = p->item;
  f->head.count++;
  return true;
}

/* Inserts below a node that is not full. Returns false without memory, or when the key is there. */
static bool insert_below(keylist *l, node **at, placing *p)
{
  if ((*at)->height == 0)
    return insert_into_leaf(l, at, p);
  uint32_t i =
      p->is_last ? (*at)->count - 1u : inner_search(l, inner_of(*at), p->key, KEYTREE_BEHIND);
  if (is_full(inner_of(*at)->branches[i].child)) {
    if (!split_child(l, at, i, p))
      return false;
    i += lies_before(l, inner_of(*at)->branches[i + 1].least, p);
  }
  branch *b = &inner_of(*at)->branches[i];
  if (!insert_below(l, &b->child, p))
    return false;
  b->least = least_of(b->child);
  b->sum += weight_of(l, p->item);
  return true;
}

keylist keylist_init(const keylist_kind *kind)
{
  return (keylist){.kind = kind};
}

static bool place(keylist *l, placing *p)
{
  if (l->root == NULL)
    l->root = node_make(0, FIRST_CAP);
  if (l->root == NULL || (is_full(l->root) && !raise_root(l)))
    return false;
  if (!insert_below(l, &l->root, p)) {
    if (l->count == 0) {
      free(l->root);
      l->root = NULL;
    }
    return false;
  }
  l->sum += weight_of(l, p->item);
  l->count++;
  return true;
}

bool keylist_insert(keylist *l, void *item)
{
  placing p = {.item = item, .key = l->kind->key(item)};
  return place(l, &p);
}

void *keylist_insert_or_find(keylist *l, void *item)
{
  placing p = {.item = item, .key = l->kind->key(item)};
  return place(l, &p) ? item : p.there;
}

bool keylist_append(keylist *l, void *item)
{
  placing p = {.item = item, .is_last = true};
  return place(l, &p);
}

/* ------------------------------------------------------------------------------------------------
 * removing */

/* Removes below a node, which goes when it is empty. Returns the object or NULL. */
static void *remove_below(keylist *l, node **at, copal_span key)
{
  void *item;
  if ((*at)->height == 0) {
    leaf *f = leaf_of(*at);
    const uint32_t i = leaf_search(l, f, key, KEYTREE_BEFORE);
    if (i == f->head.count || keytree_compare(l->kind->key(f->items[i]), key) != 0)
      return NULL;
    item = f->items[i];
    f->head.count--;
    memmove(f->items + i, f->items + i + 1, (f->head.count - i) * sizeof(void *));
  } else {
    inner *in = inner_of(*at);
    const uint32_t i = inner_search(l, in, key, KEYTREE_BEHIND);
    branch *b = &in->branches[i];
    item = remove_below(l, &b->child, key);
    if (item == NULL)
      return NULL;
    if (b->child == NULL) {
      inner_close(in, i);
    } else {
      b->sum -= weight_of(l, item);
      b->least = least_of(b->child);
    }
  }
  if ((*at)->count > 0) {
    node_shrink(at);
    return item;
  }
  free(*at);
  *at = NULL;
  return item;
}

void *keylist_remove(keylist *l, copal_span key)
{
  void *item = l->root != NULL ? remove_below(l, &l->root, key) : NULL;
  if (item == NULL)
    return NULL;
  l->sum -= weight_of(l, item);
  l->count--;
  while (l->root != NULL && l->root->height > 0 && l->root->count == 1) {
    node *root = l->root;
    l->root = inner_of(root)->branches[0].child;
    free(root);
  }
  return item;
}

/* ------------------------------------------------------------------------------------------------
 * looking */

void *keylist_find(const keylist *l, copal_span key)
{
  node *n = l->root;
  if (n == NULL)
    return NULL;
  while (n->height > 0)
    n = inner_of(n)->branches[inner_search(l, inner_of(n), key, KEYTREE_BEHIND)].child;
  leaf *f = leaf_of(n);
  const uint32_t i = leaf_search(l, f, key, KEYTREE_BEFORE);
  const bool is_there = i < n->count && keytree_compare(l->kind->key(f->items[i]), key) == 0;
  return is_there ? f->items[i] : NULL;
}

void keylist_reweigh(keylist *l, const void *item, uint64_t before)
{
  const copal_span key = l->kind->key(item);
  const uint64_t more = weight_of(l, item) - before; /* sums wrap as it does */
  l->sum += more;
  for (node *n = l->root; n->height > 0;) {
    branch *b = &inner_of(n)->branches[inner_search(l, inner_of(n), key, KEYTREE_BEHIND)];
    b->sum += more;
    n = b->child;
  }
}

void *keylist_first(const keylist *l, copal_span key, keytree_edge edge)
{
  const void *next = NULL; /* the first object behind the node */
  node *n = l->root;
  if (n == NULL)
    return NULL;
  while (n->height > 0) {
    inner *in = inner_of(n);
    const uint32_t i = inner_search(l, in, key, edge);
    if (i + 1u < n->count)
      next = in->branches[i + 1].least;
    n = in->branches[i].child;
  }
  const uint32_t i = leaf_search(l, leaf_of(n), key, edge);
  return i < n->count ? leaf_of(n)->items[i] : (void *)(uintptr_t)next;
}

uint64_t keylist_sum_before(const keylist *l, copal_span key, keytree_edge edge)
{
  uint64_t sum = 0;
  node *n = l->root;
  if (n == NULL)
    return 0;
  while (n->height > 0) {
    const inner *in = inner_of(n);
    const uint32_t at = inner_search(l, in, key, edge);
    for (uint32_t i = 0; i < at; i++)
      sum += in->branches[i].sum;
    n = in->branches[at].child;
  }
  const uint32_t at = leaf_search(l, leaf_of(n), key, edge);
  for (uint32_t i = 0; i < at; i++)
    sum += weight_of(l, leaf_of(n)->items[i]);
  return sum;
}

/* One walk: the stretch wanted and who wants it. */
typedef struct walk {
  const keylist *l;
  uint64_t from, to;
  keylist_visit *visit;
  void *ctx;
} walk;

static bool walk_leaf(const walk *w, leaf *f, uint64_t at)
{
  for (uint32_t i = 0; i < f->head.count && at < w->to; i++) {
    const uint64_t weight = weight_of(w->l, f->items[i]);
    if (at + weight > w->from && !w->visit(w->ctx, f->items[i], at))
      return false;
    at += weight;
  }
  return true;
}

static bool walk_below(const walk *w, node *n, uint64_t at)
{
  if (n->height == 0)
    return walk_leaf(w, leaf_of(n), at);
  const inner *in = inner_of(n);
  for (uint32_t i = 0; i < n->count && at < w->to; i++) {
    const branch *b = &in->branches[i];
    if (at + b->sum > w->from && !walk_below(w, b->child, at))
      return false;
    at += b->sum;
  }
  return true;
}

void keylist_walk(const keylist *l, uint64_t from, uint64_t to, keylist_visit *visit, void *ctx)
{
  const walk w = {.l = l, .from = from, .to = to, .visit = visit, .ctx = ctx};
  if (l->root != NULL)
    walk_below(&w, l->root, 0);
}

static void clear_below(node *n, void (*drop)(void *ctx, void *item), void *ctx)
{
  for (uint32_t i = 0; i < n->count; i++) {
    if (n->height > 0)
      clear_below(inner_of(n)->branches[i].child, drop, ctx);
    else
      drop(ctx, leaf_of(n)->items[i]);
  }
  free(n);
}

void keylist_clear(keylist *l, void (*drop)(void *ctx, void *item), void *ctx)
{
  if (l->root != NULL)
    clear_below(l->root, drop, ctx);
  *l = keylist_init(l->kind);
}
