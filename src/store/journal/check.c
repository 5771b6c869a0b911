/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the journal of a directory and says what is wrong with it. Thread: the caller's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "copal/error.h"
#include "store/journal/chain.h"
#include "store/journal/journal.h"
#include "store/journal/state.h"

static int read_state(const env *e, journal_state *state)
{
  MDB_txn *txn;
  int rc = mdb_txn_begin(e->mdb, NULL, MDB_RDONLY, &txn);
  if (rc != 0)
    return rc;
  rc = journal_state_get(e, txn, state);
  mdb_txn_abort(txn);
  return rc;
}

/* A checkpoint under a record that cannot be read is none. What is left over in a journal that is
 * closed must be in the database. */
static int check_files(const env *e, const char *dir, const journal_state *state,
                       journal_report *report, char damage[CHAIN_WHY_SIZE])
{
  chain c;
  int rc = chain_open(&c, dir, e->record.epoch, CHAIN_SEGMENT_MIN, CHAIN_CHECK, damage);
  if (rc != 0)
    return rc == -ENOENT && !state->is_open ? 0 : rc;
  chain_reader reader = {.applied = state->applied};
  report->bytes = c.bytes;
  if (c.oldest == NULL && state->is_open) {
    snprintf(damage, CHAIN_WHY_SIZE, "the journal is missing");
    rc = COPAL_EFORMAT;
  } else {
    rc = chain_read(&c, &reader, damage);
  }
  if (rc == 0 && !state->is_open && reader.batches > 0) {
    snprintf(damage, CHAIN_WHY_SIZE, "the journal has batches that data.mdb does not know of");
    rc = COPAL_EFORMAT;
  }
  report->batches = reader.batches;
  report->is_torn = reader.is_torn;
  chain_close(&c, false);
  return rc;
}

int journal_store_check(const char *dir, void (*each)(void *ctx, const char *damage), void *ctx,
                        journal_report *report, char why[LMDB_WHY_SIZE])
{
  env e;
  journal_state state = {.is_open = false};
  char damage[CHAIN_WHY_SIZE] = "the record of the journal in the database is damaged";
  *report = (journal_report){.has_journal = false};
  int rc = env_open(&e, dir, 0, ENV_CHECK, why);
  if (rc != 0)
    return rc;
  rc = read_state(&e, &state);
  report->has_journal = rc != MDB_NOTFOUND && (rc != 0 || state.is_open);
  if (rc == 0 || rc == MDB_NOTFOUND)
    rc = check_files(&e, dir, &state, report, damage);
  if (rc != 0) {
    report->damaged++;
    each(ctx, damage);
  }
  env_close(&e);
  return 0;
}
