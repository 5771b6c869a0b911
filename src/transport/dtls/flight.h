/* SPDX-License-Identifier: Apache-2.0 */
/* Our last flight of a handshake, kept until the peer shows that it has it. ChangeCipherSpec and
 * Finished are built again from 14 bytes of the session; the records of a NewSessionTicket that
 * belong in front of them are kept here. RFC 6347 section 4.2.4, RFC 5077 section 3.3.
 *
 * The table has a fixed size: when it is full, the oldest ticket goes, and its client, should it
 * have lost the flight, has to begin anew. Thread: the owner's only. */
#ifndef TRANSPORT_DTLS_FLIGHT_H
#define TRANSPORT_DTLS_FLIGHT_H

#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"
#include "transport/dtls/session.h"

enum {
  FLIGHT_TICKETS = 1024,
  FLIGHT_SIZE_MAX = 4096 + 128 + DTLS_CID_MAX, /* bytes of a flight */
};

typedef struct flight_ticket {
  uint32_t session; /* 0: free */
  uint8_t *records;
  size_t len;
} flight_ticket;

typedef struct flights {
  flight_ticket *tickets; /* FLIGHT_TICKETS, made when the first one comes */
  uint32_t next;          /* to be replaced */
  uint32_t count;
} flights;

/* Frees what it has. Safe on a zeroed object. */
void flights_wipe(flights *f);

/* Keeps the ticket of a session; `records` is given, from malloc(). */
void flight_keep(flights *f, uint32_t session, uint8_t *records, size_t len);

/* The peer has the flight, or the session is over. */
void flight_drop(flights *f, uint32_t session);

/* Writes the last flight of a session once more, with new sequence numbers. Returns its size, or 0
 * when it cannot be sent now. */
size_t flight_write(const flights *f, dtls_sessions *all, dtls_session *s,
                    uint8_t out[FLIGHT_SIZE_MAX]);

#endif
