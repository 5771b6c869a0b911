/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into copald: makes chosen calls on its data file fail, or kills it in front of them.
 *
 *   FAILIO=CALL:NTH:ACTION   the NTH such call, from 1, and all behind it
 *   FAILIO_ARM=FILE          only while this file is there; calls before are not counted
 *
 * CALL is pwrite (pages of data, also several by writev), meta (the page that makes a commit
 * valid), sync, fallocate, or any. ACTION is EIO, ENOSPC, short or kill. */
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

#define EXPORT __attribute__((visibility("default")))

enum { META_END = 2 * 4096, NONE = 0, KILL = -1, SHORT = -2 };

static atomic_uint calls;

static bool is_data_file(int fd)
{
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t len = readlink(link, path, sizeof path - 1);
  if (len < 8)
    return false;
  path[len] = '\0';
  return strcmp(path + len - 8, "data.mdb") == 0;
}

static int action_of(const char *name)
{
  if (strcmp(name, "kill") == 0)
    return KILL;
  if (strcmp(name, "short") == 0)
    return SHORT;
  return strcmp(name, "ENOSPC") == 0 ? ENOSPC : EIO;
}

/* What is to be done about this call: an errno, or one of the constants. */
static int judge(const char *call, int fd)
{
  char wanted[16], action[16];
  unsigned nth;
  const char *rule = getenv("FAILIO");
  const char *arm = getenv("FAILIO_ARM");
  if (rule == NULL || sscanf(rule, "%15[^:]:%u:%15s", wanted, &nth, action) != 3)
    return NONE;
  if (arm != NULL && access(arm, F_OK) != 0)
    return NONE;
  if ((strcmp(wanted, "any") != 0 && strcmp(wanted, call) != 0) || !is_data_file(fd))
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
    *(void **)&real = dlsym(RTLD_NEXT, "pwrite");
  const int what = judge(kind_of(offset, size), fd);
  if (what == SHORT)
    return real(fd, bytes, size / 2, offset);
  if (what == NONE)
    return real(fd, bytes, size, offset);
  errno = what;
  return -1;
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
  static ssize_t (*real)(int, const struct iovec *, int);
  if (real == NULL)
    *(void **)&real = dlsym(RTLD_NEXT, "writev");
  const int what = judge("pwrite", fd);
  if (what == SHORT)
    return real(fd, iov, 1);
  if (what == NONE)
    return real(fd, iov, count);
  errno = what;
  return -1;
}

EXPORT int fdatasync(int fd)
{
  static int (*real)(int);
  if (real == NULL)
    *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
  const int what = judge("sync", fd);
  if (what == NONE)
    return real(fd);
  errno = what == SHORT ? EIO : what;
  return -1;
}

EXPORT int fallocate(int fd, int mode, off_t offset, off_t len)
{
  static int (*real)(int, int, off_t, off_t);
  if (real == NULL)
    *(void **)&real = dlsym(RTLD_NEXT, "fallocate");
  const int what = judge("fallocate", fd);
  if (what == NONE)
    return real(fd, mode, offset, len);
  errno = what == SHORT ? EIO : what;
  return -1;
}
