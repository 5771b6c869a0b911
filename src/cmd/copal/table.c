/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned columns of text. */
#include "cmd/copal/table.h"

#include <stdlib.h>
#include <string.h>

enum { GAP = 2 };

table table_init(size_t columns)
{
  return (table){.columns = columns};
}

void table_wipe(table *t)
{
  for (size_t i = 0; i < t->count; i++)
    free(t->cells[i]);
  free(t->cells);
  *t = (table){0};
}

void table_put(table *t, copal_span text)
{
  buf safe = {0};
  safe_line(&safe, text);
  t->cells = mem_resize(t->cells, (t->count + 1) * sizeof *t->cells);
  t->cells[t->count++] = mem_text(buf_span(&safe));
  buf_wipe(&safe);
}

static size_t column_width(const table *t, size_t column, bool has_head)
{
  size_t width = 0;
  for (size_t i = column + (has_head ? t->columns : 0); i < t->count; i += t->columns) {
    const size_t w = utf8_width(copal_span_str(t->cells[i]));
    width = w > width ? w : width;
  }
  if (!has_head || width == 0)
    return width;
  const size_t head = strlen(t->cells[column]);
  return head > width ? head : width;
}

static bool is_last_shown(const size_t *widths, size_t columns, size_t column)
{
  for (size_t i = column + 1; i < columns; i++)
    if (widths[i] > 0)
      return false;
  return true;
}

static void print_row(const table *t, size_t row, const size_t *widths, const style *s, buf *b)
{
  const bool is_head = s && row == 0;
  for (size_t c = 0; c < t->columns; c++) {
    if (widths[c] == 0)
      continue;
    const copal_span cell = copal_span_str(t->cells[row * t->columns + c]);
    if (is_head)
      style_put(s, b, INK_DIM, cell);
    else
      buf_put_span(b, cell);
    if (is_last_shown(widths, t->columns, c))
      break;
    buf_fill(b, ' ', widths[c] - utf8_width(cell) + GAP);
  }
  while (b->len > 0 && b->ptr[b->len - 1] == ' ')
    b->ptr[--b->len] = '\0';
  buf_char(b, '\n');
}

void table_print(const table *t, bool has_head, const style *s, buf *b)
{
  size_t widths[TABLE_COLUMNS_MAX] = {0};
  for (size_t c = 0; c < t->columns; c++)
    widths[c] = column_width(t, c, has_head);
  for (size_t row = 0; (row + 1) * t->columns <= t->count; row++)
    print_row(t, row, widths, has_head ? s : NULL, b);
}
