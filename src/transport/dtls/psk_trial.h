/* SPDX-License-Identifier: Apache-2.0 */
/* Which of two pre-shared keys of an identity a client has: told from its Finished, which only one
 * of them opens, before the library has to be given a key. So keys are changed without a failed
 * handshake. RFC 5246 sections 5, 6.3 and 8.1, RFC 4279 section 2, RFC 7627 section 4.
 *
 * All suites here have the PRF of SHA-256. Thread: the shard's only. */
#ifndef TRANSPORT_DTLS_PSK_TRIAL_H
#define TRANSPORT_DTLS_PSK_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nettle/sha2.h>

#include "transport/dtls/credentials.h"
#include "transport/dtls/hello.h"
#include "transport/dtls/record.h"

enum { PSK_TRIAL_RANDOM_SIZE = 32 };

/* Zeroed at the beginning of a handshake. */
typedef struct psk_trial {
  struct sha256_ctx transcript;
  struct psk_trial_place {
    bool is_begun;
    uint16_t seq;    /* of the next message */
    uint32_t offset; /* of what is next of it */
  } places[2];       /* in the client's messages, in the server's */
  uint8_t client_random[PSK_TRIAL_RANDOM_SIZE], server_random[PSK_TRIAL_RANDOM_SIZE];
  bool has_hello;               /* the ServerHello was read */
  bool is_extended;             /* master secret, RFC 7627 */
  size_t count;                 /* of `rx`; 0: none derived yet */
  dtls_keys rx[DTLS_PSK_COUNT]; /* what the client would seal with, for each key */
} psk_trial;

/* Notes a message, or a fragment of one, as it goes by in the order of the handshake; repeated ones
 * change nothing. */
void psk_trial_note(psk_trial *t, bool is_ours, const hello_message *m);

/* Derives the record keys for each PSK from a whole ClientKeyExchange, which was not noted. Without
 * a ServerHello there are none. */
void psk_trial_derive(psk_trial *t, const hello_message *exchange, const dtls_psks *psks);

/* The first key that opens a record of the client's, or -1. */
int psk_trial_find(const psk_trial *t, dtls_aead aead, const dtls_record *rec);

/* Wipes keys. Safe on a zeroed object. */
void psk_trial_wipe(psk_trial *t);

#endif
