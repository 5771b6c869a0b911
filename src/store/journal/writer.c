/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of the journal engine: group commit. What queued while the last sync ran is the next
 * batch; no timer delays anything, but for the pace that the checkpoint can follow when it is far
 * behind.
 *
 * A batch is evaluated, written and synced; then readers see it; then followers and ports are told.
 * When stable storage fails, nothing is acknowledged any more: a second fsync() after one that
 * failed may succeed without having written anything. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "copal/error.h"
#include "store/journal/engine.h"
#include "store/journal/sweep.h"

enum {
  BATCH_BYTES = 4 << 20, /* of one batch, unless one change has more */
  ROOM_PAGES = 64,       /* of the database, beside what the changes themselves take */
  ROOM_FACTOR = 2,       /* pages are half full at worst */
  ROOM_WAIT = 2000000,   /* microseconds for a checkpoint that may give room */
  PACE_SLEEP_MAX = 4000, /* microseconds that one batch is held up while there is room */
  FULL_SLEEP = 100000,   /* microseconds between looks at a full overlay */
  PART_ALL = 1024,       /* of the pressure: nothing fits any more */
  PART_SLOW = 512,       /* batches begin to be held up */
};

#define SLEEP_MAX (3600 * (uint64_t)COPAL_SECOND) /* the clock of another may have been moved */

void journal_tell(const journal_store *s, lmdb_event event, const char *why)
{
  if (s->cfg.listener != NULL)
    s->cfg.listener->on_event(s->cfg.listener, event, why);
}

void journal_fail(journal_store *s, const char *why)
{
  if (!atomic_exchange(&s->has_failed, true))
    journal_tell(s, LMDB_EVENT_FAILED, why);
}

/* ------------------------------------------------------------------------------------------------
 * keeping pace with the checkpoint */

/* How far behind it is, in parts of PART_ALL. */
static uint64_t pressure(const journal_store *s)
{
  const uint64_t memory = count_now(&s->overlay.bytes) * PART_ALL / s->own.memory_max;
  const uint64_t journal = count_now(&s->counters.lag_bytes) * PART_ALL / s->own.journal_max;
  return memory > journal ? memory : journal;
}

static void sleep_us(uint64_t us)
{
  const struct timespec ts = {.tv_sec = (time_t)(us / 1000000),
                              .tv_nsec = (long)(us % 1000000) * 1000};
  nanosleep(&ts, NULL);
}

/* Waits while nothing fits. Not for ever: without room on the disk no checkpoint comes, and what is
 * to be done about that is decided with the batch. */
static void wait_for_checkpoint(journal_store *s)
{
  while (pressure(s) >= PART_ALL && !atomic_load(&s->has_failed)) {
    pthread_mutex_lock(&s->lag_lock);
    const bool is_stuck = s->is_stuck;
    pthread_mutex_unlock(&s->lag_lock);
    if (is_stuck)
      return;
    checkpoint_wait(s, FULL_SLEEP);
  }
}

/* Lets the journal grow at the rate at which checkpoints settle it: freely up to half of what fits,
 * at that rate at three quarters, slower beyond. The batch before this one is what it has grown by.
 */
static void keep_pace(journal_store *s)
{
  const uint64_t now = monotonic_now();
  const uint64_t part = pressure(s);
  const uint64_t rate = count_now(&s->drain_rate);
  if (part < PART_SLOW || rate == 0) {
    s->pace_due = now;
    return;
  }
  const uint64_t grown = s->batch.size * 1000 / rate;
  s->pace_due += grown * (part - PART_SLOW) / (PART_SLOW / 2);
  if (s->pace_due + PACE_SLEEP_MAX < now)
    s->pace_due = now - PACE_SLEEP_MAX;
  if (s->pace_due <= now && part < PART_ALL)
    return;
  count_up(&s->counters.waits);
  const uint64_t wait = s->pace_due > now ? s->pace_due - now : 0;
  sleep_us(wait < PACE_SLEEP_MAX ? wait : PACE_SLEEP_MAX);
  if (wait > PACE_SLEEP_MAX)
    s->pace_due = now + PACE_SLEEP_MAX;
  wait_for_checkpoint(s);
  count_add(&s->counters.waited_us, monotonic_now() - now);
}

/* ------------------------------------------------------------------------------------------------
 * room in the database */

static bool has_growth(const intent_list *group)
{
  for (const intent *r = group->head; r != NULL; r = r->next)
    if (r->op->verb != STORE_DELETE)
      return true;
  return false;
}

