/* SPDX-License-Identifier: Apache-2.0 */
/* Keys on P-256, their fingerprints, and the certificates and revocation lists of a small CA that
 * lives in a directory: ca.pem, ca.key and crl.pem. RFC 5280, RFC 7250, RFC 7925 section 4.4. */
#ifndef COPAL_CMD_KEYGEN_X509_H
#define COPAL_CMD_KEYGEN_X509_H

#include "cmd/copal/buf.h"
#include "cmd/copal/keygen.h"
#include "cmd/copal/status.h"

enum { KEYGEN_PRINT_SIZE = sizeof "sha256:" + 64 }; /* with its end */

/* What was made, to be told. */
typedef struct keygen_made {
  buf certificate, key, crl; /* names of files; empty: none */
  char print[KEYGEN_PRINT_SIZE];
  char expires[32]; /* RFC 3339; "": does not apply */
} keygen_made;

void keygen_made_wipe(keygen_made *m);

/* All return STATUS_OK, or another with a message. */

/* A private key in `path`, with the fingerprint of its public half. */
status keygen_raw(const keygen_args *a, const char *path, keygen_made *m, buf *err);

/* The fingerprint of a private key, a public key or a certificate in a file. */
status keygen_show(const char *path, keygen_made *m, buf *err);

/* A CA in the directory `dir`, which is made when there is none. */
status keygen_ca(const keygen_args *a, const char *dir, keygen_made *m, buf *err);

/* A key and a certificate of the CA, for a server or a client: `prefix`.pem and .key. */
status keygen_cert(const keygen_args *a, const char *prefix, keygen_made *m, buf *err);

/* Signs the CA's revocation list anew, with one more certificate on it unless `path` is NULL. */
status keygen_crl(const keygen_args *a, const char *path, keygen_made *m, buf *err);

#endif
