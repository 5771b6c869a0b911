/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of the LMDB engine: group commit. What queued while the last commit ran is the next
 * transaction; no timer delays anything.
 *
 * When LMDB or the disk has no room, what makes the store grow is refused and deletes go on. When
 * stable storage fails, nothing is acknowledged any more: a second fsync() after one that failed
 * may succeed without having written anything. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "copal/error.h"
#include "store/lmdb/engine.h"

enum {
  BATCH_BYTES = 4 << 20, /* of one transaction, unless one change has more */
  BATCH_SMALL = 8,       /* changes, when there is little room */
  BATCH_PAGES = 16,      /* that a transaction takes beside those of its changes */
  NUDGES_MAX = 3,
};

#define SWEEP_AGAIN COPAL_SECOND
#define SLEEP_MAX   (3600 * (copal_time)COPAL_SECOND)
#define LOOK_MAX    (COPAL_SECOND / 20) /* a clock of the caller's may be moved */

void request_free(request *r)
{
  if (r != NULL)
    free(r->kept);
  free(r);
}

/* ------------------------------------------------------------------------------------------------
 * one transaction */

static void tell(lmdb_store *s, lmdb_event event, const char *why)
{
  if (s->cfg.listener != NULL)
    s->cfg.listener->on_event(s->cfg.listener, event, why);
}

static void standby_renew(lmdb_store *s)
{
  pthread_mutex_lock(&s->standby_lock);
  mdb_txn_reset(s->standby);
  const int rc = mdb_txn_renew(s->standby);
  if (rc != 0)
    count_up(&s->counters.reads_failed);
  pthread_mutex_unlock(&s->standby_lock);
}

static int transaction_begin(transaction *t, lmdb_store *s)
{
  *t = (transaction){.s = s, .rev = s->rev, .a = {.env = &s->env, .history_max = s->cfg.history}};
  return mdb_txn_begin(s->env.mdb, NULL, 0, &t->a.txn);
}

static int transaction_commit(transaction *t)
{
  lmdb_store *s = t->s;
  MDB_stat stat;
  store_record rec = s->env.record;
  expiring first = {.expiry = 0};
  rec.rev = t->rev;
  int rc = env_put_record(&s->env, t->a.txn, &rec);
  if (rc == 0)
    rc = mdb_stat(t->a.txn, s->env.items, &stat);
  if (rc == 0)
    rc = apply_first_expiring(&s->env, t->a.txn, &first);
  if (rc != 0 && rc != MDB_NOTFOUND) {
    mdb_txn_abort(t->a.txn);
    return rc;
  }
  rc = mdb_txn_commit(t->a.txn);
  if (rc != 0)
    return rc;
  s->rev = t->rev;
  s->next_expiry = first.expiry;
  s->counters.resources = stat.ms_entries;
  s->counters.bytes = space_used(&s->env) * s->env.page;
  count_up(&s->counters.commits);
  standby_renew(s);
  return 0;
}

/* Applies all requests of the list and commits. Returns 0 when that is on stable storage, or an
 * error of LMDB or the system, with nothing changed. */
static int attempt(lmdb_store *s, const request_list *batch, bool refuses_puts)
{
  transaction t;
  int rc = transaction_begin(&t, s);
  if (rc != 0)
    return rc;
  t.refuses_puts = refuses_puts;
  for (request *r = batch->head; rc == 0 && r != NULL; r = r->next)
    rc = change_apply(&t, r);
  if (rc != 0 || !t.a.is_dirty) {
    mdb_txn_abort(t.a.txn);
    return rc;
  }
  return transaction_commit(&t);
}

static void settle_all(lmdb_store *s, const request_list *batch, store_status status)
{
  for (request *r = batch->head; r != NULL; r = r->next) {
    r->result = (store_result){.status = status};
    r->took_effect = r->has_lapsed = false;
    if (status == STORE_FAILED)
      count_up(&s->counters.failed);
  }
}

static void note_room(lmdb_store *s, bool is_full, const char *why)
{
  if (is_full != s->is_full)
    tell(s, is_full ? LMDB_EVENT_FULL : LMDB_EVENT_ROOM, why);
  s->is_full = is_full;
}

static void fail_for_good(lmdb_store *s, int rc)
{
  atomic_store(&s->has_failed, true);
  tell(s, LMDB_EVENT_FAILED, mdb_strerror(rc));
}

