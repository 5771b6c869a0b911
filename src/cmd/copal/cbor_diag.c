/* SPDX-License-Identifier: Apache-2.0 */
/* CBOR in diagnostic notation. RFC 8949 section 8. */
#include "cmd/copal/cbor_diag.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/copal/cbor_check.h"
#include "cmd/copal/print_json.h"

enum {
  INDENT = 2,
  ON_ONE_LINE = -1, /* depth that means: no line breaks */
};

typedef struct diag {
  const style *style;
  buf *out;
} diag;

static void put_item(const diag *d, const cbor_item_t *item, int depth);

cbor_item_t *cbor_item_load(copal_span bytes, size_t *used)
{
  struct cbor_load_result result;
  return cbor_check_item(bytes, used) ? cbor_load(bytes.ptr, bytes.len, &result) : NULL;
}

static void put_ink(const diag *d, ink i, const char *text)
{
  style_text(d->style, d->out, i, text);
}

static void put_negative(const diag *d, uint64_t argument)
{
  char text[32] = "-18446744073709551616"; /* -1 - 2^64 + 1 has no type of its own */
  if (argument < UINT64_MAX)
    snprintf(text, sizeof text, "-%" PRIu64, argument + 1);
  put_ink(d, INK_NUMBER, text);
}

static void put_float(const diag *d, double v)
{
  buf text = {0};
  if (isnan(v))
    buf_text(&text, "NaN");
  else if (isinf(v))
    buf_text(&text, v < 0 ? "-Infinity" : "Infinity");
  else
    number_put(&text, v);
  if (isfinite(v) && !strpbrk(buf_str(&text), ".e"))
    buf_text(&text, ".0"); /* tells it from an integer */
  style_put(d->style, d->out, INK_NUMBER, buf_span(&text));
  buf_wipe(&text);
}

static void put_text_chunk(const diag *d, copal_span text)
{
  buf quoted = {0};
  buf safe = {0};
  json_quote(&quoted, text);
  safe_line(&safe, buf_span(&quoted));
  style_put(d->style, d->out, INK_STRING, buf_span(&safe));
  buf_wipe(&safe);
  buf_wipe(&quoted);
}

static void put_bytes_chunk(const diag *d, copal_span bytes)
{
  buf text = {0};
  buf_text(&text, "h'");
  for (size_t i = 0; i < bytes.len; i++)
    buf_print(&text, "%02x", bytes.ptr[i]);
  buf_char(&text, '\'');
  style_put(d->style, d->out, INK_STRING, buf_span(&text));
  buf_wipe(&text);
}

static void put_string(const diag *d, const cbor_item_t *item)
{
  const bool is_text = cbor_isa_string(item);
  if (is_text ? cbor_string_is_definite(item) : cbor_bytestring_is_definite(item)) {
    if (is_text)
      put_text_chunk(d, copal_span_of(cbor_string_handle(item), cbor_string_length(item)));
    else
      put_bytes_chunk(d, copal_span_of(cbor_bytestring_handle(item), cbor_bytestring_length(item)));
    return;
  }
  cbor_item_t **chunks =
      is_text ? cbor_string_chunks_handle(item) : cbor_bytestring_chunks_handle(item);
  const size_t count = is_text ? cbor_string_chunk_count(item) : cbor_bytestring_chunk_count(item);
  if (count == 0) {
    put_ink(d, INK_STRING, is_text ? "\"\"_" : "''_");
    return;
  }
  for (size_t i = 0; i < count; i++) {
    buf_text(d->out, i == 0 ? "(_ " : ", ");
    put_string(d, chunks[i]);
  }
  buf_char(d->out, ')');
}

/* Begins an element of a collection: a comma, then a line break unless all goes on one line. */
static void put_separator(const diag *d, bool is_first, int depth)
{
  if (!is_first)
    buf_char(d->out, ',');
  if (depth >= 0) {
    buf_char(d->out, '\n');
    buf_fill(d->out, ' ', (size_t)depth * INDENT);
  } else if (!is_first) {
    buf_char(d->out, ' ');
  }
}

static void put_close(const diag *d, char c, size_t count, int depth)
{
  if (depth >= 0 && count > 0) {
    buf_char(d->out, '\n');
    buf_fill(d->out, ' ', (size_t)depth * INDENT);
  }
  buf_char(d->out, c);
}

static int deeper(int depth)
{
  return depth < 0 ? depth : depth + 1;
}

static void put_array(const diag *d, const cbor_item_t *item, int depth)
{
  cbor_item_t **items = cbor_array_handle(item);
  const size_t count = cbor_array_size(item);
  buf_text(d->out, cbor_array_is_definite(item) ? "[" : depth < 0 && count > 0 ? "[_ " : "[_");
  for (size_t i = 0; i < count; i++) {
    put_separator(d, i == 0, deeper(depth));
    put_item(d, items[i], deeper(depth));
  }
  put_close(d, ']', count, depth);
}

