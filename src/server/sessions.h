/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS sessions that outlive the process, in a sealed file beside the store: peers go on without a
 * handshake after a restart in order, and after a crash as the configuration wants it. RFC 6347
 * section 4.1, RFC 9146, RFC 9175 section 2.3.
 *
 * The file "sessions" holds: 3 for a checkpoint, else 2 (1 byte) | wall clock, microseconds since
 * 1970 (8) | secret of CIDs (16) | key of tickets (64) | the sessions, see session_form.h. It is
 * removed before what it says is used; see sealed.h.
 *
 * Checkpoints, for after a crash, are written from time to time while the server runs. One holds
 * for each session the first number that will not be used before the next checkpoint is on the
 * disk. So no number is ever used twice, whenever the process ends. A session that comes from a
 * checkpoint is stale: what its peer sends may be a replay until an Echo has shown otherwise.
 *
 * Thread: the main thread. */
#ifndef SERVER_SESSIONS_H
#define SERVER_SESSIONS_H

#include <stdint.h>

#include "policy/identity.h"
#include "server/checkpoint.h"
#include "server/conf.h"
#include "server/log.h"
#include "server/sealed.h"
#include "server/secure.h"
#include "server/server.h"

/* All lent for the object's life. */
typedef struct sessions_parts {
  const conf *conf; /* `data` is the directory */
  secure_shared *shared;
  identities *identities;
  logger *log;
} sessions_parts;

typedef struct sessions {
  server_section hook; /* first */
  sessions_parts parts;
  sealed_file file;
  checkpoint checkpoint;
  bool has_checkpoint; /* sessions in a file on the disk are bound to it */
  uint64_t saved;
  uint64_t restored;
  uint64_t refused; /* damaged, idle for too long, no room, or nobody listens there any more */
  uint64_t revoked; /* their peers are not admitted any more */
} sessions;

void sessions_init(sessions *s, const sessions_parts *parts);

/* After the server is closed. Safe on a zeroed object. */
void sessions_wipe(sessions *s);

#endif
