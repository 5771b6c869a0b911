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
  if (nibble == EXT_BIAS_8)
    return (uint32_t)EXT_BIAS_8 + copal_rd_u8(r);
  /* More bytes than a reader can read make it fail. */
  return EXT_BIAS_16 + copal_rd_be(r, nibble == EXT_NIBBLE_16 ? 2 : SIZE_MAX);
}

/* Reads the header of an option from a reader that is not empty; its value is what is read next.
 * Most options have neither a delta nor a length above 12, and this is where a parser spends its
 * time, so those take one byte without any calls. */
static inline size_t head_get(copal_rd *r, uint32_t *number)
{
  const unsigned first = *r->ptr++;
  r->left--;
  uint32_t delta = first >> 4;
  size_t len = first & 15;
  if (delta >= EXT_BIAS_8 || len >= EXT_BIAS_8) {
    delta = copal_ext_get(r, (unsigned)delta);
    len = copal_ext_get(r, (unsigned)len);
  }
  *number += delta;
  if (len > r->left || *number > NUMBER_MAX)
    r->err = COPAL_EFORMAT;
  return len;
}

int copal_opt_split(copal_span body, copal_span *options, copal_span *payload)
{
  copal_rd r = copal_rd_init(body);
  uint32_t number = 0;
  while (r.left > 0 && *r.ptr != COPAL_PAYLOAD_MARKER) {
    const size_t len = head_get(&r, &number);
    if (r.err != COPAL_OK)
      return r.err;
    r.ptr += len;
    r.left -= len;
  }
  *options = copal_span_of(body.ptr, body.len - r.left);
  *payload = copal_span_none();
  if (r.left == 0)
    return COPAL_OK;
  *payload = copal_span_of(r.ptr + 1, r.left - 1);
  return payload->len > 0 ? COPAL_OK : COPAL_EFORMAT;
}

copal_opt_iter copal_opt_iter_init(copal_span options)
{
  copal_opt_iter it;
  it.rd = copal_rd_init(options);
  it.number = 0;
  return it;
}

bool copal_opt_next(copal_opt_iter *it, copal_opt *opt)
{
  if (it->rd.left == 0)
    return false;
  const size_t len = head_get(&it->rd, &it->number);
  if (it->rd.err != COPAL_OK) {
    it->rd.left = 0;
    return false;
  }
  opt->number = (uint16_t)it->number;
  opt->value = copal_span_of(it->rd.ptr, len);
  it->rd.ptr += len;
  it->rd.left -= len;
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
