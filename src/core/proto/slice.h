/* SPDX-License-Identifier: Apache-2.0 */
/* Which part of a body goes into one response: Block2 of the server. RFC 7959 sections 2.2 to 2.4.
 * A build without it takes slice_none.c: a body fits its datagram or is not sent. */
#ifndef CORE_PROTO_SLICE_H
#define CORE_PROTO_SLICE_H

#include "core/proto/ep.h"

/* An option that the endpoint adds to those of the handler. */
typedef struct own_opt {
  uint16_t number;
  uint32_t value;
} own_opt;

enum { SLICE_OPTS = 2 }; /* Block2 and Size2 */

/* Collects the Block2 option of a request. COPAL_EBLOCK when it has the reserved size; the rest is
 * filled all the same. */
int slice_read(const copal_ep *ep, turn *t);

/* The critical options of requests that are understood here, as a set of COPAL_CRITICAL_BIT(). */
uint32_t slice_understood(void);

/* Decides what of the body of `r` is sent where `room` bytes are left for it, and adds the options
 * that say so to `own`, which has `*count` entries and room for SLICE_OPTS more. Returns as
 * reply_write(). */
int slice_choose(const copal_ep *ep, const reply_rules *rules, const copal_response *r, size_t room,
                 own_opt *own, size_t *count, copal_span *part);

#endif
