/* SPDX-License-Identifier: Apache-2.0 */
/* Registrations in the store. RFC 7641 sections 4.1 and 4.2. */
#include "service/registrations.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "copal/error.h"

enum {
  FLUSH_ROUNDS = 2000, /* of a millisecond, when a shard ends */
  DRAIN_MAX = 1024,
};

static const copal_dur slice_pause = COPAL_MILLISECOND;
static const copal_dur retry_pause = 20 * COPAL_MILLISECOND;

struct keeper;

/* A change on its way to the store. */
typedef struct change {
  store_op op; /* first */
  struct change *next;
  struct keeper *keeper;
  registrations_waiter *waiter; /* NULL: nobody */
  uint8_t bytes[];              /* key and value */
} change;

/* What a shard keeps. Of its thread. */
typedef struct keeper {
  service_timer slices; /* first */
  service_timer retry;
  registrations *all;
  const handler_env *env;
  registrations_user *user;
  change *head, **tail; /* changes that wait */
  uint32_t queued, in_flight;
  bool is_restoring;
  copal_time began;
  uint64_t turns; /* first notifications given out */
  size_t last_len;
  uint8_t last[REGISTRATION_KEY_MAX];
} keeper;

struct registrations {
  pthread_mutex_t lock; /* guards the table and the counters */
  registrations_counts counts;
  uint32_t shard_max, used;
  keeper *keepers[];
};

static void count(registrations *all, uint64_t *counter, int64_t by)
{
  pthread_mutex_lock(&all->lock);
  *counter += (uint64_t)by;
  pthread_mutex_unlock(&all->lock);
}

static keeper *find_keeper(registrations *all, const handler_env *env)
{
  keeper *found = NULL;
  pthread_mutex_lock(&all->lock);
  for (uint32_t i = 0; i < all->used && found == NULL; i++)
    if (all->keepers[i]->env == env)
      found = all->keepers[i];
  pthread_mutex_unlock(&all->lock);
  return found;
}

/* ------------------------------------------------------------------------------------------------
 * writing */

static copal_time now_of(const keeper *k, copal_time otherwise)
{
  return k->env->clock != NULL ? *k->env->clock : otherwise;
}

/* Hands over what waits, as much as the store takes. */
static void pump(keeper *k, copal_time now)
{
  while (k->head != NULL && k->in_flight < REGISTRATIONS_FLIGHT) {
    change *c = k->head;
    if (store_commit(k->env->store, &c->op, now) != COPAL_OK)
      break;
    k->head = c->next;
    if (k->head == NULL)
      k->tail = &k->head;
    k->queued--;
    k->in_flight++;
    count(k->all, &k->all->counts.waiting, -1);
  }
  /* A completion of ours pumps again; when there is none to come, time does. */
  if (k->head != NULL && k->in_flight == 0)
    copal_timerq_arm(k->env->timers, &k->retry.timer, now + retry_pause);
}

static void on_retry(service_timer *t, copal_time now)
{
  pump((keeper *)((char *)t - offsetof(keeper, retry)), now);
}

static void on_done(store_op *op, const store_result *result)
{
  change *c = (change *)op;
  keeper *k = c->keeper;
  registrations_counts *counts = &k->all->counts;
  registrations_waiter *waiter = c->waiter;
  uint64_t *counter = op->verb == STORE_PUT ? &counts->saved : &counts->removed;
  const bool is_kept = result->status == STORE_OK;
  count(k->all, is_kept ? counter : &counts->unsaved, 1);
  free(c);
  k->in_flight--;
  if (waiter != NULL)
    waiter->on_stored(waiter, is_kept);
  pump(k, now_of(k, k->began));
}

/* Queues a change whose key and value are in its bytes. */
static void submit(keeper *k, change *c, size_t key_len, size_t value_len, copal_time now)
{
  c->keeper = k;
  c->op.done = on_done;
  c->op.space = STORE_STATE;
  c->op.key = copal_span_of(c->bytes, key_len);
  c->op.body = copal_span_of(c->bytes + key_len, value_len);
  c->op.content_format = STORE_NO_FORMAT;
  c->op.max_age_s = STORE_NO_MAX_AGE;
  c->next = NULL;
  *k->tail = c;
  k->tail = &c->next;
  k->queued++;
  count(k->all, &k->all->counts.waiting, 1);
  pump(k, now);
}

