/* SPDX-License-Identifier: Apache-2.0 */
/* The LMDB engine: ports, reading, listing, opening and closing. */
#include "store/lmdb/lmdb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "copal/error.h"
#include "store/journal/look.h"
#include "store/keytree.h"
#include "store/lmdb/dbkey.h"
#include "store/lmdb/engine.h"

enum {
  RESOURCE_MAX_DEFAULT = 1000000,
  QUEUE_MAX_DEFAULT = 64 << 20,
  PENDING_MAX_DEFAULT = 4096,
  BATCH_MAX_DEFAULT = 512,
  NAME_MAX_DEFAULT = 1000000,
  LENT_MIN = 64 << 10, /* longer bodies that are lent are not copied */
};

#define BYTE_MAX_DEFAULT (UINT64_C(64) << 30)

static lmdb_store *store_of(store_port *p)
{
  return (lmdb_store *)p->store;
}

/* ------------------------------------------------------------------------------------------------
 * views */

/* The port's snapshot, begun when there is none. NULL when LMDB has none to give. */
static MDB_txn *port_view(lmdb_port *p)
{
  if (p->is_viewing)
    return p->view;
  const lmdb_store *s = store_of(&p->base);
  int rc;
  if (p->view != NULL) {
    rc = mdb_txn_renew(p->view);
  } else {
    rc = mdb_txn_begin(s->env.mdb, NULL, MDB_RDONLY, &p->view);
    p->view = rc == 0 ? p->view : NULL;
  }
  p->is_viewing = rc == 0;
  p->has_lent = false;
  return rc == 0 ? p->view : NULL;
}

/* Gives the snapshot back; the next read begins another. An idle port must not hold one: the
 * database cannot use pages again that an old snapshot sees. */
static void lmdb_view_renew(store_port *base)
{
  lmdb_port *p = (lmdb_port *)base;
  while (p->retired_count > 0)
    mdb_txn_abort(p->retired[--p->retired_count]);
  if (p->is_viewing)
    mdb_txn_reset(p->view);
  p->is_viewing = false;
}

/* There are newer results than the snapshot shows. What it lent stays until the view is renewed.
 * With too many such snapshots the view stays as it is. */
static void port_outdate(lmdb_port *p)
{
  if (!p->is_viewing)
    return;
  if (!p->has_lent) {
    mdb_txn_reset(p->view);
    p->is_viewing = false;
  } else if (p->retired_count < RETIRED_MAX) {
    p->retired[p->retired_count++] = p->view;
    p->view = NULL;
    p->is_viewing = false;
  }
}

/* ------------------------------------------------------------------------------------------------
 * ports */

static int lmdb_port_open(store *base, store_waker *waker, store_port **port)
{
  lmdb_port *p = calloc(1, sizeof *p);
  if (p == NULL)
    return COPAL_ENOSLOT;
  p->base.store = base;
  p->waker = waker;
  request_list_init(&p->done);
  *port = &p->base;
  return COPAL_OK;
}

static void lmdb_port_close(store_port *base)
{
  lmdb_port *p = (lmdb_port *)base;
  lmdb_store *s = store_of(base);
  pthread_mutex_lock(&s->lock);
  while (p->in_writer > 0)
    pthread_cond_wait(&s->settled, &s->lock);
  pthread_mutex_unlock(&s->lock);
  for (request *r; (r = request_list_pop(&p->done)) != NULL;)
    request_free(r);
  lmdb_view_renew(base);
  if (p->view != NULL)
    mdb_txn_abort(p->view);
  free(p);
}

static copal_span copy(uint8_t **at, copal_span bytes)
{
  const copal_span copied = copal_span_of(*at, bytes.len);
  if (bytes.len > 0)
    memcpy(*at, bytes.ptr, bytes.len);
  *at += bytes.len;
  return copied;
}

static request *request_make(lmdb_port *p, store_op *op, copal_time now)
{
  const bool has_body = op->verb == STORE_PUT;
  const bool has_attrs = op->verb != STORE_DELETE;
  const copal_span body = has_body ? op->body : copal_span_none();
  const bool is_lent = op->lends_body && body.len >= LENT_MIN;
  const size_t size = op->key.len + (is_lent ? 0 : body.len) + (has_attrs ? op->attrs.len : 0);
  request *r = malloc(sizeof *r + size);
  if (r == NULL)
    return NULL;
  *r = (request){.port = p, .op = op, .now = now, .size = sizeof *r + size};
  uint8_t *at = r->bytes;
  r->key = copy(&at, op->key);
  r->attrs = copy(&at, has_attrs ? op->attrs : copal_span_none());
  r->body = is_lent ? body : copy(&at, body);
  return r;
}

