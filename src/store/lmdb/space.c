/* SPDX-License-Identifier: Apache-2.0 */
/* Room in the data file. */
#include "store/lmdb/space.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum {
  FREE_DBI = 0,     /* LMDB's own: transaction number to list of pages it freed */
  WRITE_PAGES = 64, /* that LMDB writes at once */
  PLENTY = 4,       /* times what is wanted, on the disk: not all is reserved for it */
};

int space_init(space *s, const env *e)
{
  MDB_envinfo info;
  struct stat st;
  *s = (space){.env = e};
  if (mdb_env_get_fd(e->mdb, &s->fd) != 0 || fstat(s->fd, &st) < 0)
    return -errno;
  mdb_env_info(e->mdb, &info);
  s->pages = (uint64_t)st.st_size / e->page;
  s->pages_max = info.me_mapsize / e->page;
  return 0;
}

uint64_t space_used(const env *e)
{
  MDB_envinfo info;
  mdb_env_info(e->mdb, &info);
  return info.me_last_pgno + 1;
}

/* Makes the file so long, and the disk keep room for all of it. */
static bool extend(space *s, uint64_t pages)
{
  if (pages > s->pages_max)
    pages = s->pages_max;
  if (pages <= s->pages)
    return false;
  const off_t from = (off_t)(s->pages * s->env->page);
  const off_t len = (off_t)((pages - s->pages) * s->env->page);
  /* A file system that cannot reserve room reports a full disk when the pages are written. */
  if (fallocate(s->fd, 0, from, len) < 0 && errno != EOPNOTSUPP)
    return false;
  s->pages = pages;
  return true;
}

/* Pages freed by transactions before `txnid`, or by all. */
static void count_free(const space *s, size_t txnid, uint64_t *usable, uint64_t *all)
{
  MDB_txn *txn;
  MDB_cursor *cursor;
  *usable = *all = 0;
  if (mdb_txn_begin(s->env->mdb, NULL, MDB_RDONLY, &txn) != 0)
    return;
  if (mdb_cursor_open(txn, FREE_DBI, &cursor) == 0) {
    MDB_val key, list;
    while (mdb_cursor_get(cursor, &key, &list, MDB_NEXT) == 0) {
      size_t id, count;
      memcpy(&id, key.mv_data, sizeof id);
      memcpy(&count, list.mv_data, sizeof count);
      *all += count;
      *usable += id < txnid ? count : 0;
    }
    mdb_cursor_close(cursor);
  }
  mdb_txn_abort(txn);
}

space_answer space_ask(space *s, uint64_t need)
{
  MDB_envinfo info;
  mdb_env_info(s->env->mdb, &info);
  const uint64_t used = info.me_last_pgno + 1;
  const uint64_t want = used + need + SPACE_RESERVE;
  if (s->pages < want && !extend(s, want + SPACE_STEP))
    extend(s, want);
  if (s->pages >= want)
    return SPACE_HAS;
  uint64_t usable, all;
  count_free(s, info.me_last_txnid, &usable, &all);
  const uint64_t rest = s->pages > used ? s->pages - used : 0;
  if (rest + usable >= need + SPACE_RESERVE)
    return SPACE_HAS;
  return rest + all >= need + SPACE_RESERVE ? SPACE_SOON : SPACE_NONE;
}

uint64_t space_disk(const space *s)
{
  struct statvfs st;
  return fstatvfs(s->fd, &st) == 0 ? (uint64_t)st.f_bavail * st.f_frsize / s->env->page : 0;
}

/* The disk and the map have so many pages that not all need be reserved for this transaction. Some
 * are, as a quota may leave less than the disk has. */
static bool has_plenty(space *s, uint64_t used, uint64_t want)
{
  const uint64_t some = want < SPACE_STEP ? want : SPACE_STEP;
  if (used + want > s->pages_max || (s->pages < used + some && !extend(s, used + some)))
    return false;
  return space_disk(s) >= want * PLENTY;
}

uint64_t space_spare(space *s, uint64_t want)
{
  struct stat st;
  const uint64_t used = space_used(s->env);
  const uint64_t all = want + SPACE_RESERVE;
  if (fstat(s->fd, &st) == 0) /* others make it longer, too */
    s->pages = (uint64_t)st.st_size / s->env->page;
  if (s->pages >= used + all || has_plenty(s, used, all))
    return want;
  for (uint64_t more = all; !extend(s, used + more) && s->pages < used + more;) {
    if (more <= SPACE_RESERVE)
      break;
    more = SPACE_RESERVE + (more - SPACE_RESERVE) / 2; /* what the disk has, or nearly */
  }
  MDB_envinfo info;
  uint64_t usable, freed;
  mdb_env_info(s->env->mdb, &info);
  count_free(s, info.me_last_txnid, &usable, &freed);
  const uint64_t has = usable + (s->pages > used ? s->pages - used : 0);
  if (has >= all)
    return want;
  return has > SPACE_RESERVE ? has - SPACE_RESERVE : 0;
}

static bool is_for_lack_of_room(int rc)
{
  return rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT || rc == EFBIG;
}

bool space_was_lacking(const env *e, int rc)
{
  mdb_filehandle_t fd;
  struct stat st;
  if (rc != EIO)
    return is_for_lack_of_room(rc);
  if (mdb_env_get_fd(e->mdb, &fd) != 0 || fstat(fd, &st) < 0)
    return false;
  /* A write that was cut short has taken what was left. */
  const off_t len = (off_t)WRITE_PAGES * (off_t)e->page;
  return fallocate(fd, 0, st.st_size, len) < 0 && is_for_lack_of_room(errno);
}