static void put_map(const diag *d, const cbor_item_t *item, int depth)
{
  const struct cbor_pair *pairs = cbor_map_handle(item);
  const size_t count = cbor_map_size(item);
  buf_text(d->out, cbor_map_is_definite(item) ? "{" : depth < 0 && count > 0 ? "{_ " : "{_");
  for (size_t i = 0; i < count; i++) {
    put_separator(d, i == 0, deeper(depth));
    put_item(d, pairs[i].key, ON_ONE_LINE);
    buf_text(d->out, ": ");
    put_item(d, pairs[i].value, deeper(depth));
  }
  put_close(d, '}', count, depth);
}

static void put_tag(const diag *d, const cbor_item_t *item, int depth)
{
  cbor_item_t *content = cbor_tag_item(item);
  buf_print(d->out, "%" PRIu64 "(", cbor_tag_value(item));
  put_item(d, content, depth);
  buf_char(d->out, ')');
  cbor_decref(&content);
}

static void put_simple(const diag *d, uint8_t value)
{
  char text[16];
  switch (value) {
  case CBOR_CTRL_FALSE: put_ink(d, INK_WORD, "false"); return;
  case CBOR_CTRL_TRUE: put_ink(d, INK_WORD, "true"); return;
  case CBOR_CTRL_NULL: put_ink(d, INK_WORD, "null"); return;
  case CBOR_CTRL_UNDEF: put_ink(d, INK_WORD, "undefined"); return;
  default: break;
  }
  snprintf(text, sizeof text, "simple(%u)", value);
  put_ink(d, INK_WORD, text);
}

static void put_item(const diag *d, const cbor_item_t *item, int depth)
{
  char text[32];
  switch (cbor_typeof(item)) {
  case CBOR_TYPE_UINT:
    snprintf(text, sizeof text, "%" PRIu64, cbor_get_int(item));
    put_ink(d, INK_NUMBER, text);
    return;
  case CBOR_TYPE_NEGINT: put_negative(d, cbor_get_int(item)); return;
  case CBOR_TYPE_BYTESTRING:
  case CBOR_TYPE_STRING: put_string(d, item); return;
  case CBOR_TYPE_ARRAY: put_array(d, item, depth); return;
  case CBOR_TYPE_MAP: put_map(d, item, depth); return;
  case CBOR_TYPE_TAG: put_tag(d, item, depth); return;
  case CBOR_TYPE_FLOAT_CTRL:
    if (cbor_float_ctrl_is_ctrl(item))
      put_simple(d, cbor_ctrl_value(item));
    else
      put_float(d, cbor_float_get_float(item));
    return;
  }
}

void cbor_item_diag(const cbor_item_t *item, const style *s, buf *b)
{
  const diag d = {.style = s, .out = b};
  put_item(&d, item, ON_ONE_LINE);
}

static void put_line(const cbor_item_t *item, const style *s, buf *b)
{
  const style plain = {.color = false, .width = s->width};
  buf line = {0};
  cbor_item_diag(item, &plain, &line);
  const diag d = {.style = s, .out = b};
  put_item(&d, item, line.len <= s->width ? ON_ONE_LINE : 0);
  buf_wipe(&line);
}

bool cbor_diag(copal_span bytes, bool is_sequence, const style *s, buf *b)
{
  buf out = {0};
  bool ok = bytes.len > 0 || is_sequence;
  for (size_t count = 0; ok && bytes.len > 0; count++) {
    size_t used = 0;
    cbor_item_t *item = count > 0 && !is_sequence ? NULL : cbor_item_load(bytes, &used);
    ok = item != NULL;
    if (!ok)
      break;
    if (count > 0)
      buf_char(&out, '\n');
    put_line(item, s, &out);
    cbor_decref(&item);
    bytes = copal_span_of(bytes.ptr + used, bytes.len - used);
  }
  if (ok)
    buf_put(b, out.ptr, out.len);
  buf_wipe(&out);
  return ok;
}

void cbor_string_bytes(const cbor_item_t *item, buf *b)
{
  const bool is_text = cbor_isa_string(item);
  if (is_text ? cbor_string_is_definite(item) : cbor_bytestring_is_definite(item)) {
    if (is_text)
      buf_put(b, cbor_string_handle(item), cbor_string_length(item));
    else
      buf_put(b, cbor_bytestring_handle(item), cbor_bytestring_length(item));
    return;
  }
  cbor_item_t **chunks =
      is_text ? cbor_string_chunks_handle(item) : cbor_bytestring_chunks_handle(item);
  const size_t count = is_text ? cbor_string_chunk_count(item) : cbor_bytestring_chunk_count(item);
  for (size_t i = 0; i < count; i++)
    cbor_string_bytes(chunks[i], b);
}