static int lmdb_commit(store_port *base, store_op *op, copal_time now)
{
  lmdb_port *p = (lmdb_port *)base;
  lmdb_store *s = store_of(base);
  if (op->key.len == 0)
    return COPAL_EINVAL;
  request *r = p->under_way < s->cfg.pending_max ? request_make(p, op, now) : NULL;
  if (r == NULL || writer_submit(s, r) != COPAL_OK) {
    request_free(r);
    count_up(&s->counters.pending_refused);
    return COPAL_ENOSLOT;
  }
  p->under_way++;
  return COPAL_OK;
}

static void take_done(lmdb_port *p, int max, request_list *taken)
{
  lmdb_store *s = store_of(&p->base);
  request_list_init(taken);
  pthread_mutex_lock(&s->lock);
  for (int i = 0; i < max && p->done.head != NULL; i++)
    request_list_push(taken, request_list_pop(&p->done));
  pthread_mutex_unlock(&s->lock);
}

static int lmdb_drain(store_port *base, int max)
{
  lmdb_port *p = (lmdb_port *)base;
  request_list taken;
  if (p->under_way == 0)
    return 0;
  take_done(p, max, &taken);
  if (taken.head != NULL)
    port_outdate(p);
  int ran = 0;
  for (request *r; (r = request_list_pop(&taken)) != NULL; ran++) {
    store_op *op = r->op;
    p->under_way--;
    op->done(op, &r->result);
    request_free(r); /* the result may point into it */
  }
  return ran;
}

/* ------------------------------------------------------------------------------------------------
 * reading */

static void read_failed(lmdb_store *s, copal_span key, int rc)
{
  count_up(&s->counters.reads_failed);
  lmdb_damage_tell(&s->damage, key, rc);
}

/* The instant on the clock of store_commit(); 0 when that clock did not run yet. */
static copal_time written_of(const lmdb_store *s, uint64_t wall)
{
  const uint64_t at = wall - s->base.wall_ahead;
  return at > INT64_MAX ? 0 : at;
}

static void fill_item(const lmdb_store *s, const record *r, store_item *item)
{
  *item = r->item;
  item->written = written_of(s, r->wall);
}

/* Reads from the snapshot of the last commit, which is kept for ever when the store has failed. */
static int find_in_standby(lmdb_store *s, store_space in, copal_span key, record *found)
{
  if (!atomic_load(&s->has_failed))
    return ENOMEM;
  pthread_mutex_lock(&s->standby_lock);
  const int rc = apply_find(&s->env, s->standby, in, key, found);
  pthread_mutex_unlock(&s->standby_lock);
  return rc;
}

static store_status lmdb_get(store_port *base, store_space in, copal_span key, store_item *item,
                             copal_time now)
{
  lmdb_port *p = (lmdb_port *)base;
  lmdb_store *s = store_of(base);
  record found;
  if (key.len == 0 || key.len > (in == STORE_STATE ? STORE_STATE_KEY_MAX : STORE_KEY_MAX))
    return STORE_ABSENT;
  MDB_txn *txn = port_view(p);
  const int rc =
      txn != NULL ? apply_find(&s->env, txn, in, key, &found) : find_in_standby(s, in, key, &found);
  if (rc == MDB_NOTFOUND || rc == HASH_IS_SHARED || (rc == 0 && record_is_expired(s, &found, now)))
    return STORE_ABSENT;
  if (rc != 0) {
    read_failed(s, key, rc);
    return STORE_FAILED;
  }
  p->has_lent = true;
  fill_item(s, &found, item);
  return STORE_OK;
}

/* ------------------------------------------------------------------------------------------------
 * history */

typedef struct retelling {
  const lmdb_store *s;
  copal_span key;
  store_each *each;
  void *ctx;
  int calls;
} retelling;

static int retell(void *ctx, const record *former)
{
  retelling *h = ctx;
  store_item item;
  fill_item(h->s, former, &item);
  h->calls++;
  return h->each(h->ctx, h->key, &item);
}

