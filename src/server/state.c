/* SPDX-License-Identifier: Apache-2.0 */
/* The state file. */
#include "server/state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/whole_file.h"

enum {
  VERSION = 1,
  HEAD_SIZE = 24,
  SECTION_HEAD_SIZE = 16,
  CAP_MIN = 4096,
  FILE_MAX = 1 << 30, /* bytes: what is larger was not written by us */
};

static const char magic[] = "copalSTF";
static const char file_name[] = "state";
static const char temporary_name[] = "state.new";

/* ------------------------------------------------------------------------------------------------
 * collecting */

static bool make_room(state_writer *w, size_t len)
{
  if (w->err != 0)
    return false;
  if (len <= w->cap - w->len)
    return true;
  size_t cap = w->cap == 0 ? CAP_MIN : w->cap;
  while (cap - w->len < len && cap <= SIZE_MAX / 2)
    cap *= 2;
  uint8_t *bytes = cap - w->len < len ? NULL : malloc(cap);
  if (bytes == NULL) {
    w->err = -ENOMEM;
    return false;
  }
  if (w->len > 0)
    memcpy(bytes, w->bytes, w->len);
  const size_t used = w->len;
  state_writer_wipe(w); /* realloc() would leave a copy behind */
  *w = (state_writer){.bytes = bytes, .len = used, .cap = cap};
  return true;
}

void state_writer_wipe(state_writer *w)
{
  if (w->bytes != NULL)
    explicit_bzero(w->bytes, w->len);
  free(w->bytes);
  *w = (state_writer){.bytes = NULL};
}

void state_reserve(state_writer *w, size_t len)
{
  (void)make_room(w, len);
}

void state_put(state_writer *w, copal_span bytes)
{
  if (bytes.len == 0 || !make_room(w, bytes.len))
    return;
  memcpy(w->bytes + w->len, bytes.ptr, bytes.len);
  w->len += bytes.len;
}

