/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS sessions in the state file: peers go on without a handshake after a restart in order. RFC
 * 6347 section 4.1, RFC 9146.
 *
 * A section "DTLS" holds the secret of CIDs and the key of tickets, then records: length of the
 * rest (4 bytes) | IP address (16) and port (2) of the socket | local IP address that was asked
 * (16) | interface (4) | kind of the identity (1) | length and bytes of its name | the session, see
 * transport/dtls/saved.h. Keys are in clear: whoever reads the file reads the sessions. Thread: the
 * main thread, while no shard runs. */
#ifndef SERVER_SESSIONS_H
#define SERVER_SESSIONS_H

#include <stdint.h>

#include "policy/identity.h"
#include "server/secure.h"
#include "server/server.h"
#include "server/state.h"

typedef struct sessions {
  state_section section; /* first */
  secure_shared *shared;
  identities *identities;
  server *server; /* for one round; NULL: nothing is saved or restored */
  uint64_t saved;
  uint64_t restored;
  uint64_t refused; /* damaged, idle for too long, no room, or nobody listens there any more */
} sessions;

/* Both lent for the object's life. */
void sessions_init(sessions *s, secure_shared *shared, identities *known);

#endif
