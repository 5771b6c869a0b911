/* SPDX-License-Identifier: Apache-2.0 */
/* Going on without a journal. */
#include "cmd/copald/drop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/copald/args.h"
#include "store/journal/state.h"
#include "store/lmdb/env.h"

#define MAP_SIZE (UINT64_C(64) << 30) /* bytes; resources.disk by default */

enum { ASIDE_SIZE = 40, NUMBER_MAX = 10000 };

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

int drop_journal(const char *dir, FILE *out, FILE *err)
{
  env e;
  char why[LMDB_WHY_SIZE];
  char aside[ASIDE_SIZE];
  uint64_t resources = 0;
  int rc = env_open(&e, dir, 0, ENV_CHECK, why); /* makes nothing where there is no store */
  env_close(&e);
  if (rc == 0)
    rc = env_open(&e, dir, MAP_SIZE, ENV_SERVE, why);
  if (rc != 0) {
    fprintf(err, "copald: %s\n", why);
    return EXIT_RUNTIME;
  }
  rc = set_aside(dir, aside);
  if (rc == 0)
    rc = forget(&e, &resources);
  env_close(&e);
  if (rc != 0) {
    fprintf(err, "copald: %s: %s; try again\n", dir, mdb_strerror(rc));
    return EXIT_RUNTIME;
  }
  fprintf(out, "%s: goes on with %" PRIu64 " resources, as they are in data.mdb; %s%s\n", dir,
          resources, aside[0] != '\0' ? "the journal is kept as " : "there was no journal", aside);
  return 0;
}
