/* SPDX-License-Identifier: Apache-2.0 */
/* Walking and checking option runs. RFC 7252 section 3.1. */
#include "copal/option.h"
#include "copal/error.h"
#include "copal/msg.h"
#include "core/base/cursor_join.h"
#include "core/wire/extended.h"
#include "core/wire/option_split.h"

enum { NUMBER_MAX = 0xffff };

uint32_t copal_ext_get(copal_rd *r, unsigned nibble)
{
  if (nibble < EXT_BIAS_8)
    return nibble;
  /* One byte or two; more bytes than there can be make the reader fail. */
  const size_t size = nibble - (EXT_BIAS_8 - 1);
  const uint8_t *p = copal_rd_take(r, size <= EXT_SIZE_MAX ? size : SIZE_MAX);
  if (p == NULL)
    return 0;
  return copal_be(p, size) + (size == 1 ? EXT_BIAS_8 : EXT_BIAS_16);
}

/* The usual option has a header of one byte and a value that is there: every walk spends its time
 * on such, so they are read without a cursor. */
static inline bool is_usual(unsigned head, size_t left)
{
  return head < EXT_BIAS_8 << 4 && (head & 15) < EXT_BIAS_8 && (head & 15) < left;
}

/* What copal_opt_next() does for all other options, malformed ones among them. */
static inline bool next_unusual(copal_opt_iter *it, copal_opt *opt)
{
  copal_rd *r = &it->rd;
  const unsigned head = *copal_rd_take(r, 1);
  const uint32_t number = it->number + copal_ext_get(r, head >> 4);
  it->number = number;
  opt->number = (uint16_t)number;
  opt->value.len = copal_ext_get(r, head & 15);
  /* More bytes than there can be make the reader fail. */
  opt->value.ptr = copal_rd_take(r, number <= NUMBER_MAX ? opt->value.len : SIZE_MAX);
  return r->err == COPAL_OK;
}

int copal_opt_split(const copal_rd *r, copal_msg *m)
{
  const uint8_t *p = r->ptr;
  size_t left = r->left;
  size_t number = 0; /* judged at the end: 32 bits do not wrap in less than 700 MB of options */
  m->options.ptr = p;
  while (left > 0 && *p != COPAL_PAYLOAD_MARKER) {
    const unsigned head = *p;
    if (is_usual(head, left)) {
      const size_t size = 1 + (head & 15);
      number += head >> 4;
      p += size;
      left -= size;
      continue;
    }
    if (sizeof number > sizeof(uint32_t) && number > NUMBER_MAX)
      return COPAL_EFORMAT;
    copal_opt_iter it = {{p, left, COPAL_OK}, (uint32_t)number};
    copal_opt opt;
    if (!next_unusual(&it, &opt))
      return COPAL_EFORMAT;
    p = it.rd.ptr;
    left = it.rd.left;
    number = it.number;
  }
  m->options.len = (size_t)(p - m->options.ptr);
  if (number > NUMBER_MAX)
    return COPAL_EFORMAT;
  if (left == 0)
    return COPAL_OK;
  m->payload = copal_span_of(p + 1, left - 1);
  return m->payload.len > 0 ? COPAL_OK : COPAL_EFORMAT;
}

copal_opt_iter copal_opt_iter_init(copal_span options)
{
  return (copal_opt_iter){{options.ptr, options.len, COPAL_OK}, 0};
}

bool copal_opt_next(copal_opt_iter *it, copal_opt *opt)
{
  const size_t left = it->rd.left;
  if (left == 0)
    return false;
  const uint8_t *p = it->rd.ptr;
  const unsigned head = *p++;
  const size_t len = head & 15;
  const uint32_t number = it->number + (head >> 4);
  if (!is_usual(head, left) || number > NUMBER_MAX)
    return next_unusual(it, opt);
  it->number = number;
  opt->number = (uint16_t)number;
  opt->value = copal_span_of(p, len);
  it->rd.ptr = p + len;
  it->rd.left = left - 1 - len;
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
