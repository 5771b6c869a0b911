/* SPDX-License-Identifier: Apache-2.0 */
/* Reading. The overlay is asked first. What it does not have, every snapshot that is open or is
 * begun later has: an entry is dropped only when no view is older than its checkpoint. */
#include "store/journal/read.h"

#include <stdlib.h>
#include <string.h>

#include "store/journal/walk.h"

static journal_store *store_of(store_port *p)
{
  return (journal_store *)p->store;
}

static void fill_item(const journal_store *s, const record *r, store_item *item)
{
  *item = r->item;
  item->written = instant_of(s, r->wall);
}

/* Remembers what must be given back. Without memory for the list the version is given up: it leaks,
 * and nobody reads what was freed. */
static void lend(journal_port *p, version *v)
{
  if (p->lent_count == p->lent_cap) {
    const size_t cap = p->lent_cap == 0 ? 64 : 2 * p->lent_cap;
    version **wider = realloc(p->lent, cap * sizeof(version *));
    if (wider == NULL)
      return;
    p->lent = wider;
    p->lent_cap = cap;
  }
  p->lent[p->lent_count++] = v;
}

static bool is_key(store_space in, copal_span key)
{
  const size_t max = in == STORE_STATE ? STORE_STATE_KEY_MAX : STORE_KEY_MAX;
  return key.len > 0 && key.len <= max;
}

/* ------------------------------------------------------------------------------------------------
 * one */

static void read_failed(journal_store *s, copal_span key, int rc)
{
  count_up(&s->counters.reads_failed);
  lmdb_damage_tell(&s->damage, key, rc);
}

/* Reads from the snapshot of the last checkpoint, which is kept for ever when the store has failed.
 */
static int find_in_standby(journal_store *s, store_space in, copal_span key, record *found)
{
  if (!atomic_load(&s->has_failed))
    return ENOMEM;
  pthread_mutex_lock(&s->standby_lock);
  const int rc = apply_find(&s->env, s->standby, in, key, found);
  pthread_mutex_unlock(&s->standby_lock);
  return rc;
}

static int find_in_database(journal_port *p, store_space in, copal_span key, record *found)
{
  journal_store *s = store_of(&p->base);
  MDB_txn *txn = view_open(s, &p->view);
  return txn != NULL ? apply_find(&s->env, txn, in, key, found)
                     : find_in_standby(s, in, key, found);
}

static store_status get_from_database(journal_port *p, store_space in, copal_span key,
                                      store_item *item, copal_time now)
{
  journal_store *s = store_of(&p->base);
  record found;
  const int rc = find_in_database(p, in, key, &found);
  if (rc == MDB_NOTFOUND || rc == HASH_IS_SHARED || (rc == 0 && record_is_over(s, &found, now)))
    return STORE_ABSENT;
  if (rc != 0) {
    read_failed(s, key, rc);
    return STORE_FAILED;
  }
  fill_item(s, &found, item);
  return STORE_OK;
}

store_status read_get(store_port *base, store_space in, copal_span key, store_item *item,
                      copal_time now)
{
  journal_port *p = (journal_port *)base;
  journal_store *s = store_of(base);
  if (!is_key(in, key))
    return STORE_ABSENT;
  version *v = overlay_find(&s->overlay, (int)in, key, overlay_hash(&s->overlay, (int)in, key));
  if (v == NULL)
    return get_from_database(p, in, key, item, now);
  if (v->kind != BATCH_PUT || record_is_over(s, &v->rec, now)) {
    version_give(v);
    return STORE_ABSENT;
  }
  *item = v->rec.item;
  lend(p, v);
  return STORE_OK;
}

/* What the database has without the overlay does not change: who drops an entry leaves it to the
 * database first. */
uint32_t read_where(store_port *base, copal_span key)
{
  return overlay_where(overlay_hash(&store_of(base)->overlay, STORE_RESOURCES, key));
}

uint64_t read_state(store_port *base, uint32_t where)
{
  return overlay_state(&store_of(base)->overlay, where);
}

/* ------------------------------------------------------------------------------------------------
 * many */

/* A listing under way: two ordered sources, of which the overlay's says more. */
typedef struct listing {
  journal_store *s;
  const store_range *range;
  copal_time now;
  store_each *each;
  void *ctx;
  int calls;
  int stop; /* what `each` returned */

  walk walk; /* of the database */
  bool has_db;
  copal_span db_key;
  record db_record;

  bool has_own; /* of the overlay's ordered keys */
  copal_span own_key;
  uint8_t room[STORE_KEY_MAX];
} listing;

static void next_of_database(listing *l)
{
  int rc;
  while ((rc = walk_next(&l->walk, &l->db_key, &l->db_record)) == RECORD_DAMAGED)
    read_failed(l->s, l->db_key, RECORD_DAMAGED);
  l->has_db = rc == 0;
  if (rc != 0 && rc != MDB_NOTFOUND)
    count_up(&l->s->counters.reads_failed);
}

static void next_of_overlay(listing *l, copal_span from, keytree_edge edge)
{
  l->has_own = overlay_next_key(&l->s->overlay, l->range->space, l->range->prefix, from, edge,
                                l->room, &l->own_key);
}

static void show(listing *l, copal_span key, const record *r)
{
  store_item item;
  if (record_is_over(l->s, r, l->now))
    return;
  fill_item(l->s, r, &item);
  l->stop = l->each(l->ctx, key, &item);
  l->calls++;
}