static int lmdb_history(store_port *base, copal_span key, size_t max, store_each *each, void *ctx,
                        copal_time now)
{
  lmdb_store *s = store_of(base);
  MDB_txn *txn = port_view((lmdb_port *)base);
  record found;
  if (key.len == 0 || key.len > STORE_KEY_MAX || max == 0)
    return 0;
  int rc = txn == NULL ? ENOMEM : apply_find(&s->env, txn, STORE_RESOURCES, key, &found);
  if (rc == MDB_NOTFOUND || rc == HASH_IS_SHARED || (rc == 0 && record_is_expired(s, &found, now)))
    return 0;
  retelling h = {.s = s, .key = key, .each = each, .ctx = ctx};
  int stop = rc == 0 ? retell(&h, &found) : 0;
  if (rc == 0 && stop == 0)
    rc = apply_history(&s->env, txn, key, max - 1, retell, &h, &stop);
  if (rc != 0)
    read_failed(s, key, rc);
  return stop < 0 ? stop : h.calls;
}

/* ------------------------------------------------------------------------------------------------
 * listing */

/* A listing under way. */
typedef struct listing {
  lmdb_store *s;
  MDB_cursor *cursor;
  store_space space;
  copal_span prefix;
  copal_span from;
  bool is_behind; /* `from` itself is not wanted */
  size_t left;
  copal_time now;
  store_each *each;
  void *ctx;
  int calls;
  int stop; /* what `each` returned */
} listing;

/* A representation with a long path. */
typedef struct long_item {
  copal_span path;
  copal_span record;
} long_item;

static int compare_long(const void *a, const void *b)
{
  return keytree_compare(((const long_item *)a)->path, ((const long_item *)b)->path);
}

/* Hands one representation on, if it is wanted. Returns false when the listing is over. */
static bool list_one(listing *l, copal_span path, copal_span bytes)
{
  const int order = keytree_compare(path, l->from);
  if (order < 0 || (order == 0 && l->is_behind))
    return true;
  if (!copal_span_has_prefix(path, l->prefix))
    return false;
  record r;
  store_item item;
  if (!record_get(bytes, &r)) {
    read_failed(l->s, path, RECORD_DAMAGED);
    return true;
  }
  if (record_is_expired(l->s, &r, l->now))
    return true;
  fill_item(l->s, &r, &item);
  l->stop = l->each(l->ctx, path, &item);
  l->calls++;
  l->left--;
  return l->stop == 0 && l->left > 0 && l->calls < INT32_MAX;
}

/* Reads all long paths that begin like the one at the cursor, which moves behind them. They are
 * ordered by their hash there. Returns LMDB's answer about what follows, or ENOMEM. */
static int read_long(const listing *l, MDB_val *key, MDB_val *value, long_item **out, size_t *count)
{
  const uint8_t *start = key->mv_data;
  size_t cap = 0;
  int rc = MDB_SUCCESS;
  *out = NULL;
  *count = 0;
  while (rc == MDB_SUCCESS && dbkey_is_long(env_span(*key)) &&
         memcmp(key->mv_data, start, DBKEY_LITERAL_MAX) == 0) {
    if (*count == cap) {
      cap = cap == 0 ? 64 : 2 * cap;
      long_item *wider = realloc(*out, cap * sizeof *wider);
      if (wider == NULL)
        return ENOMEM;
      *out = wider;
    }
    record r;
    if (record_get(env_span(*value), &r))
      (*out)[(*count)++] = (long_item){r.path, env_span(*value)};
    else
      read_failed(l->s, env_span(*key), RECORD_DAMAGED);
    rc = mdb_cursor_get(l->cursor, key, value, MDB_NEXT);
  }
  return rc;
}

static int list_long(listing *l, MDB_val *key, MDB_val *value, bool *goes_on)
{
  long_item *items;
  size_t count;
  const int rc = read_long(l, key, value, &items, &count);
  if (rc == MDB_SUCCESS || rc == MDB_NOTFOUND) {
    if (count > 0)
      qsort(items, count, sizeof *items, compare_long);
    for (size_t i = 0; *goes_on && i < count; i++)
      *goes_on = list_one(l, items[i].path, items[i].record);
  }
  free(items);
  return rc;
}

