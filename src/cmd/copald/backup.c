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

#define MAP_SIZE  (UINT64_C(64) << 30) /* bytes; resources.disk by default */
#define PART_NAME "data.mdb.part"
#define DATA_NAME "data.mdb"

enum { DIRECTORY_MODE = 0700, FILE_MODE = 0600, POLL_NS = 100000000 };

/* A copy under way. `rc` belongs to the copying thread until `is_done`. */
typedef struct backup {
  MDB_env *mdb;
  int fd;
  int rc;
  atomic_bool is_done;
  const char *target;
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

static void show_progress(backup *b, uint64_t total)
{
  static const struct timespec pause = {.tv_nsec = POLL_NS};
  struct stat st;
  meter m;
  meter_init(&m, b->err, "copying", "KiB", total / 1024);
  while (m.is_on && !atomic_load(&b->is_done)) {
    if (fstat(b->fd, &st) == 0)
      meter_show(&m, (uint64_t)st.st_size / 1024);
    nanosleep(&pause, NULL);
  }
  meter_clear(&m);
}

static bool copy_all(backup *b, const env *from)
{
  MDB_envinfo info;
  pthread_t thread;
  b->mdb = from->mdb;
  mdb_env_info(from->mdb, &info);
  int rc = pthread_create(&thread, NULL, copy, b);
  if (rc != 0)
    return complain(b, strerror(rc));
  show_progress(b, (uint64_t)(info.me_last_pgno + 1) * from->page);
  pthread_join(thread, NULL);
  if (b->rc != 0)
    return complain(b, mdb_strerror(b->rc));
  if (fsync(b->fd) != 0 || rename(b->part, b->data) != 0)
    return complain(b, strerror(errno));
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * the copy */

/* The copy is another life of the store: with the same epoch it would give out the entity-tags
 * that the original gives to other representations from now on. */
static int begin_epoch(env *e, MDB_txn *txn)
{
  store_record r = e->record;
  if (!store_random((copal_mspan){(uint8_t *)&r.epoch, sizeof r.epoch}))
    return EIO;
  return env_put_record(e, txn, &r);
}

/* A journal may have been begun since the original was looked at. */
static bool finish(backup *b, const char *dir, uint64_t *resources)
{
  char why[LMDB_WHY_SIZE];
  env e;
  MDB_txn *txn;
  MDB_stat stat;
  if (env_open(&e, b->target, MAP_SIZE, ENV_SERVE, why) != 0)
    return complain(b, why);
  int rc = mdb_txn_begin(e.mdb, NULL, 0, &txn);
  why[0] = '\0';
  if (rc == 0) {
    rc = snapshot_check_journal(&e, txn, dir, why);
    if (rc == 0)
      rc = mdb_stat(txn, e.items, &stat);
    if (rc == 0)
      rc = begin_epoch(&e, txn);
    if (rc == 0)
      rc = mdb_txn_commit(txn);
    else
      mdb_txn_abort(txn);
  }
  env_close(&e);
  if (rc != 0)
    return complain(b, why[0] != '\0' ? why : mdb_strerror(rc));
  *resources = stat.ms_entries;
  return true;
}

int backup_store(const char *dir, const char *target, FILE *out, FILE *err)
{
  char why[LMDB_WHY_SIZE];
  snapshot from;
  backup b = {.fd = -1, .target = target, .err = err};
  uint64_t resources = 0;
  if (snapshot_open(&from, dir, why) < 0) {
    fprintf(err, "copald: %s\n", why);
    return EXIT_RUNTIME;
  }
  mdb_txn_abort(from.txn); /* the copy has a snapshot of its own */
  from.txn = NULL;
  bool is_done = make_target(&b);
  const bool is_begun = b.fd >= 0;
  is_done = is_done && copy_all(&b, &from.env);
  if (is_begun)
    close(b.fd);
  is_done = is_done && finish(&b, dir, &resources);
  if (!is_done && is_begun)
    remove_target(&b);
  snapshot_close(&from);
  if (is_done)
    fprintf(out, "%s: a copy of %s with %" PRIu64 " resources\n", target, dir, resources);
  return is_done ? 0 : EXIT_RUNTIME;
}
