/* SPDX-License-Identifier: Apache-2.0 */
/* What a shard is made of, for its own files: shard.c runs it, shard_open.c makes and ends it,
 * shard_messages.c has what other threads ask of it. */
#ifndef SERVER_SHARD_INSIDE_H
#define SERVER_SHARD_INSIDE_H

#include <pthread.h>

#include "server/alarm_clock.h"
#include "server/entropy.h"
#include "server/pipeline.h"
#include "server/pollset.h"
#include "server/secure.h"
#include "server/shard.h"
#include "server/timers.h"
#include "server/ways.h"
#include "transport/udp.h"

/* What a shard sleeps on. */
enum {
  SHARD_POLLS_MAILBOX,
  SHARD_POLLS_ALARM,
  SHARD_POLLS_SOCKETS, /* the first of them */
};

typedef enum shard_state {
  SHARD_SERVING,
  SHARD_DRAINING,
  SHARD_YIELDING,
  SHARD_YIELDED,
  SHARD_PARTING,
  SHARD_DONE,
} shard_state;

/* The store's way to wake this shard. */
typedef struct shard_waker {
  store_waker hook; /* first */
  mailbox *mailbox;
} shard_waker;

/* Tells the rules who is behind a session. */
typedef struct shard_sessions {
  admission_sessions hook; /* first */
  const secure *secure;
} shard_sessions;

typedef struct drain_msg {
  shard_msg head; /* first */
  copal_dur timeout;
} drain_msg;

struct shard {
  const shard_common *common;
  uint32_t index;
  shard_state state;
  copal_time now;
  copal_time drain_until;
  copal_time catches_up_until; /* what came before it ran is taken without haste */
  logger log;
  shard_stats stats;

  pthread_t thread;
  bool has_thread;
  mailbox *mailbox;
  pollset pollset;
  alarm_clock alarm;

  void *ep_memory;
  size_t ep_size;
  copal_ep *ep;
  entropy entropy;
  shard_waker waker;
  store_port *port;
  fanout_seat seat;
  timers *timers; /* of services */
  guard *guard;   /* NULL: no limit for unverified sources */
  pipeline pipeline;
  udp *udp;
  secure *secure; /* NULL: nothing is served by DTLS */
  shard_sessions sessions;
  ways ways;

  uint32_t ready_count;
  uint32_t *ready; /* indices of sockets that may have datagrams */
  bool *is_ready;
  uint32_t *steered; /* of each socket: as shard_adopt() was told */

  bool has_mail; /* a crowd of messages: there may be more than have run */
  bool has_due;  /* a crowd in the endpoint: more is due than has been done */

  shard_msg ask_metrics;
  drain_msg drain;
  drain_msg yield;
  drain_msg stop;
  shard_report metrics_report;
  shard_report yielded_report;
  shard_report done_report;
};

/* The thread; `arg` is the shard. */
void *shard_main(void *arg);

/* Runs the messages that have come, of a great many some: then there are more for the next call.
 * Returns whether there were any. Thread: the shard's, or any when it does not run. */
bool shard_run_messages(shard *s);

/* Tells the main thread, with the counters as they are now. Thread: the shard's. */
void shard_report_to_main(shard *s, shard_report *r, shard_report_kind kind);

#endif
