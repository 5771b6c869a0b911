/* SPDX-License-Identifier: Apache-2.0 */
/* The journal engine: ports, opening, recovery and closing. */
#include "store/journal/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "copal/error.h"
#include "store/journal/engine.h"
#include "store/journal/look.h"
#include "store/journal/read.h"

enum {
  RESOURCE_MAX_DEFAULT = 1000000,
  NAME_MAX_DEFAULT = 1000000,
  QUEUE_MAX_DEFAULT = 64 << 20,
  PENDING_MAX_DEFAULT = 4096,
  BATCH_MAX_DEFAULT = 4096,
  INTENT_SMALL = 512, /* bytes */
  UNUSED_MAX = 1024,  /* of them, that a port keeps */
  OUTBOX_MAX = 256,   /* changes that a port keeps to itself */
  SEGMENT_DEFAULT = 64 << 20,
  MEMORY_MAX_DEFAULT = 256 << 20,
  MEMORY_MIN = 8 << 20,
  SHARE_OF_MEMORY = 8,    /* of the machine */
  BYTES_PER_BUCKET = 256, /* of memory, for the overlay's table */
  BUCKETS_MIN = 1024,
  BUCKETS_MAX = 1 << 22,
};

#define BYTE_MAX_DEFAULT    (UINT64_C(64) << 30)
#define JOURNAL_MAX_DEFAULT (UINT64_C(1) << 30)
#define CHECKPOINT_DEFAULT  (UINT64_C(1000000))

static journal_store *store_of(store_port *p)
{
  return (journal_store *)p->store;
}

/* ------------------------------------------------------------------------------------------------
 * ports */

static int journal_port_open(store *base, store_waker *waker, store_port **port)
{
  journal_port *p = calloc(1, sizeof *p);
  if (p == NULL)
    return COPAL_ENOSLOT;
  p->base.store = base;
  p->waker = waker;
  intent_list_init(&p->done);
  intent_list_init(&p->outbox);
  view_add((journal_store *)base, &p->view);
  *port = &p->base;
  return COPAL_OK;
}

static void journal_gather(store_port *base, bool gathers)
{
  journal_port *p = (journal_port *)base;
  p->gathers = gathers;
  journal_offer(store_of(base), p);
}

static copal_time journal_gathered(const store_port *base)
{
  const journal_port *p = (const journal_port *)base;
  return p->outbox.head != NULL ? p->outbox.head->now : COPAL_NEVER;
}

static void journal_view_renew(store_port *base)
{
  journal_port *p = (journal_port *)base;
  journal_offer(store_of(base), p);
  for (size_t i = 0; i < p->lent_count; i++)
    version_give(p->lent[i]);
  p->lent_count = 0;
  view_close(&p->view);
}

