/* SPDX-License-Identifier: Apache-2.0 */
/* What dtls.c, greeting.c, established.c and readmit.c share: the inside of a dtls object. Thread:
 * the owner's only. */
#ifndef TRANSPORT_DTLS_INSIDE_H
#define TRANSPORT_DTLS_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/list.h"
#include "core/base/timerq.h"
#include "transport/dtls/cookie.h"
#include "transport/dtls/dtls.h"
#include "transport/dtls/flight.h"

enum {
  DTLS_PREFIXES = 4096, /* counters of handshakes; prefixes that share one share its limit */
  DTLS_ENDED_MAX = 256, /* sessions that are over and not yet reported */
  DTLS_SCRATCH = DTLS_CONTENT_MAX + 2048,
};

/* A handshake under way: `handshake` of its dtls_session. */
typedef struct greeting {
  shim_out out;      /* first */
  copal_timer timer; /* in dtls.timers */
  copal_node by_age; /* in dtls.greetings */
  copal_time begun;
  bool has_answered; /* something came after the ClientHello */
  dtls_psk_wait wait;
  uint32_t number; /* of the session */
  dtls *owner;
  dtls_session *session;
  handshake *handshake;
  copal_path path;
  uint16_t *prefix; /* its counter; NULL: not counted */
} greeting;

/* A session that is over. */
typedef struct dtls_ended {
  dtls_about about; /* its identity is held */
  dtls_end why;
} dtls_ended;

struct dtls {
  copal_sink sink; /* first: the face for the endpoint */
  dtls_on_end on_end;
  dtls_cfg cfg;
  dtls_stats stats;
  dtls_sessions *sessions;
  dtls_cid_key cid_key;
  handshake_kit *kit;
  cookies cookies;
  flights flights;
  copal_timerq timers;  /* of greetings */
  copal_node greetings; /* all of them, the oldest first */
  void *wheel;
  uint64_t seed;
  copal_time now;            /* of the present call */
  uint8_t lane;              /* of the socket the present datagram came to */
  copal_mspan room;          /* where it is written */
  const dtls_about *leaving; /* of the session on_close() is being told of; NULL: of none */
  struct {
    uint32_t slot, left; /* the next to look at; how many more */
    uint32_t used;       /* slots in use when `left` was reckoned */
    bool has_renamed;    /* somebody has another number, and the owner has not been told */
    copal_time tell_by;  /* it is told then, in the midst of a walk, too */
    copal_time due;      /* COPAL_NEVER: nothing is to be done */
  } readmit;
  uint32_t ended_count;
  dtls_ended ended[DTLS_ENDED_MAX];
  uint16_t prefixes[DTLS_PREFIXES];
  uint8_t scratch[DTLS_SCRATCH];
};

/* Sends a datagram along a path as it is. */
void dtls_send(dtls *d, const copal_path *path, copal_span datagram);

/* The path of a session as the endpoint sees it. */
copal_path dtls_path_of(const dtls *d, const dtls_session *s);

/* What dtls_describe() says of it. */
dtls_about dtls_about_of(const dtls *d, const dtls_session *s);

/* Takes a ClientHello. */
void greeting_hear(dtls *d, const copal_path *path, const dtls_record *rec);

/* Begins as a client. As dtls_connect(). */
int greeting_begin(dtls *d, const copal_path *path, const char *server_name, uint32_t *session);

/* Goes on with a handshake, and ends it in a session or in nothing. */
void greeting_run(greeting *g);

/* Gives a handshake up without a word. */
void greeting_end(greeting *g);

/* True when the handshake of `s` has the keys that open this record. */
bool greeting_owns(dtls *d, dtls_session *s, const dtls_record *rec);

/* Takes a record of epoch 1 for an established session. */
void established_hear(dtls *d, dtls_session *s, const dtls_record *rec, const copal_path *from);

/* Seals and sends a message other than application data. */
void established_send(dtls *d, dtls_session *s, dtls_type type, copal_span content);

/* The sink's two hooks, and the hook of the table of sessions. */
copal_mspan established_reserve(copal_sink *sink, const copal_path *path, size_t cap);
void established_commit(copal_sink *sink, const copal_path *path, size_t len);
void established_on_end(dtls_on_end *hook, dtls_session *s, dtls_end why);

/* A part of what dtls_readmit() has begun. */
void readmit_run(dtls *d);

/* Reports sessions that are over. */
void established_settle(dtls *d);

#endif
