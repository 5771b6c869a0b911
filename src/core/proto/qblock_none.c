/* SPDX-License-Identifier: Apache-2.0 */
/* An endpoint without Q-Block: the options are unknown critical ones, answered 4.02. RFC 7252
 * section 5.4.1. */
#include "core/proto/qblock.h"

void copal_ep_qblock_stats(const copal_ep *ep, copal_qblock_stats *stats)
{
  (void)ep;
  *stats = (copal_qblock_stats){0};
}

bool qblock_is_valid(const copal_ep_cfg *cfg)
{
  return !cfg->qblock;
}

void qblock_lay_out(copal_carver *c, copal_ep *ep, const copal_ep_cfg *cfg)
{
  (void)c, (void)ep, (void)cfg;
}

uint32_t qblock_understood(const copal_ep_cfg *cfg)
{
  (void)cfg;
  return 0;
}

int qblock_read(copal_ep *ep, turn *t, copal_req *req)
{
  (void)ep, (void)t, (void)req;
  return COPAL_OK;
}

size_t qblock_plan(const copal_ep *ep, turn *t, const copal_response *r)
{
  (void)ep, (void)t, (void)r;
  return 0;
}

void qblock_follow(copal_ep *ep, turn *t, const copal_response *r, copal_time now)
{
  (void)ep, (void)t, (void)r, (void)now;
}

int qblock_continue(copal_ep *ep, turn *t, const copal_response *r, copal_time now)
{
  (void)ep, (void)t, (void)r, (void)now;
  return COPAL_EINVAL;
}

void qblock_on_acknowledgement(copal_ep *ep, const exchange *x, copal_time now)
{
  (void)ep, (void)x, (void)now;
}

bool qblock_on_timer(copal_ep *ep, copal_timer *t, copal_time now)
{
  (void)ep, (void)t, (void)now;
  return false;
}