static void put_at(uint8_t *at, uint64_t v, size_t n)
{
  for (size_t i = 0; i < n; i++)
    at[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

static uint64_t get_at(const uint8_t *at, size_t n)
{
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++)
    v = v << 8 | at[i];
  return v;
}

void state_put_uint(state_writer *w, uint64_t v, size_t n)
{
  uint8_t bytes[8];
  put_at(bytes, v, n);
  state_put(w, copal_span_of(bytes, n));
}

void state_register(state_registry *r, state_section *s)
{
  s->next = NULL;
  if (r->last != NULL)
    r->last->next = s;
  else
    r->first = s;
  r->last = s;
}

static uint64_t wall_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void digest(const uint8_t *bytes, size_t len, uint8_t out[SHA256_DIGEST_SIZE])
{
  struct sha256_ctx ctx;
  sha256_init(&ctx);
  sha256_update(&ctx, len, bytes);
  sha256_digest(&ctx, SHA256_DIGEST_SIZE, out);
}

static void save_section(state_writer *w, state_section *s)
{
  state_put(w, copal_span_of((const uint8_t *)s->name, STATE_NAME_SIZE));
  state_put_uint(w, s->version, 4);
  const size_t mark = w->len;
  state_put_uint(w, 0, 8);
  s->save(s, w);
  if (w->err == 0)
    put_at(w->bytes + mark, w->len - mark - 8, 8);
}

static void collect(const state_registry *r, state_writer *w)
{
  uint32_t count = 0;
  for (const state_section *s = r->first; s != NULL; s = s->next)
    count++;
  state_put(w, copal_span_of((const uint8_t *)magic, sizeof magic - 1));
  state_put_uint(w, VERSION, 4);
  state_put_uint(w, count, 4);
  state_put_uint(w, wall_now(), 8);
  for (state_section *s = r->first; s != NULL; s = s->next)
    save_section(w, s);
  if (w->err != 0)
    return;
  uint8_t sum[SHA256_DIGEST_SIZE];
  digest(w->bytes, w->len, sum);
  state_put(w, copal_span_of(sum, sizeof sum));
}

/* ------------------------------------------------------------------------------------------------
 * files */

static int fail(char why[STATE_WHY_SIZE], const char *what, int errnum)
{
  snprintf(why, STATE_WHY_SIZE, "%s: %s", what, strerror(errnum));
  return -errnum;
}

int64_t state_save(const state_registry *r, const char *path, char why[STATE_WHY_SIZE])
{
  state_writer w = {.bytes = NULL};
  collect(r, &w);
  int rc = w.err;
  const int dir = whole_file_dir(path);
  if (rc == 0 && dir < 0)
    rc = dir;
  if (rc == 0)
    rc = whole_file_write(dir, file_name, temporary_name, copal_span_of(w.bytes, w.len));
  if (dir >= 0)
    close(dir);
  const int64_t len = (int64_t)w.len;
  state_writer_wipe(&w);
  return rc < 0 ? fail(why, "cannot write the state file", -rc) : len;
}

/* ------------------------------------------------------------------------------------------------
 * loading */

static int open_file(int dir)
{
  const int fd = openat(dir, file_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

/* Reads the file and removes it, on the disk too, before anything of it takes effect. */
static int take_file(int dir, uint8_t **bytes, size_t *len)
{
  const int fd = open_file(dir);
  if (fd < 0)
    return fd;
  int rc = whole_file_read(fd, FILE_MAX, bytes, len);
  close(fd);
  if ((unlinkat(dir, file_name, 0) < 0 || fsync(dir) < 0) && rc == 0)
    rc = -errno;
  return rc;
}

static bool is_whole(const uint8_t *bytes, size_t len)
{
  uint8_t sum[SHA256_DIGEST_SIZE];
  if (len < HEAD_SIZE + sizeof sum || memcmp(bytes, magic, sizeof magic - 1) != 0 ||
      get_at(bytes + 8, 4) != VERSION)
    return false;
  digest(bytes, len - sizeof sum, sum);
  return memcmp(bytes + len - sizeof sum, sum, sizeof sum) == 0;
}

static state_section *find_section(const state_registry *r, const uint8_t *name)
{
  for (state_section *s = r->first; s != NULL; s = s->next)
    if (memcmp(s->name, name, STATE_NAME_SIZE) == 0)
      return s;
  return NULL;
}

/* Walks over the sections; with a registry it hands them out. Returns false when they do not fill
 * the file exactly. */
static bool walk(const state_registry *r, const uint8_t *bytes, size_t len, uint64_t age)
{
  const uint64_t count = get_at(bytes + 12, 4);
  size_t at = HEAD_SIZE;
  for (uint64_t i = 0; i < count; i++) {
    if (len - at < SECTION_HEAD_SIZE)
      return false;
    const uint8_t *head = bytes + at;
    const uint32_t version = (uint32_t)get_at(head + 4, 4);
    const uint64_t size = get_at(head + 8, 8);
    at += SECTION_HEAD_SIZE;
    if (size > len - at)
      return false;
    state_section *s = r != NULL ? find_section(r, head) : NULL;
    if (s != NULL && version <= s->version)
      s->load(s, version, copal_span_of(bytes + at, (size_t)size), age);
    at += (size_t)size;
  }
  return at == len;
}

/* A wall clock that was set back makes nothing older than it is, and nothing younger than now. */
static uint64_t age_of(const uint8_t *bytes)
{
  const uint64_t written = get_at(bytes + 16, 8), now = wall_now();
  return now > written ? now - written : 0;
}

/* Without a registry it is judged only. */
static int hand_out(const state_registry *r, const uint8_t *bytes, size_t len)
{
  if (!is_whole(bytes, len) || !walk(NULL, bytes, len - SHA256_DIGEST_SIZE, 0))
    return -EBADMSG;
  if (r != NULL)
    (void)walk(r, bytes, len - SHA256_DIGEST_SIZE, age_of(bytes));
  return 0;
}

static int64_t finish(int rc, uint8_t *bytes, size_t len, char why[STATE_WHY_SIZE])
{
  if (bytes != NULL)
    explicit_bzero(bytes, len);
  free(bytes);
  if (rc == -ENOENT)
    return 0;
  if (rc == -EBADMSG)
    snprintf(why, STATE_WHY_SIZE, "the state file is damaged or of an unknown version");
  else if (rc < 0)
    fail(why, "cannot read the state file", -rc);
  return rc < 0 ? rc : (int64_t)len;
}

int64_t state_load(const state_registry *r, const char *path, char why[STATE_WHY_SIZE])
{
  uint8_t *bytes = NULL;
  size_t len = 0;
  const int dir = whole_file_dir(path);
  int rc = dir < 0 ? dir : take_file(dir, &bytes, &len);
  if (dir >= 0) {
    (void)unlinkat(dir, temporary_name, 0); /* of a save that a crash cut short */
    close(dir);
  }
  if (rc == 0)
    rc = hand_out(r, bytes, len);
  return finish(rc, bytes, len, why);
}

int64_t state_check(const char *path, char why[STATE_WHY_SIZE])
{
  uint8_t *bytes = NULL;
  size_t len = 0;
  const int dir = whole_file_dir(path);
  const int fd = dir < 0 ? dir : open_file(dir);
  int rc = fd < 0 ? fd : whole_file_read(fd, FILE_MAX, &bytes, &len);
  if (fd >= 0)
    close(fd);
  if (dir >= 0)
    close(dir);
  if (rc == 0)
    rc = hand_out(NULL, bytes, len);
  return finish(rc, bytes, len, why);
}
