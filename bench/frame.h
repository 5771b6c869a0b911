/* SPDX-License-Identifier: Apache-2.0 */
/* The little CoAP that the measuring programs need: datagrams of RFC 7252 section 3 with a handful
 * of options. Not libcopal's, on purpose: what judges must not share the mistakes of what is
 * judged. Thread: any; nothing is shared. */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  FRAME_CON = 0,
  FRAME_NON = 1,
  FRAME_ACK = 2,
  FRAME_RST = 3,
  FRAME_GET = 0x01,
  FRAME_PUT = 0x03,
  FRAME_CREATED = 0x41,
  FRAME_CHANGED = 0x44,
  FRAME_CONTENT = 0x45,
  FRAME_HEADER_SIZE = 4,
  FRAME_TOKEN_MAX = 8,
  FRAME_MAX = 2048, /* bytes of any datagram here */
};

typedef struct frame {
  uint8_t type;
  uint8_t code;
  uint16_t mid;
  uint8_t token_len;
  uint8_t token[FRAME_TOKEN_MAX];
  bool has_observe;
  uint32_t observe;
  uint32_t item;          /* read only: the number that the last segment of the path is, or 0 */
  const uint8_t *payload; /* borrowed from the datagram, or lent to frame_put() */
  size_t payload_len;
} frame;

/* Reads a datagram. False when it is malformed; the payload lives as long as `bytes`. */
bool frame_get(const uint8_t *bytes, size_t len, frame *f);

/* Reads fixed header and token alone. */
bool frame_get_head(const uint8_t *bytes, size_t len, frame *f);

/* Writes a datagram with the path's segments as Uri-Path (NULL: none). Returns its length; `out`
 * has FRAME_MAX bytes. */
size_t frame_put(uint8_t *out, const frame *f, const char *path);

/* Fills a body whose bytes are known to whoever checks it. */
void frame_fill_body(uint8_t *out, size_t len);
bool frame_is_body(const uint8_t *bytes, size_t len);

/* Big-endian numbers in tokens and payloads. */
void frame_put_u32(uint8_t *out, uint32_t v);
uint32_t frame_get_u32(const uint8_t *in);

#endif
