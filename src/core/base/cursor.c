/* SPDX-License-Identifier: Apache-2.0 */
/* Cursors that read and write wire structures with a sticky error. */
#include "copal/cursor.h"
#include "copal/error.h"
#include "core/base/cursor_join.h"

enum { BE_MAX = 4 }; /* bytes of the widest integer */

copal_rd copal_rd_init(copal_span bytes)
{
  copal_rd r;
  r.ptr = bytes.ptr;
  r.left = bytes.len;
  r.err = COPAL_OK;
  return r;
}

const uint8_t *copal_rd_take(copal_rd *r, size_t n)
{
  const uint8_t *p = r->ptr;
  /* A failed reader has nothing left, so every later read fails as well. */
  if (n > r->left) {
    r->left = 0;
    r->err = COPAL_EFORMAT;
    return NULL;
  }
  r->left -= n;
  /* An empty reader may stand on NULL, to which nothing may be added. */
  if (n > 0)
    r->ptr = p + n;
  return p;
}

uint32_t copal_be(const uint8_t *p, size_t n)
{
  uint32_t v = 0;
  for (; n > 0; n--)
    v = v << 8 | *p++;
  return v;
}

copal_span copal_rd_span(copal_rd *r, size_t n)
{
  const uint8_t *p = copal_rd_take(r, n);
  return r->err == COPAL_OK ? copal_span_of(p, n) : copal_span_none();
}

uint32_t copal_rd_be(copal_rd *r, size_t n)
{
  const uint8_t *p = copal_rd_take(r, n <= BE_MAX ? n : SIZE_MAX);
  return p != NULL ? copal_be(p, n) : 0;
}

uint8_t copal_rd_u8(copal_rd *r)
{
  return (uint8_t)copal_rd_be(r, 1);
}

uint16_t copal_rd_u16(copal_rd *r)
{
  return (uint16_t)copal_rd_be(r, 2);
}

copal_rd copal_rd_sub(copal_rd *r, size_t n)
{
  copal_rd sub = copal_rd_init(copal_rd_span(r, n));
  sub.err = r->err;
  return sub;
}

copal_span copal_rd_rest(const copal_rd *r)
{
  return copal_span_of(r->ptr, r->left);
}

copal_wr copal_wr_init(copal_mspan room)
{
  copal_wr w;
  w.buf = room.ptr;
  w.len = 0;
  w.cap = room.len;
  w.err = COPAL_OK;
  return w;
}

static void fill_be(uint8_t *p, uint32_t v, size_t n)
{
  while (n > 0) {
    p[--n] = (uint8_t)v;
    v >>= 8;
  }
}

void copal_wr_fail(copal_wr *w, int err)
{
  if (w->err == COPAL_OK)
    w->err = err;
  w->cap = w->len;
}

/* Where the byte at that offset goes. Room for nothing may be NULL, to which not even nothing may
 * be added; to a number it may. */
static uint8_t *room_at(const copal_wr *w, size_t at)
{
  return (uint8_t *)((uintptr_t)w->buf + at);
}

void copal_wr_pair(copal_wr *w, const uint8_t *head, size_t head_len, const copal_span *rest)
{
  const size_t n = rest->len;
  const size_t at = w->len;
  if (head_len + n > w->cap - at) { /* nothing in memory is so long that this wraps */
    copal_wr_fail(w, COPAL_ENOSPC);
    return;
  }
  w->len = at + head_len + n;
  wr_few(room_at(w, at), head, head_len);
  wr_run(room_at(w, at + head_len), rest->ptr, n);
}

void copal_wr_bytes(copal_wr *w, const uint8_t *bytes, size_t n)
{
  const copal_span rest = {bytes, n};
  copal_wr_pair(w, NULL, 0, &rest);
}

void copal_wr_span(copal_wr *w, copal_span s)
{
  copal_wr_bytes(w, s.ptr, s.len);
}

void copal_wr_be(copal_wr *w, uint32_t v, size_t n)
{
  uint8_t bytes[BE_MAX];
  if (n > BE_MAX) {
    copal_wr_fail(w, COPAL_EINVAL);
    return;
  }
  fill_be(bytes, v, n);
  copal_wr_bytes(w, bytes, n);
}

void copal_wr_u8(copal_wr *w, uint8_t v)
{
  copal_wr_be(w, v, 1);
}

void copal_wr_u16(copal_wr *w, uint16_t v)
{
  copal_wr_be(w, v, 2);
}

size_t copal_wr_mark(copal_wr *w, size_t n)
{
  const size_t at = w->len;
  for (; n > 0; n--)
    copal_wr_u8(w, 0);
  return at;
}

void copal_wr_patch(copal_wr *w, size_t mark, uint32_t v, size_t n)
{
  if (w->err == COPAL_OK)
    fill_be(w->buf + mark, v, n);
}

copal_span copal_wr_done(const copal_wr *w)
{
  return copal_span_of(w->buf, w->len);
}

size_t copal_uint_size(uint32_t v)
{
  size_t n = 0;
  for (; v != 0; v >>= 8)
    n++;
  return n;
}
