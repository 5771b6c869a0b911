/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's engine as a whole: listeners, shards, signals. Thread: the main thread only.
 *
 *   SIGTERM, SIGINT  drain and end; a second one ends at once
 *   SIGHUP           read the configuration again and apply what can change live
 *   SIGUSR1          write the counters to the log
 *   SIGUSR2          make way for the program started anew, see upgrade.h */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "server/conf.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/roster.h"
#include "server/router.h"
#include "server/shard.h"
#include "server/upgrade.h"
#include "store/store.h"

typedef struct server server;

/* Told what an outside supervisor wants to know. */
typedef struct server_watcher {
  /* Reads the configuration again into `c`, which is not initialised. Returns 0, or COPAL_EINVAL
   * with what is wrong in `errors`. */
  int (*reload)(struct server_watcher *w, conf *c, conf_errors *errors);

  /* The state has changed: "READY=1", "RELOADING=1", "STOPPING=1". */
  void (*notify)(struct server_watcher *w, const char *state);

  /* An upgrade is wanted. Returns 0, or -errno with a sentence in `why` when there can be none. */
  int (*permit)(struct server_watcher *w, char why[UPGRADE_WHY_SIZE]);
} server_watcher;

/* Something that outlives the server: its shards' state, written when it ends and read by its
 * successor, be it another process after an upgrade or a later start. */
typedef struct server_section {
  const char *name;

  /* Reads what was saved; may be NULL, as save(). All shards exist and have their sockets; no
   * thread runs yet. What is missing or damaged is left out, which is the section's to log. */
  void (*restore)(struct server_section *n, server *s);

  /* Saves. All threads of shards have ended, endpoints and store are still there; no request is
   * being handled. It is given a few seconds at most, for clients are waiting. Failures are the
   * section's to log. */
  void (*save)(struct server_section *n, server *s);

  /* The instant at which run() is wanted, or COPAL_NEVER; and what there is to do then, while the
   * threads run. Both may be NULL. */
  copal_time (*deadline)(struct server_section *n);
  void (*run)(struct server_section *n, server *s, copal_time now);

  /* A shard has said SHARD_HAS_SAVED or SHARD_WANTS_SAVE. May be NULL. */
  void (*on_report)(struct server_section *n, server *s, const shard_report *r, copal_time now);

  struct server_section *next;
} server_section;

/* What the server works with. All lent for its life. */
typedef struct server_parts {
  conf *conf; /* changed by a reload */
  const router *router;
  store *store;
  logger *log;
  server_watcher *watcher;
  roster *roster; /* told of the sockets; NULL: groups are joined at the start only */
  const listener_set *sockets;
  upgrade *upgrade;
  const struct secure_shared *secure; /* credentials and keys for DTLS; NULL: nothing is secure */
  server_section *sections;           /* a list, restored and saved in its order; NULL: none */
} server_parts;

enum {
  SERVER_WHY_SIZE = 448,
  SERVER_YIELDED = 1,
};

/* Opens shards and starts the threads; signals are blocked from here on. Returns 0,
 * or -errno with a sentence in `why`. */
int server_open(const server_parts *parts, server **s, char why[SERVER_WHY_SIZE]);

/* Addresses served, as URIs separated by spaces. */
void server_addresses(const server *s, char *out, size_t size);

/* Runs until a signal ends it, ends the threads and saves the sections. Returns 0; SERVER_YIELDED
 * when a new process is to go on, once this one has let go of the store; or -errno when waiting for
 * signals failed. */
int server_run(server *s);

/* For sections. The shards, with their endpoints (shard_ep()) and sockets (shard_udp()). */
uint32_t server_shard_count(const server *s);
shard *server_shard(server *s, uint32_t index);

/* Hands what can change live to the shards once more. One that takes no messages now is told later,
 * which is logged. */
void server_refresh(server *s);

/* Where datagrams arrive: a shard, and which of its sockets of that address. */
typedef struct server_place {
  shard *owner; /* NULL: nobody listens there */
  uint32_t socket;
} server_place;

/* Where what `remote` sends to the listener bound to `bound` will arrive, wherever it did before:
 * the numbers of shards and of sockets may have changed. */
server_place server_home(server *s, const copal_addr *bound, const copal_addr *remote);

/* The same for records with a CID that begins with `lane`, wherever they come from. */
server_place server_home_of_lane(server *s, const copal_addr *bound, uint8_t lane);

/* Ends the threads and closes everything. Safe on NULL. */
void server_close(server *s);

#endif
