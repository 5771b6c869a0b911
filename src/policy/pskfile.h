/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-shared keys in a text file, one `identity:hexkey` to a line as mosquitto and psktool write
 * it: the quick way to credentials. RFC 7252 section 9.1.3.1, RFC 4279.
 *
 * An identity that begins with "#" is given in hexadecimal; a line that begins with "#" and has no
 * colon is a comment. An identity on two lines has two keys, both good, the later one tried first,
 * so that keys can be changed. In rules and in the log it has the name of identity_name_of_psk(),
 * however the file writes it. The file must not be readable by everybody. Thread: any. */
#ifndef POLICY_PSKFILE_H
#define POLICY_PSKFILE_H

#include <stddef.h>

#include "policy/identity.h"
#include "transport/dtls/credentials.h"

enum { PSKFILE_WHY_SIZE = 256 };

typedef struct pskfile pskfile;

/* Reads a file. `all` is lent for the object's life; NULL for a client, which vouches for nobody.
 * Returns 0, or COPAL_EINVAL or COPAL_ENOSPC with a sentence in `why` that names the place. */
int pskfile_open(const char *path, identities *all, pskfile **f, char why[PSKFILE_WHY_SIZE]);

/* Client: one key, in hexadecimal, as if it were the only line of a file. Returns as above. */
int pskfile_of(const char *name, const char *hex, pskfile **f, char why[PSKFILE_WHY_SIZE]);

/* Safe on NULL. */
void pskfile_close(pskfile *f);

/* Reads the file again. On failure, as above, the keys stay as they were. */
int pskfile_reload(pskfile *f, char why[PSKFILE_WHY_SIZE]);

/* Client: shows this identity from now on; by default the first of the file. COPAL_ENOTFOUND. */
int pskfile_choose(pskfile *f, const char *name);

/* Identities in it. */
size_t pskfile_count(pskfile *f);

/* The face for handshakes. Lent. */
dtls_credentials *pskfile_credentials(pskfile *f);

#endif
