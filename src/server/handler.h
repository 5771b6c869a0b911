/* SPDX-License-Identifier: Apache-2.0 */
/* The face the server shows to services: a request with its route resolved, and what is needed to
 * answer it. Thread: the shard that received the request; all pointers are valid during
 * on_request() only, except where said. */
#ifndef SERVER_HANDLER_H
#define SERVER_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "copal/span.h"
#include "copal/time.h"

#include "core/base/timerq.h"
#include "policy/identity.h"
#include "store/store.h"

typedef struct arena arena;
typedef struct access_gate access_gate;

/* Limits that services obey; fields of the configuration. */
typedef struct handler_limits {
  uint32_t body_max;  /* bytes of a representation; beyond it 4.13 with Size1 */
  uint32_t patch_max; /* bytes of what PATCH and FETCH take, and of what they work on: 4.13 */
  uint32_t default_max_age_s; /* when the writer gave none, RFC 7252 section 5.10.5: 60 */
  uint32_t attrs_max;         /* bytes of link attributes of a resource */
  uint32_t key_max;           /* bytes of a canonical path */
} handler_limits;

/* Wants to hear of the changes of one resource. */
typedef struct watcher {
  /* The resource has changed, once or more. Runs on the shard that opened the watch, with the
   * store's view renewed. May close the watch. */
  void (*on_change)(struct watcher *w, copal_time now);
} watcher;

typedef struct watch watch;
typedef struct fanout_seat fanout_seat;

/* A timer of a service, on its shard: copal_timer_init(), then copal_timerq_arm() on env->timers.
 */
typedef struct service_timer {
  copal_timer timer; /* first */

  /* The instant has come; the timer is not armed any more. Runs on the shard, with the store's view
   * renewed. May arm and cancel timers, and free this one. */
  void (*on_due)(struct service_timer *t, copal_time now);
} service_timer;

enum {
  HANDLER_WHO_MAX = 96,  /* bytes */
  HANDLER_SIDE_MAX = 64, /* bytes */
};

/* A path as it can be stored: it means the same after a restart, and to another process. */
typedef struct handler_way {
  uint8_t who_len, side_len;
  uint8_t who[HANDLER_WHO_MAX];   /* the client: the same bytes for all paths of a peer */
  uint8_t side[HANDLER_SIDE_MAX]; /* our side of the path */
} handler_way;

/* The ways to the clients of a shard. */
typedef struct handler_ways {
  /* Returns COPAL_OK, or COPAL_ENOTFOUND for a path that ends with this process. */
  int (*describe)(struct handler_ways *w, const copal_path *path, handler_way *way);

  /* True when what this client sends reaches this shard; of a way that leads nowhere for one of
   * the shards. */
  bool (*is_mine)(struct handler_ways *w, const handler_way *way);

  /* The path again, or COPAL_ENOTFOUND when there is none to the client any more: nobody listens
   * where it asked, its session is gone, or the bytes are damaged. */
  int (*recall)(struct handler_ways *w, const handler_way *way, copal_path *path);
} handler_ways;

/* What a shard offers to services for its whole life. */
typedef struct handler_env {
  copal_ep *ep;
  uint32_t shard; /* its number */
  store_port *store;
  copal_entropy *entropy; /* unpredictable names for children made by POST */
  const handler_limits *limits;
  access_gate *gate;        /* tells what an asker may see; NULL: everything */
  const copal_time *clock;  /* the shard's present instant, for answers that come later; NULL: the
                               request's own instant serves */
  fanout_seat *seat;        /* for watch_open() */
  copal_timerq *timers;     /* of service_timer objects only; NULL: the shard has none */
  uint32_t message_max;     /* bytes of the largest message sent; 0: that is not known */
  copal_reviewer *reviewer; /* judges what is restored by the present rules; NULL: all goes on */
  handler_ways *ways;       /* NULL: nothing outlives this process, the store does not either */
} handler_env;

/* Wants to know how a request was answered. */
typedef struct handler_note {
  /* The answer leaves now, on the shard that received the request. */
  void (*on_answer)(struct handler_note *n, copal_code code);
} handler_note;

/* By which an answer from the store is known to be still the right one: whoever asks is the same,
 * the server's configuration is, and what is stored. */
typedef struct handler_proof {
  uint64_t who;           /* identity.serial */
  uint64_t configuration; /* its number, counted by reloads */
  store_stamp stamp;      /* the service's */
  copal_time until;       /* the answer is another from then on; the service's */
  uint8_t over;
} handler_proof;

/* One request. */
typedef struct handler_req {
  const handler_env *env; /* valid for the shard's life: keep it across a deferral */
  const copal_req *coap;
  arena *arena;        /* reset when on_request() has returned */
  copal_span key;      /* canonical URI path: "/a/b" */
  const identity *who; /* who asks; NULL: nobody known */
  uint8_t over;        /* how the request is protected: ACCESS_PLAIN, _SESSION or _OSCORE */
  copal_time now;
  handler_note *note;   /* lent until the answer; NULL: nobody */
  handler_proof *proof; /* lent for the call: to be completed by who answers with what is stored and
                           nothing else, for copal_response.proof; NULL: nobody wants one */
} handler_req;

/* A counter of a service, for the log. */
typedef struct service_count {
  const char *name;
  uint64_t value;
} service_count;

enum { SERVICE_COUNT_MAX = 40 };

/* A service answers the requests of the routes it is mounted on. */
typedef struct service {
  const char *name;

  /* Answers with copal_ep_respond() and returns COPAL_OK; or defers (copal_ep_defer()), returns
   * COPAL_EPENDING and resumes later on the same thread; or returns an error for the endpoint to
   * answer. */
  int (*on_request)(struct service *s, const handler_req *req);

  /* A shard begins, or ends: called on its thread before its first request and after its last.
   * May be NULL. */
  void (*on_start)(struct service *s, const handler_env *env, copal_time now);
  void (*on_stop)(struct service *s, const handler_env *env, copal_time now);

  /* Fills in what was counted since the service was opened; returns how many counters there are.
   * From any thread. May be NULL. */
  size_t (*count)(struct service *s, service_count out[SERVICE_COUNT_MAX]);

  /* Frees the service. May be NULL. */
  void (*close)(struct service *s);
} service;

/* Watches a resource by its canonical path, which is copied; `w` is lent until watch_close().
 * Returns NULL without memory. Thread: the shard's, as for all that has to do with the watch. */
watch *watch_open(const handler_env *env, copal_span key, watcher *w);

/* Has on_change() run once as if the resource had changed. */
void watch_poke(watch *w);

/* No on_change() runs after this. Safe on NULL. */
void watch_close(watch *w);

/* Multicast groups that the server can join while it runs. From any thread. */
typedef struct memberships {
  /* Reads a group address with an optional port, "224.0.2.1:5683" or "[ff15::1]"; 5683 when it has
   * none. Returns 0 or COPAL_EINVAL. RFC 7390 section 2.6.2.1. */
  int (*parse)(struct memberships *m, const char *text, copal_addr *group);

  /* Joins on the interfaces of the configuration. Joining once more what has been joined is no
   * error. Returns 0, COPAL_ENOTFOUND (nobody listens for the port on all addresses) or
   * COPAL_ENOSLOT (the system refuses on every interface). */
  int (*join)(struct memberships *m, const copal_addr *group);

  /* Leaves what join() has joined; memberships of the configuration stay. */
  void (*leave)(struct memberships *m, const copal_addr *group);
} memberships;

/* Memory for one request, aligned for any object, or NULL when the arena is spent (answer 5.03). */
void *arena_take(arena *a, size_t size);

#endif
