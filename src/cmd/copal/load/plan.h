/* SPDX-License-Identifier: Apache-2.0 */
/* What a load run is to do. Nothing in it changes while the run lasts; all threads read it. */
#ifndef COPAL_CMD_LOAD_PLAN_H
#define COPAL_CMD_LOAD_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/copal/load/shape.h"
#include "copal/params.h"
#include "copal/time.h"
#include "transport/dtls/credentials.h"
#include "transport/udp_socket.h"

/* Lends what it points to. */
typedef struct load_plan {
  shape shape;
  udp_sockaddr server;
  socklen_t server_size;
  dtls_credentials *credentials; /* NULL: coap */
  const char *server_name;       /* for DTLS; NULL: none */
  copal_params params;           /* of the transmission */
  copal_dur patience;            /* for an answer that will not be asked for again */
  copal_dur timeout;             /* of any message; 0: the transmission parameters decide */
  copal_dur grace;               /* in the end, for what is under way */
  uint32_t clients;              /* sockets; when observing, observers */
  uint32_t window;               /* requests under way for each of them */
  uint32_t threads;
  double rate; /* requests or changes per second, over all; 0: the next when one is answered */
  uint64_t requests;           /* to make in all; 0: by time */
  copal_time warmup, duration; /* microseconds */
  uint64_t numbers;            /* that stand for %d: 0 to numbers - 1 */
  bool is_random;              /* drawn at random instead of in turn */
  copal_code expect;           /* 0: any 2.xx */
  bool checks_body;
  copal_span expected; /* body of each answer */
  int pid;             /* of the server; 0: not known */
} load_plan;

/* When the measured part begins and ends, on the clock of session_now(). */
typedef struct load_window {
  copal_time begin, end; /* `end` is COPAL_NEVER when a number of requests ends it */
} load_window;

/* When the first request of a schedule is due. */
static inline copal_time load_began(const load_plan *p, const load_window *w)
{
  return w->end == COPAL_NEVER ? w->begin : w->begin - p->warmup;
}

#endif
