/* SPDX-License-Identifier: Apache-2.0 */
/* The checkpointer: moves what has changed into the database, in transactions of bounded size and
 * in the order of keys, says there how far it is, and releases what nobody needs any more: files of
 * the journal at once, entries of the overlay when no view is older.
 *
 * The writer is not held up: what is to be written is captured entry by entry, and versions do not
 * change. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "copal/error.h"
#include "store/journal/engine.h"
#include "store/journal/settle.h"
#include "store/journal/sweep.h"

enum {
  TXN_RECORDS = 16384,  /* in one transaction */
  TXN_BYTES = 32 << 20, /* unless one record has more */
  TXN_SHRINK = 16,      /* the part of the records that the next attempt takes, without room */
  TXN_PAGES = 32,       /* of the database, that any transaction may take */
  RECORD_PAGES = 12,    /* and each record: leaves of the trees and of what splits */
  BODY_FACTOR = 2,      /* pages are half full at worst */
  EARLY = 16,           /* part of the journal that is not left to a start to read */
  EARLY_MEMORY = 3,     /* of the memory, at which a checkpoint begins before its time */
  SEGMENTS = 2,         /* the same, of small files on a small disk */
  RESTS = 8,            /* times what a checkpoint took, before the next one */
  REST_MAX = 10000000,  /* microseconds */
  SPACES = OVERLAY_OPS + 1,
  ORDER_KEY = 7,       /* bytes of a key that are compared first */
  NAMES_MIN = 1024,    /* forgotten with each checkpoint */
  SETTLE_WAIT = 20000, /* microseconds between looks at views that are too old */
  STUCK_WAIT = 200000, /* microseconds between attempts without room */
  AHEAD = 8,           /* entries */
  OWN_NICE = 5,
  SMOOTH = 4, /* checkpoints over which the rate is smoothed */
};

uint64_t monotonic_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

copal_time journal_clock(const journal_store *s)
{
  if (s->cfg.clock != NULL)
    return s->cfg.clock->now(s->cfg.clock);
  return s->cfg.now + (monotonic_now() - s->opened);
}

bool entry_list_push(entry_list *l, overlay_entry *e)
{
  if (l->count == l->cap) {
    const size_t cap = l->cap == 0 ? 64 : 2 * l->cap;
    overlay_entry **items = realloc(l->items, cap * sizeof *items);
    if (items == NULL)
      return false;
    l->items = items;
    l->cap = cap;
  }
  l->items[l->count++] = e;
  return true;
}

/* Entries and versions are in no cache, as a rule: they are fetched while those in front of them
 * are dealt with. */
static void fetch_entry(const entry_list *l, size_t i)
{
  if (i + AHEAD < l->count)
    __builtin_prefetch(l->items[i + AHEAD]);
}

/* ------------------------------------------------------------------------------------------------
 * what is to be written */

/* An entry with the version that goes into the database. */
typedef struct captured {
  uint64_t order; /* the space, and the first bytes of the key that differ within it */
  overlay_entry *entry;
  version *made;
  trail *before;
} captured;

/* A checkpoint under way. */
typedef struct checkpoint {
  journal_store *s;
  entry_list entries;
  captured *items;    /* of them, in the order of keys */
  uint64_t upto;      /* the last batch that is in it as a whole */
  store_rev rev;      /* the highest that is in it; of a batch being published perhaps */
  uint64_t lag_bytes; /* of the journal that it settles */
  uint64_t names_gone;
  uint64_t next_expiry;
  bool is_stuck; /* the last one had no room: deletions go first, as they give some */
  bool is_tight; /* the transaction is smaller than it could be, for lack of room */
} checkpoint;

#define GROWS_LAST (UINT64_C(1) << 63) /* in the order, above the space */

static copal_span key_of(const overlay_entry *e)
{
  return copal_span_of(e->key, e->key_len);
}

static int compare(const void *a, const void *b)
{
  const captured *x = a, *y = b;
  if (x->order != y->order)
    return x->order < y->order ? -1 : 1;
  return keytree_compare(key_of(x->entry), key_of(y->entry));
}

static size_t common_prefix(copal_span a, size_t len, copal_span b)
{
  size_t n = 0;
  for (len = len < b.len ? len : b.len; n < len && a.ptr[n] == b.ptr[n];)
    n++;
  return n;
}

