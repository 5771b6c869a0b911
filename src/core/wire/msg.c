/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing datagrams. RFC 7252 sections 3 and 4.1 to 4.3, RFC 8974 section 2.1. */
#include "copal/msg.h"
#include "copal/error.h"
#include "copal/registry.h"
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
  m->token = copal_rd_span(r, copal_ext_get(r, tkl));
  return r->err != COPAL_OK ? r->err : copal_opt_split(r, m);
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
  *m = (copal_msg){0};
  copal_rd r = {dgram.ptr, dgram.len, COPAL_OK};
  const uint32_t head = copal_rd_be(&r, COPAL_HEADER_SIZE);
  if (r.err != COPAL_OK)
    return COPAL_ESHORT;
  if (head >> 30 != VERSION)
    return COPAL_EVERSION;
  const unsigned tkl = head >> 24 & 15;
  m->type = (copal_type)(head >> 28 & 3);
  m->code = (copal_code)(head >> 16);
  m->mid = (uint16_t)head;
  const int err = head_check(m, (tkl | r.left) == 0);
  return err != COPAL_OK ? err : copal_msg_parse_body(m, tkl, &r);
}
