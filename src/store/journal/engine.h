/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the journal engine share. Each field names the thread it belongs to, or its
 * lock. */
#ifndef STORE_JOURNAL_ENGINE_H
#define STORE_JOURNAL_ENGINE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "store/journal/chain.h"
#include "store/journal/journal.h"
#include "store/journal/keep.h"
#include "store/journal/overlay.h"
#include "store/journal/state.h"
#include "store/lmdb/apply.h"
#include "store/lmdb/env.h"
#include "store/lmdb/space.h"
#include "store/store.h"

/* A change on its way: a copy of what the operation names, then its result. Owned by the queue,
 * the writer and the port in turn. */
typedef struct intent {
  struct intent *next;
  struct journal_port *port; /* NULL: the writer's own, at the end of a lifetime */
  store_op *op;              /* lent by the port until it is done */
  copal_time now;
  uint64_t hash;
  overlay_entry *entry;  /* pinned ahead of the evaluation, or NULL */
  copal_span key, attrs; /* in `bytes` */
  copal_span body;       /* there too, or lent with the operation */
  uint8_t *kept;         /* the key of a repeat */
  size_t size;           /* bytes it counts for in the queue */
  size_t lent;           /* bytes of the body when it is lent */
  store_result result;
  bool has_lapsed;  /* what was stored had expired, and has been deleted before this change */
  bool took_effect; /* followers are to hear of it */
  bool was_present, links_changed;
  version *made; /* what is there now, with a reference; NULL: deleted */
  uint8_t bytes[];
} intent;

typedef struct intent_list {
  intent *head;
  intent **tail;
} intent_list;

/* No snapshot of the database is looked at. */
#define VIEW_NONE UINT64_MAX

/* Who looks at a snapshot of the database, and how old it may be. */
typedef struct view {
  MDB_txn *txn;              /* NULL: none yet */
  bool is_open;              /* it has a snapshot */
  atomic_uint_fast64_t seen; /* the last checkpoint when it was begun, or VIEW_NONE */
  struct view *next;         /* of the store; under `views_lock` */
} view;

/* A port. Of its thread, but for `in_writer`, `done` and `done_count`, which are under the store's
 * lock. */
typedef struct journal_port {
  store_port base; /* first */
  store_waker *waker;
  view view;
  version **lent; /* given back when the view is renewed */
  size_t lent_count, lent_cap;
  uint32_t under_way; /* submitted and not told */
  intent_list outbox; /* not handed to the writer yet */
  uint32_t outbox_count;
  uint64_t outbox_bytes;
  bool gathers; /* they wait there for others */
  uint32_t in_writer;
  intent_list done;
  uint32_t done_count;
  intent *unused; /* small ones that have been done, for the next */
  uint32_t unused_count;
} journal_port;

typedef struct journal_counters {
  atomic_uint_fast64_t batches, changes, resources_refused, bytes_refused, pending_refused,
      names_refused, names_gone, failed, reads_failed, repeats, expired;
  atomic_uint_fast64_t syncs, journal_bytes, checkpoints, checkpoint_txns, checkpoint_us,
      checkpointed, waits, waited_us, recovered;
  atomic_uint_fast64_t resources, names, data_bytes, lag_bytes, lag_records;
} journal_counters;

/* Entries of the overlay that a checkpoint is to write, or has written. */
typedef struct entry_list {
  overlay_entry **items;
  size_t count, cap;
} entry_list;

/* Entries that the database has since some checkpoint: dropped when nobody needs them. */
typedef struct settling {
  struct settling *next;
  uint64_t checkpoint;
  entry_list entries;
} settling;

/* One change of a batch: an entry that is to show a version. */
typedef struct step {
  overlay_entry *entry; /* pinned */
  version *made;        /* with a reference */
  version *prior;       /* `pending` of the entry before */
  uint64_t body_at;     /* where its body is in the batch */
  bool is_new;          /* there was nothing under the key */
} step;

typedef struct step_list {
  step *items;
  size_t count, cap;
} step_list;

