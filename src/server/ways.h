/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to a shard's clients as they are stored: addresses and names instead of the indices of
 * this process. Thread: the shard's. RFC 7252 section 1.2 (endpoint).
 *
 * who    version (1 byte) | IP address (16) | port (2) | length and name of the interface that the
 *        address is bound to | length and key of the security session
 * side   IP address (16) and port (2) of the socket | local IP address that was asked (16) |
 *        flags (2) | length and name of the interface
 *
 * All numbers are big-endian. The layout is part of the format of saved state. */
#ifndef SERVER_WAYS_H
#define SERVER_WAYS_H

#include "server/handler.h"
#include "transport/udp.h"

enum { WAYS_SESSION_MAX = 32 }; /* bytes of the key of a session */

/* The security sessions of a shard, for those that outlive a process. */
typedef struct ways_sessions {
  /* Writes the key under which the session is kept, 1 to WAYS_SESSION_MAX bytes, and returns its
   * length; or 0: it ends with this process. */
  size_t (*key_of)(struct ways_sessions *s, uint32_t session, uint8_t key[WAYS_SESSION_MAX]);

  /* The session again, or 0. */
  uint32_t (*find)(struct ways_sessions *s, copal_span key);
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
