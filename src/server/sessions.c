/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS sessions that outlive the process. */
#include "server/sessions.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "copal/cursor.h"
#include "copal/error.h"
#include "server/clock.h"
#include "server/session_form.h"

/* The first byte of a file. 0 and 1 had no proofs. */
enum {
  AFTER_A_STOP = 2,
  CHECKPOINT = 3,
};

/* What a file begins with. */
typedef struct preamble {
  bool is_checkpoint;
  uint64_t age_s;
  copal_span cid_secret, ticket_key;
} preamble;

static uint64_t wall_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static bool wants_checkpoints(const sessions *all)
{
  return all->parts.conf->dtls.after_crash == CONF_CRASH_CHALLENGE;
}

/* ------------------------------------------------------------------------------------------------
 * writing */

static void put_preamble(const sessions *all, state_writer *w, bool is_checkpoint)
{
  static const uint8_t form[SEALED_HEAD_SIZE];
  const secure_shared *keys = all->parts.shared;
  state_put(w, copal_span_of(form, sizeof form));
  state_put_uint(w, is_checkpoint ? CHECKPOINT : AFTER_A_STOP, 1);
  state_put_uint(w, wall_now(), 8);
  state_put(w, copal_span_of(keys->cid_secret, sizeof keys->cid_secret));
  state_put(w, copal_span_of(keys->ticket_key, sizeof keys->ticket_key));
}

/* Returns the size of the file, or what is wrong. */
static int64_t write_file(const sessions *all, state_writer *w, char why[SEALED_WHY_SIZE])
{
  static const uint8_t form[SEALED_TAG_SIZE];
  state_put(w, copal_span_of(form, sizeof form));
  if (w->err == 0)
    return sealed_write(&all->file, (copal_mspan){w->bytes, w->len}, why);
  strcpy(why, "out of memory");
  return w->err;
}

static void save_shard(sessions *all, state_writer *w, shard *owner)
{
  dtls_sessions *table = session_form_table(owner);
  dtls_session *s;
  if (table != NULL)
    state_reserve(w, (size_t)dtls_sessions_count(table) * SESSION_FORM_USUAL);
  for (uint32_t slot = 0; table != NULL && (s = dtls_session_from_slot(table, slot)) != NULL;
       slot++) {
    slot = dtls_session_slot(table, s);
    all->saved += session_form_put(w, owner, all->parts.identities, s, SESSION_FORM_LAST);
  }
}

static void save(server_section *hook, server *s)
{
  sessions *all = (sessions *)hook;
  state_writer w = {.bytes = NULL};
  char why[SEALED_WHY_SIZE];
  all->saved = 0;
  put_preamble(all, &w, false);
  for (uint32_t i = 0; i < server_shard_count(s); i++)
    save_shard(all, &w, server_shard(s, i));
  const int64_t size = write_file(all, &w, why);
  state_writer_wipe(&w);
  if (size < 0) {
    (void)sealed_remove(&all->file); /* a checkpoint that is there holds sessions that are over */
    LOG(all->parts.log, LOG_LEVEL_ERROR, "sessions_not_saved", log_text("error", why));
  } else {
    LOG(all->parts.log, LOG_LEVEL_INFO, "sessions_saved", log_number("bytes", (uint64_t)size),
        log_number("sessions", all->saved));
  }
}

/* ------------------------------------------------------------------------------------------------
 * checkpoints */

static copal_time deadline(server_section *hook)
{
  return checkpoint_deadline(&((sessions *)hook)->checkpoint);
}

static void run(server_section *hook, server *s, copal_time now)
{
  checkpoint_begin(&((sessions *)hook)->checkpoint, s, now);
}

/* A checkpoint cannot be written. Without one there is nothing to keep to; when the old one cannot
 * be removed either, sessions keep to that; and when there was none, to the one that failed, which
 * may be on the disk all the same. */
static checkpoint_end give_up(sessions *all, const char *why)
{
  const int rc = sealed_remove(&all->file);
  LOG(all->parts.log, LOG_LEVEL_ERROR, "checkpoint_failed", log_text("error", why),
      log_text("hint", rc == 0 ? "until the next one, sessions end with a crash"
                               : "one may still be there, and sessions keep to it"));
  if (rc == 0) {
    all->has_checkpoint = false;
    return CHECKPOINT_GONE;
  }
  const bool is_first = !all->has_checkpoint;
  all->has_checkpoint = true;
  return is_first ? CHECKPOINT_WRITTEN : CHECKPOINT_FAILED;
}

static checkpoint_end write_checkpoint(sessions *all)
{
  state_writer w = {.bytes = NULL};
  char why[SEALED_WHY_SIZE];
  put_preamble(all, &w, true);
  const uint64_t count = checkpoint_put(&all->checkpoint, &w);
  const int64_t size = write_file(all, &w, why);
  state_writer_wipe(&w);
  if (size < 0)
    return give_up(all, why);
  all->has_checkpoint = true;
  LOG(all->parts.log, LOG_LEVEL_DEBUG, "checkpoint_written", log_number("bytes", (uint64_t)size),
      log_number("sessions", count));
  return CHECKPOINT_WRITTEN;
}

