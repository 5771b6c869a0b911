/* SPDX-License-Identifier: Apache-2.0 */
/* One file of the journal: a header, then batches one behind the other. Made longer than it is
 * needed and filled with zeros before it is used, so that a batch costs one write and one sync of
 * data alone. The layout is in docs/store-format.md.
 *
 * Threads: one at a time; chain.h says which. */
#ifndef STORE_JOURNAL_SEGMENT_H
#define STORE_JOURNAL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "copal/span.h"

enum {
  SEGMENT_HEADER_SIZE = 4096, /* what it takes in the file */
  SEGMENT_FORMAT = 1,
  SEGMENT_PAGE = 4096, /* unit of writing */
  SEGMENT_NAME_SIZE = 40,
};

typedef struct segment {
  struct segment *next; /* newer */
  int fd;
  char name[SEGMENT_NAME_SIZE]; /* in the journal's directory */
  uint64_t seq;                 /* number of the segment; 0: a spare one */
  uint64_t size;                /* bytes of the file */
  uint64_t begun;               /* bytes that it had when its header was written; 0: a spare one */
  uint64_t first;               /* number of its first batch */
  uint64_t salt;                /* of checksums: what was in the file before must not fit */
  uint64_t end;                 /* offset behind the last batch */
  uint64_t last;                /* number of the last batch; first - 1: none yet */
  bool is_mapped;               /* bodies are read from it: its bytes must stay */
} segment;

/* Makes a file of so many bytes, a multiple of SEGMENT_PAGE, for which the disk keeps room; filled
 * with zeros when asked. Returns 0 with `*s` given to the caller, or -errno. */
int segment_make(int dir_fd, const char *name, uint64_t size, bool is_filled, segment **s);

/* Opens what is there. Returns as segment_make(). */
int segment_open(int dir_fd, const char *name, segment **s);

/* Writes a new header and makes it durable; `seq`, `first` and `salt` are set, the file is empty
 * from then on. Returns 0 or -errno. */
int segment_begin(segment *s, uint64_t store_id, uint64_t seq, uint64_t first, uint64_t salt);

/* Reads the header from the first bytes of the file. Returns false when it is damaged, is of
 * another store, or of a newer format. */
bool segment_get_header(segment *s, copal_span bytes, uint64_t store_id);

/* Writes all pieces at an offset. Returns 0 or -errno; what was written in part is no batch. */
int segment_write(const segment *s, uint64_t offset, struct iovec *iov, int count);

/* Makes what was written durable. Returns 0 or -errno, which is final. */
int segment_sync(const segment *s);

/* Zero bytes that complete the page behind `end`. */
static inline size_t segment_padding(uint64_t end)
{
  return (size_t)((SEGMENT_PAGE - end % SEGMENT_PAGE) % SEGMENT_PAGE);
}

/* Closes the file and frees the object. Safe on NULL. */
void segment_close(segment *s);

#endif
