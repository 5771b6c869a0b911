/* SPDX-License-Identifier: Apache-2.0 */
/* The journal as a whole.
 *
 * A file gets a number only when its header is durable, under a name of its own; so a file with a
 * number and without a header is damaged, not unfinished. */
#include "store/journal/chain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "copal/error.h"

#define DIR_NAME    "journal"
#define NAME_TAIL   ".seg"
#define SPARE_START "spare"

#define GO_ON_WITHOUT "go on without the journal: copald --drop-journal DIR"

enum {
  DIRECTORY_MODE = 0700,
  SHARE_OF_DISK = 16,   /* of the free space: the most that one segment takes */
  FIRST_SIZE = 1 << 20, /* of the first segment, so that opening takes no time */
  PLENTY = 4,           /* segments for which a disk must have room before it gets a spare one */
};

static int fail(char why[CHAIN_WHY_SIZE], int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char why[CHAIN_WHY_SIZE], int rc, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(why, CHAIN_WHY_SIZE, format, args);
  va_end(args);
  return rc;
}

static int fail_errno(char why[CHAIN_WHY_SIZE], int rc, const char *what)
{
  return fail(why, rc, "the journal: %s: %s", what, strerror(-rc));
}

static int sync_fd(int fd)
{
  return fsync(fd) == 0 ? 0 : -errno;
}

