/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the journal on their way into the database. */
#include "store/journal/settle.h"

/* What the database has under a key. */
static int find_old(apply *a, store_space space, copal_span key, record *found, const record **old)
{
  const int rc = apply_seek(a, space, key, found);
  *old = rc == 0 ? found : NULL;
  return rc == MDB_NOTFOUND || rc == RECORD_DAMAGED ? 0 : rc;
}

int settle_put(apply *a, store_space space, copal_span key, const record *rec)
{
  record found;
  const record *old;
  const int rc = find_old(a, space, key, &found, &old);
  if (rc != 0 || (old != NULL && old->item.rev >= rec->item.rev))
    return rc;
  return apply_put(a, space, key, rec, old);
}

int settle_delete(apply *a, store_space space, copal_span key, store_rev rev)
{
  record found;
  const record *old;
  const int rc = find_old(a, space, key, &found, &old);
  if (rc != 0 || old == NULL || old->item.rev > rev)
    return rc;
  return apply_delete(a, space, key, old);
}
