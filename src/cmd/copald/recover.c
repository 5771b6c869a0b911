/* SPDX-License-Identifier: Apache-2.0 */
/* Journals that were left open. */
#include "cmd/copald/recover.h"

#include <inttypes.h>

#include "copal/error.h"
#include "server/clock.h"
#include "server/conf.h"
#include "store/journal/journal.h"
#include "store/journal/look.h"

static int fail(char why[LMDB_WHY_SIZE], const char *dir, const char *what)
{
  snprintf(why, LMDB_WHY_SIZE, "%.100s: %s", dir, what);
  return COPAL_EFORMAT;
}

/* A start and an orderly end. How much of the past is to be kept is not known here: all of it. */
static int settle(const char *dir, uint64_t disk, FILE *err, char why[LMDB_WHY_SIZE])
{
  store *s;
  const journal_store_cfg cfg = {
      .common = {.byte_max = disk, .history = CONF_HISTORY_MAX, .now = clock_now()}};
  const int rc = journal_store_open(dir, &cfg, &s, why);
  if (rc != 0)
    return rc;
  const journal_store_counts counts = journal_store_counts_now(s);
  store_close(s);
  fprintf(err, "copald: %s: its journal had been left open; recovered %" PRIu64 " batches\n", dir,
          counts.recovered);
  return 0;
}

static int open_closed(env *e, const char *dir, uint64_t disk, bool *is_open,
                       char why[LMDB_WHY_SIZE])
{
  int rc = env_open(e, dir, disk, ENV_SERVE, why);
  if (rc != 0)
    return rc;
  rc = journal_look_closed(e, dir, is_open, why);
  if (rc != 0 || *is_open)
    env_close(e);
  return rc;
}

int recover_open(env *e, const char *dir, uint64_t disk, FILE *err, char why[LMDB_WHY_SIZE])
{
  bool is_open;
  int rc = open_closed(e, dir, disk, &is_open, why);
  if (rc != 0 || !is_open)
    return rc;
  rc = settle(dir, disk, err, why);
  if (rc == 0)
    rc = open_closed(e, dir, disk, &is_open, why);
  if (rc == 0 && is_open)
    return fail(why, dir,
                "its journal cannot be moved into the database, for lack of room or because its "
                "disk fails; make room and try again");
  return rc;
}
