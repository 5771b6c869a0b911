/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of a directory, read without changing it. */
#include "store/journal/look.h"

#include <errno.h>
#include <stdio.h>

#include "copal/error.h"

static int fail(char why[LMDB_WHY_SIZE], int rc, const char *dir, const char *what)
{
  snprintf(why, LMDB_WHY_SIZE, "%.100s: %s", dir, what);
  return rc;
}

static int read_all(chain *c, bool is_open, chain_reader *r, char what[CHAIN_WHY_SIZE])
{
  if (!is_open)
    return chain_read_closed(c, r, what);
  if (c->oldest != NULL)
    return chain_read(c, r, what);
  snprintf(what, CHAIN_WHY_SIZE, "%s", JOURNAL_IS_MISSING);
  return COPAL_EFORMAT;
}

int journal_look(const env *e, const journal_state *state, const char *dir, chain_reader *r,
                 uint64_t *bytes, char why[LMDB_WHY_SIZE])
{
  chain c;
  char what[CHAIN_WHY_SIZE] = "";
  *bytes = 0;
  int rc = chain_open(&c, dir, e->record.epoch, CHAIN_SEGMENT_MIN, CHAIN_CHECK, what);
  if (rc == -ENOENT && !state->is_open)
    return 0;
  if (rc == -ENOENT)
    return fail(why, COPAL_EFORMAT, dir, JOURNAL_IS_MISSING);
  if (rc == 0) {
    r->applied = state->applied;
    r->newest = state->is_open ? state->newest : 0;
    *bytes = c.bytes;
    rc = read_all(&c, state->is_open, r, what);
    chain_close(&c, false);
  }
  return rc == 0 ? 0 : fail(why, rc, dir, what);
}

int journal_look_closed(const env *e, const char *dir, bool *is_open, char why[LMDB_WHY_SIZE])
{
  journal_state state;
  chain_reader none = {.on_record = NULL};
  uint64_t bytes;
  if (journal_state_get(e, NULL, &state) != 0)
    return fail(why, COPAL_EFORMAT, dir, JOURNAL_RECORD_IS_DAMAGED);
  *is_open = state.is_open;
  return state.is_open ? 0 : journal_look(e, &state, dir, &none, &bytes, why);
}