static uint64_t bytes_of(const intent_list *group)
{
  uint64_t bytes = 0;
  for (const intent *r = group->head; r != NULL; r = r->next)
    bytes += r->size + r->lent;
  return bytes;
}

static space_answer ask_for(journal_store *s, uint64_t bytes)
{
  const uint64_t history = s->cfg.history > 0 ? 2 : 1;
  const uint64_t pages = bytes * ROOM_FACTOR * history / s->env.page + ROOM_PAGES;
  return space_ask(&s->space, pages);
}

/* Whether the database will have room for what no checkpoint has yet and for these changes. What is
 * acknowledged must find its place. */
static bool find_room(journal_store *s, const intent_list *group)
{
  const uint64_t own = bytes_of(group);
  if (ask_for(s, count_now(&s->counters.lag_bytes) + own) == SPACE_HAS)
    return true;
  /* Two checkpoints: pages that the first frees can be used after the second. */
  for (int i = 0; i < 2; i++)
    if (!checkpoint_wait(s, ROOM_WAIT))
      return false;
  return ask_for(s, count_now(&s->counters.lag_bytes) + own) == SPACE_HAS;
}

static void note_room(journal_store *s, bool is_full, const char *why)
{
  if (is_full != s->is_full)
    journal_tell(s, is_full ? LMDB_EVENT_FULL : LMDB_EVENT_ROOM, why);
  s->is_full = is_full;
}

/* ------------------------------------------------------------------------------------------------
 * a batch */

static void settle_all(journal_store *s, const intent_list *group, store_status status)
{
  for (intent *r = group->head; r != NULL; r = r->next) {
    version_give(r->made);
    r->made = NULL;
    r->result = (store_result){.status = status};
    r->took_effect = r->has_lapsed = false;
    if (status == STORE_FAILED)
      count_up(&s->counters.failed);
  }
}

/* Bodies that were not copied are read from the journal from now on. */
static bool place_bodies(journal_store *s, const chain_place *place)
{
  for (size_t i = 0; i < s->steps.count; i++) {
    const step *st = &s->steps.items[i];
    version *v = st->made;
    if (v->kind != BATCH_PUT || v->rec.item.body.len < BATCH_LENT_MIN)
      continue;
    uint8_t *body;
    size_t len;
    void *map = chain_map(&s->chain, place, st->body_at, v->rec.item.body.len, &body, &len);
    if (map == NULL)
      return false;
    version_place(v, map, len, body);
  }
  return true;
}

void journal_publish(journal_store *s, uint64_t number, store_rev rev, uint64_t size)
{
  entry_list dirty = {.items = NULL};
  uint64_t fresh = 0;
  pthread_mutex_lock(&s->lag_lock);
  if (s->dirty.count == 0)
    s->lag_since = monotonic_now();
  pthread_mutex_unlock(&s->lag_lock);
  for (size_t i = 0; i < s->steps.count; i++) {
    const step *st = &s->steps.items[i];
    overlay_entry *e = st->entry;
    if (e->pending == st->made)
      e->pending = NULL;
    const bool is_first = overlay_publish(&s->overlay, e, st->made, st->is_new);
    if (is_first && !entry_list_push(&dirty, e))
      journal_fail(s, "no memory for the checkpoint");
    fresh += is_first;
  }
  pthread_mutex_lock(&s->lag_lock);
  for (size_t i = 0; i < dirty.count; i++)
    if (!entry_list_push(&s->dirty, dirty.items[i]))
      journal_fail(s, "no memory for the checkpoint");
  s->published = number;
  s->published_rev = rev;
  count_add(&s->counters.lag_bytes, size);
  count_add(&s->counters.lag_records, fresh);
  pthread_cond_signal(&s->lag_grew);
  pthread_mutex_unlock(&s->lag_lock);
  s->steps.count = 0;
  free(dirty.items);
}

/* Writes and shows what has been evaluated. Returns 0 or -errno. */
static int make_durable(journal_store *s, const evaluation *v)
{
  chain_place place;
  uint64_t number;
  if (s->steps.count == 0)
    return 0;
  const int rc = chain_append(&s->chain, &s->batch, v->rev, &number, &place);
  if (rc != 0)
    return rc;
  if (!place_bodies(s, &place))
    return -EIO; /* it is durable, and cannot be shown before the next start */
  count_up(&s->counters.syncs);
  count_up(&s->counters.batches);
  count_add(&s->counters.journal_bytes, s->batch.size);
  s->rev = v->rev;
  s->resources = v->resources;
  s->names = v->names;
  atomic_store_explicit(&s->counters.resources, s->resources, memory_order_relaxed);
  journal_publish(s, number, v->rev, s->batch.size);
  return 0;
}

