/* SPDX-License-Identifier: Apache-2.0 */
/* The key of session tickets is drawn anew from time to time: who learns it cannot open what was
 * resumed before, and tickets given out earlier are void. RFC 5077 section 5.5. Thread: the main
 * thread. */
#ifndef SERVER_TICKETS_H
#define SERVER_TICKETS_H

#include "server/conf.h"
#include "server/log.h"
#include "server/secure.h"
#include "server/server.h"

typedef struct tickets {
  server_section hook; /* first */
  const conf *conf;
  secure_shared *shared;
  logger *log;
  copal_time drawn; /* when the present key was, or was taken over */
} tickets;

/* All lent for the object's life. */
void tickets_init(tickets *t, const conf *c, secure_shared *shared, logger *log, copal_time now);

#endif
