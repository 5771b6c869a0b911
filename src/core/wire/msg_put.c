/* SPDX-License-Identifier: Apache-2.0 */
/* Writing datagrams. RFC 7252 section 3, RFC 8974 section 2.1. */
#include <string.h>

#include "copal/error.h"
#include "copal/msg.h"
#include "core/base/cursor_room.h"
#include "core/wire/extended.h"
#include "core/wire/msg_body.h"

enum { VERSION_BITS = 1 << 6 };

uint8_t *copal_msg_put_token(copal_wr *w, size_t fixed, copal_span token, unsigned *nibble)
{
  if (token.len > COPAL_TOKEN_EXTENDED_MAX && w->err == COPAL_OK)
    w->err = COPAL_EINVAL;
  const size_t size = ext_size(token.len);
  uint8_t *head = copal_wr_room(w, fixed + size + token.len);
  if (head == NULL)
    return NULL;
  *nibble = ext_nibble(token.len, size);
  uint8_t *p = ext_put(head + fixed, token.len, size);
  if (token.len > 0)
    memcpy(p, token.ptr, token.len);
  return head;
}

void copal_msg_put_body(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  if (opts == NULL)
    copal_wr_span(w, m->options);
  copal_opt_wr o = copal_opt_wr_init(w);
  for (size_t i = 0; opts != NULL && i < opt_count; i++)
    copal_opt_put(&o, opts[i].number, opts[i].value);
  if (m->payload.len == 0)
    return;
  copal_wr_u8(w, COPAL_PAYLOAD_MARKER);
  copal_wr_span(w, m->payload);
}

void copal_msg_put_head(copal_wr *w, const copal_msg *m)
{
  unsigned tkl;
  uint8_t *p = copal_msg_put_token(w, COPAL_HEADER_SIZE, m->token, &tkl);
  if (p == NULL)
    return;
  p[0] = (uint8_t)(VERSION_BITS | (unsigned)m->type << 4 | tkl);
  p[1] = m->code;
  p[2] = (uint8_t)(m->mid >> 8);
  p[3] = (uint8_t)m->mid;
}

int copal_msg_write(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  copal_msg_put_head(w, m);
  copal_msg_put_body(w, m, opts, opt_count);
  return w->err;
}

int copal_msg_write_empty(copal_wr *w, copal_type type, uint16_t mid)
{
  const copal_msg m = {.type = type, .mid = mid};
  copal_msg_put_head(w, &m);
  return w->err;
}
