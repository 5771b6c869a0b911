/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of the measuring programs. RFC 7252 section 3, RFC 7641 section 2. */
#include "frame.h"

#include <string.h>

enum {
  VERSION = 1 << 6,
  MARKER = 0xff,
  EXT_8 = 13,
  EXT_16 = 14,
  EXT_16_BIAS = 269,
  OPTION_OBSERVE = 6,
  OPTION_URI_PATH = 11,
};

static const uint8_t *read_extended(const uint8_t *at, const uint8_t *end, uint32_t *v)
{
  if (*v < EXT_8)
    return at;
  const int more = *v == EXT_8 ? 1 : 2;
  if (*v > EXT_16 || end - at < more)
    return NULL;
  *v = more == 1 ? (uint32_t)at[0] + EXT_8 : ((uint32_t)at[0] << 8 | at[1]) + EXT_16_BIAS;
  return at + more;
}

static uint32_t read_decimal(const uint8_t *at, uint32_t len)
{
  uint32_t v = 0;
  for (uint32_t i = 0; i < len; i++) {
    if (at[i] < '0' || at[i] > '9')
      return 0;
    v = 10 * v + at[i] - '0';
  }
  return v;
}

/* Steps over one option and notes Observe and the path's number. NULL when it is malformed. */
static const uint8_t *read_option(const uint8_t *at, const uint8_t *end, uint32_t *number, frame *f)
{
  uint32_t delta = *at >> 4;
  uint32_t len = *at & 15;
  at = read_extended(at + 1, end, &delta);
  if (at != NULL)
    at = read_extended(at, end, &len);
  if (at == NULL || len > (size_t)(end - at))
    return NULL;
  *number += delta;
  if (*number == OPTION_OBSERVE && len <= 3) {
    f->has_observe = true;
    f->observe = 0;
    for (uint32_t i = 0; i < len; i++)
      f->observe = f->observe << 8 | at[i];
  } else if (*number == OPTION_URI_PATH) {
    f->item = read_decimal(at, len);
  }
  return at + len;
}

bool frame_get_head(const uint8_t *bytes, size_t len, frame *f)
{
  if (len < FRAME_HEADER_SIZE || (bytes[0] & 0xc0) != VERSION)
    return false;
  f->type = bytes[0] >> 4 & 3;
  f->token_len = bytes[0] & 15;
  f->code = bytes[1];
  f->mid = (uint16_t)(bytes[2] << 8 | bytes[3]);
  f->has_observe = false;
  f->item = 0;
  f->payload = NULL;
  f->payload_len = 0;
  if (f->token_len > FRAME_TOKEN_MAX || len < (size_t)FRAME_HEADER_SIZE + f->token_len)
    return false;
  memcpy(f->token, bytes + FRAME_HEADER_SIZE, f->token_len);
  return true;
}

bool frame_get(const uint8_t *bytes, size_t len, frame *f)
{
  if (!frame_get_head(bytes, len, f))
    return false;
  const uint8_t *at = bytes + FRAME_HEADER_SIZE + f->token_len;
  const uint8_t *end = bytes + len;
  for (uint32_t number = 0; at < end && *at != MARKER;) {
    at = read_option(at, end, &number, f);
    if (at == NULL)
      return false;
  }
  if (at == end)
    return true;
  f->payload = at + 1;
  f->payload_len = (size_t)(end - f->payload);
  return f->payload_len > 0;
}

/* Options here are shorter than 13 bytes and near to each other. */
static uint8_t *put_option(uint8_t *at, uint32_t *last, uint32_t number, const void *value,
                           size_t len)
{
  *at++ = (uint8_t)((number - *last) << 4 | len);
  *last = number;
  memcpy(at, value, len);
  return at + len;
}

static uint8_t *put_observe(uint8_t *at, uint32_t *last, uint32_t v)
{
  const uint8_t bytes[] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
  const size_t skip = v == 0 ? 3 : v < 0x100 ? 2 : v < 0x10000 ? 1 : 0;
  return put_option(at, last, OPTION_OBSERVE, bytes + skip, sizeof bytes - skip);
}

static uint8_t *put_path(uint8_t *at, uint32_t *last, const char *path)
{
  while (*path != '\0') {
    const size_t len = strcspn(path, "/");
    at = put_option(at, last, OPTION_URI_PATH, path, len < EXT_8 ? len : EXT_8 - 1);
    path += len;
    path += *path == '/';
  }
  return at;
}

size_t frame_put(uint8_t *out, const frame *f, const char *path)
{
  uint8_t *at = out + FRAME_HEADER_SIZE;
  uint32_t last = 0;
  out[0] = (uint8_t)(VERSION | f->type << 4 | f->token_len);
  out[1] = f->code;
  out[2] = (uint8_t)(f->mid >> 8);
  out[3] = (uint8_t)f->mid;
  memcpy(at, f->token, f->token_len);
  at += f->token_len;
  if (f->has_observe)
    at = put_observe(at, &last, f->observe);
  if (path != NULL)
    at = put_path(at, &last, path);
  if (f->payload_len > 0) {
    *at++ = MARKER;
    memcpy(at, f->payload, f->payload_len);
    at += f->payload_len;
  }
  return (size_t)(at - out);
}

void frame_fill_body(uint8_t *out, size_t len)
{
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)('0' + i % 10);
}

bool frame_is_body(const uint8_t *bytes, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (bytes[i] != '0' + i % 10)
      return false;
  return true;
}

void frame_put_u32(uint8_t *out, uint32_t v)
{
  for (int i = 0; i < 4; i++)
    out[i] = (uint8_t)(v >> (24 - 8 * i));
}

uint32_t frame_get_u32(const uint8_t *in)
{
  return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}
