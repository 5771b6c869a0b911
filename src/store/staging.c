/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in memory that move to a file when they grow. */
#include "store/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { COMPARED_AT_ONCE = 4096 };

/* ------------------------------------------------------------------------------------------ memory
 */

/* A chunk on one huge page where the system has them: 1 MiB of small ones takes longer to get than
 * all else that is done for a body of that size. */
static uint8_t *map_chunk(void)
{
  const size_t size = 2 * (size_t)STAGING_CHUNK;
  uint8_t *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED)
    return NULL;
  const size_t over = (uintptr_t)map % STAGING_CHUNK;
  const size_t before = over > 0 ? STAGING_CHUNK - over : 0;
  uint8_t *chunk = map + before;
  if (before > 0)
    munmap(map, before);
  munmap(chunk + STAGING_CHUNK, STAGING_CHUNK - before);
  (void)madvise(chunk, STAGING_CHUNK, MADV_HUGEPAGE);
  return chunk;
}

static uint8_t *take_chunk(staging_place *place)
{
  uint8_t *chunk = atomic_exchange(&place->spare, NULL);
  if (chunk != NULL)
    return chunk;
  if (atomic_fetch_add(&place->used, STAGING_CHUNK) + STAGING_CHUNK <= place->room)
    chunk = map_chunk();
  if (chunk == NULL)
    atomic_fetch_sub(&place->used, STAGING_CHUNK);
  return chunk;
}

static void give_chunk(staging_place *place, uint8_t *chunk)
{
  chunk = atomic_exchange(&place->spare, chunk);
  if (chunk == NULL)
    return;
  munmap(chunk, STAGING_CHUNK);
  atomic_fetch_sub(&place->used, STAGING_CHUNK);
}

void staging_place_wipe(staging_place *place)
{
  uint8_t *chunk = atomic_exchange(&place->spare, NULL);
  if (chunk != NULL)
    munmap(chunk, STAGING_CHUNK);
}

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

static void free_bytes(staging *s)
{
  if (s->lender != NULL)
    give_chunk(s->lender, s->bytes);
  else
    free(s->bytes);
  s->lender = NULL;
}

static bool move_to_chunk(staging *s, staging_place *place)
{
  uint8_t *chunk = take_chunk(place);
  if (chunk == NULL)
    return false;
  if (s->len > 0)
    memcpy(chunk, s->bytes, s->len);
  free_bytes(s);
  s->bytes = chunk;
  s->cap = STAGING_CHUNK;
  s->lender = place;
  return true;
}

/* Whether a body up to `end` may be in memory. One that is in a file stays there. */
static bool may_hold(staging *s, staging_place *place, size_t end)
{
  if (end <= STAGING_MEMORY_MAX)
    return true;
  if (s->fd_plus_1 > 0 || end > STAGING_CHUNK)
    return false;
  return s->lender != NULL || move_to_chunk(s, place);
}

/* -------------------------------------------------------------------------------------------- file
 */

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

/* Where the end of the body is in memory, when it is in a file. */
static uint8_t *tail(staging *s)
{
  return s->bytes + (s->len - s->filed);
}

/* Writes what waits in memory into the file. */
static int flush(staging *s)
{
  const size_t waiting = s->len - s->filed;
  if (s->fd_plus_1 == 0 || waiting == 0)
    return 0;
  const int err = write_all(s->fd_plus_1 - 1, s->filed, copal_span_of(s->bytes, waiting));
  if (err == 0)
    s->filed = s->len;
  return err;
}

int staging_try(const char *dir)
{
  const int fd = open_file(dir);
  if (fd < 0)
    return fd;
  close(fd);
  return 0;
}

/* Gives the chunk back, of which nothing is needed any more. */
static int leave_chunk(staging *s)
{
  uint8_t *bytes = malloc(STAGING_MEMORY_MAX);
  if (bytes == NULL)
    return -ENOMEM;
  free_bytes(s);
  s->bytes = bytes;
  s->cap = STAGING_MEMORY_MAX;
  return 0;
}

/* From here on the memory is what waits for the file. */
static int open_once(staging *s, const char *dir)
{
  if (s->fd_plus_1 > 0)
    return 0;
  int err = grow(s, STAGING_MEMORY_MAX);
  if (err < 0)
    return err;
  const int fd = open_file(dir);
  if (fd < 0)
    return fd;
  s->fd_plus_1 = fd + 1;
  err = flush(s);
  return err == 0 && s->lender != NULL ? leave_chunk(s) : err;
}

static void unmap(staging *s)
{
  if (s->mapped > 0)
    munmap(s->map, s->mapped);
  s->map = NULL;
  s->mapped = 0;
}

/* Takes back what lies behind `offset`. */
static void cut(staging *s, size_t offset)
{
  s->len = offset;
  if (s->filed > offset)
    s->filed = offset;
}

