/* SPDX-License-Identifier: Apache-2.0 */
/* The store of representations: get, commit, follow. Engines are behind one vtable and services
 * cannot tell which.
 *
 * Threads. A store is shared; each shard talks to it through a port of its own, touched by that
 * shard's thread only. Commits are asynchronous: the result arrives in store_drain(), on the thread
 * that committed, and only after the change is as durable as the engine makes it. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/span.h"
#include "copal/time.h"

enum {
  STORE_NO_FORMAT =
      0xffff, /* representation without Content-Format; 65535 is reserved in the registry */
  STORE_ETAG_SIZE = 8,
  STORE_ETAG_MAX = 8,   /* If-Match options considered */
  STORE_KEY_MAX = 4096, /* bytes of a key */
  STORE_STATE_KEY_MAX = 500,
  STORE_ATTRS_MAX = 0xffffff, /* bytes */
  STORE_SIZE_LISTED = 1024,   /* longer bodies are listed with their size, RFC 6690 section 3.3 */
  STORE_OPID_SIZE = 16,
};

/* The spaces of keys. They share revisions, commits and durability. */
typedef enum store_space {
  STORE_RESOURCES, /* representations; limited, listed, followed */
  STORE_STATE, /* the server's own records under keys of any bytes, 1 to 500: no preconditions but
                  must_be_absent, no attributes, no history; followers do not hear of them */
} store_space;

/* Names an operation, so that a repetition of it is known also after a crash. All zero: no name. */
typedef struct store_opid {
  uint8_t bytes[STORE_OPID_SIZE];
} store_opid;

/* The writer gave no Max-Age. Larger than any Max-Age that is kept. */
#define STORE_NO_MAX_AGE UINT32_MAX

/* Seconds for which results of named operations are kept: EXCHANGE_LIFETIME, RFC 7252
 * section 4.8.2. */
#define STORE_OPID_LIFETIME_S 247u

/* Revision: strictly increasing over the whole store, never reused, also not after a delete; 0
 * means absent. */
typedef uint64_t store_rev;

/* Strong entity-tag, unique to one representation of one resource. RFC 7252 section 5.10.6. */
typedef struct store_etag {
  uint8_t bytes[STORE_ETAG_SIZE];
} store_etag;

/* A stored representation. Spans are lent until the port's view is renewed. */
typedef struct store_item {
  store_rev rev;
  store_etag etag;
  uint16_t content_format; /* or STORE_NO_FORMAT */
  uint32_t max_age_s;      /* as the writer gave it, or STORE_NO_MAX_AGE */
  copal_time written;      /* when, on the clock handed to store_commit() */
  uint32_t lifetime_s;     /* after its last PUT the resource is deleted; 0: never */
  copal_span body;
  copal_span
      attrs; /* link attributes in link-format syntax: ";rt=\"x\";if=\"y\""; without ct, sz, obs */
} store_item;

typedef enum store_verb {
  STORE_PUT,       /* create or replace */
  STORE_DELETE,    /* remove; removing what is absent succeeds */
  STORE_SET_ATTRS, /* replace the link attributes of what exists */
} store_verb;

typedef enum store_status {
  STORE_OK,
  STORE_ABSENT,       /* nothing to read, SET_ATTRS on nothing: 4.04 */
  STORE_PRECONDITION, /* a condition did not hold: 4.12 */
  STORE_FULL,         /* beyond a limit of the store: 5.03 */
  STORE_UNAVAILABLE,  /* definitely not applied: 5.03 */
  STORE_FAILED,       /* stable storage failed, or what it holds is damaged: 5.00 */
} store_status;

typedef struct store_result {
  store_status status;
  store_rev rev; /* of the representation now, 0 when absent */
  store_etag etag;
  bool created;    /* PUT made a new resource; DELETE removed one */
  bool is_repeat;  /* an operation with this name was carried out before: nothing was done, and this
                      is its result */
  bool is_unnamed; /* carried out, but a limit of the store did not let it keep the result: coming
                      again, it is carried out again */
  copal_span key;  /* what that operation changed; lent while `done` runs. Only with `is_repeat` */
} store_result;

/* One change. Lent to the store until `done` has run; keys and bodies are copied by store_commit().
 * Conditions are evaluated atomically with the change and see earlier changes. RFC 7252
 * section 5.10.8. */
