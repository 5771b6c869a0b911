/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and raw public keys from files: what we show and whom we believe, beside the
 * pre-shared keys. RFC 7252 sections 9.1.3.2 and 9.1.3.3, RFC 5280, RFC 7250.
 *
 * Files are PEM. Those of private keys must be kept from others. A client believes a server whose
 * certificate a CA of its has signed and which names the authority of the URI, without wildcards:
 * as a CoAP URI, a DNS name or an address in the SubjectAltName, or in the Common Name when there
 * is no SubjectAltName. Raw public keys are believed when their fingerprint is known.
 *
 * Thread: any. */
#ifndef POLICY_CERTS_H
#define POLICY_CERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/fingerprint.h"
#include "policy/identity.h"
#include "transport/dtls/credentials.h"

enum { CERTS_WHY_SIZE = 256 };

/* What a server wants of clients that do not use a pre-shared key. */
typedef enum certs_clients {
  CERTS_CLIENTS_NONE,     /* they are nobody, and are not asked */
  CERTS_CLIENTS_OPTIONAL, /* who shows something must be known */
  CERTS_CLIENTS_REQUIRED,
} certs_clients;

/* What of a client's certificate is its name. */
typedef enum certs_name {
  CERTS_NAME_CN,          /* the Common Name; when there is none, as CERTS_NAME_SAN */
  CERTS_NAME_SAN,         /* the first URI, DNS name or mail address of the SubjectAltName */
  CERTS_NAME_SUBJECT,     /* the whole subject, RFC 4514 */
  CERTS_NAME_FINGERPRINT, /* "sha-256:" and the fingerprint of the key */
} certs_name;

/* Files of a certificate of ours, with the chain behind it, and of its key. */
typedef struct certs_pair {
  const char *certificate, *key;
} certs_pair;

/* Names of files; NULL or "": none. Copied. */
typedef struct certs_cfg {
  const char *certificate; /* our chain, our own one first; with `key` */
  const char *key;
  size_t more_count; /* server: further ones, for clients that want a server of their names (RFC
                        6066 section 3); who names none of them is shown the first */
  const certs_pair *more;
  const char *ca;        /* who may sign the peer's */
  const char *crl;       /* revocation lists of these */
  const char *raw_key;   /* our key as a raw public key */
  const char *raw_peers; /* keys of peers, lines of [name] fingerprint */
  const char *pin;       /* client: no file but the fingerprint of the server's key; that of a
                            certificate, too, whose issuer does not matter without `ca` */
  bool is_client;
  bool is_gullible;       /* client: any server that shows something is believed */
  certs_clients clients;  /* server */
  certs_name name;        /* server */
  identities *all;        /* server: lent for the object's life */
  dtls_credentials *psks; /* asked for pre-shared keys; lent for the object's life; NULL: none */
} certs_cfg;

/* What the files say; for the log. */
typedef struct certs_facts {
  size_t certificates;                  /* of ours */
  char subject[IDENTITY_NAME_MAX + 1];  /* of the first of them; "": none */
  char expiring[IDENTITY_NAME_MAX + 1]; /* of the one that is the first to expire */
  int64_t expires;                      /* and when, seconds since 1970 */
  char raw_key[FINGERPRINT_TEXT];       /* fingerprint of our raw public key; "": none */
  size_t authorities, revocation_lists, peers;
  int64_t outdated; /* when the first of the revocation lists is; 0: never */
} certs_facts;

typedef struct certs certs;

/* Reads the files. Returns 0, or COPAL_EINVAL or COPAL_ENOSPC with a sentence in `why` that names
 * the file. */
int certs_open(const certs_cfg *cfg, certs **c, char why[CERTS_WHY_SIZE]);

/* After all handshakes are over. Safe on NULL. */
void certs_close(certs *c);

/* Reads the files again: handshakes under way show what they began with, and all peers are judged
 * by what the files say now. `names` has other names of files, of the rest nothing counts; NULL:
 * they are the same. On failure, as above, all stays as it was. */
int certs_reload(certs *c, const certs_cfg *names, char why[CERTS_WHY_SIZE]);

/* What they said when they were last read. */
void certs_facts_now(certs *c, certs_facts *f);

/* The face for handshakes. Lent. */
dtls_credentials *certs_credentials(certs *c);

#endif
