/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: parsing and writing, for datagrams (RFC 7252 section 3) and for reliable streams (RFC
 * 8323 section 3), both with extended token lengths (RFC 8974 section 2.1).
 *
 * A parsed message is a view: it lives no longer than the bytes it was parsed from. */
#ifndef COPAL_MSG_H
#define COPAL_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "copal/code.h"
#include "copal/cursor.h"
#include "copal/option.h"
#include "copal/platform.h"
#include "copal/span.h"

COPAL_BEGIN_DECLS

typedef enum copal_type {
  COPAL_CON = 0,
  COPAL_NON = 1,
  COPAL_ACK = 2,
  COPAL_RST = 3,
} copal_type;

enum {
  COPAL_HEADER_SIZE = 4,            /* datagram header, RFC 7252 section 3 */
  COPAL_TOKEN_MAX = 8,              /* without extension, RFC 7252 section 3 */
  COPAL_TOKEN_EXTENDED_MAX = 65804, /* RFC 8974 section 2.1 */
  COPAL_PAYLOAD_MARKER = 0xff,
};

typedef struct copal_msg {
  copal_type type; /* datagrams only; COPAL_CON for stream messages */
  copal_code code;
  uint16_t mid;       /* Message ID; 0 for stream messages */
  copal_span token;   /* 0 to 65804 bytes */
  copal_span options; /* the encoded run, known to be well formed */
  copal_span payload; /* empty, or what follows the payload marker */
} copal_msg;

/* Parses one datagram.
 * Returns COPAL_OK; COPAL_ESHORT or COPAL_EVERSION (then `m` is empty); COPAL_EFORMAT,
 * COPAL_EEMPTY, COPAL_ECLASS, COPAL_ENONEMPTY or COPAL_ENONEMPTYNON, and then type, code and mid
 * are filled so that the message can be rejected. RFC 7252 sections 3, 4.1 to 4.3. */
COPAL_API int copal_msg_parse(copal_span dgram, copal_msg *m);

/* Writes the header and token of a datagram message. */
COPAL_API void copal_msg_put_head(copal_wr *w, const copal_msg *m);

/* Writes a whole datagram: header, token, `opts` (sorted by number), and payload behind its marker
 * when not empty. `m->options` and `m->payload` are used when `opts` is NULL. Returns COPAL_OK,
 * COPAL_ENOSPC or COPAL_EINVAL (options out of order, token too long). */
COPAL_API int copal_msg_write(copal_wr *w, const copal_msg *m, const copal_opt *opts,
                              size_t opt_count);

/* Size in bytes of an Empty message (ACK, RST, ping). */
enum { COPAL_EMPTY_SIZE = COPAL_HEADER_SIZE };

/* Writes an Empty message of the given type. RFC 7252 section 4.1. */
COPAL_API int copal_msg_write_empty(copal_wr *w, copal_type type, uint16_t mid);

/* Parses one message from the head of a byte stream (TCP, TLS framing: Len, TKL, extended length,
 * code, token).
 * `*used` receives the bytes of the message. Returns COPAL_OK; COPAL_EAGAIN when more bytes are
 * needed (then `*used` is the least total known to be needed); COPAL_EFORMAT or COPAL_ECLASS. RFC
 * 8323 section 3.2, RFC 8974 section 2.1. */
COPAL_API int copal_msg_parse_stream(copal_span bytes, copal_msg *m, size_t *used);

/* Writes a message in stream framing. Returns as copal_msg_write(). */
COPAL_API int copal_msg_write_stream(copal_wr *w, const copal_msg *m, const copal_opt *opts,
                                     size_t opt_count);

/* The WebSocket variant: one message is one binary frame and Len is always 0. RFC 8323 section 4.2.
 */
COPAL_API int copal_msg_parse_ws(copal_span frame, copal_msg *m);
COPAL_API int copal_msg_write_ws(copal_wr *w, const copal_msg *m, const copal_opt *opts,
                                 size_t opt_count);

COPAL_END_DECLS

#endif