typedef struct store_op {
  void (*done)(struct store_op *op, const store_result *result);
  store_verb verb;
  store_space space;
  store_opid id;  /* kept with its result for STORE_OPID_LIFETIME_S */
  copal_span key; /* canonical URI path: "/", "/a/b", segments percent-encoded as by
                     copal_uri_put_segment() */
  copal_span body;
  bool lends_body; /* `body` stays readable until `done` has run: a long one need not be copied */
  uint16_t content_format;
  uint32_t max_age_s;
  uint32_t lifetime_s; /* PUT: as in store_item */
  bool keeps_lifetime; /* PUT on an existing resource keeps its lifetime, which begins anew;
                          `lifetime_s` applies when it is new */
  copal_span attrs;
  bool keeps_attrs; /* PUT on an existing resource keeps its link attributes; `attrs` applies when
                       it is new */
  bool must_be_absent;   /* If-None-Match */
  bool must_be_present;  /* If-Match with an empty value */
  store_rev must_be_rev; /* compare and swap; 0: no such condition */
  size_t etag_count;     /* If-Match: one of these; 0: no such condition */
  store_etag etags[STORE_ETAG_MAX];
} store_op;

/* Part of the keys of a space. */
typedef struct store_range {
  store_space space;
  copal_span prefix; /* keys that begin so */
  copal_span after;  /* and sort behind this one; empty: all of them */
  size_t max;        /* not more than so many */
} store_range;

/* What a follower is told after each change that took effect, the end of a lifetime included. */
typedef struct store_change {
  copal_span key; /* borrowed */
  store_rev rev;  /* 0: deleted */
  bool was_present;
  bool
      links_changed; /* created, deleted, or its attributes, Content-Format or size class changed */
  const store_item *item; /* NULL when deleted; borrowed */
} store_change;

/* Called on the thread that applies the change; the changes of one key in the order of their
 * revisions. Must be quick and thread-safe. */
typedef struct store_follower {
  void (*on_change)(struct store_follower *f, const store_change *change);
  struct store_follower *next; /* the store's */
} store_follower;

typedef struct store store;
typedef struct store_port store_port;

/* Wakes the port's thread: there is something to drain. Called from any thread. */
typedef struct store_waker {
  void (*wake)(struct store_waker *w);
} store_waker;

/* Where a store reads the time for what it does by itself: deleting what has expired. Called on the
 * store's own thread; the same clock that store_commit() is handed the time of. */
typedef struct store_clock {
  copal_time (*now)(struct store_clock *c);
} store_clock;

/* What a port's view shows of some of the keys, told from what it shows another time. */
typedef struct store_stamp {
  uint64_t state;
  uint32_t where; /* which keys: the engine's */
} store_stamp;

typedef struct store_usage {
  uint64_t resources;
  uint64_t bytes; /* memory or disk taken */
} store_usage;

enum { STORE_COUNT_MAX = 32 };

/* A counter of an engine, by the name that an operator sees. */
typedef struct store_count {
  const char *name;
  uint64_t value;
} store_count;

/* Sees an item of a listing, borrowed. Returns non-zero to end the listing. */
typedef int store_each(void *ctx, copal_span key, const store_item *item);

/* An engine. */
typedef struct store_engine {
  int (*port_open)(store *s, store_waker *waker, store_port **port);
  void (*port_close)(store_port *p);
  void (*view_renew)(store_port *p);
  store_status (*get)(store_port *p, store_space space, copal_span key, store_item *item,
                      copal_time now);
  uint32_t (*where)(store_port *p, copal_span key); /* NULL: there are no stamps */
  uint64_t (*state)(store_port *p, uint32_t where); /* odd: it is being changed, or unknown */
  size_t (*foresight)(store_port *p);               /* NULL: as if it returned 0 */
  void (*foresee)(store_port *p, const copal_span *keys, size_t count);
  int (*commit)(store_port *p, store_op *op, copal_time now);
  int (*apply)(store_port *p, store_op *op, copal_time now); /* NULL: done runs in drain only */
  void (*gather)(store_port *p, bool gathers); /* NULL: changes never wait for others */
  copal_time (*gathered)(const store_port *p); /* NULL with it */
  int (*drain)(store_port *p, int max);
  int (*list)(store_port *p, const store_range *range, store_each *each, void *ctx, copal_time now);
  int (*history)(store_port *p, copal_span key, size_t max, store_each *each, void *ctx,
                 copal_time now);
  void (*follow)(store *s, store_follower *f);
  store_usage (*usage)(store *s);
  size_t (*counts)(store *s, store_count counts[STORE_COUNT_MAX]);
  void (*close)(store *s);
} store_engine;

struct store {
  const store_engine *engine;
  uint64_t wall_ahead; /* wall clock, microseconds since 1970, minus the clock of store_commit(),
                          modulo 2^64; taken once, when the store is opened */
};

struct store_port {
  store *store;
};

/* Opens a port for the calling thread. Returns 0 or a negative COPAL_E*. */
int store_port_open(store *s, store_waker *waker, store_port **port);
void store_port_close(store_port *p);

/* Moves the port's view to the present and takes back what it lent. Once per receive batch. */
void store_view_renew(store_port *p);

