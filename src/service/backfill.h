/* SPDX-License-Identifier: Apache-2.0 */
/* Shows a follower of the store what the store held before: few resources at once, many on a thread
 * of its own, while changes go on and the server serves.
 *
 * Meant for engines whose reads never wait for what on_change() is called under, as the durable
 * one; one that does has to be small when it is opened, or empty, as the one in memory is.
 *
 * A change of a key that has been shown is the follower's to apply; one of a key that has not will
 * be shown as it is then. Threads: backfill_enter() and backfill_leave() on the thread that applies
 * changes; `show` there or on the backfill's own; the rest on any. */
#ifndef SERVICE_BACKFILL_H
#define SERVICE_BACKFILL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

enum { BACKFILL_AT_ONCE = 10000 }; /* resources shown before backfill_open() returns */

typedef struct backfill {
  /* Called once for each resource, in key order. */
  void (*show)(struct backfill *b, copal_span key, const store_item *item);
  store_port *port;
  pthread_t thread;
  bool has_thread;
  pthread_mutex_t page_lock; /* held while a page is shown, or a change is applied */
  uint8_t last[STORE_KEY_MAX];
  size_t last_len; /* keys up to `last` have been shown */
  bool is_complete;
  pthread_mutex_t state_lock; /* never held for long */
  bool is_over, is_stopping;
} backfill;

/* Begins; the object is zeroed but for `show`. Before the first commit. Returns 0, or COPAL_ENOSLOT
 * without memory or thread. */
int backfill_open(backfill *b, store *s);

/* Waits for a page that is being shown. Returns whether the follower is to apply a change of this
 * key; backfill_leave() must follow in either case. */
bool backfill_enter(backfill *b, copal_span key);
void backfill_leave(backfill *b);

/* True when everything has been shown. */
bool backfill_is_over(backfill *b);

/* Ends the thread, done or not. Before the store is closed. */
void backfill_stop(backfill *b);

/* Safe on an object that backfill_open() failed for. */
void backfill_wipe(backfill *b);

#endif
