/* SPDX-License-Identifier: Apache-2.0 */
/* Where the daemon listens: a listen URI, and the fixed number of SO_REUSEPORT sockets behind it.
 * Their number and order stay for the listener's life, because changing them moves clients to other
 * shards. Thread: the main thread only. RFC 7252 section 6.1. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/path.h"

enum {
  LISTENER_WHY_SIZE = 256,
  LISTENER_URI_SIZE = 96,
};

typedef struct listener {
  copal_addr asked; /* as configured */
  copal_addr addr;  /* with the port the system picked when 0 was asked for */
  uint32_t count;
  int steering; /* 0: the kernel chooses the socket by steer_index(); else -errno of asking for it
                 */
  int *fds;
  bool
      is_secure; /* DTLS: records with Connection ID reach the socket that the ID names, RFC 9146 */
} listener;

/* All listeners. They outlive a server that has offered them to a successor: when that fails, they
 * are served again. */
typedef struct listener_set {
  size_t count;
  listener *items;
} listener_set;

/* What to listen on. */
typedef struct listener_cfg {
  char *const *uris;
  size_t count;
  uint32_t sockets;   /* of each new listener */
  bool skips_missing; /* go without addresses that this machine does not have */
} listener_cfg;

/* Parses a listen URI: "coap://127.0.0.1", "coap://[::]:5683"; port 0 lets the system pick one.
 * Returns 0, or COPAL_EINVAL with a sentence in `why`. */
int listener_parse(const char *uri, copal_addr *addr, char why[LISTENER_WHY_SIZE]);

/* Opens `count` sockets on an address. Returns 0, or -errno with a sentence in `why` that says what
 * to do. */
int listener_open(const copal_addr *addr, uint32_t count, listener *l, char why[LISTENER_WHY_SIZE]);

/* True for a coaps URI that listener_parse() accepts. */
bool listener_is_secure(const char *uri);

/* Closes the sockets. Safe on a zeroed object. */
void listener_close(listener *l);

/* Makes a listener from sockets of another process, all -1 as yet: room for `count` of them.
 * Returns 0 or -errno. */
int listener_expect(const copal_addr *asked, const copal_addr *addr, uint32_t count, listener *l);

/* Opens a listener for each URI. One that `old` has for the same scheme and address moves over with
 * its sockets, however many these are; the others stay in `old`. Returns 0, or -errno with a
 * sentence in `why`; then all is closed but what is left in `old`. */
int listener_set_open(listener_set *set, const listener_cfg *cfg, listener_set *old,
                      char why[LISTENER_WHY_SIZE]);
void listener_set_close(listener_set *set);

/* Adds a listener, given to the set on success. Returns 0 or -errno. */
int listener_set_add(listener_set *set, const listener *l);

/* The listener as a URI: "coap://[::1]:5683". */
void listener_uri(const listener *l, char out[LISTENER_URI_SIZE]);

/* The table of who serves what: the shard of a listener's socket. */
uint32_t listener_shard(uint32_t socket, uint32_t shards);

#endif
