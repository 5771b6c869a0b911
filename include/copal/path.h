/* SPDX-License-Identifier: Apache-2.0 */
/* Where a datagram came from or goes to, in the transport's terms. The core compares these values
 * and never looks inside an address. RFC 7252 section 1.2 (endpoint), 4.4 and 5.3.2 (matching). */
#ifndef COPAL_PATH_H
#define COPAL_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/platform.h"

COPAL_BEGIN_DECLS

/* An address of the remote endpoint; IPv4 is mapped into IPv6 (::ffff:a.b.c.d). 20 bytes without
 * padding. */
typedef struct copal_addr {
  uint8_t ip[16];
  uint16_t port; /* host byte order */
  uint16_t zone; /* interface of a link-local address, else 0 */
} copal_addr;

enum {
  COPAL_PATH_GROUP = 1, /* the datagram was sent to a multicast or broadcast address; or is to be */
  COPAL_PATH_SECURE = 2,   /* inside DTLS or TLS; then `session` tells which */
  COPAL_PATH_UNPROVEN = 4, /* of a session whose peer has a new address, which has not shown to
                              receive what is sent there. RFC 9146 section 6 */
  COPAL_PATH_STALE = 8,    /* of a session restored after a crash: what arrives may be a replay */
};

/* One way between a local and a remote endpoint. 28 bytes without padding. */
typedef struct copal_path {
  copal_addr remote;
  uint32_t session; /* security session, 0 in NoSec mode */
  uint16_t
      local; /* the transport's index of local socket, address and interface; 0 lets it choose */
  uint16_t flags; /* COPAL_PATH_* */
} copal_path;

/* True when both name the same remote endpoint: the same security session, whatever its address
 * now, or without one the same address. The local side and flags are not compared. */
COPAL_API bool copal_path_is_same_peer(const copal_path *a, const copal_path *b);

COPAL_END_DECLS

#endif
