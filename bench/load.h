/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator: what its modes share. One thread. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "frame.h"
#include "lanes.h"

enum { LOAD_PATH_MAX = 128 };

typedef enum load_mode {
  LOAD_GET,
  LOAD_PUT,
  LOAD_OBSERVE,
} load_mode;

typedef struct load_cfg {
  load_mode mode;
  struct sockaddr_in server;
  uint32_t clients;     /* addresses; observers when observing */
  uint32_t outstanding; /* requests under way at a time, over all clients */
  uint32_t paths;       /* 0: one resource; else "PATH/<n>" with n below it */
  uint64_t count;       /* stop after so many requests, paths in order; 0: by time */
  double rate;          /* requests per second; 0: as fast as the answers come */
  double seconds;       /* measured */
  double warmup;        /* before that */
  double settle;        /* observing: how long the last state may take in the end */
  bool is_non;
  bool joins;        /* runs of requests leave, and of answers come, as one message */
  bool is_same_body; /* GET: the payload must be the body that PUT sends */
  uint32_t body_len;
  int pid; /* of the server, to read its CPU time; 0: not */
  const char *path;
} load_cfg;

/* Answers that were not what they should have been, by reason. */
typedef struct load_wrong {
  uint64_t malformed;
  uint64_t type;
  uint64_t token;
  uint64_t mid;
  uint64_t code;
  uint64_t payload;
  uint64_t backwards; /* notifications older than one that the observer has seen */
} load_wrong;

/* Figures of the measured window. */
typedef struct load_result {
  uint64_t messages; /* verified responses or notifications */
  uint64_t confirmable;
  uint64_t changes;  /* PUTs of the lock step */
  uint64_t timeouts; /* answers not there after a second; the request is repeated */
  uint64_t missing;  /* observers that did not get a state within its second */
  uint64_t late;     /* answers to what had been repeated */
  uint64_t behind;   /* requests that a fixed rate would have sent in the window, and were not */
  uint64_t elapsed_ns;
  uint64_t cpu_ns;
  uint64_t registered_ns;  /* CPU time of all registrations */
  bool has_failed;         /* gave up: no answers at all */
  bool is_last_state_seen; /* observing: everybody ended with the last state */
  load_wrong wrong;
} load_result;

/* Closed loop of requests, rotating over the clients, or requests at a fixed rate while fewer than
 * `outstanding` are under way. */
void requests_run(const load_cfg *cfg, load_result *result);

/* Observers with addresses of their own, spread over the resources, and changes in lock step, of
 * one resource after the other: the next PUT leaves when all who observe what the last one changed
 * have its state, or after a second. */
void observers_run(const load_cfg *cfg, load_result *result);

#endif