/* What remains when an attempt has failed for another reason than room. */
static void give_up(lmdb_store *s, const request_list *batch, int rc)
{
  if (rc == ENOMEM) {
    settle_all(s, batch, STORE_UNAVAILABLE);
    return;
  }
  settle_all(s, batch, STORE_FAILED);
  fail_for_good(s, rc);
}

static bool has_growth(const request_list *batch)
{
  for (const request *r = batch->head; r != NULL; r = r->next)
    if (r->op->verb != STORE_DELETE)
      return true;
  return false;
}

static void commit(lmdb_store *s, const request_list *batch, bool has_room)
{
  if (atomic_load(&s->has_failed)) {
    settle_all(s, batch, STORE_FAILED);
    return;
  }
  int rc = attempt(s, batch, !has_room);
  if (has_room && space_was_lacking(&s->env, rc)) {
    has_room = false;
    rc = attempt(s, batch, true);
  }
  if (space_was_lacking(&s->env, rc))
    settle_all(s, batch, STORE_FULL);
  else if (rc != 0)
    give_up(s, batch, rc);
  if (has_growth(batch))
    note_room(s, !has_room, "the data file cannot grow");
}

/* ------------------------------------------------------------------------------------------------
 * room */

static uint64_t pages_of(const lmdb_store *s, const request_list *batch)
{
  MDB_stat stat;
  MDB_envinfo info;
  mdb_env_stat(s->env.mdb, &stat); /* of the main database; the items' tree is not much deeper */
  mdb_env_info(s->env.mdb, &info);
  uint32_t depth = 1;
  for (uint64_t pages = info.me_last_pgno; pages > 16; pages /= 16)
    depth++;
  uint64_t sum = BATCH_PAGES;
  for (const request *r = batch->head; r != NULL; r = r->next)
    sum += change_pages(s, r, stat.ms_psize, depth);
  return sum;
}

/* Commits nothing but the store's record: pages that the transaction before freed can be used after
 * that. Returns false when it failed. */
static bool nudge(lmdb_store *s)
{
  transaction t;
  return transaction_begin(&t, s) == 0 && transaction_commit(&t) == 0;
}

static space_answer find_room(lmdb_store *s, const request_list *batch)
{
  const uint64_t need = pages_of(s, batch);
  space_answer answer = space_ask(&s->space, need);
  for (int i = 0; i < NUDGES_MAX && answer == SPACE_SOON && nudge(s); i++)
    answer = space_ask(&s->space, need);
  return answer;
}

/* ------------------------------------------------------------------------------------------------
 * results */

static void tell_change(const lmdb_store *s, const store_change *change)
{
  for (store_follower *f = s->followers; f != NULL; f = f->next)
    f->on_change(f, change);
}

/* The end of a lifetime. */
static void tell_lapse(lmdb_store *s, const request *r)
{
  count_up(&s->counters.expired);
  tell_change(s, &(store_change){.key = r->key, .was_present = true, .links_changed = true});
}

static void tell_followers(lmdb_store *s, const request_list *batch)
{
  for (const request *r = batch->head; r != NULL; r = r->next) {
    if (r->has_lapsed)
      tell_lapse(s, r);
    if (r->took_effect)
      tell_change(s, &r->change);
  }
}

