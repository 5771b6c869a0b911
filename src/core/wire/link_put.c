/* SPDX-License-Identifier: Apache-2.0 */
/* Writing link-format documents. RFC 6690 section 2. */
#include "copal/link.h"
#include "core/wire/decimal.h"

enum { DELETE = 0x7f };

/* True for what a quoted-string cannot hold as itself, RFC 2616 section 2.2. */
static bool needs_escape(uint8_t c)
{
  return c == '"' || c == '\\' || c == DELETE || (c < ' ' && c != '\t');
}

copal_link_wr copal_link_wr_init(copal_wr *w)
{
  copal_link_wr l;
  l.w = w;
  l.is_first = true;
  return l;
}

void copal_link_put(copal_link_wr *l, copal_span target)
{
  if (!l->is_first)
    copal_wr_u8(l->w, ',');
  l->is_first = false;
  copal_wr_u8(l->w, '<');
  copal_wr_span(l->w, target);
  copal_wr_u8(l->w, '>');
}

void copal_link_put_flag(copal_link_wr *l, copal_span name)
{
  copal_wr_u8(l->w, ';');
  copal_wr_span(l->w, name);
}

void copal_link_put_text(copal_link_wr *l, copal_span name, copal_span value)
{
  copal_link_put_flag(l, name);
  copal_wr_u8(l->w, '=');
  copal_wr_u8(l->w, '"');
  for (size_t i = 0; i < value.len; i++) {
    if (needs_escape(value.ptr[i]))
      copal_wr_u8(l->w, '\\');
    copal_wr_u8(l->w, value.ptr[i]);
  }
  copal_wr_u8(l->w, '"');
}

void copal_link_put_uint(copal_link_wr *l, copal_span name, uint32_t value)
{
  copal_link_put_flag(l, name);
  copal_wr_u8(l->w, '=');
  copal_wr_decimal(l->w, value);
}
