/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of the journal, written and read. */
#include "store/journal/batch.h"

#include <stdlib.h>
#include <string.h>

#include "store/journal/crc32c.h"

enum {
  AT_HEADER_CRC = 0,
  AT_MARK = 4,
  AT_NUMBER = 8,
  AT_SIZE = 16,
  AT_BATCH_REV = 24,
  AT_COUNT = 32,
  AT_CRC = 36,

  AT_KIND = 0,
  AT_SPACE = 1,
  AT_FORMAT = 2, /* BATCH_OP: whether it created */
  AT_KEY_LEN = 4,
  AT_REV = 8,
  AT_ETAG = 16,
  AT_WALL = 24, /* BATCH_OP: when it is forgotten */
  AT_MAX_AGE = 32,
  AT_LIFETIME = 36,
  AT_ATTRS_LEN = 40, /* BATCH_OP: of the key that was changed */
  AT_BODY_LEN = 44,

  FIRST_CAP = 64 << 10,
  PAD_MAX = 4096,
};

#define MARK 0x686a6370u /* "pcjh" */

static const uint8_t zeros[PAD_MAX];

static void put_uint(uint8_t *out, uint64_t value, int size)
{
  for (int i = 0; i < size; i++)
    out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_uint(const uint8_t *in, int size)
{
  uint64_t value = 0;
  for (int i = 0; i < size; i++)
    value |= (uint64_t)in[i] << (8 * i);
  return value;
}

/* ------------------------------------------------------------------------------------------------
 * writing */

static bool reserve(batch *b, size_t more)
{
  if (more <= b->cap - b->len)
    return true;
  size_t cap = b->cap == 0 ? FIRST_CAP : b->cap;
  while (cap - b->len < more)
    cap *= 2;
  uint8_t *bytes = realloc(b->bytes, cap);
  if (bytes == NULL)
    return false;
  b->bytes = bytes;
  b->cap = cap;
  return true;
}

static bool reserve_piece(batch *b)
{
  if (b->piece_count < b->piece_cap)
    return true;
  const size_t cap = b->piece_cap == 0 ? 8 : 2 * b->piece_cap;
  batch_piece *pieces = realloc(b->pieces, cap * sizeof *pieces);
  if (pieces == NULL)
    return false;
  b->pieces = pieces;
  b->piece_cap = cap;
  return true;
}

bool batch_begin(batch *b)
{
  b->len = 0;
  b->piece_count = 0;
  b->count = 0;
  if (!reserve(b, BATCH_HEADER_SIZE))
    return false;
  b->len = b->size = BATCH_HEADER_SIZE;
  return true;
}

static uint8_t *append(uint8_t *at, copal_span bytes)
{
  if (bytes.len > 0)
    memcpy(at, bytes.ptr, bytes.len);
  return at + bytes.len;
}

static size_t padding_of(size_t len)
{
  return (BATCH_ALIGN - len % BATCH_ALIGN) % BATCH_ALIGN;
}

/* The variable parts behind the fixed one: key, attributes, body. */
static void spans_of(const batch_record *r, copal_span out[3])
{
  out[0] = r->key;
  out[1] = out[2] = copal_span_none();
  if (r->kind == BATCH_OP) {
    out[1] = r->op.key;
  } else if (r->kind == BATCH_PUT) {
    out[1] = r->rec.item.attrs;
    out[2] = r->rec.item.body;
  }
}

static void put_fixed(const batch_record *r, const copal_span parts[3], uint8_t *out)
{
  memset(out, 0, BATCH_RECORD_SIZE);
  out[AT_KIND] = (uint8_t)r->kind;
  out[AT_SPACE] = (uint8_t)r->space;
  put_uint(out + AT_KEY_LEN, parts[0].len, 4);
  put_uint(out + AT_ATTRS_LEN, parts[1].len, 4);
  put_uint(out + AT_BODY_LEN, parts[2].len, 4);
  switch (r->kind) {
  case BATCH_PUT:
    put_uint(out + AT_FORMAT, r->rec.item.content_format, 2);
    put_uint(out + AT_REV, r->rec.item.rev, 8);
    memcpy(out + AT_ETAG, r->rec.item.etag.bytes, STORE_ETAG_SIZE);
    put_uint(out + AT_WALL, r->rec.wall, 8);
    put_uint(out + AT_MAX_AGE, r->rec.item.max_age_s, 4);
    put_uint(out + AT_LIFETIME, r->rec.item.lifetime_s, 4);
    return;
  case BATCH_DELETE: put_uint(out + AT_REV, r->rev, 8); return;
  case BATCH_OP:
    put_uint(out + AT_FORMAT, r->op.created, 2);
    put_uint(out + AT_REV, r->op.rev, 8);
    memcpy(out + AT_ETAG, r->op.etag.bytes, STORE_ETAG_SIZE);
    put_uint(out + AT_WALL, r->op.expiry, 8);
    return;
  }
}

bool batch_add(batch *b, const batch_record *r, uint64_t *body_at)
{
  copal_span parts[3];
  spans_of(r, parts);
  const bool is_lent = parts[2].len >= BATCH_LENT_MIN;
  const size_t head = BATCH_RECORD_SIZE + parts[0].len + parts[1].len;
  const size_t pad = padding_of(head + parts[2].len);
  const size_t copied = head + (is_lent ? 0 : parts[2].len) + pad;
  if (!reserve(b, copied) || (is_lent && !reserve_piece(b)))
    return false;
  uint8_t *at = b->bytes + b->len;
  put_fixed(r, parts, at);
  at = append(at + BATCH_RECORD_SIZE, parts[0]);
  at = append(at, parts[1]);
  if (is_lent)
    b->pieces[b->piece_count++] = (batch_piece){.at = b->len + head, .bytes = parts[2]};
  else
    at = append(at, parts[2]);
  memset(at, 0, pad);
  if (body_at != NULL)
    *body_at = b->size + head;
  b->len += copied;
  b->size += head + parts[2].len + pad;
  b->count++;
  return true;
}

batch_mark batch_mark_now(const batch *b)
{
  return (batch_mark){
      .len = b->len, .piece_count = b->piece_count, .size = b->size, .count = b->count};
}

void batch_return(batch *b, batch_mark to)
{
  b->len = to.len;
  b->piece_count = to.piece_count;
  b->size = to.size;
  b->count = to.count;
}

static uint32_t salted(uint64_t salt)
{
  uint8_t bytes[8];
  put_uint(bytes, salt, 8);
  return crc32c(0, copal_span_of(bytes, sizeof bytes));
}

static struct iovec iovec_of(const uint8_t *bytes, size_t len)
{
  return (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
}

/* Buffer and lent bodies in turn, then the zeros. */
static int lay_out(batch *b, size_t pad)
{
  int count = 0;
  size_t from = 0;
  for (size_t i = 0; i < b->piece_count; i++) {
    b->iov[count++] = iovec_of(b->bytes + from, b->pieces[i].at - from);
    b->iov[count++] = iovec_of(b->pieces[i].bytes.ptr, b->pieces[i].bytes.len);
    from = b->pieces[i].at;
  }
  b->iov[count++] = iovec_of(b->bytes + from, b->len - from);
  if (pad > 0)
    b->iov[count++] = iovec_of(zeros, pad);
  return count;
}

int batch_seal(batch *b, uint64_t number, store_rev rev, uint64_t salt, size_t pad)
{
  if (pad > PAD_MAX)
    return 0;
  struct iovec *iov = realloc(b->iov, (2 * b->piece_count + 2) * sizeof *iov);
  if (iov == NULL)
    return 0;
  b->iov = iov;
  const int count = lay_out(b, pad);
  uint32_t crc = salted(salt);
  size_t skip = BATCH_HEADER_SIZE;
  for (int i = 0; i < count - (pad > 0); i++) {
    const uint8_t *base = iov[i].iov_base;
    crc = crc32c(crc, copal_span_of(base + skip, iov[i].iov_len - skip));
    skip = 0;
  }
  uint8_t *out = b->bytes;
  put_uint(out + AT_MARK, MARK, 4);
  put_uint(out + AT_NUMBER, number, 8);
  put_uint(out + AT_SIZE, b->size, 8);
  put_uint(out + AT_BATCH_REV, rev, 8);
  put_uint(out + AT_COUNT, b->count, 4);
  put_uint(out + AT_CRC, crc, 4);
  put_uint(out, crc32c(salted(salt), copal_span_of(out + AT_MARK, BATCH_HEADER_SIZE - AT_MARK)), 4);
  return count;
}

void batch_wipe(batch *b)
{
  free(b->bytes);
  free(b->pieces);
  free(b->iov);
  *b = (batch){.bytes = NULL};
}

/* ------------------------------------------------------------------------------------------------
 * reading */

bool batch_get_header(copal_span bytes, uint64_t salt, batch_header *h)
{
  if (bytes.len < BATCH_HEADER_SIZE || get_uint(bytes.ptr + AT_MARK, 4) != MARK)
    return false;
  const copal_span covered = copal_span_of(bytes.ptr + AT_MARK, BATCH_HEADER_SIZE - AT_MARK);
  if (get_uint(bytes.ptr + AT_HEADER_CRC, 4) != crc32c(salted(salt), covered))
    return false;
  *h = (batch_header){
      .number = get_uint(bytes.ptr + AT_NUMBER, 8),
      .size = get_uint(bytes.ptr + AT_SIZE, 8),
      .rev = get_uint(bytes.ptr + AT_BATCH_REV, 8),
      .count = (uint32_t)get_uint(bytes.ptr + AT_COUNT, 4),
      .crc = (uint32_t)get_uint(bytes.ptr + AT_CRC, 4),
  };
  return h->size >= BATCH_HEADER_SIZE && h->size % BATCH_ALIGN == 0;
}

bool batch_is_whole(copal_span bytes, const batch_header *h, uint64_t salt)
{
  const copal_span contents =
      copal_span_of(bytes.ptr + BATCH_HEADER_SIZE, bytes.len - BATCH_HEADER_SIZE);
  return crc32c(salted(salt), contents) == h->crc;
}

static void get_item(const uint8_t *p, copal_span attrs, copal_span body, record *rec)
{
  *rec = (record){
      .item = {.rev = get_uint(p + AT_REV, 8),
               .content_format = (uint16_t)get_uint(p + AT_FORMAT, 2),
               .max_age_s = (uint32_t)get_uint(p + AT_MAX_AGE, 4),
               .lifetime_s = (uint32_t)get_uint(p + AT_LIFETIME, 4),
               .attrs = attrs,
               .body = body},
      .wall = get_uint(p + AT_WALL, 8),
  };
  memcpy(rec->item.etag.bytes, p + AT_ETAG, STORE_ETAG_SIZE);
}

static void get_op(const uint8_t *p, copal_span key, store_space space, op_record *op)
{
  *op = (op_record){
      .rev = get_uint(p + AT_REV, 8),
      .expiry = get_uint(p + AT_WALL, 8),
      .space = space,
      .created = get_uint(p + AT_FORMAT, 2) != 0,
      .key = key,
  };
  memcpy(op->etag.bytes, p + AT_ETAG, STORE_ETAG_SIZE);
}

/* Kinds and lengths that a writer may have meant. */
static bool is_plausible(const batch_record *r, copal_span attrs, copal_span body)
{
  if (r->space != STORE_RESOURCES && r->space != STORE_STATE)
    return false;
  switch (r->kind) {
  case BATCH_PUT: return r->key.len > 0 && r->key.len <= STORE_KEY_MAX;
  case BATCH_DELETE:
    return r->key.len > 0 && r->key.len <= STORE_KEY_MAX && attrs.len == 0 && body.len == 0;
  case BATCH_OP: return r->key.len == STORE_OPID_SIZE && body.len == 0;
  }
  return false;
}

bool batch_get_record(copal_span *rest, batch_record *r)
{
  if (rest->len < BATCH_RECORD_SIZE)
    return false;
  const uint8_t *p = rest->ptr;
  const size_t key_len = (size_t)get_uint(p + AT_KEY_LEN, 4);
  const size_t attrs_len = (size_t)get_uint(p + AT_ATTRS_LEN, 4);
  const size_t body_len = (size_t)get_uint(p + AT_BODY_LEN, 4);
  const size_t size = BATCH_RECORD_SIZE + key_len + attrs_len + body_len;
  const size_t pad = padding_of(size);
  if (rest->len < size + pad)
    return false;
  const uint8_t *key = p + BATCH_RECORD_SIZE;
  const copal_span attrs = copal_span_of(key + key_len, attrs_len);
  const copal_span body = copal_span_of(key + key_len + attrs_len, body_len);
  *r = (batch_record){.kind = (batch_kind)p[AT_KIND],
                      .space = (store_space)p[AT_SPACE],
                      .key = copal_span_of(key, key_len),
                      .rev = get_uint(p + AT_REV, 8)};
  if (!is_plausible(r, attrs, body))
    return false;
  if (r->kind == BATCH_PUT)
    get_item(p, attrs, body, &r->rec);
  else if (r->kind == BATCH_OP)
    get_op(p, attrs, r->space, &r->op);
  *rest = copal_span_of(p + size + pad, rest->len - size - pad);
  return true;
}
