/* SPDX-License-Identifier: Apache-2.0 */
/* The resources of a data directory as lines of JSON. */
#include "cmd/copald/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/copald/args.h"
#include "cmd/copald/dump_line.h"
#include "cmd/copald/meter.h"
#include "cmd/copald/snapshot.h"
#include "store/journal/walk.h"
#include "store/keytree.h"
#include "store/lmdb/dbkey.h"

enum { NAME_MAX_SHOWN = 80 };

/* A dump under way. */
typedef struct dump {
  snapshot at;
  FILE *out, *err;
  meter meter;
  uint64_t now;    /* microseconds since 1970 */
  size_t next;     /* of the tail's */
  uint64_t walked; /* records of the database */
  uint64_t seen, written, damaged;
} dump;

static uint64_t wall_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* Takes the object. Returns false when it could not be written. */
static bool put_line(dump *d, json_t *object)
{
  errno = ENOMEM;
  const bool is_done =
      object != NULL && json_dumpf(object, d->out, JSON_COMPACT) == 0 && putc('\n', d->out) != EOF;
  if (!is_done) {
    meter_clear(&d->meter);
    fprintf(d->err, "copald: the dump cannot be written: %s\n", strerror(errno));
  }
  json_decref(object);
  return is_done;
}

static void say_damaged(dump *d, copal_span path)
{
  const int shown = path.len < NAME_MAX_SHOWN ? (int)path.len : NAME_MAX_SHOWN;
  d->damaged++;
  meter_clear(&d->meter);
  fprintf(d->err, "copald: %.*s: its record is damaged; left out\n", shown, (const char *)path.ptr);
}

/* The checksum is over the record as it stands in the database. */
static bool is_intact(const dump *d, copal_span path)
{
  dbkey room;
  MDB_val key = env_val(dbkey_of(path, &room));
  MDB_val value;
  return mdb_get(d->at.txn, d->at.env.items, &key, &value) == 0 &&
         record_is_intact(env_span(value));
}

/* Returns false when the dump cannot go on. */
static bool dump_record(dump *d, copal_span path, const record *r)
{
  const uint64_t end = record_expiry(r);
  d->seen++;
  meter_show(&d->meter, d->seen);
  if (end != 0 && end <= d->now)
    return true;
  d->written++;
  return put_line(d, dump_item_make(path, r, d->now));
}

static bool dump_stored(dump *d, copal_span path, const record *r, bool is_readable)
{
  if (is_readable && is_intact(d, path))
    return dump_record(d, path, r);
  d->seen++;
  say_damaged(d, path);
  return true;
}

/* What the journal has of the paths in front of `path`, or of all of them; `*is_newer` when it has
 * that of `path` itself. */
static bool dump_tail(dump *d, const copal_span *path, bool *is_newer)
{
  const tail *t = &d->at.tail;
  bool goes_on = true;
  *is_newer = false;
  for (; goes_on && !*is_newer && d->next < t->count; d->next++) {
    const batch_record *r = &t->items[d->next]->rec;
    const int order = path != NULL ? keytree_compare(r->key, *path) : -1;
    if (order > 0)
      break;
    *is_newer = order == 0;
    goes_on = r->kind != BATCH_PUT || dump_record(d, r->key, &r->rec);
  }
  return goes_on;
}

static bool dump_next(dump *d, copal_span path, const record *r, bool is_readable)
{
  bool is_newer;
  d->walked++;
  return dump_tail(d, &path, &is_newer) && (is_newer || dump_stored(d, path, r, is_readable));
}

/* Returns 0, LMDB's error, or -1: what was wrong has been said. */
static int dump_all(dump *d)
{
  walk w;
  record r;
  copal_span path;
  const store_range all = {.space = STORE_RESOURCES, .max = SIZE_MAX};
  int rc = walk_open(&w, &d->at.env, d->at.txn, &all);
  bool goes_on = true, is_newer;
  while (goes_on && (rc == 0 || rc == RECORD_DAMAGED)) {
    rc = walk_next(&w, &path, &r);
    if (rc == 0 || rc == RECORD_DAMAGED)
      goes_on = dump_next(d, path, &r, rc == 0);
  }
  walk_close(&w);
  if (goes_on && rc == MDB_NOTFOUND)
    goes_on = dump_tail(d, NULL, &is_newer);
  return !goes_on ? -1 : rc == MDB_NOTFOUND ? 0 : rc;
}

/* A walk passes over what it cannot even tell the path of. */
static void count_lost(dump *d, uint64_t stored)
{
  if (d->walked >= stored)
    return;
  fprintf(d->err, "copald: %" PRIu64 " damaged records have lost their paths; left out\n",
          stored - d->walked);
  d->damaged += stored - d->walked;
}

/* Resources that the snapshot has with the journal's part of it. */
static uint64_t count_all(const dump *d, uint64_t stored)
{
  record found;
  for (size_t i = 0; i < d->at.tail.count; i++) {
    const batch_record *r = &d->at.tail.items[i]->rec;
    const bool was = apply_find(&d->at.env, d->at.txn, STORE_RESOURCES, r->key, &found) == 0;
    stored += r->kind == BATCH_PUT && !was;
    stored -= r->kind == BATCH_DELETE && was;
  }
  return stored;
}

static int dump_snapshot(dump *d, const char *dir)
{
  MDB_stat stat = {.ms_entries = 0};
  mdb_stat(d->at.txn, d->at.env.items, &stat);
  tail_reduce(&d->at.tail, STORE_RESOURCES);
  const store_rev own = d->at.env.record.rev, later = d->at.tail.rev;
  const dump_head head = {.rev = later > own ? later : own,
                          .resources = count_all(d, stat.ms_entries)};
  d->meter.total = head.resources;
  if (!put_line(d, dump_head_make(&head, d->now)))
    return EXIT_RUNTIME;
  const int rc = dump_all(d);
  meter_clear(&d->meter);
  if (rc > 0 || rc < -1) {
    fprintf(d->err, "copald: %s: %s; the dump is not complete, see --check\n", dir,
            mdb_strerror(rc));
    return EXIT_RUNTIME;
  }
  if (rc < 0)
    return EXIT_RUNTIME;
  count_lost(d, stat.ms_entries);
  if (!put_line(d, dump_end_make(d->written)))
    return EXIT_RUNTIME;
  if (fflush(d->out) != 0) {
    fprintf(d->err, "copald: the dump cannot be written: %s\n", strerror(errno));
    return EXIT_RUNTIME;
  }
  return d->damaged == 0 ? 0 : EXIT_RUNTIME;
}

int dump_store(const char *dir, FILE *out, FILE *err)
{
  char why[LMDB_WHY_SIZE];
  dump d = {.out = out, .err = err, .now = wall_now()};
  if (snapshot_open(&d.at, dir, why) < 0) {
    fprintf(err, "copald: %s\n", why);
    return EXIT_RUNTIME;
  }
  meter_init(&d.meter, err, "dumping", "resources", 0);
  d.meter.is_on = d.meter.is_on && isatty(fileno(out)) != 1;
  const int rc = dump_snapshot(&d, dir);
  snapshot_close(&d.at);
  return rc;
}
