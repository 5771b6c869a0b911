/* SPDX-License-Identifier: Apache-2.0 */
/* Option lists that are built in any order. RFC 7252 section 3.1 wants them sorted by number. */
#include "copal/error.h"
#include "copal/option.h"

copal_opt_list copal_opt_list_init(copal_opt *opts, uint8_t (*uints)[4], size_t cap)
{
  copal_opt_list l;
  l.opts = opts;
  l.uints = uints;
  l.count = 0;
  l.cap = cap;
  l.err = COPAL_OK;
  return l;
}

/* Moves entry `from` to `to`; a value that lives in the entry's own buffer moves along. */
static void entry_move(copal_opt_list *l, size_t from, size_t to)
{
  l->opts[to] = l->opts[from];
  const size_t len = l->opts[from].value.len;
  const size_t at = sizeof l->uints[0] - len;
  if (len == 0 || len > sizeof l->uints[0] || l->opts[from].value.ptr != l->uints[from] + at)
    return;
  for (size_t i = at; i < sizeof l->uints[0]; i++)
    l->uints[to][i] = l->uints[from][i];
  l->opts[to].value.ptr = l->uints[to] + at;
}

/* Opens a gap behind the last entry whose number is not above `number`. Returns its index, or the
 * capacity when the list is full. */
static size_t gap_open(copal_opt_list *l, uint16_t number)
{
  if (l->count >= l->cap) {
    l->err = COPAL_ENOSPC;
    return l->cap;
  }
  size_t at = l->count++;
  for (; at > 0 && l->opts[at - 1].number > number; at--)
    entry_move(l, at - 1, at);
  l->opts[at].number = number;
  return at;
}

void copal_opt_list_add(copal_opt_list *l, uint16_t number, copal_span value)
{
  const size_t at = gap_open(l, number);
  if (at < l->cap)
    l->opts[at].value = value;
}

void copal_opt_list_add_uint(copal_opt_list *l, uint16_t number, uint32_t value)
{
  const size_t at = gap_open(l, number);
  if (at >= l->cap)
    return;
  /* Right-aligned, so that the shortest form is the tail of the buffer. */
  const size_t size = copal_uint_size(value);
  for (size_t i = sizeof l->uints[0]; i > 0; i--, value >>= 8)
    l->uints[at][i - 1] = (uint8_t)value;
  l->opts[at].value = copal_span_of(l->uints[at] + sizeof l->uints[0] - size, size);
}
