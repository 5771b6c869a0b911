/* SPDX-License-Identifier: Apache-2.0 */
/* The table of unfinished uploads. */
#include "service/uploads.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/params.h"
#include "copal/registry.h"
#include "service/ordering.h"
#include "service/shares.h"

enum {
  COUNT_MAX_DEFAULT = 1024,
  PER_CLIENT_DEFAULT = 16,
  BYTE_MAX_DEFAULT = 256 << 20,
  SHARD_MAX = 256,
  TAG_MAX = 8,     /* bytes of a Request-Tag, RFC 9175 section 3.2.1 */
  EXPIRE_MAX = 16, /* uploads that are dropped in one go */
};

struct upload {
  lender lender;                /* first */
  struct upload *newer, *older; /* by the last block */
  holding of_address, of_client;
  ordering order;
  uint64_t kept;       /* bytes counted against the budget */
  bool is_busy;        /* a shard writes into `body`, without the lock */
  bool is_doomed;      /* taken out of the table meanwhile: that shard frees it */
  bool must_be_absent; /* one of its blocks came with If-None-Match */
  staging body;        /* of the shard that has made it busy */
  copal_time touched;
  /* What tells uploads apart. */
  uint32_t shard; /* whose session it is: each shard numbers its own; 0 without one */
  copal_path path;
  copal_code code;
  copal_span name; /* in `name_bytes`, or of a request while it is looked up */
  uint8_t name_bytes[];
};

/* Ends uploads of which nothing more comes, on a shard that has made some. */
typedef struct sweeper {
  service_timer timer; /* first */
  uploads *all;
  const handler_env *env;
  bool is_armed;
} sweeper;

struct uploads {
  pthread_mutex_t lock; /* guards all that follows, and the uploads in the table; not their bodies,
                           and the timers are those of their shards */
  uploads_cfg cfg;
  staging_place own; /* the default one */
  void *tree;        /* of upload */
  upload *newest, *oldest;
  shares addresses, clients; /* who holds how many; their things are in the order of age, too */
  uploads_counts counts;
  sweeper *sweepers[SHARD_MAX];
  size_t sweeper_count;
};

/* ----------------------------------------------------------------------------------------- table
 */

static int order_of(uint64_t a, uint64_t b)
{
  return (a > b) - (a < b);
}

static int compare(const void *left, const void *right)
{
  const upload *a = left;
  const upload *b = right;
  int order = order_of(a->shard, b->shard);
  if (order == 0)
    order = order_of(a->path.session, b->path.session);
  if (order == 0 && a->path.session == 0) /* else wherever it is, RFC 9146 section 6 */
    order = memcmp(&a->path.remote, &b->path.remote, sizeof a->path.remote);
  if (order == 0)
    order = order_of(a->code, b->code);
  if (order == 0)
    order = order_of(a->name.len, b->name.len);
  return order != 0 ? order : memcmp(a->name.ptr, b->name.ptr, a->name.len);
}

/* True for the options that tell apart what two requests to the same path transfer. */
static bool is_telling(const copal_opt *opt)
{
  switch (opt->number) {
  case COPAL_OPT_URI_HOST:
  case COPAL_OPT_URI_PORT:
  case COPAL_OPT_URI_QUERY: return true;
  case COPAL_OPT_REQUEST_TAG: return opt->value.len <= TAG_MAX;
  }
  return false;
}

/* True when the path alone tells what the request transfers. */
static bool is_path_telling(const copal_req *req)
{
  return copal_req_lacks(req, COPAL_OPT_URI_HOST) && copal_req_lacks(req, COPAL_OPT_URI_PORT) &&
         copal_req_lacks(req, COPAL_OPT_URI_QUERY) && copal_req_lacks(req, COPAL_OPT_REQUEST_TAG);
}

static bool has_if_none_match(const copal_req *req)
{
  copal_span value;
  return !copal_req_lacks(req, COPAL_OPT_IF_NONE_MATCH) &&
         copal_opt_find(req->msg->options, COPAL_OPT_IF_NONE_MATCH, &value);
}

