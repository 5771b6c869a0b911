/* SPDX-License-Identifier: Apache-2.0 */
/* Names of operations: a request that comes again is known by what it is, also after a crash, for
 * the store keeps the name with the result. RFC 7252 section 4.5; what is promised is in
 * docs/restart.md.
 *
 * A name is the keyed hash of the client's address and port, or its security session, and of the
 * whole message with its type, Message ID and token. The key is drawn when a store is made, and
 * kept in it.
 *
 * Threads: one object serves all shards; opids_start() on the thread of each shard. */
#ifndef SERVICE_OPIDS_H
#define SERVICE_OPIDS_H

#include "server/handler.h"

typedef struct opids opids;

/* Returns NULL without memory. */
opids *opids_open(void);
void opids_close(opids *o);

/* A shard begins: reads the key, or makes it. When that fails operations go without names. */
void opids_start(opids *o, const handler_env *env, copal_time now);

/* The name of a request; all zero when there is none to be had: without a durable store, for a
 * client whose ways end with this process, without memory. */
store_opid opids_name(opids *o, const handler_req *req);

#endif