/* What changes leave behind that are numbered or counted over the whole store. */
typedef struct tally {
  store_rev rev;      /* the last one given out */
  uint64_t resources; /* stored */
  uint64_t names;     /* kept; those that the checkpointer has forgotten are still counted */
} tally;

/* A batch from the first change to the last answer. The writer's; while it is in the air, `batch`
 * is the flyer's. */
typedef struct flight {
  intent_list group; /* who waits for it */
  batch batch;
  step_list steps;
  tally before, after; /* the changes of the group */
  uint32_t count;      /* of them */
  uint64_t bytes;      /* of them */
  bool refuses_puts;   /* some have been evaluated so, for lack of room */
  bool is_full;        /* what is queued has to wait for the next one */
  uint64_t number;     /* of the batch, and where it lies; when it is durable */
  chain_place place;
  int rc;       /* of writing it: as chain_append() */
  bool is_down; /* it has been written, or has failed; under the store's lock */
} flight;

typedef struct journal_store {
  store base; /* first */
  lmdb_store_cfg cfg;
  journal_store_cfg own;
  lmdb_damage damage;
  env env;
  uint64_t opened;           /* the system's monotonic clock at cfg.now */
  store_follower *followers; /* complete before the first commit, constant from then on */
  journal_counters counters;
  overlay overlay;
  chain chain;

  pthread_mutex_t views_lock;
  view *views;
  atomic_uint_fast64_t checkpoint; /* number of the last complete one, since the store was opened */

  atomic_uint_fast64_t queued; /* bytes of changes under way */

  pthread_mutex_t lock;
  pthread_cond_t work;     /* enough is queued, a flight is down, or it is to end */
  pthread_cond_t settled;  /* a batch has been delivered */
  pthread_cond_t take_off; /* there is a flight for the flyer */
  intent_list queue;
  uint32_t queue_count;
  uint64_t queue_bytes;
  uint32_t wake_at; /* intents in the queue at which the writer is to be woken */
  flight *cleared;  /* for the flyer */
  bool is_ending, ends_flights;

  pthread_mutex_t lag_lock;
  pthread_cond_t lag_grew;   /* the checkpointer has something to do */
  pthread_cond_t lag_shrank; /* a checkpoint has been made, or has failed */
  entry_list dirty;          /* changed since the last checkpoint began */
  uint64_t published;        /* number of the last batch that readers see */
  store_rev published_rev;
  uint64_t lag_since; /* monotonic, when the first of `dirty` changed */
  uint64_t lag_ends;  /* on the wall clock, when the first lifetime in `dirty` does; 0: none does */
  uint64_t rest;      /* microseconds between checkpoints, by what the last one took */
  uint64_t applied;   /* number of the last batch that the database has */
  uint64_t attempts;  /* checkpoints that have ended, well or not */
  bool is_urgent;     /* a checkpoint is wanted at once, whether anything is dirty or not */
  bool is_stuck;      /* the last one has failed for lack of room */
  bool ends_checkpoints;

  pthread_mutex_t standby_lock;
  MDB_txn *standby; /* of the last checkpoint; for reading when LMDB refuses to begin others */

  /* the writer's */
  pthread_t writer;
  bool has_writer;
  view view;
  space space;
  tally tally; /* of what has been evaluated */
  flight flights[2];
  flight *next;        /* the one that is being filled */
  flight *flying;      /* the one that is being written; NULL: none */
  uint64_t grown;      /* bytes of the last batch */
  uint64_t swept;      /* the checkpoint whose index of expiry `next_sweep` is from */
  uint64_t next_sweep; /* on the wall clock; 0: nothing ends */
  uint64_t pace_due;   /* monotonic: when the next batch may begin */
  bool is_full;
  bool is_open;           /* the database says that the journal counts */
  atomic_bool has_failed; /* for good */

  pthread_t flyer;
  bool has_flyer;

  /* the checkpointer's */
  pthread_t checkpointer;
  bool has_checkpointer;
  space room;                          /* for its transactions */
  settling *settling, **settling_tail; /* oldest first */
  keep keep;
  atomic_uint_fast64_t next_expiry; /* of what the database has, on the wall clock; 0: none */
  atomic_uint_fast64_t drain_rate;  /* bytes of the journal settled per millisecond, smoothed */
} journal_store;

