/* SPDX-License-Identifier: Apache-2.0 */
/* Shows messages as they go over the wire, for --verbose. */
#ifndef COPAL_CMD_TRACE_H
#define COPAL_CMD_TRACE_H

#include <stdbool.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/style.h"
#include "copal/path.h"
#include "copal/span.h"
#include "copal/time.h"

enum { TRACE_SENT_MAX = 16 };

/* Remembers what was sent last, to tell a retransmission from a new message. */
typedef struct trace {
  style style;
  copal_time start;
  struct {
    uint16_t mid;
    unsigned count;
  } sent[TRACE_SENT_MAX];
  size_t sent_at;
} trace;

/* Writes the lines about one datagram: time since the start, direction, peer, type, code, Message
 * ID, token, options by name, payload summary. */
void trace_datagram(trace *t, bool is_sent, const copal_path *path, copal_span bytes,
                    copal_time now, buf *out);

#endif
