/* SPDX-License-Identifier: Apache-2.0 */
/* Slicing response bodies into blocks. */
#include "core/proto/slice.h"

#include "core/wire/option_check.h"

enum { SZX_BIAS = 4 }; /* RFC 7959 section 2.2: block size is 2^(SZX + 4) */

uint32_t slice_understood(void)
{
  return COPAL_CRITICAL_BIT(COPAL_OPT_BLOCK2);
}

int slice_read(const copal_ep *ep, turn *t)
{
  reply_rules *rules = &t->rules;
  copal_span value;
  if (!turn_find(t, COPAL_OPT_BLOCK2, &value))
    return COPAL_OK;
  const int err = copal_block_parse(value, &rules->block2);
  rules->has_block2 = !err;
  if (rules->block2.szx > ep->cfg.szx_max) {
    rules->block2.num <<= rules->block2.szx - ep->cfg.szx_max;
    rules->block2.szx = ep->cfg.szx_max;
  }
  return err;
}

static size_t smaller(size_t a, size_t b)
{
  return a < b ? a : b;
}

static void add(own_opt *own, size_t *count, uint16_t number, uint32_t value)
{
  own[(*count)++] = (own_opt){number, value};
}

/* Cuts the block at `offset` out of what the handler supplied. */
static int cut_block(const copal_response *r, uint32_t total, uint32_t offset, uint8_t szx,
                     bool is_qblock2, own_opt *own, size_t *count, copal_span *part)
{
  const size_t size = copal_block_size(szx);
  const uint32_t have_end = r->offset + (uint32_t)r->payload.len;

  if ((offset && offset >= total) || offset >> (szx + SZX_BIAS) > COPAL_BLOCK_NUM_MAX)
    return COPAL_EBLOCK;
  if (offset < r->offset || offset > have_end || have_end > total)
    return COPAL_EINVAL;
  const size_t len = smaller(size, have_end - offset);
  const bool more = len < total - offset;
  if (more && len < size)
    return COPAL_EINVAL; /* the handler owes a full block */
  const copal_block block = {.num = offset >> (szx + SZX_BIAS), .more = more, .szx = szx};
  if (!is_qblock2)
    add(own, count, COPAL_OPT_BLOCK2, copal_block_value(block));
  if (offset == 0 || is_qblock2) /* RFC 9177 section 4.6 */
    add(own, count, COPAL_OPT_SIZE2, total);
  if (is_qblock2)
    add(own, count, COPAL_OPT_Q_BLOCK2, copal_block_value(block));
  *part = copal_span_of(r->payload.ptr + (offset - r->offset), len);
  return COPAL_OK;
}

int slice_choose(const copal_ep *ep, const reply_rules *rules, const copal_response *r, size_t room,
                 own_opt *own, size_t *count, copal_span *part)
{
  const uint32_t total = r->total ? r->total : (uint32_t)r->payload.len;
  uint8_t szx = rules->has_block2 ? rules->block2.szx : ep->cfg.szx_max;
  const size_t whole = rules->has_block2 ? 0 : smaller(copal_block_size(szx), room);

  *part = copal_span_of(r->payload.ptr, smaller(r->payload.len, room));
  /* Diagnostics are cut, not sliced. */
  if (copal_code_class(r->code) != COPAL_CLASS_SUCCESS || total <= whole)
    return COPAL_OK;
  while (szx > 0 && copal_block_size(szx) > room)
    szx--;
  if (copal_block_size(szx) > room || (rules->is_qblock2 && szx != rules->block2.szx))
    return COPAL_ENOSPC;
  return cut_block(r, total, rules->has_block2 ? copal_block_offset(rules->block2) : 0, szx,
                   rules->is_qblock2, own, count, part);
}
