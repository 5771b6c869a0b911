/* SPDX-License-Identifier: Apache-2.0 */
/* A dump into a data directory, in one transaction. */
#include "cmd/copald/load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/copald/args.h"
#include "cmd/copald/dump_line.h"
#include "cmd/copald/meter.h"
#include "cmd/copald/recover.h"
#include "copal/error.h"
#include "store/lmdb/apply.h"

enum { LIMIT_TEXT_SIZE = 160 };

/* A load under way. */
typedef struct load {
  FILE *in, *err;
  const char *dir;
  meter meter;
  char *text; /* the line; getline()'s */
  size_t text_cap;
  uint64_t line; /* its number, from 1 */
  dump_head head;
  env env;
  apply a;
  load_limits limits;
  uint64_t stored; /* resources before */
  uint64_t now;    /* microseconds since 1970 */
  bool keeps_revs; /* the store is new */
  store_rev first; /* given out before */
  store_rev last;  /* given out */
  uint64_t made, replaced, expired;
} load;

static uint64_t wall_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static bool complain(load *l, const char *what)
{
  meter_clear(&l->meter);
  fprintf(l->err, "copald: line %" PRIu64 ": %s; nothing was loaded\n", l->line, what);
  return false;
}

static bool complain_mdb(load *l, int rc)
{
  if (rc == MDB_MAP_FULL || rc == ENOSPC)
    return complain(l, "the store has no more room");
  if (rc == RECORD_DAMAGED)
    return complain(l, "what is stored under this path is damaged; see --check");
  if (rc == HASH_IS_SHARED)
    return complain(l, "the path cannot be kept beside another one");
  return complain(l, mdb_strerror(rc));
}

/* ------------------------------------------------------------------------------------------------
 * lines */

/* The next line. NULL: it has been said why not. */
static json_t *next_line(load *l)
{
  json_error_t error;
  char what[DUMP_WHY_SIZE + JSON_ERROR_TEXT_LENGTH];
  errno = 0;
  const ssize_t len = getline(&l->text, &l->text_cap, l->in);
  l->line++;
  if (len < 0) {
    snprintf(what, sizeof what, "%s",
             errno != 0 ? strerror(errno)
                        : "the input ends before its last line; is the dump complete?");
    complain(l, what);
    return NULL;
  }
  json_t *line = json_loadb(l->text, (size_t)len, JSON_REJECT_DUPLICATES, &error);
  if (line != NULL && json_is_object(line))
    return line;
  snprintf(what, sizeof what, "no JSON object%s%s", line == NULL ? ": " : "",
           line == NULL ? error.text : "");
  json_decref(line);
  complain(l, what);
  return NULL;
}

static bool read_head(load *l)
{
  char why[DUMP_WHY_SIZE];
  json_t *line = next_line(l);
  if (line == NULL)
    return false;
  const bool is_head = dump_head_read(line, &l->head, why);
  json_decref(line);
  return is_head ? true : complain(l, why);
}

/* ------------------------------------------------------------------------------------------------
 * resources */

static bool give_revision(load *l, dump_item *item)
{
  store_item *i = &item->rec.item;
  if (!l->keeps_revs || !item->has_rev)
    i->rev = ++l->last;
  else if (i->rev > l->head.rev)
    return complain(l, "\"revision\" is above that of the first line");
  if (!item->has_etag)
    i->etag = store_etag_of(i->rev, l->env.record.epoch);
  return true;
}

/* What this load has written itself is newer than what was there. */
static bool is_twice(const load *l, const record *old)
{
  return l->keeps_revs || old->item.rev > l->first;
}

static bool exceed(load *l, const char *what, uint64_t is, const char *key, uint64_t max)
{
  char text[LIMIT_TEXT_SIZE];
  snprintf(text, sizeof text,
           "%s%" PRIu64 " exceeds %s = %" PRIu64 " of the configuration, see --config", what, is,
           key, max);
  return complain(l, text);
}

/* What copald would refuse to take. */
static bool is_within(load *l, const record *r, bool is_new)
{
  const uint64_t count = l->stored + l->made;
  if (r->path.len > l->limits.path)
    return exceed(l, "its path of ", r->path.len, "resources.path", l->limits.path);
  if (r->item.body.len > l->limits.body)
    return exceed(l, "its size of ", r->item.body.len, "resources.body", l->limits.body);
  if (is_new && count >= l->limits.resources)
    return exceed(l, "resource number ", count + 1, "resources.count", l->limits.resources);
  return true;
}

