/* SPDX-License-Identifier: Apache-2.0 */
/* What the modules of an endpoint share: randomness and the hash of a path. */
#include "core/proto/ep.h"

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
  const uint32_t hash = copal_hash(ep->seed, &path->remote, sizeof path->remote);
  return copal_hash_mix(hash, path->session);
}
