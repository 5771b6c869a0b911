/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed runs of bytes. A span never owns; it is valid as long as the storage it points into. */
#ifndef COPAL_SPAN_H
#define COPAL_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/platform.h"

COPAL_BEGIN_DECLS

/* Read-only bytes. `ptr` may be NULL when `len` is 0. */
typedef struct copal_span {
  const uint8_t *ptr;
  size_t len;
} copal_span;

/* Writable bytes. */
typedef struct copal_mspan {
  uint8_t *ptr;
  size_t len;
} copal_mspan;

/* A span over `len` bytes at `ptr`; and the empty one. */
static inline copal_span copal_span_of(const void *ptr, size_t len)
{
  copal_span s;
  s.ptr = (const uint8_t *)ptr;
  s.len = len;
  return s;
}

static inline copal_span copal_span_none(void)
{
  return copal_span_of(NULL, 0);
}

/* Span over a NUL-terminated string, without the NUL. */
COPAL_API copal_span copal_span_str(const char *s);

/* True when both hold the same bytes. Not constant time: never for secrets. */
COPAL_API bool copal_span_is_equal(copal_span a, copal_span b);

/* True when `s` begins with `prefix`. */
COPAL_API bool copal_span_has_prefix(copal_span s, copal_span prefix);

COPAL_END_DECLS

#endif
