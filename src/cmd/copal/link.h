/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS below the endpoint of the client: messages along a secure path wait until the handshake with
 * their server is over, and leave in its session. The endpoint sees the server's address only. RFC
 * 7252 section 9.1. */
#ifndef COPAL_CMD_LINK_H
#define COPAL_CMD_LINK_H

#include "copal/endpoint.h"
#include "transport/dtls/credentials.h"
#include "transport/udp.h"

typedef struct link_layer link_layer;

/* Told what comes. */
typedef struct link_user {
  /* A message in plaintext. */
  void (*on_message)(struct link_user *u, const copal_path *path, copal_mspan bytes);

  /* There will be no session: `text`, lent for the call, says why; NULL: the network. The messages
   * that waited for it are `lost`, one after the other. */
  void (*on_lost)(struct link_user *u, const copal_path *path, const char *text, copal_span lost);
} link_user;

typedef struct link_cfg {
  dtls_credentials *credentials; /* lent for the link's life, as the others */
  const char *server_name;       /* authority of the URI of all servers; NULL: any */
  udp *udp;
  link_user *user;
} link_cfg;

/* Returns 0 or -errno. */
int link_open(const link_cfg *cfg, link_layer **l);

/* Ends the sessions with close_notify. Safe on NULL. */
void link_close(link_layer *l);

/* Where the endpoint's datagrams leave; those along other paths go through as they are. */
copal_sink *link_sink(link_layer *l);

/* Takes a datagram when it comes from a server that is talked to securely; else returns false. */
bool link_take(link_layer *l, const udp_slot *slot);

/* The network has refused a datagram to `remote`: messages that wait for a session with it are
 * lost. False when none is wanted there, or it is established: then anybody may have said so. */
bool link_refuse(link_layer *l, const copal_addr *remote);

copal_time link_deadline(const link_layer *l);
void link_expire(link_layer *l);

#endif
