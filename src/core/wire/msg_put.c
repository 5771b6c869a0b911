/* SPDX-License-Identifier: Apache-2.0 */
/* Writing datagrams. RFC 7252 section 3, RFC 8974 section 2.1. */
#include "copal/error.h"
#include "copal/msg.h"
#include "core/base/cursor_join.h"
#include "core/wire/extended.h"
#include "core/wire/msg_body.h"

enum { VERSION_BITS = 1 << 6 };

int copal_msg_put_body(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  copal_opt_wr o = {w, 0};
  if (opts == NULL)
    copal_wr_join(w, NULL, 0, m->options);
  else
    for (; opt_count > 0; opt_count--, opts++)
      copal_opt_put(&o, opts->number, opts->value);
  const uint8_t marker = COPAL_PAYLOAD_MARKER;
  if (m->payload.len > 0)
    copal_wr_join(w, &marker, 1, m->payload);
  return w->err;
}

void copal_msg_put_head(copal_wr *w, const copal_msg *m)
{
  uint8_t head[COPAL_HEADER_SIZE + EXT_SIZE_MAX];
  uint8_t *p = head + COPAL_HEADER_SIZE;
  const unsigned tkl = ext_put(w, &p, m->token.len);
  head[0] = (uint8_t)(VERSION_BITS | (unsigned)m->type << 4 | tkl);
  head[1] = m->code;
  head[2] = (uint8_t)(m->mid >> 8);
  head[3] = (uint8_t)m->mid;
  copal_wr_join(w, head, (size_t)(p - head), m->token);
}

int copal_msg_write(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  copal_msg_put_head(w, m);
  return copal_msg_put_body(w, m, opts, opt_count);
}

int copal_msg_write_empty(copal_wr *w, copal_type type, uint16_t mid)
{
  const copal_msg m = {.type = type, .mid = mid};
  copal_msg_put_head(w, &m);
  return w->err;
}
