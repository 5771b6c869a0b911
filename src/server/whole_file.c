/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are there whole or not at all. */
#include "server/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int whole_file_dir(const char *path)
{
  const int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return dir < 0 ? -errno : dir;
}

int whole_file_put(int fd, copal_span bytes)
{
  while (bytes.len > 0) {
    const ssize_t n = write(fd, bytes.ptr, bytes.len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? -errno : -EIO;
    bytes = copal_span_of(bytes.ptr + n, bytes.len - (size_t)n);
  }
  return fsync(fd) == 0 ? 0 : -errno;
}

int whole_file_get(int fd, uint8_t *bytes, size_t len)
{
  for (size_t at = 0; at < len;) {
    const ssize_t n = read(fd, bytes + at, len - at);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? -errno : -EBADMSG;
    at += (size_t)n;
  }
  return 0;
}

int whole_file_write(int dir, const char *name, const char *temporary, copal_span bytes)
{
  const int fd =
      openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return -errno;
  int rc = fchmod(fd, 0600) == 0 ? 0 : -errno; /* a file left by somebody may have another mode */
  if (rc == 0)
    rc = whole_file_put(fd, bytes);
  if (close(fd) < 0 && rc == 0)
    rc = -errno;
  if (rc == 0 && renameat(dir, temporary, dir, name) < 0)
    rc = -errno;
  if (rc < 0)
    (void)unlinkat(dir, temporary, 0);
  else if (fsync(dir) < 0)
    rc = -errno;
  return rc;
}

int whole_file_read(int fd, uint64_t max, uint8_t **bytes, size_t *size)
{
  struct stat st;
  if (fstat(fd, &st) < 0)
    return -errno;
  if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
    return -EBADMSG;
  *size = (size_t)st.st_size;
  *bytes = malloc(*size + 1);
  return *bytes != NULL ? whole_file_get(fd, *bytes, *size) : -ENOMEM;
}
