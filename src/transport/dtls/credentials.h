/* SPDX-License-Identifier: Apache-2.0 */
/* What a DTLS handshake asks of whoever keeps the credentials: keys of PSK identities, the
 * certificates and raw public keys to show, and whether a peer is who it claims to be. RFC 7252
 * section 9.1.3, RFC 4279, RFC 7250.
 *
 * The face of an object that implements it; transport calls it and knows nothing of files, rules or
 * tables of identities. An object lives longer than every shard. A reload happens inside of it.
 * Thread: every function is called from any shard's thread. */
#ifndef TRANSPORT_DTLS_CREDENTIALS_H
#define TRANSPORT_DTLS_CREDENTIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gnutls/gnutls.h>

#include "copal/span.h"

enum {
  DTLS_PSK_SIZE_MAX = 64,      /* bytes of a key; RFC 4279 section 5.3 */
  DTLS_PSK_IDENTITY_MAX = 128, /* bytes of an identity; RFC 4279 section 5.3 */
  DTLS_PSK_COUNT = 2,          /* keys of an identity that are good at once, to change them */
  DTLS_OBJECTION_SIZE = 256,   /* of a sentence, with its end */
};

/* The keys of an identity, the one to try first in front. Wiped by the caller after use. */
typedef struct dtls_psks {
  size_t count;
  struct {
    uint8_t bytes[DTLS_PSK_SIZE_MAX];
    size_t len;
  } keys[DTLS_PSK_COUNT];
} dtls_psks;

/* What a client shows to a server. Wiped by the caller after use. */
typedef struct dtls_own_psk {
  uint8_t identity[DTLS_PSK_IDENTITY_MAX];
  size_t identity_len;
  uint8_t key[DTLS_PSK_SIZE_MAX];
  size_t key_len;
} dtls_own_psk;

/* Waits for keys that are looked up elsewhere. Embedded in the handshake. */
typedef struct dtls_psk_wait {
  /* The answer has come: psk_find() will say what it is. May be called from any thread, and must
   * not call back. */
  void (*on_answer)(struct dtls_psk_wait *w);

  /* For the use of the credentials: a list of those that wait. Zeroed at first. */
  struct dtls_psk_wait *next, **place;
} dtls_psk_wait;

/* What a peer has proved, or is about to prove. */
typedef enum dtls_claim_kind {
  DTLS_CLAIM_NONE, /* a client without a certificate */
  DTLS_CLAIM_PSK,  /* `items[0]`: the identity */
  DTLS_CLAIM_RPK,  /* `items[0]`: the SubjectPublicKeyInfo, DER */
  DTLS_CLAIM_X509, /* `items`: the chain as the peer sent it, DER, its own certificate first */
} dtls_claim_kind;

/* Why a claim is not believed. */
typedef enum dtls_refusal {
  DTLS_REFUSAL_OTHER,
  DTLS_REFUSAL_MISSING,   /* neither a certificate nor a raw public key was shown */
  DTLS_REFUSAL_UNKNOWN,   /* nobody has named this raw public key */
  DTLS_REFUSAL_ISSUER,    /* no CA that is trusted has signed the certificate */
  DTLS_REFUSAL_REVOKED,   /* RFC 5280 section 5 */
  DTLS_REFUSAL_EXPIRED,   /* RFC 5280 section 4.1.2.5, as the next */
  DTLS_REFUSAL_EARLY,     /* not valid yet */
  DTLS_REFUSAL_PURPOSE,   /* RFC 5280 section 4.2.1.12 */
  DTLS_REFUSAL_ALGORITHM, /* too weak a signature or key */
  DTLS_REFUSAL_NAME,      /* the certificate is that of another server, or of nobody */
  DTLS_REFUSAL_BROKEN,    /* a signature is wrong, or it is no certificate */
  DTLS_REFUSAL_COUNT,
} dtls_refusal;

