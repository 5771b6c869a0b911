/* SPDX-License-Identifier: Apache-2.0 */
/* Writing datagrams. RFC 7252 section 3, RFC 8974 section 2.1. */
#include "copal/error.h"
#include "copal/msg.h"
#include "copal/registry.h"
#include "core/wire/extended.h"
#include "core/wire/msg_body.h"
#include "core/wire/option_next.h"

enum { VERSION_BITS = 1 << 6 };

/* Usual options, which have a header of one byte and fit, are written in place. */
static void put_options(copal_wr *w, const copal_opt *opt, size_t count)
{
  size_t last = 0;
  for (; count > 0; count--, opt++) {
    const size_t delta = opt->number - last;
    const size_t len = opt->value.len;
    const size_t at = w->len;
    last = opt->number;
    if (delta < EXT_BIAS_8 && len < EXT_BIAS_8 && len < w->cap - at) {
      uint8_t *p = w->buf + at;
      w->len = at + 1 + len;
      *p++ = (uint8_t)(delta << 4 | len);
      wr_few(p, opt->value.ptr, len);
    } else {
      copal_opt_put_next(w, delta, &opt->value);
    }
  }
}

int copal_msg_put_body(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  if (opts == NULL)
    copal_wr_pair(w, NULL, 0, &m->options);
  else
    put_options(w, opts, opt_count);
  msg_put_payload(w, &m->payload);
  return w->err;
}

void copal_msg_put_head(copal_wr *w, const copal_msg *m)
{
  uint8_t ext[EXT_SIZE_MAX];
  uint8_t *end = ext;
  const unsigned tkl = ext_put(w, &end, m->token.len);
  const size_t at = w->len;
  if (w->cap - at < COPAL_HEADER_SIZE) {
    copal_wr_fail(w, COPAL_ENOSPC);
    return;
  }
  uint8_t *p = w->buf + at;
  w->len = at + COPAL_HEADER_SIZE;
  p[0] = (uint8_t)(VERSION_BITS | (unsigned)m->type << 4 | tkl);
  p[1] = m->code;
  p[2] = (uint8_t)(m->mid >> 8);
  p[3] = (uint8_t)m->mid;
  copal_wr_pair(w, ext, (size_t)(end - ext), &m->token);
}

int copal_msg_write(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count)
{
  copal_msg_put_head(w, m);
  return copal_msg_put_body(w, m, opts, opt_count);
}

int copal_msg_write_empty(copal_wr *w, copal_type type, uint16_t mid)
{
  copal_msg m;
  m.type = type;
  m.code = COPAL_CODE_EMPTY;
  m.mid = mid;
  m.token = copal_span_none();
  copal_msg_put_head(w, &m);
  return w->err;
}
