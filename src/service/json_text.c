/* SPDX-License-Identifier: Apache-2.0 */
/* JSON texts. RFC 8259. */
#include "service/json_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"

enum {
  ROOM_FIRST = 256, /* bytes; doubled when full */
  NUMBER_SIZE = 40,
  DIGITS_LEAST = 15, /* significant digits any double keeps; 17 always read back */
  DIGITS_MOST = 17,
};

/* A growing text with a sticky error. */
typedef struct sink {
  uint8_t *ptr;
  size_t len, cap, max;
  int err;
} sink;

static void put(sink *s, const void *bytes, size_t len)
{
  if (s->err != COPAL_OK)
    return;
  if (len > s->max - s->len) {
    s->err = COPAL_ETOOBIG;
    return;
  }
  if (len > s->cap - s->len) {
    size_t cap = s->cap == 0 ? ROOM_FIRST : s->cap * 2;
    cap = cap < s->len + len ? s->len + len : cap;
    uint8_t *wider = realloc(s->ptr, cap);
    if (wider == NULL) {
      s->err = COPAL_ENOSPC;
      return;
    }
    s->ptr = wider;
    s->cap = cap;
  }
  memcpy(s->ptr + s->len, bytes, len);
  s->len += len;
}

static void put_text(sink *s, const char *text)
{
  put(s, text, strlen(text));
}

/* The escapes that RFC 8259 section 7 demands, and no others. */
static void put_string(sink *s, const char *text, size_t len)
{
  put(s, "\"", 1);
  size_t plain = 0;
  for (size_t i = 0; i < len; i++) {
    const uint8_t c = (uint8_t)text[i];
    if (c >= 0x20 && c != '"' && c != '\\')
      continue;
    char escape[8];
    const int n = c < 0x20 ? snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c)
                           : snprintf(escape, sizeof escape, "\\%c", (char)c);
    put(s, text + plain, i - plain);
    put(s, escape, (size_t)n);
    plain = i + 1;
  }
  put(s, text + plain, len - plain);
  put(s, "\"", 1);
}

static void put_real(sink *s, double value)
{
  char number[NUMBER_SIZE];
  for (int digits = DIGITS_LEAST; digits <= DIGITS_MOST; digits++) {
    snprintf(number, sizeof number, "%.*g", digits, value);
    if (strtod(number, NULL) == value)
      break;
  }
  put_text(s, number);
  if (strpbrk(number, ".e") == NULL)
    put_text(s, ".0"); /* stays a real when it is read again */
}

static void put_value(sink *s, const json_t *value, int depth);

static void put_array(sink *s, const json_t *array, int depth)
{
  put(s, "[", 1);
  for (size_t i = 0; i < json_array_size(array) && s->err == COPAL_OK; i++) {
    if (i > 0)
      put(s, ",", 1);
    put_value(s, json_array_get(array, i), depth + 1);
  }
  put(s, "]", 1);
}

static void put_object(sink *s, const json_t *object, int depth)
{
  put(s, "{", 1);
  json_t *o = (json_t *)object; /* the iterator is not const-correct */
  bool is_first = true;
  for (void *it = json_object_iter(o); it != NULL && s->err == COPAL_OK;
       it = json_object_iter_next(o, it)) {
    if (!is_first)
      put(s, ",", 1);
    is_first = false;
    const char *key = json_object_iter_key(it);
    put_string(s, key, strlen(key));
    put(s, ":", 1);
    put_value(s, json_object_iter_value(it), depth + 1);
  }
  put(s, "}", 1);
}

static void put_value(sink *s, const json_t *value, int depth)
{
  if (depth > JSON_TEXT_DEPTH_MAX) {
    s->err = COPAL_ETOOBIG;
    return;
  }
  char number[NUMBER_SIZE];
  switch (json_typeof(value)) {
  case JSON_OBJECT: put_object(s, value, depth); return;
  case JSON_ARRAY: put_array(s, value, depth); return;
  case JSON_STRING: put_string(s, json_string_value(value), json_string_length(value)); return;
  case JSON_INTEGER:
    snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    put_text(s, number);
    return;
  case JSON_REAL: put_real(s, json_real_value(value)); return;
  case JSON_TRUE: put_text(s, "true"); return;
  case JSON_FALSE: put_text(s, "false"); return;
  case JSON_NULL: put_text(s, "null"); return;
  }
}

json_t *json_text_read(copal_span text, json_error_t *reason)
{
  const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
  const char *bytes = text.len > 0 ? (const char *)text.ptr : "";
  return json_loadb(bytes, text.len, flags, reason);
}

int json_text_write(const json_t *value, size_t max, copal_mspan *text)
{
  sink s = {.max = max};
  put_value(&s, value, 0);
  if (s.err != COPAL_OK) {
    free(s.ptr);
    return s.err;
  }
  *text = (copal_mspan){s.ptr, s.len};
  return COPAL_OK;
}
