/* SPDX-License-Identifier: Apache-2.0 */
/* Reading CoAP datagrams without the library. RFC 7252 section 3. */
#include "peek.h"

#include <string.h>

enum { OBSERVE = 6, URI_PATH = 11 };

typedef struct cursor {
  const uint8_t *at;
  size_t left;
  bool failed;
} cursor;

static uint32_t take(cursor *c, size_t n)
{
  uint32_t v = 0;
  if (n > c->left) {
    c->failed = true;
    c->left = 0;
    return 0;
  }
  for (size_t i = 0; i < n; i++)
    v = v << 8 | c->at[i];
  c->at += n;
  c->left -= n;
  return v;
}

static const uint8_t *skip(cursor *c, size_t n)
{
  const uint8_t *p = c->at;
  if (n > c->left) {
    c->failed = true;
    c->left = 0;
    return NULL;
  }
  c->at += n;
  c->left -= n;
  return p;
}

/* The 4-bit length with its extension, as option deltas, option lengths and tokens have it. */
static uint32_t extended(cursor *c, unsigned nibble)
{
  if (nibble < 13)
    return nibble;
  if (nibble == 13)
    return 13 + take(c, 1);
  if (nibble == 14)
    return 269 + take(c, 2);
  c->failed = true;
  return 0;
}

static void read_options(cursor *c, peek *p)
{
  uint32_t number = 0;
  unsigned segments = 0;
  while (c->left > 0 && c->at[0] != 0xff && !c->failed) {
    const unsigned head = take(c, 1);
    number += extended(c, head >> 4);
    const uint32_t len = extended(c, head & 15);
    const uint8_t *value = skip(c, len);
    if (number > UINT16_MAX)
      c->failed = true;
    if (!c->failed && number == OBSERVE) {
      cursor v = {value, len, false};
      p->has_observe = true;
      p->observe = take(&v, len);
    }
    if (!c->failed && number == URI_PATH && ++segments == 2 && len == PEEK_NONCE_SIZE)
      p->nonce = value;
  }
}

static void read_payload(cursor *c, peek *p)
{
  if (c->left == 0)
    return;
  take(c, 1);
  p->payload = c->at;
  p->payload_len = c->left;
  if (c->left == 0)
    c->failed = true;
}

peek peek_at(const uint8_t *bytes, size_t len)
{
  peek p;
  memset(&p, 0, sizeof(p));
  if (len < 4 || bytes[0] >> 6 != 1)
    return p;
  cursor c = {bytes + 4, len - 4, false};
  p.has_head = true;
  p.type = (bytes[0] >> 4) & 3;
  p.code = bytes[1];
  p.mid = (uint16_t)(bytes[2] << 8 | bytes[3]);
  if (p.code == 0) {
    p.is_whole = len == 4 && (bytes[0] & 15) == 0;
    return p;
  }
  p.token_len = extended(&c, bytes[0] & 15);
  p.token = skip(&c, p.token_len);
  if (!c.failed)
    read_options(&c, &p);
  if (!c.failed)
    read_payload(&c, &p);
  p.is_whole = !c.failed;
  return p;
}
