/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into copald: makes chosen calls on its data fail, or kills it in front of them.
 *
 *   FAILIO=CALL:NTH:ACTION   the NTH such call, from 1, and all behind it
 *   FAILIO_ARM=FILE          only while this file is there; calls before are not counted
 *
 * CALL, on the database: pwrite (pages of data, also several by writev), meta (the page that makes
 * a commit valid), sync, fallocate. On files of the journal: append (pwritev: batches and headers),
 * fill (pwrite: zeros for a new file), jsync (fdatasync and fsync, of the folder too), jfallocate,
 * rename, unlink. Or any. ACTION is EIO, ENOSPC, short or kill. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT       __attribute__((visibility("default")))
#define REAL(name)   (*(void **)&real = dlsym(RTLD_NEXT, name))
#define FAIL_WITH(n) (errno = (n) == SHORT ? EIO : (n), -1)

enum { META_END = 2 * 4096, NONE = 0, KILL = -1, SHORT = -2 };

typedef enum file_kind { FILE_OTHER, FILE_DATABASE, FILE_JOURNAL } file_kind;

static atomic_uint calls;

/* The folder of the journal counts as one of its files. */
static file_kind kind_of_file(int fd)
{
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t len = readlink(link, path, sizeof path - 1);
  if (len < 8)
    return FILE_OTHER;
  path[len] = '\0';
  if (strcmp(path + len - 8, "data.mdb") == 0)
    return FILE_DATABASE;
  const bool is_folder = strcmp(path + len - 8, "/journal") == 0;
  return is_folder || strstr(path, "/journal/") != NULL ? FILE_JOURNAL : FILE_OTHER;
}

static int action_of(const char *name)
{
  if (strcmp(name, "kill") == 0)
    return KILL;
  if (strcmp(name, "short") == 0)
    return SHORT;
  return strcmp(name, "ENOSPC") == 0 ? ENOSPC : EIO;
}

/* What is to be done about a call, which has one name for the database and one for the journal, or
 * NULL: an errno, or one of the constants. */
static int judge(const char *on_database, const char *on_journal, int fd)
{
  char wanted[16], action[16];
  unsigned nth;
  const char *rule = getenv("FAILIO");
  const char *arm = getenv("FAILIO_ARM");
  if (rule == NULL || sscanf(rule, "%15[^:]:%u:%15s", wanted, &nth, action) != 3)
    return NONE;
  if (arm != NULL && access(arm, F_OK) != 0)
    return NONE;
  const file_kind kind = kind_of_file(fd);
  const char *call = kind == FILE_DATABASE ? on_database : kind == FILE_JOURNAL ? on_journal : NULL;
  if (call == NULL || (strcmp(wanted, "any") != 0 && strcmp(wanted, call) != 0))
    return NONE;
  if (atomic_fetch_add(&calls, 1) + 1 < nth)
    return NONE;
  const int what = action_of(action);
  if (what == KILL)
    kill(getpid(), SIGKILL);
  return what;
}

static const char *kind_of(off_t offset, size_t size)
{
  return offset < META_END && size < 4096 ? "meta" : "pwrite";
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
  static ssize_t (*real)(int, const void *, size_t, off_t);
  if (real == NULL)
    REAL("pwrite");
  const int what = judge(kind_of(offset, size), "fill", fd);
  if (what == SHORT)
    return real(fd, bytes, size / 2, offset);
  return what == NONE ? real(fd, bytes, size, offset) : FAIL_WITH(what);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
  static ssize_t (*real)(int, const struct iovec *, int);
  if (real == NULL)
    REAL("writev");
  const int what = judge("pwrite", NULL, fd);
  if (what == SHORT)
    return real(fd, iov, 1);
  return what == NONE ? real(fd, iov, count) : FAIL_WITH(what);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
  static ssize_t (*real)(int, const struct iovec *, int, off_t);
  if (real == NULL)
    REAL("pwritev");
  const int what = judge("pwrite", "append", fd);
  if (what == SHORT) {
    const struct iovec part = {.iov_base = iov->iov_base, .iov_len = (iov->iov_len + 1) / 2};
    return real(fd, &part, 1, offset);
  }
  return what == NONE ? real(fd, iov, count, offset) : FAIL_WITH(what);
}

EXPORT int fdatasync(int fd)
{
  static int (*real)(int);
  if (real == NULL)
    REAL("fdatasync");
  const int what = judge("sync", "jsync", fd);
  return what == NONE ? real(fd) : FAIL_WITH(what);
}

EXPORT int fsync(int fd)
{
  static int (*real)(int);
  if (real == NULL)
    REAL("fsync");
  const int what = judge("sync", "jsync", fd);
  return what == NONE ? real(fd) : FAIL_WITH(what);
}

EXPORT int fallocate(int fd, int mode, off_t offset, off_t len)
{
  static int (*real)(int, int, off_t, off_t);
  if (real == NULL)
    REAL("fallocate");
  const int what = judge("fallocate", "jfallocate", fd);
  return what == NONE ? real(fd, mode, offset, len) : FAIL_WITH(what);
}

EXPORT int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
  static int (*real)(int, const char *, int, const char *);
  if (real == NULL)
    REAL("renameat");
  const int what = judge(NULL, "rename", from_fd);
  return what == NONE ? real(from_fd, from, to_fd, to) : FAIL_WITH(what);
}

EXPORT int unlinkat(int fd, const char *name, int flags)
{
  static int (*real)(int, const char *, int);
  if (real == NULL)
    REAL("unlinkat");
  const int what = judge(NULL, "unlink", fd);
  return what == NONE ? real(fd, name, flags) : FAIL_WITH(what);
}
