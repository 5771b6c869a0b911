/* SPDX-License-Identifier: Apache-2.0 */
/* A data directory as it is at one moment. */
#include "cmd/copald/snapshot.h"

#include <stdio.h>
#include <time.h>

#include "copal/error.h"

enum {
  ATTEMPTS = 200,
  DOUBTS = 4, /* looks that find something wrong, before that is believed */
  PAUSE_NS = 2000000,
};

/* Gives the transaction and the tail back. */
static void clear(snapshot *s)
{
  tail_wipe(&s->tail);
  if (s->txn != NULL)
    mdb_txn_abort(s->txn);
  s->txn = NULL;
}

/* Returns 0, TAIL_MOVED, or as snapshot_open(). */
static int look(snapshot *s, const char *dir, char why[LMDB_WHY_SIZE])
{
  why[0] = '\0';
  int rc = mdb_txn_begin(s->env.mdb, NULL, MDB_RDONLY, &s->txn);
  if (rc != 0)
    s->txn = NULL;
  else
    rc = env_read_record(&s->env, s->txn, dir, why);
  if (rc == 0)
    return tail_read(&s->tail, &s->env, s->txn, dir, why);
  if (why[0] == '\0')
    snprintf(why, LMDB_WHY_SIZE, "%.100s: %s", dir, mdb_strerror(rc));
  return COPAL_EFORMAT;
}

/* Just behind a checkpoint its files are released, and may be used again: they can seem to be
 * missing or damaged while they are looked at. What is wrong with others is so every time. */
int snapshot_renew(snapshot *s, const char *dir, char why[LMDB_WHY_SIZE])
{
  static const struct timespec pause = {.tv_nsec = PAUSE_NS};
  int rc = TAIL_MOVED, doubts = 0;
  for (int i = 0; rc != 0 && doubts < DOUBTS && i < ATTEMPTS; i++) {
    clear(s);
    if (i > 0)
      nanosleep(&pause, NULL);
    rc = look(s, dir, why);
    doubts += rc != 0 && rc != TAIL_MOVED;
  }
  if (rc == TAIL_MOVED) {
    snprintf(why, LMDB_WHY_SIZE, "%.100s: its journal changes faster than it can be read", dir);
    rc = COPAL_EFORMAT;
  }
  if (rc != 0)
    clear(s);
  return rc;
}

int snapshot_open(snapshot *s, const char *dir, char why[LMDB_WHY_SIZE])
{
  *s = (snapshot){.txn = NULL};
  int rc = env_open(&s->env, dir, 0, ENV_BESIDE, why);
  if (rc == 0 && (rc = snapshot_renew(s, dir, why)) != 0)
    snapshot_close(s);
  return rc;
}

void snapshot_close(snapshot *s)
{
  clear(s);
  env_close(&s->env);
}