/* The space in the first byte, then bytes of the key behind what all keys of the space have in
 * common, so that most comparisons need no look at the key. */
static uint64_t order_of(const overlay_entry *e, size_t from)
{
  uint64_t order = e->space;
  for (size_t i = from; i < from + ORDER_KEY; i++)
    order = order << 8 | (i < e->key_len ? e->key[i] : 0u);
  return order;
}

static void sort(captured *items, size_t count, bool deletes_first)
{
  copal_span first[SPACES] = {{NULL, 0}};
  size_t common[SPACES] = {0};
  for (size_t i = 0; i < count; i++) {
    const overlay_entry *e = items[i].entry;
    if (first[e->space].ptr == NULL) {
      first[e->space] = key_of(e);
      common[e->space] = e->key_len;
    } else {
      common[e->space] = common_prefix(first[e->space], common[e->space], key_of(e));
    }
  }
  for (size_t i = 0; i < count; i++) {
    items[i].order = order_of(items[i].entry, common[items[i].entry->space]);
    if (deletes_first && items[i].made->kind != BATCH_DELETE)
      items[i].order |= GROWS_LAST;
  }
  qsort(items, count, sizeof *items, compare);
}

/* Takes over what is dirty. The batch that is the last to be seen is in it as a whole; of later
 * ones there may be parts, which does no harm, as they are read again. */
static int cut(checkpoint *c, journal_store *s)
{
  *c = (checkpoint){.s = s};
  pthread_mutex_lock(&s->lag_lock);
  c->entries = s->dirty;
  s->dirty = (entry_list){.items = NULL};
  c->upto = s->published;
  c->lag_bytes = count_now(&s->counters.lag_bytes);
  c->is_stuck = s->is_stuck;
  s->is_urgent = false;
  s->lag_ends = 0;
  pthread_mutex_unlock(&s->lag_lock);
  if (c->entries.count == 0)
    return 0;
  c->items = malloc(c->entries.count * sizeof *c->items);
  if (c->items == NULL)
    return ENOMEM;
  for (size_t i = 0; i < c->entries.count; i++) {
    overlay_entry *e = c->entries.items[i];
    fetch_entry(&c->entries, i);
    c->items[i] = (captured){.entry = e};
    c->items[i].made = overlay_capture(&s->overlay, e, &c->items[i].before);
    if (c->items[i].made->rev > c->rev)
      c->rev = c->items[i].made->rev;
  }
  sort(c->items, c->entries.count, c->is_stuck);
  return 0;
}

static void wipe(checkpoint *c)
{
  for (size_t i = 0; c->items != NULL && i < c->entries.count; i++) {
    version_give(c->items[i].made);
    trail_give(c->items[i].before);
  }
  free(c->items);
  free(c->entries.items);
}

/* Makes dirty again what could not be written. */
static void put_back(checkpoint *c)
{
  journal_store *s = c->s;
  pthread_mutex_lock(&s->lag_lock);
  for (size_t i = 0; i < c->entries.count; i++) {
    overlay_entry *e = c->entries.items[i];
    if (c->items != NULL && !overlay_release(&s->overlay, e))
      count_sub(&s->counters.lag_records, 1); /* it has changed, and was counted again */
    else if (!entry_list_push(&s->dirty, e))
      journal_fail(s, "no memory for the checkpoint");
  }
  s->lag_since = monotonic_now();
  s->lag_ends = 1; /* long ago: nobody knows */
  pthread_mutex_unlock(&s->lag_lock);
}

/* ------------------------------------------------------------------------------------------------
 * writing */

static int write_version(apply *a, const overlay_entry *e, const version *v)
{
  store_opid id;
  const store_space in = (store_space)e->space;
  switch (v->kind) {
  case BATCH_PUT: return settle_put(a, in, key_of(e), &v->rec);
  case BATCH_DELETE: return settle_delete(a, in, key_of(e), v->rev);
  case BATCH_OP: memcpy(id.bytes, e->key, STORE_OPID_SIZE); return apply_put_op(a, &id, &v->op);
  }
  return 0;
}

