/* SPDX-License-Identifier: Apache-2.0 */
/* A registration as it is stored. */
#include "service/registration.h"

#include <string.h>

#include "copal/error.h"

enum {
  VERSION = 1,
  HEAD_SIZE = 12,      /* bytes before our side of the way */
  LENGTHS_SIZE = 7,    /* of the four parts behind it */
  HAS_BLOCK2 = 1 << 0, /* flags */
  IS_FETCH = 1 << 1,
  TOKEN_MAX = 8,
};

static copal_span prefix(void)
{
  return copal_span_str(REGISTRATION_PREFIX);
}

void registration_put_key(copal_wr *w, const handler_way *way, copal_span token)
{
  copal_wr_span(w, prefix());
  copal_wr_u8(w, way->who_len);
  copal_wr_span(w, copal_span_of(way->who, way->who_len));
  copal_wr_span(w, token);
}

size_t registration_size(const registration *r)
{
  return HEAD_SIZE + LENGTHS_SIZE + r->way.side_len + r->key.len + r->query.len + r->fetch.len;
}

static void put_long(copal_wr *w, copal_span s)
{
  copal_wr_u16(w, (uint16_t)s.len);
  copal_wr_span(w, s);
}

void registration_put(copal_wr *w, const registration *r)
{
  const unsigned flags = (r->has_block2 ? HAS_BLOCK2 : 0) | (r->is_fetch ? IS_FETCH : 0);
  copal_wr_u8(w, VERSION);
  copal_wr_u8(w, r->request_code);
  copal_wr_u8(w, (uint8_t)flags);
  copal_wr_u8(w, r->szx);
  copal_wr_u16(w, r->content_format);
  copal_wr_u16(w, r->fetch_format);
  copal_wr_be(w, r->accept, 4);
  copal_wr_u8(w, r->way.side_len);
  copal_wr_span(w, copal_span_of(r->way.side, r->way.side_len));
  put_long(w, r->key);
  put_long(w, r->query);
  put_long(w, r->fetch);
}

static bool get_key(registration *r, copal_span key)
{
  copal_rd rd = copal_rd_init(key);
  const copal_span begin = copal_rd_span(&rd, prefix().len);
  r->way.who_len = copal_rd_u8(&rd);
  const copal_span who = copal_rd_span(&rd, r->way.who_len);
  r->token = copal_rd_rest(&rd);
  if (rd.err != COPAL_OK || !copal_span_is_equal(begin, prefix()) || who.len > sizeof r->way.who ||
      r->token.len > TOKEN_MAX)
    return false;
  if (who.len > 0)
    memcpy(r->way.who, who.ptr, who.len);
  return true;
}

static copal_span get_long(copal_rd *rd)
{
  const uint16_t len = copal_rd_u16(rd);
  return copal_rd_span(rd, len);
}

static bool get_side(registration *r, copal_rd *rd)
{
  r->way.side_len = copal_rd_u8(rd);
  const copal_span side = copal_rd_span(rd, r->way.side_len);
  if (rd->err != COPAL_OK || side.len > sizeof r->way.side)
    return false;
  if (side.len > 0)
    memcpy(r->way.side, side.ptr, side.len);
  return true;
}

bool registration_get(registration *r, copal_span key, copal_span value)
{
  copal_rd rd = copal_rd_init(value);
  *r = (registration){.request_code = 0};
  if (!get_key(r, key) || copal_rd_u8(&rd) != VERSION)
    return false;
  r->request_code = copal_rd_u8(&rd);
  const uint8_t flags = copal_rd_u8(&rd);
  r->has_block2 = (flags & HAS_BLOCK2) != 0;
  r->is_fetch = (flags & IS_FETCH) != 0;
  r->szx = copal_rd_u8(&rd);
  r->content_format = copal_rd_u16(&rd);
  r->fetch_format = copal_rd_u16(&rd);
  r->accept = copal_rd_be(&rd, 4);
  if (!get_side(r, &rd))
    return false;
  r->key = get_long(&rd);
  r->query = get_long(&rd);
  r->fetch = get_long(&rd);
  return rd.err == COPAL_OK && rd.left == 0 && r->key.len > 0 && r->szx <= 6 &&
         copal_code_is_safe(r->request_code);
}
