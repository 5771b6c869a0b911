/* SPDX-License-Identifier: Apache-2.0 */
/* Files of credentials as keygen writes them: whole or not at all, never over another one unless
 * asked to, and secret ones with mode 0600 from their first byte on. */
#ifndef COPAL_CMD_KEYGEN_FILE_H
#define COPAL_CMD_KEYGEN_FILE_H

#include <stdbool.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/status.h"

typedef struct keygen_file {
  const char *path;
  copal_span bytes;
  bool is_secret;  /* 0600; else 0644 */
  bool is_replace; /* an existing file goes */
} keygen_file;

/* Returns STATUS_OK, or STATUS_INTERNAL with a message; STATUS_USAGE when the file exists. */
status keygen_write(const keygen_file *f, buf *err);

/* Adds a line to a secret file, which is made when there is none. A file that others may read is
 * refused. Returns as above. */
status keygen_append(const char *path, copal_span line, buf *err);

/* Reads a whole file; wipe `out` with keygen_forget() when it is secret. */
status keygen_read(const char *path, bool is_secret, buf *out, buf *err);

/* Wipes a buffer that held a secret, and its memory. */
void keygen_forget(buf *b);

#endif
