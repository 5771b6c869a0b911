/* SPDX-License-Identifier: Apache-2.0 */
/* Our own connection IDs: 8 bytes, of which the first, the lane, names a socket in clear, so that
 * a packet filter can steer by it (transport/steer.h); the others are slot and generation of a
 * session, permuted under a key, so that two IDs tell an observer nothing about their sessions. RFC
 * 9146 sections 3 and 8.
 *
 * The permutation is a Feistel network of six rounds over 56 bits with AES-128 as its round
 * function; the lane takes part in each round. An ID is a name and no proof: who sends a valid one
 * is judged by the record's tag. Thread: any. */
#ifndef TRANSPORT_DTLS_CID_H
#define TRANSPORT_DTLS_CID_H

#include <stdbool.h>
#include <stdint.h>

#include <nettle/aes.h>

#include "copal/span.h"

enum {
  DTLS_CID_SIZE = 8,      /* bytes of each of our CIDs */
  DTLS_CID_KEY_SIZE = 16, /* bytes of the secret they are made with */
  DTLS_CID_SLOT_BITS = 24,
};

/* An expanded key. Secret: wipe it with dtls_cid_key_wipe(). */
typedef struct dtls_cid_key {
  struct aes128_ctx aes;
} dtls_cid_key;

/* What a CID stands for. */
typedef struct dtls_cid {
  uint8_t lane;
  uint32_t slot; /* below 2^DTLS_CID_SLOT_BITS */
  uint32_t generation;
} dtls_cid;

/* All shards of a daemon, and all processes that follow one another and keep their sessions, use
 * the same secret. */
void dtls_cid_key_init(dtls_cid_key *key, const uint8_t secret[DTLS_CID_KEY_SIZE]);
void dtls_cid_key_wipe(dtls_cid_key *key);

/* Writes the CID of a session. */
void dtls_cid_make(const dtls_cid_key *key, const dtls_cid *cid, uint8_t out[DTLS_CID_SIZE]);

/* Reads a CID back. False unless it is DTLS_CID_SIZE bytes long; any such bytes mean something, so
 * the caller compares the generation with the slot's. */
bool dtls_cid_read(const dtls_cid_key *key, copal_span bytes, dtls_cid *cid);

#endif
