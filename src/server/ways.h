/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to a shard's clients as they are stored: addresses and names instead of the indices of
 * this process. Thread: the shard's. RFC 7252 section 1.2 (endpoint).
 *
 * who    version (1 byte) | IP address (16) | port (2) | length and name of the interface that the
 *        address is bound to | length and key of the security session. Where the session is found
 * by a connection ID, address and port are zero, and the key begins with what steers its records
 * side   IP address (16) and port (2) of the socket | local IP address that was asked (16) |
 *        flags (2) | length and name of the interface
 *
 * All numbers are big-endian. The layout is part of the format of saved state. */
#ifndef SERVER_WAYS_H
#define SERVER_WAYS_H

#include "server/handler.h"
#include "transport/udp.h"

enum { WAYS_SESSION_MAX = 32 }; /* bytes of the key of a session */

/* A security session that outlives the process. */
typedef struct ways_session {
  copal_path path;               /* as its messages have it */
  uint16_t local;                /* our side, which `path` may leave open */
  bool has_cid;                  /* found by a connection ID, wherever its peer is */
  uint8_t key_len;               /* 1 to WAYS_SESSION_MAX */
  uint8_t key[WAYS_SESSION_MAX]; /* the same in another process; with a CID it begins with the byte
                                    that steers its records */
} ways_session;

/* The security sessions of a shard. */
typedef struct ways_sessions {
  /* Fills in what is known of a session, also of one that has just ended; false: it ends with this
   * process. */
  bool (*describe)(struct ways_sessions *s, uint32_t session, ways_session *out);

  /* The session with that key, again; false: there is none. */
  bool (*find)(struct ways_sessions *s, copal_span key, ways_session *out);
} ways_sessions;

typedef struct ways {
  handler_ways hook; /* first */
  udp *udp;
  uint32_t shard;          /* index */
  uint32_t shards;         /* how many there are */
  const uint32_t *steered; /* of each socket: among how many peers are steered; 0: not at all */
  ways_sessions *sessions; /* NULL: none outlives the process */
} ways;

/* Lends `u`; `steered` is set, and lent, when sockets are adopted. */
void ways_init(ways *w, udp *u, uint32_t shard, uint32_t shards);

#endif
