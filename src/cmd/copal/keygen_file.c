/* SPDX-License-Identifier: Apache-2.0 */
/* Files of credentials as keygen writes them. */
#include "cmd/copal/keygen_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/copal/run.h"

enum { MODE_SECRET = 0600, MODE_OPEN = 0644, FILE_SIZE_MAX = 1 << 20 };

void keygen_forget(buf *b)
{
  if (b->ptr)
    explicit_bzero(b->ptr, b->cap);
  buf_wipe(b);
}

static status complain(const char *path, const char *what, buf *err)
{
  buf_print(err, "%s: %s", path, what);
  return STATUS_INTERNAL;
}

static status complain_exists(const char *path, buf *err)
{
  buf_print(err, "%s exists; give --force to replace it", path);
  return STATUS_USAGE;
}

/* Puts what was written in its place. A link does not replace anything, a rename does. */
static status settle(const keygen_file *f, const char *temporary, buf *err)
{
  const int rc = f->is_replace ? rename(temporary, f->path) : link(temporary, f->path);
  const int why = errno;
  if (rc != 0 || !f->is_replace)
    (void)unlink(temporary);
  if (rc != 0 && why == EEXIST)
    return complain_exists(f->path, err);
  return rc == 0 ? STATUS_OK : complain(f->path, strerror(why), err);
}

status keygen_write(const keygen_file *f, buf *err)
{
  buf temporary = {0};
  buf_print(&temporary, "%s.XXXXXX", f->path);
  if (!f->is_replace && access(f->path, F_OK) == 0) {
    buf_wipe(&temporary);
    return complain_exists(f->path, err);
  }
  const int fd = mkostemp(temporary.ptr, O_CLOEXEC); /* with mode 0600 */
  status s = fd < 0 ? complain(f->path, strerror(errno), err) : STATUS_OK;
  if (s == STATUS_OK && (run_write(fd, f->bytes) != 0 ||
                         (!f->is_secret && fchmod(fd, MODE_OPEN) != 0) || fsync(fd) != 0)) {
    s = complain(f->path, strerror(errno), err);
    (void)unlink(temporary.ptr);
  }
  if (fd >= 0)
    close(fd);
  if (s == STATUS_OK)
    s = settle(f, temporary.ptr, err);
  buf_wipe(&temporary);
  return s;
}

static const char *refusal_of(int fd)
{
  struct stat info;
  if (fstat(fd, &info) != 0)
    return strerror(errno);
  if (!S_ISREG(info.st_mode))
    return "is not a file";
  if ((info.st_mode & S_IRWXO) != 0)
    return "others may read it; chmod 0600 it";
  return NULL;
}

/* The line before it may lack its end. */
static status append(int fd, const char *path, copal_span line, buf *err)
{
  const off_t size = lseek(fd, 0, SEEK_END);
  char last = '\n';
  buf text = {0};
  if (size > 0 && pread(fd, &last, 1, size - 1) != 1)
    return complain(path, strerror(errno), err);
  if (last != '\n')
    buf_char(&text, '\n');
  buf_put_span(&text, line);
  const bool is_written = run_write(fd, buf_span(&text)) == 0 && fsync(fd) == 0;
  keygen_forget(&text);
  return is_written ? STATUS_OK : complain(path, strerror(errno), err);
}

status keygen_append(const char *path, copal_span line, buf *err)
{
  const int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, MODE_SECRET);
  if (fd < 0)
    return complain(path, strerror(errno), err);
  const char *refusal = refusal_of(fd);
  status s = refusal ? complain(path, refusal, err) : STATUS_OK;
  if (s == STATUS_OK && flock(fd, LOCK_EX) != 0)
    s = complain(path, strerror(errno), err);
  if (s == STATUS_OK)
    s = append(fd, path, line, err);
  close(fd);
  return s;
}

static status read_all(int fd, const char *path, buf *out, buf *err)
{
  char piece[4096];
  ssize_t n;
  while ((n = read(fd, piece, sizeof piece)) > 0 && out->len < FILE_SIZE_MAX)
    buf_put(out, piece, (size_t)n);
  const int why = errno;
  explicit_bzero(piece, sizeof piece);
  if (n < 0)
    return complain(path, strerror(why), err);
  return n == 0 ? STATUS_OK : complain(path, "is too large", err);
}

status keygen_read(const char *path, bool is_secret, buf *out, buf *err)
{
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return complain(path, strerror(errno), err);
  const char *refusal = is_secret ? refusal_of(fd) : NULL;
  const status s = refusal ? complain(path, refusal, err) : read_all(fd, path, out, err);
  close(fd);
  return s;
}
