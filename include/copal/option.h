/* SPDX-License-Identifier: Apache-2.0 */
/* Options: numbers and their properties, walking a parsed option run, writing one. RFC 7252
 * sections 3.1, 5.4.
 *
 * Registered numbers are in copal/registry.h (COPAL_OPT_URI_PATH, ...). */
#ifndef COPAL_OPTION_H
#define COPAL_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/cursor.h"
#include "copal/platform.h"
#include "copal/span.h"

COPAL_BEGIN_DECLS

/* One option instance. */
typedef struct copal_opt {
  uint16_t number;
  copal_span value;
} copal_opt;

typedef enum copal_opt_format {
  COPAL_OPT_EMPTY,
  COPAL_OPT_OPAQUE,
  COPAL_OPT_UINT,
  COPAL_OPT_STRING,
} copal_opt_format;

/* What the registry says of an option number. */
typedef struct copal_opt_def {
  uint16_t number;
  uint16_t min_len; /* bytes */
  uint16_t max_len; /* bytes */
  copal_opt_format format;
  bool repeatable;
} copal_opt_def;

/* Properties encoded in the number. RFC 7252 section 5.4.6. */
static inline bool copal_opt_is_critical(uint16_t number)
{
  return (number & 1) != 0;
}

static inline bool copal_opt_is_unsafe(uint16_t number)
{
  return (number & 2) != 0;
}

static inline bool copal_opt_is_no_cache_key(uint16_t number)
{
  return (number & 0x1e) == 0x1c;
}

/* Looks a number up in the registry. Returns false when it is not registered; `def` is filled on
 * success. */
COPAL_API bool copal_opt_def_find(uint16_t number, copal_opt_def *def);

/* The registered name of an option ("Uri-Path"), or NULL. Static storage. */
COPAL_API const char *copal_opt_name(uint16_t number);

/* Looks a registered name up, ignoring case ("uri-path"). Returns the number, or COPAL_ENOTFOUND.
 */
COPAL_API int copal_opt_number_of(const char *name);

/* Walks an option run. The run of a parsed message is valid, so a walk over it cannot fail; over
 * other bytes test `rd.err` at the end. */
typedef struct copal_opt_iter {
  copal_rd rd;
  uint32_t number; /* number of the last option */
} copal_opt_iter;

/* Begins a walk over `options`, which are borrowed as long as it lasts. */
COPAL_API copal_opt_iter copal_opt_iter_init(copal_span options);

/* Steps to the next option. Returns false at the end of the run or at a format error (then
 * `it->rd.err` is set). */
COPAL_API bool copal_opt_next(copal_opt_iter *it, copal_opt *opt);

/* First instance of `number`. Returns false when there is none. */
COPAL_API bool copal_opt_find(copal_span options, uint16_t number, copal_span *value);

/* The same, but an instance whose length is outside the registered range counts as absent, as an
 * unrecognised elective option does. Of a critical option copal_opt_check() has judged the length
 * before. RFC 7252 section 5.4.3. */
COPAL_API bool copal_opt_find_valid(copal_span options, uint16_t number, copal_span *value);

/* Value as an unsigned integer of up to 4 bytes, leading zero bytes accepted. COPAL_EFORMAT beyond
 * that. RFC 7252 section 3.2. */
COPAL_API int copal_opt_uint(copal_span value, uint32_t *out);

/* First instance of `number` as an unsigned integer; `otherwise` when it is absent or too long. */
COPAL_API uint32_t copal_opt_uint_or(copal_span options, uint16_t number, uint32_t otherwise);

/* Writes an option run; numbers must not descend. */
typedef struct copal_opt_wr {
  copal_wr *w;   /* borrowed */
  uint16_t last; /* number of the last option written */
} copal_opt_wr;

/* Begins an option run where `w` stands. */
COPAL_API copal_opt_wr copal_opt_wr_init(copal_wr *w);

/* Appends one option. A descending number sets `w->err` to COPAL_EINVAL. */
COPAL_API void copal_opt_put(copal_opt_wr *o, uint16_t number, copal_span value);

/* The same, with the value encoded as uint into as few bytes as possible. */
COPAL_API void copal_opt_put_uint(copal_opt_wr *o, uint16_t number, uint32_t value);

/* A list of options that callers build in any order in storage of their own; kept sorted by number,
 * instances of one number in the order of insertion. Values are borrowed until the list has been
 * written; uint values live in the small buffer beside each entry. */
typedef struct copal_opt_list {
  copal_opt *opts;     /* caller's array */
  uint8_t (*uints)[4]; /* caller's array of the same length */
  size_t count;
  size_t cap;
  int err; /* COPAL_OK, or COPAL_ENOSPC when the array was too small */
} copal_opt_list;

/* An empty list of up to `cap` options in two arrays, which are lent as long as it is used. */
COPAL_API copal_opt_list copal_opt_list_init(copal_opt *opts, uint8_t (*uints)[4], size_t cap);

/* Adds an option behind those of its number and of lower ones, its value as given or as uint.
 * Without room the list stays as it is and `err` becomes COPAL_ENOSPC. RFC 7252 section 3.2. */
COPAL_API void copal_opt_list_add(copal_opt_list *l, uint16_t number, copal_span value);
COPAL_API void copal_opt_list_add_uint(copal_opt_list *l, uint16_t number, uint32_t value);

COPAL_END_DECLS

#endif
