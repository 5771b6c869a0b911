/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-shared keys from elsewhere. One lock guards everything but the asking itself; waiters are
 * told under it, so that none is told after it has given up. */
#include "policy/lookup/lookup.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "copal/error.h"
#include "policy/lookup/ask.h"
#include "policy/lookup/cache.h"
#include "policy/lookup/httplib.h"
#include "policy/proof.h"

enum {
  THREADS_MAX = 64,
  MS = 1000,
  GRACE_MS = 1000, /* an answer that may not be kept serves those who wait for it */
};

struct lookup {
  dtls_credentials face; /* first */
  lookup_cfg cfg;        /* but for the texts, which stand in `ask` */
  ask_cfg ask;
  httplib lib; /* open when there is a URL to ask */
  atomic_bool is_over;
  pthread_mutex_t lock;
  pthread_cond_t has_work;
  cache cache;
  cached **queue; /* a ring of those not asked yet */
  uint32_t queue_head, queue_len, queue_cap;
  lookup_stats stats;
  pthread_mutex_t report; /* one failure at a time is told */
  uint32_t thread_count;
  pthread_t threads[THREADS_MAX];
};

static uint64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* ------------------------------------------------------------------------------------------------
 * waiters */

static void wait_for(cached *e, dtls_psk_wait *w)
{
  w->place = &e->waiters;
  w->next = e->waiters;
  if (w->next != NULL)
    w->next->place = &w->next;
  e->waiters = w;
}

static void leave(dtls_psk_wait *w)
{
  if (w->place == NULL)
    return;
  *w->place = w->next;
  if (w->next != NULL)
    w->next->place = w->place;
  w->place = NULL;
  w->next = NULL;
}

/* Returns how many there were. */
static uint64_t tell(dtls_psk_wait *waiters)
{
  uint64_t told = 0;
  while (waiters != NULL) {
    dtls_psk_wait *w = waiters;
    waiters = w->next;
    w->place = NULL;
    w->next = NULL;
    w->on_answer(w);
    told++;
  }
  return told;
}

/* ------------------------------------------------------------------------------------------------
 * asking */

static int ask(lookup *l, ask_http *http, const question *q, answer *a, char why[LOOKUP_WHY_SIZE])
{
  uint8_t *room = malloc(ANSWER_SIZE);
  size_t len = 0;
  snprintf(why, LOOKUP_WHY_SIZE, "out of memory");
  if (room == NULL)
    return COPAL_ENOSPC;
  const copal_mspan bytes = {room, ANSWER_SIZE};
  int rc = COPAL_ENOSPC;
  if (l->ask.url == NULL)
    rc = ask_command(&l->ask, q, bytes, &len, why);
  else if (http != NULL)
    rc = ask_http_run(http, q, bytes, &len, why);
  if (rc == COPAL_OK)
    rc = answer_read(a, (copal_mspan){room, len}, why);
  if (rc == COPAL_OK && a->psks.count == 0)
    rc = COPAL_ENOTFOUND;
  explicit_bzero(room, len);
  free(room);
  return rc;
}

static uint64_t expiry(const lookup *l, int rc, const answer *a, bool is_flushed)
{
  uint64_t ttl_ms = (uint64_t)(rc == COPAL_OK ? l->cfg.ttl_s : l->cfg.negative_ttl_s) * MS;
  if ((rc == COPAL_OK || rc == COPAL_ENOTFOUND) && a->ttl_s != ANSWER_TTL_UNSAID)
    ttl_ms = (uint64_t)a->ttl_s * MS;
  if (is_flushed)
    ttl_ms = 0;
  return now_ms() + (ttl_ms > GRACE_MS ? ttl_ms : GRACE_MS);
}

static void count(lookup_stats *s, int rc)
{
  s->found += rc == COPAL_OK;
  s->unknown += rc == COPAL_ENOTFOUND;
  s->failed += rc < 0 && rc != COPAL_ENOTFOUND;
  s->timed_out += rc == COPAL_ETIMEDOUT;
}

static void report(lookup *l, const question *q, int rc, const char *why)
{
  if (l->cfg.watcher == NULL || rc == COPAL_OK || rc == COPAL_ENOTFOUND || atomic_load(&l->is_over))
    return;
  pthread_mutex_lock(&l->report);
  l->cfg.watcher->on_failure(l->cfg.watcher, (const char *)q->identity, why);
  pthread_mutex_unlock(&l->report);
}

static bool can_fall_back(const cached *e, int rc)
{
  return rc != COPAL_OK && rc != COPAL_ENOTFOUND && e->answer != NULL && now_ms() < e->fallback_ms;
}

