/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line asks of `copal load`. */
#ifndef COPAL_CMD_LOAD_LOAD_H
#define COPAL_CMD_LOAD_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/code.h"
#include "copal/time.h"

enum {
  LOAD_CLIENTS = 64,
  LOAD_CLIENTS_MAX = 1000000,
  LOAD_WINDOW_MAX = 1024,
  LOAD_THREADS_MAX = 64,
  LOAD_PLACES_MAX = 1 << 24, /* requests under way at once */
};

/* Strings are lent by argv. Zero, where not said otherwise, is the default named. */
typedef struct load_args {
  copal_code method;       /* GET; PUT with a body */
  uint32_t clients;        /* LOAD_CLIENTS */
  uint32_t window;         /* 1, as NSTART; RFC 7252 section 4.7 */
  uint32_t threads;        /* 1 */
  double rate;             /* closed loop */
  uint32_t requests;       /* by time */
  uint32_t paths;          /* numbers that stand for %d */
  uint32_t size;           /* bytes of a body that is made up; `has_size` */
  copal_time warmup;       /* microseconds; `has_warmup`, else one second */
  int pid;                 /* of the server */
  copal_code expect;       /* any 2.xx */
  const char *expect_body; /* text or @file; NULL: any */
  bool has_size, has_warmup, is_random, observes;
} load_args;

#endif
