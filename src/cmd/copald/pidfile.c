/* SPDX-License-Identifier: Apache-2.0 */
/* The file that tells the process id. Thread: the main thread only. */
#include "cmd/copald/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/conf.h"

enum { NUMBER_SIZE = 24 };

static int write_new(const char *path)
{
  char text[NUMBER_SIZE];
  const int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
  /* What lies there may be a link that somebody else has made. */
  if (unlink(path) != 0 && errno != ENOENT)
    return -errno;
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0)
    return -errno;
  const ssize_t n = write(fd, text, (size_t)len);
  const int rc = n == len ? 0 : n < 0 ? -errno : -ENOSPC;
  close(fd);
  return rc;
}

int pidfile_write(const char *path)
{
  char fresh[CONF_TEXT_SIZE + sizeof ".new"];
  if (*path == '\0')
    return 0;
  snprintf(fresh, sizeof fresh, "%s.new", path);
  int rc = write_new(fresh);
  if (rc == 0 && rename(fresh, path) != 0)
    rc = -errno;
  if (rc < 0)
    (void)unlink(fresh);
  return rc;
}

void pidfile_remove(const char *path)
{
  char text[NUMBER_SIZE];
  const int fd = *path == '\0' ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  const ssize_t len = read(fd, text, sizeof text - 1);
  close(fd);
  if (len <= 0)
    return;
  text[len] = '\0';
  if (strtol(text, NULL, 10) == (long)getpid())
    (void)unlink(path);
}