static void settle(lookup *l, cached *e, int rc, const answer *a)
{
  const uint64_t end = expiry(l, rc, a, e->is_flushed);
  if (can_fall_back(e, rc)) {
    l->stats.fallbacks++;
    cache_resettle(&l->cache, e, end);
  } else {
    cache_settle(&l->cache, e, rc == COPAL_OK ? a : NULL, end,
                 end + (uint64_t)l->cfg.fallback_s * MS);
  }
}

/* Asks for the next one in the queue. Called and left with the lock held. */
static void serve_next(lookup *l, ask_http *http)
{
  char why[LOOKUP_WHY_SIZE] = "";
  question q;
  answer a = {.ttl_s = ANSWER_TTL_UNSAID};
  cached *e = l->queue[l->queue_head];
  l->queue_head = (l->queue_head + 1) % l->queue_cap;
  l->queue_len--;
  l->stats.asked++;
  question_write(&q, copal_span_of(e->identity, e->len));
  pthread_mutex_unlock(&l->lock);
  const int rc = ask(l, http, &q, &a, why);
  report(l, &q, rc, why);
  pthread_mutex_lock(&l->lock);
  count(&l->stats, rc);
  dtls_psk_wait *waiters = e->waiters; /* pending entries stay where they are */
  e->waiters = NULL;
  settle(l, e, rc, &a);
  l->stats.waits += tell(waiters);
  explicit_bzero(&a, sizeof a);
}

