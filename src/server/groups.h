/* SPDX-License-Identifier: Apache-2.0 */
/* Membership in multicast groups: which groups, on which interfaces, through which socket. RFC 7252
 * sections 8 and 12.8. Thread: the main thread, before the shards run.
 *
 * One socket of each shard joins, and takes what comes from the clients of its shard, so that a
 * group request is answered once and by the shard that its client's later messages reach. Only
 * listeners on all addresses ("coap://0.0.0.0", "coap://[::]") receive group requests. */
#ifndef SERVER_GROUPS_H
#define SERVER_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/path.h"
#include "server/conf.h"
#include "server/log.h"
#include "server/shard.h"

/* Joins the configured groups of the listener's family on every interface that the configuration
 * allows, by the socket with that index of the shard. What fails is left out, and logged unless
 * `log` is NULL. Returns the number of memberships. */
int groups_join(const conf *c, const copal_addr *listener, shard *s, int socket, logger *log);

/* Indices of the interfaces that are up, can do multicast and are wanted; at most `cap`. Returns
 * their number. Thread: any. */
size_t groups_interfaces(const conf *c, uint32_t *out, size_t cap);

/* True for "0.0.0.0" and "::": only such listeners receive group requests. */
bool groups_is_wildcard(const copal_addr *a);

#endif
