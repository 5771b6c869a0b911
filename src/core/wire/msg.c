/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing datagrams. RFC 7252 sections 3 and 4.1 to 4.3, RFC 8974 section 2.1. */
#include "copal/msg.h"
#include "copal/error.h"
#include "copal/registry.h"
#include "core/base/cursor_join.h"
#include "core/wire/msg_body.h"
#include "core/wire/option_split.h"

enum {
  VERSION = 1,
  /* A bit for each class that a datagram may carry. */
  CLASSES = 1 << COPAL_CLASS_REQUEST | 1 << COPAL_CLASS_SUCCESS | 1 << COPAL_CLASS_CLIENT_ERROR |
            1 << COPAL_CLASS_SERVER_ERROR,
};

int copal_msg_parse_body(copal_msg *m, unsigned tkl, copal_rd *r)
{
  const size_t len = copal_ext_get(r, tkl);
  m->token.ptr = copal_rd_take(r, len);
  if (r->err != COPAL_OK)
    return r->err;
  m->token.len = len;
  return copal_opt_split(r, m);
}

/* What is wrong with type and code, if anything. */
static int head_check(const copal_msg *m, bool is_bare)
{
  if (m->code == COPAL_CODE_EMPTY) {
    if (m->type == COPAL_NON)
      return COPAL_ENONEMPTYNON;
    return is_bare ? COPAL_OK : COPAL_EEMPTY;
  }
  const unsigned cls = copal_code_class(m->code);
  if (m->type == COPAL_RST || (m->type == COPAL_ACK && cls == COPAL_CLASS_REQUEST))
    return COPAL_ENONEMPTY;
  return (CLASSES >> cls & 1) != 0 ? COPAL_OK : COPAL_ECLASS;
}

int copal_msg_parse(copal_span dgram, copal_msg *m)
{
  m->type = COPAL_CON;
  m->code = COPAL_CODE_EMPTY;
  m->mid = 0;
  m->token.ptr = m->options.ptr = m->payload.ptr = NULL;
  m->token.len = m->options.len = m->payload.len = 0;
  if (dgram.len < COPAL_HEADER_SIZE)
    return COPAL_ESHORT;
  const uint8_t *head = dgram.ptr;
  if (head[0] >> 6 != VERSION)
    return COPAL_EVERSION;
  const unsigned tkl = head[0] & 15;
  m->type = (copal_type)(head[0] >> 4 & 3);
  m->code = head[1];
  m->mid = (uint16_t)(head[2] << 8 | head[3]);
  copal_rd r = {head + COPAL_HEADER_SIZE, dgram.len - COPAL_HEADER_SIZE, COPAL_OK};
  const int err = head_check(m, (tkl | r.left) == 0);
  return err != COPAL_OK ? err : copal_msg_parse_body(m, tkl, &r);
}
