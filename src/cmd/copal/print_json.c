/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text, indented or compacted. jansson decides what is valid; the text itself is then only
 * rearranged, because a parse and a dump would change numbers. */
#include "cmd/copal/print_json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 2 };

bool json_is_valid(copal_span text)
{
  if (text.len > 0 && memchr(text.ptr, '\0', text.len))
    return false; /* jansson takes it for the end */
  json_t *root = json_loadb((const char *)text.ptr, text.len,
                            JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
  json_decref(root);
  return root != NULL;
}

static bool is_space(uint8_t c)
{
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Bytes of the token at the head of valid JSON text. */
static size_t token_len(copal_span text)
{
  size_t n = 1;
  if (text.ptr[0] == '"') {
    while (n < text.len && text.ptr[n] != '"')
      n += text.ptr[n] == '\\' ? 2 : 1;
    return n < text.len ? n + 1 : text.len;
  }
  if (strchr("{}[],:", text.ptr[0]))
    return 1;
  while (n < text.len && !is_space(text.ptr[n]) && !strchr("{}[],:", text.ptr[n]))
    n++;
  return n;
}

static copal_span skip(copal_span text, size_t n)
{
  text = copal_span_of(text.ptr + n, text.len - n);
  while (text.len > 0 && is_space(text.ptr[0]))
    text = copal_span_of(text.ptr + 1, text.len - 1);
  return text;
}

static ink scalar_ink(copal_span token, copal_span rest)
{
  if (token.ptr[0] == '"')
    return rest.len > 0 && rest.ptr[0] == ':' ? INK_KEY : INK_STRING;
  return strchr("tfn", token.ptr[0]) ? INK_WORD : INK_NUMBER;
}

static void new_line(buf *b, size_t depth)
{
  buf_char(b, '\n');
  buf_fill(b, ' ', depth * INDENT);
}

static void put_scalar(buf *b, copal_span token, copal_span rest, const style *s)
{
  buf safe = {0};
  safe_line(&safe, token);
  style_put(s, b, scalar_ink(token, rest), buf_span(&safe));
  buf_wipe(&safe);
}

void json_pretty(buf *b, copal_span text, const style *s)
{
  size_t depth = 0;
  text = skip(text, 0);
  while (text.len > 0) {
    const copal_span token = copal_span_of(text.ptr, token_len(text));
    const copal_span rest = skip(text, token.len);
    const uint8_t c = token.ptr[0];
    const bool is_empty = rest.len > 0 && (rest.ptr[0] == '}' || rest.ptr[0] == ']');
    if (c == '{' || c == '[') {
      buf_char(b, (char)c);
      depth++;
      if (!is_empty)
        new_line(b, depth);
    } else if (c == '}' || c == ']') {
      depth--;
      if (b->ptr[b->len - 1] != '{' && b->ptr[b->len - 1] != '[')
        new_line(b, depth);
      buf_char(b, (char)c);
    } else if (c == ',') {
      buf_char(b, ',');
      new_line(b, depth);
    } else if (c == ':') {
      buf_text(b, ": ");
    } else {
      put_scalar(b, token, rest, s);
    }
    text = rest;
  }
}

void json_compact(buf *b, copal_span text)
{
  text = skip(text, 0);
  while (text.len > 0) {
    const size_t n = token_len(text);
    buf_put(b, text.ptr, n);
    text = skip(text, n);
  }
}

void json_quote(buf *b, copal_span text)
{
  buf_char(b, '"');
  while (text.len > 0) {
    uint32_t cp = 0;
    size_t n = utf8_next(text, &cp);
    if (n == 0) {
      buf_text(b, "\\ufffd");
      n = 1;
    } else if (cp == '"' || cp == '\\') {
      buf_print(b, "\\%c", (char)cp);
    } else if (cp == '\n') {
      buf_text(b, "\\n");
    } else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
      buf_print(b, "\\u%04x", (unsigned)cp);
    } else {
      buf_put(b, text.ptr, n);
    }
    text = copal_span_of(text.ptr + n, text.len - n);
  }
  buf_char(b, '"');
}

void json_element(buf *b)
{
  if (b->len > 0 && !strchr("{[:", b->ptr[b->len - 1]))
    buf_char(b, ',');
}

void json_key(buf *b, const char *name)
{
  json_element(b);
  json_quote(b, copal_span_str(name));
  buf_char(b, ':');
}

void json_member_text(buf *b, const char *name, const char *value)
{
  json_key(b, name);
  json_quote(b, copal_span_str(value));
}

void json_member_uint(buf *b, const char *name, uint64_t value)
{
  json_key(b, name);
  buf_print(b, "%llu", (unsigned long long)value);
}

void json_member_real(buf *b, const char *name, double value)
{
  json_key(b, name);
  buf_print(b, "%.3f", value);
}

void number_put(buf *b, double v)
{
  enum { DIGITS_MAX = 17, PLAIN_MIN = -5, PLAIN_MAX = 17 };
  char text[40];
  int digits = 1;
  for (; digits < DIGITS_MAX; digits++) {
    snprintf(text, sizeof text, "%.*e", digits - 1, v);
    if (strtod(text, NULL) == v)
      break;
  }
  snprintf(text, sizeof text, "%.*e", digits - 1, v);
  const int exponent = atoi(strchr(text, 'e') + 1);
  if (exponent < PLAIN_MIN || exponent >= PLAIN_MAX)
    buf_text(b, text);
  else
    buf_print(b, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0, v);
}

void base64_put(buf *b, copal_span bytes)
{
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.len; i += 3) {
    const size_t left = bytes.len - i;
    const uint32_t v = (uint32_t)bytes.ptr[i] << 16 |
                       (left > 1 ? (uint32_t)bytes.ptr[i + 1] << 8 : 0) |
                       (left > 2 ? bytes.ptr[i + 2] : 0u);
    buf_char(b, alphabet[v >> 18]);
    buf_char(b, alphabet[v >> 12 & 63]);
    buf_char(b, left > 1 ? alphabet[v >> 6 & 63] : '=');
    buf_char(b, left > 2 ? alphabet[v & 63] : '=');
  }
}