/* Wakes with the lock held: a port is not closed before it is released. */
static void deliver(lmdb_store *s, request_list *batch)
{
  tell_followers(s, batch);
  pthread_mutex_lock(&s->lock);
  for (request *r; (r = request_list_pop(batch)) != NULL;) {
    lmdb_port *p = r->port;
    const bool is_first = p->done.head == NULL;
    s->queued -= r->size;
    p->in_writer--;
    count_up(&s->counters.changes);
    request_list_push(&p->done, r);
    if (is_first && p->waker != NULL)
      p->waker->wake(p->waker);
  }
  pthread_cond_broadcast(&s->settled);
  pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------------------------------------
 * the thread */

/* Moves requests of one list to another: at most so many, and so many bytes unless it is one. */
static void move(request_list *from, request_list *to, uint32_t count, uint64_t bytes)
{
  request_list_init(to);
  uint64_t size = 0;
  for (uint32_t i = 0; i < count && from->head != NULL; i++) {
    size += from->head->size;
    if (i > 0 && size > bytes)
      return;
    request_list_push(to, request_list_pop(from));
  }
}

static void commit_and_deliver(lmdb_store *s, request_list *batch)
{
  if (!has_growth(batch) || find_room(s, batch) == SPACE_HAS) {
    commit(s, batch, true);
    deliver(s, batch);
    return;
  }
  while (batch->head != NULL) {
    request_list part;
    move(batch, &part, BATCH_SMALL, BATCH_BYTES);
    commit(s, &part, !has_growth(&part) || find_room(s, &part) == SPACE_HAS);
    deliver(s, &part);
  }
}

/* When there is something to sweep, on the clock of store_commit(). */
static copal_time sweep_due(const lmdb_store *s)
{
  if (s->next_expiry == 0 || atomic_load(&s->has_failed))
    return COPAL_NEVER;
  copal_time due = s->next_expiry - s->base.wall_ahead;
  if (due > INT64_MAX)
    due = 0; /* before the clock began */
  return due > s->sweep_after ? due : s->sweep_after;
}

/* One transaction of sweeping. Without room it is tried again later: what has expired is absent
 * anyway. */
static void sweep(lmdb_store *s)
{
  request_list told;
  transaction t;
  request_list_init(&told);
  int rc = transaction_begin(&t, s);
  if (rc == 0) {
    rc = sweep_some(&t, &told);
    if (rc == 0)
      rc = transaction_commit(&t);
    else
      mdb_txn_abort(t.a.txn);
  }
  if (rc == 0)
    tell_followers(s, &told);
  else if (space_was_lacking(&s->env, rc) || rc == ENOMEM)
    s->sweep_after = sweep_clock(s) + SWEEP_AGAIN;
  else
    fail_for_good(s, rc);
  for (request *r; (r = request_list_pop(&told)) != NULL;)
    request_free(r);
}

/* Sleeps at most until an instant; the store's lock is held. */
static void sleep_until(lmdb_store *s, copal_time at, copal_time now)
{
  struct timespec until;
  const uint64_t longest = s->cfg.clock != NULL ? LOOK_MAX : SLEEP_MAX;
  const uint64_t delay = at - now < longest ? at - now : longest;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += (time_t)(delay / COPAL_SECOND);
  until.tv_nsec += (long)(delay % COPAL_SECOND) * 1000;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  pthread_cond_timedwait(&s->work, &s->lock, &until);
}

/* Sleeps until there is work, at most until something expires. The store's lock is held. */
static void wait_for_work(lmdb_store *s)
{
  while (s->queue.head == NULL && !s->is_ending) {
    const copal_time due = sweep_due(s);
    if (due == COPAL_NEVER) {
      pthread_cond_wait(&s->work, &s->lock);
      continue;
    }
    const copal_time now = sweep_clock(s);
    if (due <= now)
      return;
    sleep_until(s, due, now);
  }
}

static void *writer_main(void *arg)
{
  lmdb_store *s = arg;
  (void)pthread_setname_np(pthread_self(), "store");
  pthread_mutex_lock(&s->lock);
  for (;;) {
    wait_for_work(s);
    if (s->queue.head == NULL && s->is_ending)
      break;
    request_list batch;
    move(&s->queue, &batch, s->cfg.batch_max, BATCH_BYTES);
    pthread_mutex_unlock(&s->lock);
    if (batch.head != NULL)
      commit_and_deliver(s, &batch);
    const copal_time due = sweep_due(s);
    if (due != COPAL_NEVER && due <= sweep_clock(s))
      sweep(s);
    pthread_mutex_lock(&s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

int writer_start(lmdb_store *s)
{
  /* Signals are for the threads that wait for them. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int rc = pthread_create(&s->thread, NULL, writer_main, s);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  s->has_thread = rc == 0;
  return -rc;
}

void writer_stop(lmdb_store *s)
{
  if (!s->has_thread)
    return;
  pthread_mutex_lock(&s->lock);
  s->is_ending = true;
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->thread, NULL);
  s->has_thread = false;
}

int writer_submit(lmdb_store *s, request *r)
{
  pthread_mutex_lock(&s->lock);
  const bool has_room =
      s->queued == 0 || (s->queued <= s->cfg.queue_max && r->size <= s->cfg.queue_max - s->queued);
  if (has_room) {
    s->queued += r->size;
    r->port->in_writer++;
    request_list_push(&s->queue, r);
    pthread_cond_signal(&s->work);
  }
  pthread_mutex_unlock(&s->lock);
  return has_room ? COPAL_OK : COPAL_ENOSLOT;
}
