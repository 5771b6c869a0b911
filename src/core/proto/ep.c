/* SPDX-License-Identifier: Apache-2.0 */
/* What the modules of an endpoint share: options of the request being handled, randomness and the
 * hash of a path. */
#include "core/proto/ep.h"

bool turn_find(const turn *t, uint16_t number, copal_span *value)
{
  return !copal_opt_is_absent(t->sight.absent, number) &&
         copal_opt_find_valid(t->msg->options, number, value);
}

uint32_t ep_random(copal_ep *ep)
{
  uint32_t v = 0;
  const copal_mspan room = {(uint8_t *)&v, sizeof v};
  ep->cfg.entropy->fill(ep->cfg.entropy, room);
  return v;
}

/* 32-bit arithmetic only: (random / 2^16) * span in two halves. */
copal_dur ep_random_dur(copal_ep *ep, copal_dur span)
{
  const uint32_t fraction = ep_random(ep) & UINT16_MAX;
  return (span >> 16) * fraction + ((span & UINT16_MAX) * fraction >> 16);
}

uint32_t ep_path_hash(const copal_ep *ep, const copal_path *path)
{
  if (path->session != 0)
    return copal_hash(ep->seed, &path->session, sizeof path->session);
  return copal_hash(ep->seed, &path->remote, sizeof path->remote);
}
