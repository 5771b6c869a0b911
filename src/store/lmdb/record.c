/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the database. */
#include "store/lmdb/record.h"

#include <string.h>

#include "store/memory/keyhash.h"

enum {
  AT_REV = 8, /* behind the checksum of all that follows it */
  AT_ETAG = 16,
  AT_WALL = 24,
  AT_MAX_AGE = 32,
  AT_BODY_LEN = 36,
  AT_ATTRS_LEN = 40, /* three bytes */
  AT_FLAGS = 43,
  AT_PATH_LEN = 44,
  AT_FORMAT = 46,

  FLAG_LIFETIME = 1, /* behind the header */

  AT_OP_REV = 8,
  AT_OP_ETAG = 16,
  AT_OP_EXPIRY = 24,
  AT_OP_KEY_LEN = 32,
  AT_OP_SPACE = 36,
  AT_OP_CREATED = 37,

  AT_MAGIC = 8,
  MAGIC_SIZE = 8,
  AT_STORE_FORMAT = 16,
  AT_EPOCH = 24,
  AT_LAST_REV = 32,
};

static const uint8_t magic[MAGIC_SIZE] = {'c', 'o', 'p', 'a', 'l', 'd', 'b', '\n'};

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

/* Against damage, not against people: the key of the hash is public. */
static uint64_t checksum(copal_span bytes)
{
  const keyhash_secret none = {{0, 0}};
  return keyhash(&none, copal_span_of(bytes.ptr + 8, bytes.len - 8));
}

static void seal(uint8_t *bytes, size_t size)
{
  put_uint(bytes, checksum(copal_span_of(bytes, size)), 8);
}

static uint8_t *append(uint8_t *at, copal_span bytes)
{
  if (bytes.len > 0)
    memcpy(at, bytes.ptr, bytes.len);
  return at + bytes.len;
}

/* Bytes behind the header and in front of the path. */
static size_t extras_size(const record *r)
{
  return r->item.lifetime_s != 0 ? RECORD_LIFETIME_SIZE : 0;
}

size_t record_size(const record *r)
{
  return RECORD_HEADER_SIZE + extras_size(r) + r->path.len + r->item.attrs.len + r->item.body.len;
}

uint64_t record_expiry(const record *r)
{
  return r->item.lifetime_s != 0 ? r->wall + r->item.lifetime_s * (uint64_t)COPAL_SECOND : 0;
}

void record_put(const record *r, uint8_t *out)
{
  const bool has_lifetime = r->item.lifetime_s != 0;
  put_uint(out + AT_REV, r->item.rev, 8);
  memcpy(out + AT_ETAG, r->item.etag.bytes, STORE_ETAG_SIZE);
  put_uint(out + AT_WALL, r->wall, 8);
  put_uint(out + AT_MAX_AGE, r->item.max_age_s, 4);
  put_uint(out + AT_BODY_LEN, r->item.body.len, 4);
  put_uint(out + AT_ATTRS_LEN, r->item.attrs.len, 3);
  out[AT_FLAGS] = has_lifetime ? FLAG_LIFETIME : 0;
  put_uint(out + AT_PATH_LEN, r->path.len, 2);
  put_uint(out + AT_FORMAT, r->item.content_format, 2);
  if (has_lifetime)
    put_uint(out + RECORD_HEADER_SIZE, r->item.lifetime_s, RECORD_LIFETIME_SIZE);
  uint8_t *at = append(out + RECORD_HEADER_SIZE + extras_size(r), r->path);
  at = append(at, r->item.attrs);
  append(at, r->item.body);
  seal(out, record_size(r));
}