static void on_report(server_section *hook, server *s, const shard_report *r, copal_time now)
{
  sessions *all = (sessions *)hook;
  if (!wants_checkpoints(all))
    return;
  if (r->kind == SHARD_WANTS_SAVE)
    checkpoint_hurry(&all->checkpoint, now);
  else if (checkpoint_collected(&all->checkpoint))
    checkpoint_finish(
        &all->checkpoint, s,
        checkpoint_is_whole(&all->checkpoint) ? write_checkpoint(all) : CHECKPOINT_FAILED, now);
}

/* ------------------------------------------------------------------------------------------------
 * reading */

/* A wall clock that was set back makes nothing older than it is, and nothing younger than now. */
static bool get_preamble(copal_rd *r, preamble *p)
{
  const uint8_t kind = copal_rd_u8(r);
  const uint64_t high = copal_rd_be(r, 4), written = high << 32 | copal_rd_be(r, 4);
  const uint64_t now = wall_now();
  p->is_checkpoint = kind == CHECKPOINT;
  p->age_s = now > written ? (now - written) / 1000000 : 0;
  p->cid_secret = copal_rd_span(r, DTLS_CID_KEY_SIZE);
  p->ticket_key = copal_rd_span(r, DTLS_TICKET_KEY_SIZE);
  return r->err == COPAL_OK && (kind == CHECKPOINT || kind == AFTER_A_STOP);
}

/* The secrets come first: sessions are found by what they say. */
static void take_secrets(sessions *all, server *s, const preamble *p)
{
  secure_shared *keys = all->parts.shared;
  memcpy(keys->cid_secret, p->cid_secret.ptr, p->cid_secret.len);
  memcpy(keys->ticket_key, p->ticket_key.ptr, p->ticket_key.len);
  for (uint32_t i = 0; i < server_shard_count(s); i++) {
    secure *each = shard_secure(server_shard(s, i));
    if (each != NULL)
      secure_inherit(each);
  }
}

static void settle(server *s)
{
  for (uint32_t i = 0; i < server_shard_count(s); i++) {
    dtls_sessions *table = session_form_table(server_shard(s, i));
    if (table != NULL)
      dtls_sessions_settle(table);
  }
}

static void count(sessions *all, int rc)
{
  all->restored += rc == COPAL_OK;
  all->revoked += rc == COPAL_ENOTFOUND;
  all->refused += rc < 0 && rc != COPAL_ENOTFOUND;
}

static void load(sessions *all, server *s, copal_span content)
{
  const session_form_owners owners = {all->parts.identities, all->parts.shared->credentials};
  copal_rd r = copal_rd_init(content);
  preamble p;
  if (!get_preamble(&r, &p)) {
    LOG(all->parts.log, LOG_LEVEL_ERROR, "sessions_lost",
        log_text("error", "they were saved by another version"));
    return;
  }
  if (p.is_checkpoint && !wants_checkpoints(all)) {
    LOG(all->parts.log, LOG_LEVEL_WARN, "sessions_lost",
        log_text("error", "the process before ended without a word, and dtls.after_crash is drop"));
    return;
  }
  take_secrets(all, s, &p);
  while (r.left > 0 && r.err == COPAL_OK)
    count(all, session_form_restore(&r, s, &owners, p.age_s));
  settle(s);
  LOG(all->parts.log, LOG_LEVEL_INFO, "sessions_restored",
      log_text("after", p.is_checkpoint ? "a crash" : "a stop in order"),
      log_number("sessions", all->restored), log_number("refused", all->refused),
      log_number("revoked", all->revoked));
}

static void restore(server_section *hook, server *s)
{
  sessions *all = (sessions *)hook;
  uint8_t *memory = NULL;
  char why[SEALED_WHY_SIZE];
  all->restored = all->refused = all->revoked = 0;
  const int64_t len = sealed_take(&all->file, &memory, why);
  if (len < 0)
    LOG(all->parts.log, LOG_LEVEL_ERROR, "sessions_lost", log_text("error", why),
        log_text("hint", "peers have to make new sessions"));
  if (memory != NULL) {
    load(all, s, copal_span_of(memory + SEALED_HEAD_SIZE, (size_t)len));
    explicit_bzero(memory, SEALED_HEAD_SIZE + (size_t)len);
  }
  free(memory);
  const copal_dur interval = wants_checkpoints(all) ? all->parts.conf->dtls.checkpoint : 0;
  if (!checkpoint_open(&all->checkpoint, server_shard_count(s), interval, all->parts.identities,
                       clock_now()))
    LOG(all->parts.log, LOG_LEVEL_ERROR, "checkpoint_failed", log_text("error", "out of memory"));
}

void sessions_init(sessions *s, const sessions_parts *parts)
{
  *s = (sessions){.hook = {.name = "sessions",
                           .restore = restore,
                           .save = save,
                           .deadline = deadline,
                           .run = run,
                           .on_report = on_report},
                  .parts = *parts,
                  .file = {.dir = parts->conf->data,
                           .name = "sessions",
                           .holds = "DTLS",
                           .key_file = parts->conf->dtls.saved_key}};
}

void sessions_wipe(sessions *s)
{
  checkpoint_close(&s->checkpoint);
}
