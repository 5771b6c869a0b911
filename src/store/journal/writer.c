/* SPDX-License-Identifier: Apache-2.0 */
/* The writer of the journal engine: group commit. What queues while a batch is written is evaluated
 * meanwhile and makes the next one; no timer delays anything, but for the pace that the checkpoint
 * can follow when it is far behind.
 *
 * A batch is evaluated, written and synced; then readers see it; then followers and ports are told.
 * Changes see those before them that are not durable yet, but none is answered before they are.
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
  BATCH_BYTES = 4 << 20,  /* of one batch, unless one change has more */
  RESTART_WAIT = 2000000, /* microseconds for the checkpoint that lets a file be used again */
  FIRST_BITE = 256,   /* changes of a batch that takes off from the ground: with more the rest is
                         evaluated while it is in the air; with less, two threads and twice as many
                         syncs would take more of the processors than the disk gives time */
  BUCKETS_AHEAD = 16, /* changes */
  ENTRIES_AHEAD = 8,
  PINS_AHEAD = 4,
  WAKE_AT = 32, /* changes: fewer do not wake the writer while a batch is in the air */
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
 * evaluating */

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

/* Sets one result for all changes from `r` on. */
static void settle_all(journal_store *s, intent *r, store_status status)
{
  for (; r != NULL; r = r->next) {
    version_give(r->made);
    r->made = NULL;
    r->result = (store_result){.status = status};
    r->took_effect = r->has_lapsed = false;
    if (status == STORE_FAILED)
      count_up(&s->counters.failed);
  }
}

static evaluation evaluation_begin(journal_store *s, flight *f, bool refuses_puts)
{
  return (evaluation){.s = s,
                      .txn = view_open(s, &s->view),
                      .to = f,
                      .tally = s->tally,
                      .refuses_puts = refuses_puts};
}

/* The view stays while a body is to be written from where the database has it. */
static void evaluation_end(evaluation *v)
{
  v->s->tally = v->to->after = v->tally;
  if (!flight_is_heavy(v->to))
    view_close(&v->s->view);
}

/* Nothing of what a change needs is in a cache, as a rule: it is fetched in three steps while those
 * in front of it are evaluated. */
typedef struct foresight {
  intent *bucket, *entry, *pin; /* the next to be fetched, and to be pinned */
} foresight;

/* One step of each kind; of those that are to be less far ahead only when `i` have been made. */
static void look_ahead(journal_store *s, foresight *a, int i)
{
  if (a->bucket != NULL) {
    overlay_fetch(&s->overlay, a->bucket->hash);
    a->bucket = a->bucket->next;
  }
  if (a->entry != NULL && i >= BUCKETS_AHEAD - ENTRIES_AHEAD) {
    overlay_fetch_entry(&s->overlay, a->entry->hash);
    a->entry = a->entry->next;
  }
  if (a->pin != NULL && i >= BUCKETS_AHEAD - PINS_AHEAD) {
    intent *r = a->pin;
    r->entry = overlay_pin(&s->overlay, (int)r->op->space, r->key, r->hash);
    if (r->entry != NULL)
      overlay_fetch_latest(r->entry);
    a->pin = r->next;
  }
}

/* Evaluates the changes from `r` on. */
static void evaluate_all(journal_store *s, flight *f, intent *r, bool refuses_puts)
{
  if (atomic_load(&s->has_failed)) {
    settle_all(s, r, STORE_FAILED);
    return;
  }
  evaluation v = evaluation_begin(s, f, refuses_puts);
  foresight ahead = {.bucket = r, .entry = r, .pin = r};
  if (v.txn == NULL) {
    settle_all(s, r, STORE_UNAVAILABLE);
    r = NULL;
  }
  for (int i = 0; r != NULL && i < BUCKETS_AHEAD; i++)
    look_ahead(s, &ahead, i);
  for (; r != NULL; r = r->next) {
    look_ahead(s, &ahead, BUCKETS_AHEAD);
    evaluate(&v, r);
  }
  evaluation_end(&v);
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
  uint64_t bytes = 0, count = 0;
  for (intent *r = group->head; r != NULL; r = r->next, count++) {
    tell_follower(s, r);
    version_give(r->made);
    r->made = NULL;
    bytes += r->size;
  }
  count_sub(&s->queued, bytes);
  count_add(&s->counters.changes, count);
  pthread_mutex_lock(&s->lock);
  for (intent *r; (r = intent_list_pop(group)) != NULL;) {
    journal_port *p = r->port;
    const bool is_first = p->done.head == NULL;
    p->in_writer--;
    p->done_count++;
    intent_list_push(&p->done, r);
    if (is_first && p->waker != NULL)
      p->waker->wake(p->waker);
  }
  pthread_cond_broadcast(&s->settled);
  pthread_mutex_unlock(&s->lock);
}

/* ------------------------------------------------------------------------------------------------
 * a batch that could not be written at first; nothing is in the air */

