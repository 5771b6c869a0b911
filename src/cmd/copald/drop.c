/* SPDX-License-Identifier: Apache-2.0 */
/* Going on without a journal. */
#include "cmd/copald/drop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/copald/args.h"
#include "copal/error.h"
#include "store/journal/look.h"
#include "store/lmdb/env.h"

#define MAP_SIZE  (UINT64_C(64) << 30) /* bytes; resources.disk by default */
#define MAP_SLACK (UINT64_C(64) << 20) /* for what is changed in a store that is full */

enum { ASIDE_SIZE = 40, NUMBER_MAX = 10000 };

/* What can be read is not given up: there would be no way back. */
static bool is_lost(const env *e, const char *dir, FILE *err)
{
  journal_state state = {.is_open = false};
  chain_reader none = {.on_record = NULL};
  uint64_t bytes;
  char why[LMDB_WHY_SIZE] = "";
  int rc = COPAL_EFORMAT;
  if (journal_state_get(e, NULL, &state) == 0)
    rc = journal_look(e, &state, dir, &none, &bytes, why);
  if (rc == COPAL_EFORMAT || rc == -EIO)
    return true;
  if (rc != 0)
    fprintf(err, "copald: %s\n", why);
  else if (state.is_open)
    fprintf(err, "copald: %s: its journal can be read; start copald, which takes it over\n", dir);
  else
    fprintf(err, "copald: %s: its journal is closed, there is nothing to drop\n", dir);
  return false;
}

/* The folder gets a name that copald does not look for. One that is missing already stays so. */
static int set_aside(const char *dir, char aside[ASIDE_SIZE])
{
  const int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (top < 0)
    return errno;
  int number = 1;
  do
    snprintf(aside, ASIDE_SIZE, "journal.dropped-%d", number);
  while (faccessat(top, aside, F_OK, 0) == 0 && ++number < NUMBER_MAX);
  int rc = renameat(top, "journal", top, aside) == 0 ? 0 : errno;
  if (rc == ENOENT) {
    aside[0] = '\0';
    rc = 0;
  }
  if (rc == 0 && fsync(top) != 0)
    rc = errno;
  close(top);
  return rc;
}

/* What the database says of the journal may itself be what is damaged. */
static int forget(env *e, uint64_t *resources)
{
  MDB_txn *txn;
  MDB_stat stat;
  journal_state was;
  int rc = mdb_txn_begin(e->mdb, NULL, 0, &txn);
  if (rc != 0)
    return rc;
  if (journal_state_get(e, txn, &was) != 0)
    was.applied = 0;
  const journal_state closed = {.is_open = false, .applied = was.applied};
  rc = journal_state_put(e, txn, &closed);
  if (rc == 0)
    rc = env_begin_epoch(e, txn, 0);
  if (rc == 0)
    rc = mdb_stat(txn, e->items, &stat);
  if (rc != 0) {
    mdb_txn_abort(txn);
    return rc;
  }
  *resources = stat.ms_entries;
  return mdb_txn_commit(txn);
}

/* As large as it may be by its last configuration, and some more. */
static uint64_t map_size_for(const env *e)
{
  MDB_envinfo info;
  mdb_env_info(e->mdb, &info);
  const uint64_t own = info.me_mapsize + MAP_SLACK;
  return own > MAP_SIZE ? own : MAP_SIZE;
}

static int open_store(env *e, const char *dir, FILE *err)
{
  char why[LMDB_WHY_SIZE];
  int rc = env_open(e, dir, 0, ENV_CHECK, why); /* makes nothing where there is no store */
  if (rc == 0) {
    const uint64_t size = map_size_for(e);
    env_close(e);
    rc = env_open(e, dir, size, ENV_SERVE, why);
  }
  if (rc != 0)
    fprintf(err, "copald: %s\n", why);
  return rc;
}

int drop_journal(const char *dir, FILE *out, FILE *err)
{
  env e;
  char aside[ASIDE_SIZE];
  uint64_t resources = 0;
  if (open_store(&e, dir, err) != 0)
    return EXIT_RUNTIME;
  if (!is_lost(&e, dir, err)) {
    env_close(&e);
    return EXIT_RUNTIME;
  }
  int rc = set_aside(dir, aside);
  if (rc == 0)
    rc = forget(&e, &resources);
  env_close(&e);
  if (rc != 0) {
    fprintf(err, "copald: %s: %s; try again\n", dir, mdb_strerror(rc));
    return EXIT_RUNTIME;
  }
  fprintf(out, "%s: goes on with %" PRIu64 " resources, as they are in data.mdb; %s%s\n", dir,
          resources, aside[0] != '\0' ? "the journal is kept as " : "there is no journal to keep",
          aside);
  return 0;
}
