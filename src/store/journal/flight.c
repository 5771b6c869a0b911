/* SPDX-License-Identifier: Apache-2.0 */
/* Batches on their way to stable storage. There are two: while one is written and synced by a
 * thread of its own, the flyer, the writer evaluates changes for the next one and tells of the one
 * before. A batch takes off when the one before it is down: what is read back is a prefix,
 * docs/store- format.md.
 *
 * Threads: the writer's, but for the flyer itself, which touches a flight between flight_send() and
 * flight_await() only, and with it the end of the chain. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "store/journal/engine.h"

bool flight_begin(journal_store *s, flight *f)
{
  f->steps.count = 0;
  f->before = f->after = s->tally;
  f->rc = 0;
  f->is_down = f->refuses_puts = f->is_full = false;
  f->count = 0;
  f->bytes = 0;
  intent_list_init(&f->group);
  return batch_begin(&f->batch);
}

/* Bodies that were not copied are read from the journal from now on. */
static bool place_bodies(journal_store *s, flight *f)
{
  for (size_t i = 0; i < f->steps.count; i++) {
    const step *st = &f->steps.items[i];
    version *v = st->made;
    if (v->kind != BATCH_PUT || v->rec.item.body.len < BATCH_LENT_MIN)
      continue;
    uint8_t *body;
    size_t len;
    void *map = chain_map(&s->chain, &f->place, st->body_at, v->rec.item.body.len, &body, &len);
    if (map == NULL)
      return false;
    version_place(v, map, len, body, &s->chain.maps);
  }
  return true;
}

static int write_down(journal_store *s, flight *f)
{
  return f->steps.count > 0
             ? chain_append(&s->chain, &f->batch, f->after.rev, &f->number, &f->place)
             : 0;
}

int flight_make(journal_store *s, flight *f)
{
  const int rc = write_down(s, f);
  if (rc == 0 && flight_is_heavy(f) && !place_bodies(s, f))
    return -EIO; /* it is durable, and cannot be shown before the next start */
  return rc;
}

/* Of two ends, of which there may be none. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
  return a == 0 || (b != 0 && b < a) ? b : a;
}

void journal_publish(journal_store *s, step_list *steps, uint64_t number, store_rev rev,
                     uint64_t size)
{
  entry_list dirty = {.items = NULL};
  uint64_t fresh = 0, ends = 0;
  pthread_mutex_lock(&s->lag_lock);
  if (s->dirty.count == 0)
    s->lag_since = monotonic_now();
  pthread_mutex_unlock(&s->lag_lock);
  for (size_t i = 0; i < steps->count; i++) {
    const step *st = &steps->items[i];
    overlay_entry *e = st->entry;
    ends = earlier(ends, st->made->kind == BATCH_PUT ? record_expiry(&st->made->rec) : 0);
    if (e->pending == st->made)
      e->pending = NULL;
    const bool is_fresh = overlay_publish(&s->overlay, e, st->made, st->is_new);
    if (is_fresh && !entry_list_push(&dirty, e))
      journal_fail(s, "no memory for the checkpoint");
    fresh += is_fresh;
  }
  pthread_mutex_lock(&s->lag_lock);
  const bool is_first = s->dirty.count == 0;
  const uint64_t ended = s->lag_ends;
  for (size_t i = 0; i < dirty.count; i++)
    if (!entry_list_push(&s->dirty, dirty.items[i]))
      journal_fail(s, "no memory for the checkpoint");
  s->lag_ends = earlier(s->lag_ends, ends);
  s->published = number;
  s->published_rev = rev;
  count_add(&s->counters.lag_bytes, size);
  count_add(&s->counters.lag_records, fresh);
  if (is_first || s->lag_ends != ended || checkpoint_is_early(s))
    pthread_cond_signal(&s->lag_grew); /* not for each batch */
  pthread_mutex_unlock(&s->lag_lock);
  steps->count = 0;
  free(dirty.items);
}

void flight_publish(journal_store *s, flight *f)
{
  if (f->steps.count == 0)
    return;
  count_up(&s->counters.syncs);
  count_up(&s->counters.batches);
  count_add(&s->counters.journal_bytes, f->batch.size);
  atomic_store_explicit(&s->counters.resources, f->after.resources, memory_order_relaxed);
  s->grown += f->batch.size;
  journal_publish(s, &f->steps, f->number, f->after.rev, f->batch.size);
}

void flight_undo(journal_store *s, flight *f)
{
  evaluation_undo(s, f, 0, batch_mark_now(&f->batch));
  s->tally = f->before;
}

/* ------------------------------------------------------------------------------------------------
 * the flyer */

void flight_send(journal_store *s, flight *f)
{
  s->flying = f;
  pthread_mutex_lock(&s->lock);
  s->cleared = f;
  pthread_cond_signal(&s->take_off);
  pthread_mutex_unlock(&s->lock);
}

int flight_await(journal_store *s)
{
  flight *f = s->flying;
  pthread_mutex_lock(&s->lock);
  while (!f->is_down)
    pthread_cond_wait(&s->work, &s->lock);
  pthread_mutex_unlock(&s->lock);
  s->flying = NULL;
  return f->rc;
}

static void *flyer_main(void *arg)
{
  journal_store *s = arg;
  (void)pthread_setname_np(pthread_self(), "journal");
  pthread_mutex_lock(&s->lock);
  while (!s->ends_flights) {
    flight *f = s->cleared;
    if (f == NULL) {
      pthread_cond_wait(&s->take_off, &s->lock);
      continue;
    }
    s->cleared = NULL;
    pthread_mutex_unlock(&s->lock);
    f->rc = write_down(s, f);
    pthread_mutex_lock(&s->lock);
    f->is_down = true;
    pthread_cond_signal(&s->work);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

int flyer_start(journal_store *s)
{
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int rc = pthread_create(&s->flyer, NULL, flyer_main, s);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  s->has_flyer = rc == 0;
  return -rc;
}

void flyer_stop(journal_store *s)
{
  if (!s->has_flyer)
    return;
  pthread_mutex_lock(&s->lock);
  s->ends_flights = true;
  pthread_cond_signal(&s->take_off);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->flyer, NULL);
  s->has_flyer = false;
}
