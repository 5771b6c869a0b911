/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS in a shard: which of its sockets are secure, what becomes of sessions, and what the log says
 * of it. RFC 7252 section 9.1. Thread: the shard's only, but for what says otherwise. */
#ifndef SERVER_SECURE_H
#define SERVER_SECURE_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "policy/guard.h"
#include "policy/identity.h"
#include "server/conf.h"
#include "server/log.h"
#include "server/metrics.h"
#include "server/ways.h"
#include "transport/dtls/dtls.h"
#include "transport/udp.h"

typedef struct shard shard;
typedef struct secure secure;

/* Tells what credentials count beside the shards. */
typedef struct secure_counter {
  /* Writes at most SECURE_COUNT_MAX counters; returns how many. From any thread. */
  size_t (*count)(struct secure_counter *c, store_count *counts);
} secure_counter;

/* What the shards share: made by the main thread, lent for their life. */
typedef struct secure_shared {
  dtls_credentials *credentials;
  const identities *people; /* what the numbers of identities mean */
  secure_counter *counter;  /* NULL: none */
  uint64_t reloads;         /* of credentials */
  uint8_t ticket_key[DTLS_TICKET_KEY_SIZE];
  uint8_t cid_secret[DTLS_CID_KEY_SIZE];
} secure_shared;

/* Draws the keys. `credentials` give numbers of `people`. Returns 0 or -errno. */
int secure_shared_init(secure_shared *all, dtls_credentials *credentials, const identities *people);
void secure_shared_wipe(secure_shared *all);

/* Draws another key of tickets: those given out are void when the shards have been told. Thread:
 * the main thread. Returns 0 or -errno, and then the key stays. */
int secure_shared_rotate(secure_shared *all);

/* What can change while a shard runs. Secret. */
typedef struct secure_limits {
  uint64_t reloads; /* another one than before: sessions are judged again */
  uint32_t idle_s;
  bool has_tickets;
  uint8_t ticket_key[DTLS_TICKET_KEY_SIZE];
} secure_limits;

/* As they are now; `shared` may be NULL. Thread: the main thread. */
void secure_limits_of(const conf *c, const secure_shared *shared, secure_limits *out);

/* What one needs, lent for its life. */
typedef struct secure_parts {
  const conf *conf;
  const secure_shared *shared;
  uint32_t shard_count;
  shard *shard;
  udp *udp;
  logger *log;
} secure_parts;

/* Before the endpoint. Returns 0 or -errno. */
int secure_open(const secure_parts *parts, secure **s, copal_time now);

/* Takes over `parts.shared` as it is now, as dtls_inherit(). */
void secure_inherit(secure *s);

/* After the endpoint and before the sockets are closed. Peers of sessions that nobody has saved are
 * told that these are over. Safe on NULL. */
void secure_close(secure *s);

/* The endpoint messages go to; the guard that hears of addresses, or NULL; and who judges
 * observations again when somebody is in other groups. Before the first datagram. */
void secure_serve(secure *s, copal_ep *ep, guard *g, copal_reviewer *reviewer);

/* The socket with that index is a secure one, and `place` its place in its group. Returns 0 or
 * -errno. Before the first datagram. */
int secure_add_socket(secure *s, int socket, uint32_t place);

/* True for a secure socket. False for NULL. */
bool secure_has_socket(const secure *s, int socket);

/* Takes a datagram from a secure socket. */
void secure_input(secure *s, int socket, const udp_slot *slot, copal_time now);

/* The endpoint's sink. */
copal_sink *secure_sink(secure *s);

/* The shard's timers; COPAL_NEVER and nothing for NULL. */
copal_time secure_deadline(const secure *s);
void secure_expire(secure *s, copal_time now);

/* The number of who the peer of a session has proved to be; 0: nobody. 0 for NULL. */
uint32_t secure_identity(const secure *s, uint32_t session);

/* True while what comes through the session may be a replay. False for NULL. */
bool secure_is_stale(const secure *s, uint32_t session);

/* Its sessions for ways to clients; NULL for NULL. Lent for the object's life. */
ways_sessions *secure_ways(secure *s);

/* Takes over other limits. Nothing for NULL. */
void secure_reload(secure *s, const secure_limits *limits);

/* A checkpoint has been written, or has failed: another one may be asked for. */
void secure_saved(secure *s);

/* Fills in what is counted. Nothing for NULL. */
void secure_measure(const secure *s, metrics *m);

/* The object itself; NULL for NULL. */
dtls *secure_dtls(secure *s);

#endif
