/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of certs share: what the files said at a time, and the verdict on a peer. */
#ifndef POLICY_CERTS_INSIDE_H
#define POLICY_CERTS_INSIDE_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "policy/certs.h"

/* A raw public key that is known. */
typedef struct known_key {
  fingerprint print;
  unsigned line;
  char name[IDENTITY_NAME_MAX + 1]; /* "": its fingerprint */
} known_key;

/* What the files said at a time; lives while a handshake uses it. */
typedef struct edition {
  struct edition *next;
  unsigned holders;
  gnutls_certificate_credentials_t own;
  gnutls_x509_trust_list_t trusted; /* NULL: no certificate is */
  size_t key_count, key_cap;
  known_key *keys; /* sorted by their first FINGERPRINT_MIN bytes */
  certs_facts facts;
} edition;

static inline bool certs_is_named(const char *file)
{
  return file != NULL && file[0] != '\0';
}

/* Reads all files. Returns 0, COPAL_EINVAL or COPAL_ENOSPC with `why`. */
int edition_read(const certs_cfg *cfg, edition **e, char why[CERTS_WHY_SIZE]);
void edition_free(edition *e);

/* The known key with that fingerprint, or NULL. */
const known_key *edition_find(const edition *e, const fingerprint *whole);

/* The verdict on a certificate or raw public key, and on a client that shows nothing: as
 * dtls_credentials.vouch(), with a reason in `o`. */
int certs_judge(const certs_cfg *cfg, const edition *e, const dtls_claim *claim, uint32_t *who,
                dtls_objection *o);

/* True when the certificate is that of the authority of a URI. RFC 7252 section 9.1.3.3. */
bool certs_is_for(gnutls_x509_crt_t crt, const char *authority);

#endif