static void *serve(void *arg)
{
  lookup *l = arg;
  ask_http *http = l->ask.url != NULL ? ask_http_open(&l->ask) : NULL;
  pthread_mutex_lock(&l->lock);
  while (!atomic_load(&l->is_over)) {
    if (l->queue_len == 0)
      pthread_cond_wait(&l->has_work, &l->lock);
    else
      serve_next(l, http);
  }
  pthread_mutex_unlock(&l->lock);
  ask_http_close(http);
  return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * the face */

/* Puts a question into the queue, about an entry that is there (NULL: a new one). Returns the
 * entry, or NULL when there is no room. With the lock held. */
static cached *enqueue(lookup *l, copal_span id, cached *e)
{
  const bool has_room = l->queue_len < l->queue_cap;
  if (has_room && e == NULL)
    e = cache_add(&l->cache, id);
  else if (!has_room || !cache_reopen(&l->cache, e))
    e = NULL;
  if (e == NULL) {
    l->stats.overflown++;
    return NULL;
  }
  l->queue[(l->queue_head + l->queue_len++) % l->queue_cap] = e;
  pthread_cond_signal(&l->has_work);
  return e;
}

static bool holds(const cached *e)
{
  return e != NULL && (e->state == CACHED_PENDING || now_ms() < e->expires_ms);
}

/* Sees to it that what does not hold is asked for. Returns the entry, if need be the one from
 * before with its answer; NULL when there is no room to ask, and no answer that is still good then.
 * With the lock held. */
static cached *renew(lookup *l, copal_span id, cached *e)
{
  if (holds(e))
    return e;
  cached *asked = enqueue(l, id, e);
  if (asked != NULL || e == NULL || e->answer == NULL || now_ms() >= e->fallback_ms)
    return asked;
  l->stats.fallbacks++;
  return e;
}

/* With the lock held. */
static int find(lookup *l, copal_span id, dtls_psk_wait *w, dtls_psks *keys)
{
  cached *e = renew(l, id, cache_find(&l->cache, id));
  if (e == NULL)
    return COPAL_ENOSLOT;
  switch (e->state) {
  case CACHED_KNOWN:
    *keys = e->answer->psks;
    l->stats.hits++;
    cache_touch(&l->cache, e);
    return COPAL_OK;
  case CACHED_UNKNOWN: l->stats.refusals++; return COPAL_ENOTFOUND;
  case CACHED_PENDING:
    if (w == NULL)
      return COPAL_ENOTFOUND;
    wait_for(e, w);
    return COPAL_EPENDING;
  case CACHED_STATE_COUNT: break;
  }
  return COPAL_ENOTFOUND;
}

static int psk_find(dtls_credentials *c, copal_span id, dtls_psk_wait *w, dtls_psks *keys)
{
  lookup *l = (lookup *)c;
  dtls_credentials *first = l->cfg.first;
  if (first != NULL && first->psk_find(first, id, NULL, keys) == COPAL_OK)
    return COPAL_OK;
  const bool is_text = identity_name_is_valid(id) && id.len <= DTLS_PSK_IDENTITY_MAX;
  pthread_mutex_lock(&l->lock);
  l->stats.malformed += !is_text;
  const int rc = is_text ? find(l, id, w, keys) : COPAL_ENOTFOUND;
  pthread_mutex_unlock(&l->lock);
  return rc;
}

static void psk_cancel(dtls_credentials *c, dtls_psk_wait *w)
{
  lookup *l = (lookup *)c;
  pthread_mutex_lock(&l->lock);
  leave(w);
  pthread_mutex_unlock(&l->lock);
}

/* What the answer says, else the identity's own name, for which there is `room`. */
static copal_span name_of(const answer *a, copal_span id, char room[IDENTITY_NAME_MAX + 1])
{
  if (a->name[0] != '\0')
    return copal_span_str(a->name);
  return identity_name_of_psk(id, room) ? copal_span_str(room) : copal_span_none();
}

/* With the lock held. Who resumes a session has shown the key before, and is asked for anew when
 * the answer is too old; without one he is refused until it is there. */
static int hold(lookup *l, copal_span id, uint32_t *who)
{
  const cached *e = identity_name_is_valid(id) ? renew(l, id, cache_find(&l->cache, id)) : NULL;
  if (e == NULL || e->answer == NULL)
    return COPAL_ENOTFOUND;
  const answer *a = e->answer;
  static const uint8_t by = PROOF_LOOKUP;
  char room[IDENTITY_NAME_MAX + 1];
  const identity is = {.kind = IDENTITY_PSK,
                       .name = name_of(a, id, room),
                       .groups = copal_span_str(a->groups),
                       .proof = copal_span_of(&by, 1)};
  return identity_hold_as(l->cfg.all, &is, who);
}

/* Who was looked up stays: a reload is no reason to ask about a million of them. */
static int readmit(dtls_credentials *c, uint32_t who, uint32_t *now)
{
  lookup *l = (lookup *)c;
  dtls_credentials *first = l->cfg.first;
  *now = who;
  if (proof_kind(identity_of(l->cfg.all, who)) == PROOF_LOOKUP)
    return COPAL_OK;
  return first != NULL && first->readmit != NULL ? first->readmit(first, who, now)
                                                 : COPAL_ENOTFOUND;
}

static int vouch(dtls_credentials *c, const dtls_claim *claim, uint32_t *who)
{
  lookup *l = (lookup *)c;
  dtls_credentials *first = l->cfg.first;
  if (claim->kind != DTLS_CLAIM_PSK)
    return COPAL_ENOTFOUND;
  int rc = first != NULL ? first->vouch(first, claim, who) : COPAL_ENOTFOUND;
  if (rc != COPAL_ENOTFOUND)
    return rc;
  pthread_mutex_lock(&l->lock);
  rc = hold(l, copal_span_of(claim->items[0].data, claim->items[0].size), who);
  pthread_mutex_unlock(&l->lock);
  return rc;
}

static void release(dtls_credentials *c, uint32_t who)
{
  if (who != 0)
    identity_release(((lookup *)c)->cfg.all, who);
}

/* ------------------------------------------------------------------------------------------------
 * life */

static char *copy(const char *text)
{
  return text != NULL ? strdup(text) : NULL;
}

static bool keep_texts(lookup *l, const lookup_cfg *cfg)
{
  char **command = calloc(LOOKUP_ARGS_MAX, sizeof *command);
  l->ask = (ask_cfg){.command = (const char *const *)command,
                     .command_count = cfg->command_count,
                     .url = copy(cfg->url),
                     .ca = copy(cfg->ca),
                     .token_file = copy(cfg->token_file),
                     .lib = &l->lib,
                     .timeout_ms = cfg->timeout_ms,
                     .is_over = &l->is_over};
  bool is_good = command != NULL && (cfg->url == NULL) == (l->ask.url == NULL) &&
                 (cfg->ca == NULL) == (l->ask.ca == NULL) &&
                 (cfg->token_file == NULL) == (l->ask.token_file == NULL);
  for (size_t i = 0; is_good && i < cfg->command_count; i++) {
    command[i] = strdup(cfg->command[i]);
    is_good = command[i] != NULL;
  }
  return is_good;
}

static void free_texts(ask_cfg *a)
{
  for (size_t i = 0; a->command != NULL && i < a->command_count; i++)
    free((char *)(uintptr_t)a->command[i]);
  free((char **)(uintptr_t)a->command);
  free((char *)(uintptr_t)a->url);
  free((char *)(uintptr_t)a->ca);
  free((char *)(uintptr_t)a->token_file);
}

static int check(const lookup_cfg *cfg, char why[LOOKUP_WHY_SIZE])
{
  const char *wrong = NULL;
  if ((cfg->command_count > 0) == (cfg->url != NULL))
    wrong = "a lookup is a command or a URL, one of them";
  else if (cfg->command_count > LOOKUP_ARGS_MAX)
    wrong = "the command has too many arguments";
  else if (cfg->command_count > 0 && cfg->command[0][0] != '/')
    wrong = "the command needs the absolute name of a program";
  else if (cfg->command_count > 0 && access(cfg->command[0], X_OK) != 0)
    wrong = "the command is no program that can be run";
  if (wrong == NULL)
    return COPAL_OK;
  snprintf(why, LOOKUP_WHY_SIZE, "%s", wrong);
  return COPAL_EINVAL;
}

/* Signals are the main thread's. */
static bool start_threads(lookup *l)
{
  sigset_t all, before;
  const uint32_t wanted = l->cfg.concurrency < THREADS_MAX ? l->cfg.concurrency : THREADS_MAX;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (l->thread_count < wanted &&
         pthread_create(&l->threads[l->thread_count], NULL, serve, l) == 0)
    l->thread_count++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return l->thread_count > 0;
}

static int open_inside(lookup *l, const lookup_cfg *cfg, char why[LOOKUP_WHY_SIZE])
{
  snprintf(why, LOOKUP_WHY_SIZE, "out of memory");
  l->queue_cap = cfg->queue;
  l->queue = calloc(cfg->queue, sizeof(cached *));
  if (l->queue == NULL || !keep_texts(l, cfg) ||
      cache_init(&l->cache, cfg->cache, cfg->queue + cfg->concurrency) < 0)
    return COPAL_ENOSPC;
  int rc = l->ask.url != NULL ? httplib_open(&l->lib, HTTPLIB_NAME, why) : COPAL_OK;
  if (rc == COPAL_OK && l->ask.url != NULL)
    rc = ask_http_check(&l->ask, why);
  if (rc < 0)
    return rc;
  return start_threads(l) ? COPAL_OK : COPAL_ENOSPC;
}

int lookup_open(const lookup_cfg *cfg, lookup **out, char why[LOOKUP_WHY_SIZE])
{
  int rc = check(cfg, why);
  lookup *l = rc == COPAL_OK ? calloc(1, sizeof *l) : NULL;
  if (rc < 0)
    return rc;
  snprintf(why, LOOKUP_WHY_SIZE, "out of memory");
  if (l == NULL)
    return COPAL_ENOSPC;
  l->face = (dtls_credentials){
      .psk_find = psk_find, .psk_cancel = psk_cancel, .vouch = vouch, .release = release};
  l->face.readmit = readmit;
  l->cfg = *cfg;
  atomic_init(&l->is_over, false);
  pthread_mutex_init(&l->lock, NULL);
  pthread_mutex_init(&l->report, NULL);
  pthread_cond_init(&l->has_work, NULL);
  rc = open_inside(l, cfg, why);
  if (rc < 0) {
    lookup_close(l);
    return rc;
  }
  *out = l;
  return COPAL_OK;
}

void lookup_close(lookup *l)
{
  if (l == NULL)
    return;
  pthread_mutex_lock(&l->lock);
  atomic_store(&l->is_over, true);
  pthread_cond_broadcast(&l->has_work);
  pthread_mutex_unlock(&l->lock);
  for (uint32_t i = 0; i < l->thread_count; i++)
    pthread_join(l->threads[i], NULL);
  if (l->cache.buckets != NULL)
    cache_wipe(&l->cache);
  pthread_mutex_destroy(&l->lock);
  pthread_mutex_destroy(&l->report);
  pthread_cond_destroy(&l->has_work);
  httplib_close(&l->lib);
  free_texts(&l->ask);
  free(l->queue);
  free(l);
}

void lookup_flush(lookup *l)
{
  pthread_mutex_lock(&l->lock);
  cache_flush(&l->cache);
  pthread_mutex_unlock(&l->lock);
}

lookup_stats lookup_stats_now(lookup *l)
{
  pthread_mutex_lock(&l->lock);
  lookup_stats s = l->stats;
  s.evicted = l->cache.evicted;
  s.known = l->cache.lists[CACHED_KNOWN].count;
  s.outstanding = l->cache.lists[CACHED_PENDING].count;
  pthread_mutex_unlock(&l->lock);
  return s;
}

dtls_credentials *lookup_credentials(lookup *l)
{
  return &l->face;
}
