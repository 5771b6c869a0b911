/* SPDX-License-Identifier: Apache-2.0 */
/* What a device calls that is client and server over datagrams, with retransmission and
 * deduplication: the level "message layer" of tools/gates. It is linked and measured, never run. */
#include "copal/endpoint.h"

/* One turn of a firmware loop: a datagram in, time passes, a request out. */
int level_main(copal_mspan mem, copal_ep_cfg *cfg, const copal_path *path, copal_mspan in,
               const copal_request *request, copal_time now);
int level_main(copal_mspan mem, copal_ep_cfg *cfg, const copal_path *path, copal_mspan in,
               const copal_request *request, copal_time now)
{
  copal_ep *ep = NULL;
  copal_xref exchange = 0;
  if (mem.len < copal_ep_size(cfg) || copal_ep_init(mem, cfg, &ep, now) != COPAL_OK)
    return -1;
  if (copal_ep_deadline(ep) <= now)
    copal_ep_expire(ep, now);
  return copal_ep_input(ep, path, in, now) + copal_ep_request(ep, request, &exchange, now);
}

/* Answers each request with its own payload. */
int level_on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time now);
int level_on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time now)
{
  const copal_response r = {req->msg->code, NULL, 0, req->msg->payload, 0, 0};
  (void)s;
  return copal_ep_respond(ep, &r, now);
}
