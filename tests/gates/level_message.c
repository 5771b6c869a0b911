/* SPDX-License-Identifier: Apache-2.0 */
/* What a device calls that is client and server over datagrams, with retransmission and
 * deduplication: the whole interface of an endpoint but for observations. The level "message layer"
 * of tools/gates; linked with a core that has the feature, also the levels above. It is measured,
 * never run. */
#include "copal/endpoint.h"

/* What a firmware has at hand when it is woken. */
typedef struct level {
  copal_ep *ep;
  copal_mspan mem;
  copal_ep_cfg *cfg;
  const copal_path *path;
  copal_mspan in;
  copal_span quoted;
  copal_request request;
  copal_response *response;
  copal_xref asked, late;
} level;

/* One turn of a firmware loop: a datagram in, time passes, requests and a late response out. */
int level_main(level *l, copal_time now);
int level_main(level *l, copal_time now)
{
  int err = 0;
  if (l->mem.len < copal_ep_size(l->cfg) || copal_ep_init(l->mem, l->cfg, &l->ep, now))
    return -1;
  if (copal_ep_deadline(l->ep) <= now)
    copal_ep_expire(l->ep, now);
  err += copal_ep_input(l->ep, l->path, l->in, now);
  err += copal_ep_unreachable(l->ep, l->path, l->quoted, now);
  err += copal_ep_request(l->ep, &l->request, &l->asked, now);
  err += copal_ep_ping(l->ep, l->path, l->request.client, &l->asked, now);
  err += copal_ep_cancel(l->ep, l->asked, now);
  err += copal_ep_resume(l->ep, l->late, l->response, now);
  err += copal_ep_abandon(l->ep, l->late, now);
  err += (int)copal_ep_stats(l->ep)->timeouts + (int)copal_ep_usage(l->ep).exchanges;
  copal_ep_wipe(l->ep, now);
  return err;
}

/* Answers a request with its own payload, now or later. */
int level_on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time now);
int level_on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time now)
{
  copal_xref late;
  const copal_response r = {req->msg->code, NULL, 0, req->msg->payload, 0, 0};
  (void)s;
  if (req->has_block1)
    return copal_ep_defer(ep, &late) == COPAL_OK ? COPAL_EPENDING : COPAL_ENOSLOT;
  return copal_ep_respond(ep, &r, now);
}
