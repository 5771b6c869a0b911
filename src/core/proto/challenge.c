/* SPDX-License-Identifier: Apache-2.0 */
/* Echo challenges. */
#include "core/proto/challenge.h"

#include "core/proto/send.h"

#include "core/proto/observe.h"
#include "core/proto/reply.h"

/* A 4.01 response and the storage it points into; must not be moved. */
typedef struct challenge {
  copal_response response;
  copal_opt echo_opt;
  uint8_t echo[COPAL_ECHO_SIZE];
} challenge;

bool challenge_is_available(void)
{
  return true;
}

bool challenge_is_due(copal_ep *ep, const copal_path *path, copal_code request, size_t len,
                      copal_time now)
{
  copal_guard *g = ep->cfg.guard;
  return g && copal_code_is_safe(request) && !g->allows(g, path, len, now);
}

/* Fills in 4.01 (Unauthorized) with a fresh Echo value, and counts it. */
static void make(copal_ep *ep, challenge *c, const copal_path *path, copal_time now)
{
  copal_guard *g = ep->cfg.guard;

  g->challenge(g, path, c->echo, now);
  c->echo_opt = (copal_opt){COPAL_OPT_ECHO, copal_span_of(c->echo, sizeof c->echo)};
  c->response =
      (copal_response){.code = COPAL_CODE_UNAUTHORIZED, .opts = &c->echo_opt, .opt_count = 1};
  ep->stats.challenged++;
}

int challenge_replace(copal_ep *ep, const copal_path *path, copal_wr *w, copal_msg *head,
                      reply_rules *rules, copal_time now)
{
  challenge c;

  if (rules->has_observe)
    observe_deregister(ep, path, head->token);
  rules->has_observe = false;
  make(ep, &c, path, now);
  head->code = c.response.code;
  w->len = 0;
  const int err = reply_write(ep, w, head, rules, &c.response);
  return err ? err : 1;
}

void challenge_probe(copal_ep *ep, const copal_path *path, copal_time now)
{
  copal_guard *g = ep->cfg.guard;
  uint16_t mid;
  if (!g || !g->probe(g, path, &mid, now))
    return;
  ep->stats.probed++;
  send_empty(ep, path, COPAL_CON, mid);
}

bool challenge_on_reset(copal_ep *ep, const copal_path *path, uint16_t mid, copal_time now)
{
  copal_guard *g = ep->cfg.guard;
  return g && g->on_reset(g, path, mid, now);
}

void challenge_read(copal_ep *ep, const turn *t)
{
  copal_guard *g = ep->cfg.guard;
  copal_span echo;
  if (g && turn_find(t, COPAL_OPT_ECHO, &echo))
    g->on_echo(g, t->path, echo, t->now);
}