static change *make(keeper *k, store_verb verb, size_t size)
{
  change *c = k->queued < REGISTRATIONS_QUEUE ? calloc(1, sizeof *c + size) : NULL;
  if (c == NULL) {
    count(k->all, &k->all->counts.unsaved, 1);
    return NULL;
  }
  c->op.verb = verb;
  return c;
}

void registrations_save(registrations *all, const handler_env *env, const registration *r,
                        registrations_waiter *waiter, copal_time now)
{
  keeper *k = find_keeper(all, env);
  const size_t size = REGISTRATION_KEY_MAX + registration_size(r);
  change *c = k != NULL ? make(k, STORE_PUT, size) : NULL;
  if (c == NULL)
    return;
  copal_wr w = copal_wr_init((copal_mspan){c->bytes, size});
  registration_put_key(&w, &r->way, r->token);
  const size_t key_len = w.len;
  registration_put(&w, r);
  c->waiter = waiter;
  if (waiter != NULL)
    waiter->is_waiting = true;
  submit(k, c, key_len, w.len - key_len, now);
}

static void remove_key(keeper *k, copal_span key, copal_time now)
{
  change *c = make(k, STORE_DELETE, key.len);
  if (c == NULL)
    return;
  memcpy(c->bytes, key.ptr, key.len);
  submit(k, c, key.len, 0, now);
}

void registrations_remove(registrations *all, const handler_env *env, const handler_way *way,
                          copal_span token, copal_time now)
{
  keeper *k = find_keeper(all, env);
  uint8_t room[REGISTRATION_KEY_MAX];
  copal_wr w = copal_wr_init((copal_mspan){room, sizeof room});
  registration_put_key(&w, way, token);
  if (k != NULL && w.err == COPAL_OK)
    remove_key(k, copal_wr_done(&w), now);
}

/* ------------------------------------------------------------------------------------------------
 * restoring */

/* A record of a slice, copied: what is restored reads the store itself. */
typedef struct copy {
  size_t key_len, value_len;
  uint8_t *bytes;
} copy;

typedef struct slice {
  keeper *keeper;
  uint32_t count;
  copy copies[REGISTRATIONS_SLICE];
} slice;

static bool is_ours(const keeper *k, copal_span key, copal_span value)
{
  registration r;
  if (!registration_get(&r, key, value))
    return true; /* nobody knows whose it is: all delete it */
  return k->env->ways->is_mine(k->env->ways, &r.way);
}

static int on_record(void *ctx, copal_span key, const store_item *item)
{
  slice *s = ctx;
  keeper *k = s->keeper;
  if (key.len <= sizeof k->last) {
    memcpy(k->last, key.ptr, key.len);
    k->last_len = key.len;
  }
  if (!is_ours(k, key, item->body))
    return 0;
  copy *c = &s->copies[s->count];
  c->bytes = malloc(key.len + item->body.len);
  if (c->bytes == NULL)
    return COPAL_ENOSPC;
  c->key_len = key.len;
  c->value_len = item->body.len;
  memcpy(c->bytes, key.ptr, key.len);
  if (item->body.len > 0)
    memcpy(c->bytes + key.len, item->body.ptr, item->body.len);
  s->count++;
  return 0;
}

static copal_time due_of(const keeper *k, copal_time now)
{
  const copal_time due = k->began + k->turns * COPAL_SECOND / REGISTRATIONS_RATE;
  return due > now ? due : now;
}

/* The rules may have changed since the registration was made. */
static copal_code judge(const keeper *k, const registration *r, const copal_path *path)
{
  const copal_subject asked = {.key = r->key};
  copal_reviewer *reviewer = k->env->reviewer;
  return reviewer != NULL ? reviewer->judge(reviewer, &asked, path, r->request_code) : 0;
}

static void restore(keeper *k, const copy *c, copal_time now)
{
  registrations_counts *counts = &k->all->counts;
  const copal_span key = copal_span_of(c->bytes, c->key_len);
  registration r;
  copal_path path;
  if (!registration_get(&r, key, copal_span_of(c->bytes + c->key_len, c->value_len)) ||
      k->env->ways->recall(k->env->ways, &r.way, &path) != COPAL_OK) {
    count(k->all, &counts->dangling, 1);
    remove_key(k, key, now);
    return;
  }
  const copal_code refusal = judge(k, &r, &path);
  const int rc = k->user->restore(k->user, k->env, &r, &path, due_of(k, now), now);
  if (rc == COPAL_OK && refusal != 0) {
    count(k->all, &counts->disallowed, 1);
    copal_ep_refuse(k->env->ep, &path, r.token, refusal, now);
  } else if (rc == COPAL_OK) {
    k->turns++;
    count(k->all, &counts->restored, 1);
  } else if (rc == COPAL_EINVAL) {
    count(k->all, &counts->renewed, 1);
  } else {
    count(k->all, &counts->refused, 1);
    remove_key(k, key, now);
  }
}

