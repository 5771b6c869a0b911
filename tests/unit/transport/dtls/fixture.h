/* SPDX-License-Identifier: Apache-2.0 */
/* Peers of DTLS sessions without a handshake: both sides get keys, and exchange records. */
#ifndef TESTS_UNIT_TRANSPORT_DTLS_FIXTURE_H
#define TESTS_UNIT_TRANSPORT_DTLS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/dtls/session.h"

enum { FIXTURE_WIRE_MAX = 1024, FIXTURE_LANE = 5 };

/* What a peer knows of its session. */
typedef struct fixture_peer {
  copal_path path; /* where it is */
  uint32_t number; /* of the session, on our side */
  dtls_aead aead;
  bool has_cid; /* it sends with our CID */
  dtls_keys tx, rx;
  uint64_t seq;               /* of its next record */
  dtls_window window;         /* of ours */
  uint8_t cid[DTLS_CID_SIZE]; /* ours */
  uint8_t own_cid[DTLS_CID_MAX];
  size_t own_cid_len;
} fixture_peer;

/* A record on the wire. */
typedef struct fixture_wire {
  uint8_t bytes[FIXTURE_WIRE_MAX];
  size_t size;
} fixture_wire;

/* A repeatable stream of numbers below `n`. */
uint32_t fixture_random(uint32_t n);

/* 10.x.y.z, port 10000. */
copal_path fixture_path(uint32_t host);

/* A table with the key of all tables of the tests; `cfg.cid_key` is filled in. */
dtls_sessions *fixture_open(dtls_sessions_cfg cfg);
const dtls_cid_key *fixture_cid_key(void);

/* A peer at that host with keys that depend on it. */
fixture_peer fixture_peer_at(uint32_t host, bool has_cid, size_t own_cid_len);

/* Establishes its session; the identity is the host. */
dtls_session *fixture_join(dtls_sessions *all, fixture_peer *p, copal_time now);

/* The peer's next record. */
fixture_wire fixture_seal(fixture_peer *p, dtls_type type, const char *text);

/* The record as our side takes it: found by CID or by path, and opened; COPAL_ENOTFOUND when nobody
 * is found. `opened` may be NULL. */
int fixture_deliver(dtls_sessions *all, const fixture_wire *w, const copal_path *from,
                    dtls_opened *opened, copal_time now);

/* Seals and delivers application data. */
int fixture_say(dtls_sessions *all, fixture_peer *p, copal_time now);

/* Our side sends application data; returns what dtls_session_seal() does. */
int fixture_answer(dtls_sessions *all, uint32_t number, const char *text, fixture_wire *w);

/* True when the peer can open it and has not seen it before. */
bool fixture_hears(fixture_peer *p, const fixture_wire *w, const char *text);

#endif
