/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of a load run: one connected to the server for each client, so that each has a port,
 * and hence Message IDs, of its own. */
#ifndef COPAL_CMD_LOAD_WIRE_H
#define COPAL_CMD_LOAD_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "cmd/copal/load/plan.h"

/* A socket may send so many messages: a Message ID must not come again within EXCHANGE_LIFETIME
 * (RFC 7252 section 4.4), and no run is sure to be slower than that. */
enum { WIRE_MIDS = 65536 };

/* Lets the process have `count` sockets and a few files more. Returns 0 or -errno. */
int wire_allow(uint32_t count);

/* Opens a socket and adds it to `epoll` under `index`. Returns the descriptor or -errno. */
int wire_open(const load_plan *plan, int epoll, uint32_t index);

/* Waits until `limit` for sockets that have something. Returns how many; their indices are in
 * `indices`. */
enum { WIRE_EVENTS = 256 };
int wire_wait(int epoll, copal_time limit, uint32_t indices[WIRE_EVENTS]);

/* Sends an Empty message. */
void wire_send_empty(int fd, copal_type type, uint16_t mid);

#endif
