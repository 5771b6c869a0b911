/* SPDX-License-Identifier: Apache-2.0 */
/* Plaintext messages of a DTLS 1.2 handshake, read without state: the handshake header, what a
 * cookie is bound to in a ClientHello, and the few fields of other messages that matter here. RFC
 * 6347 sections 4.2.1 and 4.2.2, RFC 5246 section 7.4. Thread: any; nothing is shared. */
#ifndef TRANSPORT_DTLS_HELLO_H
#define TRANSPORT_DTLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"
#include "transport/dtls/record.h"

enum {
  HELLO_HEAD_SIZE = 12, /* bytes of a handshake header, RFC 6347 section 4.2.2 */
  HELLO_VERSION_10 = 0xfeff,
  HELLO_VERSION_12 = 0xfefd,
};

/* Handshake types, RFC 5246 section 7.4, RFC 6347 section 4.3.2, RFC 5077 section 3.3. */
typedef enum hello_type {
  HELLO_REQUEST = 0,
  HELLO_CLIENT_HELLO = 1,
  HELLO_SERVER_HELLO = 2,
  HELLO_VERIFY_REQUEST = 3,
  HELLO_NEW_SESSION_TICKET = 4,
  HELLO_CERTIFICATE = 11,
  HELLO_SERVER_KEY_EXCHANGE = 12,
  HELLO_CERTIFICATE_REQUEST = 13,
  HELLO_SERVER_DONE = 14,
  HELLO_CERTIFICATE_VERIFY = 15,
  HELLO_CLIENT_KEY_EXCHANGE = 16,
  HELLO_FINISHED = 20,
  HELLO_CERTIFICATE_STATUS = 22,
} hello_type;

/* A handshake message, or a fragment of one. */
typedef struct hello_message {
  hello_type type;
  uint32_t size; /* of the whole message */
  uint16_t seq;
  uint32_t offset;     /* of the fragment */
  copal_span fragment; /* points into what was read */
} hello_message;

/* A ClientHello in one piece; spans point into the record. */
typedef struct hello_client {
  uint64_t record_seq;
  uint16_t message_seq;
  copal_span parameters; /* version, random and session ID, which stand in front of the cookie */
  copal_span cookie;
  copal_span choices; /* cipher suites and compression methods, behind it */
  copal_span random;
  copal_span extensions; /* without their length */
} hello_client;

/* Takes the next message from a record's content. False at the end, and when it does not fit
 * together: then some of `content` is left. */
bool hello_next(copal_span *content, hello_message *m);

/* Reads a plaintext record that is a ClientHello. False for any other and for a fragment: before
 * the cookie there is no memory to put fragments together. */
bool hello_client_read(const dtls_record *rec, hello_client *h);

/* Finds an extension. False when there is none. RFC 5246 section 7.4.1.4. */
bool hello_extension_find(copal_span extensions, uint16_t type, copal_span *data);

/* The name of the host that a client wants, as it was sent, or an empty span. RFC 6066 section 3.
 */
copal_span hello_server_name(copal_span extensions);

/* The cipher suite of a ServerHello, or 0. RFC 5246 section 7.4.1.3. */
uint16_t hello_server_suite(copal_span body);

/* The PSK identity at the start of a ClientKeyExchange. False when it is not all there. RFC 4279
 * section 2. */
bool hello_psk_identity(copal_span body, copal_span *identity);

/* Writes a HelloVerifyRequest that answers `h`; returns its size. The sequence numbers are those of
 * the ClientHello, so that none is used twice. RFC 6347 section 4.2.1. */
enum { HELLO_VERIFY_SIZE_MAX = DTLS_HEADER_SIZE + HELLO_HEAD_SIZE + 3 + 32 };
size_t hello_verify_write(const hello_client *h, copal_span cookie,
                          uint8_t out[HELLO_VERIFY_SIZE_MAX]);

/* Writes the header of a plaintext record of `size` bytes. */
void hello_record_head(dtls_type type, uint64_t seq, size_t size, uint8_t out[DTLS_HEADER_SIZE]);

#endif
