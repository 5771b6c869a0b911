/* SPDX-License-Identifier: Apache-2.0 */
/* An ordered tree of byte-string keys: look-up and order in O(depth). A treap; nodes are embedded
 * in the caller's objects.
 *
 * Threads: none of its own; the caller locks. Priorities are pseudo-random, so that nobody who
 * chooses keys chooses the shape. */
#ifndef STORE_KEYTREE_H
#define STORE_KEYTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

typedef struct keytree_node {
  struct keytree_node *child[2];
  const uint8_t *key; /* lent while the node is in the tree */
  uint32_t key_len;
  uint32_t priority;
} keytree_node;

typedef struct keytree {
  keytree_node *root;
  uint64_t random;
  size_t count;
} keytree;

/* Where a range of keys ends or begins. */
typedef enum keytree_edge {
  KEYTREE_BEFORE, /* in front of the key itself */
  KEYTREE_BEHIND, /* behind the key itself */
  KEYTREE_PAST,   /* behind all keys that begin with it */
} keytree_edge;

/* An empty tree; `seed` is unpredictable. */
keytree keytree_init(uint64_t seed);

static inline copal_span keytree_key(const keytree_node *n)
{
  return copal_span_of(n->key, n->key_len);
}

/* Byte-wise order, a prefix in front of what continues it. Negative, zero or positive. */
int keytree_compare(copal_span a, copal_span b);

/* Inserts a node with that key, which must not be there yet. */
void keytree_insert(keytree *t, keytree_node *n, copal_span key);

/* Takes the node of that key out. NULL when there is none. */
keytree_node *keytree_remove(keytree *t, copal_span key);

keytree_node *keytree_find(const keytree *t, copal_span key);

/* First node behind the edge, NULL at the end. */
keytree_node *keytree_first(const keytree *t, copal_span key, keytree_edge edge);

/* Takes all nodes out, in no particular order, giving each to `drop`. */
void keytree_clear(keytree *t, void (*drop)(void *ctx, keytree_node *n), void *ctx);

#endif
