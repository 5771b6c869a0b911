/* SPDX-License-Identifier: Apache-2.0 */
/* Multicast groups joined and left while the server runs. RFC 7390 section 2.6.2.
 *
 * A membership belongs to a socket, not to a thread: the roster has descriptors of its own of the
 * sockets that receive the group traffic of each listener, and asks nothing of the shards that read
 * from them. Threads: sockets are added before the shards run, the rest from any thread. */
#ifndef SERVER_ROSTER_H
#define SERVER_ROSTER_H

#include "server/conf.h"
#include "server/handler.h"
#include "server/log.h"

typedef struct roster roster;

/* `c` is lent: whose interfaces are to be used. `log`, or NULL, is copied: the roster writes to the
 * log from any shard. Returns NULL without memory. */
roster *roster_open(const conf *c, logger *log);

/* After the shards. Safe on NULL. */
void roster_close(roster *r);

/* Has the roster join through this socket for groups of its family and port; not kept unless it is
 * bound to all addresses. Returns 0 or -errno. */
int roster_add(roster *r, int fd, const copal_addr *listener);

/* What services join and leave through. */
memberships *roster_memberships(roster *r);

#endif
