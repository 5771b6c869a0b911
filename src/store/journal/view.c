/* SPDX-License-Identifier: Apache-2.0 */
/* Who looks at which snapshot of the database: what the overlay may drop depends on the oldest. */
#include "store/journal/engine.h"

void view_add(journal_store *s, view *v)
{
  *v = (view){.txn = NULL};
  atomic_init(&v->seen, VIEW_NONE);
  pthread_mutex_lock(&s->views_lock);
  v->next = s->views;
  s->views = v;
  pthread_mutex_unlock(&s->views_lock);
}

void view_remove(journal_store *s, view *v)
{
  view_close(v);
  if (v->txn != NULL)
    mdb_txn_abort(v->txn);
  v->txn = NULL;
  pthread_mutex_lock(&s->views_lock);
  view **at = &s->views;
  while (*at != NULL && *at != v)
    at = &(*at)->next;
  if (*at == v)
    *at = v->next;
  pthread_mutex_unlock(&s->views_lock);
}

MDB_txn *view_open(journal_store *s, view *v)
{
  if (v->is_open)
    return v->txn;
  /* First said, then done: a checkpoint that ends in between and does not see this view is in its
   * snapshot. */
  atomic_store(&v->seen, atomic_load(&s->checkpoint));
  atomic_thread_fence(memory_order_seq_cst);
  int rc;
  if (v->txn != NULL) {
    rc = mdb_txn_renew(v->txn);
  } else {
    rc = mdb_txn_begin(s->env.mdb, NULL, MDB_RDONLY, &v->txn);
    v->txn = rc == 0 ? v->txn : NULL;
  }
  v->is_open = rc == 0;
  if (rc != 0)
    atomic_store(&v->seen, VIEW_NONE);
  return rc == 0 ? v->txn : NULL;
}

void view_close(view *v)
{
  if (!v->is_open)
    return;
  mdb_txn_reset(v->txn);
  v->is_open = false;
  atomic_store(&v->seen, VIEW_NONE);
}

uint64_t views_oldest(journal_store *s)
{
  uint64_t oldest = VIEW_NONE;
  pthread_mutex_lock(&s->views_lock);
  for (view *v = s->views; v != NULL; v = v->next) {
    const uint64_t seen = atomic_load(&v->seen);
    oldest = seen < oldest ? seen : oldest;
  }
  pthread_mutex_unlock(&s->views_lock);
  return oldest;
}
