/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing datagrams. RFC 7252 sections 3 and 4.1 to 4.3, RFC 8974 section 2.1. */
#include "copal/msg.h"
#include "copal/error.h"
#include "core/wire/extended.h"
#include "core/wire/msg_body.h"
#include "core/wire/option_split.h"

enum { VERSION = 1 };

int copal_msg_parse_body(copal_msg *m, unsigned tkl, copal_span body)
{
  copal_span token = copal_span_of(body.ptr, tkl);
  if (tkl >= EXT_BIAS_8) {
    copal_rd r = copal_rd_init(body);
    token.len = copal_ext_get(&r, tkl);
    if (r.err != COPAL_OK)
      return r.err;
    token.ptr = r.ptr;
    body = copal_rd_rest(&r);
  }
  if (token.len > body.len)
    return COPAL_EFORMAT;
  m->token = token;
  return copal_opt_split(copal_span_of(body.ptr + token.len, body.len - token.len), &m->options,
                         &m->payload);
}

/* What is wrong with type and code, if anything. */
static int head_check(const copal_msg *m, bool is_bare)
{
  if (copal_code_is_empty(m->code)) {
    if (m->type == COPAL_NON)
      return COPAL_ENONEMPTYNON;
    return is_bare ? COPAL_OK : COPAL_EEMPTY;
  }
  if (m->type == COPAL_RST || (m->type == COPAL_ACK && copal_code_is_request(m->code)))
    return COPAL_ENONEMPTY;
  return copal_code_is_request(m->code) || copal_code_is_response(m->code) ? COPAL_OK
                                                                           : COPAL_ECLASS;
}

int copal_msg_parse(copal_span dgram, copal_msg *m)
{
  *m = (copal_msg){0};
  if (dgram.len < COPAL_HEADER_SIZE)
    return COPAL_ESHORT;
  const uint8_t *p = dgram.ptr;
  const unsigned tkl = p[0] & 15;
  if (p[0] >> 6 != VERSION)
    return COPAL_EVERSION;
  m->type = (copal_type)(p[0] >> 4 & 3);
  m->code = p[1];
  m->mid = (uint16_t)(p[2] << 8 | p[3]);
  const copal_span body = copal_span_of(p + COPAL_HEADER_SIZE, dgram.len - COPAL_HEADER_SIZE);
  const int err = head_check(m, tkl == 0 && body.len == 0);
  if (err != COPAL_OK)
    return err;
  return copal_msg_parse_body(m, tkl, body);
}
