/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as a full disk. A limit on the size of files stands for the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/lmdb/space.h"

enum { PAGES = 40 };

typedef struct disk {
  env e;
  char path[32];
  struct rlimit whole;
} disk;

static void disk_open(disk *d)
{
  *d = (disk){.path = "/tmp/space-XXXXXX"};
  const int fd = mkstemp(d->path);
  assert_true(fd >= 0);
  close(fd);
  assert_int_equal(mdb_env_create(&d->e.mdb), 0);
  assert_int_equal(mdb_env_open(d->e.mdb, d->path, MDB_NOSUBDIR | MDB_NOLOCK, 0600), 0);
  MDB_stat stat;
  assert_int_equal(mdb_env_stat(d->e.mdb, &stat), 0);
  d->e.page = stat.ms_psize;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &d->whole), 0);
  signal(SIGXFSZ, SIG_IGN);
}

static void disk_make_room(const disk *d)
{
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &d->whole), 0);
}

/* Leaves room for so many pages more than the file has. */
static void disk_fill(const disk *d, unsigned pages)
{
  struct stat st;
  struct rlimit limit = d->whole;
  assert_int_equal(stat(d->path, &st), 0);
  limit.rlim_cur = (rlim_t)st.st_size + pages * (rlim_t)d->e.page;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void disk_close(disk *d)
{
  disk_make_room(d);
  mdb_env_close(d->e.mdb);
  unlink(d->path);
}

/* One value that LMDB writes at once. Returns what the commit does. */
static int write_value(const disk *d)
{
  MDB_txn *txn;
  MDB_dbi dbi;
  MDB_val key = {1, "k"};
  MDB_val value = {PAGES * (size_t)d->e.page, NULL};
  assert_int_equal(mdb_txn_begin(d->e.mdb, NULL, 0, &txn), 0);
  assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
  assert_int_equal(mdb_put(txn, dbi, &key, &value, MDB_RESERVE), 0);
  return mdb_txn_commit(txn);
}

static void a_write_cut_short_is_for_lack_of_room(void **state)
{
  (void)state;
  disk d;
  disk_open(&d);
  disk_fill(&d, PAGES / 2);
  const int rc = write_value(&d);
  assert_int_equal(rc, EIO);
  assert_true(space_was_lacking(&d.e, rc));
  disk_make_room(&d);
  assert_int_equal(write_value(&d), 0);
  disk_close(&d);
}

static void an_error_of_a_disk_that_has_room_is_none(void **state)
{
  (void)state;
  disk d;
  disk_open(&d);
  assert_false(space_was_lacking(&d.e, EIO));
  assert_false(space_was_lacking(&d.e, EINVAL));
  assert_false(space_was_lacking(&d.e, 0));
  disk_close(&d);
}

static void errors_that_name_the_room_need_no_proof(void **state)
{
  (void)state;
  disk d;
  disk_open(&d);
  assert_true(space_was_lacking(&d.e, MDB_MAP_FULL));
  assert_true(space_was_lacking(&d.e, ENOSPC));
  assert_true(space_was_lacking(&d.e, EDQUOT));
  assert_true(space_was_lacking(&d.e, EFBIG));
  disk_close(&d);
}

/* What a transaction of small parts may take. */
static void the_reserve_is_left_when_the_disk_is_full(void **state)
{
  (void)state;
  enum { MAP = 4096, WANT = 64 };
  disk d;
  space s;
  disk_open(&d);
  assert_int_equal(mdb_env_set_mapsize(d.e.mdb, MAP * d.e.page), 0);
  assert_int_equal(write_value(&d), 0);
  assert_int_equal(space_init(&s, &d.e), 0);
  disk_fill(&d, SPACE_RESERVE + WANT / 2);
  const uint64_t spare = space_spare(&s, WANT);
  assert_in_range(spare, WANT / 4, WANT / 2);
  assert_true(s.pages >= space_used(&d.e) + SPACE_RESERVE); /* it is the file's already */
  disk_fill(&d, 0);
  assert_int_equal(write_value(&d), 0); /* takes more than was to be spared */
  assert_int_equal(space_spare(&s, WANT), 0);
  disk_make_room(&d);
  assert_int_equal(space_spare(&s, WANT), WANT);
  assert_int_equal(space_spare(&s, MAP), MAP - space_used(&d.e) - SPACE_RESERVE);
  disk_close(&d);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_write_cut_short_is_for_lack_of_room),
      cmocka_unit_test(an_error_of_a_disk_that_has_room_is_none),
      cmocka_unit_test(errors_that_name_the_room_need_no_proof),
      cmocka_unit_test(the_reserve_is_left_when_the_disk_is_full),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
