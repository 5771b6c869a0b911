/* SPDX-License-Identifier: Apache-2.0 */
/* One endpoint on UDP sockets, driven until an exchange ends. The only place of the client with an
 * event loop. */
#ifndef COPAL_CMD_SESSION_H
#define COPAL_CMD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/copal/trace.h"
#include "copal/endpoint.h"
#include "transport/dtls/credentials.h"

typedef struct session session;

typedef struct session_cfg {
  copal_params params;
  uint16_t token_cap; /* bytes, 0: default */
  bool has_qblock; /* Q-Block2 in responses is understood, and whole sets of requests may leave */
  dtls_credentials *credentials; /* for coaps, lent for the session's life; NULL: none */
  const char *server_name;       /* of coaps, as dtls_claim has it; lent as the next; NULL: any */
  trace *trace;                  /* lent for the session's life; NULL: none */
  uint8_t hops; /* hop limit of multicast datagrams; 0: the system's default, which is 1 */
} session_cfg;

/* How an exchange ended. */
typedef struct reply {
  copal_event_kind kind; /* a last event, or COPAL_EVENT_ACK when only that was waited for */
  copal_msg msg;         /* of COPAL_EVENT_RESPONSE; points into `mem` */
  copal_path from;
  uint8_t retransmits;
  copal_dur rtt;        /* first transmission to last event, microseconds */
  copal_time at;        /* when it came */
  bool is_notification; /* of an observation: more follow */
  size_t reordered;     /* notifications dropped up to then because they were late */
  int errnum;           /* of COPAL_EVENT_UNREACHABLE: ECONNREFUSED, ... */
  uint8_t *mem;         /* owned */
} reply;

void reply_wipe(reply *r);

/* Copies a message into the reply. */
void reply_keep(reply *r, const copal_msg *m);

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

/* Without a session: sleeps that long, or until a signal that session_catch_interrupt() catches. */
void session_sleep(copal_dur duration);

/* For those who wait for several things at once (feed.c, hook.c): one turn of the event loop, which
 * ends when something has come or left, when a child has ended, when interrupted, and at `limit`.
 */
void session_turn(session *s, copal_time limit);
void session_flush(session *s);
copal_ep *session_ep(session *s);

/* Why the last DTLS handshake came to nothing, when the network error is EPROTO. */
const char *session_why(void);

/* Requests sent since it was opened, with retransmissions. */
size_t session_requests(const session *s);

/* The last network error, ECONNREFUSED, ... */
int session_errnum(const session *s);

/* The `local` of a path whose datagrams leave by that interface (0: the system chooses); 0 when
 * there is no socket of that family. */
uint16_t session_via(session *s, bool is_ipv4, uint32_t ifindex);

/* From now on SIGINT and SIGTERM end waiting instead of the program, and SIGCHLD ends a turn. */
void session_catch_interrupt(void);
bool session_is_interrupted(void);

/* What follows may be waited for again; a second signal ends it. */
void session_forget_interrupt(void);

/* In a child process: signals do what they did before session_catch_interrupt(). */
void session_release_signals(void);

/* The clock of all sessions: monotonic, microseconds. */
copal_time session_now(void);

#endif
