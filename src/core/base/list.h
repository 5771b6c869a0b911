/* SPDX-License-Identifier: Apache-2.0 */
/* Circular doubly linked lists of objects that carry their own link. */
#ifndef CORE_BASE_LIST_H
#define CORE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "copal/node.h"

/* A list is its own anchor: empty when it points to itself. */
static inline void copal_list_init(copal_node *list)
{
  list->next = list;
  list->prev = list;
}

static inline bool copal_list_is_empty(const copal_node *list)
{
  return list->next == list;
}

static inline void copal_list_append(copal_node *list, copal_node *node)
{
  node->next = list;
  node->prev = list->prev;
  list->prev->next = node;
  list->prev = node;
}

static inline void copal_list_remove(copal_node *node)
{
  node->prev->next = node->next;
  node->next->prev = node->prev;
}

/* Moves all nodes of a list to another, which is empty. */
static inline void copal_list_move(copal_node *from, copal_node *to)
{
  if (copal_list_is_empty(from))
    return;
  *to = *from;
  to->next->prev = to;
  to->prev->next = to;
  copal_list_init(from);
}

/* The object around an embedded node. */
#define COPAL_AROUND(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
