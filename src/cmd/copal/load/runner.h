/* SPDX-License-Identifier: Apache-2.0 */
/* What generates load on a thread of its own: a worker that sends requests, or observers. */
#ifndef COPAL_CMD_LOAD_RUNNER_H
#define COPAL_CMD_LOAD_RUNNER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cmd/copal/load/account.h"
#include "cmd/copal/load/plan.h"

/* Embedded first in what it generates load with. */
typedef struct runner {
  /* Runs from now to the end of the window, and on while something is under way and there is hope.
   */
  void (*run)(struct runner *r, load_window window);
  void (*close)(struct runner *r);

  const char *failure;    /* why no session could be opened, or NULL */
  account account;        /* read it when run() has returned */
  copal_time last_answer; /* of the measured part; 0: there was none */

  /* for any thread */
  atomic_uint_fast64_t answered; /* so far, also before the measured part */
  atomic_uint_fast64_t faults;   /* as of runner_tell() */
  atomic_bool is_stopped;        /* have run() come to an end soon */
} runner;

static inline void runner_count(runner *r)
{
  const uint64_t n = atomic_load_explicit(&r->answered, memory_order_relaxed);
  atomic_store_explicit(&r->answered, n + 1, memory_order_relaxed); /* the only writer */
}

/* Lets other threads see how many faults there are. */
static inline void runner_tell(runner *r)
{
  atomic_store_explicit(&r->faults, account_faults(&r->account), memory_order_relaxed);
}

static inline uint64_t runner_faults(const runner *r)
{
  return atomic_load_explicit(&r->faults, memory_order_relaxed);
}

static inline uint64_t runner_answered(const runner *r)
{
  return atomic_load_explicit(&r->answered, memory_order_relaxed);
}

static inline void runner_stop(runner *r)
{
  atomic_store_explicit(&r->is_stopped, true, memory_order_relaxed);
}

static inline bool runner_is_stopped(const runner *r)
{
  return atomic_load_explicit(&r->is_stopped, memory_order_relaxed);
}

#endif
