/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials file of the daemon: pre-shared keys with their identities, two of them good at
 * once so that they can be changed; raw public keys by fingerprint; which subjects of certificates
 * may come, and who they are; groups of all of these. RFC 7252 section 9.1. The file is documented
 * in docs/man/copald.credentials.5.
 *
 * Stands in front of other credentials, which are asked for what the file does not know, and verify
 * certificates before the file's rules name their owners. Thread: any. */
#ifndef POLICY_CREDFILE_H
#define POLICY_CREDFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/identity.h"
#include "policy/lines.h"
#include "transport/dtls/credentials.h"

typedef struct credfile credfile;

enum { CREDFILE_FILES_MAX = 256 }; /* certificates, and keys of these */

/* Files that a credentials file names; what they are for is the caller's business. */
typedef enum credfile_name {
  CREDFILE_CERTIFICATE, /* there may be several, and as many keys */
  CREDFILE_KEY,
  CREDFILE_CA,
  CREDFILE_CRL,
  CREDFILE_RAW_KEY,
  CREDFILE_NAME_COUNT,
} credfile_name;

typedef struct credfile_facts {
  size_t psks, raw_keys, subjects;
} credfile_facts;

/* Reads a file. `all` is lent for the object's life. Returns 0, or COPAL_EINVAL or COPAL_ENOSPC
 * with every mistake and its place in `m`. */
int credfile_open(const char *path, identities *all, credfile **f, mistakes *m);

/* Safe on NULL. */
void credfile_close(credfile *f);

/* The credentials behind it, lent for its life; NULL: there are none. Before the first handshake.
 */
void credfile_set_next(credfile *f, dtls_credentials *next);

/* Reads the file again. On failure, as above, all stays as it was. */
int credfile_reload(credfile *f, mistakes *m);

/* How many files it names for something; and the name of one, relative names being those of the
 * credentials file's directory; NULL: there are not so many. Lent until the next reload. Thread:
 * the one that reloads. */
size_t credfile_file_count(const credfile *f, credfile_name what);
const char *credfile_file(const credfile *f, credfile_name what, size_t i);

/* How much is in it. */
credfile_facts credfile_facts_now(credfile *f);

/* The groups of an identity that has a key in it, written as in identity.groups. Returns false when
 * there is none of that name. */
bool credfile_groups(credfile *f, identity_kind kind, copal_span name,
                     char groups[IDENTITY_GROUPS_MAX + 1]);

/* The face for handshakes. Lent. */
dtls_credentials *credfile_credentials(credfile *f);

#endif
