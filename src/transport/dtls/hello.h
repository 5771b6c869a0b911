/* SPDX-License-Identifier: Apache-2.0 */
/* Plaintext records of a DTLS 1.2 handshake, read without state: the record header, the handshake
 * header and what a cookie is bound to in a ClientHello. RFC 6347 sections 4.1, 4.2.1 and 4.2.2.
 * Thread: any; nothing is shared. */
#ifndef TRANSPORT_DTLS_HELLO_H
#define TRANSPORT_DTLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

enum {
  HELLO_RECORD_SIZE = 13,    /* bytes of a record header, RFC 6347 section 4.1 */
  HELLO_HANDSHAKE_SIZE = 12, /* bytes of a handshake header, section 4.2.2 */
  HELLO_VERSION_10 = 0xfeff, /* DTLS 1.0: in the first records, and of a HelloVerifyRequest */
  HELLO_VERSION_12 = 0xfefd,
};

/* Content types, RFC 5246 section 6.2.1 and RFC 9146 section 4. */
enum {
  HELLO_TYPE_CCS = 20,
  HELLO_TYPE_ALERT = 21,
  HELLO_TYPE_HANDSHAKE = 22,
  HELLO_TYPE_DATA = 23,
  HELLO_TYPE_CID = 25,
};

/* Handshake types, RFC 5246 section 7.4 and RFC 6347 section 4.3.2. */
enum {
  HELLO_REQUEST = 0,
  HELLO_CLIENT_HELLO = 1,
  HELLO_SERVER_HELLO = 2,
  HELLO_VERIFY_REQUEST = 3,
  HELLO_NEW_SESSION_TICKET = 4,
  HELLO_CLIENT_KEY_EXCHANGE = 16,
  HELLO_FINISHED = 20,
};

/* Numbers of the record header in front of `bytes`. */
typedef struct hello_record {
  uint8_t type;
  uint16_t version;
  uint16_t epoch;
  uint64_t seq;  /* 48 bits */
  uint16_t size; /* of what follows the header; of a record with a CID it means nothing */
} hello_record;

/* Numbers of a handshake header. */
typedef struct hello_handshake {
  uint8_t type;
  uint32_t size; /* of the whole message */
  uint16_t seq;
  uint32_t offset; /* of the fragment */
  copal_span fragment;
} hello_handshake;

/* A ClientHello in one piece; spans point into the record. */
typedef struct hello_client {
  uint64_t record_seq;
  uint16_t message_seq;
  copal_span parameters; /* version, random and session ID, which stand in front of the cookie */
  copal_span cookie;
  copal_span choices; /* cipher suites and compression methods, behind it */
  copal_span random;
} hello_client;

/* Reads a record header. False when `bytes` is shorter. */
bool hello_record_read(copal_span bytes, hello_record *r);

/* Reads the handshake header behind the record header; `record` holds one whole record. False when
 * it does not fit together. A record with several messages yields the first. */
bool hello_handshake_read(copal_span record, hello_handshake *h);

/* Reads a plaintext record that is a ClientHello. False for any other and for a fragment: before
 * the cookie there is no memory to put fragments together. */
bool hello_client_read(copal_span record, hello_client *h);

/* Writes a HelloVerifyRequest that answers `h`; returns its size. The sequence numbers are those of
 * the ClientHello, so that none is used twice. RFC 6347 section 4.2.1. */
enum { HELLO_VERIFY_SIZE_MAX = HELLO_RECORD_SIZE + HELLO_HANDSHAKE_SIZE + 3 + 32 };
size_t hello_verify_write(const hello_client *h, copal_span cookie,
                          uint8_t out[HELLO_VERIFY_SIZE_MAX]);

/* Writes a record header. */
void hello_record_write(const hello_record *r, uint8_t out[HELLO_RECORD_SIZE]);

#endif
