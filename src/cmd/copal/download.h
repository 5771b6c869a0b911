/* SPDX-License-Identifier: Apache-2.0 */
/* A body on its way into a file: FILE.part until it is whole, with the ETag of the representation
 * in FILE.part.etag, so that an interrupted download can go on. RFC 7252 section 5.10.6, RFC 7959
 * section 2.4. */
#ifndef COPAL_CMD_DOWNLOAD_H
#define COPAL_CMD_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/transfer.h"

typedef struct download {
  transfer_sink sink;
  const char *name; /* FILE, lent */
  char *part;       /* owned; NULL: FILE is no regular file and written directly */
  char *tag;        /* owned */
  int fd;           /* -1: nothing has come yet */
} download;

/* Prepares a download into the file `name`; nothing is opened before the body begins. Wipe always.
 */
void download_init(download *d, const char *name);
void download_wipe(download *d);

/* What an earlier download has left: its size and ETag. False when there is nothing to go on
 * with. */
bool download_find(const download *d, size_t *size, buf *etag);

/* The body is whole: gives the file its name. Returns 0, or -1 with errno. */
int download_finish(download *d);

/* The body stays incomplete. Returns true when what came is kept for another attempt. */
bool download_abandon(download *d);

#endif