bool uploads_name(const handler_req *req, copal_span *name)
{
  *name = req->key;
  if (is_path_telling(req->coap))
    return true;
  const copal_span options = req->coap->msg->options;
  /* An option takes a byte of the run at least; its number and length take four here. */
  const size_t room = req->key.len + 4 * options.len;
  uint8_t *bytes = arena_take(req->arena, room);
  if (bytes == NULL)
    return false;
  copal_wr w = copal_wr_init((copal_mspan){bytes, room});
  copal_wr_span(&w, req->key);
  copal_opt_iter it = copal_opt_iter_init(options);
  for (copal_opt opt; copal_opt_next(&it, &opt);) {
    if (!is_telling(&opt))
      continue;
    copal_wr_be(&w, opt.number, 2);
    copal_wr_be(&w, (uint32_t)opt.value.len, 2);
    copal_wr_span(&w, opt.value);
  }
  *name = copal_wr_done(&w);
  return w.err == COPAL_OK;
}

uint32_t uploads_shard(const handler_req *req)
{
  return req->coap->path->session != 0 ? req->env->shard : 0;
}

static void link_newest(uploads *t, upload *u)
{
  u->newer = NULL;
  u->older = t->newest;
  if (t->newest != NULL)
    t->newest->newer = u;
  else
    t->oldest = u;
  t->newest = u;
}

static void unlink_age(uploads *t, upload *u)
{
  if (u->newer != NULL)
    u->newer->older = u->older;
  else
    t->newest = u->older;
  if (u->older != NULL)
    u->older->newer = u->newer;
  else
    t->oldest = u->newer;
}

/* Takes the upload out of the table; it is the caller's. */
static void take_out(uploads *t, upload *u)
{
  tdelete(u, &t->tree, compare);
  unlink_age(t, u);
  shares_drop(&t->addresses, &u->of_address);
  shares_drop(&t->clients, &u->of_client);
  t->counts.open--;
  t->counts.bytes -= u->kept;
}

static void destroy(upload *u)
{
  staging_wipe(&u->body);
  free(u);
}

static void on_release(lender *l)
{
  destroy((upload *)l); /* its first member */
}

static void drop(uploads *t, upload *u, uint64_t *counter)
{
  take_out(t, u);
  (*counter)++;
  u->is_doomed = true;
  if (!u->is_busy)
    destroy(u);
}

/* ----------------------------------------------------------------------------------------- limits
 */

/* Shards read the clock on their own: `touched` may lie ahead of `now`. */
static bool is_expired(const uploads *t, const upload *u, copal_time now)
{
  return now > u->touched && now - u->touched >= t->cfg.lifetime;
}

/* Drops the oldest of what has expired: giving back the memory of a great many takes time. */
static void expire(uploads *t, copal_time now)
{
  for (int i = 0; i < EXPIRE_MAX && t->oldest != NULL && is_expired(t, t->oldest, now); i++)
    drop(t, t->oldest, &t->counts.expired);
}

static void arm(sweeper *w, copal_time due)
{
  w->is_armed = true;
  copal_timerq_arm(w->env->timers, &w->timer.timer, due);
}

/* The instant at which the oldest upload ends, unless a block comes. */
static copal_time next_end(const uploads *t)
{
  return t->oldest->touched + t->cfg.lifetime;
}

static void on_due(service_timer *timer, copal_time now)
{
  sweeper *w = (sweeper *)timer;
  uploads *t = w->all;
  pthread_mutex_lock(&t->lock);
  w->is_armed = false;
  expire(t, now);
  if (t->oldest != NULL)
    arm(w, next_end(t) > now ? next_end(t) : now + 1);
  pthread_mutex_unlock(&t->lock);
}

