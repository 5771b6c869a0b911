/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of CoAP datagrams that shares no code with the library, so that the oracle does not
 * inherit its mistakes. RFC 7252 section 3, RFC 8974 section 2.1. */
#ifndef SIM_PEEK_H
#define SIM_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PEEK_CON, PEEK_NON, PEEK_ACK, PEEK_RST };
enum { PEEK_NONCE_SIZE = 8 };

typedef struct peek {
  bool has_head; /* four bytes with version 1: type, code and mid are valid */
  bool is_whole; /* token, options and payload are well formed */
  uint8_t type;
  uint8_t code;
  uint16_t mid;
  const uint8_t *token;
  size_t token_len;
  const uint8_t *payload;
  size_t payload_len;
  bool has_observe;     /* the Observe option is there */
  uint32_t observe;     /* its value */
  const uint8_t *nonce; /* second Uri-Path segment when it has PEEK_NONCE_SIZE bytes, else NULL */
} peek;

/* Reads a datagram; the result points into it. */
peek peek_at(const uint8_t *bytes, size_t len);

static inline bool peek_is_request(const peek *p)
{
  return p->code != 0 && p->code < 32;
}

static inline bool peek_is_response(const peek *p)
{
  return (p->code >> 5) == 2 || (p->code >> 5) == 4 || (p->code >> 5) == 5;
}

static inline bool peek_is_empty(const peek *p)
{
  return p->code == 0;
}

#endif
