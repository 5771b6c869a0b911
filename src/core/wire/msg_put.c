/* SPDX-License-Identifier: Apache-2.0 */
/* Writing datagrams. RFC 7252 section 3, RFC 8974 section 2.1. */
#include "copal/error.h"
#include "copal/msg.h"
#include "core/wire/msg_body.h"
#include "core/wire/option_next.h"

enum {
  VERSION_BITS = 1 << 6,
  REST_SIZE = COPAL_HEADER_SIZE - 1, /* code and Message ID */
};

int copal_msg_put_body(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  size_t last = 0;
  if (opts == NULL)
    copal_wr_bytes(w, m->options.ptr, m->options.len);
  else
    for (; opt_count > 0; opt_count--, opts++) {
      opt_put_next(w, opts->number - last, opts->value);
      last = opts->number;
    }
  if (m->payload.len > 0)
    copal_wr_join(w, m->payload.ptr, m->payload.len, COPAL_PAYLOAD_MARKER);
  return w->err;
}

void copal_msg_put_head(copal_wr *w, const copal_msg *m)
{
  uint8_t rest[REST_SIZE + EXT_SIZE_MAX];
  uint8_t *p = rest + REST_SIZE;
  const unsigned tkl = ext_put(w, &p, m->token.len);
  const uint16_t mid = m->mid;
  rest[0] = m->code;
  rest[1] = (uint8_t)(mid >> 8);
  rest[2] = (uint8_t)mid;
  copal_wr_join(w, rest, (size_t)(p - rest), VERSION_BITS | (unsigned)m->type << 4 | tkl);
  copal_wr_bytes(w, m->token.ptr, m->token.len);
}

int copal_msg_write(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  copal_msg_put_head(w, m);
  return copal_msg_put_body(w, m, opts, opt_count);
}

int copal_msg_write_empty(copal_wr *w, copal_type type, uint16_t mid)
{
  const uint8_t rest[REST_SIZE] = {0, (uint8_t)(mid >> 8), (uint8_t)mid};
  copal_wr_join(w, rest, REST_SIZE, VERSION_BITS | (unsigned)type << 4);
  return w->err;
}
