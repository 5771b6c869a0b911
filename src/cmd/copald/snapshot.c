/* SPDX-License-Identifier: Apache-2.0 */
/* A data directory as it is at one moment. */
#include "cmd/copald/snapshot.h"

#include <stdio.h>

#include "copal/error.h"
#include "store/journal/state.h"

int snapshot_check_journal(const env *e, MDB_txn *txn, const char *dir, char why[LMDB_WHY_SIZE])
{
  journal_state journal = {.is_open = false};
  const int rc = journal_state_get(e, txn, &journal);
  if (rc == MDB_NOTFOUND || (rc == 0 && !journal.is_open))
    return 0;
  snprintf(why, LMDB_WHY_SIZE,
           "%.100s: its journal is open; end the copald that serves it, or start one with "
           "--store journal and end it, and try again",
           dir);
  return COPAL_EFORMAT;
}

int snapshot_open(snapshot *s, const char *dir, char why[LMDB_WHY_SIZE])
{
  *s = (snapshot){.txn = NULL};
  int rc = env_open(&s->env, dir, 0, ENV_BESIDE, why);
  if (rc != 0)
    return rc;
  rc = mdb_txn_begin(s->env.mdb, NULL, MDB_RDONLY, &s->txn);
  if (rc != 0) {
    s->txn = NULL;
    snprintf(why, LMDB_WHY_SIZE, "%.100s: %s", dir, mdb_strerror(rc));
    rc = COPAL_EFORMAT;
  } else {
    rc = snapshot_check_journal(&s->env, s->txn, dir, why);
  }
  if (rc != 0)
    snapshot_close(s);
  return rc;
}

void snapshot_close(snapshot *s)
{
  if (s->txn != NULL)
    mdb_txn_abort(s->txn);
  s->txn = NULL;
  env_close(&s->env);
}
