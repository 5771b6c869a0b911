/* SPDX-License-Identifier: Apache-2.0 */
/* A server that asks nobody for an Echo: what challenge.c is on a device whose responses are small.
 * RFC 9175 section 2.4 lets responses of up to 136 bytes go unchallenged. */
#include "core/proto/challenge.h"

bool challenge_is_available(void)
{
  return false;
}

bool challenge_is_due(copal_ep *ep, const copal_path *path, copal_code request, size_t len,
                      copal_time now)
{
  (void)ep, (void)path, (void)request, (void)len, (void)now;
  return false;
}

int challenge_replace(copal_ep *ep, const copal_path *path, copal_wr *w, copal_msg *head,
                      reply_rules *rules, copal_time now)
{
  (void)ep, (void)path, (void)w, (void)head, (void)rules, (void)now;
  return 0;
}

void challenge_read(copal_ep *ep, const turn *t)
{
  (void)ep, (void)t;
}

void challenge_probe(copal_ep *ep, const copal_path *path, copal_time now)
{
  (void)ep;
  (void)path;
  (void)now;
}

bool challenge_on_reset(copal_ep *ep, const copal_path *path, uint16_t mid, copal_time now)
{
  (void)ep;
  (void)path;
  (void)mid;
  (void)now;
  return false;
}