/* What the history is to know first, then what is there now. */
static int write_one(apply *a, const captured *c)
{
  int rc = 0;
  for (uint32_t i = c->before != NULL ? c->before->count : 0; rc == 0 && i > 0; i--)
    rc = write_version(a, c->entry, c->before->former[i - 1]);
  return rc != 0 ? rc : write_version(a, c->entry, c->made);
}

static size_t bytes_of(const captured *c)
{
  const size_t body = c->made->kind == BATCH_PUT ? c->made->rec.item.body.len : 0;
  return c->made->size + body + (c->before != NULL ? c->before->size : 0);
}

/* Pages of the database that so many records of so many bytes may take at worst: what is changed is
 * written to other pages, and those it was in can be used two transactions later. */
static uint64_t pages_for(const journal_store *s, size_t records, size_t bytes)
{
  const uint64_t times = s->cfg.history > 0 ? 2 * BODY_FACTOR : BODY_FACTOR;
  return TXN_PAGES + RECORD_PAGES * (uint64_t)records + bytes * times / s->env.page;
}

/* Items from `from` that one transaction takes, unless there is little room. */
static size_t full_portion(const checkpoint *c, size_t from, size_t max, size_t *size)
{
  size_t bytes = 0, n = 0;
  while (from + n < c->entries.count && n < max) {
    if (from + n + AHEAD < c->entries.count)
      __builtin_prefetch(c->items[from + n + AHEAD].made);
    bytes += bytes_of(&c->items[from + n]);
    if (n > 0 && bytes > TXN_BYTES)
      break;
    n++;
    *size = bytes;
  }
  return n;
}

/* Items from `from` that one transaction takes: at least one, for which there is the reserve, and
 * so few that the reserve is left for the next. A large transaction could else take the last pages,
 * and none be there for the one after which those that it frees can be used. */
static size_t portion(checkpoint *c, size_t from, size_t max)
{
  journal_store *s = c->s;
  size_t bytes = 0;
  const size_t all = full_portion(c, from, max, &bytes);
  const uint64_t want = pages_for(s, all, bytes);
  const uint64_t spare = space_spare(&s->room, want);
  c->is_tight = spare < want || max < TXN_RECORDS;
  if (spare >= want)
    return all;
  size_t n = 0;
  for (bytes = 0; n < all; n++) {
    bytes += bytes_of(&c->items[from + n]);
    if (n > 0 && pages_for(s, n + 1, bytes) > spare)
      break;
  }
  return n;
}

static store_rev later(store_rev a, store_rev b)
{
  return a > b ? a : b;
}

/* Readers see the versions of a batch one by one, and a checkpoint may have some of them before the
 * batch counts as published: no record may be newer than what the database says was given out, also
 * after the next checkpoint. */
static store_record record_now(const checkpoint *c)
{
  journal_store *s = c->s;
  store_record rec = s->env.record;
  pthread_mutex_lock(&s->lag_lock);
  rec.rev = later(rec.rev, later(s->published_rev, c->rev));
  pthread_mutex_unlock(&s->lag_lock);
  return rec;
}

/* The last transaction, of `n` records, says how far the database is. */
static int finish_txn(checkpoint *c, apply *a, size_t n, bool is_last)
{
  journal_store *s = c->s;
  const store_record rec = record_now(c);
  int rc = 0;
  if (is_last) {
    const journal_state state = {
        .is_open = true, .applied = c->upto, .newest = chain_newest(&s->chain)};
    const uint64_t names = c->is_tight ? n + 1 : NAMES_MIN + c->entries.count;
    rc = journal_sweep_names(s, a, names, &c->names_gone, &c->next_expiry);
    if (rc == 0)
      rc = journal_state_put(&s->env, a->txn, &state);
  }
  if (rc == 0)
    rc = env_put_record(&s->env, a->txn, &rec);
  if (rc != 0) {
    mdb_txn_abort(a->txn);
    return rc;
  }
  rc = mdb_txn_commit(a->txn);
  if (rc == 0)
    s->env.record.rev = rec.rev; /* others read the epoch only */
  return rc;
}

static void fetch_captured(const checkpoint *c, size_t i)
{
  if (i + AHEAD >= c->entries.count)
    return;
  const captured *next = &c->items[i + AHEAD];
  __builtin_prefetch(next->entry->key);
  __builtin_prefetch(next->made);
  __builtin_prefetch(next->made->bytes);
}

