/* SPDX-License-Identifier: Apache-2.0 */
/* The data directory. */
#include "store/lmdb/env.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copal/error.h"

#define LOCK_NAME  "copald.lock"
#define DATA_NAME  "data.mdb"
#define RECORD_KEY "copal"
#define TABLE_NAME "lock.mdb"

enum {
  DIRECTORY_MODE = 0700,
  FILE_MODE = 0600,
  READERS_MAX = 1024,
  TABLE_SIZE = 72 << 10, /* of LMDB's table of readers, 64 bytes each */
  DATABASES_MAX = 8,
};

static int fail(char why[LMDB_WHY_SIZE], int rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char why[LMDB_WHY_SIZE], int rc, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(why, LMDB_WHY_SIZE, format, args);
  va_end(args);
  return rc;
}

/* LMDB's errors are its own below zero and those of the system above. */
static int fail_mdb(char why[LMDB_WHY_SIZE], const char *dir, int rc)
{
  if (rc > 0)
    return fail(why, -rc, "%s: " DATA_NAME ": %s", dir, strerror(rc));
  return fail(why, COPAL_EFORMAT, "%s: " DATA_NAME ": %s", dir, mdb_strerror(rc));
}

/* LMDB ends the process behind this. */
static void on_broken_page(MDB_env *mdb, const char *what)
{
  const char *dir = "";
  mdb_env_get_path(mdb, &dir);
  fprintf(stderr, "copald: %s: " DATA_NAME " is damaged: %s; restore a backup\n", dir, what);
}

/* ------------------------------------------------------------------------------------------------
 * the directory */

/* Makes a new name in a directory survive a power loss. */
static int sync_dir(const char *dir)
{
  const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  const int rc = fsync(fd) == 0 ? 0 : -errno;
  close(fd);
  return rc;
}

int env_sync_parent(const char *dir)
{
  char *copy = strdup(dir);
  if (copy == NULL)
    return -ENOMEM;
  const int rc = sync_dir(dirname(copy));
  free(copy);
  return rc == -EACCES ? 0 : rc; /* may be searchable but not readable */
}

static int make_dir(const char *dir, char why[LMDB_WHY_SIZE])
{
  if (mkdir(dir, DIRECTORY_MODE) == 0) {
    const int rc = env_sync_parent(dir);
    return rc == 0 ? 0 : fail(why, rc, "%s: %s", dir, strerror(-rc));
  }
  if (errno == EEXIST)
    return 0;
  return fail(why, -errno, "%s: cannot be made: %s", dir, strerror(errno));
}