static void journal_port_close(store_port *base)
{
  journal_port *p = (journal_port *)base;
  journal_store *s = store_of(base);
  journal_flush(s, p);
  pthread_mutex_lock(&s->lock);
  while (p->in_writer > 0)
    pthread_cond_wait(&s->settled, &s->lock);
  pthread_mutex_unlock(&s->lock);
  for (intent *r; (r = intent_list_pop(&p->done)) != NULL;)
    intent_free(r);
  journal_view_renew(base);
  view_remove(s, &p->view);
  for (intent *r; (r = p->unused) != NULL;) {
    p->unused = r->next;
    free(r);
  }
  free(p->lent);
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

/* A block for an intent of so many bytes; small ones are all of one size and used again. */
static intent *take_block(journal_port *p, size_t size)
{
  intent *r = p->unused;
  if (size > INTENT_SMALL)
    return malloc(size);
  if (r == NULL)
    return malloc(INTENT_SMALL);
  p->unused = r->next;
  p->unused_count--;
  return r;
}

static void give_block(journal_port *p, intent *r)
{
  if (r->size > INTENT_SMALL || p->unused_count == UNUSED_MAX) {
    free(r);
    return;
  }
  r->next = p->unused;
  p->unused = r;
  p->unused_count++;
}

static intent *intent_make(journal_port *p, store_op *op, copal_time now)
{
  const journal_store *s = store_of(&p->base);
  const copal_span body = op->verb == STORE_PUT ? op->body : copal_span_none();
  const copal_span attrs = op->verb != STORE_DELETE ? op->attrs : copal_span_none();
  const bool is_lent = op->lends_body && body.len >= BATCH_LENT_MIN;
  const size_t size = op->key.len + attrs.len + (is_lent ? 0 : body.len);
  intent *r = take_block(p, sizeof *r + size);
  if (r == NULL)
    return NULL;
  *r = (intent){
      .port = p, .op = op, .now = now, .size = sizeof *r + size, .lent = is_lent ? body.len : 0};
  uint8_t *at = r->bytes;
  r->key = copy(&at, op->key);
  r->attrs = copy(&at, attrs);
  r->body = is_lent ? body : copy(&at, body);
  r->hash = overlay_hash(&s->overlay, (int)op->space, op->key);
  return r;
}

/* So many bytes may be under way, or one change of any size. */
static bool admit(journal_store *s, size_t size)
{
  const uint64_t before = atomic_fetch_add(&s->queued, size);
  if (before == 0 || (before <= s->cfg.queue_max && size <= s->cfg.queue_max - before))
    return true;
  count_sub(&s->queued, size);
  return false;
}

static int journal_commit(store_port *base, store_op *op, copal_time now)
{
  journal_port *p = (journal_port *)base;
  journal_store *s = store_of(base);
  if (op->key.len == 0)
    return COPAL_EINVAL;
  intent *r = p->under_way < s->cfg.pending_max ? intent_make(p, op, now) : NULL;
  if (r == NULL || !admit(s, r->size)) {
    if (r != NULL)
      give_block(p, r);
    count_up(&s->counters.pending_refused);
    return COPAL_ENOSLOT;
  }
  p->under_way++;
  intent_list_push(&p->outbox, r);
  p->outbox_bytes += r->size + r->lent;
  if (++p->outbox_count == OUTBOX_MAX)
    journal_flush(s, p);
  return COPAL_OK;
}

static void take_done(journal_port *p, int max, intent_list *taken)
{
  journal_store *s = store_of(&p->base);
  intent_list_init(taken);
  pthread_mutex_lock(&s->lock);
  if (p->done_count <= (uint32_t)max) {
    intent_list_append(taken, &p->done);
    p->done_count = 0;
  }
  for (int i = 0; i < max && p->done.head != NULL; i++, p->done_count--)
    intent_list_push(taken, intent_list_pop(&p->done));
  pthread_mutex_unlock(&s->lock);
}

static int journal_drain(store_port *base, int max)
{
  journal_port *p = (journal_port *)base;
  intent_list taken;
  if (p->under_way == 0)
    return 0;
  journal_offer(store_of(base), p);
  take_done(p, max, &taken);
  int ran = 0;
  for (intent *r; (r = intent_list_pop(&taken)) != NULL; ran++) {
    store_op *op = r->op;
    const store_result result = r->result;
    uint8_t *key = r->kept; /* the result may point there */
    give_block(p, r);
    p->under_way--;
    op->done(op, &result);
    free(key);
  }
  return ran;
}

/* ------------------------------------------------------------------------------------------------
 * the store */

static void journal_follow(store *base, store_follower *f)
{
  journal_store *s = (journal_store *)base;
  f->next = s->followers;
  s->followers = f;
}

static store_usage journal_usage(store *base)
{
  journal_store *s = (journal_store *)base;
  return (store_usage){.resources = count_now(&s->counters.resources),
                       .bytes = count_now(&s->counters.data_bytes) + count_now(&s->chain.bytes)};
}

static void free_settling(journal_store *s)
{
  while (s->settling != NULL) {
    settling *done = s->settling;
    s->settling = done->next;
    free(done->entries.items);
    free(done);
  }
}

/* Everything into the database, so that LMDB alone can go on with the directory. */
static bool finish(journal_store *s)
{
  return s->is_open && !atomic_load(&s->has_failed) && checkpoint_make(s) == 0 &&
         checkpoint_mark(s, false) == 0;
}

static void journal_close(store *base)
{
  journal_store *s = (journal_store *)base;
  journal_writer_stop(s);
  flyer_stop(s);
  checkpointer_stop(s);
  view_remove(s, &s->view);
  const bool is_clean = finish(s);
  if (s->chain.dir_fd >= 0)
    chain_close(&s->chain, is_clean);
  if (s->standby != NULL)
    mdb_txn_abort(s->standby);
  free_settling(s);
  keep_wipe(&s->keep);
  overlay_wipe(&s->overlay);
  env_close(&s->env);
  for (size_t i = 0; i < sizeof s->flights / sizeof *s->flights; i++) {
    batch_wipe(&s->flights[i].batch);
    free(s->flights[i].steps.items);
  }
  free(s->dirty.items);
  pthread_mutex_destroy(&s->lock);
  pthread_mutex_destroy(&s->lag_lock);
  pthread_mutex_destroy(&s->views_lock);
  pthread_mutex_destroy(&s->standby_lock);
  pthread_cond_destroy(&s->work);
  pthread_cond_destroy(&s->settled);
  pthread_cond_destroy(&s->take_off);
  pthread_cond_destroy(&s->lag_grew);
  pthread_cond_destroy(&s->lag_shrank);
  free(s);
}

static size_t journal_counts(store *base, store_count counts[STORE_COUNT_MAX])
{
  const journal_store_counts c = journal_store_counts_now(base);
  const store_count own[] = {
      {"journal_syncs", c.syncs},
      {"journal_bytes", c.journal_bytes},
      {"journal_checkpoints", c.checkpoints},
      {"journal_checkpoint_txns", c.checkpoint_txns},
      {"journal_checkpoint_us", c.checkpoint_us},
      {"journal_checkpointed", c.checkpointed},
      {"journal_lag_records", c.lag_records},
      {"journal_lag_bytes", c.lag_bytes},
      {"journal_memory", c.memory},
      {"journal_files_bytes", c.files_bytes},
      {"journal_waits", c.waits},
      {"journal_waited_us", c.waited_us},
      {"journal_recovered", c.recovered},
  };
  const size_t count = sizeof own / sizeof *own;
  _Static_assert(LMDB_COUNT_COUNT + sizeof own / sizeof *own <= STORE_COUNT_MAX, "room for all");
  lmdb_store_name_counts(&c.common, counts);
  memcpy(counts + LMDB_COUNT_COUNT, own, sizeof own);
  return LMDB_COUNT_COUNT + count;
}

static const store_engine journal_engine = {
    .port_open = journal_port_open,
    .port_close = journal_port_close,
    .view_renew = journal_view_renew,
    .get = read_get,
    .where = read_where,
    .state = read_state,
    .commit = journal_commit,
    .gather = journal_gather,
    .gathered = journal_gathered,
    .drain = journal_drain,
    .list = read_list,
    .history = read_history,
    .follow = journal_follow,
    .usage = journal_usage,
    .counts = journal_counts,
    .close = journal_close,
};

/* ------------------------------------------------------------------------------------------------
 * recovery */

/* Takes over what the journal has and the database has not. */
typedef struct recovery {
  chain_reader reader; /* first */
  journal_store *s;
  uint64_t batch; /* the one whose records are in the steps */
  uint64_t size;  /* bytes of it so far */
} recovery;

/* Shows the records of a batch as the writer would. */
static void recover_batch(recovery *r)
{
  journal_store *s = r->s;
  if (s->next->steps.count > 0)
    journal_publish(s, &s->next->steps, r->batch, s->tally.rev, r->size);
  r->size = 0;
}

static bool is_present(journal_store *s, const overlay_entry *e)
{
  const version *latest = overlay_latest(e);
  record found;
  if (latest != NULL)
    return latest->kind == BATCH_PUT;
  return apply_find(&s->env, s->standby, (store_space)e->space, copal_span_of(e->key, e->key_len),
                    &found) == 0;
}

static version *version_of(journal_store *s, const batch_record *rec, const chain_place *place)
{
  batch_record full = *rec;
  full.rec.item.written = instant_of(s, rec->rec.wall);
  version *v = version_make(&full, NULL);
  if (v == NULL || rec->kind != BATCH_PUT || rec->rec.item.body.len < BATCH_LENT_MIN)
    return v;
  uint8_t *body;
  size_t len;
  void *map = chain_map(&s->chain, place, 0, rec->rec.item.body.len, &body, &len);
  if (map == NULL) {
    version_give(v);
    return NULL;
  }
  version_place(v, map, len, body, &s->chain.maps);
  return v;
}

static void count_recovered(journal_store *s, const batch_record *rec, bool was_present)
{
  if (rec->kind == BATCH_OP) {
    s->tally.names++;
    return;
  }
  if (rec->space != STORE_RESOURCES)
    return;
  if (rec->kind == BATCH_PUT && !was_present)
    s->tally.resources++;
  if (rec->kind == BATCH_DELETE && was_present)
    s->tally.resources--;
}

static int recover_record(chain_reader *reader, uint64_t number, const batch_record *rec,
                          const chain_place *place)
{
  recovery *r = (recovery *)reader;
  journal_store *s = r->s;
  if (number != r->batch)
    recover_batch(r);
  r->batch = number;
  r->size += BATCH_RECORD_SIZE + rec->key.len + rec->rec.item.body.len;
  const int in = rec->kind == BATCH_OP ? OVERLAY_OPS : (int)rec->space;
  overlay_entry *e =
      overlay_pin(&s->overlay, in, rec->key, overlay_hash(&s->overlay, in, rec->key));
  version *v = e != NULL ? version_of(s, rec, place) : NULL;
  if (v == NULL)
    return -ENOMEM;
  const bool was_present = rec->kind != BATCH_OP && is_present(s, e);
  count_recovered(s, rec, was_present);
  const step next = {.entry = e, .made = v, .is_new = rec->kind == BATCH_PUT && !was_present};
  if (!step_list_push(&s->next->steps, &next)) {
    version_give(v);
    return -ENOMEM;
  }
  e->pending = v;
  if (v->rev > s->tally.rev)
    s->tally.rev = v->rev;
  return 0;
}

static int recover(journal_store *s, uint64_t newest, char why[CHAIN_WHY_SIZE])
{
  recovery r = {.reader = {.on_record = recover_record, .applied = s->applied, .newest = newest},
                .s = s};
  const int rc = chain_read(&s->chain, &r.reader, why);
  if (rc != 0) {
    evaluation_undo(s, s->next, 0, batch_mark_now(&s->next->batch));
    return rc;
  }
  recover_batch(&r);
  if (r.reader.rev > s->tally.rev)
    s->tally.rev = r.reader.rev;
  s->published = s->chain.next_batch - 1;
  s->published_rev = s->tally.rev;
  atomic_store(&s->counters.recovered, r.reader.batches);
  return 0;
}

/* ------------------------------------------------------------------------------------------------
 * opening */

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
  return value != 0 ? value : otherwise;
}

