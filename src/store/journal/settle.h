/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the journal on their way into the database, which may have them already: an attempt
 * before may have got so far. Damage is written over. Errors and threads as in store/lmdb/apply.h.
 */
#ifndef STORE_JOURNAL_SETTLE_H
#define STORE_JOURNAL_SETTLE_H

#include "store/lmdb/apply.h"

int settle_put(apply *a, store_space space, copal_span key, const record *rec);

/* `rev` is the last one that had been given out. */
int settle_delete(apply *a, store_space space, copal_span key, store_rev rev);

#endif