/* The process that has the lock, as far as it said. */
static long owner_of(int fd)
{
  char text[24] = "";
  return pread(fd, text, sizeof text - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
}

static int lock_dir(env *e, const char *dir, env_mode mode, char why[LMDB_WHY_SIZE])
{
  const bool is_check = mode != ENV_SERVE;
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/" LOCK_NAME, dir) >= (int)sizeof path)
    return fail(why, -ENAMETOOLONG, "the name of the data directory is too long");
  e->lock_fd = open(path, (is_check ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, FILE_MODE);
  if (e->lock_fd < 0 && errno == ENOTDIR)
    return fail(why, -ENOTDIR, "%s: is no directory", dir);
  if (e->lock_fd < 0)
    return is_check && errno == ENOENT ? fail(why, -ENOENT, "%s: is no data directory", dir)
                                       : fail(why, -errno, "%s: %s", path, strerror(errno));
  if (mode != ENV_BESIDE && flock(e->lock_fd, LOCK_EX | LOCK_NB) < 0)
    return fail(why, -EBUSY, "%s: in use by another copald, process %ld", dir,
                owner_of(e->lock_fd));
  if (!is_check &&
      (ftruncate(e->lock_fd, 0) < 0 || dprintf(e->lock_fd, "%ld\n", (long)getpid()) < 0))
    return 0; /* who has the lock is only told for convenience; the disk may be full */
  return 0;
}

/* LMDB maps its table of readers: on a full disk touching a page that the file does not have yet
 * would end the process. */
static int reserve_table(const char *dir, char why[LMDB_WHY_SIZE])
{
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/" TABLE_NAME, dir); /* shorter than the lock's */
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
  if (fd < 0)
    return fail(why, -errno, "%s: %s", path, strerror(errno));
  const int rc = posix_fallocate(fd, 0, TABLE_SIZE);
  close(fd);
  return rc == 0 ? 0 : fail(why, -rc, "%s: %s", path, strerror(rc));
}

/* ------------------------------------------------------------------------------------------------
 * the database */

/* A file that is shorter than its database says would end the process when it is read. */
static int check_length(const env *e, const char *dir, char why[LMDB_WHY_SIZE])
{
  MDB_envinfo info;
  struct stat st;
  int fd;
  mdb_env_info(e->mdb, &info);
  mdb_env_get_fd(e->mdb, &fd);
  if (fstat(fd, &st) < 0)
    return fail(why, -errno, "%s: %s", dir, strerror(errno));
  const uint64_t need = (uint64_t)(info.me_last_pgno + 1) * e->page;
  if ((uint64_t)st.st_size < need && info.me_last_txnid > 0)
    return fail(why, COPAL_EFORMAT, "%s: " DATA_NAME " has lost its end: %llu bytes of %llu", dir,
                (unsigned long long)st.st_size, (unsigned long long)need);
  return 0;
}

int env_read_record(env *e, MDB_txn *txn, const char *dir, char why[LMDB_WHY_SIZE])
{
  MDB_val key = env_val(copal_span_str(RECORD_KEY));
  MDB_val value;
  const int rc = mdb_get(txn, e->main, &key, &value);
  if (rc != MDB_SUCCESS)
    return rc;
  if (!store_record_get(env_span(value), &e->record))
    return fail(why, COPAL_EFORMAT, "%s: the store's record is damaged", dir);
  if (e->record.format > STORE_FORMAT)
    return fail(why, COPAL_EFORMAT,
                "%s: was written by a newer copald: format %u, this one knows %d", dir,
                (unsigned)e->record.format, STORE_FORMAT);
  return 0;
}

int env_put_record(const env *e, MDB_txn *txn, const store_record *r)
{
  uint8_t bytes[STORE_RECORD_SIZE];
  store_record_put(r, bytes);
  MDB_val key = env_val(copal_span_str(RECORD_KEY));
  MDB_val value = env_val(copal_span_of(bytes, sizeof bytes));
  return mdb_put(txn, e->main, &key, &value, 0);
}

int env_begin_epoch(const env *e, MDB_txn *txn, store_rev rev)
{
  store_record r = e->record;
  if (!store_random((copal_mspan){(uint8_t *)&r.epoch, sizeof r.epoch}))
    return EIO;
  if (rev > r.rev)
    r.rev = rev;
  return env_put_record(e, txn, &r);
}

/* The first record of a new store. */
static int make_record(env *e, MDB_txn *txn)
{
  e->record = (store_record){.format = STORE_FORMAT};
  if (!store_random((copal_mspan){(uint8_t *)&e->record.epoch, sizeof e->record.epoch}))
    return EIO;
  return env_put_record(e, txn, &e->record);
}

static const char *const tree_names[] = {"items", "state", "ops", "expiry", "history"};

enum { TREES_OF_FORMAT_1 = 1, TREES = sizeof tree_names / sizeof tree_names[0] };

/* Opens the trees that the format has; a writer makes those that are missing. */
static int open_trees(env *e, MDB_txn *txn, bool makes)
{
  MDB_dbi *const handles[TREES] = {&e->items, &e->state, &e->ops, &e->expiry, &e->history};
  const size_t count = makes || env_is_current(e) ? TREES : TREES_OF_FORMAT_1;
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < count; i++)
    rc = mdb_dbi_open(txn, tree_names[i], makes ? MDB_CREATE : 0, handles[i]);
  return rc;
}

/* A record of format 1 is one of format 2 without a lifetime: only the format's number changes. */
static int upgrade(env *e, MDB_txn *txn)
{
  if (e->record.format == STORE_FORMAT)
    return 0;
  e->record.format = STORE_FORMAT;
  return env_put_record(e, txn, &e->record);
}

static int open_databases(env *e, MDB_txn *txn, const char *dir, env_mode mode,
                          char why[LMDB_WHY_SIZE])
{
  const bool makes = mode == ENV_SERVE;
  int rc = mdb_dbi_open(txn, NULL, 0, &e->main);
  if (rc != MDB_SUCCESS)
    return fail_mdb(why, dir, rc);
  rc = env_read_record(e, txn, dir, why);
  if (rc == MDB_NOTFOUND) {
    MDB_stat stat;
    mdb_stat(txn, e->main, &stat);
    if (!makes || stat.ms_entries > 0)
      return fail(why, COPAL_EFORMAT, "%s: " DATA_NAME " is not a store of copald", dir);
    rc = make_record(e, txn);
  }
  if (rc == 0)
    rc = open_trees(e, txn, makes);
  if (rc == 0 && makes)
    rc = upgrade(e, txn);
  return rc == 0 || why[0] != '\0' ? rc : fail_mdb(why, dir, rc);
}

/* A database that is only read and has nothing in it is EBADF for LMDB. */
static bool is_empty(const char *dir)
{
  char path[PATH_MAX];
  struct stat file;
  return snprintf(path, sizeof path, "%s/" DATA_NAME, dir) < (int)sizeof path &&
         stat(path, &file) == 0 && file.st_size == 0;
}

static int open_mdb(env *e, const char *dir, uint64_t map_size, env_mode mode,
                    char why[LMDB_WHY_SIZE])
{
  static const unsigned flags_of[] = {
      [ENV_SERVE] = 0, [ENV_CHECK] = MDB_RDONLY | MDB_NOLOCK, [ENV_BESIDE] = MDB_RDONLY};
  const unsigned flags = MDB_NOTLS | flags_of[mode];
  int rc = mdb_env_create(&e->mdb);
  if (rc == 0)
    rc = mdb_env_set_assert(e->mdb, on_broken_page);
  if (rc == 0)
    rc = mdb_env_set_mapsize(e->mdb, (size_t)map_size);
  if (rc == 0)
    rc = mdb_env_set_maxreaders(e->mdb, READERS_MAX);
  if (rc == 0)
    rc = mdb_env_set_maxdbs(e->mdb, DATABASES_MAX);
  if (rc == 0)
    rc = mdb_env_open(e->mdb, dir, flags, FILE_MODE);
  MDB_stat stat;
  if (rc == 0)
    rc = mdb_env_stat(e->mdb, &stat);
  if (rc == EBADF && is_empty(dir))
    return fail(why, COPAL_EFORMAT, "%s: " DATA_NAME " is empty", dir);
  if (rc != 0)
    return fail_mdb(why, dir, rc);
  e->page = stat.ms_psize;
  return check_length(e, dir, why);
}

static int open_content(env *e, const char *dir, env_mode mode, char why[LMDB_WHY_SIZE])
{
  MDB_txn *txn;
  int rc = mdb_txn_begin(e->mdb, NULL, mode != ENV_SERVE ? MDB_RDONLY : 0, &txn);
  if (rc != 0)
    return fail_mdb(why, dir, rc);
  rc = open_databases(e, txn, dir, mode, why);
  if (rc != 0) {
    mdb_txn_abort(txn);
    return rc;
  }
  rc = mdb_txn_commit(txn); /* keeps the handles */
  if (rc != 0)
    return fail_mdb(why, dir, rc);
  rc = mode != ENV_SERVE ? 0 : sync_dir(dir);
  return rc == 0 ? 0 : fail(why, rc, "%s: %s", dir, strerror(-rc));
}

int env_open(env *e, const char *dir, uint64_t map_size, env_mode mode, char why[LMDB_WHY_SIZE])
{
  *e = (env){.lock_fd = -1};
  why[0] = '\0';
  int rc = mode != ENV_SERVE ? 0 : make_dir(dir, why);
  if (rc == 0)
    rc = lock_dir(e, dir, mode, why);
  if (rc == 0 && mode == ENV_SERVE)
    rc = reserve_table(dir, why);
  if (rc == 0)
    rc = open_mdb(e, dir, map_size, mode, why);
  if (rc == 0)
    rc = open_content(e, dir, mode, why);
  if (rc != 0)
    env_close(e);
  return rc;
}

void env_close(env *e)
{
  if (e->mdb != NULL)
    mdb_env_close(e->mdb);
  if (e->lock_fd >= 0)
    close(e->lock_fd);
  *e = (env){.lock_fd = -1};
}