static int write_portion(checkpoint *c, size_t from, size_t n)
{
  journal_store *s = c->s;
  apply a = {.env = &s->env, .history_max = s->cfg.history};
  const uint64_t began = monotonic_now();
  int rc = mdb_txn_begin(s->env.mdb, NULL, 0, &a.txn);
  if (rc != 0)
    return rc;
  rc = apply_begin_sorted(&a);
  for (size_t i = 0; rc == 0 && i < n; i++) {
    fetch_captured(c, from + i);
    rc = write_one(&a, &c->items[from + i]);
  }
  apply_end_sorted(&a);
  if (rc != 0) {
    mdb_txn_abort(a.txn);
    return rc;
  }
  rc = finish_txn(c, &a, n, from + n == c->entries.count);
  if (rc != 0)
    return rc;
  count_up(&s->counters.checkpoint_txns);
  count_add(&s->counters.checkpointed, n);
  count_add(&s->counters.checkpoint_us, monotonic_now() - began);
  return 0;
}

/* As of what has been committed. Pages that a transaction frees cannot be used while there is a
 * snapshot from before it: one that stayed for a whole checkpoint would have it take new pages
 * only.
 */
static void standby_renew(journal_store *s)
{
  pthread_mutex_lock(&s->standby_lock);
  mdb_txn_reset(s->standby);
  if (mdb_txn_renew(s->standby) != 0)
    count_up(&s->counters.reads_failed);
  pthread_mutex_unlock(&s->standby_lock);
}

static int write_all(checkpoint *c)
{
  size_t max = TXN_RECORDS;
  size_t from = 0;
  do {
    const size_t n = portion(c, from, max);
    const int rc = write_portion(c, from, n);
    if (rc == 0) {
      from += n;
      max = max < TXN_RECORDS / 2 ? max * 2 : TXN_RECORDS;
      standby_renew(c->s);
    } else if (!space_was_lacking(&c->s->env, rc) || n <= 1) {
      return rc;
    } else {
      max = n > TXN_SHRINK ? n / TXN_SHRINK : 1; /* takes fewer pages at a time */
    }
  } while (from < c->entries.count);
  return 0;
}

/* ------------------------------------------------------------------------------------------------
 * afterwards */

/* What has been written may be dropped when nobody looks at an older snapshot. */
static void settle(checkpoint *c, uint64_t number)
{
  journal_store *s = c->s;
  settling *done = calloc(1, sizeof *done);
  bool has_memory = done != NULL;
  if (has_memory)
    done->checkpoint = number;
  for (size_t i = 0; i < c->entries.count; i++) {
    const captured *x = &c->items[i];
    if (i + AHEAD < c->entries.count)
      __builtin_prefetch(c->items[i + AHEAD].entry);
    switch (overlay_settle(&s->overlay, x->entry, x->made, number)) {
    case OVERLAY_GOES: has_memory = has_memory && entry_list_push(&done->entries, x->entry); break;
    case OVERLAY_KEPT: has_memory = keep_push(&s->keep, x->entry, number) && has_memory; break;
    case OVERLAY_CHANGED:
    case OVERLAY_STAYS: break;
    }
  }
  if (!has_memory)
    journal_fail(s, "no memory for the checkpoint");
  if (done == NULL)
    return;
  *s->settling_tail = done;
  s->settling_tail = &done->next;
}

static void drop_settled(journal_store *s)
{
  const uint64_t oldest = views_oldest(s);
  while (s->settling != NULL && s->settling->checkpoint <= oldest) {
    settling *done = s->settling;
    s->settling = done->next;
    if (s->settling == NULL)
      s->settling_tail = &s->settling;
    for (size_t i = 0; i < done->entries.count; i++) {
      fetch_entry(&done->entries, i);
      overlay_drop(&s->overlay, done->entries.items[i], done->checkpoint);
    }
    free(done->entries.items);
    free(done);
  }
  keep_trim(&s->keep, &s->overlay, keep_max(s), oldest);
}

/* Bytes of the journal that one millisecond settles. */
static void note_rate(journal_store *s, uint64_t bytes, uint64_t us)
{
  const uint64_t now = bytes * 1000 / (us > 0 ? us : 1) + 1;
  const uint64_t before = count_now(&s->drain_rate);
  atomic_store_explicit(&s->drain_rate, before == 0 ? now : (before * (SMOOTH - 1) + now) / SMOOTH,
                        memory_order_relaxed);
}

