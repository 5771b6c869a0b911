/* SPDX-License-Identifier: Apache-2.0 */
/* The ordered tree. */
#include "store/keytree.h"

#include <assert.h>
#include <string.h>

int keytree_compare(copal_span a, copal_span b)
{
  const size_t len = a.len < b.len ? a.len : b.len;
  const int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
  if (order != 0 || a.len == b.len)
    return order;
  return a.len < b.len ? -1 : 1;
}

/* True when the node lies in front of the edge. */
static bool is_before(const keytree_node *n, copal_span key, keytree_edge edge)
{
  const copal_span own = keytree_key(n);
  if (edge == KEYTREE_PAST && copal_span_has_prefix(own, key))
    return true;
  const int order = keytree_compare(own, key);
  return edge == KEYTREE_BEFORE ? order < 0 : order <= 0;
}

/* xorshift64*: priorities need to be unguessable in bulk, not secret. */
static uint32_t draw(keytree *t)
{
  uint64_t x = t->random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  t->random = x;
  return (uint32_t)((x * 0x2545f4914f6cdd1dull) >> 32);
}

static void split(keytree_node *n, copal_span key, keytree_node **low, keytree_node **high)
{
  if (n == NULL) {
    *low = *high = NULL;
    return;
  }
  if (is_before(n, key, KEYTREE_BEFORE)) {
    *low = n;
    split(n->child[1], key, &n->child[1], high);
  } else {
    *high = n;
    split(n->child[0], key, low, &n->child[0]);
  }
}

static keytree_node *merge(keytree_node *low, keytree_node *high)
{
  if (low == NULL || high == NULL)
    return low != NULL ? low : high;
  if (low->priority >= high->priority) {
    low->child[1] = merge(low->child[1], high);
    return low;
  }
  high->child[0] = merge(low, high->child[0]);
  return high;
}

keytree keytree_init(uint64_t seed)
{
  return (keytree){.random = seed != 0 ? seed : 1}; /* xorshift never leaves zero */
}

void keytree_insert(keytree *t, keytree_node *n, copal_span key)
{
  assert(key.len <= UINT32_MAX);
  *n = (keytree_node){.key = key.ptr, .key_len = (uint32_t)key.len, .priority = draw(t)};
  keytree_node **at = &t->root;
  while (*at != NULL && (*at)->priority >= n->priority)
    at = &(*at)->child[is_before(*at, key, KEYTREE_BEFORE)];
  split(*at, key, &n->child[0], &n->child[1]);
  *at = n;
  t->count++;
}

keytree_node *keytree_remove(keytree *t, copal_span key)
{
  keytree_node *n = keytree_find(t, key);
  if (n == NULL)
    return NULL;
  keytree_node **at = &t->root;
  while (*at != n)
    at = &(*at)->child[is_before(*at, key, KEYTREE_BEFORE)];
  *at = merge(n->child[0], n->child[1]);
  n->child[0] = n->child[1] = NULL;
  t->count--;
  return n;
}

keytree_node *keytree_find(const keytree *t, copal_span key)
{
  keytree_node *n = t->root;
  while (n != NULL) {
    const int order = keytree_compare(keytree_key(n), key);
    if (order == 0)
      return n;
    n = n->child[order < 0];
  }
  return NULL;
}

keytree_node *keytree_first(const keytree *t, copal_span key, keytree_edge edge)
{
  keytree_node *best = NULL;
  keytree_node *n = t->root;
  while (n != NULL) {
    const bool before = is_before(n, key, edge);
    if (!before)
      best = n;
    n = n->child[before];
  }
  return best;
}

void keytree_clear(keytree *t, void (*drop)(void *ctx, keytree_node *n), void *ctx)
{
  keytree_node *n = t->root;
  while (n != NULL) { /* rotates what is left of the root into a list: no recursion, no stack */
    keytree_node *left = n->child[0];
    if (left != NULL) {
      n->child[0] = left->child[1];
      left->child[1] = n;
      n = left;
      continue;
    }
    keytree_node *next = n->child[1];
    drop(ctx, n);
    n = next;
  }
  t->root = NULL;
  t->count = 0;
}
