/* SPDX-License-Identifier: Apache-2.0 */
/* Putting datagrams into the sink. */
#ifndef CORE_PROTO_SEND_H
#define CORE_PROTO_SEND_H

#include "core/proto/ep.h"

/* Room of message_max bytes for a datagram along `path`, or COPAL_ENOSLOT in `w->err` and a counter
 * when the transport is full. */
copal_wr send_begin(copal_ep *ep, const copal_path *path);

/* Sends what `w` holds. */
void send_commit(copal_ep *ep, const copal_path *path, const copal_wr *w);

/* Sends an Empty ACK or RST. A message lost for want of room is counted and not retried: the peer
 * will ask again. */
void send_empty(copal_ep *ep, const copal_path *path, copal_type type, uint16_t mid);

/* Sends a kept datagram. */
void send_kept(copal_ep *ep, const copal_path *path, const copal_chain *kept);

#endif