static void note_size(journal_store *s)
{
  atomic_store_explicit(&s->counters.data_bytes, space_used(&s->env) * s->env.page,
                        memory_order_relaxed);
}

static void complete(checkpoint *c)
{
  journal_store *s = c->s;
  const uint64_t number = atomic_load(&s->checkpoint) + 1;
  atomic_store(&s->next_expiry, c->next_expiry);
  atomic_store(&s->checkpoint, number);
  settle(c, number);
  note_size(s);
  count_up(&s->counters.checkpoints);
  count_sub(&s->counters.lag_bytes, c->lag_bytes);
  count_sub(&s->counters.lag_records, c->entries.count);
  count_add(&s->counters.names_gone, c->names_gone);
  const int rc = chain_release(&s->chain, c->upto);
  if (rc != 0)
    journal_fail(s, strerror(-rc));
}

int checkpoint_make(journal_store *s)
{
  checkpoint c;
  const uint64_t began = monotonic_now();
  int rc = cut(&c, s);
  if (rc == 0)
    rc = write_all(&c);
  if (rc == 0) {
    complete(&c);
    note_rate(s, c.lag_bytes, monotonic_now() - began);
  } else {
    put_back(&c);
  }
  wipe(&c);
  drop_settled(s);
  pthread_mutex_lock(&s->lag_lock);
  if (rc == 0)
    s->applied = c.upto;
  s->attempts++;
  s->is_stuck = rc != 0;
  s->rest = RESTS * (monotonic_now() - began);
  pthread_cond_broadcast(&s->lag_shrank);
  pthread_mutex_unlock(&s->lag_lock);
  if (rc != 0 && rc != ENOMEM && !space_was_lacking(&s->env, rc))
    journal_fail(s, mdb_strerror(rc));
  return rc;
}