/* Shows what is under a key now; `old` is what the database has, or NULL. */
static void show_latest(listing *l, copal_span key, const record *old)
{
  overlay *o = &l->s->overlay;
  const int in = (int)l->range->space;
  version *v = overlay_find(o, in, key, overlay_hash(o, in, key));
  if (v != NULL && v->kind == BATCH_PUT)
    show(l, key, &v->rec);
  else if (v == NULL && old != NULL)
    show(l, key, old);
  version_give(v);
}

static void list_next(listing *l)
{
  const int order = !l->has_own ? 1 : !l->has_db ? -1 : keytree_compare(l->own_key, l->db_key);
  if (order >= 0) {
    const copal_span key = l->db_key;
    const record old = l->db_record;
    if (order == 0)
      next_of_overlay(l, l->own_key, KEYTREE_BEHIND);
    show_latest(l, key, &old);
    next_of_database(l);
    return;
  }
  show_latest(l, l->own_key, NULL);
  next_of_overlay(l, l->own_key, KEYTREE_BEHIND);
}

int read_list(store_port *base, const store_range *range, store_each *each, void *ctx,
              copal_time now)
{
  journal_store *s = store_of(base);
  listing l = {.s = s, .range = range, .now = now, .each = each, .ctx = ctx};
  MDB_txn *txn = view_open(s, &((journal_port *)base)->view);
  if (txn == NULL || walk_open(&l.walk, &s->env, txn, range) != 0) {
    count_up(&s->counters.reads_failed);
    return 0;
  }
  const bool is_inside = l.walk.is_behind;
  next_of_overlay(&l, l.walk.from, is_inside ? KEYTREE_BEHIND : KEYTREE_BEFORE);
  next_of_database(&l);
  while (l.stop == 0 && (size_t)l.calls < range->max && l.calls < INT32_MAX &&
         (l.has_own || l.has_db))
    list_next(&l);
  walk_close(&l.walk);
  return l.stop < 0 ? l.stop : l.calls;
}

/* ------------------------------------------------------------------------------------------------
 * history */

typedef struct retelling {
  journal_store *s;
  copal_span key;
  store_each *each;
  void *ctx;
  size_t left;
  int calls;
  store_rev last; /* shown; 0: none yet */
  store_etag etag;
} retelling;

/* Shows one that is older than what has been shown. Setting attributes makes no new one. */
static int retell(void *ctx, const record *former)
{
  retelling *h = ctx;
  store_item item;
  if (h->left == 0)
    return 0;
  if (h->last != 0 && (former->item.rev >= h->last ||
                       memcmp(former->item.etag.bytes, h->etag.bytes, STORE_ETAG_SIZE) == 0))
    return 0;
  fill_item(h->s, former, &item);
  h->last = item.rev;
  h->etag = item.etag;
  h->calls++;
  h->left--;
  return h->each(h->ctx, h->key, &item);
}

/* Shows what the overlay has; `is_all` when the database has nothing to add. */
static int retell_trail(retelling *h, const version *v, const trail *before, bool *is_all)
{
  int stop = retell(h, &v->rec);
  *is_all = false;
  for (uint32_t i = 0; stop == 0 && !*is_all && before != NULL && i < before->count; i++) {
    const version *former = before->former[i];
    *is_all = former->kind != BATCH_PUT;
    if (!*is_all)
      stop = retell(h, &former->rec);
  }
  return stop;
}

static int retell_database(retelling *h, journal_port *p, copal_time now, int *stop)
{
  journal_store *s = h->s;
  record found;
  MDB_txn *txn = view_open(s, &p->view);
  const int rc = txn == NULL ? ENOMEM : apply_find(&s->env, txn, STORE_RESOURCES, h->key, &found);
  if (rc != 0)
    return rc == MDB_NOTFOUND || rc == HASH_IS_SHARED ? 0 : rc;
  if (h->last == 0 && record_is_over(s, &found, now))
    return 0; /* one that has been replaced need not have lived so long */
  *stop = retell(h, &found);
  if (*stop != 0 || h->left == 0)
    return 0;
  return apply_history(&s->env, txn, h->key, SIZE_MAX, retell, h, stop);
}

int read_history(store_port *base, copal_span key, size_t max, store_each *each, void *ctx,
                 copal_time now)
{
  journal_port *p = (journal_port *)base;
  journal_store *s = store_of(base);
  if (!is_key(STORE_RESOURCES, key) || max == 0)
    return 0;
  retelling h = {.s = s, .key = key, .each = each, .ctx = ctx, .left = max};
  if (h.left > (size_t)s->cfg.history + 1) /* the database may still have older ones */
    h.left = (size_t)s->cfg.history + 1;
  trail *before;
  bool is_all = false;
  int stop = 0;
  version *v = overlay_find_trail(&s->overlay, STORE_RESOURCES, key,
                                  overlay_hash(&s->overlay, STORE_RESOURCES, key), &before);
  if (v != NULL) {
    is_all = v->kind != BATCH_PUT || record_is_over(s, &v->rec, now);
    if (!is_all)
      stop = retell_trail(&h, v, before, &is_all);
  }
  if (!is_all && stop == 0 && retell_database(&h, p, now, &stop) != 0)
    count_up(&s->counters.reads_failed);
  version_give(v);
  trail_give(before);
  return stop < 0 ? stop : h.calls;
}
