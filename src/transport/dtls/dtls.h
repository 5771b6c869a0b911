/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS 1.2 between the sockets and the endpoint of one thread: handshakes, sessions, connection
 * IDs. Datagrams of secure sockets come in, plaintext goes up; messages for a session are sealed in
 * the place they are written to. RFC 6347, RFC 9146, RFC 7252 section 9.1.
 *
 *   datagram            what happens
 *   ClientHello         without a good cookie: HelloVerifyRequest and nothing else; with one: a
 *                       handshake, within the limits of the table and of the address prefix
 *   epoch 0             goes to the handshake of that address, or nowhere
 *   epoch 1, with CID   goes to what the CID names, whatever the address
 *   epoch 1, plain      goes to the handshake or the session of that address; when there are both,
 *                       to the one whose keys open it (RFC 6347 section 4.2.8)
 *
 * Outside it a session is a number, copal_path.session; where its peer is now is known here alone.
 * Unverified sources take no memory. Thread: the owner's only. */
#ifndef TRANSPORT_DTLS_DTLS_H
#define TRANSPORT_DTLS_DTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "copal/path.h"
#include "copal/span.h"
#include "copal/time.h"
#include "transport/dtls/credentials.h"
#include "transport/dtls/handshake.h"
#include "transport/dtls/session.h"

typedef struct dtls dtls;

/* Why a handshake failed; for the log and for the client's user. Lent for the call. */
typedef struct dtls_failure {
  const copal_path *path;
  handshake_failure_kind kind;
  dtls_refusal refusal; /* of HANDSHAKE_REFUSED */
  uint8_t alert;        /* of HANDSHAKE_ALERT */
  const char *text;
  copal_span psk_identity; /* as the peer named it, any bytes; empty: none */
} dtls_failure;

/* Told what happens. Called from dtls_input() and dtls_expire() only, so that it may call the
 * endpoint. `path` is lent for the call. */
typedef struct dtls_app {
  /* A message has come through a session; `bytes` is lent for the call. */
  void (*on_message)(struct dtls_app *a, const copal_path *path, copal_mspan bytes, copal_time now);

  /* A session is established. May be NULL. */
  void (*on_open)(struct dtls_app *a, const copal_path *path, copal_time now);

  /* An established session is over; its number means nothing any more. */
  void (*on_close)(struct dtls_app *a, const copal_path *path, dtls_end why, copal_time now);

  /* A handshake came to nothing. May be NULL. */
  void (*on_failure)(struct dtls_app *a, const dtls_failure *f, copal_time now);

  /* Credentials have answered: dtls_resume() is to be called with this number, on the owner's
   * thread. Called from any thread. NULL: nobody looks keys up elsewhere. */
  void (*on_answer)(struct dtls_app *a, uint32_t session);

  /* Sessions have other identities than before: called when dtls_readmit() is through, or has been
   * at it for a second. May be NULL. */
  void (*on_renamed)(struct dtls_app *a, copal_time now);
} dtls_app;

typedef struct dtls_cfg {
  bool is_client;
  dtls_credentials *credentials; /* lent for the object's life, as sink and app */
  copal_sink *sink;              /* where datagrams leave */
  dtls_app *app;
  uint32_t session_max;    /* established */
  uint32_t handshake_max;  /* at a time */
  uint32_t per_prefix_max; /* handshakes at a time of a prefix: /24 of IPv4, /56 of IPv6 */
  uint32_t idle_s;         /* seconds; 0: for ever */
  bool has_cid;
  const uint8_t *cid_secret; /* DTLS_CID_KEY_SIZE bytes; the same for all shards; NULL: drawn */
  const uint8_t *ticket_key; /* DTLS_TICKET_KEY_SIZE bytes; the same for all shards; NULL: none */
  uint16_t mtu;              /* bytes of a datagram of a handshake */
  copal_dur retransmit;      /* first interval of a handshake, RFC 6347 section 4.2.4.1 */
  copal_dur timeout;         /* of a handshake */
} dtls_cfg;

typedef struct dtls_stats {
  uint64_t malformed;          /* datagrams whose rest is no record */
  uint64_t stray;              /* records that belong to nothing */
  uint64_t cookies_sent;       /* HelloVerifyRequests */
  uint64_t cookies_bad;        /* ClientHellos with a cookie that is not good (any more) */
  uint64_t repeated;           /* ClientHellos of a handshake that is under way */
  uint64_t started;            /* handshakes */
  uint64_t completed, resumed; /* of these: full, abbreviated */
  uint64_t failed[HANDSHAKE_FAILURE_COUNT];
  uint64_t refused[DTLS_REFUSAL_COUNT]; /* of these, HANDSHAKE_REFUSED by reason */
  uint64_t superseded;      /* handshakes given up because the client began another one */
  uint64_t refused_prefix;  /* the prefix has enough handshakes */
  uint64_t gave_way;        /* handshakes ended for others: they had their time */
  uint64_t no_memory;       /* handshakes for which there was no memory */
  uint64_t flights_resent;  /* last flights, because the peer repeated its own */
  uint64_t renegotiations;  /* refused */
  uint64_t alerts_received; /* authentic ones */
  uint64_t unexpected;      /* authentic records of a type that means nothing here */
  uint64_t tx_closed;       /* messages for a session that is no more */
  uint64_t tx_refused;      /* messages that could not be sealed: see dtls_sessions_stats */
  shim_stats shim;
} dtls_stats;