static void count_bytes(chain *c)
{
  uint64_t bytes = c->spare != NULL ? c->spare->size : 0;
  uint64_t segments = 0;
  for (const segment *s = c->oldest; s != NULL; s = s->next, segments++)
    bytes += s->size;
  atomic_store_explicit(&c->bytes, bytes, memory_order_relaxed);
  atomic_store_explicit(&c->segments, segments, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------------
 * opening */

static uint64_t free_space(const chain *c)
{
  struct statvfs st;
  return fstatvfs(c->dir_fd, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize : UINT64_MAX;
}

/* On a small disk the journal keeps small. */
static uint64_t fitting_size(const chain *c, uint64_t wanted)
{
  const uint64_t share = free_space(c) / SHARE_OF_DISK;
  uint64_t size = CHAIN_SEGMENT_MIN;
  while (size * 2 <= wanted && size * 2 <= share)
    size *= 2;
  return size;
}

static int open_dir(chain *c, const char *dir, chain_mode mode, char why[CHAIN_WHY_SIZE])
{
  const int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (top < 0)
    return fail(why, -errno, "%s", strerror(errno));
  int rc = 0;
  if (mode != CHAIN_CHECK && mkdirat(top, DIR_NAME, DIRECTORY_MODE) < 0 && errno != EEXIST)
    rc = -errno;
  if (rc == 0 && mode != CHAIN_CHECK)
    rc = sync_fd(top); /* a process that was killed may have made the folder, and no more */
  if (rc == 0) {
    c->dir_fd = openat(top, DIR_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = c->dir_fd < 0 ? -errno : 0;
  }
  close(top);
  return rc == 0 ? 0 : fail(why, rc, "the folder '" DIR_NAME "': %s", strerror(-rc));
}

/* Keeps the larger one of two spare files. */
static int take_spare(chain *c, const char *name)
{
  segment *s;
  const int rc = segment_open(c->dir_fd, name, &s);
  if (rc != 0)
    return rc;
  const bool is_fit = s->size >= CHAIN_SEGMENT_MIN && s->size % SEGMENT_PAGE == 0;
  segment *lesser = s;
  if (is_fit && (c->spare == NULL || s->size > c->spare->size)) {
    lesser = c->spare;
    c->spare = s;
  }
  if (lesser != NULL)
    unlinkat(c->dir_fd, lesser->name, 0);
  segment_close(lesser);
  return 0;
}

/* Where the segment belongs among those read before. */
static void insert(chain *c, segment *s)
{
  segment **at = &c->oldest;
  while (*at != NULL && (*at)->seq < s->seq)
    at = &(*at)->next;
  s->next = *at;
  *at = s;
}

static int take_segment(chain *c, const char *name, char why[CHAIN_WHY_SIZE])
{
  segment *s;
  uint8_t header[SEGMENT_HEADER_SIZE];
  const int rc = segment_open(c->dir_fd, name, &s);
  if (rc != 0)
    return fail_errno(why, rc, name);
  const ssize_t n = pread(s->fd, header, sizeof header, 0);
  if (n < 0 || !segment_get_header(s, copal_span_of(header, (size_t)n), c->store_id)) {
    segment_close(s);
    return n < 0 ? fail_errno(why, -EIO, name)
                 : fail(why, COPAL_EFORMAT,
                        "the journal: the header of %s is damaged, of another store, or of a newer "
                        "copald; move the file away if it does not belong here, restore a backup, "
                        "or " GO_ON_WITHOUT,
                        name);
  }
  insert(c, s);
  if (s->begun > s->size)
    return fail(why, COPAL_EFORMAT,
                "the journal: %s has lost its end: %" PRIu64 " bytes of %" PRIu64
                "; restore a backup, or " GO_ON_WITHOUT,
                s->name, s->size, s->begun);
  return 0;
}

static bool ends_with(const char *name, const char *tail)
{
  const size_t len = strlen(name);
  return len >= strlen(tail) && strcmp(name + len - strlen(tail), tail) == 0;
}

static int take_file(chain *c, const char *name, chain_mode mode, char why[CHAIN_WHY_SIZE])
{
  const bool is_segment = ends_with(name, NAME_TAIL);
  const bool is_spare = strncmp(name, SPARE_START, strlen(SPARE_START)) == 0;
  if (strlen(name) >= SEGMENT_NAME_SIZE)
    return 0; /* none of ours */
  if (is_segment)
    return take_segment(c, name, why);
  const int rc = is_spare && mode != CHAIN_CHECK ? take_spare(c, name) : 0;
  return rc == 0 ? 0 : fail_errno(why, rc, name);
}

static int take_files(chain *c, chain_mode mode, char why[CHAIN_WHY_SIZE])
{
  const int fd = openat(c->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  if (dir == NULL)
    return fail_errno(why, -errno, DIR_NAME);
  int rc = 0;
  for (struct dirent *e; rc == 0 && (e = readdir(dir)) != NULL;)
    rc = take_file(c, e->d_name, mode, why);
  closedir(dir);
  return rc;
}

int chain_open(chain *c, const char *dir, uint64_t store_id, uint64_t segment_size, chain_mode mode,
               char why[CHAIN_WHY_SIZE])
{
  *c = (chain){.dir_fd = -1, .store_id = store_id, .next_batch = 1, .next_seq = 1};
  pthread_mutex_init(&c->lock, NULL);
  int rc = open_dir(c, dir, mode, why);
  if (rc == 0)
    rc = take_files(c, mode, why);
  if (rc != 0) {
    chain_close(c, false);
    return rc;
  }
  c->segment_size = fitting_size(c, segment_size);
  for (segment *s = c->oldest; s != NULL; s = s->next) {
    c->newest = s;
    c->next_seq = s->seq + 1;
  }
  count_bytes(c);
  return 0;
}

/* ------------------------------------------------------------------------------------------------
 * reading */

/* A segment being read: its file, mapped. */
typedef struct scan {
  chain_reader *r;
  segment *s;
  copal_span file;
  uint64_t next; /* number of the batch that is to follow */
} scan;

static copal_span scan_rest(const scan *x, uint64_t at)
{
  return copal_span_of(x->file.ptr + at, x->file.len - (size_t)at);
}

static int read_batch(scan *x, copal_span bytes, const batch_header *h, char why[CHAIN_WHY_SIZE])
{
  copal_span rest = copal_span_of(bytes.ptr + BATCH_HEADER_SIZE, bytes.len - BATCH_HEADER_SIZE);
  const uint64_t at = (uint64_t)(bytes.ptr - x->file.ptr);
  batch_record rec;
  for (uint32_t i = 0; i < h->count; i++) {
    if (!batch_get_record(&rest, &rec))
      return fail(why, COPAL_EFORMAT,
                  "the journal: batch %" PRIu64 " in %s at %" PRIu64
                  " has a record that this copald cannot read",
                  h->number, x->s->name, at);
    const bool has_body = rec.kind == BATCH_PUT;
    const chain_place body = {
        .in = x->s, .offset = has_body ? (uint64_t)(rec.rec.item.body.ptr - x->file.ptr) : at};
    const int rc = x->r->on_record != NULL ? x->r->on_record(x->r, h->number, &rec, &body) : 0;
    if (rc != 0)
      return fail_errno(why, rc, "its changes cannot be taken over");
  }
  return 0;
}

/* The batch at the end of what has been read, if it is whole. */
static bool next_batch(const scan *x, batch_header *h, copal_span *bytes)
{
  const copal_span rest = scan_rest(x, x->s->end);
  if (!batch_get_header(rest, x->s->salt, h) || h->number != x->next || h->size > rest.len)
    return false;
  *bytes = copal_span_of(rest.ptr, (size_t)h->size);
  return batch_is_whole(*bytes, h, x->s->salt);
}

static int read_segment(scan *x, char why[CHAIN_WHY_SIZE])
{
  batch_header h;
  copal_span bytes;
  while (next_batch(x, &h, &bytes)) {
    if (h.number > x->r->applied) {
      const int rc = read_batch(x, bytes, &h, why);
      if (rc != 0)
        return rc;
      x->r->batches++;
      x->r->rev = h.rev;
    }
    x->s->end += h.size;
    x->s->last = h.number;
    x->next++;
  }
  return 0;
}

/* A batch was only begun when the one before it was durable. So a later one, whole or not, proves
 * that the one that cannot be read was acknowledged and is damaged; with none, it was being written
 * when the machine stopped. */
static int check_tail(scan *x, char why[CHAIN_WHY_SIZE])
{
  batch_header h;
  const segment *s = x->s;
  x->r->is_torn = batch_get_header(scan_rest(x, s->end), s->salt, &h);
  for (uint64_t at = s->end; at + BATCH_HEADER_SIZE <= x->file.len; at += BATCH_ALIGN)
    if (batch_get_header(scan_rest(x, at), s->salt, &h) && h.number > x->next)
      return fail(why, COPAL_EFORMAT,
                  "the journal: %s is damaged at %" PRIu64 ": batch %" PRIu64
                  " cannot be read, and batch %" PRIu64
                  " follows; restore a backup, or " GO_ON_WITHOUT,
                  s->name, s->end, x->next, h.number);
  return 0;
}

static int scan_segment(scan *x, char why[CHAIN_WHY_SIZE])
{
  struct stat st;
  segment *s = x->s;
  if (fstat(s->fd, &st) < 0)
    return fail_errno(why, -errno, s->name);
  void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, s->fd, 0);
  if (map == MAP_FAILED)
    return fail_errno(why, -errno, s->name);
  x->file = copal_span_of(map, (size_t)st.st_size);
  int rc = read_segment(x, why);
  while (rc == 0 && s->next == NULL && (rc = check_tail(x, why)) == COPAL_EFORMAT) {
    /* Unless somebody is appending, and the batch is whole by now. */
    const uint64_t end = s->end;
    const int again = read_segment(x, why);
    if (again != 0 || s->end == end)
      break;
    rc = 0;
  }
  munmap(map, (size_t)st.st_size);
  return rc;
}

/* Segments must join: what the one before could not show is missing, unless the checkpoint has it.
 */
static int check_join(scan *x, const segment *before, char why[CHAIN_WHY_SIZE])
{
  if (x->s->first > x->next && x->s->first <= x->r->applied + 1)
    x->next = x->s->first;
  if (x->s->first == x->next)
    return 0;
  if (before == NULL)
    return fail(
        why, COPAL_EFORMAT,
        "the journal: batches %" PRIu64 " to %" PRIu64
        " are missing in front of %s; put their files back, restore a backup, or " GO_ON_WITHOUT,
        x->next, x->s->first - 1, x->s->name);
  return fail(why, COPAL_EFORMAT,
              "the journal: %s is damaged at %" PRIu64 ": batch %" PRIu64
              " cannot be read, and batch %" PRIu64
              " follows in %s; put what is missing back, restore a backup, or " GO_ON_WITHOUT,
              before->name, before->end, x->next, x->s->first, x->s->name);
}

/* What was read may never have been made durable by a process that was killed. */
static int sync_all(const chain *c, char why[CHAIN_WHY_SIZE])
{
  for (const segment *s = c->oldest; s != NULL; s = s->next) {
    const int rc = segment_sync(s);
    if (rc != 0)
      return fail_errno(why, rc, s->name);
  }
  return 0;
}

static void forget(chain *c, segment *s)
{
  unlinkat(c->dir_fd, s->name, 0);
  segment_close(s);
}

uint64_t chain_newest(chain *c)
{
  pthread_mutex_lock(&c->lock);
  const uint64_t seq = c->newest != NULL ? c->newest->seq : 0;
  pthread_mutex_unlock(&c->lock);
  return seq;
}

int chain_read(chain *c, chain_reader *r, char why[CHAIN_WHY_SIZE])
{
  scan x = {.r = r, .next = r->applied + 1};
  const segment *before = NULL;
  if (r->newest > chain_newest(c))
    return fail(why, COPAL_EFORMAT,
                "the journal: %016" PRIx64 NAME_TAIL
                ", the newest file that data.mdb knows of, is missing; put it back, restore a "
                "backup, or " GO_ON_WITHOUT,
                r->newest);
  for (segment *s = c->oldest; s != NULL; before = s, s = s->next) {
    x.s = s;
    if (before == NULL && s->first < x.next)
      x.next = s->first;
    int rc = check_join(&x, before, why);
    if (rc == 0)
      rc = scan_segment(&x, why);
    if (rc != 0)
      return rc;
  }
  if (x.next <= r->applied) /* all of it is in the checkpoint, and it does not reach its end */
    x.next = r->applied + 1;
  c->next_batch = x.next;
  return sync_all(c, why);
}

int chain_read_closed(chain *c, chain_reader *r, char why[CHAIN_WHY_SIZE])
{
  const int rc = chain_read(c, r, why);
  if (rc != 0 || r->batches == 0)
    return rc;
  return fail(why, COPAL_EFORMAT,
              "the journal has %" PRIu64
              " batches, up to %s, that data.mdb does not know of: that is an older copy, or of "
              "another store; put the right one there, or " GO_ON_WITHOUT,
              r->batches, c->newest->name);
}

int chain_discard(chain *c, uint64_t applied, char why[CHAIN_WHY_SIZE])
{
  chain_reader r = {.applied = applied};
  const int rc = chain_read_closed(c, &r, why);
  if (rc != 0)
    return rc;
  while (c->oldest != NULL) {
    segment *s = c->oldest;
    c->oldest = s->next;
    forget(c, s);
  }
  c->newest = NULL;
  count_bytes(c);
  return 0;
}

void *chain_map(chain *c, const chain_place *place, uint64_t at, size_t size, uint8_t **bytes,
                size_t *len)
{
  const uint64_t offset = place->offset + at;
  const size_t skip = (size_t)(offset % SEGMENT_PAGE);
  *len = size + skip;
  void *map = mmap(NULL, *len, PROT_READ, MAP_SHARED, place->in->fd, (off_t)(offset - skip));
  if (map == MAP_FAILED)
    return NULL;
  pthread_mutex_lock(&c->lock);
  place->in->is_mapped = true;
  atomic_fetch_add_explicit(&c->maps, 1, memory_order_relaxed);
  pthread_mutex_unlock(&c->lock);
  *bytes = (uint8_t *)map + skip;
  return map;
}

/* ------------------------------------------------------------------------------------------------
 * appending */

static int make_spare(chain *c, uint64_t size, bool is_filled, segment **s)
{
  char name[SEGMENT_NAME_SIZE];
  pthread_mutex_lock(&c->lock);
  const uint32_t number = c->spare_number++;
  pthread_mutex_unlock(&c->lock);
  snprintf(name, sizeof name, SPARE_START "-%ld-%" PRIu32, (long)getpid(), number);
  return segment_make(c->dir_fd, name, size, is_filled, s);
}

static int rename_segment(chain *c, segment *s, const char *name)
{
  if (renameat(c->dir_fd, s->name, c->dir_fd, name) < 0)
    return -errno;
  snprintf(s->name, sizeof s->name, "%s", name);
  return sync_fd(c->dir_fd);
}

static bool is_lack_of_room(int rc)
{
  return rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG;
}

/* Gives an unused file the next number. For lack of room it stays what it was; after another error
 * it may have the number or not. */
static int number_segment(chain *c, segment *s)
{
  char name[SEGMENT_NAME_SIZE];
  uint64_t salt;
  if (!store_random((copal_mspan){(uint8_t *)&salt, sizeof salt}))
    return -EIO;
  snprintf(name, sizeof name, "%016" PRIx64 NAME_TAIL, c->next_seq);
  const int rc = segment_begin(s, c->store_id, c->next_seq, c->next_batch, salt);
  if (rc != 0)
    return rc;
  c->next_seq++;
  const int err = rename_segment(c, s, name);
  return is_lack_of_room(err) ? -EIO : err;
}

/* A file with room for so many bytes: the spare one, or a new one, smaller than usual if that is
 * what the disk has. */
static int take_file_of(chain *c, uint64_t need, uint64_t usual, segment **s)
{
  pthread_mutex_lock(&c->lock);
  *s = c->spare != NULL && c->spare->size >= need ? c->spare : NULL;
  if (*s != NULL)
    c->spare = NULL;
  pthread_mutex_unlock(&c->lock);
  if (*s != NULL)
    return 0;
  uint64_t size = need > usual ? need : usual;
  for (;;) {
    const int rc = make_spare(c, size, size <= FIRST_SIZE, s);
    if (!is_lack_of_room(rc) || size == need)
      return rc;
    size = size / 2 > need ? size / 2 / SEGMENT_PAGE * SEGMENT_PAGE : need;
  }
}

static int start_with(chain *c, uint64_t need, uint64_t usual)
{
  segment *s;
  int rc = take_file_of(c, need, usual, &s);
  if (rc != 0)
    return rc;
  rc = number_segment(c, s);
  if (is_lack_of_room(rc)) {
    forget(c, s);
    return rc;
  }
  if (rc != 0) {
    segment_close(s);
    return rc;
  }
  pthread_mutex_lock(&c->lock);
  if (c->newest != NULL)
    c->newest->next = s;
  else
    c->oldest = s;
  c->newest = s;
  count_bytes(c);
  pthread_mutex_unlock(&c->lock);
  return 0;
}

int chain_start(chain *c)
{
  return start_with(c, CHAIN_SEGMENT_MIN,
                    c->segment_size < FIRST_SIZE ? c->segment_size : FIRST_SIZE);
}

int chain_restart(chain *c)
{
  if (c->newest == NULL)
    return -ENOSPC;
  if (c->newest->is_mapped && atomic_load_explicit(&c->maps, memory_order_acquire) > 0)
    return -ENOSPC;
  pthread_mutex_lock(&c->lock); /* somebody may look at how full it is */
  const int rc = number_segment(c, c->newest);
  pthread_mutex_unlock(&c->lock);
  return rc;
}

static uint64_t whole_pages(uint64_t size)
{
  return (size + SEGMENT_PAGE - 1) / SEGMENT_PAGE * SEGMENT_PAGE;
}

int chain_append(chain *c, batch *b, store_rev rev, uint64_t *number, chain_place *place)
{
  if (c->newest == NULL || c->newest->size - c->newest->end < b->size) {
    const uint64_t need = SEGMENT_HEADER_SIZE + whole_pages(b->size);
    const int rc =
        start_with(c, need > CHAIN_SEGMENT_MIN ? need : CHAIN_SEGMENT_MIN, c->segment_size);
    if (rc != 0)
      return rc;
  }
  segment *s = c->newest;
  const size_t pad = segment_padding(s->end + b->size);
  const int count = batch_seal(b, c->next_batch, rev, s->salt, pad);
  if (count == 0)
    return -ENOMEM;
  int rc = segment_write(s, s->end, b->iov, count);
  if (rc == 0)
    rc = segment_sync(s);
  if (rc != 0)
    return rc;
  *place = (chain_place){.in = s, .offset = s->end};
  *number = c->next_batch++;
  pthread_mutex_lock(&c->lock);
  s->end += b->size;
  s->last = *number;
  pthread_mutex_unlock(&c->lock);
  return 0;
}

/* ------------------------------------------------------------------------------------------------
 * spares and releasing */

void chain_make_spare(chain *c)
{
  segment *s;
  pthread_mutex_lock(&c->lock);
  const bool is_wanted =
      c->spare == NULL && c->newest != NULL && c->newest->end > c->newest->size / 2;
  pthread_mutex_unlock(&c->lock);
  if (!is_wanted || free_space(c) / PLENTY < c->segment_size ||
      make_spare(c, c->segment_size, true, &s) != 0)
    return;
  pthread_mutex_lock(&c->lock);
  if (c->spare == NULL) {
    c->spare = s;
    s = NULL;
  }
  count_bytes(c);
  pthread_mutex_unlock(&c->lock);
  if (s != NULL)
    forget(c, s);
}

/* Takes the oldest segment out when the checkpoint has all of it. */
static segment *take_settled(chain *c, uint64_t applied)
{
  pthread_mutex_lock(&c->lock);
  segment *s = c->oldest;
  if (s != NULL && s != c->newest && s->last <= applied)
    c->oldest = s->next;
  else
    s = NULL;
  pthread_mutex_unlock(&c->lock);
  return s;
}

static bool can_be_spare(chain *c, const segment *s)
{
  pthread_mutex_lock(&c->lock);
  const bool can_be = c->spare == NULL && !s->is_mapped && s->size == c->segment_size;
  pthread_mutex_unlock(&c->lock);
  return can_be;
}

/* Its number is gone for good before it can get another one. */
static int make_spare_of(chain *c, segment *s)
{
  char name[SEGMENT_NAME_SIZE];
  snprintf(name, sizeof name, SPARE_START "-%016" PRIx64, s->seq);
  const int rc = rename_segment(c, s, name);
  if (rc != 0) {
    segment_close(s);
    return rc;
  }
  s->next = NULL;
  pthread_mutex_lock(&c->lock);
  segment *lesser = c->spare != NULL ? s : NULL;
  if (lesser == NULL)
    c->spare = s;
  pthread_mutex_unlock(&c->lock);
  if (lesser != NULL)
    forget(c, lesser);
  return 0;
}

int chain_release(chain *c, uint64_t applied)
{
  int rc = 0;
  for (segment *s; rc == 0 && (s = take_settled(c, applied)) != NULL;) {
    if (can_be_spare(c, s))
      rc = make_spare_of(c, s);
    else
      forget(c, s);
  }
  pthread_mutex_lock(&c->lock);
  count_bytes(c);
  pthread_mutex_unlock(&c->lock);
  return rc;
}

static void close_all(chain *c)
{
  while (c->oldest != NULL) {
    segment *s = c->oldest;
    c->oldest = s->next;
    segment_close(s);
  }
  c->newest = NULL;
}

/* A segment stays as a spare file, so that the next start has one on a full disk too. */
static void clear(chain *c)
{
  segment *s = c->newest;
  const bool keeps = s != NULL && c->spare == NULL && !s->is_mapped;
  if (keeps) {
    char name[SEGMENT_NAME_SIZE];
    snprintf(name, sizeof name, SPARE_START "-%016" PRIx64, s->seq);
    if (renameat(c->dir_fd, s->name, c->dir_fd, name) == 0)
      snprintf(s->name, sizeof s->name, "%s", name);
  }
  while ((s = c->oldest) != NULL) {
    c->oldest = s->next;
    if (keeps && s == c->newest)
      segment_close(s);
    else
      forget(c, s);
  }
  c->newest = NULL;
  (void)sync_fd(c->dir_fd); /* what comes back by a power loss is known to be settled */
}

void chain_close(chain *c, bool is_clean)
{
  if (is_clean)
    clear(c);
  close_all(c);
  segment_close(c->spare);
  c->spare = NULL;
  if (c->dir_fd >= 0)
    close(c->dir_fd);
  c->dir_fd = -1;
  pthread_mutex_destroy(&c->lock);
}
