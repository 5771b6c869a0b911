/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of the data directory that are there whole or not at all, for their owner only.
 * Thread: any. All functions return 0 or -errno. */
#ifndef SERVER_WHOLE_FILE_H
#define SERVER_WHOLE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"

/* Opens a directory for the functions below. Returns the descriptor. */
int whole_file_dir(const char *path);

/* Writes a file, which is there under its name only when all of it is on the disk; `temporary` is
 * its name until then. */
int whole_file_write(int dir, const char *name, const char *temporary, copal_span bytes);

/* Reads an open file into memory that the caller frees, with one byte of room behind it; `*bytes`
 * may be set and has to be freed in case of an error, too. -EBADMSG for what is no regular file,
 * has more than `max` bytes or got shorter meanwhile. */
int whole_file_read(int fd, uint64_t max, uint8_t **bytes, size_t *size);

/* All bytes to an open file and to the disk; and exactly so many from one, -EBADMSG when there are
 * fewer. */
int whole_file_put(int fd, copal_span bytes);
int whole_file_get(int fd, uint8_t *bytes, size_t len);

#endif
