/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of certs share: what the files said at a time, and the verdict on a peer. */
#ifndef POLICY_CERTS_INSIDE_H
#define POLICY_CERTS_INSIDE_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "policy/certs.h"
#include "policy/lines.h"
#include "policy/proof.h"

/* A raw public key that is known. */
typedef struct known_key {
  fingerprint print;
  unsigned line;
  char name[IDENTITY_NAME_MAX + 1]; /* "": its fingerprint */
} known_key;

enum {
  CERTS_CHAIN_MAX = 8, /* certificates of a peer that are looked at */
  CERTS_ID_SIZE = 16,
};

/* What tells a certificate, or a CA, from all others; see certs_proof.c. */
typedef struct certs_id {
  uint8_t bytes[CERTS_ID_SIZE];
} certs_id;

typedef struct certs_authority {
  certs_id id;
  int64_t expires; /* seconds since 1970 */
} certs_authority;

/* What is shown to who wants a server by one of these names. */
typedef struct certs_shown {
  gnutls_certificate_credentials_t own;
  struct certs_names *names; /* in lower case */
} certs_shown;

/* What the files said at a time; lives while a handshake uses it. */
typedef struct edition {
  struct edition *next;
  unsigned holders;
  gnutls_certificate_credentials_t own; /* all of it; the first certificate goes first */
  size_t shown_count;
  certs_shown *shown;               /* each certificate alone, when there are several */
  gnutls_x509_trust_list_t trusted; /* NULL: no certificate is */
  size_t key_count, key_cap;
  known_key *keys; /* sorted by their first FINGERPRINT_MIN bytes */
  size_t authority_count;
  certs_authority *authorities;
  size_t revoked_count, revoked_cap;
  certs_id *revoked; /* sorted */
  certs_facts facts;
} edition;

static inline bool certs_is_named(const char *file)
{
  return file != NULL && file[0] != '\0';
}

/* A sentence about a file; COPAL_EINVAL. */
int certs_complain(char why[CERTS_WHY_SIZE], const char *path, const char *what);

/* Reads a whole file; wiped and given back with certs_drop(). Returns 0 or COPAL_EINVAL with
 * `why`. */
int certs_load(const char *path, lines_secrecy secrecy, gnutls_datum_t *out,
               char why[CERTS_WHY_SIZE]);
void certs_drop(gnutls_datum_t *d);

/* Reads a certificate of ours and its key; our raw public key. As edition_read(). */
int certs_read_pair(edition *e, const certs_pair *files, bool is_client, char why[CERTS_WHY_SIZE]);
int certs_read_raw_key(edition *e, const char *path, char why[CERTS_WHY_SIZE]);

/* What to show to who wants that server, RFC 6066 section 3: names have no case, RFC 4343. And
 * whether these credentials are of the edition; and the end of those in `shown`. */
gnutls_certificate_credentials_t certs_shown_to(const edition *e, copal_span server_name);
bool certs_shows(const edition *e, gnutls_certificate_credentials_t own);
void certs_free_shown(edition *e);

/* Reads all files. Returns 0, COPAL_EINVAL or COPAL_ENOSPC with `why`. */
int edition_read(const certs_cfg *cfg, edition **e, char why[CERTS_WHY_SIZE]);
void edition_free(edition *e);

/* The known key with that fingerprint, or NULL. */
const known_key *edition_find(const edition *e, const fingerprint *whole);

/* The verdict on a certificate or raw public key, and on a client that shows nothing: as
 * dtls_credentials.vouch(), with a reason in `o`. */
int certs_judge(const certs_cfg *cfg, const edition *e, const dtls_claim *claim, uint32_t *who,
                dtls_objection *o);

/* Notes the CAs, and what their revocation lists say. Returns 0 or COPAL_ENOSPC. */
int certs_note_authorities(edition *e, const gnutls_x509_crt_t *crts, unsigned count);
int certs_note_lists(edition *e, const gnutls_x509_crl_t *lists, unsigned count);

/* The proof of a chain that was verified. False when there is none. And whether a chain with that
 * proof would be believed now, for all a reload can change. */
bool certs_prove(const edition *e, const gnutls_x509_crt_t *chain, unsigned count, proof *out);
bool certs_still_believe(const edition *e, copal_span bytes);

/* True when the certificate is that of the authority of a URI. RFC 7252 section 9.1.3.3. */
bool certs_is_for(gnutls_x509_crt_t crt, const char *authority);

#endif
