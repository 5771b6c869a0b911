/* SPDX-License-Identifier: Apache-2.0 */
/* Growing byte buffers. */
#include "cmd/copal/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/copal/status.h"

void *mem_resize(void *ptr, size_t size)
{
  void *p = realloc(ptr, size > 0 ? size : 1);
  if (!p) {
    fputs("copal: out of memory\n", stderr);
    exit(STATUS_INTERNAL);
  }
  return p;
}

char *mem_text(copal_span text)
{
  char *s = mem_resize(NULL, text.len + 1);
  if (text.len > 0)
    memcpy(s, text.ptr, text.len);
  s[text.len] = '\0';
  return s;
}

void buf_wipe(buf *b)
{
  free(b->ptr);
  *b = (buf){0};
}

static void make_room(buf *b, size_t more)
{
  if (more < b->cap - b->len)
    return;
  size_t cap = b->cap > 0 ? b->cap : 64;
  while (cap - b->len <= more)
    cap *= 2;
  b->ptr = mem_resize(b->ptr, cap);
  b->cap = cap;
}

void buf_put(buf *b, const void *bytes, size_t len)
{
  make_room(b, len);
  if (len > 0)
    memcpy(b->ptr + b->len, bytes, len);
  b->len += len;
  b->ptr[b->len] = '\0';
}

void buf_put_span(buf *b, copal_span s)
{
  buf_put(b, s.ptr, s.len);
}

void buf_text(buf *b, const char *text)
{
  buf_put(b, text, strlen(text));
}

void buf_char(buf *b, char c)
{
  buf_put(b, &c, 1);
}

void buf_fill(buf *b, char c, size_t count)
{
  for (size_t i = 0; i < count; i++)
    buf_char(b, c);
}

void buf_print(buf *b, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *text = NULL;
  const int n = vasprintf(&text, format, args);
  va_end(args);
  if (n > 0)
    buf_put(b, text, (size_t)n);
  if (n >= 0)
    free(text);
}

copal_span buf_span(const buf *b)
{
  return copal_span_of(b->ptr, b->len);
}

const char *buf_str(const buf *b)
{
  return b->ptr ? b->ptr : "";
}
