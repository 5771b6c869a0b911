/* SPDX-License-Identifier: Apache-2.0 */
/* By what an identity was let in, so that it can be asked for again after the credentials have
 * changed: the bytes of identity.proof. RFC 5246 section 7.2.2, RFC 5280 section 5.
 *
 *   P | PSK identity, when it is not the name   a pre-shared key of a file
 *   L                                           a pre-shared key that was looked up elsewhere
 *   K | SHA-256 of the SubjectPublicKeyInfo     a raw public key
 *   C | ...                                     a certificate, see certs_proof.c
 *   R | 8 bytes that tell the rule | C | ...    a certificate that a rule has named
 *
 * Nothing of it is secret. Thread: any. */
#ifndef POLICY_PROOF_H
#define POLICY_PROOF_H

#include "policy/fingerprint.h"
#include "policy/identity.h"

enum {
  PROOF_PSK = 'P',
  PROOF_LOOKUP = 'L',
  PROOF_RAW_KEY = 'K',
  PROOF_CERTIFICATE = 'C',
  PROOF_RULE = 'R',
  PROOF_RULE_SIZE = 8,
  PROOF_RULE_HEAD = 1 + PROOF_RULE_SIZE,
};

typedef struct proof {
  size_t len;
  uint8_t bytes[IDENTITY_PROOF_MAX];
} proof;

static inline copal_span proof_span(const proof *p)
{
  return copal_span_of(p->bytes, p->len);
}

/* What kind an identity's is; 0: it has none. */
static inline int proof_kind(const identity *id)
{
  return id->proof.len > 0 ? id->proof.ptr[0] : 0;
}

/* That of a PSK identity as it is on the wire, of at most DTLS_PSK_IDENTITY_MAX bytes; and the PSK
 * identity of one. Lent while the identity is held. */
proof proof_of_psk(copal_span psk_identity, copal_span name);
copal_span proof_psk(const identity *id);

/* That of a raw public key; and the key's fingerprint. False when it has none. */
proof proof_of_raw_key(const fingerprint *whole);
bool proof_raw_key(const identity *id, fingerprint *whole);

/* What readmit() says of an identity that is `name` in `groups` now: it is itself, or another,
 * held, with the same proof. Returns as dtls_credentials.readmit(). */
int proof_readmit(identities *all, identity_ref was, copal_span name, copal_span groups,
                  identity_ref *now);

#endif
