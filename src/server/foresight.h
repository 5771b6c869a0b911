/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at what came in one batch before it is served, so that the memory it will need is fetched
 * all at once and not one datagram after the other. Worth it with many resources only: then nearly
 * each request is the first to its resource for a long time. Thread: the shard's. */
#ifndef SERVER_FORESIGHT_H
#define SERVER_FORESIGHT_H

#include "store/store.h"
#include "transport/udp.h"

/* Changes nothing that anybody can see. */
void foresight_look(store_port *port, const udp_slot *slots, int count);

#endif