/* Evaluates the changes of a flight anew and makes them durable. Returns 0 or -errno, with nothing
 * changed. */
static int attempt(journal_store *s, flight *f, bool refuses_puts)
{
  intent_list group = f->group;
  if (!flight_begin(s, f)) {
    f->group = group;
    return -ENOMEM;
  }
  f->group = group;
  f->refuses_puts = refuses_puts;
  evaluate_all(s, f, f->group.head, refuses_puts);
  const int rc = flight_make(s, f);
  view_close(&s->view);
  if (rc == 0)
    flight_publish(s, f);
  else
    flight_undo(s, f);
  return rc;
}

/* The disk has no room for another file of the journal: when the checkpoint has everything, the
 * one there is can be used again. */
static bool restart_chain(journal_store *s)
{
  if (!checkpoint_wait(s, RESTART_WAIT))
    return false;
  pthread_mutex_lock(&s->lag_lock);
  const bool has_all = s->applied == s->published;
  pthread_mutex_unlock(&s->lag_lock);
  const int rc = has_all ? chain_restart(&s->chain) : -ENOSPC;
  if (rc != 0 && !is_lack_of_room(rc))
    journal_fail(s, strerror(-rc)); /* batches behind a header in doubt could not be read */
  return rc == 0;
}

/* Writing has come to `rc`, and what was evaluated has been undone. */
static void try_again(journal_store *s, flight *f, int rc)
{
  bool has_room = !f->refuses_puts;
  if (is_lack_of_room(rc) && restart_chain(s))
    rc = attempt(s, f, !has_room);
  if (rc != 0 && atomic_load(&s->has_failed))
    rc = -EIO;
  if (is_lack_of_room(rc)) {
    has_room = false;
    rc = attempt(s, f, true);
  }
  if (is_lack_of_room(rc)) {
    settle_all(s, f->group.head, STORE_FULL);
  } else if (rc == -ENOMEM) {
    settle_all(s, f->group.head, STORE_UNAVAILABLE);
  } else if (rc != 0) {
    journal_fail(s, strerror(-rc));
    settle_all(s, f->group.head, STORE_FAILED);
  }
  if (has_growth(&f->group))
    room_note(s, has_room);
}

/* ------------------------------------------------------------------------------------------------
 * flights */

/* Tells of what is durable or refused; the flight is there for others then. */
static void arrive(journal_store *s, flight *f)
{
  deliver(s, &f->group);
  (void)flight_begin(s, f);
}

/* It is durable. */
static void land(journal_store *s, flight *f)
{
  flight_publish(s, f);
  if (s->is_full && !f->refuses_puts && has_growth(&f->group))
    room_note(s, true);
  arrive(s, f);
}

/* It has not been written. What has been evaluated behind it is evaluated anew. */
static void crash(journal_store *s, flight *f, int rc)
{
  flight *behind = s->next;
  flight_undo(s, behind);
  flight_undo(s, f);
  view_close(&s->view);
  try_again(s, f, rc);
  arrive(s, f);
  if (behind->count == 0)
    return;
  rc = attempt(s, behind, behind->refuses_puts);
  if (rc != 0)
    try_again(s, behind, rc);
  arrive(s, behind);
}

/* What is in the air comes down, and the next one takes off before anybody is told of it. */
static void advance(journal_store *s)
{
  flight *before = s->flying, *next = s->next;
  const int rc = before != NULL ? flight_await(s) : 0;
  if (rc != 0) {
    crash(s, before, rc);
    return;
  }
  const bool goes = next->steps.count > 0;
  if (goes)
    flight_send(s, next);
  if (before != NULL)
    land(s, before);
  if (goes)
    s->next = next == &s->flights[0] ? &s->flights[1] : &s->flights[0];
  else if (next->count > 0)
    arrive(s, next);
}

/* Everything that has been evaluated is made durable and told. */
static void finish(journal_store *s)
{
  if (s->flying != NULL) {
    flight *before = s->flying;
    const int rc = flight_await(s);
    if (rc != 0) {
      crash(s, before, rc);
      return;
    }
    land(s, before);
  }
  flight *f = s->next;
  if (f->count == 0)
    return;
  const int rc = flight_make(s, f);
  view_close(&s->view);
  if (rc == 0) {
    land(s, f);
    return;
  }
  flight_undo(s, f);
  try_again(s, f, rc);
  arrive(s, f);
}

/* ------------------------------------------------------------------------------------------------
 * taking changes */

