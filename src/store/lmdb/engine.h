/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the LMDB engine share. Each field names the thread it belongs to, or its lock.
 */
#ifndef STORE_LMDB_ENGINE_H
#define STORE_LMDB_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "store/lmdb/apply.h"
#include "store/lmdb/env.h"
#include "store/lmdb/space.h"
#include "store/store.h"

enum { RETIRED_MAX = 8 };

/* A change on its way: a copy of what the operation names, then its result. Owned by the queue,
 * the writer and the port in turn. */
typedef struct request {
  struct request *next;
  struct lmdb_port *port;
  store_op *op; /* lent by the port until it is done */
  copal_time now;
  copal_span key, body, attrs; /* in `bytes` */
  uint8_t *kept;               /* of what is stored: what the new one keeps, the key of a repeat */
  size_t size;                 /* bytes it counts for in the queue */
  store_result result;
  bool has_lapsed; /* what was stored had expired, and has been deleted before this change */
  bool took_effect;
  store_change change; /* when it took effect */
  store_item item;
  uint8_t bytes[];
} request;

typedef struct request_list {
  request *head;
  request **tail;
} request_list;

/* A port. Of its thread, but for `in_writer` and `done`, which are under the store's lock. */
typedef struct lmdb_port {
  store_port base; /* first */
  store_waker *waker;
  uint32_t under_way;            /* submitted and not told */
  MDB_txn *view;                 /* NULL: none yet */
  bool is_viewing;               /* `view` has a snapshot */
  bool has_lent;                 /* spans of `view` */
  MDB_txn *retired[RETIRED_MAX]; /* older snapshots of which spans are lent */
  int retired_count;
  uint32_t in_writer;
  request_list done;
} lmdb_port;

typedef struct lmdb_counters {
  atomic_uint_fast64_t commits, changes, resources_refused, bytes_refused, pending_refused,
      names_refused, failed, reads_failed, repeats, expired, resources, bytes;
} lmdb_counters;

typedef struct lmdb_store {
  store base; /* first */
  lmdb_store_cfg cfg;
  lmdb_damage damage;
  env env;
  uint64_t opened;           /* the system's monotonic clock at cfg.now */
  store_follower *followers; /* complete before the first commit, constant from then on */
  lmdb_counters counters;

  pthread_mutex_t lock;
  pthread_cond_t work;    /* the queue is not empty, or it is to end */
  pthread_cond_t settled; /* a batch has been delivered */
  request_list queue;
  uint64_t queued; /* bytes */
  bool is_ending;

  pthread_mutex_t standby_lock;
  MDB_txn *standby; /* of the last commit; for reading when LMDB refuses to begin others */

  /* the writer's */
  pthread_t thread;
  bool has_thread;
  space space;
  store_rev rev;
  uint64_t next_expiry;   /* of what is stored, on the wall clock; 0: nothing ends */
  copal_time sweep_after; /* not before this: the last sweep found no room */
  bool is_full;
  atomic_bool has_failed; /* set by the writer, for good */
} lmdb_store;

static inline void count_up(atomic_uint_fast64_t *counter)
{
  atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static inline request_list *request_list_init(request_list *l)
{
  l->head = NULL;
  l->tail = &l->head;
  return l;
}

static inline void request_list_push(request_list *l, request *r)
{
  r->next = NULL;
  *l->tail = r;
  l->tail = &r->next;
}

static inline request *request_list_pop(request_list *l)
{
  request *r = l->head;
  if (r != NULL && (l->head = r->next) == NULL)
    l->tail = &l->head;
  return r;
}

/* Frees a request with what it keeps. */
void request_free(request *r);

/* ------------------------------------------------------------------------------------------------
 * change.c: one change within a transaction, on the writer's thread */

/* A transaction being made. */
typedef struct transaction {
  lmdb_store *s;
  apply a;
  store_rev rev;     /* last one given out in it */
  bool refuses_puts; /* for lack of space */
} transaction;

/* Applies the change and sets its result. Returns 0, or LMDB's error, after which the transaction
 * can only be given up. */
int change_apply(transaction *t, request *r);

/* Pages that the change may take from the file at most. */
uint64_t change_pages(const lmdb_store *s, const request *r, uint32_t page, uint32_t depth);

/* ------------------------------------------------------------------------------------------------
 * sweep.c: what has expired is deleted, on the writer's thread */

/* The clock of store_commit() now. */
copal_time sweep_clock(const lmdb_store *s);

/* An instant of that clock on the wall clock. */
static inline uint64_t wall_of(const lmdb_store *s, copal_time now)
{
  return store_wall_of(&s->base, now);
}

/* True when the lifetime of the record is over. */
static inline bool record_is_expired(const lmdb_store *s, const record *r, copal_time now)
{
  const uint64_t expiry = record_expiry(r);
  const uint64_t wall = wall_of(s, now);
  return expiry != 0 && wall <= INT64_MAX && expiry <= wall; /* else before 1970 */
}

/* Deletes some of what has expired in a transaction; requests that tell of resources are added to
 * `told`. Returns 0 or LMDB's error. */
int sweep_some(transaction *t, request_list *told);

/* ------------------------------------------------------------------------------------------------
 * writer.c */

/* Starts the thread. Returns 0 or -errno. */
int writer_start(lmdb_store *s);

/* Finishes what is queued and ends the thread. */
void writer_stop(lmdb_store *s);

/* Queues a request, which is given. Returns 0 or COPAL_ENOSLOT. Any thread. */
int writer_submit(lmdb_store *s, request *r);

#endif
