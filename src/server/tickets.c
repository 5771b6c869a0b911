/* SPDX-License-Identifier: Apache-2.0 */
/* Rotation of the key of session tickets. */
#include "server/tickets.h"

#include <string.h>

static copal_time deadline(server_section *hook)
{
  const tickets *t = (const tickets *)hook;
  const conf_dtls *c = &t->conf->dtls;
  if (c->has_tickets == CONF_OFF || c->ticket_s == 0)
    return COPAL_NEVER;
  return t->drawn + (copal_time)c->ticket_s * COPAL_SECOND;
}

static void run(server_section *hook, server *s, copal_time now)
{
  tickets *t = (tickets *)hook;
  const int rc = secure_shared_rotate(t->shared);
  t->drawn = now;
  if (rc < 0) {
    LOG(t->log, LOG_LEVEL_ERROR, "ticket_key_kept", log_text("error", strerror(-rc)));
    return;
  }
  LOG(t->log, LOG_LEVEL_INFO, "ticket_key_rotated", log_text("reason", "its time is over"));
  server_refresh(s);
}

void tickets_init(tickets *t, const conf *c, secure_shared *shared, logger *log, copal_time now)
{
  *t = (tickets){.hook = {.name = "tickets", .deadline = deadline, .run = run},
                 .conf = c,
                 .shared = shared,
                 .log = log,
                 .drawn = now};
}