static void list_all(listing *l)
{
  const size_t start_max = l->space == STORE_STATE ? STORE_STATE_KEY_MAX : DBKEY_LITERAL_MAX;
  copal_span start = l->from;
  if (start.len > start_max)
    start.len = start_max;
  MDB_val key = env_val(start);
  MDB_val value;
  int rc = mdb_cursor_get(l->cursor, &key, &value, start.len > 0 ? MDB_SET_RANGE : MDB_FIRST);
  bool goes_on = l->left > 0;
  while (rc == MDB_SUCCESS && goes_on) {
    if (l->space == STORE_RESOURCES && dbkey_is_long(env_span(key))) {
      rc = list_long(l, &key, &value, &goes_on);
      continue;
    }
    goes_on = list_one(l, env_span(key), env_span(value));
    if (goes_on)
      rc = mdb_cursor_get(l->cursor, &key, &value, MDB_NEXT);
  }
  if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND)
    count_up(&l->s->counters.reads_failed);
}

static int lmdb_list(store_port *base, const store_range *range, store_each *each, void *ctx,
                     copal_time now)
{
  lmdb_store *s = store_of(base);
  const bool is_inside = range->after.len > 0 && keytree_compare(range->after, range->prefix) >= 0;
  listing l = {
      .s = s,
      .space = range->space,
      .prefix = range->prefix,
      .from = is_inside ? range->after : range->prefix,
      .is_behind = is_inside,
      .left = range->max,
      .now = now,
      .each = each,
      .ctx = ctx,
  };
  MDB_txn *txn = port_view((lmdb_port *)base);
  const MDB_dbi tree = range->space == STORE_STATE ? s->env.state : s->env.items;
  if (txn == NULL || mdb_cursor_open(txn, tree, &l.cursor) != MDB_SUCCESS) {
    count_up(&s->counters.reads_failed);
    return 0;
  }
  list_all(&l);
  mdb_cursor_close(l.cursor);
  return l.stop < 0 ? l.stop : l.calls;
}

/* ------------------------------------------------------------------------------------------------
 * the store */

static void lmdb_follow(store *base, store_follower *f)
{
  lmdb_store *s = (lmdb_store *)base;
  f->next = s->followers;
  s->followers = f;
}

static store_usage lmdb_usage(store *base)
{
  lmdb_store *s = (lmdb_store *)base;
  return (store_usage){.resources = s->counters.resources, .bytes = s->counters.bytes};
}

static void lmdb_close(store *base)
{
  lmdb_store *s = (lmdb_store *)base;
  writer_stop(s);
  if (s->standby != NULL)
    mdb_txn_abort(s->standby);
  env_close(&s->env);
  pthread_mutex_destroy(&s->lock);
  pthread_mutex_destroy(&s->standby_lock);
  pthread_cond_destroy(&s->work);
  pthread_cond_destroy(&s->settled);
  free(s);
}

void lmdb_store_name_counts(const lmdb_store_counts *c, store_count counts[LMDB_COUNT_COUNT])
{
  const store_count all[] = {
      {"store_commits", c->commits},
      {"store_changes", c->changes},
      {"store_resources_refused", c->resources_refused},
      {"store_bytes_refused", c->bytes_refused},
      {"store_pending_refused", c->pending_refused},
      {"store_names_refused", c->names_refused},
      {"store_repeats", c->repeats},
      {"store_expired", c->expired},
      {"store_changes_failed", c->failed},
      {"store_reads_failed", c->reads_failed},
  };
  _Static_assert(sizeof all / sizeof *all == LMDB_COUNT_COUNT, "one for each counter");
  memcpy(counts, all, sizeof all);
}

static size_t lmdb_counts(store *base, store_count counts[STORE_COUNT_MAX])
{
  const lmdb_store_counts c = lmdb_store_counts_now(base);
  lmdb_store_name_counts(&c, counts);
  return LMDB_COUNT_COUNT;
}

/* The snapshot tells of all keys at once. */
static uint32_t lmdb_where(store_port *p, copal_span key)
{
  (void)p, (void)key;
  return 0;
}

static uint64_t lmdb_state(store_port *base, uint32_t where)
{
  enum { UNKNOWN = 1 };
  MDB_txn *txn = port_view((lmdb_port *)base);
  (void)where;
  return txn != NULL ? (uint64_t)mdb_txn_id(txn) * 2 : UNKNOWN;
}

static const store_engine lmdb_engine = {
    .port_open = lmdb_port_open,
    .port_close = lmdb_port_close,
    .view_renew = lmdb_view_renew,
    .get = lmdb_get,
    .where = lmdb_where,
    .state = lmdb_state,
    .commit = lmdb_commit,
    .drain = lmdb_drain,
    .list = lmdb_list,
    .history = lmdb_history,
    .follow = lmdb_follow,
    .usage = lmdb_usage,
    .counts = lmdb_counts,
    .close = lmdb_close,
};

