/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned columns of text. */
#ifndef COPAL_CMD_TABLE_H
#define COPAL_CMD_TABLE_H

#include <stddef.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/style.h"

enum { TABLE_COLUMNS_MAX = 8 };

typedef struct table {
  size_t columns;
  char **cells; /* row by row, owned */
  size_t count; /* cells */
} table;

/* `columns` is 1 to TABLE_COLUMNS_MAX. */
table table_init(size_t columns);
void table_wipe(table *t);

/* Appends a cell; text from the network may be given, it is made harmless. A row is complete after
 * `columns` cells. */
void table_put(table *t, copal_span text);

/* Writes the rows, columns two spaces apart, empty columns left out. With `has_head` the first row
 * is the heading. */
void table_print(const table *t, bool has_head, const style *s, buf *b);

#endif
