/* SPDX-License-Identifier: Apache-2.0 */
/* A file that only who has its key can read, and nobody else can make: where sessions lie while no
 * process has them. Written with mode 0600, complete or not at all, and removed before what it says
 * is used, so that nothing is restored twice.
 *
 *   offset  size
 *   0       8     "copalSEA"
 *   8       4     version of the format, 1
 *   12      4     what it holds: a name
 *   16      32    salt
 *   48            AES-256-GCM of the bytes, the 48 before them as additional data; nonce: zero
 *   end-16  16    tag
 *
 * The key of a file is HKDF-SHA256 (RFC 5869) of the 32 bytes in the key file with the salt, and
 * seals nothing else. The key file lies beside it unless another place is given. One beside it is
 * made when there is none, and removed with the file it has opened: a copy of the sealed file alone
 * is worth nothing. One in a place of its own is made when there is none, and stays. Thread: the
 * main thread. */
#ifndef SERVER_SEALED_H
#define SERVER_SEALED_H

#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

enum {
  SEALED_KEY_SIZE = 32,
  SEALED_NAME_SIZE = 4,
  SEALED_HEAD_SIZE = 48,
  SEALED_TAG_SIZE = 16,
  SEALED_WHY_SIZE = 256,
};

/* Where it is. All lent. */
typedef struct sealed_file {
  const char *dir;
  const char *name;     /* in `dir` */
  const char *holds;    /* SEALED_NAME_SIZE characters */
  const char *key_file; /* "": NAME.key in `dir` */
} sealed_file;

/* Writes the file anew. The content is `room` without the first SEALED_HEAD_SIZE and the last
 * SEALED_TAG_SIZE bytes, which are for the form; it is sealed in its place. Returns the size of the
 * file, or -errno with a sentence in `why`; then the file is what it was before. */
int64_t sealed_write(const sealed_file *f, copal_mspan room, char why[SEALED_WHY_SIZE]);

/* Reads the file, removes it, and opens it. Returns the number of bytes and in `*memory` the file
 * opened, whose content begins at SEALED_HEAD_SIZE: wipe and free() it; 0 when there is no file; or
 * -errno with a sentence in `why`: -EBADMSG when the key did not make it, or it was changed. */
int64_t sealed_take(const sealed_file *f, uint8_t **memory, char why[SEALED_WHY_SIZE]);

/* Removes the file. Returns 0, also when there is none, or -errno. */
int sealed_remove(const sealed_file *f);

#endif
