/* SPDX-License-Identifier: Apache-2.0 */
/* A DTLS session with all that belongs to it, as it is saved: who its peer is, and where it comes
 * in. RFC 6347 section 4.1, RFC 9146.
 *
 *   length of the rest (4 bytes) | IP address (16) and port (2) of the socket | local IP address
 *   that was asked (16) | interface (4) | kind of the identity (1) | length (1) and bytes of its
 *   name, of its groups, and of its proof | the session, see transport/dtls/saved.h
 *
 * All numbers are big-endian. The bytes are secret. Thread: writing, the shard's, or any while it
 * does not run; reading, the main thread while no shard runs. */
#ifndef SERVER_SESSION_FORM_H
#define SERVER_SESSION_FORM_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/cursor.h"
#include "policy/identity.h"
#include "server/server.h"
#include "server/state.h"
#include "transport/dtls/credentials.h"

typedef enum session_form_kind {
  SESSION_FORM_LAST,      /* the session seals nothing after this */
  SESSION_FORM_MEANWHILE, /* it goes on, and the form is for after a crash */
} session_form_kind;

/* Bytes of a session, as a rule: with a name of 30 and a connection ID of 8. */
enum { SESSION_FORM_USUAL = 208 };

/* The sessions of a shard; NULL when nothing is served by DTLS there. */
dtls_sessions *session_form_table(shard *owner);

/* Appends a session of the shard. Returns false, and appends nothing, when nobody could tell where
 * it belongs. */
bool session_form_put(state_writer *w, shard *owner, const identities *known, dtls_session *s,
                      session_form_kind kind);

/* Who restored sessions belong to. */
typedef struct session_form_owners {
  identities *known;
  dtls_credentials *credentials; /* that are asked whether they are still admitted */
} session_form_owners;

/* Makes the session again that comes next in `r`, in the shard that will hear its peer; `age_s`
 * seconds have passed since it was written. Returns 0; COPAL_ENOTFOUND when its peer is not
 * admitted any more; or COPAL_EINVAL when it is damaged, was idle for too long, finds no room, or
 * nobody listens there any more. */
int session_form_restore(copal_rd *r, server *s, const session_form_owners *owners, uint64_t age_s);

#endif