/* The part of the memory for what the database has, too. */
static inline uint64_t keep_max(const journal_store *s)
{
  return s->own.memory_max / 4;
}

/* The part of the memory for what it has not, and how much of it is taken. */
static inline uint64_t burden_max(const journal_store *s)
{
  return s->own.memory_max - keep_max(s);
}

uint64_t burden_now(const journal_store *s);

static inline void count_up(atomic_uint_fast64_t *counter)
{
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static inline void count_add(atomic_uint_fast64_t *counter, uint64_t n)
{
  atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void count_sub(atomic_uint_fast64_t *counter, uint64_t n)
{
  atomic_fetch_sub_explicit(counter, n, memory_order_relaxed);
}

static inline uint64_t count_now(const atomic_uint_fast64_t *counter)
{
  return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Microseconds of the system's monotonic clock. */
uint64_t monotonic_now(void);

/* An instant of the clock of store_commit() on the wall clock. */
static inline uint64_t wall_of(const journal_store *s, copal_time now)
{
  return store_wall_of(&s->base, now);
}

/* An instant of the wall clock on the clock of store_commit(); 0 when that did not run yet. */
static inline copal_time instant_of(const journal_store *s, uint64_t wall)
{
  const uint64_t at = wall - s->base.wall_ahead;
  return at > INT64_MAX ? 0 : at;
}

/* True when the lifetime of the record is over. */
static inline bool record_is_over(const journal_store *s, const record *r, copal_time now)
{
  const uint64_t expiry = record_expiry(r);
  const uint64_t wall = wall_of(s, now);
  return expiry != 0 && wall <= INT64_MAX && expiry <= wall; /* else before 1970 */
}

/* The clock of store_commit() now. */
copal_time journal_clock(const journal_store *s);

static inline intent_list *intent_list_init(intent_list *l)
{
  l->head = NULL;
  l->tail = &l->head;
  return l;
}

static inline void intent_list_push(intent_list *l, intent *r)
{
  r->next = NULL;
  *l->tail = r;
  l->tail = &r->next;
}

/* Appends all of another list, which is empty then. */
static inline void intent_list_append(intent_list *l, intent_list *more)
{
  if (more->head != NULL) {
    *l->tail = more->head;
    l->tail = more->tail;
  }
  intent_list_init(more);
}

static inline intent *intent_list_pop(intent_list *l)
{
  intent *r = l->head;
  if (r != NULL && (l->head = r->next) == NULL)
    l->tail = &l->head;
  return r;
}

/* Appends. Returns false without memory. */
bool step_list_push(step_list *l, const step *next);

/* Frees an intent with what it keeps. */
void intent_free(intent *r);

/* Appends. Returns false without memory. */
bool entry_list_push(entry_list *l, overlay_entry *e);

/* ------------------------------------------------------------------------------------------------
 * view.c: snapshots of the database */

/* Makes the view known to the store. Any thread. */
void view_add(journal_store *s, view *v);

/* Ends it for good. */
void view_remove(journal_store *s, view *v);

/* The snapshot, begun when there is none. NULL when LMDB has none to give. */
MDB_txn *view_open(journal_store *s, view *v);

/* Gives the snapshot back. */
void view_close(view *v);

/* No view is older than the checkpoint of this number. Any thread. */
uint64_t views_oldest(journal_store *s);

/* ------------------------------------------------------------------------------------------------
 * evaluate.c: what changes do, on the writer's thread */

/* Changes being evaluated. */
typedef struct evaluation {
  journal_store *s;
  MDB_txn *txn; /* the writer's snapshot */
  flight *to;
  tally tally;
  bool refuses_puts; /* for lack of space */
} evaluation;

/* Sets the result of a change and appends what is to be written to the flight. */
void evaluate(evaluation *v, intent *r);

/* Deletes what has expired. Sets `has_lapsed` when there was such a thing. */
void evaluate_lapse(evaluation *v, intent *r, store_space space);

/* Undoes what has been evaluated, all steps behind `count`. Of two flights the later one first. */
void evaluation_undo(journal_store *s, flight *f, size_t count, batch_mark mark);

/* ------------------------------------------------------------------------------------------------
 * pace.c: what holds changes up, on the writer's thread */

/* True when the checkpoint is so far behind that the next batch has to wait. */
bool pace_is_due(journal_store *s);

/* Waits. Nothing is flying. */
void pace_keep(journal_store *s);

/* True when the database will have room for what no checkpoint has yet, for what is in the air, and
 * for so many bytes of changes. What is acknowledged must find its place. */
bool room_is_sure(journal_store *s, uint64_t bytes);

/* Whether the database would have room for twice so many bytes without a checkpoint before. Thread:
 * any. */
bool room_is_plenty(const journal_store *s, uint64_t lag);

/* Whether there is after checkpoints that may give room. Nothing is flying. */
bool room_find(journal_store *s, uint64_t bytes);

/* Notes whether there is room, for whoever is to be told of it. */
void room_note(journal_store *s, bool has_room);

/* For -errno. */
bool is_lack_of_room(int rc);

/* ------------------------------------------------------------------------------------------------
 * flight.c: batches on their way to stable storage */

/* Begins an empty one on what has been evaluated so far. Returns false without memory. */
bool flight_begin(journal_store *s, flight *f);

/* Writes and syncs it on this thread; nothing is in the air. Returns 0 or -errno. */
int flight_make(journal_store *s, flight *f);

/* The same on the flyer's thread; nothing is in the air yet. */
void flight_send(journal_store *s, flight *f);

/* Waits for the one in the air. Returns what it came to. */
int flight_await(journal_store *s);

/* Shows what is durable to readers. */
void flight_publish(journal_store *s, flight *f);

/* Forgets what has been evaluated. Of two flights the later one first. */
void flight_undo(journal_store *s, flight *f);

/* Bodies that are written from where they lie: nothing else may be done until then. */
static inline bool flight_is_heavy(const flight *f)
{
  return f->batch.piece_count > 0;
}

int flyer_start(journal_store *s);
void flyer_stop(journal_store *s);

/* Makes readers see what has been written. Also for what is found in the journal when it is opened.
 */
void journal_publish(journal_store *s, step_list *steps, uint64_t number, store_rev rev,
                     uint64_t size);

/* ------------------------------------------------------------------------------------------------
 * writer.c */

/* Starts the thread. Returns 0 or -errno. */
int journal_writer_start(journal_store *s);

/* Finishes what is queued and ends the thread. */
void journal_writer_stop(journal_store *s);

/* Hands what waits in the port to the writer. The port's thread. */
void journal_flush(journal_store *s, journal_port *p);

/* The same, unless they are to wait for others. */
static inline void journal_offer(journal_store *s, journal_port *p)
{
  if (!p->gathers)
    journal_flush(s, p);
}

/* Stable storage has failed: nothing is acknowledged from now on. */
void journal_fail(journal_store *s, const char *why);

/* What is told to the operator. */
void journal_tell(const journal_store *s, lmdb_event event, const char *why);

/* ------------------------------------------------------------------------------------------------
 * checkpoint.c */

int checkpointer_start(journal_store *s);

/* Ends the thread. */
void checkpointer_stop(journal_store *s);

/* Writes all that readers see to the database. Returns 0, or an error of LMDB or the system; for
 * lack of room nothing is lost and it can be tried again. The checkpointer's thread, or while there
 * is none. */
int checkpoint_make(journal_store *s);

/* True when so much has changed that a checkpoint is due before its time. */
bool checkpoint_is_early(const journal_store *s);

/* Asks for a checkpoint. Any thread. */
void checkpoint_ask(journal_store *s);

/* Waits until all that was published before has been tried to be checkpointed, at most so long.
 * Returns true when it is. The writer's thread. */
bool checkpoint_wait(journal_store *s, uint64_t timeout_us);

/* Says in the database whether the journal is in use. Returns 0 or LMDB's error. While there is no
 * checkpointer. */
int checkpoint_mark(journal_store *s, bool is_open);

static inline bool is_for_lack_of_room(int rc)
{
  return rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT || rc == EFBIG;
}

#endif