typedef struct dtls_objection {
  dtls_refusal kind;
  char text[DTLS_OBJECTION_SIZE]; /* a sentence without control characters; "": none */
} dtls_objection;

typedef struct dtls_claim {
  dtls_claim_kind kind;
  bool is_resumed;         /* proved in an earlier session, which is resumed */
  const char *server_name; /* client: the authority of the URI (host, a port unless it is the
                              default), which X.509 is to name; NULL: nobody in particular */
  size_t count;
  const gnutls_datum_t *items; /* borrowed for the call, as the next */
  dtls_objection *objection;   /* may be filled in when the claim is refused; NULL: not wanted */
} dtls_claim;

typedef struct dtls_credentials {
  /* Finds the keys of an identity. Returns COPAL_OK; COPAL_ENOTFOUND (the handshake goes on with a
   * random key, so that nobody learns who exists); COPAL_EPENDING: `w` is lent until on_answer() or
   * psk_cancel(); or COPAL_ENOSLOT: there is no room to ask now, and it is called again when the
   * client repeats itself. With `w` NULL it answers at once or not at all. NULL: there are no PSKs.
   */
  int (*psk_find)(struct dtls_credentials *c, copal_span identity, dtls_psk_wait *w,
                  dtls_psks *keys);

  /* No on_answer() runs after this. NULL when psk_find() never waits. */
  void (*psk_cancel)(struct dtls_credentials *c, dtls_psk_wait *w);

  /* Client: the identity and key to show. Returns COPAL_OK, or COPAL_ENOTFOUND when there is none.
   * NULL: there is none. */
  int (*psk_own)(struct dtls_credentials *c, dtls_own_psk *own);

  /* The identity hint to send, or NULL. RFC 4279 section 5.2. */
  const char *psk_hint;

  /* Takes the certificates and raw public keys to show to who wants the server of that name (RFC
   * 6066 section 3), which may be any bytes, in any case; empty: any server. Given back with
   * certificates_give() when the handshake is over. NULL, or an answer of NULL: there are none. */
  gnutls_certificate_credentials_t (*certificates_take)(struct dtls_credentials *c,
                                                        copal_span server_name);
  void (*certificates_give)(struct dtls_credentials *c, gnutls_certificate_credentials_t taken);

  /* Clients without a certificate may finish a handshake (as nobody). */
  bool (*admits_nobody)(struct dtls_credentials *c);

  /* Clients are not asked for a certificate at all. NULL: they are. */
  bool (*asks_nobody)(struct dtls_credentials *c);

  /* What would not be vouched for anyway, and is not negotiated. At most one of them is true. NULL:
   * it is negotiated. RFC 7250 section 4. */
  bool (*refuses_raw_keys)(struct dtls_credentials *c);
  bool (*refuses_certificates)(struct dtls_credentials *c);

  /* Judges a claim. Called when a certificate has come, before its owner has proved to have the
   * key, and of PSKs and resumed sessions at the end. Returns COPAL_OK with a number that stands
   * for the identity, held until release(); or COPAL_ENOTFOUND (unknown), COPAL_EINVAL (known and
   * refused: expired, revoked), COPAL_ENOSLOT (no room for one more identity). */
  int (*vouch)(struct dtls_credentials *c, const dtls_claim *claim, uint32_t *identity);

  /* Judges again, after a reload, somebody whom vouch() or readmit() has given a number, without
   * asking anybody. Returns COPAL_OK with the number to go on with: the same one, or another that
   * is held until release(), too, for the identity is known by another name or in other groups now.
   * COPAL_ENOTFOUND: it is not admitted any more. Other errors: what it is now cannot be given a
   * number, and it is not to go on as what it was. NULL: all that were vouched for stay. */
  int (*readmit)(struct dtls_credentials *c, uint32_t identity, uint32_t *now);

  /* Lets go of a number that vouch() or readmit() gave. */
  void (*release)(struct dtls_credentials *c, uint32_t identity);
} dtls_credentials;

#endif
