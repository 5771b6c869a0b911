/* SPDX-License-Identifier: Apache-2.0 */
/* Upgrades of a running server, the side of the old process: it starts its own program anew, whose
 * file may have been replaced meanwhile, lends it the sockets, and makes way for it. Clients notice
 * nothing: what they send while nobody reads waits in the sockets, which never close. The other
 * side is in heir.h; docs/upgrade.md has the operator's view. Thread: the main thread only.
 *
 *   state     event                      next      action
 *   IDLE      SIGUSR2                    STARTING  the new process is started and offered the
 * sockets STARTING  it is READY                YIELDING  shards read nothing more and answer what
 * they read STARTING  it ends, or takes 30 s     IDLE      said in the log, with its exit status;
 * serving has not stopped STARTING, SIGUSR2                    (same)    refused YIELDING STARTING,
 * SIGTERM, SIGINT            IDLE      the new process is killed; this one ends as it does YIELDING
 * without an upgrade YIELDING  all is answered            GIVEN     state saved, store closed, GO
 *   GIVEN     it is SERVING              (end)     exit with 0
 *   GIVEN     it ends, FAILED, or takes  IDLE      it is killed, so that only one has the store;
 * store 60 s                                 opened, state restored, the same sockets served on
 *   GIVEN     as above, but the store    (end)     said in the log, exit with 1
 *             does not open any more */
#ifndef SERVER_UPGRADE_H
#define SERVER_UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

#include "copal/time.h"
#include "server/listener.h"
#include "server/log.h"

typedef enum upgrade_state {
  UPGRADE_IDLE,
  UPGRADE_STARTING,
  UPGRADE_YIELDING,
  UPGRADE_GIVEN,
} upgrade_state;

enum {
  UPGRADE_PROGRAM_SIZE = 4096,
  UPGRADE_WHY_SIZE = 256,
};

#define UPGRADE_START_TIME (30 * COPAL_SECOND) /* until READY */
#define UPGRADE_OPEN_TIME  (60 * COPAL_SECOND) /* from GO until SERVING */
#define UPGRADE_YIELD_TIME                                                                         \
  (3 * COPAL_SECOND) /* for requests under way; below what clients take                            \
                        for their second retransmission */

/* An upgrade, or the possibility of one. */
typedef struct upgrade {
  upgrade_state state;
  char program[UPGRADE_PROGRAM_SIZE];
  char *const *argv;
  logger *log;
  int fd; /* to the new process; -1 when there is none */
  pid_t pid;
  copal_time deadline; /* of the state */
} upgrade;

/* Notes how this process was started: by a path, which is kept as it is, or through PATH, when it
 * is what the system says. `argv` and `log` are lent for the object's life. Before the working
 * directory changes. */
void upgrade_init(upgrade *u, char *const *argv, logger *log);

/* Kills what has been started and does not serve. Safe after upgrade_init() only. */
void upgrade_wipe(upgrade *u);

/* IDLE: starts the new process and offers it the sockets. Returns 0, or -errno with a sentence in
 * `why`. */
int upgrade_start(upgrade *u, const listener_set *sockets, copal_time now,
                  char why[UPGRADE_WHY_SIZE]);

/* STARTING: reads what the new process says. Returns true when it is READY; the state is YIELDING
 * then. When it cannot come to that, the state is IDLE again and the log says why. */
bool upgrade_listen(upgrade *u, copal_time now);

/* STARTING, YIELDING: ends the new process. */
void upgrade_cancel(upgrade *u);

/* YIELDING: everything is let go of. Waits until the new process serves: returns true. Otherwise it
 * has been ended and the log says why. The state is IDLE either way. */
bool upgrade_hand_over(upgrade *u);

#endif