/* On a small machine the journal keeps small. */
static uint64_t fitting_memory(void)
{
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  const uint64_t share = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / SHARE_OF_MEMORY
                                               : MEMORY_MAX_DEFAULT;
  if (share < MEMORY_MIN)
    return MEMORY_MIN;
  return share < MEMORY_MAX_DEFAULT ? share : MEMORY_MAX_DEFAULT;
}

static journal_store_cfg with_defaults(const journal_store_cfg *given)
{
  journal_store_cfg cfg = given != NULL ? *given : (journal_store_cfg){.segment_size = 0};
  lmdb_store_cfg *c = &cfg.common;
  c->resource_max = or_default(c->resource_max, RESOURCE_MAX_DEFAULT);
  c->byte_max = or_default(c->byte_max, BYTE_MAX_DEFAULT);
  c->queue_max = or_default(c->queue_max, QUEUE_MAX_DEFAULT);
  c->name_max = or_default(c->name_max, NAME_MAX_DEFAULT);
  c->pending_max = (uint32_t)or_default(c->pending_max, PENDING_MAX_DEFAULT);
  c->batch_max = (uint32_t)or_default(c->batch_max, BATCH_MAX_DEFAULT);
  cfg.segment_size = or_default(cfg.segment_size, SEGMENT_DEFAULT);
  cfg.journal_max = or_default(cfg.journal_max, JOURNAL_MAX_DEFAULT);
  cfg.memory_max = or_default(cfg.memory_max, fitting_memory());
  cfg.checkpoint_us = or_default(cfg.checkpoint_us, CHECKPOINT_DEFAULT);
  return cfg;
}

