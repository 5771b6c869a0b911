/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of a data directory. It gets its name when it is whole. */
#include "cmd/copald/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd/copald/args.h"
#include "cmd/copald/meter.h"
#include "cmd/copald/snapshot.h"
#include "store/journal/state.h"

#define MAP_SIZE  (UINT64_C(64) << 30) /* bytes; resources.disk by default */
#define PART_NAME "data.mdb.part"
#define DATA_NAME "data.mdb"

enum {
  DIRECTORY_MODE = 0700,
  FILE_MODE = 0600,
  POLL_NS = 100000000,
  SNAPSHOT_NS = 200000, /* between looks at whether the copy has begun */
  ATTEMPTS = 20,
};

/* A copy under way. `rc` belongs to the copying thread until `is_done`. */
typedef struct backup {
  MDB_env *mdb;
  int fd;
  int rc;
  atomic_bool is_done;
  const char *dir, *target;
  snapshot from;
  char part[PATH_MAX];
  char data[PATH_MAX];
  bool made_dir;
  FILE *err;
} backup;

static bool complain(const backup *b, const char *what)
{
  fprintf(b->err, "copald: %s: %s; nothing was kept\n", b->target, what);
  return false;
}

/* ------------------------------------------------------------------------------------------------
 * the target */

static bool is_empty(const char *name)
{
  DIR *dir = opendir(name);
  bool has_none = dir != NULL;
  for (const struct dirent *e; has_none && (e = readdir(dir)) != NULL;)
    has_none = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
  if (dir != NULL)
    closedir(dir);
  return has_none;
}

