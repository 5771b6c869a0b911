/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of a runner: one connected to the server for each client, so that each has a port,
 * and hence Message IDs, of its own; for coaps with a DTLS session in each. RFC 7252 sections 4.4
 * and 9.1. Thread: the owner's only. */
#ifndef COPAL_CMD_LOAD_WIRE_H
#define COPAL_CMD_LOAD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/copal/load/account.h"
#include "cmd/copal/load/plan.h"
#include "copal/msg.h"
#include "copal/span.h"
#include "copal/time.h"

/* A socket may send so many messages: a Message ID must not come again within EXCHANGE_LIFETIME
 * (RFC 7252 section 4.4), and no run is sure to be slower than that. */
enum { WIRE_MIDS = 65536 };

/* A client that was refused waits so long, instead of asking an absent server as fast as it can. */
#define WIRE_PAUSE (COPAL_SECOND / 10)

typedef struct wires wires;

/* Told what comes, from wires_wait() only. */
typedef struct wires_user {
  /* A message to client `index`; lent for the call. */
  void (*on_message)(struct wires_user *u, uint32_t index, copal_span bytes);

  /* What client `index` has sent comes to nothing: the network says that nobody is there, or its
   * session is over. Its next turn is WIRE_PAUSE later. */
  void (*on_refused)(struct wires_user *u, uint32_t index);
} wires_user;

/* Lets the process have `count` files, of which each runner needs one beside its sockets, and a few
 * more: wires_files() in all. Returns 0, or -errno with the limit in `*limit`. */
int wires_allow(uint32_t count, uint64_t *limit);
uint64_t wires_files(uint32_t count);

/* Opens `count` sockets, and the sessions in them; plan, user and account are lent for the object's
 * life. Returns 0; -errno; or COPAL_ENOTFOUND with the object when a session could not be opened:
 * wires_failure() tells why. */
int wires_open(const load_plan *plan, uint32_t count, wires_user *user, account *a, wires **out);

/* Ends the sessions with close_notify. Safe on NULL. */
void wires_close(wires *w);

/* Why the last handshake failed, or NULL. */
const char *wires_failure(const wires *w);

/* Gives a client another port, and a session for it. Returns 0, or -errno when the old one stays.
 */
int wires_renew(wires *w, uint32_t index);

/* True when messages of that client can leave; a session that was lost is begun again. False also
 * for WIRE_PAUSE after a refusal. */
bool wires_is_ready(wires *w, uint32_t index);

/* A request of that client came to nothing: when its session has brought nothing for ten seconds,
 * the server has forgotten it, as it does when it is started anew; it is given up, counted as lost,
 * and begun again at its next turn. */
void wires_doubt(wires *w, uint32_t index);

/* Sends a message of SHAPE_DATAGRAM_MAX bytes at most. What cannot leave is lost like what the
 * network loses. */
void wires_send(wires *w, uint32_t index, copal_span bytes);
void wires_send_empty(wires *w, uint32_t index, copal_type type, uint16_t mid);

/* While sessions or observers are opened: whether a signal has ended that. Signals are taken here,
 * not in wires_wait(), which other threads call as well. The main thread's only. */
bool wires_is_interrupted(void);

/* Waits until `limit` for something to come, and tells the user. */
void wires_wait(wires *w, copal_time limit);

#endif
