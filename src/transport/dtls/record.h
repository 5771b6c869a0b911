/* SPDX-License-Identifier: Apache-2.0 */
/* Records of DTLS 1.2, without and with a connection ID: taken from datagrams, opened, sealed. RFC
 * 6347 section 4.1, RFC 9146 sections 4 and 5.3; suites of RFC 6655, 7251 and 5288.
 *
 * Functions of their arguments alone: no memory is taken, nothing is kept, key schedules live on
 * the stack and are wiped. Epochs and sequence numbers are the caller's, and `dtls_keys` is one
 * direction of one epoch, so that another version's record layer can stand beside this one behind
 * the same calls. Thread: any. */
#ifndef TRANSPORT_DTLS_RECORD_H
#define TRANSPORT_DTLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/cursor.h"
#include "copal/span.h"

enum {
  DTLS_KEY_SIZE = 16,
  DTLS_SALT_SIZE = 4,         /* RFC 6655 section 3: the implicit part of the nonce */
  DTLS_HEADER_SIZE = 13,      /* RFC 6347 section 4.1; the CID comes on top */
  DTLS_CID_MAX = 255,         /* RFC 9146 section 3 */
  DTLS_CONTENT_MAX = 1 << 14, /* RFC 6347 section 4.1; with type and padding, RFC 9146 section 5 */
  DTLS_WINDOW = 64,           /* RFC 6347 section 4.1.2.6 */
};

#define DTLS_SEQ_MAX ((UINT64_C(1) << 48) - 1)

/* RFC 6347 section 4.3.1, RFC 9146 section 10.3. */
typedef enum dtls_type {
  DTLS_NO_TYPE = 0, /* only as the result of opening: authentic, and without a type inside */
  DTLS_CHANGE_CIPHER_SPEC = 20,
  DTLS_ALERT = 21,
  DTLS_HANDSHAKE = 22,
  DTLS_APPLICATION_DATA = 23,
  DTLS_TLS12_CID = 25,
} dtls_type;

/* Values are part of the saved form; never renumber. */
typedef enum dtls_aead {
  DTLS_AEAD_NONE = 0,
  DTLS_AES_128_CCM_8 = 1, /* RFC 6655 section 6.1, RFC 7251 section 2 */
  DTLS_AES_128_CCM = 2,   /* RFC 6655 section 3 */
  DTLS_AES_128_GCM = 3,   /* RFC 5288 section 3 */
} dtls_aead;

/* One direction of an epoch. Secret: wipe it when done. */
typedef struct dtls_keys {
  uint8_t key[DTLS_KEY_SIZE];
  uint8_t salt[DTLS_SALT_SIZE]; /* client_write_IV or server_write_IV */
} dtls_keys;

/* A record in a datagram; spans point into it. Nothing in it is authentic. */
typedef struct dtls_record {
  dtls_type type;
  uint16_t version; /* as on the wire: 0xfefd, in epoch 0 also 0xfeff */
  uint16_t epoch;
  uint64_t seq;        /* 48 bits */
  copal_span cid;      /* empty unless the type is DTLS_TLS12_CID */
  copal_span fragment; /* what follows the header */
  copal_span whole;    /* header and fragment */
} dtls_record;

/* What was inside a record. */
typedef struct dtls_content {
  dtls_type type; /* any byte value when a peer sends one, DTLS_NO_TYPE when it sends only zeros */
  copal_span bytes;
} dtls_content;

/* A record to be sealed. `content` either lies apart from the room it is sealed into or exactly
 * dtls_record_head() bytes into it. */
typedef struct dtls_draft {
  dtls_type type;
  uint16_t epoch;     /* at least 1 */
  uint64_t seq;       /* at most DTLS_SEQ_MAX, and never twice for the same keys */
  copal_span cid;     /* the peer's; empty for the form of RFC 6347 */
  copal_span content; /* borrowed */
  size_t padding;     /* zeros behind the content, only with a CID. RFC 9146 section 4 */
} dtls_draft;

/* Takes the next record from what is left of a datagram. Records of type tls12_cid carry a CID of
 * `own_cid_len` bytes (0: none are expected, and they are malformed). Returns false at the end, and
 * with `datagram->err` COPAL_EFORMAT when the rest holds no record: what does not say where it
 * ends, an unknown type, a version that is not DTLS 1.2 (in epoch 0: nor 1.0, which the first
 * flights carry), a CID in epoch 0, application data or nothing at all in epoch 0. RFC 6347
 * sections 4.1 and 4.1.2.7, RFC 9146 section 3. */
bool dtls_record_next(copal_rd *datagram, size_t own_cid_len, dtls_record *rec);

/* True for a suite that this file can open and seal. */
bool dtls_aead_is_known(unsigned aead);

/* The AEAD of a cipher suite's two bytes, DTLS_AEAD_NONE for one not supported. RFC 6655 section 4,
 * RFC 7251 section 2, RFC 5288, RFC 5487. */
dtls_aead dtls_aead_of_suite(uint16_t suite);

/* Bytes of a sealed record in front of its content, and all in all beside content and padding. */
size_t dtls_record_head(size_t cid_len);
size_t dtls_record_overhead(dtls_aead aead, size_t cid_len);

/* Opens a protected record into `room`, which has the fragment's length at least, and either lies
 * apart from it or is the fragment itself (then the plaintext takes its place, and a record that is
 * refused is destroyed). `out->bytes` points into `room`. Returns 0, or COPAL_EFORMAT whatever the
 * reason, so that nothing tells a bad tag from a bad length; then `room` holds nothing of the
 * plaintext. RFC 6347 section 4.1.2.7, RFC 9146 section 5.3.
 * Whether the form (with or without CID) is the one agreed on, the epoch the right one and the
 * number new is the caller's to check. */
int dtls_record_open(const dtls_keys *keys, dtls_aead aead, const dtls_record *rec,
                     copal_mspan room, dtls_content *out);

/* Seals a record into `room`. Returns its size; COPAL_ENOSPC when the room is too small, or
 * COPAL_EINVAL for what cannot be sent: no known AEAD, epoch 0, a number beyond DTLS_SEQ_MAX,
 * content longer than a record holds, padding without CID. RFC 9146 section 5.3. */
int dtls_record_seal(const dtls_keys *keys, dtls_aead aead, const dtls_draft *draft,
                     copal_mspan room);

/* The records of an epoch that were accepted: the newest and the DTLS_WINDOW - 1 before it. Zeroed:
 * none. RFC 6347 section 4.1.2.6. */
typedef struct dtls_window {
  uint64_t top;  /* one more than the newest number accepted */
  uint64_t bits; /* bit i: top - 1 - i was accepted */
} dtls_window;

/* True when a record of that number was neither accepted nor is too old to tell. */
bool dtls_window_is_new(const dtls_window *w, uint64_t seq);

/* True when the number is beyond all accepted ones. RFC 9146 section 6. */
bool dtls_window_is_newest(const dtls_window *w, uint64_t seq);

/* Notes a record that was authentic and new. */
void dtls_window_accept(dtls_window *w, uint64_t seq);

/* Takes all numbers up to the newest for accepted. */
void dtls_window_shut(dtls_window *w);

#endif
