/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's engine as a whole: listeners, shards, signals. Thread: the main thread only.
 *
 *   SIGTERM, SIGINT  drain and end; a second one ends at once
 *   SIGHUP           read the configuration again and apply what can change live
 *   SIGUSR1          write the counters to the log */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "server/conf.h"
#include "server/log.h"
#include "server/roster.h"
#include "server/router.h"
#include "store/store.h"

typedef struct server server;

/* Told what an outside supervisor wants to know. */
typedef struct server_watcher {
  /* Reads the configuration again into `c`, which is not initialised. Returns 0, or COPAL_EINVAL
   * with what is wrong in `errors`. */
  int (*reload)(struct server_watcher *w, conf *c, conf_errors *errors);

  /* The state has changed: "READY=1", "RELOADING=1", "STOPPING=1". */
  void (*notify)(struct server_watcher *w, const char *state);
} server_watcher;

/* What the server works with. All lent for its life. */
typedef struct server_parts {
  conf *conf; /* changed by a reload */
  const router *router;
  store *store;
  logger *log;
  server_watcher *watcher;
  roster *roster;     /* told of the sockets; NULL: groups are joined at the start only */
  bool skips_missing; /* go without listen addresses that this machine does not have */
} server_parts;

enum { SERVER_WHY_SIZE = 256 };

/* Opens listeners and shards and starts the threads; signals are blocked from here on. Returns 0,
 * or -errno with a sentence in `why`. */
int server_open(const server_parts *parts, server **s, char why[SERVER_WHY_SIZE]);

/* Addresses served, as URIs separated by spaces. */
void server_addresses(const server *s, char *out, size_t size);

/* Runs until a signal ends it. Returns 0, or -errno when waiting for signals failed. */
int server_run(server *s);

/* Ends the threads and closes everything. Safe on NULL. */
void server_close(server *s);

#endif
