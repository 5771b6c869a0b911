/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of watched resources: one for each stripe, under a lock of its own, which grows with
 * what is watched. A watch belongs to the thread of its shard but for what the lock guards. */
#include "server/fanout.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "copal/error.h"
#include "server/shard.h"
#include "store/memory/keyhash.h"

enum {
  STRIPE_BITS = 8,
  STRIPES = 1 << STRIPE_BITS,
  BUCKETS_MIN = 16, /* of a stripe; a power of two */
};

struct watch {
  shard_msg msg; /* first: what travels through the mailbox */
  fanout_seat *seat;
  store_port *port;
  watcher *watcher;
  uint64_t hash;
  struct watch *next; /* in the bucket; under the lock */
  bool is_posted;     /* under the lock */
  bool is_closed;     /* the shard's: to be freed when its message has run */
  size_t key_len;
  uint8_t key[];
};

typedef struct stripe {
  pthread_mutex_t lock;
  fanout_stats stats;
  watch **buckets;
  size_t count; /* of buckets; a power of two */
} stripe;

struct fanout {
  store_follower follower; /* first */
  keyhash_secret secret;
  stripe stripes[STRIPES];
};

static stripe *stripe_of(fanout *f, uint64_t hash)
{
  return &f->stripes[hash & (STRIPES - 1)];
}

/* The lock is held. */
static watch **bucket_of(const stripe *st, uint64_t hash)
{
  return &st->buckets[(hash >> STRIPE_BITS) & (st->count - 1)];
}

/* Doubles the table of a stripe, so that who changes a resource does not go by many watches of
 * others. Without memory it stays as it is, which is slower and still right. The lock is held. */
static void grow(stripe *st)
{
  watch **buckets = calloc(2 * st->count, sizeof *buckets);
  if (buckets == NULL)
    return;
  stripe wide = *st;
  wide.buckets = buckets;
  wide.count = 2 * st->count;
  for (size_t i = 0; i < st->count; i++)
    for (watch *w = st->buckets[i], *next; w != NULL; w = next) {
      watch **bucket = bucket_of(&wide, w->hash);
      next = w->next;
      w->next = *bucket;
      *bucket = w;
    }
  free(st->buckets);
  st->buckets = wide.buckets;
  st->count = wide.count;
}

static bool is_for(const watch *w, uint64_t hash, copal_span key)
{
  return w->hash == hash && copal_span_is_equal(copal_span_of(w->key, w->key_len), key);
}

static void post(stripe *st, watch *w)
{
  if (w->is_posted) {
    st->stats.merged++;
    return;
  }
  w->is_posted = mailbox_post(w->seat->mailbox, &w->msg) == COPAL_OK;
  if (w->is_posted)
    st->stats.posted++;
  else
    st->stats.refused++;
}

static void on_change(store_follower *follower, const store_change *change)
{
  fanout *f = (fanout *)follower;
  const uint64_t hash = keyhash(&f->secret, change->key);
  stripe *st = stripe_of(f, hash);

  pthread_mutex_lock(&st->lock);
  for (watch *w = *bucket_of(st, hash); w != NULL; w = w->next)
    if (is_for(w, hash, change->key))
      post(st, w);
    else
      st->stats.passed++;
  pthread_mutex_unlock(&st->lock);
}

/* On the shard: the message has arrived. A change from here on posts it anew. */
static void run(shard_msg *msg, shard *s)
{
  watch *w = (watch *)msg;
  stripe *st = stripe_of(w->seat->fanout, w->hash);

  pthread_mutex_lock(&st->lock);
  w->is_posted = false;
  pthread_mutex_unlock(&st->lock);
  if (w->is_closed) {
    free(w);
    return;
  }
  store_view_renew(w->port);
  w->watcher->on_change(w->watcher, shard_now(s));
}

watch *watch_open(const handler_env *env, copal_span key, watcher *listener)
{
  fanout *f = env->seat->fanout;
  watch *w = malloc(sizeof *w + key.len);
  if (w == NULL)
    return NULL;
  *w = (watch){.msg = {run},
               .seat = env->seat,
               .port = env->store,
               .watcher = listener,
               .hash = keyhash(&f->secret, key),
               .key_len = key.len};
  memcpy(w->key, key.ptr, key.len);

  stripe *st = stripe_of(f, w->hash);
  pthread_mutex_lock(&st->lock);
  if (st->stats.watches >= st->count)
    grow(st);
  watch **bucket = bucket_of(st, w->hash);
  w->next = *bucket;
  *bucket = w;
  st->stats.watches++;
  pthread_mutex_unlock(&st->lock);
  return w;
}

void watch_poke(watch *w)
{
  stripe *st = stripe_of(w->seat->fanout, w->hash);
  pthread_mutex_lock(&st->lock);
  post(st, w);
  pthread_mutex_unlock(&st->lock);
}

void watch_close(watch *w)
{
  if (w == NULL)
    return;
  fanout *f = w->seat->fanout;
  stripe *st = stripe_of(f, w->hash);

  pthread_mutex_lock(&st->lock);
  watch **at = bucket_of(st, w->hash);
  while (*at != w)
    at = &(*at)->next;
  *at = w->next;
  st->stats.watches--;
  w->is_closed = w->is_posted;
  pthread_mutex_unlock(&st->lock);
  if (!w->is_closed)
    free(w);
}

int fanout_open(store *s, fanout **out)
{
  fanout *f = calloc(1, sizeof *f);
  if (f == NULL)
    return COPAL_ENOSPC;
  f->follower.on_change = on_change;
  /* Without it only resistance to crafted paths is lost. */
  if (getrandom(&f->secret, sizeof f->secret, 0) != (ssize_t)sizeof f->secret)
    f->secret = (keyhash_secret){{0}};
  bool is_whole = true;
  for (int i = 0; i < STRIPES; i++) {
    stripe *st = &f->stripes[i];
    pthread_mutex_init(&st->lock, NULL);
    st->count = BUCKETS_MIN;
    st->buckets = calloc(BUCKETS_MIN, sizeof(watch *));
    is_whole = is_whole && st->buckets != NULL;
  }
  if (!is_whole) {
    fanout_close(f);
    return COPAL_ENOSPC;
  }
  store_follow(s, &f->follower);
  *out = f;
  return COPAL_OK;
}

void fanout_close(fanout *f)
{
  if (f == NULL)
    return;
  for (int i = 0; i < STRIPES; i++) {
    pthread_mutex_destroy(&f->stripes[i].lock);
    free(f->stripes[i].buckets);
  }
  free(f);
}

fanout_stats fanout_stats_now(fanout *f)
{
  fanout_stats sum = {0};
  for (int i = 0; i < STRIPES; i++) {
    stripe *st = &f->stripes[i];
    pthread_mutex_lock(&st->lock);
    sum.watches += st->stats.watches;
    sum.posted += st->stats.posted;
    sum.merged += st->stats.merged;
    sum.refused += st->stats.refused;
    sum.passed += st->stats.passed;
    pthread_mutex_unlock(&st->lock);
  }
  return sum;
}
