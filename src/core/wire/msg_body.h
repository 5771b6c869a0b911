/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a message that datagrams, streams and WebSocket frames have in common. RFC 7252
 * section 3, RFC 8323 section 3.2. */
#ifndef COPAL_CORE_WIRE_MSG_BODY_H
#define COPAL_CORE_WIRE_MSG_BODY_H

#include "copal/msg.h"
#include "core/base/cursor_join.h"

/* Parses token, options and payload up to the end of `r`, where `tkl` is the nibble of the header.
 * COPAL_OK or COPAL_EFORMAT. */
int copal_msg_parse_body(copal_msg *m, unsigned tkl, copal_rd *r);

/* Appends the payload and the marker in front of it, if there are any bytes. */
static inline void msg_put_payload(copal_wr *w, const copal_span *payload)
{
  static const uint8_t marker = COPAL_PAYLOAD_MARKER;
  if (payload->len > 0)
    copal_wr_pair(w, &marker, sizeof marker, payload);
}

/* Appends options and payload, and returns `w->err`. `m->options` is used when `opts` is NULL. */
int copal_msg_put_body(copal_wr *w, const copal_msg *m, const copal_opt *opts, size_t opt_count);

#endif