static bool make_target(backup *b)
{
  if (snprintf(b->part, sizeof b->part, "%s/" PART_NAME, b->target) >= (int)sizeof b->part)
    return complain(b, "the name is too long");
  snprintf(b->data, sizeof b->data, "%s/" DATA_NAME, b->target);
  b->made_dir = mkdir(b->target, DIRECTORY_MODE) == 0;
  if (!b->made_dir && errno != EEXIST)
    return complain(b, strerror(errno));
  if (!b->made_dir && !is_empty(b->target))
    return complain(b, "is no empty directory; give the name of a new one");
  b->fd = open(b->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
  return b->fd >= 0 ? true : complain(b, strerror(errno));
}

/* Only what was made here: the directory was empty. */
static void remove_target(const backup *b)
{
  static const char *const names[] = {PART_NAME, DATA_NAME, "lock.mdb", "copald.lock"};
  char path[PATH_MAX];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (snprintf(path, sizeof path, "%s/%s", b->target, names[i]) < (int)sizeof path)
      unlink(path);
  if (b->made_dir)
    rmdir(b->target);
}

/* ------------------------------------------------------------------------------------------------
 * copying */

static void *copy(void *arg)
{
  backup *b = arg;
  b->rc = mdb_env_copyfd2(b->mdb, b->fd, MDB_CP_COMPACT);
  atomic_store(&b->is_done, true);
  return NULL;
}

static off_t size_now(const backup *b)
{
  struct stat st;
  return fstat(b->fd, &st) == 0 ? st.st_size : 0;
}

static void show_progress(backup *b, uint64_t total)
{
  static const struct timespec pause = {.tv_nsec = POLL_NS};
  meter m;
  meter_init(&m, b->err, "copying", "KiB", total / 1024);
  while (m.is_on && !atomic_load(&b->is_done)) {
    meter_show(&m, (uint64_t)size_now(b) / 1024);
    nanosleep(&pause, NULL);
  }
  meter_clear(&m);
}

/* What the journal has is read when the copying thread has its snapshot: a moment later no
 * checkpoint has been completed, as a rule, and the two fit together. */
static int read_journal(backup *b, char why[LMDB_WHY_SIZE])
{
  static const struct timespec pause = {.tv_nsec = SNAPSHOT_NS};
  while (size_now(b) == 0 && !atomic_load(&b->is_done))
    nanosleep(&pause, NULL);
  return snapshot_renew(&b->from, b->dir, why);
}

static bool copy_all(backup *b)
{
  MDB_envinfo info;
  pthread_t thread;
  char why[LMDB_WHY_SIZE];
  b->mdb = b->from.env.mdb;
  atomic_store(&b->is_done, false);
  mdb_env_info(b->mdb, &info);
  int rc = ftruncate(b->fd, 0) == 0 && lseek(b->fd, 0, SEEK_SET) == 0 ? 0 : errno;
  if (rc == 0)
    rc = pthread_create(&thread, NULL, copy, b);
  if (rc != 0)
    return complain(b, strerror(rc));
  rc = read_journal(b, why);
  show_progress(b, (uint64_t)(info.me_last_pgno + 1) * b->from.env.page);
  pthread_join(thread, NULL);
  if (rc != 0)
    return complain(b, why);
  if (b->rc != 0)
    return complain(b, mdb_strerror(b->rc));
  if (fsync(b->fd) != 0 || rename(b->part, b->data) != 0)
    return complain(b, strerror(errno));
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * the copy */

/* What the journal has goes into the copy, which has none. */
static int add_journal(const backup *b, const env *e, MDB_txn *txn)
{
  MDB_stat history;
  const tail *t = &b->from.tail;
  apply a = {.env = e, .txn = txn};
  int rc = mdb_stat(txn, e->history, &history);
  if (rc != 0 || !t->is_open)
    return rc;
  a.history_max = history.ms_entries > 0 ? UINT32_MAX : 0; /* copald keeps what it is told to */
  rc = tail_apply(t, &a);
  const journal_state closed = {.is_open = false, .applied = t->last};
  return rc == 0 ? journal_state_put(e, txn, &closed) : rc;
}

/* True when what was read of the journal begins where the copy ends. */
static int check_fit(const backup *b, const env *e, MDB_txn *txn)
{
  journal_state state;
  const int rc = journal_state_get(e, txn, &state);
  if (rc != 0)
    return rc;
  const tail *t = &b->from.tail;
  return state.is_open == t->is_open && state.applied == t->applied ? 0 : TAIL_MOVED;
}

static int complete(backup *b, env *e, MDB_txn *txn, uint64_t *resources)
{
  MDB_stat stat;
  int rc = check_fit(b, e, txn);
  if (rc == 0)
    rc = add_journal(b, e, txn);
  if (rc == 0)
    rc = mdb_stat(txn, e->items, &stat);
  if (rc == 0)
    rc = env_begin_epoch(e, txn, b->from.tail.rev);
  if (rc != 0) {
    mdb_txn_abort(txn);
    return rc;
  }
  *resources = stat.ms_entries;
  return mdb_txn_commit(txn);
}

/* Returns 0, TAIL_MOVED, or -1: it has been said what is wrong. */
static int finish(backup *b, uint64_t *resources)
{
  char why[LMDB_WHY_SIZE];
  env e;
  MDB_txn *txn;
  if (env_open(&e, b->target, MAP_SIZE, ENV_SERVE, why) != 0) {
    complain(b, why);
    return -1;
  }
  int rc = mdb_txn_begin(e.mdb, NULL, 0, &txn);
  if (rc == 0)
    rc = complete(b, &e, txn, resources);
  env_close(&e);
  if (rc == 0 || rc == TAIL_MOVED)
    return rc;
  complain(b, mdb_strerror(rc));
  return -1;
}

/* A checkpoint between the two snapshots: the next attempt is between two others. */
static bool copy_until_it_fits(backup *b, uint64_t *resources)
{
  int rc = TAIL_MOVED;
  for (int i = 0; rc == TAIL_MOVED && i < ATTEMPTS; i++) {
    if (i > 0 && rename(b->data, b->part) != 0)
      return complain(b, strerror(errno));
    rc = copy_all(b) ? finish(b, resources) : -1;
  }
  return rc == TAIL_MOVED ? complain(b, "the store changes too fast to be copied") : rc == 0;
}

/* What it has is on the disk already. */
static bool keep_name(const backup *b)
{
  const int rc = b->made_dir ? env_sync_parent(b->target) : 0;
  return rc == 0 ? true : complain(b, strerror(-rc));
}

int backup_store(const char *dir, const char *target, FILE *out, FILE *err)
{
  char why[LMDB_WHY_SIZE];
  backup b = {.fd = -1, .dir = dir, .target = target, .err = err};
  uint64_t resources = 0;
  if (snapshot_open(&b.from, dir, why) < 0) {
    fprintf(err, "copald: %s\n", why);
    return EXIT_RUNTIME;
  }
  bool is_done = make_target(&b);
  const bool is_begun = b.fd >= 0;
  is_done = is_done && copy_until_it_fits(&b, &resources) && keep_name(&b);
  if (is_begun)
    close(b.fd);
  if (!is_done && is_begun)
    remove_target(&b);
  snapshot_close(&b.from);
  if (is_done)
    fprintf(out, "%s: a copy of %s with %" PRIu64 " resources\n", target, dir, resources);
  return is_done ? 0 : EXIT_RUNTIME;
}
