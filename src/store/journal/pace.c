/* SPDX-License-Identifier: Apache-2.0 */
/* What holds changes up or has them refused: a checkpoint that is far behind, and a database that
 * has no room for what is to be acknowledged. Thread: the writer's. */
#include <time.h>

#include "store/journal/engine.h"

enum {
  ROOM_PAGES = 64,       /* of the database, beside what the changes themselves take */
  ROOM_FACTOR = 3,       /* of two records that share a page, each may come to have its own */
  ROOM_WAIT = 2000000,   /* microseconds for a checkpoint that may give room */
  PACE_SLEEP_MAX = 4000, /* microseconds that one batch is held up while there is room */
  FULL_SLEEP = 100000,   /* microseconds between looks at a full overlay */
  PART_ALL = 1024,       /* of the pressure: nothing fits any more */
  PART_SLOW = 512,       /* batches begin to be held up */
};

/* ------------------------------------------------------------------------------------------------
 * keeping pace with the checkpoint */

/* What is kept beyond its share, because somebody needs it, counts as well. */
uint64_t burden_now(const journal_store *s)
{
  const uint64_t idle = overlay_idle(&s->overlay), all = count_now(&s->overlay.bytes);
  const uint64_t kept = idle < keep_max(s) ? idle : keep_max(s);
  return all > kept ? all - kept : 0; /* they are read one after the other */
}

/* How far behind it is, in parts of PART_ALL. */
static uint64_t pressure(const journal_store *s)
{
  const uint64_t memory = burden_now(s) * PART_ALL / burden_max(s);
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

/* The journal grows at the rate at which checkpoints settle it: freely up to half of what fits, at
 * that rate at three quarters, slower beyond. */
bool pace_is_due(journal_store *s)
{
  const uint64_t part = pressure(s);
  const uint64_t rate = count_now(&s->drain_rate);
  const uint64_t grown = s->grown;
  s->grown = 0;
  if (part < PART_SLOW || rate == 0) {
    s->pace_due = 0;
    return part >= PART_ALL;
  }
  const uint64_t now = monotonic_now();
  s->pace_due += grown * 1000 / rate * (part - PART_SLOW) / (PART_SLOW / 2);
  if (s->pace_due + PACE_SLEEP_MAX < now)
    s->pace_due = now - PACE_SLEEP_MAX;
  return s->pace_due > now || part >= PART_ALL;
}

void pace_keep(journal_store *s)
{
  const uint64_t now = monotonic_now();
  const uint64_t wait = s->pace_due > now ? s->pace_due - now : 0;
  count_up(&s->counters.waits);
  sleep_us(wait < PACE_SLEEP_MAX ? wait : PACE_SLEEP_MAX);
  if (wait > PACE_SLEEP_MAX)
    s->pace_due = now + PACE_SLEEP_MAX;
  wait_for_checkpoint(s);
  count_add(&s->counters.waited_us, monotonic_now() - now);
}

/* ------------------------------------------------------------------------------------------------
 * room in the database */

bool is_lack_of_room(int rc)
{
  return rc < 0 && is_for_lack_of_room(-rc);
}

/* That so many bytes of the journal may need in the database. */
static uint64_t pages_for(const journal_store *s, uint64_t bytes)
{
  const uint64_t history = s->cfg.history > 0 ? 2 : 1;
  return bytes * ROOM_FACTOR * history / s->env.page + ROOM_PAGES;
}

static bool ask_for(journal_store *s, uint64_t bytes)
{
  const uint64_t in_air = s->flying != NULL ? s->flying->bytes : 0;
  const uint64_t all = bytes + in_air + s->next->bytes + count_now(&s->counters.lag_bytes);
  return space_ask(&s->space, pages_for(s, all)) == SPACE_HAS;
}

bool room_is_sure(journal_store *s, uint64_t bytes)
{
  return ask_for(s, bytes);
}

bool room_is_plenty(const journal_store *s, uint64_t lag)
{
  const uint64_t need = 2 * pages_for(s, lag);
  return s->space.pages_max >= space_used(&s->env) + need && space_disk(&s->space) >= need;
}

bool room_find(journal_store *s, uint64_t bytes)
{
  /* Two checkpoints: pages that the first frees can be used after the second. */
  for (int i = 0; i < 2; i++)
    if (!checkpoint_wait(s, ROOM_WAIT))
      return false;
  return ask_for(s, bytes);
}

void room_note(journal_store *s, bool has_room)
{
  if (has_room == s->is_full)
    journal_tell(s, has_room ? LMDB_EVENT_ROOM : LMDB_EVENT_FULL,
                 "neither the data file nor the journal can grow");
  s->is_full = !has_room;
}
