/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the journal of a directory and says what is wrong with it. Thread: the caller's. */
#include <stdio.h>

#include "copal/error.h"
#include "store/journal/journal.h"
#include "store/journal/look.h"

int journal_store_check(const char *dir, void (*each)(void *ctx, const char *damage), void *ctx,
                        journal_report *report, char why[LMDB_WHY_SIZE])
{
  env e;
  journal_state state;
  chain_reader reader = {.on_record = NULL};
  *report = (journal_report){.has_journal = true};
  int rc = env_open(&e, dir, 0, ENV_CHECK, why);
  if (rc != 0)
    return rc;
  if (journal_state_get(&e, NULL, &state) == 0) {
    report->has_journal = state.is_open;
    rc = journal_look(&e, &state, dir, &reader, &report->bytes, why);
  } else {
    snprintf(why, LMDB_WHY_SIZE, "%.100s: " JOURNAL_RECORD_IS_DAMAGED, dir);
    rc = COPAL_EFORMAT;
  }
  report->batches = reader.batches;
  report->is_torn = reader.is_torn;
  if (rc != 0) {
    report->damaged++;
    each(ctx, why);
  }
  env_close(&e);
  return 0;
}
