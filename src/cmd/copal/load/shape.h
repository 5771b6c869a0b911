/* SPDX-License-Identifier: Apache-2.0 */
/* What the requests of a load run look like: all alike but for Message ID, token, the number in
 * their path, and the block. RFC 7252 section 3, RFC 7959. */
#ifndef COPAL_CMD_LOAD_SHAPE_H
#define COPAL_CMD_LOAD_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/optset.h"
#include "copal/cursor.h"
#include "copal/msg.h"

/* Stands in an option's value for the number of a request. No URI has it but by the escape that
 * shape_mark() writes. */
enum { SHAPE_MARK = 1, SHAPE_TOKEN_SIZE = 8, SHAPE_DATAGRAM_MAX = 2048 };

/* Lends what it points to. */
typedef struct shape {
  copal_type type;
  copal_code code;
  const optset *options; /* without Block1 and Block2; SHAPE_MARK stands for the number */
  copal_span body;
  uint8_t szx;  /* of the blocks of `body`, and of those asked for */
  bool has_szx; /* Block2 is sent from the first request on */
} shape;

/* What differs. */
typedef struct shape_call {
  uint16_t mid;
  uint64_t token;
  uint64_t number;
  uint32_t tag;      /* tells a client's bodies apart. RFC 9175 section 3 */
  uint32_t upload;   /* number of the block of `body`, in units of `szx` */
  uint32_t download; /* number of the block asked for; 0: the first */
  uint8_t szx;       /* that both sides have come to */
} shape_call;

/* Copies a URI as people type it, "%d" turned into SHAPE_MARK. Returns whether there was one. */
bool shape_mark(const char *uri, buf *out);

/* True when the body goes in blocks of this size. */
bool shape_is_blockwise(const shape *s, uint8_t szx);

/* True when a Block option can number all blocks of this size. RFC 7959 section 2.2. */
bool shape_fits(const shape *s, uint8_t szx);

/* True when `upload` is the body's last block. */
bool shape_is_last(const shape *s, const shape_call *c);

/* Writes the request. Returns COPAL_OK, COPAL_ENOSPC or COPAL_EINVAL. */
int shape_put(const shape *s, const shape_call *c, copal_wr *w);

#endif
