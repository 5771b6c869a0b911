/* SPDX-License-Identifier: Apache-2.0 */
/* Link-format documents as aligned text, as a discovery table and as JSON. RFC 6690 section 2. */
#include "cmd/copal/links.h"

#include <ctype.h>
#include <stdlib.h>

#include "cmd/copal/media.h"
#include "cmd/copal/print_json.h"
#include "cmd/copal/table.h"
#include "copal/error.h"
#include "copal/link.h"

static bool is_well_formed(copal_span document)
{
  copal_link_iter it = copal_link_iter_init(document);
  copal_link link;
  while (copal_link_next(&it, &link))
    continue;
  return it.rd.err == COPAL_OK;
}

/* The value with its escapes resolved. RFC 6690 section 2, quoted-pair of RFC 2616. */
static void put_value(const copal_link_attr *attr, buf *b)
{
  for (size_t i = 0; i < attr->value.len; i++) {
    if (attr->is_quoted && attr->value.ptr[i] == '\\' && i + 1 < attr->value.len)
      i++;
    buf_char(b, (char)attr->value.ptr[i]);
  }
}

static void put_attrs(const copal_link *link, buf *b)
{
  copal_link_attr attr;
  size_t pos = 0;
  while (copal_link_attr_next(link, &pos, &attr)) {
    if (b->len > 0)
      buf_char(b, ' ');
    buf_put_span(b, attr.name);
    if (!attr.has_value)
      continue;
    buf_text(b, attr.is_quoted ? "=\"" : "=");
    buf_put_span(b, attr.value);
    buf_text(b, attr.is_quoted ? "\"" : "");
  }
}

bool links_print(copal_span document, const style *s, buf *b)
{
  if (!is_well_formed(document))
    return false;
  table t = table_init(2);
  copal_link_iter it = copal_link_iter_init(document);
  copal_link link;
  while (copal_link_next(&it, &link)) {
    buf cell = {0};
    buf_char(&cell, '<');
    buf_put_span(&cell, link.target);
    buf_char(&cell, '>');
    table_put(&t, buf_span(&cell));
    cell.len = 0;
    put_attrs(&link, &cell);
    table_put(&t, buf_span(&cell));
    buf_wipe(&cell);
  }
  table_print(&t, false, s, b);
  table_wipe(&t);
  return true;
}

static bool parse_uint(copal_span text, uint32_t *v)
{
  *v = 0;
  for (size_t i = 0; i < text.len; i++) {
    if (!isdigit(text.ptr[i]) || *v > (UINT32_MAX - 9) / 10)
      return false;
    *v = *v * 10 + (uint32_t)(text.ptr[i] - '0');
  }
  return text.len > 0;
}

/* Steps to the next word of a list separated by spaces. */
static bool next_word(copal_span *list, copal_span *word)
{
  while (list->len > 0 && list->ptr[0] == ' ')
    *list = copal_span_of(list->ptr + 1, list->len - 1);
  size_t n = 0;
  while (n < list->len && list->ptr[n] != ' ')
    n++;
  *word = copal_span_of(list->ptr, n);
  *list = copal_span_of(list->ptr + n, list->len - n);
  return n > 0;
}

/* "40 50" becomes "link-format json". RFC 7252 section 7.2.1. */
static void put_formats(copal_span value, buf *b)
{
  copal_span word;
  while (next_word(&value, &word)) {
    uint32_t cf;
    if (b->len > 0)
      buf_char(b, ' ');
    if (parse_uint(word, &cf))
      media_short_name(cf, b);
    else
      buf_put_span(b, word);
  }
}

static void put_attr_cell(table *t, const copal_link *link, const char *name)
{
  buf cell = {0};
  copal_link_attr attr;
  if (copal_link_attr_find(link, copal_span_str(name), &attr)) {
    put_value(&attr, &cell);
    if (!attr.has_value)
      buf_text(&cell, name);
  }
  table_put(t, buf_span(&cell));
  buf_wipe(&cell);
}

static void put_common_cells(table *t, const copal_link *link)
{
  buf cell = {0};
  copal_link_attr ct;
  table_put(t, link->target);
  if (copal_link_attr_find(link, copal_span_str("ct"), &ct))
    put_formats(ct.value, &cell);
  table_put(t, buf_span(&cell));
  buf_wipe(&cell);
  put_attr_cell(t, link, "rt");
  put_attr_cell(t, link, "if");
  put_attr_cell(t, link, "title");
}

