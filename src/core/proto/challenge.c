/* SPDX-License-Identifier: Apache-2.0 */
/* Echo challenges. */
#include "core/proto/challenge.h"

bool challenge_is_due(copal_ep *ep, const copal_path *path, copal_code request, size_t len,
                      copal_time now)
{
  copal_guard *g = ep->cfg.guard;
  return g && copal_code_is_safe(request) && !g->allows(g, path, len, now);
}

void challenge_make(copal_ep *ep, challenge *c, const copal_path *path, copal_time now)
{
  copal_guard *g = ep->cfg.guard;

  g->challenge(g, path, c->echo, now);
  c->echo_opt = (copal_opt){COPAL_OPT_ECHO, copal_span_of(c->echo, sizeof c->echo)};
  c->response =
      (copal_response){.code = COPAL_CODE_UNAUTHORIZED, .opts = &c->echo_opt, .opt_count = 1};
  ep->stats.challenged++;
}

void challenge_read(copal_ep *ep, const copal_path *path, const copal_msg *msg, copal_time now)
{
  copal_guard *g = ep->cfg.guard;
  copal_span echo;
  if (g && copal_opt_find_valid(msg->options, COPAL_OPT_ECHO, &echo))
    g->on_echo(g, path, echo, now);
}
