/* SPDX-License-Identifier: Apache-2.0 */
/* Upgrades of a running server, the side of the new process; the other one is in upgrade.h.
 * Thread: the main thread only.
 *
 *   event                      action
 *   started with the variable  heir_open(), heir_take(): the sockets of the old process
 *   configuration is right,    heir_wait(): READY; the old one lets go of everything
 *   new addresses are open
 *   GO                         heir_wait() returns; open the store, restore, serve
 *   serving                    heir_serves(): SERVING; the old one ends
 *   anything fails             heir_fails(): FAILED; exit, the old one serves on
 *   the old one is gone        heir_wait() fails; exit */
#ifndef SERVER_HEIR_H
#define SERVER_HEIR_H

#include <stdbool.h>

#include "server/listener.h"

enum { HEIR_WHY_SIZE = 256 };

typedef struct heir {
  int fd;              /* to the old process; -1: there is none */
  listener_set offers; /* its sockets that have not been taken over */
} heir;

/* Finds out whether this process is started by an upgrade: `fd` is -1 when it is not. Returns 0, or
 * -EINVAL when the variable is there but means nothing. */
int heir_open(heir *h);

/* Closes all that was not taken over. Safe on a zeroed object whose `fd` is -1. */
void heir_close(heir *h);

/* Fills in `offers`. Returns 0, or -errno with a sentence in `why`. */
int heir_take(heir *h, char why[HEIR_WHY_SIZE]);

/* Says READY and waits for GO. Returns 0, or -errno with a sentence in `why`. */
int heir_wait(heir *h, char why[HEIR_WHY_SIZE]);

/* Says SERVING, or why it does not come to that. The channel is closed. */
void heir_serves(heir *h);
void heir_fails(heir *h, const char *why);

#endif