int checkpoint_mark(journal_store *s, bool is_open)
{
  MDB_txn *txn;
  const journal_state state = {
      .is_open = is_open, .applied = s->applied, .newest = is_open ? chain_newest(&s->chain) : 0};
  int rc = mdb_txn_begin(s->env.mdb, NULL, 0, &txn);
  if (rc != 0)
    return rc;
  rc = journal_state_put(&s->env, txn, &state);
  if (rc == 0)
    return mdb_txn_commit(txn);
  mdb_txn_abort(txn);
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * the thread */

void checkpoint_ask(journal_store *s)
{
  pthread_mutex_lock(&s->lag_lock);
  s->is_urgent = true;
  pthread_cond_signal(&s->lag_grew);
  pthread_mutex_unlock(&s->lag_lock);
}

static struct timespec after(uint64_t us)
{
  const uint64_t at = monotonic_now() + us;
  return (struct timespec){.tv_sec = (time_t)(at / 1000000),
                           .tv_nsec = (long)(at % 1000000) * 1000};
}

/* One that is under way does not count: it may have begun too early. */
bool checkpoint_wait(journal_store *s, uint64_t timeout_us)
{
  const struct timespec until = after(timeout_us);
  int rc = 0;
  pthread_mutex_lock(&s->lag_lock);
  const uint64_t wanted = s->published;
  const uint64_t attempts = s->attempts + 2;
  s->is_urgent = true;
  pthread_cond_signal(&s->lag_grew);
  while (rc == 0 && s->attempts < attempts && !atomic_load(&s->has_failed)) {
    rc = pthread_cond_timedwait(&s->lag_shrank, &s->lag_lock, &until);
    s->is_urgent = true;
    pthread_cond_signal(&s->lag_grew);
  }
  const bool is_done = s->applied >= wanted && !s->is_stuck;
  pthread_mutex_unlock(&s->lag_lock);
  return is_done;
}

/* Bytes of journal after which a checkpoint does not rest. */
static uint64_t lag_early(const journal_store *s)
{
  const uint64_t part = s->own.journal_max / EARLY, files = SEGMENTS * s->chain.segment_size;
  return part < files ? part : files;
}

bool checkpoint_is_early(const journal_store *s)
{
  return burden_now(s) >= burden_max(s) / EARLY_MEMORY ||
         count_now(&s->counters.lag_bytes) >= lag_early(s);
}

/* Microseconds that the first change waits for its checkpoint. Under load a checkpoint touches
 * nearly every page of the database, however many changes there are on each: those that take long
 * are made less often, while there is room for what gathers. What ends has to be in the index of
 * expiry by then. */
static uint64_t patience(const journal_store *s, uint64_t age)
{
  const uint64_t usual = s->own.checkpoint_us;
  if (s->is_stuck)
    return STUCK_WAIT;
  const uint64_t rest = s->rest < REST_MAX ? s->rest : REST_MAX;
  if (rest <= usual || !room_is_plenty(s, lag_early(s)))
    return usual;
  if (s->lag_ends == 0)
    return rest;
  const uint64_t took = s->rest / RESTS;
  const copal_time end = instant_of(s, s->lag_ends), now = journal_clock(s);
  const uint64_t at = age + (end > now + took ? end - now - took : 0);
  return at >= rest ? rest : at > usual ? at : usual;
}

/* Microseconds until a checkpoint is due; 0: now; UINT64_MAX: nothing is waiting. The lag's lock is
 * held. */
static uint64_t time_left(const journal_store *s)
{
  if (s->is_urgent)
    return 0;
  if (s->dirty.count == 0)
    return UINT64_MAX;
  const uint64_t age = monotonic_now() - s->lag_since;
  const uint64_t wait = patience(s, age);
  if (age >= wait || (checkpoint_is_early(s) && !s->is_stuck))
    return 0;
  return wait - age;
}

/* Sleeps until a checkpoint is due or there is something to drop. Returns false when it is to end.
 * The lag's lock is held. */
static bool wait_until_due(journal_store *s)
{
  for (;;) {
    if (s->ends_checkpoints)
      return false;
    uint64_t left = time_left(s);
    if (left == 0)
      return true;
    if (s->settling != NULL) {
      pthread_mutex_unlock(&s->lag_lock);
      drop_settled(s);
      pthread_mutex_lock(&s->lag_lock);
      if (s->settling != NULL && left > SETTLE_WAIT)
        left = SETTLE_WAIT;
      if (s->is_urgent || s->ends_checkpoints)
        continue;
    }
    if (left == UINT64_MAX) {
      pthread_cond_wait(&s->lag_grew, &s->lag_lock);
      continue;
    }
    const struct timespec until = after(left);
    pthread_cond_timedwait(&s->lag_grew, &s->lag_lock, &until);
  }
}

static void wake_writer(journal_store *s)
{
  pthread_mutex_lock(&s->lock);
  pthread_cond_signal(&s->work); /* something may expire sooner than it knows */
  pthread_mutex_unlock(&s->lock);
}

static void *checkpointer_main(void *arg)
{
  journal_store *s = arg;
  (void)pthread_setname_np(pthread_self(), "checkpoint");
  (void)setpriority(PRIO_PROCESS, 0,
                    OWN_NICE); /* of the thread: whoever is waited for goes first */
  pthread_mutex_lock(&s->lag_lock);
  while (wait_until_due(s)) {
    pthread_mutex_unlock(&s->lag_lock);
    if (!atomic_load(&s->has_failed)) {
      checkpoint_make(s);
      chain_make_spare(&s->chain);
      wake_writer(s);
    }
    pthread_mutex_lock(&s->lag_lock);
    if (atomic_load(&s->has_failed)) {
      s->attempts++;
      pthread_cond_broadcast(&s->lag_shrank);
      s->is_urgent = false;
      while (!s->ends_checkpoints)
        pthread_cond_wait(&s->lag_grew, &s->lag_lock);
    }
  }
  pthread_mutex_unlock(&s->lag_lock);
  return NULL;
}

int checkpointer_start(journal_store *s)
{
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int rc = pthread_create(&s->checkpointer, NULL, checkpointer_main, s);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  s->has_checkpointer = rc == 0;
  return -rc;
}

void checkpointer_stop(journal_store *s)
{
  if (!s->has_checkpointer)
    return;
  pthread_mutex_lock(&s->lag_lock);
  s->ends_checkpoints = true;
  pthread_cond_signal(&s->lag_grew);
  pthread_mutex_unlock(&s->lag_lock);
  pthread_join(s->checkpointer, NULL);
  s->has_checkpointer = false;
}
