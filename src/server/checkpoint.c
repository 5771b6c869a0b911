/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting the sessions of all shards. */
#include "server/checkpoint.h"

#include <stdlib.h>

#include "copal/error.h"
#include "server/sealed.h"
#include "server/secure.h"
#include "server/session_form.h"

enum { SLICE = 4096 }; /* sessions at a time: a millisecond or two */

static const copal_dur slice_pause = COPAL_MILLISECOND;
static const copal_dur retry_pause = 5 * COPAL_SECOND;

/* A shard's part. The shard's from the question to the report, the main thread's otherwise. */
struct collector {
  service_timer slices; /* first */
  shard_msg ask, settle;
  shard_report report;
  shard *owner;
  const identities *known;
  state_writer out;
  uint64_t count;
  uint32_t slot; /* the next one to look at */
  checkpoint_end end;
};

/* ------------------------------------------------------------------------------------------------
 * on the shard */

static void report(collector *c)
{
  c->report.kind = SHARD_HAS_SAVED;
  (void)shard_tell(c->owner, &c->report); /* there is room for each kind of report */
}

static void on_slice(service_timer *t, copal_time now)
{
  collector *c = (collector *)t;
  dtls_sessions *table = session_form_table(c->owner);
  dtls_session *s = NULL;
  for (int i = 0; i < SLICE && table != NULL; i++) {
    s = dtls_session_from_slot(table, c->slot);
    if (s == NULL)
      break;
    c->slot = dtls_session_slot(table, s) + 1;
    c->count += session_form_put(&c->out, c->owner, c->known, s, SESSION_FORM_MEANWHILE);
  }
  if (s == NULL || c->out.err != 0)
    report(c);
  else
    copal_timerq_arm(shard_timers(c->owner), &t->timer, now + slice_pause);
}

static void run_ask(shard_msg *m, shard *owner)
{
  collector *c = (collector *)((uint8_t *)m - offsetof(collector, ask));
  dtls_sessions *table = session_form_table(owner);
  /* Reservations that were never settled do not count. */
  if (table != NULL) {
    dtls_sessions_reserved(table, false);
    state_reserve(&c->out, (size_t)dtls_sessions_count(table) * SESSION_FORM_USUAL);
  }
  on_slice(&c->slices, shard_now(owner));
}

static void run_settle(shard_msg *m, shard *owner)
{
  const collector *c = (collector *)((uint8_t *)m - offsetof(collector, settle));
  dtls_sessions *table = session_form_table(owner);
  if (table == NULL)
    return;
  if (c->end == CHECKPOINT_GONE)
    dtls_sessions_unbind(table);
  else
    dtls_sessions_reserved(table, c->end == CHECKPOINT_WRITTEN);
  secure_saved(shard_secure(owner));
}

/* ------------------------------------------------------------------------------------------------
 * on the main thread */

static void wipe_collectors(checkpoint *c)
{
  for (uint32_t i = 0; c->collectors != NULL && i < c->count; i++)
    state_writer_wipe(&c->collectors[i].out);
}

bool checkpoint_open(checkpoint *c, uint32_t shards, copal_dur interval, const identities *known,
                     copal_time now)
{
  checkpoint_close(c);
  *c = (checkpoint){.known = known, .due = COPAL_NEVER};
  if (interval == 0)
    return true;
  c->collectors = calloc(shards, sizeof *c->collectors);
  if (c->collectors == NULL)
    return false;
  c->count = shards;
  c->interval = interval;
  c->due = now;
  return true;
}

void checkpoint_close(checkpoint *c)
{
  wipe_collectors(c);
  free(c->collectors);
  c->collectors = NULL;
  c->count = 0;
}

copal_time checkpoint_deadline(const checkpoint *c)
{
  return c->state == CHECKPOINT_IDLE ? c->due : COPAL_NEVER;
}

void checkpoint_hurry(checkpoint *c, copal_time now)
{
  if (c->interval != 0)
    c->due = now > c->not_before ? now : c->not_before;
}

static bool ask(collector *c, shard *owner, const identities *known)
{
  state_writer_wipe(&c->out);
  c->owner = owner;
  c->known = known;
  c->slot = 0;
  c->count = 0;
  c->slices.on_due = on_slice;
  copal_timer_init(&c->slices.timer);
  c->ask.run = run_ask;
  return shard_post(owner, &c->ask) == COPAL_OK;
}

void checkpoint_begin(checkpoint *c, server *s, copal_time now)
{
  c->is_broken = false;
  c->outstanding = 0;
  c->due = now + c->interval;
  for (uint32_t i = 0; i < c->count; i++) {
    const bool is_asked = ask(&c->collectors[i], server_shard(s, i), c->known);
    c->outstanding += is_asked;
    c->is_broken = c->is_broken || !is_asked;
  }
  if (c->outstanding > 0)
    c->state = CHECKPOINT_COLLECTING;
}

bool checkpoint_collected(checkpoint *c)
{
  if (c->state != CHECKPOINT_COLLECTING || --c->outstanding > 0)
    return false;
  c->state = CHECKPOINT_WRITING;
  return true;
}

bool checkpoint_is_whole(const checkpoint *c)
{
  bool is_whole = !c->is_broken;
  for (uint32_t i = 0; i < c->count; i++)
    is_whole = is_whole && c->collectors[i].out.err == 0;
  return is_whole;
}

uint64_t checkpoint_put(checkpoint *c, state_writer *w)
{
  uint64_t count = 0;
  size_t len = 0;
  for (uint32_t i = 0; i < c->count; i++)
    len += c->collectors[i].out.len;
  state_reserve(w, len + SEALED_TAG_SIZE);
  for (uint32_t i = 0; i < c->count; i++) {
    state_put(w, copal_span_of(c->collectors[i].out.bytes, c->collectors[i].out.len));
    state_writer_wipe(&c->collectors[i].out); /* a million sessions need not be there twice */
    count += c->collectors[i].count;
  }
  return count;
}

void checkpoint_finish(checkpoint *c, server *s, checkpoint_end end, copal_time now)
{
  wipe_collectors(c);
  for (uint32_t i = 0; i < c->count; i++) {
    collector *each = &c->collectors[i];
    each->end = end;
    each->settle.run = run_settle;
    /* One that is not told keeps to less than it might; the next checkpoint tells it. */
    (void)shard_post(server_shard(s, i), &each->settle);
  }
  c->state = CHECKPOINT_IDLE;
  if (end == CHECKPOINT_WRITTEN)
    return;
  c->not_before = now + retry_pause;
  c->due = c->not_before;
}