static sweeper *sweeper_of(uploads *t, const handler_env *env)
{
  for (size_t i = 0; i < t->sweeper_count; i++)
    if (t->sweepers[i]->env == env)
      return t->sweepers[i];
  sweeper *w = t->sweeper_count < SHARD_MAX ? calloc(1, sizeof *w) : NULL;
  if (w == NULL)
    return NULL;
  w->timer.on_due = on_due;
  w->all = t;
  w->env = env;
  copal_timer_init(&w->timer.timer);
  t->sweepers[t->sweeper_count++] = w;
  return w;
}

/* Makes sure that the shard looks for what has expired. Without memory for that, the next block of
 * anybody does. */
static void ensure_sweep(uploads *t, const handler_env *env)
{
  sweeper *w = env->timers != NULL ? sweeper_of(t, env) : NULL;
  if (w != NULL && !w->is_armed)
    arm(w, next_end(t));
}

static copal_span address_of(const upload *u)
{
  return copal_span_of(u->path.remote.ip, sizeof u->path.remote.ip);
}

/* A client, as bytes. */
typedef struct client_key {
  uint32_t shard, session;
  copal_addr remote;
} client_key;

/* Addresses are shared behind a NAT: a client is an address with its port, or a session wherever it
 * is. */
static copal_span client_of(const upload *u, client_key *key)
{
  memset(key, 0, sizeof *key);
  key->shard = u->shard;
  key->session = u->path.session;
  if (u->path.session == 0)
    memcpy(&key->remote, &u->path.remote, sizeof key->remote);
  return copal_span_of((const uint8_t *)key, sizeof *key);
}

static bool enter_shares(uploads *t, upload *u)
{
  client_key key;
  if (!shares_add(&t->addresses, &u->of_address, address_of(u)))
    return false;
  if (shares_add(&t->clients, &u->of_client, client_of(u, &key)))
    return true;
  shares_drop(&t->addresses, &u->of_address);
  return false;
}

/* The oldest upload of the same client when it has its share already, else NULL. */
static upload *oldest_beyond_share(const uploads *t, const upload *wanted)
{
  client_key key;
  holding *oldest;
  const uint32_t count = shares_of(&t->clients, client_of(wanted, &key), &oldest);
  if (count < t->cfg.per_client)
    return NULL;
  return (upload *)((char *)oldest - offsetof(upload, of_client));
}

/* The upload to end when all together are too many: the oldest of an address that holds more than
 * half of them, so that it cannot take the places of others by using many ports; else the oldest.
 */
static upload *to_give_way(const uploads *t)
{
  holding *oldest = shares_majority(&t->addresses, t->counts.open);
  return oldest != NULL ? (upload *)((char *)oldest - offsetof(upload, of_address)) : t->oldest;
}

static void make_place(uploads *t, const upload *wanted)
{
  upload *victim = oldest_beyond_share(t, wanted);
  if (victim == NULL && t->counts.open >= t->cfg.count_max)
    victim = to_give_way(t);
  if (victim != NULL)
    drop(t, victim, &t->counts.evicted);
}

/* Makes room for `len` bytes more; `u` itself stays. */
static bool make_room(uploads *t, const upload *u, size_t len)
{
  while (t->counts.bytes + len > t->cfg.byte_max) {
    upload *victim = to_give_way(t);
    if (victim == u)
      break;
    drop(t, victim, &t->counts.evicted);
  }
  return t->counts.bytes + len <= t->cfg.byte_max;
}

/* ---------------------------------------------------------------------------------------- blocks
 */

static upload *make(uploads *t, const upload *wanted)
{
  upload *u = malloc(sizeof *u + wanted->name.len);
  if (u == NULL)
    return NULL;
  *u = *wanted;
  memcpy(u->name_bytes, wanted->name.ptr, wanted->name.len);
  u->name = copal_span_of(u->name_bytes, wanted->name.len);
  if (!enter_shares(t, u)) {
    free(u);
    return NULL;
  }
  if (tsearch(u, &t->tree, compare) == NULL) {
    shares_drop(&t->addresses, &u->of_address);
    shares_drop(&t->clients, &u->of_client);
    free(u);
    return NULL;
  }
  link_newest(t, u);
  t->counts.open++;
  return u;
}