static uint32_t buckets_for(const journal_store_cfg *cfg)
{
  uint32_t buckets = BUCKETS_MIN;
  while (buckets < BUCKETS_MAX && buckets < cfg->memory_max / BYTES_PER_BUCKET)
    buckets *= 2;
  return buckets;
}

static uint64_t wall_now(void)
{
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

/* What the database has. */
static int read_database(journal_store *s)
{
  MDB_stat items, ops;
  expiring first;
  int rc = mdb_txn_begin(s->env.mdb, NULL, MDB_RDONLY, &s->standby);
  if (rc == 0)
    rc = mdb_stat(s->standby, s->env.items, &items);
  if (rc == 0)
    rc = mdb_stat(s->standby, s->env.ops, &ops);
  if (rc != 0)
    return rc;
  s->tally.resources = items.ms_entries;
  s->tally.names = ops.ms_entries;
  s->tally.rev = s->env.record.rev;
  if (apply_first_expiring(&s->env, s->standby, &first) == 0)
    atomic_store(&s->next_expiry, first.expiry);
  atomic_store(&s->counters.data_bytes, space_used(&s->env) * s->env.page);
  return 0;
}

/* The journal of a store that was closed cleanly has nothing that the database has not: what files
 * there are were to be deleted. That of another must be there. */
static int take_over(journal_store *s, const journal_state *state, const char *dir,
                     char why[CHAIN_WHY_SIZE])
{
  int rc = chain_open(&s->chain, dir, s->env.record.epoch, s->own.segment_size, CHAIN_SERVE, why);
  if (rc == 0 && !state->is_open)
    rc = chain_discard(&s->chain, s->applied, why);
  if (rc != 0)
    return rc;
  if (!state->is_open || s->chain.oldest != NULL)
    return recover(s, state->is_open ? state->newest : 0, why);
  snprintf(why, CHAIN_WHY_SIZE, "%s", JOURNAL_IS_MISSING);
  return COPAL_EFORMAT;
}

static int open_chain(journal_store *s, const char *dir, char why[LMDB_WHY_SIZE])
{
  journal_state state;
  char what[CHAIN_WHY_SIZE] = JOURNAL_RECORD_IS_DAMAGED;
  int rc = COPAL_EFORMAT;
  if (journal_state_get(&s->env, s->standby, &state) == 0) {
    s->applied = state.applied;
    rc = take_over(s, &state, dir, what);
  }
  if (rc != 0)
    snprintf(why, LMDB_WHY_SIZE, "%.100s: %s", dir, what);
  return rc;
}

/* Everything into the database; on a full disk the second attempt begins with what gives room. */
static bool settle_all(journal_store *s)
{
  int rc = checkpoint_make(s);
  if (rc != 0 && !atomic_load(&s->has_failed))
    rc = checkpoint_make(s);
  return rc == 0;
}

/* A segment to write to, and the word in the database that there is one. On a full disk the file of
 * the last one is used, when the database has all of it. */
static int start_chain(journal_store *s)
{
  int rc = chain_start(&s->chain);
  if (rc < 0 && is_for_lack_of_room(-rc) && settle_all(s))
    rc = chain_restart(&s->chain);
  if (rc == 0)
    rc = -checkpoint_mark(s, true);
  s->is_open = rc == 0;
  return rc;
}

static int start(journal_store *s, const char *dir, char why[LMDB_WHY_SIZE])
{
  int rc = -space_init(&s->space, &s->env);
  if (rc == 0)
    rc = -space_init(&s->room, &s->env);
  if (rc == 0)
    rc = read_database(s);
  if (rc == 0)
    rc = open_chain(s, dir, why);
  if (rc == 0)
    rc = start_chain(s);
  if (rc == 0) {
    atomic_store(&s->counters.resources, s->tally.resources);
    rc = checkpointer_start(s);
  }
  if (rc == 0)
    rc = flyer_start(s);
  if (rc == 0)
    rc = journal_writer_start(s);
  if (rc != 0 && why[0] == '\0')
    snprintf(why, LMDB_WHY_SIZE, "%s: %s", dir, mdb_strerror(rc < 0 && rc > -4096 ? -rc : rc));
  return rc > 0 ? -rc : rc;
}

static void init_locks(journal_store *s)
{
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_mutex_init(&s->lock, NULL);
  pthread_mutex_init(&s->lag_lock, NULL);
  pthread_mutex_init(&s->views_lock, NULL);
  pthread_mutex_init(&s->standby_lock, NULL);
  pthread_cond_init(&s->work, &attr);
  pthread_cond_init(&s->settled, &attr);
  pthread_cond_init(&s->take_off, &attr);
  pthread_cond_init(&s->lag_grew, &attr);
  pthread_cond_init(&s->lag_shrank, &attr);
  pthread_condattr_destroy(&attr);
}

int journal_store_open(const char *dir, const journal_store_cfg *cfg, store **out,
                       char why[LMDB_WHY_SIZE])
{
  why[0] = '\0';
  journal_store *s = calloc(1, sizeof *s);
  if (s == NULL)
    return -ENOMEM;
  s->base.engine = &journal_engine;
  s->own = with_defaults(cfg);
  s->cfg = s->own.common;
  s->damage.listener = s->cfg.listener;
  s->chain.dir_fd = -1;
  s->env.lock_fd = -1;
  s->opened = monotonic_now();
  s->base.wall_ahead = (s->cfg.wall != 0 ? s->cfg.wall : wall_now()) - s->cfg.now;
  s->swept = UINT64_MAX;
  s->settling_tail = &s->settling;
  intent_list_init(&s->queue);
  s->wake_at = 1;
  s->next = &s->flights[0];
  init_locks(s);
  view_add(s, &s->view);
  int rc = overlay_init(&s->overlay, buckets_for(&s->own), s->cfg.history) ? 0 : -ENOMEM;
  if (rc == 0)
    rc = env_open(&s->env, dir, s->cfg.byte_max, ENV_SERVE, why);
  if (rc == 0)
    rc = start(s, dir, why);
  if (rc != 0) {
    journal_close(&s->base);
    return rc;
  }
  *out = &s->base;
  return COPAL_OK;
}

journal_store_counts journal_store_counts_now(store *base)
{
  journal_store *s = (journal_store *)base;
  const journal_counters *c = &s->counters;
  return (journal_store_counts){
      .common = {.commits = count_now(&c->batches),
                 .changes = count_now(&c->changes),
                 .resources_refused = count_now(&c->resources_refused),
                 .bytes_refused = count_now(&c->bytes_refused),
                 .pending_refused = count_now(&c->pending_refused),
                 .names_refused = count_now(&c->names_refused),
                 .repeats = count_now(&c->repeats),
                 .expired = count_now(&c->expired),
                 .failed = count_now(&c->failed),
                 .reads_failed = count_now(&c->reads_failed)},
      .syncs = count_now(&c->syncs),
      .journal_bytes = count_now(&c->journal_bytes),
      .checkpoints = count_now(&c->checkpoints),
      .checkpoint_txns = count_now(&c->checkpoint_txns),
      .checkpoint_us = count_now(&c->checkpoint_us),
      .checkpointed = count_now(&c->checkpointed),
      .lag_records = count_now(&c->lag_records),
      .lag_bytes = count_now(&c->lag_bytes),
      .memory = count_now(&s->overlay.bytes),
      .files_bytes = count_now(&s->chain.bytes),
      .waits = count_now(&c->waits),
      .waited_us = count_now(&c->waited_us),
      .recovered = count_now(&c->recovered),
  };
}