static lmdb_store_cfg with_defaults(const lmdb_store_cfg *given)
{
  lmdb_store_cfg cfg = given != NULL ? *given : (lmdb_store_cfg){0};
  if (cfg.resource_max == 0)
    cfg.resource_max = RESOURCE_MAX_DEFAULT;
  if (cfg.byte_max == 0)
    cfg.byte_max = BYTE_MAX_DEFAULT;
  if (cfg.queue_max == 0)
    cfg.queue_max = QUEUE_MAX_DEFAULT;
  if (cfg.pending_max == 0)
    cfg.pending_max = PENDING_MAX_DEFAULT;
  if (cfg.batch_max == 0)
    cfg.batch_max = BATCH_MAX_DEFAULT;
  if (cfg.name_max == 0)
    cfg.name_max = NAME_MAX_DEFAULT;
  return cfg;
}

static uint64_t system_clock(clockid_t id)
{
  struct timespec ts;
  clock_gettime(id, &ts);
  return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* The journal may have changes that the database has not: another engine knows what to do. */
static int check_journal(const lmdb_store *s, const char *dir, char why[LMDB_WHY_SIZE])
{
  bool is_open;
  const int rc = journal_look_closed(&s->env, dir, &is_open, why);
  if (rc != 0 || !is_open)
    return rc;
  snprintf(why, LMDB_WHY_SIZE,
           "%.100s: the store has a journal that was not closed; open it with store = "
           "\"journal\" once",
           dir);
  return COPAL_EFORMAT;
}

/* What needs the directory open. */
static int start(lmdb_store *s, const char *dir, char why[LMDB_WHY_SIZE])
{
  int rc = space_init(&s->space, &s->env);
  if (rc == 0)
    rc = mdb_txn_begin(s->env.mdb, NULL, MDB_RDONLY, &s->standby);
  MDB_stat stat;
  if (rc == 0)
    rc = check_journal(s, dir, why);
  if (rc == 0)
    rc = mdb_stat(s->standby, s->env.items, &stat);
  if (rc == 0) {
    expiring first = {.expiry = 0};
    if (apply_first_expiring(&s->env, s->standby, &first) == 0)
      s->next_expiry = first.expiry;
    s->rev = s->env.record.rev;
    s->counters.resources = stat.ms_entries;
    s->counters.bytes = space_used(&s->env) * s->env.page;
    rc = writer_start(s);
  }
  if (rc != 0 && why[0] == '\0')
    strncat(why, mdb_strerror(rc), LMDB_WHY_SIZE - 1);
  return rc > 0 ? -rc : rc;
}

int lmdb_store_open(const char *dir, const lmdb_store_cfg *cfg, store **out,
                    char why[LMDB_WHY_SIZE])
{
  why[0] = '\0';
  lmdb_store *s = calloc(1, sizeof *s);
  if (s == NULL)
    return -ENOMEM;
  s->base.engine = &lmdb_engine;
  s->cfg = with_defaults(cfg);
  s->damage.listener = s->cfg.listener;
  const uint64_t wall = s->cfg.wall != 0 ? s->cfg.wall : system_clock(CLOCK_REALTIME);
  s->base.wall_ahead = wall - s->cfg.now;
  s->opened = system_clock(CLOCK_MONOTONIC);
  request_list_init(&s->queue);
  pthread_mutex_init(&s->lock, NULL);
  pthread_mutex_init(&s->standby_lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&s->work, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_cond_init(&s->settled, NULL);
  int rc = env_open(&s->env, dir, s->cfg.byte_max, ENV_SERVE, why);
  if (rc == 0)
    rc = start(s, dir, why);
  if (rc != 0) {
    lmdb_close(&s->base);
    return rc;
  }
  *out = &s->base;
  return COPAL_OK;
}

lmdb_store_counts lmdb_store_counts_now(store *base)
{
  lmdb_counters *c = &((lmdb_store *)base)->counters;
  return (lmdb_store_counts){
      .commits = c->commits,
      .changes = c->changes,
      .resources_refused = c->resources_refused,
      .bytes_refused = c->bytes_refused,
      .pending_refused = c->pending_refused,
      .names_refused = c->names_refused,
      .repeats = c->repeats,
      .expired = c->expired,
      .failed = c->failed,
      .reads_failed = c->reads_failed,
  };
}