/* The upload of that name that the request belongs to; the first block makes it. COPAL_EINCOMPLETE
 * when there is none, COPAL_ENOSLOT when it cannot be made. */
static int find_or_make(uploads *t, const handler_req *req, copal_span name, upload **u)
{
  const upload wanted = {.lender = {.release = on_release},
                         .shard = uploads_shard(req),
                         .path = *req->coap->path,
                         .code = req->coap->msg->code,
                         .name = name};
  upload **found = tfind(&wanted, &t->tree, compare);
  if (found != NULL && !is_expired(t, *found, req->now)) {
    *u = *found;
    return COPAL_OK;
  }
  if (found != NULL)
    drop(t, *found, &t->counts.expired);
  if (req->coap->block1.num != 0) {
    t->counts.broken++;
    return COPAL_EINCOMPLETE;
  }
  make_place(t, &wanted);
  *u = make(t, &wanted);
  return *u != NULL ? COPAL_OK : COPAL_ENOSLOT;
}

/* Counts what a block adds to the body, if there is room for it. */
static int reserve(uploads *t, upload *u, const copal_assembly_step *step, size_t len)
{
  const uint64_t end = step->offset + len;
  if (step->is_first) {
    t->counts.bytes -= u->kept;
    u->kept = 0;
  }
  if (step->is_repeated || end <= u->kept)
    return COPAL_OK;
  if (!make_room(t, u, (size_t)(end - u->kept))) {
    t->counts.failed++;
    return COPAL_ENOSLOT;
  }
  t->counts.bytes += end - u->kept;
  u->kept = end;
  return COPAL_OK;
}

/* The upload is the newest of all. The peer of a session may be elsewhere now; without memory for
 * that it counts for no address. */
static void touch(uploads *t, upload *u, const handler_req *req)
{
  const copal_path *path = req->coap->path;
  const bool has_moved = memcmp(u->path.remote.ip, path->remote.ip, sizeof path->remote.ip) != 0;
  unlink_age(t, u);
  link_newest(t, u);
  u->touched = req->now;
  u->path = *path;
  shares_renew(&u->of_client);
  shares_renew(&u->of_address);
  if (!has_moved)
    return;
  shares_drop(&t->addresses, &u->of_address);
  (void)shares_add(&t->addresses, &u->of_address, address_of(u));
}

/* Finds the block its upload and its place. COPAL_OK with `*u` busy, or an error; the upload, if
 * there is one, is over then. */
static int enter(uploads *t, const handler_req *req, copal_span name, upload **u,
                 copal_assembly_step *step)
{
  expire(t, req->now);
  int err = find_or_make(t, req, name, u);
  if (err < 0)
    return err;
  if ((*u)->is_busy) { /* on another shard: a client that sends from one port to two of ours */
    *u = NULL;
    t->counts.failed++;
    return COPAL_ENOSLOT;
  }
  touch(t, *u, req); /* first, so that others give way to it and not it to others */
  ensure_sweep(t, req->env);
  err = ordering_take(&(*u)->order, req->coap, req->env->limits->body_max, step);
  if (err == COPAL_OK)
    err = reserve(t, *u, step, req->coap->msg->payload.len);
  (*u)->must_be_absent = has_if_none_match(req->coap) || ((*u)->must_be_absent && !step->is_first);
  t->counts.broken += err == COPAL_EINCOMPLETE;
  (*u)->is_busy = err == COPAL_OK;
  return err;
}

