/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the journal. */
#include "store/journal/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/journal/crc32c.h"

enum {
  AT_CRC = 0,
  AT_FORMAT = 4,
  AT_MAGIC = 8,
  AT_STORE = 16,
  AT_SEQ = 24,
  AT_FIRST = 32,
  AT_SIZE = 40,
  AT_SALT = 48,
  HEADER_USED = 64,
  MAGIC_SIZE = 8,

  FILE_MODE = 0600,
  FILL_CHUNK = 1 << 20,
};

static const uint8_t magic[MAGIC_SIZE] = {'c', 'o', 'p', 'a', 'l', 'j', 'n', 'l'};

static void put_uint(uint8_t *out, uint64_t value, int size)
{
  for (int i = 0; i < size; i++)
    out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_uint(const uint8_t *in, int size)
{
  uint64_t value = 0;
  for (int i = 0; i < size; i++)
    value |= (uint64_t)in[i] << (8 * i);
  return value;
}

static int adopt(int fd, const char *name, uint64_t size, segment **out)
{
  segment *s = calloc(1, sizeof *s);
  if (s == NULL) {
    close(fd);
    return -ENOMEM;
  }
  s->fd = fd;
  s->size = size;
  snprintf(s->name, sizeof s->name, "%s", name);
  *out = s;
  return 0;
}

static int fill(int fd, uint64_t size)
{
  uint8_t *zeros = calloc(1, FILL_CHUNK);
  int rc = zeros != NULL ? 0 : -ENOMEM;
  for (uint64_t at = 0; rc == 0 && at < size;) {
    const uint64_t left = size - at;
    const ssize_t n = pwrite(fd, zeros, left < FILL_CHUNK ? (size_t)left : FILL_CHUNK, (off_t)at);
    if (n < 0 && errno != EINTR)
      rc = -errno;
    at += n > 0 ? (uint64_t)n : 0;
  }
  free(zeros);
  return rc;
}

/* A file system that cannot keep room takes the zeros instead. */
static int make_room(int fd, uint64_t size, bool is_filled)
{
  if (fallocate(fd, 0, 0, (off_t)size) < 0) {
    if (errno != EOPNOTSUPP)
      return -errno;
    is_filled = true;
  }
  const int rc = is_filled ? fill(fd, size) : 0;
  if (rc != 0)
    return rc;
  return fsync(fd) == 0 ? 0 : -errno;
}

int segment_make(int dir_fd, const char *name, uint64_t size, bool is_filled, segment **s)
{
  const int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
  if (fd < 0)
    return -errno;
  const int rc = make_room(fd, size, is_filled);
  if (rc == 0)
    return adopt(fd, name, size, s);
  close(fd);
  unlinkat(dir_fd, name, 0);
  return rc;
}

int segment_open(int dir_fd, const char *name, segment **s)
{
  struct stat st;
  const int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  if (fstat(fd, &st) < 0) {
    const int rc = -errno;
    close(fd);
    return rc;
  }
  return adopt(fd, name, (uint64_t)st.st_size, s);
}

int segment_begin(segment *s, uint64_t store_id, uint64_t seq, uint64_t first, uint64_t salt)
{
  uint8_t bytes[SEGMENT_HEADER_SIZE] = {0};
  memcpy(bytes + AT_MAGIC, magic, MAGIC_SIZE);
  put_uint(bytes + AT_FORMAT, SEGMENT_FORMAT, 4);
  put_uint(bytes + AT_STORE, store_id, 8);
  put_uint(bytes + AT_SEQ, seq, 8);
  put_uint(bytes + AT_FIRST, first, 8);
  put_uint(bytes + AT_SIZE, s->size, 8);
  put_uint(bytes + AT_SALT, salt, 8);
  put_uint(bytes, crc32c(0, copal_span_of(bytes + AT_FORMAT, HEADER_USED - AT_FORMAT)), 4);
  struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
  int rc = segment_write(s, 0, &iov, 1);
  if (rc == 0)
    rc = segment_sync(s);
  if (rc != 0)
    return rc;
  s->seq = seq;
  s->first = first;
  s->salt = salt;
  s->end = SEGMENT_HEADER_SIZE;
  s->last = first - 1;
  s->is_mapped = false;
  return 0;
}

bool segment_get_header(segment *s, copal_span bytes, uint64_t store_id)
{
  if (bytes.len < SEGMENT_HEADER_SIZE || memcmp(bytes.ptr + AT_MAGIC, magic, MAGIC_SIZE) != 0)
    return false;
  const uint8_t *p = bytes.ptr;
  if (get_uint(p, 4) != crc32c(0, copal_span_of(p + AT_FORMAT, HEADER_USED - AT_FORMAT)) ||
      get_uint(p + AT_FORMAT, 4) != SEGMENT_FORMAT || get_uint(p + AT_STORE, 8) != store_id)
    return false;
  s->seq = get_uint(p + AT_SEQ, 8);
  s->first = get_uint(p + AT_FIRST, 8);
  s->salt = get_uint(p + AT_SALT, 8);
  s->begun = get_uint(p + AT_SIZE, 8);
  s->end = SEGMENT_HEADER_SIZE;
  s->last = s->first - 1;
  return s->seq > 0 && s->first > 0;
}

/* Leaves out what has been written. */
static int advance(struct iovec **iov, int count, size_t written)
{
  while (count > 0 && written >= (*iov)->iov_len) {
    written -= (*iov)->iov_len;
    ++*iov;
    count--;
  }
  if (count > 0) {
    (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + written;
    (*iov)->iov_len -= written;
  }
  return count;
}

int segment_write(const segment *s, uint64_t offset, struct iovec *iov, int count)
{
  enum { PIECES_MAX = 512 }; /* IOV_MAX is 1024 */
  while ((count = advance(&iov, count, 0)) > 0) {
    const ssize_t n = pwritev(s->fd, iov, count < PIECES_MAX ? count : PIECES_MAX, (off_t)offset);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? -errno : -EIO;
    offset += (uint64_t)n;
    count = advance(&iov, count, (size_t)n);
  }
  return 0;
}

int segment_sync(const segment *s)
{
  if (fdatasync(s->fd) == 0)
    return 0;
  /* Whatever the reason, the pages are lost; -ENOSPC would say that it can be tried again. */
  return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? -EIO : -errno;
}

void segment_close(segment *s)
{
  if (s == NULL)
    return;
  close(s->fd);
  free(s);
}
