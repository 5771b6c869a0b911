/* SPDX-License-Identifier: Apache-2.0 */
/* Growing byte buffers; the printers write into these. Running out of memory ends the program with
 * STATUS_INTERNAL, so that no caller needs an error path for it. */
#ifndef COPAL_CMD_BUF_H
#define COPAL_CMD_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

/* A zeroed buf is empty and valid. `ptr` is followed by a NUL that `len` does not count, once
 * anything was put. */
typedef struct buf {
  char *ptr;
  size_t len;
  size_t cap;
} buf;

/* realloc() that never returns NULL. */
void *mem_resize(void *ptr, size_t size);

/* A copy with a NUL behind it, for free(). */
char *mem_text(copal_span text);

void buf_wipe(buf *b);
void buf_put(buf *b, const void *bytes, size_t len);
void buf_put_span(buf *b, copal_span s);
void buf_text(buf *b, const char *text);
void buf_char(buf *b, char c);
void buf_fill(buf *b, char c, size_t count);
__attribute__((format(printf, 2, 3))) void buf_print(buf *b, const char *format, ...);

/* The bytes, lent until the next change. */
copal_span buf_span(const buf *b);

/* The bytes as a string; "" for an empty buffer. */
const char *buf_str(const buf *b);

#endif