/* Looks one representation up in the port's view, which includes all changes whose result the port
 * has seen. What has reached the end of its lifetime at `now` is absent. Returns STORE_OK,
 * STORE_ABSENT, or STORE_FAILED: it is there, but damaged or not to be read. Never blocks. */
store_status store_get(store_port *p, copal_span key, store_item *item, copal_time now);

/* Stamps what the port's view shows of a key. Taken before store_get() it holds for what that
 * finds. Returns false when there is no stamp to be had now. */
bool store_stamp_of(store_port *p, copal_span key, store_stamp *stamp);

/* True as long as store_get() of the key finds what it found after the stamp was taken, but for
 * lifetimes that end meanwhile. False may also be said when others of the keys have changed. */
bool store_is_unchanged(store_port *p, const store_stamp *stamp);

/* For how many keys at once store_foresee() is worth its work now: 0 when what is stored is little
 * enough to be in the cache, or the engine has no use for it. */
size_t store_foresight(store_port *p);

/* Fetches what reading or changing these keys will need into the cache, while there is something
 * else to do. At most store_foresight() keys, borrowed. */
void store_foresee(store_port *p, const copal_span *keys, size_t count);

/* The same in the space STORE_STATE. */
store_status store_get_state(store_port *p, copal_span key, store_item *item, copal_time now);

/* Submits a change; a store may wait with it for others until the port is drained or its view is
 * renewed. Returns 0: `op->done` will run in a later store_drain(); or COPAL_ENOSLOT: too
 * many are under way, nothing was done; or COPAL_EINVAL: key or attributes
 * too long, or conditions that the space does not know. */
int store_commit(store_port *p, store_op *op, copal_time now);

/* The port's thread is in the midst of more: until it says otherwise, changes may wait with the
 * port for those that follow, as many together cost less than one by one. Whoever says so must say
 * otherwise before sleeping, and before long. */
void store_gather(store_port *p, bool gathers);

/* When the first of the changes that wait so was submitted; COPAL_NEVER: none does. */
copal_time store_gathered(const store_port *p);

/* True for engines that carry changes out at once: then store_apply() spares the way through
 * store_drain(). */
bool store_can_apply(const store_port *p);

/* As store_commit(), but `op->done` has run when it returns 0. Only when store_can_apply(). */
int store_apply(store_port *p, store_op *op, copal_time now);

/* Runs up to `max` pending completions. Returns how many ran. */
int store_drain(store_port *p, int max);

/* Calls `each` for the keys of the range in key order, until it returns non-zero; passes over what
 * has reached the end of its lifetime at `now`. Returns the number of calls, or what `each`
 * returned when negative. */
int store_list(store_port *p, const store_range *range, store_each *each, void *ctx,
               copal_time now);

/* Calls `each` for the present representation of a resource and for up to `max` - 1 that were there
 * before it, newest first, as far as the store keeps them; until it returns non-zero. Setting
 * attributes makes no new representation. Returns as store_list(); 0 when the resource is absent.
 */
int store_history(store_port *p, copal_span key, size_t max, store_each *each, void *ctx,
                  copal_time now);

/* Registers a follower for the store's life. Before the first commit only. */
void store_follow(store *s, store_follower *f);

store_usage store_usage_now(store *s);

/* Reads all counters of the engine; returns how many there are. From any thread. */
size_t store_counts_now(store *s, store_count counts[STORE_COUNT_MAX]);

/* An instant of the clock of store_commit() on the wall clock: microseconds since 1970. The same
 * for the same instant as long as the store is open, whatever the system's clock does. */
static inline uint64_t store_wall_of(const store *s, copal_time at)
{
  return at + s->wall_ahead;
}

/* Frees the store; all its ports are closed. Safe on NULL. */
void store_close(store *s);

/* ------------------------------------------------------------------------------------------------
 * for engines and followers */

/* True when the change may take place on what is stored now; NULL: nothing. RFC 7252
 * section 5.10.8. */
bool store_conditions_hold(const store_op *op, const store_item *item);

/* True when the lifetime of the item is over at `now`. */
bool store_is_expired(const store_item *item, copal_time now);

/* True when the operation has a name. */
bool store_op_is_named(const store_op *op);

/* True when the links that describe the two representations differ: attributes, Content-Format, or
 * a size that is listed. */
bool store_links_differ(const store_item *a, const store_item *b);

/* The entity-tag of a revision. `epoch` is random and belongs to one life of the store, so that a
 * revision counter that starts again yields other tags. */
store_etag store_etag_of(store_rev rev, uint64_t epoch);

/* Fills `out` with unpredictable bytes of the system: epochs, keys of hashes. Returns false when it
 * has none. */
bool store_random(copal_mspan out);

#endif
