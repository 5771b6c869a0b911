/* SPDX-License-Identifier: Apache-2.0 */
/* What a server hands to the one that starts next, beside the store: it has the sections of the
 * state file written and read. Thread: the main thread, while no shard runs. */
#ifndef SERVER_KEEPING_H
#define SERVER_KEEPING_H

#include "server/dups.h"
#include "server/log.h"
#include "server/server.h"
#include "server/state.h"

typedef struct keeping {
  server_section hook; /* first: what the server calls */
  const char *dir;     /* of the durable store */
  logger *log;
  state_registry sections; /* whoever has more to hand over registers it before the server opens */
  dups dups;
} keeping;

/* For a store in directory `dir`. All lent for the server's life. */
void keeping_init(keeping *k, const char *dir, logger *log);

#endif
