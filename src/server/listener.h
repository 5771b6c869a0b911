/* SPDX-License-Identifier: Apache-2.0 */
/* Where the daemon listens: a listen URI, and the fixed number of SO_REUSEPORT sockets behind it.
 * Their number and order stay for the listener's life, because changing them moves clients to other
 * shards. Thread: the main thread only. RFC 7252 section 6.1. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <stddef.h>
#include <stdint.h>

#include "copal/path.h"

enum {
  LISTENER_WHY_SIZE = 256,
  LISTENER_URI_SIZE = 96,
};

typedef struct listener {
  copal_addr addr; /* with the port the system picked when 0 was asked for */
  uint32_t count;
  int steering; /* 0: the kernel chooses the socket by steer_index(); else -errno of asking for it
                 */
  int *fds;     /* -1: given away */
} listener;

/* Parses a listen URI: "coap://127.0.0.1", "coap://[::]:5683"; port 0 lets the system pick one.
 * Returns 0, or COPAL_EINVAL with a sentence in `why`. */
int listener_parse(const char *uri, copal_addr *addr, char why[LISTENER_WHY_SIZE]);

/* Opens `count` sockets on an address. Returns 0, or -errno with a sentence in `why` that says what
 * to do. */
int listener_open(const copal_addr *addr, uint32_t count, listener *l, char why[LISTENER_WHY_SIZE]);

/* Closes the sockets that were not given away. Safe on a zeroed object. */
void listener_close(listener *l);

/* The socket of an index, given to the caller. */
int listener_take_fd(listener *l, uint32_t index);

/* The listener as a URI: "coap://[::1]:5683". */
void listener_uri(const listener *l, char out[LISTENER_URI_SIZE]);

/* The table of who serves what: the shard of a listener's socket. */
uint32_t listener_shard(uint32_t socket, uint32_t shards);

#endif
