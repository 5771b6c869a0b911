/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at what came in one batch before it is served, so that the memory it will need is fetched
 * all at once and not one datagram after the other. With many resources nearly each request is
 * the first to its resource for a long time. Thread: the shard's. */
#ifndef SERVER_FORESIGHT_H
#define SERVER_FORESIGHT_H

#include "copal/endpoint.h"
#include "store/store.h"
#include "transport/udp.h"

/* Changes nothing that anybody can see. */
void foresight_look(const copal_ep *ep, store_port *port, const udp_slot *slots, int count);

#endif
