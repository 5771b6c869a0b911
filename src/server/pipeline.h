/* SPDX-License-Identifier: Apache-2.0 */
/* What happens between the endpoint and a service: who asks and how often, which host is meant, the
 * canonical path, the access rules, the route. Thread: the shard's only. RFC 7252 sections 5.10.1
 * and 6.5. */
#ifndef SERVER_PIPELINE_H
#define SERVER_PIPELINE_H

#include <stdint.h>

#include "copal/endpoint.h"
#include "server/admission.h"
#include "server/arena.h"
#include "server/conf.h"
#include "server/handler.h"
#include "server/router.h"

typedef struct pipeline_stats {
  uint64_t requests;      /* handed to a service, or copal_stats.recalled */
  uint64_t foreign_hosts; /* 4.04: Uri-Host names none of the configured hosts */
  uint64_t long_paths;    /* 4.00: beyond handler_limits.key_max */
  uint64_t no_routes;     /* 4.04: no service is mounted there */
  uint64_t no_memory;     /* 5.03: the request's arena was spent */
  uint64_t doubted;       /* 4.01: an Echo has to show first that it is no replay */
} pipeline_stats;

typedef struct pipeline {
  copal_server hook; /* first: the endpoint's face */
  handler_env env;
  handler_limits limits; /* env.limits points here */
  conf_strings names;    /* hosts answered for; empty: all. The pipeline's own */
  const router *router;
  admission admission; /* its sessions and its log are the shard's to set */
  copal_guard *echo;   /* lent; makes Echo values. NULL: nobody does */
  arena arena;
  uint64_t configuration; /* counts reloads */
  pipeline_stats stats;
} pipeline;

/* Readies everything but env.ep, which the endpoint's owner sets once the endpoint exists. Returns
 * 0 or COPAL_ENOSPC. `r`, `port` and `entropy` are lent for the pipeline's life; `names` is copied.
 */
int pipeline_init(pipeline *p, const conf *c, const router *r, store_port *port,
                  copal_entropy *entropy);

/* Takes new values over; `names` is given. */
void pipeline_reload(pipeline *p, const handler_limits *limits, conf_strings names,
                     const admission_cfg *admitted, copal_time now);

/* Frees what it has. Safe on a zeroed object. */
void pipeline_wipe(pipeline *p);

#endif