static void end_restoring(keeper *k)
{
  if (k->is_restoring)
    count(k->all, &k->all->counts.restoring, -1);
  k->is_restoring = false;
}

/* One slice, and the next one when the shard has served meanwhile. */
static void on_slice(service_timer *t, copal_time now)
{
  keeper *k = (keeper *)t;
  slice s = {.keeper = k};
  const store_range range = {.space = STORE_STATE,
                             .prefix = copal_span_str(REGISTRATION_PREFIX),
                             .after = copal_span_of(k->last, k->last_len),
                             .max = REGISTRATIONS_SLICE};
  const int seen = store_list(k->env->store, &range, on_record, &s, now);
  for (uint32_t i = 0; i < s.count; i++) {
    restore(k, &s.copies[i], now);
    free(s.copies[i].bytes);
  }
  if (seen >= 0 && seen < REGISTRATIONS_SLICE)
    end_restoring(k);
  else
    copal_timerq_arm(k->env->timers, &k->slices.timer,
                     now + (seen < 0 ? retry_pause : slice_pause));
}

/* ------------------------------------------------------------------------------------------------
 * beginning and ending */

registrations *registrations_open(uint32_t shard_max)
{
  registrations *all = calloc(1, sizeof *all + shard_max * sizeof all->keepers[0]);
  if (all == NULL)
    return NULL;
  all->shard_max = shard_max;
  pthread_mutex_init(&all->lock, NULL);
  return all;
}

static void drop_waiting(keeper *k)
{
  for (change *c = k->head; c != NULL;) {
    change *next = c->next;
    if (c->waiter != NULL)
      c->waiter->discard(c->waiter);
    free(c);
    c = next;
  }
}

void registrations_close(registrations *all)
{
  if (all == NULL)
    return;
  for (uint32_t i = 0; i < all->used; i++) {
    drop_waiting(all->keepers[i]);
    free(all->keepers[i]);
  }
  pthread_mutex_destroy(&all->lock);
  free(all);
}

static bool enter(registrations *all, keeper *k)
{
  pthread_mutex_lock(&all->lock);
  const bool has_room = all->used < all->shard_max;
  if (has_room) {
    all->keepers[all->used++] = k;
    all->counts.restoring++;
  }
  pthread_mutex_unlock(&all->lock);
  return has_room;
}

bool registrations_start(registrations *all, const handler_env *env, registrations_user *user,
                         copal_time now)
{
  if (env->ways == NULL || env->timers == NULL)
    return true;
  keeper *k = calloc(1, sizeof *k);
  if (k == NULL)
    return false;
  *k = (keeper){.slices.on_due = on_slice,
                .retry.on_due = on_retry,
                .all = all,
                .env = env,
                .user = user,
                .is_restoring = true,
                .began = now + REGISTRATIONS_PAUSE};
  k->tail = &k->head;
  copal_timer_init(&k->slices.timer);
  copal_timer_init(&k->retry.timer);
  if (!enter(all, k)) {
    free(k);
    return false;
  }
  copal_timerq_arm(env->timers, &k->slices.timer, k->began);
  return true;
}

void registrations_stop(registrations *all, const handler_env *env, copal_time now)
{
  keeper *k = find_keeper(all, env);
  const struct timespec pause = {.tv_nsec = 1000000};
  if (k == NULL)
    return;
  copal_timerq_cancel(env->timers, &k->slices.timer);
  end_restoring(k);
  for (int i = 0; i < FLUSH_ROUNDS && (k->head != NULL || k->in_flight > 0); i++) {
    pump(k, now);
    if (store_drain(env->store, DRAIN_MAX) == 0)
      nanosleep(&pause, NULL);
  }
  copal_timerq_cancel(env->timers, &k->retry.timer);
  if (k->queued > 0)
    count(all, &all->counts.unsaved, k->queued);
}

registrations_counts registrations_counts_now(registrations *all)
{
  pthread_mutex_lock(&all->lock);
  const registrations_counts counts = all->counts;
  pthread_mutex_unlock(&all->lock);
  return counts;
}
