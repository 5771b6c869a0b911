/* SPDX-License-Identifier: Apache-2.0 */
/* What has expired is deleted by a thread that sleeps until something does; it is started by the
 * first end of anything. Reads and changes do not wait for it: to them what has expired is absent.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/memory/engine.h"

enum {
  INSTANT_SIZE = 8,
  AT_SPACE = INSTANT_SIZE,
  AT_KEY = AT_SPACE + 1,
};

#define SLEEP_MAX (3600 * (copal_time)COPAL_SECOND)
#define LOOK_MAX  (COPAL_SECOND / 20) /* a clock of the caller's may be moved */

static uint64_t monotonic_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static copal_time clock_of(const memory_store *s)
{
  if (s->cfg.clock != NULL)
    return s->cfg.clock->now(s->cfg.clock);
  return s->cfg.now + (monotonic_now() - s->opened);
}

/* ------------------------------------------------------------------------------------------------
 * what ends */

static void put_be64(uint8_t *out, uint64_t value)
{
  for (int i = 0; i < INSTANT_SIZE; i++)
    out[i] = (uint8_t)(value >> (56 - 8 * i));
}

static copal_time instant_of(const uint8_t *in)
{
  uint64_t value = 0;
  for (int i = 0; i < INSTANT_SIZE; i++)
    value = value << 8 | in[i];
  return value;
}

uint64_t due_size(copal_span key)
{
  return sizeof(due) + AT_KEY + key.len;
}

due *due_make(store_space space, copal_span key, const store_item *item)
{
  due *d = malloc(due_size(key));
  if (d == NULL)
    return NULL;
  d->key_size = AT_KEY + (uint32_t)key.len;
  put_be64(d->key, item->written + item->lifetime_s * (copal_time)COPAL_SECOND);
  d->key[AT_SPACE] = (uint8_t)space;
  if (key.len > 0)
    memcpy(d->key + AT_KEY, key.ptr, key.len);
  return d;
}

/* ------------------------------------------------------------------------------------------------
 * the thread; `due_lock` is held where nothing else is said */

static copal_time first_due(const memory_store *s)
{
  const keytree_node *n = keytree_first(&s->dues, copal_span_none(), KEYTREE_BEFORE);
  const copal_time at = n != NULL ? instant_of(n->key) : COPAL_NEVER;
  return at < s->names_due ? at : s->names_due;
}

static void sleep_until(memory_store *s, copal_time at, copal_time now)
{
  struct timespec until;
  const uint64_t longest =
      s->cfg.clock != NULL || grace_waits(s->sweeper_seat) ? LOOK_MAX : SLEEP_MAX;
  const uint64_t delay = at - now < longest ? at - now : longest;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += (time_t)(delay / COPAL_SECOND);
  until.tv_nsec += (long)(delay % COPAL_SECOND) * 1000;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  pthread_cond_timedwait(&s->due_sooner, &s->due_lock, &until);
}

/* Deletes the first entry that has ended; the lock is given up for it. */
static void sweep_entry(memory_store *s, copal_time now)
{
  const keytree_node *n = keytree_first(&s->dues, copal_span_none(), KEYTREE_BEFORE);
  if (n == NULL || instant_of(n->key) > now)
    return;
  uint8_t key[AT_KEY + STORE_KEY_MAX];
  const size_t len = n->key_len;
  memcpy(key, n->key, len);
  pthread_mutex_unlock(&s->due_lock);
  memory_expire(s, s->sweeper_seat, (store_space)key[AT_SPACE],
                copal_span_of(key + AT_KEY, len - AT_KEY), now);
  pthread_mutex_lock(&s->due_lock);
}

static void sweep_names(memory_store *s, copal_time now)
{
  if (s->names_due > now)
    return;
  pthread_mutex_unlock(&s->due_lock);
  pthread_mutex_lock(&s->names_lock);
  const copal_time next = names_sweep(s, now);
  pthread_mutex_lock(&s->due_lock);
  s->names_due = next;
  pthread_mutex_unlock(&s->names_lock);
}

static void *sweeper_main(void *arg)
{
  memory_store *s = arg;
  (void)pthread_setname_np(pthread_self(), "store");
  pthread_mutex_lock(&s->due_lock);
  while (!s->is_ending) {
    const copal_time at = first_due(s);
    const copal_time now = at == COPAL_NEVER ? 0 : clock_of(s);
    grace_leave(s->sweeper_seat);
    if (at == COPAL_NEVER && !grace_waits(s->sweeper_seat)) {
      pthread_cond_wait(&s->due_sooner, &s->due_lock);
    } else if (at > now) {
      sleep_until(s, at, now);
    } else {
      sweep_entry(s, now);
      sweep_names(s, now);
    }
  }
  pthread_mutex_unlock(&s->due_lock);
  return NULL;
}

/* Without a thread what has expired is absent all the same; the next end tries again. */
static void start_sweeper(memory_store *s)
{
  if (s->has_sweeper)
    return;
  /* Signals are for the threads that wait for them. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  s->has_sweeper = pthread_create(&s->sweeper, NULL, sweeper_main, s) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void due_insert(memory_store *s, due *d)
{
  if (d == NULL)
    return;
  pthread_mutex_lock(&s->due_lock);
  const copal_time before = first_due(s);
  keytree_insert(&s->dues, &d->node, copal_span_of(d->key, d->key_size));
  start_sweeper(s);
  if (first_due(s) != before)
    pthread_cond_signal(&s->due_sooner);
  pthread_mutex_unlock(&s->due_lock);
}

void due_remove(memory_store *s, due *d)
{
  if (d == NULL)
    return;
  pthread_mutex_lock(&s->due_lock);
  keytree_remove(&s->dues, copal_span_of(d->key, d->key_size));
  pthread_mutex_unlock(&s->due_lock);
  free(d);
}

void sweep_note_names(memory_store *s, copal_time due_at)
{
  pthread_mutex_lock(&s->due_lock);
  s->names_due = due_at;
  start_sweeper(s);
  pthread_cond_signal(&s->due_sooner);
  pthread_mutex_unlock(&s->due_lock);
}

void sweep_init(memory_store *s)
{
  pthread_condattr_t monotonic;
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  s->base.wall_ahead =
      (uint64_t)wall.tv_sec * 1000000u + (uint64_t)wall.tv_nsec / 1000u - s->cfg.now;
  s->opened = monotonic_now();
  s->names_due = COPAL_NEVER;
  s->names_tail = &s->names_head;
  pthread_mutex_init(&s->names_lock, NULL);
  pthread_mutex_init(&s->due_lock, NULL);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&s->due_sooner, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

void sweep_stop(memory_store *s)
{
  pthread_mutex_lock(&s->due_lock);
  s->is_ending = true;
  pthread_cond_signal(&s->due_sooner);
  pthread_mutex_unlock(&s->due_lock);
  if (s->has_sweeper)
    pthread_join(s->sweeper, NULL);
  s->has_sweeper = false;
}

static void drop_due(void *ctx, keytree_node *n)
{
  (void)ctx;
  free(n); /* the first member of what ends */
}

void sweep_wipe(memory_store *s)
{
  keytree_clear(&s->dues, drop_due, NULL);
  pthread_mutex_destroy(&s->names_lock);
  pthread_mutex_destroy(&s->due_lock);
  pthread_cond_destroy(&s->due_sooner);
}
