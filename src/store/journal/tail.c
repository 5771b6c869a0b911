/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal has beyond a snapshot. Files may be appended to, and be released and used again,
 * while they are read: records are copied, and count only if no checkpoint was completed meanwhile,
 * because before that no batch that is looked for here is released. */
#include "store/journal/tail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "store/journal/chain.h"
#include "store/journal/look.h"
#include "store/journal/settle.h"
#include "store/keytree.h"

/* ------------------------------------------------------------------------------------------------
 * reading */

typedef struct tail_reader {
  chain_reader reader; /* first */
  tail *t;
} tail_reader;

static copal_span keep(uint8_t **at, copal_span s)
{
  const copal_span kept = copal_span_of(*at, s.len);
  if (s.len > 0)
    memcpy(*at, s.ptr, s.len);
  *at += s.len;
  return kept;
}

static tail_item *item_make(const batch_record *r)
{
  const bool is_put = r->kind == BATCH_PUT, is_op = r->kind == BATCH_OP;
  const size_t size = r->key.len + (is_op ? r->op.key.len : 0) +
                      (is_put ? r->rec.item.attrs.len + r->rec.item.body.len : 0);
  tail_item *item = malloc(sizeof *item + size);
  if (item == NULL)
    return NULL;
  uint8_t *at = item->bytes;
  item->rec = *r;
  item->rec.key = keep(&at, r->key);
  if (is_op)
    item->rec.op.key = keep(&at, r->op.key);
  if (is_put) {
    item->rec.rec.item.attrs = keep(&at, r->rec.item.attrs);
    item->rec.rec.item.body = keep(&at, r->rec.item.body);
  }
  return item;
}

static int take_record(chain_reader *reader, uint64_t number, const batch_record *rec,
                       const chain_place *body)
{
  tail *t = ((tail_reader *)reader)->t;
  (void)body;
  if (t->count == t->cap) {
    const size_t cap = t->cap == 0 ? 256 : 2 * t->cap;
    tail_item **items = realloc(t->items, cap * sizeof *items);
    if (items == NULL)
      return -ENOMEM;
    t->items = items;
    t->cap = cap;
  }
  tail_item *item = item_make(rec);
  if (item == NULL)
    return -ENOMEM;
  item->place = t->count;
  t->items[t->count++] = item;
  t->last = number;
  return 0;
}

static int read_journal(tail *t, const env *e, const journal_state *state, const char *dir,
                        char why[LMDB_WHY_SIZE])
{
  uint64_t bytes;
  tail_reader r = {.reader = {.on_record = take_record}, .t = t};
  const int rc = journal_look(e, state, dir, &r.reader, &bytes, why);
  t->rev = r.reader.rev;
  return rc;
}

/* Whether the database has gone on since the snapshot. */
static bool has_moved(const tail *t, const env *e)
{
  journal_state now;
  return journal_state_get(e, NULL, &now) != 0 || now.is_open != t->is_open ||
         now.applied != t->applied;
}

int tail_read(tail *t, const env *e, MDB_txn *txn, const char *dir, char why[LMDB_WHY_SIZE])
{
  journal_state state;
  *t = (tail){.items = NULL};
  if (journal_state_get(e, txn, &state) != 0) {
    snprintf(why, LMDB_WHY_SIZE, "%.100s: " JOURNAL_RECORD_IS_DAMAGED, dir);
    return COPAL_EFORMAT;
  }
  t->is_open = state.is_open;
  t->applied = t->last = state.applied;
  int rc = read_journal(t, e, &state, dir, why);
  if (has_moved(t, e))
    rc = TAIL_MOVED;
  if (rc != 0)
    tail_wipe(t);
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * using */

static int compare(const void *a, const void *b)
{
  const tail_item *x = *(tail_item *const *)a, *y = *(tail_item *const *)b;
  const int order = keytree_compare(x->rec.key, y->rec.key);
  if (order != 0)
    return order;
  return x->place < y->place ? -1 : 1;
}

static bool is_last_of_key(const tail *t, size_t i)
{
  return i + 1 == t->count || !copal_span_is_equal(t->items[i]->rec.key, t->items[i + 1]->rec.key);
}

void tail_reduce(tail *t, store_space space)
{
  size_t kept = 0;
  for (size_t i = 0; i < t->count; i++) {
    if (t->items[i]->rec.kind != BATCH_OP && t->items[i]->rec.space == space)
      t->items[kept++] = t->items[i];
    else
      free(t->items[i]);
  }
  t->count = kept;
  if (kept > 0)
    qsort(t->items, kept, sizeof(tail_item *), compare);
  kept = 0;
  for (size_t i = 0; i < t->count; i++) {
    if (is_last_of_key(t, i))
      t->items[kept++] = t->items[i];
    else
      free(t->items[i]);
  }
  t->count = kept;
}

static int apply_one(apply *a, const batch_record *r)
{
  store_opid id;
  switch (r->kind) {
  case BATCH_PUT: return settle_put(a, r->space, r->key, &r->rec);
  case BATCH_DELETE: return settle_delete(a, r->space, r->key, r->rev);
  case BATCH_OP: memcpy(id.bytes, r->key.ptr, STORE_OPID_SIZE); return apply_put_op(a, &id, &r->op);
  }
  return 0;
}

int tail_apply(const tail *t, apply *a)
{
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < t->count; i++)
    rc = apply_one(a, &t->items[i]->rec);
  return rc;
}

void tail_wipe(tail *t)
{
  for (size_t i = 0; i < t->count; i++)
    free(t->items[i]);
  free(t->items);
  *t = (tail){.items = NULL};
}