/* Appends to a body that is in a file, in few and large writes. */
static int append(staging *s, copal_span bytes)
{
  int err = 0;
  if (s->len - s->filed + bytes.len > STAGING_MEMORY_MAX)
    err = flush(s);
  if (err < 0)
    return err;
  if (bytes.len <= STAGING_MEMORY_MAX) {
    if (bytes.len > 0)
      memcpy(tail(s), bytes.ptr, bytes.len);
  } else {
    err = write_all(s->fd_plus_1 - 1, s->len, bytes);
    if (err < 0)
      return err;
    s->filed = s->len + bytes.len;
  }
  s->len += bytes.len;
  return 0;
}

int staging_put(staging *s, staging_place *place, size_t offset, copal_span bytes)
{
  const size_t end = offset + bytes.len;
  int err = 0;

  if (offset > s->len)
    return -EINVAL;
  unmap(s);
  cut(s, offset);
  if (!may_hold(s, place, end))
    err = open_once(s, place->dir);
  if (err == 0 && s->fd_plus_1 > 0)
    return append(s, bytes);
  if (err == 0)
    err = grow(s, end);
  if (err < 0)
    return err;
  if (bytes.len > 0)
    memcpy(s->bytes + offset, bytes.ptr, bytes.len);
  s->len = end;
  return 0;
}

/* Writes into memory; what lies between becomes zero. */
static int write_to_memory(staging *s, size_t offset, copal_span bytes)
{
  const size_t end = offset + bytes.len;
  const int err = grow(s, end);
  if (err < 0)
    return err;
  if (offset > s->len)
    memset(s->bytes + s->len, 0, offset - s->len);
  if (bytes.len > 0)
    memcpy(s->bytes + offset, bytes.ptr, bytes.len);
  if (end > s->len)
    s->len = end;
  return 0;
}

/* Writes into the file, which has zeros in gaps by itself. */
static int write_to_file(staging *s, size_t offset, copal_span bytes)
{
  const size_t end = offset + bytes.len;
  int err = flush(s);
  if (err == 0)
    err = write_all(s->fd_plus_1 - 1, offset, bytes);
  if (err == 0 && end > s->len)
    s->len = s->filed = end;
  return err;
}

int staging_write(staging *s, staging_place *place, size_t offset, copal_span bytes)
{
  if (offset == s->len)
    return staging_put(s, place, offset, bytes);
  unmap(s);
  if (!may_hold(s, place, offset + bytes.len)) {
    const int err = open_once(s, place->dir);
    if (err < 0)
      return err;
  }
  return s->fd_plus_1 > 0 ? write_to_file(s, offset, bytes) : write_to_memory(s, offset, bytes);
}

/* The same of bytes in the file. */
static int file_holds(const staging *s, size_t offset, copal_span bytes)
{
  uint8_t chunk[COMPARED_AT_ONCE];
  while (bytes.len > 0) {
    const size_t want = bytes.len < sizeof chunk ? bytes.len : sizeof chunk;
    const ssize_t n = pread(s->fd_plus_1 - 1, chunk, want, (off_t)offset);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n < 0 ? -errno : 0;
    if (memcmp(chunk, bytes.ptr, (size_t)n) != 0)
      return 0;
    offset += (size_t)n;
    bytes = copal_span_of(bytes.ptr + n, bytes.len - (size_t)n);
  }
  return 1;
}

int staging_holds(const staging *s, size_t offset, copal_span bytes)
{
  if (offset > s->len || bytes.len > s->len - offset)
    return 0;
  const size_t in_file = offset < s->filed ? s->filed - offset : 0;
  const size_t cut = in_file < bytes.len ? in_file : bytes.len;
  const size_t rest = bytes.len - cut;
  if (rest > 0 && memcmp(s->bytes + (offset + cut - s->filed), bytes.ptr + cut, rest) != 0)
    return 0;
  return cut > 0 ? file_holds(s, offset, copal_span_of(bytes.ptr, cut)) : 1;
}

int staging_view(staging *s, copal_span *body)
{
  const int err = flush(s);
  if (err < 0)
    return err;
  if (s->fd_plus_1 > 0 && s->mapped == 0 && s->len > 0) {
    void *map = mmap(NULL, s->len, PROT_READ, MAP_SHARED, s->fd_plus_1 - 1, 0);
    if (map == MAP_FAILED)
      return -errno;
    s->map = map;
    s->mapped = s->len;
  }
  *body = copal_span_of(s->fd_plus_1 > 0 ? s->map : s->bytes, s->len);
  return 0;
}

void staging_wipe(staging *s)
{
  unmap(s);
  if (s->fd_plus_1 > 0)
    close(s->fd_plus_1 - 1);
  free_bytes(s);
  *s = (staging){0};
}