/* What is in use now. */
typedef struct dtls_usage {
  uint32_t sessions, handshakes;
} dtls_usage;

/* Returns 0, COPAL_EINVAL or COPAL_ENOSPC; `*why` is in static storage. */
int dtls_open(const dtls_cfg *cfg, dtls **d, const char **why, copal_time now);

/* Frees all. Peers are not told: see dtls_close_sessions(). Safe on NULL. */
void dtls_close(dtls *d);

/* Where a datagram has come in. */
typedef struct dtls_source {
  const copal_path *path;
  uint8_t lane; /* steer_cid_byte() of the socket: the CIDs of sessions begun there start with it */
} dtls_source;

/* Takes a datagram from a secure socket; its bytes may be changed. */
void dtls_input(dtls *d, const dtls_source *from, copal_mspan datagram, copal_time now);

/* Client: begins a handshake with the peer at `path->remote`; `*session` is the number for
 * copal_path.session, good to send with once on_open() was called. `server_name` is as in
 * dtls_claim, copied.
 * Returns 0, COPAL_ENOSLOT or COPAL_ENOSPC. */
int dtls_connect(dtls *d, const copal_path *path, const char *server_name, uint32_t *session,
                 copal_time now);

/* Goes on with a handshake that waited for credentials; harmless when it is over. */
void dtls_resume(dtls *d, uint32_t session, copal_time now);

/* The sink of an endpoint: messages with a session are sealed, others pass to the sink below.
 * A message to a session that is not established is dropped and counted. */
copal_sink *dtls_sink(dtls *d);

/* When dtls_expire() has something to do, or COPAL_NEVER; and doing it. */
copal_time dtls_deadline(const dtls *d);
void dtls_expire(dtls *d, copal_time now);

/* Ends every session with close_notify, as a client does that leaves; but for those that were saved
 * for another process. */
void dtls_close_sessions(dtls *d, copal_time now);

/* The identity of a session's peer, 0 when there is none. */
uint32_t dtls_identity(const dtls *d, uint32_t session);

/* What is known of an established session beyond its number. */
typedef struct dtls_about {
  copal_path path;              /* as its messages have it */
  uint16_t local;               /* our side of the path to its peer */
  bool has_cid;                 /* its records begin with our CID, which begins with the lane */
  uint32_t identity;            /* of its peer; 0: nobody */
  uint8_t name[DTLS_NAME_SIZE]; /* see dtls_session_name(); begins with the lane */
} dtls_about;

/* Fills it in for a session that is up, or that on_close() is being told of. Returns false for
 * others. */
bool dtls_describe(const dtls *d, uint32_t session, dtls_about *about);

/* The same for the session that is up and has this name. */
bool dtls_find(const dtls *d, copal_span name, dtls_about *about);

/* The session's peer has shown to receive what is sent to where it is now; `is_fresh`: and what it
 * sent last cannot be a replay. As dtls_session_prove(). */
void dtls_prove(dtls *d, uint32_t session, bool is_fresh);

/* True for a session that was restored after a crash, while what arrives may be a replay. */
bool dtls_is_stale(const dtls *d, uint32_t session);

/* Limits that can change live: idle_s. Tickets made so far are void when `ticket_key` is new. */
void dtls_reload(dtls *d, const dtls_cfg *cfg);

/* The credentials have changed: begins to ask them about the peer of each session again. Sessions
 * of peers that are not admitted any more end with the alert access_denied, from dtls_expire(). RFC
 * 5246 section 7.2.2. */
void dtls_readmit(dtls *d, copal_time now);

/* Takes over the secrets of the process before, so that its CIDs and tickets mean the same here;
 * `ticket_key` as in dtls_cfg. Before the first datagram and the first session. */
void dtls_inherit(dtls *d, const uint8_t cid_secret[DTLS_CID_KEY_SIZE], const uint8_t *ticket_key);

/* For saving and restoring sessions. */
dtls_sessions *dtls_table(dtls *d);

const dtls_stats *dtls_stats_now(const dtls *d);
dtls_usage dtls_usage_now(const dtls *d);

#endif
