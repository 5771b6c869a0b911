/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in memory that move to a file when they grow. */
#include "store/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int grow(staging *s, size_t need)
{
  size_t cap = s->cap == 0 ? 4096 : s->cap;
  while (cap < need)
    cap *= 2;
  if (cap == s->cap)
    return 0;
  uint8_t *bytes = realloc(s->bytes, cap);
  if (bytes == NULL)
    return -ENOMEM;
  s->bytes = bytes;
  s->cap = cap;
  return 0;
}

static int write_all(int fd, size_t offset, copal_span bytes)
{
  while (bytes.len > 0) {
    const ssize_t n = pwrite(fd, bytes.ptr, bytes.len, (off_t)offset);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -errno;
    bytes = copal_span_of(bytes.ptr + n, bytes.len - (size_t)n);
    offset += (size_t)n;
  }
  return 0;
}

/* A file system without nameless files gets one that loses its name at once. */
static int open_file(const char *dir)
{
  char name[4096];
  int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
    return fd < 0 ? -errno : fd;
  const size_t len = strlen(dir);
  static const char tail[] = "/copald-upload-XXXXXX";
  if (len + sizeof tail > sizeof name)
    return -ENAMETOOLONG;
  memcpy(name, dir, len);
  memcpy(name + len, tail, sizeof tail);
  fd = mkostemp(name, O_CLOEXEC);
  if (fd < 0)
    return -errno;
  unlink(name);
  return fd;
}

static int move_to_file(staging *s, const char *dir)
{
  const int fd = open_file(dir);
  if (fd < 0)
    return fd;
  const int err = write_all(fd, 0, copal_span_of(s->bytes, s->len));
  if (err < 0) {
    close(fd);
    return err;
  }
  free(s->bytes);
  s->bytes = NULL;
  s->cap = 0;
  s->fd_plus_1 = fd + 1;
  return 0;
}

static void unmap(staging *s)
{
  if (s->mapped > 0)
    munmap(s->bytes, s->mapped);
  if (s->fd_plus_1 > 0)
    s->bytes = NULL;
  s->mapped = 0;
}

int staging_put(staging *s, const char *dir, size_t offset, copal_span bytes)
{
  const size_t end = offset + bytes.len;
  int err = 0;

  if (offset > s->len)
    return -EINVAL;
  unmap(s);
  if (s->fd_plus_1 == 0 && end > STAGING_MEMORY_MAX)
    err = move_to_file(s, dir);
  if (err == 0 && s->fd_plus_1 > 0)
    err = write_all(s->fd_plus_1 - 1, offset, bytes);
  else if (err == 0)
    err = grow(s, end);
  if (err < 0)
    return err;
  if (s->fd_plus_1 == 0 && bytes.len > 0)
    memcpy(s->bytes + offset, bytes.ptr, bytes.len);
  s->len = end;
  return 0;
}

/* Zeros up to `offset`; a file has them by itself. */
static int fill_gap(staging *s, const char *dir, size_t offset)
{
  if (s->fd_plus_1 == 0 && offset > STAGING_MEMORY_MAX) {
    const int err = move_to_file(s, dir);
    if (err < 0)
      return err;
  }
  if (s->fd_plus_1 == 0) {
    const int err = grow(s, offset);
    if (err < 0)
      return err;
    memset(s->bytes + s->len, 0, offset - s->len);
  }
  s->len = offset;
  return 0;
}

int staging_write(staging *s, const char *dir, size_t offset, copal_span bytes)
{
  const size_t before = s->len;
  int err = 0;
  unmap(s);
  if (offset > s->len)
    err = fill_gap(s, dir, offset);
  if (err == 0)
    err = staging_put(s, dir, offset, bytes);
  if (s->len < before)
    s->len = before;
  return err;
}

int staging_view(staging *s, copal_span *body)
{
  if (s->fd_plus_1 > 0 && s->mapped == 0 && s->len > 0) {
    void *map = mmap(NULL, s->len, PROT_READ, MAP_SHARED, s->fd_plus_1 - 1, 0);
    if (map == MAP_FAILED)
      return -errno;
    s->bytes = map;
    s->mapped = s->len;
  }
  *body = copal_span_of(s->bytes, s->len);
  return 0;
}

void staging_wipe(staging *s)
{
  unmap(s);
  if (s->fd_plus_1 > 0)
    close(s->fd_plus_1 - 1);
  else
    free(s->bytes);
  *s = (staging){0};
}
