/* SPDX-License-Identifier: Apache-2.0 */
/* The link of a list that an object of the caller carries for the library. */
#ifndef COPAL_NODE_H
#define COPAL_NODE_H

/* The library's; zeroed by the caller and not touched afterwards. */
typedef struct copal_node {
  struct copal_node *next, *prev;
} copal_node;

#endif
