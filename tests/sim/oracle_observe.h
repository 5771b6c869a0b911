/* SPDX-License-Identifier: Apache-2.0 */
/* What RFC 7641 sections 4.2, 4.4 and 4.5 allow a server to send to its observers, checked on the
 * wire: one outstanding notification for each client, the state and the sequence number of the
 * instant in every transmission, one schedule for a notification and those that take its place,
 * nothing after an error. */
#ifndef SIM_ORACLE_OBSERVE_H
#define SIM_ORACLE_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oracle.h"

enum { OBSERVE_STREAMS_MAX = 64, OBSERVE_LANES = NET_NODES_MAX };

/* What one client is told under one token. */
typedef struct observe_stream {
  uint8_t client; /* its address */
  uint16_t token_len;
  uint8_t token[ORACLE_TOKEN_KEPT];
  uint8_t nonce[PEEK_NONCE_SIZE]; /* of the resource */
  uint32_t sequence;
  bool has_ended; /* an error was said, and nobody has registered since */
} observe_stream;

/* The outstanding notification of a client. */
typedef struct observe_lane {
  bool is_outstanding;
  uint32_t stream;
  uint16_t mid;
  copal_time last, gap;
  unsigned count; /* transmissions on one schedule */
} observe_lane;

/* How many of each were seen. */
typedef struct observe_tally {
  unsigned cons, nons, repeated, superseded, errors, given_up;
} observe_tally;

typedef struct oracle_observe {
  uint8_t server;
  /* The state of the resource with that nonce; false: there is none. */
  bool (*truth)(const uint8_t *nonce, uint32_t *state);
  observe_stream streams[OBSERVE_STREAMS_MAX];
  uint32_t stream_count;
  observe_lane lanes[OBSERVE_LANES];
  observe_tally tally;
} oracle_observe;

/* Called by the oracle for each datagram when its `observe` is set. */
void oracle_observe_on_send(oracle *o, uint8_t from, uint8_t to, const peek *p, copal_time now);
void oracle_observe_on_deliver(oracle *o, const net_event *e, const peek *p);

#endif
