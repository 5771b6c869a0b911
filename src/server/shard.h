/* SPDX-License-Identifier: Apache-2.0 */
/* A shard: one thread with an endpoint, a set of sockets and a port of the store of its own.
 * Nothing of it is touched by other threads; they post messages.
 *
 *   state     event                          next      action
 *   SERVING   message shard_drain()          DRAINING  new requests are left to a successor
 *   DRAINING  no exchange is open, or late   DONE      the thread ends and says so
 *   SERVING   message shard_yield()          YIELDING  nothing is read any more
 *   YIELDING  every handler has answered,    YIELDED   SHARD_HAS_YIELDED; what other shards have to
 *             or late                                  say about changed resources is still heard
 *   YIELDING, message shard_stop()           PARTING
 *   YIELDED
 *   PARTING   (at once)                      DONE      what is not acknowledged is sent once more
 */
#ifndef SERVER_SHARD_H
#define SERVER_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/time.h"
#include "server/conf.h"
#include "server/fanout.h"
#include "server/log.h"
#include "server/mailbox.h"
#include "server/metrics.h"
#include "server/router.h"
#include "store/store.h"
#include "transport/udp.h"

typedef struct shard shard;

/* A message to a shard; runs on its thread. What posts it says who owns it afterwards. */
typedef struct shard_msg {
  void (*run)(struct shard_msg *m, shard *s);
} shard_msg;

/* What a shard says to the main thread, lent until the next shard_*() call for this shard. */
typedef enum shard_report_kind {
  SHARD_HAS_METRICS, /* `metrics` are filled in */
  SHARD_HAS_YIELDED, /* it has answered all it had read */
  SHARD_HAS_SAVED,   /* its sessions are collected; for the section that asked */
  SHARD_WANTS_SAVE,  /* sessions will soon be at their reservation: a checkpoint is wanted */
  SHARD_IS_DONE,     /* the thread is about to end; join it with shard_close() */
} shard_report_kind;

typedef struct shard_report {
  shard_report_kind kind;
  shard *shard;
  metrics metrics; /* also with SHARD_IS_DONE */
} shard_report;

/* What shards share. All lent for the shards' life. */
typedef struct shard_common {
  const conf *conf;
  const router *router;
  store *store;
  fanout *fanout;
  mailbox *reports; /* receives shard_report objects */
  uint32_t count;   /* of shards */
  shard *const *shards;
  int log_fd;
  uint32_t sequence_base;             /* of notifications: see copal_ep_cfg */
  const struct secure_shared *secure; /* NULL: nothing is served by DTLS */
  bool is_durable;                    /* the store outlives the process, and so do observations */
} shard_common;

/* Makes a shard without a thread. Returns 0 or -errno. */
int shard_open(const shard_common *common, uint32_t index, shard **s);

/* Gives it a bound socket, one of `steered` among which the kernel chooses by steer_index(); 0: it
 * chooses by itself. Before shard_start() only. Returns the socket's index or -errno; the socket is
 * given on success. */
int shard_adopt(shard *s, int fd, uint32_t steered);

/* Has the socket with that index join a multicast group on an interface. Before shard_start() only.
 * Returns 0 or -errno. */
int shard_join(shard *s, int socket, const copal_addr *group, uint32_t interface);

/* Says whose group requests the socket with that index takes, see udp_take_groups(). Before
 * shard_start() only. */
void shard_take_groups(shard *s, int socket, const udp_crowd *crowd);

/* The socket with that index carries DTLS; `place` is its place in its SO_REUSEPORT group. Before
 * shard_start() only. Returns 0 or -errno. */
int shard_secure_socket(shard *s, int socket, uint32_t place);

/* Starts the thread. Returns 0 or -errno. */
int shard_start(shard *s);

/* Posts a message. Returns 0 or COPAL_ENOSLOT. */
int shard_post(shard *s, shard_msg *m);

/* Asks for SHARD_HAS_METRICS. One at a time. Returns as shard_post(). */
int shard_ask_metrics(shard *s);

/* Hands new values of what can change live to the shard. Returns as shard_post(), or COPAL_ENOSPC.
 */
int shard_reload(shard *s, const conf *c);

/* Tells the shard to end when its exchanges have, `timeout` microseconds from now at the latest.
 * Once. Returns as shard_post(). */
int shard_drain(shard *s, copal_dur timeout);

/* Tells the shard to read nothing more and to say when all requests it has read are answered,
 * `timeout` microseconds from now at the latest. Once. Returns as shard_post(). */
int shard_yield(shard *s, copal_dur timeout);

/* Tells the shard to end now. Once. Returns as shard_post(). */
int shard_stop(shard *s);

/* Waits until the thread has ended, if it runs. */
void shard_wait(shard *s);

/* Waits for the thread, if it runs, and frees the shard. */
void shard_close(shard *s);

/* What it works with; while its thread does not run. Lent for the shard's life. */
copal_ep *shard_ep(shard *s);
udp *shard_udp(shard *s);
struct secure *shard_secure(shard *s); /* NULL: nothing is served by DTLS */
handler_ways *shard_ways(shard *s);

/* Timers of services; on its thread. Lent for the shard's life. */
copal_timerq *shard_timers(shard *s);

/* Says something to the main thread; `r` is lent until that has taken it in. On its thread. Returns
 * as shard_post(). */
int shard_tell(shard *s, shard_report *r);

/* The instant of the shard's present turn. On its thread. */
copal_time shard_now(const shard *s);

/* True, and counted, for a message that is left to the successor of a shard that shuts down. On its
 * thread. */
bool shard_leaves(shard *s, copal_mspan message);

/* Bytes of receive buffer granted, the smallest of its sockets. */
uint32_t shard_rcvbuf(const shard *s);

#endif
