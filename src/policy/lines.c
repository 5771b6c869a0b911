/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are read line by line. Thread: any. */
#include "policy/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copal/error.h"

static void append(mistakes *m, const char *format, va_list args)
{
  const size_t left = sizeof m->text - m->len;
  const int n = vsnprintf(m->text + m->len, left, format, args);
  if (n > 0)
    m->len += (size_t)n < left ? (size_t)n : left - 1;
}

__attribute__((format(printf, 2, 3))) static void put(mistakes *m, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  append(m, format, args);
  va_end(args);
}

static void add(mistakes *m, const char *file, unsigned line, const char *format, va_list args)
{
  m->count++;
  if (line == 0)
    put(m, "%s: ", file);
  else
    put(m, "%s:%u: ", file, line);
  append(m, format, args);
  put(m, "\n");
}

void mistakes_add(mistakes *m, const char *file, unsigned line, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  add(m, file, line, format, args);
  va_end(args);
}

void lines_wrong(lines *l, const char *format, ...)
{
  va_list args;
  if (l->is_bad)
    return;
  l->is_bad = true;
  va_start(args, format);
  add(l->mistakes, l->file, l->number, format, args);
  va_end(args);
}

/* ------------------------------------------------------------------------------------------------
 * files */

/* The process's groups, further ones included, and root's, which a service manager leaves its
 * credentials with. */
static bool is_own_group(gid_t group)
{
  gid_t groups[NGROUPS_MAX];
  if (group == 0 || group == getegid())
    return true;
  const int count = getgroups(NGROUPS_MAX, groups);
  for (int i = 0; i < count; i++)
    if (groups[i] == group)
      return true;
  return false;
}

static bool is_secret(const struct stat *st)
{
  if ((st->st_mode & S_IRWXO) != 0)
    return false;
  return (st->st_mode & (S_IRGRP | S_IWGRP)) == 0 || is_own_group(st->st_gid);
}

static int read_all(int fd, size_t size, copal_mspan *text)
{
  uint8_t *bytes = malloc(size + 1);
  if (bytes == NULL)
    return -ENOMEM;
  size_t len = 0;
  while (len < size) {
    const ssize_t n = read(fd, bytes + len, size - len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      const int rc = -errno;
      free(bytes);
      return rc;
    }
    if (n == 0)
      break;
    len += (size_t)n;
  }
  *text = (copal_mspan){bytes, len};
  return 0;
}

static int load(int fd, const char *path, lines_secrecy secrecy, copal_mspan *text, mistakes *m)
{
  struct stat st;
  if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
    mistakes_add(m, path, 0, "not a file");
    return COPAL_EINVAL;
  }
  if (secrecy == LINES_SECRET && !is_secret(&st)) {
    mistakes_add(m, path, 0, "others may read it (mode %04o); chmod 0600 it",
                 (unsigned)st.st_mode & 07777);
    return COPAL_EINVAL;
  }
  if (secrecy == LINES_OPEN && (st.st_mode & S_IWOTH) != 0) {
    mistakes_add(m, path, 0, "others may change it (mode %04o); chmod o-w it",
                 (unsigned)st.st_mode & 07777);
    return COPAL_EINVAL;
  }
  if (st.st_size > LINES_FILE_MAX) {
    mistakes_add(m, path, 0, "larger than %d MiB", LINES_FILE_MAX >> 20);
    return COPAL_EINVAL;
  }
  const int rc = read_all(fd, (size_t)st.st_size, text);
  if (rc < 0)
    mistakes_add(m, path, 0, "cannot be read: %s", strerror(-rc));
  return rc < 0 ? COPAL_EINVAL : COPAL_OK;
}

int lines_load(const char *path, lines_secrecy secrecy, copal_mspan *text, mistakes *m)
{
  *text = (copal_mspan){NULL, 0};
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    mistakes_add(m, path, 0, "cannot be read: %s", strerror(errno));
    return COPAL_EINVAL;
  }
  const int rc = load(fd, path, secrecy, text, m);
  close(fd);
  return rc;
}

unsigned lines_include(const char *text)
{
  unsigned line = 1;
  for (const char *at = text; at != NULL; line++) {
    at += strspn(at, " \t");
    if (*at == '@')
      return line;
    at = strchr(at, '\n');
    at = at != NULL ? at + 1 : NULL;
  }
  return 0;
}

/* ------------------------------------------------------------------------------------------------
 * lines and items */

static bool is_blank(uint8_t c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

static void step(lines *l)
{
  l->rest.ptr++;
  l->rest.len--;
}

bool lines_is_over(lines *l)
{
  while (l->rest.len > 0 && is_blank(l->rest.ptr[0]))
    step(l);
  if (l->rest.len > 0 && l->rest.ptr[0] == '#')
    l->rest.len = 0;
  return l->rest.len == 0;
}

bool lines_next(lines *l)
{
  while (l->left.len > 0) {
    const uint8_t *end = memchr(l->left.ptr, '\n', l->left.len);
    const size_t len = end != NULL ? (size_t)(end - l->left.ptr) : l->left.len;
    const size_t past = end != NULL ? len + 1 : len;
    l->rest = copal_span_of(l->left.ptr, len);
    l->left = copal_span_of(l->left.ptr + past, l->left.len - past);
    l->number++;
    l->is_bad = false;
    if (!lines_is_over(l))
      return true;
  }
  l->rest.len = 0;
  return false;
}

bool lines_skip(lines *l, char c)
{
  if (lines_is_over(l) || l->rest.ptr[0] != (uint8_t)c)
    return false;
  step(l);
  return true;
}

static bool put_item(lines *l, uint8_t c)
{
  if (l->len == LINES_ITEM_MAX) {
    lines_wrong(l, "a word is longer than %d bytes", LINES_ITEM_MAX);
    return false;
  }
  l->item[l->len++] = (char)c;
  return true;
}

/* One character of an item; `is_quoted` changes at quotes. */
static bool take_char(lines *l, bool *is_quoted)
{
  uint8_t c = l->rest.ptr[0];
  step(l);
  if (c == '"') {
    *is_quoted = !*is_quoted;
    return true;
  }
  if (c < 0x20 && c != '\t') {
    lines_wrong(l, "a control character");
    return false;
  }
  if (c == '\\') {
    if (l->rest.len == 0) {
      lines_wrong(l, "nothing follows the backslash");
      return false;
    }
    c = l->rest.ptr[0];
    step(l);
  } else if (c == '*' && !*is_quoted) {
    c = LINES_STAR;
  }
  return put_item(l, c);
}

bool lines_item(lines *l, const char *stops)
{
  bool is_quoted = false;
  l->len = 0;
  l->item[0] = '\0';
  if (l->is_bad || lines_is_over(l))
    return false;
  while (l->rest.len > 0) {
    const uint8_t c = l->rest.ptr[0];
    if (!is_quoted && (is_blank(c) || (c != '\0' && strchr(stops, c) != NULL)))
      break;
    if (!take_char(l, &is_quoted))
      return false;
  }
  if (is_quoted)
    lines_wrong(l, "a quote is not closed");
  l->item[l->len] = '\0';
  return !is_quoted;
}
