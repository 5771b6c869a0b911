/* SPDX-License-Identifier: Apache-2.0 */
/* An ordered list of objects by byte-string keys, with weights: look-up, order, and sums of weights
 * over ranges in O(log n). A B+ tree of pointers: an object takes about ten bytes of it, and
 * nothing of it lies in the object.
 *
 * Threads: none of its own; the caller locks. */
#ifndef STORE_KEYLIST_H
#define STORE_KEYLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"
#include "store/keytree.h"

/* What the list asks of its objects; neither answer may change while an object is in it, but for
 * the weight as keylist_reweigh() is told. */
typedef struct keylist_kind {
  copal_span (*key)(const void *item);
  uint64_t (*weight)(const void *item); /* NULL: nothing weighs anything */
} keylist_kind;

struct keylist_node;

typedef struct keylist {
  const keylist_kind *kind;
  struct keylist_node *root; /* NULL: empty */
  uint64_t sum;              /* of all weights */
  size_t count;
} keylist;

/* An empty list; `kind` is lent. */
keylist keylist_init(const keylist_kind *kind);

/* Inserts an object whose key must not be there yet. Returns false without memory: then the list is
 * as it was. */
bool keylist_insert(keylist *l, void *item);

/* Inserts an object unless another has its key. Returns what has the key then, so `item` itself
 * when it is new; NULL without memory. */
void *keylist_insert_or_find(keylist *l, void *item);

/* Inserts an object whose key is behind all others': as keylist_insert(), without a search. */
bool keylist_append(keylist *l, void *item);

/* Takes the object of that key out. NULL when there is none. */
void *keylist_remove(keylist *l, copal_span key);

void *keylist_find(const keylist *l, copal_span key);

/* The weight of an object of the list is no longer `before`. */
void keylist_reweigh(keylist *l, const void *item, uint64_t before);

/* First object behind the edge, NULL at the end. */
void *keylist_first(const keylist *l, copal_span key, keytree_edge edge);

/* Sum of the weights in front of the edge. */
uint64_t keylist_sum_before(const keylist *l, copal_span key, keytree_edge edge);

/* Sees the objects of a walk in order; `at` is the sum of the weights in front of the object.
 * Returns false to end the walk. */
typedef bool keylist_visit(void *ctx, void *item, uint64_t at);

/* Walks the objects whose stretch [at, at + weight) meets [from, to), in the order of keys.
 * O(log n + objects seen). */
void keylist_walk(const keylist *l, uint64_t from, uint64_t to, keylist_visit *visit, void *ctx);

/* Takes all objects out, in order, giving each to `drop`. */
void keylist_clear(keylist *l, void (*drop)(void *ctx, void *item), void *ctx);

#endif