static evaluation evaluation_begin(journal_store *s, bool refuses_puts)
{
  return (evaluation){.s = s,
                      .txn = view_open(s, &s->view),
                      .rev = s->rev,
                      .resources = s->resources,
                      .names = s->names,
                      .refuses_puts = refuses_puts};
}

/* Evaluates all changes of the list and makes them durable. Returns 0 or -errno, with nothing
 * changed. */
static int attempt(journal_store *s, const intent_list *group, bool refuses_puts)
{
  evaluation v = evaluation_begin(s, refuses_puts);
  int rc = v.txn != NULL && batch_begin(&s->batch) ? 0 : -ENOMEM;
  if (rc == 0) {
    for (intent *r = group->head; r != NULL; r = r->next)
      evaluate(&v, r);
    rc = make_durable(s, &v);
    if (rc != 0)
      evaluation_undo(s, 0, batch_mark_now(&s->batch));
  }
  view_close(&s->view);
  return rc;
}

static bool is_lack_of_room(int rc)
{
  return rc < 0 && is_for_lack_of_room(-rc);
}

/* The disk has no room for another file of the journal: when the checkpoint has everything, the
 * one there is can be used again. */
static bool restart_chain(journal_store *s)
{
  if (!checkpoint_wait(s, ROOM_WAIT))
    return false;
  pthread_mutex_lock(&s->lag_lock);
  const bool has_all = s->applied == s->published;
  pthread_mutex_unlock(&s->lag_lock);
  const int rc = has_all ? chain_restart(&s->chain) : -ENOSPC;
  if (rc != 0 && !is_lack_of_room(rc))
    journal_fail(s, strerror(-rc)); /* batches behind a header in doubt could not be read */
  return rc == 0;
}

static void commit(journal_store *s, const intent_list *group, bool has_room)
{
  if (atomic_load(&s->has_failed)) {
    settle_all(s, group, STORE_FAILED);
    return;
  }
  int rc = attempt(s, group, !has_room);
  if (is_lack_of_room(rc) && restart_chain(s))
    rc = attempt(s, group, !has_room);
  if (atomic_load(&s->has_failed))
    rc = rc != 0 ? -EIO : 0;
  if (is_lack_of_room(rc)) {
    has_room = false;
    rc = attempt(s, group, true);
  }
  if (is_lack_of_room(rc)) {
    settle_all(s, group, STORE_FULL);
  } else if (rc == -ENOMEM) {
    settle_all(s, group, STORE_UNAVAILABLE);
  } else if (rc != 0) {
    journal_fail(s, strerror(-rc));
    settle_all(s, group, STORE_FAILED);
  }
  if (has_growth(group))
    note_room(s, !has_room, "neither the data file nor the journal can grow");
}

/* ------------------------------------------------------------------------------------------------
 * results */

static void tell_change(const journal_store *s, const store_change *change)
{
  for (store_follower *f = s->followers; f != NULL; f = f->next)
    f->on_change(f, change);
}

static void tell_follower(journal_store *s, const intent *r)
{
  if (r->has_lapsed) {
    count_up(&s->counters.expired);
    tell_change(s, &(store_change){.key = r->key, .was_present = true, .links_changed = true});
  }
  if (!r->took_effect)
    return;
  const store_item *item = r->made != NULL ? &r->made->rec.item : NULL;
  tell_change(s, &(store_change){.key = r->key,
                                 .rev = item != NULL ? item->rev : 0,
                                 .was_present = r->was_present,
                                 .links_changed = r->links_changed,
                                 .item = item});
}

