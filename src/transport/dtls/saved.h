/* SPDX-License-Identifier: Apache-2.0 */
/* A session as bytes, for the process that goes on with it: 122 and its peer's CID. RFC 6347
 * section 4.1, RFC 9146 section 3.
 *
 *   offset  size
 *   0       1     version of the form, 1
 *   1       1     flags, DTLS_SESSION_*
 *   2       1     AEAD, dtls_aead
 *   3       1     lane
 *   4       4     slot, and
 *   8       4     generation that its CID names
 *   12      20    address, port and zone of the peer
 *   32      8     number of the next record
 *   40      16    replay window
 *   56      40    keys and salts: received, sent
 *   96      4     seconds since the last use
 *   100     4     forgeries
 *   104     2     bytes that may go to an unproven address
 *   106     3     last flight: number of its next record, message_seq of our Finished
 *   109     12    last flight: verify_data
 *   121     1     length of the peer's CID, then the CID
 *
 * All numbers are big-endian. The bytes are secret. Who the peer is, and our side of the path, are
 * the caller's to keep. Thread: the owner's of the table. */
#ifndef TRANSPORT_DTLS_SAVED_H
#define TRANSPORT_DTLS_SAVED_H

#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"
#include "copal/time.h"
#include "transport/dtls/session.h"

enum {
  DTLS_SAVED_HEAD = 122,
  DTLS_SAVED_MAX = DTLS_SAVED_HEAD + DTLS_CID_MAX,
};

/* Writes a session that is UP, which seals nothing from here on: its numbers are the successor's.
 * Returns the size. */
size_t dtls_saved_export(dtls_sessions *all, dtls_session *s, uint8_t out[DTLS_SAVED_MAX],
                         copal_time now);

/* Writes a session that is UP and goes on: for a file that is read after a crash. It begins with
 * numbers that are not used until dtls_sessions_reserved() is told of the file, and is
 * DTLS_SESSION_STALE. Returns the size. */
size_t dtls_saved_checkpoint(dtls_sessions *all, dtls_session *s, uint8_t out[DTLS_SAVED_MAX],
                             copal_time now);

/* Where such a session belongs: its lane, flags and peer. Returns 0, or COPAL_EFORMAT for bytes
 * that are no session. */
typedef struct dtls_saved_home {
  copal_addr remote;
  uint8_t flags, lane;
} dtls_saved_home;

int dtls_saved_peek(copal_span bytes, dtls_saved_home *home);

/* Who the peer is, and where it comes in, in the new process; and what has passed since the
 * export. */
typedef struct dtls_saved_here {
  uint32_t identity;
  uint16_t local;
  uint64_t age_s;
} dtls_saved_here;

/* Makes the session again. Returns 0; COPAL_EFORMAT for bytes that are no session; COPAL_EAGAIN
 * for one that was idle for too long meanwhile; or as dtls_session_restore(). After the last one
 * dtls_sessions_settle() is to be called. */
int dtls_saved_import(dtls_sessions *all, copal_span bytes, const dtls_saved_here *here,
                      copal_time now);

#endif