static bool put_item(load *l, dump_item *item)
{
  record old;
  record *r = &item->rec;
  if (!item->has_wall)
    r->wall = l->now;
  const uint64_t end = record_expiry(r);
  if (end != 0 && end <= l->now) {
    l->expired++;
    return true;
  }
  int rc = apply_find(&l->env, l->a.txn, STORE_RESOURCES, r->path, &old);
  if (rc != 0 && rc != MDB_NOTFOUND)
    return complain_mdb(l, rc);
  const bool is_new = rc == MDB_NOTFOUND;
  if (!is_new && is_twice(l, &old))
    return complain(l, "its path is in the dump twice");
  if (!is_within(l, r, is_new) || !give_revision(l, item))
    return false;
  rc = apply_put(&l->a, STORE_RESOURCES, r->path, r, is_new ? NULL : &old);
  if (rc != 0)
    return complain_mdb(l, rc);
  l->made += is_new;
  l->replaced += !is_new;
  return true;
}

static bool load_item(load *l, const json_t *line)
{
  char why[DUMP_WHY_SIZE];
  dump_item item;
  bool is_done = dump_item_read(line, &item, why);
  if (is_done)
    is_done = put_item(l, &item);
  else
    complain(l, why);
  dump_item_wipe(&item);
  return is_done;
}

static bool check_end(load *l, uint64_t counted)
{
  if (counted != l->made + l->replaced + l->expired)
    return complain(l, "the last line counts other resources than there were");
  if (getc(l->in) != EOF) {
    l->line++;
    return complain(l, "there is more behind the last line");
  }
  return true;
}

static bool load_lines(load *l)
{
  for (;;) {
    json_t *line = next_line(l);
    if (line == NULL)
      return false;
    uint64_t counted;
    const bool is_end = dump_end_read(line, &counted);
    const bool is_done = is_end ? check_end(l, counted) : load_item(l, line);
    json_decref(line);
    if (is_end || !is_done)
      return is_done;
    meter_show(&l->meter, l->made + l->replaced);
  }
}

/* ------------------------------------------------------------------------------------------------
 * the store */

static bool refuse(load *l, const char *what)
{
  fprintf(l->err, "copald: %s: %s; nothing was loaded\n", l->dir, what);
  return false;
}

static bool check_store(load *l, bool merges)
{
  MDB_stat stat;
  const int rc = mdb_stat(l->a.txn, l->env.items, &stat);
  if (rc != 0)
    return refuse(l, mdb_strerror(rc));
  l->stored = stat.ms_entries;
  if (stat.ms_entries > 0 && !merges)
    return refuse(l, "holds resources; add to them with --merge, or load into a new directory");
  return true;
}

static bool commit(load *l)
{
  store_record r = l->env.record;
  r.rev = l->last;
  int rc = env_put_record(&l->env, l->a.txn, &r);
  if (rc == 0) {
    rc = mdb_txn_commit(l->a.txn);
    l->a.txn = NULL;
  }
  return rc == 0 ? true : refuse(l, mdb_strerror(rc));
}

/* In one transaction. A replaced representation goes into the history, where copald keeps as many
 * as it is configured to. */
static bool load_into(load *l, bool merges)
{
  const int rc = mdb_txn_begin(l->env.mdb, NULL, 0, &l->a.txn);
  if (rc != 0)
    return refuse(l, mdb_strerror(rc));
  l->a.env = &l->env;
  l->a.history_max = UINT32_MAX;
  l->first = l->env.record.rev;
  l->keeps_revs = l->first == 0;
  l->last = l->keeps_revs ? l->head.rev : l->first;
  const bool is_done = check_store(l, merges) && load_lines(l);
  meter_clear(&l->meter);
  if (is_done)
    return commit(l);
  mdb_txn_abort(l->a.txn);
  return false;
}

static void report(const load *l, FILE *out)
{
  fprintf(out,
          "%s: %" PRIu64 " resources loaded, %" PRIu64 " replaced, %" PRIu64
          " left out whose lifetime is over; entity-tags kept, revisions %s\n",
          l->dir, l->made, l->replaced, l->expired,
          l->keeps_revs ? "kept" : "new, because the store has given out others");
}

int load_store(const char *dir, bool merges, const load_limits *limits, FILE *in, FILE *out,
               FILE *err)
{
  char why[LMDB_WHY_SIZE];
  load l = {.in = in, .err = err, .dir = dir, .limits = *limits, .now = wall_now()};
  bool is_done = read_head(&l);
  if (is_done && recover_open(&l.env, dir, limits->disk, err, why) != 0) {
    fprintf(err, "copald: %s\n", why);
    is_done = false;
  } else if (is_done) {
    meter_init(&l.meter, err, "loading", "resources", l.head.resources);
    is_done = load_into(&l, merges);
    env_close(&l.env);
  }
  if (is_done)
    report(&l, out);
  free(l.text);
  return is_done ? 0 : EXIT_RUNTIME;
}