/* Writes the block where it belongs, without the lock. */
static int keep(const uploads *t, upload *u, const copal_assembly_step *step, copal_span payload)
{
  if (step->is_first)
    staging_wipe(&u->body);
  if (step->is_repeated) {
    /* Another body under the same name: neither can be completed. RFC 7959 section 2.5. */
    const int held = staging_holds(&u->body, step->offset, payload);
    return held > 0 ? COPAL_OK : held == 0 ? COPAL_EINCOMPLETE : COPAL_ENOSLOT;
  }
  return staging_write(&u->body, t->cfg.place, step->offset, payload) < 0 ? COPAL_ENOSLOT
                                                                          : COPAL_OK;
}

/* The block has been written, or `err` says why not. Returns what is to be answered. */
static int leave(uploads *t, upload *u, int err, bool is_whole)
{
  u->is_busy = false;
  t->counts.broken += err == COPAL_EINCOMPLETE;
  t->counts.failed += err < 0 && err != COPAL_EINCOMPLETE;
  if (u->is_doomed) /* it gave way to others */
    return err < 0 ? err : COPAL_EINCOMPLETE;
  if (err < 0 || is_whole)
    take_out(t, u);
  t->counts.finished += err == COPAL_OK && is_whole;
  return err;
}

int uploads_take(uploads *t, const handler_req *req, upload **whole, copal_span *body)
{
  copal_assembly_step step = {.is_last = false};
  upload *u = NULL;
  copal_span name;

  *whole = NULL;
  if (!uploads_name(req, &name))
    return COPAL_ENOSLOT;
  pthread_mutex_lock(&t->lock);
  int err = enter(t, req, name, &u, &step);
  if (u != NULL && err < 0)
    take_out(t, u);
  pthread_mutex_unlock(&t->lock);
  if (err == COPAL_OK) {
    err = keep(t, u, &step, req->coap->msg->payload);
    if (err == COPAL_OK && step.is_last && staging_view(&u->body, body) < 0)
      err = COPAL_ENOSLOT;
    pthread_mutex_lock(&t->lock);
    err = leave(t, u, err, step.is_last);
    const bool is_over = u->is_doomed || err < 0;
    pthread_mutex_unlock(&t->lock);
    if (err == COPAL_OK && step.is_last)
      *whole = u;
    if (!is_over)
      return err;
  }
  if (u != NULL)
    destroy(u);
  return err;
}

bool upload_must_be_absent(const upload *whole)
{
  return whole->must_be_absent;
}

lender *upload_lender(upload *whole)
{
  return &whole->lender;
}

void upload_forget(upload *whole)
{
  if (whole != NULL && !whole->lender.is_taken)
    destroy(whole);
}

/* ---------------------------------------------------------------------------- opening and closing
 */

uploads *uploads_open(const uploads_cfg *cfg)
{
  uploads *t = calloc(1, sizeof *t);
  const copal_params params = copal_params_default();
  if (t == NULL)
    return NULL;
  t->cfg = *cfg;
  if (t->cfg.count_max == 0)
    t->cfg.count_max = COUNT_MAX_DEFAULT;
  if (t->cfg.per_client == 0)
    t->cfg.per_client = PER_CLIENT_DEFAULT;
  if (t->cfg.byte_max == 0)
    t->cfg.byte_max = BYTE_MAX_DEFAULT;
  if (t->cfg.lifetime == 0)
    t->cfg.lifetime = copal_exchange_lifetime(&params);
  t->own.dir = "/var/tmp";
  if (t->cfg.place == NULL)
    t->cfg.place = &t->own;
  pthread_mutex_init(&t->lock, NULL);
  return t;
}

void uploads_close(uploads *t)
{
  if (t == NULL)
    return;
  while (t->oldest != NULL)
    drop(t, t->oldest, &t->counts.evicted);
  for (size_t i = 0; i < t->sweeper_count; i++)
    free(t->sweepers[i]);
  shares_wipe(&t->addresses);
  shares_wipe(&t->clients);
  pthread_mutex_destroy(&t->lock);
  free(t);
}

uploads_counts uploads_counts_now(uploads *t)
{
  pthread_mutex_lock(&t->lock);
  const uploads_counts counts = t->counts;
  pthread_mutex_unlock(&t->lock);
  return counts;
}
