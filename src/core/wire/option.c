/* SPDX-License-Identifier: Apache-2.0 */
/* Walking and checking option runs. RFC 7252 section 3.1. */
#include "copal/option.h"
#include "copal/error.h"
#include "copal/msg.h"
#include "core/wire/extended.h"
#include "core/wire/option_split.h"

enum { NUMBER_MAX = 0xffff };

uint32_t copal_ext_get(copal_rd *r, unsigned nibble)
{
  if (nibble < EXT_BIAS_8)
    return nibble;
  /* One byte or two; more bytes than a reader can read make it fail. */
  const size_t size = nibble - (EXT_BIAS_8 - 1);
  return (size == 1 ? EXT_BIAS_8 : EXT_BIAS_16) +
         copal_rd_be(r, size <= EXT_SIZE_MAX ? size : SIZE_MAX);
}

/* What head_get() does for a header with extension bytes; apart from it, so that there nothing has
 * its address taken. A malformed header yields a length that fits nowhere. */
static const uint8_t *head_get_long(const uint8_t *p, const uint8_t *end, uint32_t *number,
                                    size_t *len)
{
  copal_rd r = {p + 1, (size_t)(end - p - 1), COPAL_OK};
  *number += copal_ext_get(&r, *p >> 4);
  *len = copal_ext_get(&r, *p & 15);
  if (r.err != COPAL_OK)
    *len = SIZE_MAX;
  return r.ptr;
}

/* Reads the option header at `p`, which is before `end`; adds to `*number` and returns where the
 * value of `*len` bytes begins, or NULL when the option is malformed. This is where a parser spends
 * its time, so the usual header of one byte is read without a cursor. */
static inline const uint8_t *head_get(const uint8_t *p, const uint8_t *end, uint32_t *number,
                                      size_t *len)
{
  if (*p >> 4 >= EXT_BIAS_8 || (*p & 15) >= EXT_BIAS_8) {
    p = head_get_long(p, end, number, len);
  } else {
    *number += *p >> 4;
    *len = *p++ & 15;
  }
  return *len <= (size_t)(end - p) && *number <= NUMBER_MAX ? p : NULL;
}

int copal_opt_split(const copal_rd *r, copal_msg *m)
{
  const uint8_t *p = r->ptr;
  const uint8_t *end = p + r->left;
  uint32_t number = 0;
  size_t len;
  m->options.ptr = p;
  while (p != end && *p != COPAL_PAYLOAD_MARKER) {
    p = head_get(p, end, &number, &len);
    if (p == NULL)
      return COPAL_EFORMAT;
    p += len;
  }
  m->options.len = (size_t)(p - m->options.ptr);
  if (p == end)
    return COPAL_OK;
  m->payload.ptr = ++p;
  m->payload.len = (size_t)(end - p);
  return p != end ? COPAL_OK : COPAL_EFORMAT;
}

copal_opt_iter copal_opt_iter_init(copal_span options)
{
  return (copal_opt_iter){{options.ptr, options.len, COPAL_OK}, 0};
}

bool copal_opt_next(copal_opt_iter *it, copal_opt *opt)
{
  if (it->rd.left == 0)
    return false;
  const uint8_t *end = it->rd.ptr + it->rd.left;
  const uint8_t *value = head_get(it->rd.ptr, end, &it->number, &opt->value.len);
  if (value == NULL) {
    it->rd.left = 0;
    it->rd.err = COPAL_EFORMAT;
    return false;
  }
  opt->number = (uint16_t)it->number;
  opt->value.ptr = value;
  it->rd.ptr = value + opt->value.len;
  it->rd.left = (size_t)(end - it->rd.ptr);
  return true;
}

bool copal_opt_find(copal_span options, uint16_t number, copal_span *value)
{
  copal_opt_iter it = copal_opt_iter_init(options);
  copal_opt opt;
  while (copal_opt_next(&it, &opt) && opt.number <= number) {
    if (opt.number == number) {
      *value = opt.value;
      return true;
    }
  }
  return false;
}
