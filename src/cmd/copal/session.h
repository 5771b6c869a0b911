/* SPDX-License-Identifier: Apache-2.0 */
/* One endpoint on UDP sockets, driven until an exchange ends. The only place of the client with an
 * event loop. */
#ifndef COPAL_CMD_SESSION_H
#define COPAL_CMD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/copal/trace.h"
#include "copal/endpoint.h"

typedef struct session session;

typedef struct session_cfg {
  copal_params params;
  uint16_t token_cap; /* bytes, 0: default */
  trace *trace;       /* lent for the session's life; NULL: none */
} session_cfg;

/* How an exchange ended. */
typedef struct reply {
  copal_event_kind kind; /* a last event, or COPAL_EVENT_ACK when only that was waited for */
  copal_msg msg;         /* of COPAL_EVENT_RESPONSE; points into `mem` */
  copal_path from;
  uint8_t retransmits;
  copal_dur rtt; /* first transmission to last event, microseconds */
  int errnum;    /* of COPAL_EVENT_UNREACHABLE: ECONNREFUSED, ... */
  uint8_t *mem;  /* owned */
} reply;

void reply_wipe(reply *r);

/* What an exchange waits for. */
typedef enum session_wait {
  SESSION_WAIT_RESPONSE, /* the response */
  SESSION_WAIT_ACK,      /* an acknowledgement or a response */
  SESSION_WAIT_NOTHING,  /* the datagram's departure */
} session_wait;

/* Opens sockets of both address families. Returns 0 or -errno. */
int session_open(const session_cfg *cfg, session **s);
void session_close(session *s);

/* Sends a request and drives the endpoint until it is over; `request->client` is set here. Returns
 * COPAL_OK with `r` filled, or what copal_ep_request() returned. Wipe `r` in both cases. */
int session_request(session *s, copal_request *request, session_wait wait, reply *r);

/* Sends an Empty Confirmable message and waits for its end. */
int session_ping(session *s, const copal_path *path, reply *r);

/* Lets `duration` pass, or less when interrupted. */
void session_pause(session *s, copal_dur duration);

/* From now on SIGINT ends waiting instead of the program. */
void session_catch_interrupt(void);
bool session_is_interrupted(void);

/* The clock of all sessions: monotonic, microseconds. */
copal_time session_now(void);

#endif