bool record_get(copal_span bytes, record *r)
{
  if (bytes.len < RECORD_HEADER_SIZE || (bytes.ptr[AT_FLAGS] & ~FLAG_LIFETIME) != 0)
    return false;
  const uint8_t *p = bytes.ptr;
  const size_t extra = (p[AT_FLAGS] & FLAG_LIFETIME) != 0 ? RECORD_LIFETIME_SIZE : 0;
  const size_t path_len = (size_t)get_uint(p + AT_PATH_LEN, 2);
  const size_t attrs_len = (size_t)get_uint(p + AT_ATTRS_LEN, 3);
  const size_t body_len = (size_t)get_uint(p + AT_BODY_LEN, 4);
  if (bytes.len - RECORD_HEADER_SIZE != extra + path_len + attrs_len + body_len)
    return false;
  const uint8_t *path = p + RECORD_HEADER_SIZE + extra;
  r->item = (store_item){
      .rev = get_uint(p + AT_REV, 8),
      .content_format = (uint16_t)get_uint(p + AT_FORMAT, 2),
      .max_age_s = (uint32_t)get_uint(p + AT_MAX_AGE, 4),
      .lifetime_s = (uint32_t)get_uint(p + RECORD_HEADER_SIZE, (int)extra),
      .attrs = copal_span_of(path + path_len, attrs_len),
      .body = copal_span_of(path + path_len + attrs_len, body_len),
  };
  memcpy(r->item.etag.bytes, p + AT_ETAG, STORE_ETAG_SIZE);
  r->wall = get_uint(p + AT_WALL, 8);
  r->path = copal_span_of(path, path_len);
  return true;
}

/* Every record is longer than its checksum. */
bool record_is_intact(copal_span bytes)
{
  return bytes.len >= RECORD_HEADER_SIZE && get_uint(bytes.ptr, 8) == checksum(bytes);
}

size_t op_record_size(const op_record *r)
{
  return OP_RECORD_HEADER_SIZE + r->key.len;
}

void op_record_put(const op_record *r, uint8_t *out)
{
  memset(out, 0, OP_RECORD_HEADER_SIZE);
  put_uint(out + AT_OP_REV, r->rev, 8);
  memcpy(out + AT_OP_ETAG, r->etag.bytes, STORE_ETAG_SIZE);
  put_uint(out + AT_OP_EXPIRY, r->expiry, 8);
  put_uint(out + AT_OP_KEY_LEN, r->key.len, 4);
  out[AT_OP_SPACE] = (uint8_t)r->space;
  out[AT_OP_CREATED] = r->created;
  append(out + OP_RECORD_HEADER_SIZE, r->key);
  seal(out, op_record_size(r));
}

bool op_record_get(copal_span bytes, op_record *r)
{
  if (bytes.len < OP_RECORD_HEADER_SIZE ||
      bytes.len - OP_RECORD_HEADER_SIZE != get_uint(bytes.ptr + AT_OP_KEY_LEN, 4))
    return false;
  *r = (op_record){
      .rev = get_uint(bytes.ptr + AT_OP_REV, 8),
      .expiry = get_uint(bytes.ptr + AT_OP_EXPIRY, 8),
      .space = (store_space)bytes.ptr[AT_OP_SPACE],
      .created = bytes.ptr[AT_OP_CREATED] != 0,
      .key = copal_span_of(bytes.ptr + OP_RECORD_HEADER_SIZE, bytes.len - OP_RECORD_HEADER_SIZE),
  };
  memcpy(r->etag.bytes, bytes.ptr + AT_OP_ETAG, STORE_ETAG_SIZE);
  return true;
}

void store_record_put(const store_record *r, uint8_t out[STORE_RECORD_SIZE])
{
  memset(out, 0, STORE_RECORD_SIZE);
  memcpy(out + AT_MAGIC, magic, MAGIC_SIZE);
  put_uint(out + AT_STORE_FORMAT, r->format, 4);
  put_uint(out + AT_EPOCH, r->epoch, 8);
  put_uint(out + AT_LAST_REV, r->rev, 8);
  seal(out, STORE_RECORD_SIZE);
}

bool store_record_get(copal_span bytes, store_record *r)
{
  if (bytes.len < AT_STORE_FORMAT + 4 || memcmp(bytes.ptr + AT_MAGIC, magic, MAGIC_SIZE) != 0)
    return false;
  *r = (store_record){.format = (uint32_t)get_uint(bytes.ptr + AT_STORE_FORMAT, 4)};
  if (r->format > STORE_FORMAT)
    return true;
  if (bytes.len != STORE_RECORD_SIZE || get_uint(bytes.ptr, 8) != checksum(bytes))
    return false;
  r->epoch = get_uint(bytes.ptr + AT_EPOCH, 8);
  r->rev = get_uint(bytes.ptr + AT_LAST_REV, 8);
  return true;
}