/* Evaluates what has been taken from the queue for the next flight. */
static void board(journal_store *s, intent_list *group)
{
  const uint64_t bytes = bytes_of(group);
  const bool grows = has_growth(group);
  if (pace_is_due(s)) {
    finish(s);
    pace_keep(s);
  }
  bool has_room = !grows || room_is_sure(s, bytes);
  if (!has_room) {
    finish(s);
    has_room = room_find(s, bytes);
  }
  if (!has_room)
    room_note(s, false);
  flight *f = s->next;
  if (f->count == 0)
    f->before = f->after = s->tally; /* others may have left since it was begun */
  for (const intent *r = group->head; r != NULL; r = r->next)
    f->count++;
  f->bytes += bytes;
  f->refuses_puts = f->refuses_puts || !has_room;
  intent *first = group->head;
  intent_list_append(&f->group, group);
  evaluate_all(s, f, first, !has_room);
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
 * expired is absent anyway. Nothing is in the air. */
static void sweep(journal_store *s)
{
  intent_list told;
  intent_list_init(&told);
  const uint64_t checkpoint = atomic_load(&s->checkpoint);
  bool has_names = false;
  flight *f = s->next;
  f->before = s->tally;
  evaluation v = evaluation_begin(s, f, false);
  int rc = v.txn != NULL ? 0 : -ENOMEM;
  if (rc == 0) {
    s->next_sweep = journal_sweep(&v, &told, &has_names);
    s->swept = checkpoint;
  }
  evaluation_end(&v);
  if (rc == 0 && (rc = flight_make(s, f)) == 0)
    flight_publish(s, f);
  else
    flight_undo(s, f);
  view_close(&s->view);
  (void)flight_begin(s, f);
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

/* Takes from the queue what fits into the next flight: so many changes, and so many bytes unless it
 * is one. The store's lock is held. */
static void take(journal_store *s, intent_list *to)
{
  flight *f = s->next;
  const uint32_t max =
      s->flying == NULL && s->cfg.batch_max > FIRST_BITE ? FIRST_BITE : s->cfg.batch_max;
  uint64_t bytes = f->bytes;
  intent_list_init(to);
  if (f->count + s->queue_count <= max && bytes + s->queue_bytes <= BATCH_BYTES) {
    intent_list_append(to, &s->queue);
    s->queue_count = 0;
    s->queue_bytes = 0;
    f->is_full = false;
    return;
  }
  for (uint32_t i = f->count; i < max && s->queue.head != NULL; i++) {
    bytes += s->queue.head->size + s->queue.head->lent;
    if (i > 0 && bytes > BATCH_BYTES)
      break;
    s->queue_bytes -= s->queue.head->size + s->queue.head->lent;
    intent_list_push(to, intent_list_pop(&s->queue));
    s->queue_count--;
  }
  f->is_full = s->queue.head != NULL;
}

/* How many changes must be queued before something is done about them. */
static uint32_t wanted(const journal_store *s)
{
  if (s->flying == NULL || s->flying->is_down)
    return 1;
  return s->next->is_full ? UINT32_MAX : WAKE_AT;
}

/* Sleeps until there are changes to take, the flight is down, something expires, or it is to end.
 * The store's lock is held. */
static void wait_for_work(journal_store *s)
{
  while (s->flying == NULL || !s->flying->is_down) {
    s->wake_at = wanted(s);
    if (s->queue_count >= s->wake_at || (s->is_ending && s->flying == NULL))
      return;
    const copal_time due = s->flying == NULL ? sweep_due(s) : COPAL_NEVER;
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

/* When nothing else is to be done meanwhile, handing it over would only take longer. */
static bool is_alone(const journal_store *s)
{
  return s->flying == NULL && !s->next->is_full;
}

static void run(journal_store *s, intent_list *group, bool is_landing)
{
  if (group->head != NULL)
    board(s, group);
  if (is_alone(s) || flight_is_heavy(s->next))
    finish(s);
  else if (s->flying == NULL || is_landing)
    advance(s);
  const copal_time due = sweep_due(s);
  if (due != COPAL_NEVER && due <= journal_clock(s)) {
    finish(s);
    sweep(s);
  }
}

static void *writer_main(void *arg)
{
  journal_store *s = arg;
  (void)pthread_setname_np(pthread_self(), "store");
  pthread_mutex_lock(&s->lock);
  for (;;) {
    wait_for_work(s);
    if (s->queue.head == NULL && s->flying == NULL && s->is_ending)
      break;
    intent_list group;
    take(s, &group);
    const bool is_landing = s->flying != NULL && s->flying->is_down;
    pthread_mutex_unlock(&s->lock);
    run(s, &group, is_landing);
    pthread_mutex_lock(&s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

int journal_writer_start(journal_store *s)
{
  if (!flight_begin(s, &s->flights[0]) || !flight_begin(s, &s->flights[1]))
    return -ENOMEM;
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

void journal_flush(journal_store *s, journal_port *p)
{
  if (p->outbox_count == 0)
    return;
  pthread_mutex_lock(&s->lock);
  const bool was_enough = s->queue_count >= s->wake_at;
  intent_list_append(&s->queue, &p->outbox);
  s->queue_count += p->outbox_count;
  s->queue_bytes += p->outbox_bytes;
  p->in_writer += p->outbox_count;
  if (!was_enough && s->queue_count >= s->wake_at)
    pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
  p->outbox_count = 0;
  p->outbox_bytes = 0;
}