/* Wakes with the lock held: a port is not closed before it is released. */
static void deliver(journal_store *s, intent_list *group)
{
  for (intent *r = group->head; r != NULL; r = r->next) {
    tell_follower(s, r);
    version_give(r->made);
    r->made = NULL;
  }
  pthread_mutex_lock(&s->lock);
  for (intent *r; (r = intent_list_pop(group)) != NULL;) {
    journal_port *p = r->port;
    const bool is_first = p->done.head == NULL;
    s->queued -= r->size;
    p->in_writer--;
    count_up(&s->counters.changes);
    intent_list_push(&p->done, r);
    if (is_first && p->waker != NULL)
      p->waker->wake(p->waker);
  }
  pthread_cond_broadcast(&s->settled);
  pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------------------------------------
 * the end of lifetimes */

/* When there is something to sweep, on the clock of store_commit(). */
static copal_time sweep_due(const journal_store *s)
{
  const uint64_t next =
      atomic_load(&s->checkpoint) != s->swept ? atomic_load(&s->next_expiry) : s->next_sweep;
  if (next == 0 || atomic_load(&s->has_failed))
    return COPAL_NEVER;
  return instant_of(s, next);
}

/* One batch of deletions. Without room it is tried again after the next checkpoint: what has
 * expired is absent anyway. */
static void sweep(journal_store *s)
{
  intent_list told;
  intent_list_init(&told);
  const uint64_t checkpoint = atomic_load(&s->checkpoint);
  bool has_names = false;
  evaluation v = evaluation_begin(s, false);
  int rc = v.txn != NULL && batch_begin(&s->batch) ? 0 : -ENOMEM;
  if (rc == 0) {
    s->next_sweep = journal_sweep(&v, &told, &has_names);
    s->swept = checkpoint;
    rc = make_durable(s, &v);
    if (rc != 0)
      evaluation_undo(s, 0, batch_mark_now(&s->batch));
  }
  view_close(&s->view);
  if (has_names)
    checkpoint_ask(s);
  if (rc != 0)
    s->next_sweep = 0;
  if (rc != 0 && rc != -ENOMEM && !is_lack_of_room(rc))
    journal_fail(s, strerror(-rc));
  for (intent *r; (r = intent_list_pop(&told)) != NULL;) {
    if (rc == 0)
      tell_follower(s, r);
    intent_free(r);
  }
}

/* ------------------------------------------------------------------------------------------------
 * the thread */

/* Takes so many intents from the queue, and so many bytes unless it is one. */
static void take_batch(journal_store *s, intent_list *to)
{
  intent_list_init(to);
  uint64_t size = 0;
  for (uint32_t i = 0; i < s->cfg.batch_max && s->queue.head != NULL; i++) {
    size += s->queue.head->size + s->queue.head->lent;
    if (i > 0 && size > BATCH_BYTES)
      return;
    intent_list_push(to, intent_list_pop(&s->queue));
  }
}

/* Sleeps until there is work, at most until something expires. The store's lock is held. */
static void wait_for_work(journal_store *s)
{
  while (s->queue.head == NULL && !s->is_ending) {
    const copal_time due = sweep_due(s);
    if (due == COPAL_NEVER) {
      pthread_cond_wait(&s->work, &s->lock);
      continue;
    }
    const copal_time now = journal_clock(s);
    if (due <= now)
      return;
    const uint64_t until = monotonic_now() + (due - now < SLEEP_MAX ? due - now : SLEEP_MAX);
    const struct timespec ts = {.tv_sec = (time_t)(until / 1000000),
                                .tv_nsec = (long)(until % 1000000) * 1000};
    pthread_cond_timedwait(&s->work, &s->lock, &ts);
  }
}

static void run_batch(journal_store *s, intent_list *group)
{
  keep_pace(s);
  commit(s, group, !has_growth(group) || find_room(s, group));
  deliver(s, group);
}

static void *writer_main(void *arg)
{
  journal_store *s = arg;
  (void)pthread_setname_np(pthread_self(), "store");
  pthread_mutex_lock(&s->lock);
  for (;;) {
    wait_for_work(s);
    if (s->queue.head == NULL && s->is_ending)
      break;
    intent_list group;
    take_batch(s, &group);
    pthread_mutex_unlock(&s->lock);
    if (group.head != NULL)
      run_batch(s, &group);
    const copal_time due = sweep_due(s);
    if (due != COPAL_NEVER && due <= journal_clock(s))
      sweep(s);
    pthread_mutex_lock(&s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

int journal_writer_start(journal_store *s)
{
  /* Signals are for the threads that wait for them. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int rc = pthread_create(&s->writer, NULL, writer_main, s);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  s->has_writer = rc == 0;
  return -rc;
}

void journal_writer_stop(journal_store *s)
{
  if (!s->has_writer)
    return;
  pthread_mutex_lock(&s->lock);
  s->is_ending = true;
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->writer, NULL);
  s->has_writer = false;
}

int journal_submit(journal_store *s, intent *r)
{
  pthread_mutex_lock(&s->lock);
  const bool has_room =
      s->queued == 0 || (s->queued <= s->cfg.queue_max && r->size <= s->cfg.queue_max - s->queued);
  if (has_room) {
    const bool is_first = s->queue.head == NULL;
    s->queued += r->size;
    r->port->in_writer++;
    intent_list_push(&s->queue, r);
    if (is_first)
      pthread_cond_signal(&s->work);
  }
  pthread_mutex_unlock(&s->lock);
  return has_room ? COPAL_OK : COPAL_ENOSLOT;
}
