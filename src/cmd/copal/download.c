/* SPDX-License-Identifier: Apache-2.0 */
/* A body on its way into a file. RFC 7252 section 5.10.6, RFC 7959 section 2.4. */
#include "cmd/copal/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/copal/optset.h"
#include "cmd/copal/run.h"
#include "copal/registry.h"

enum {
  ETAG_MAX = 8, /* RFC 7252 section 5.10.6 */
  TAG_TEXT_MAX = 2 * ETAG_MAX + 1,
};

static char *with_suffix(const char *name, const char *suffix)
{
  buf text = {0};
  buf_print(&text, "%s%s", name, suffix);
  return text.ptr;
}

static int open_new(const char *name)
{
  return open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
}

/* Notes which representation the part belongs to; without an ETag there is nothing to note. */
static int write_tag(const download *d, const reply *first)
{
  copal_span etag;
  buf text = {0};
  if (unlink(d->tag) != 0 && errno != ENOENT)
    return -1;
  if (!copal_opt_find(first->msg.options, COPAL_OPT_ETAG, &etag))
    return 0;
  const int fd = open_new(d->tag);
  if (fd < 0)
    return -1;
  for (size_t i = 0; i < etag.len; i++)
    buf_print(&text, "%02x", etag.ptr[i]);
  buf_char(&text, '\n');
  int result = run_write(fd, buf_span(&text));
  if (close(fd) != 0)
    result = -1;
  buf_wipe(&text);
  return result;
}

/* A file that others may write only through its name needs no part: where none can be made, the
 * file itself is written. */
static int open_part(download *d)
{
  if (d->part) {
    d->fd = open(d->part, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (d->fd >= 0 || (errno != EACCES && errno != EROFS))
      return d->fd < 0 ? -1 : 0;
    free(d->part);
    d->part = NULL;
  }
  d->fd = open_new(d->name);
  return d->fd < 0 ? -1 : 0;
}

static int begin(transfer_sink *k, const reply *first, size_t at)
{
  download *d = (download *)k;
  if (d->fd < 0 && open_part(d) != 0)
    return -1;
  /* Devices and pipes have neither length nor position. */
  const bool can_seek = d->part || lseek(d->fd, 0, SEEK_CUR) >= 0;
  if (can_seek && lseek(d->fd, (off_t)at, SEEK_SET) < 0)
    return -1;
  if (can_seek && ftruncate(d->fd, (off_t)at) != 0 && d->part)
    return -1;
  return d->part ? write_tag(d, first) : 0;
}

static int put(transfer_sink *k, copal_span bytes)
{
  return run_write(((download *)k)->fd, bytes);
}

void download_init(download *d, const char *name)
{
  struct stat st;
  *d = (download){.sink = {begin, put, name}, .name = name, .fd = -1};
  if (lstat(name, &st) == 0 && !S_ISREG(st.st_mode))
    return;
  d->part = with_suffix(name, ".part");
  d->tag = with_suffix(name, ".part.etag");
}

void download_wipe(download *d)
{
  if (d->fd >= 0)
    close(d->fd);
  free(d->part);
  free(d->tag);
  *d = (download){.fd = -1};
}

static bool read_tag(const char *name, buf *etag)
{
  char text[TAG_TEXT_MAX + 1];
  const int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return false;
  const ssize_t n = read(fd, text, TAG_TEXT_MAX);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  text[strcspn(text, "\n")] = '\0';
  return hex_parse(text, etag) == 0 && etag->len > 0;
}

bool download_find(const download *d, size_t *size, buf *etag)
{
  struct stat st;
  if (!d->part || lstat(d->part, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
    return false;
  *size = (size_t)st.st_size;
  return read_tag(d->tag, etag);
}

/* A file that is replaced keeps its permissions. */
static void keep_mode(const download *d)
{
  struct stat st;
  if (stat(d->name, &st) == 0 && fchmod(d->fd, st.st_mode & 07777) != 0)
    return; /* another owner's; the new file has this user's usual ones */
}

int download_finish(download *d)
{
  if (d->fd < 0)
    return 0;
  if (d->part)
    keep_mode(d);
  const int fd = d->fd;
  d->fd = -1;
  if (close(fd) != 0)
    return -1;
  if (!d->part)
    return 0;
  if (rename(d->part, d->name) != 0)
    return -1;
  unlink(d->tag);
  return 0;
}

bool download_abandon(download *d)
{
  struct stat st;
  const bool has_part = d->fd >= 0 && d->part;
  const bool is_kept =
      has_part && fstat(d->fd, &st) == 0 && st.st_size > 0 && access(d->tag, R_OK) == 0;
  if (has_part && !is_kept) {
    unlink(d->part);
    unlink(d->tag);
  }
  if (d->fd >= 0)
    close(d->fd);
  d->fd = -1;
  return is_kept;
}