static void put_row(table *t, const copal_link *link)
{
  put_common_cells(t, link);
  put_attr_cell(t, link, "sz");
  put_attr_cell(t, link, "obs");
}

bool links_table(copal_span document, const style *s, buf *b)
{
  static const char *const head[] = {"PATH", "CT", "RT", "IF", "TITLE", "SZ", "OBS"};
  enum { COLUMNS = sizeof head / sizeof head[0] };
  if (!is_well_formed(document))
    return false;
  table t = table_init(COLUMNS);
  for (size_t i = 0; i < COLUMNS; i++)
    table_put(&t, copal_span_str(head[i]));
  copal_link_iter it = copal_link_iter_init(document);
  copal_link link;
  while (copal_link_next(&it, &link))
    put_row(&t, &link);
  table_print(&t, true, s, b);
  table_wipe(&t);
  return true;
}

void links_merge_head(table *t)
{
  static const char *const head[LINKS_MERGED_COLUMNS] = {"SERVER", "PATH", "CT",
                                                         "RT",     "IF",   "TITLE"};
  for (size_t i = 0; i < LINKS_MERGED_COLUMNS; i++)
    table_put(t, copal_span_str(head[i]));
}

bool links_merge(copal_span document, const char *server, table *t)
{
  if (!is_well_formed(document))
    return false;
  copal_link_iter it = copal_link_iter_init(document);
  copal_link link;
  while (copal_link_next(&it, &link)) {
    table_put(t, copal_span_str(server));
    put_common_cells(t, &link);
  }
  return true;
}

static void json_put_value(const copal_link_attr *attr, buf *b)
{
  buf text = {0};
  uint32_t number;
  const bool is_numeric = copal_span_is_equal(attr->name, copal_span_str("ct")) ||
                          copal_span_is_equal(attr->name, copal_span_str("sz"));
  put_value(attr, &text);
  json_element(b);
  if (!attr->has_value)
    buf_text(b, "true");
  else if (is_numeric && parse_uint(buf_span(&text), &number))
    buf_print(b, "%u", (unsigned)number);
  else
    json_quote(b, buf_span(&text));
  buf_wipe(&text);
}

/* How many attributes of that name the link has, and whether `pos` is behind the first of them. */
static size_t count_named(const copal_link *link, copal_span name, size_t until)
{
  copal_link_attr attr;
  size_t pos = 0, count = 0;
  while (pos < until && copal_link_attr_next(link, &pos, &attr))
    count += copal_span_is_equal(attr.name, name) ? 1 : 0;
  return count;
}

static void json_put_named(const copal_link *link, copal_span name, buf *b)
{
  copal_link_attr attr;
  size_t pos = 0;
  while (copal_link_attr_next(link, &pos, &attr))
    if (copal_span_is_equal(attr.name, name))
      json_put_value(&attr, b);
}

static void json_put_link(const copal_link *link, buf *b)
{
  copal_link_attr attr;
  size_t pos = 0;
  json_element(b);
  buf_char(b, '{');
  json_key(b, "href");
  json_quote(b, link->target);
  while (copal_link_attr_next(link, &pos, &attr)) {
    if (count_named(link, attr.name, pos) > 1)
      continue; /* was written with the first one */
    char *name = mem_text(attr.name);
    const bool is_list = count_named(link, attr.name, SIZE_MAX) > 1;
    json_key(b, name);
    buf_text(b, is_list ? "[" : "");
    json_put_named(link, attr.name, b);
    buf_text(b, is_list ? "]" : "");
    free(name);
  }
  buf_char(b, '}');
}

bool links_json(copal_span document, buf *b)
{
  if (!is_well_formed(document))
    return false;
  copal_link_iter it = copal_link_iter_init(document);
  copal_link link;
  buf out = {0};
  buf_char(&out, '[');
  while (copal_link_next(&it, &link))
    json_put_link(&link, &out);
  buf_char(&out, ']');
  buf_put_span(b, buf_span(&out));
  buf_wipe(&out);
  return true;
}
