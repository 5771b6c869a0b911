/* SPDX-License-Identifier: Apache-2.0 */
/* The server application of a simulated node: handlers that answer at once, later, never, with
 * errors and with large bodies. */
#include <string.h>

#include "world.h"

static copal_code success_of(copal_code request)
{
  switch (request) {
  case COPAL_CODE_POST: return COPAL_CODE_CREATED;
  case COPAL_CODE_PUT:
  case COPAL_CODE_PATCH:
  case COPAL_CODE_IPATCH: return COPAL_CODE_CHANGED;
  case COPAL_CODE_DELETE: return COPAL_CODE_DELETED;
  default: return COPAL_CODE_CONTENT;
  }
}

/* The id of a request by the nonce in its path, or -1 for requests that nobody made. */
static int id_of(const world *w, const copal_msg *m)
{
  copal_opt_iter it = copal_opt_iter_init(m->options);
  copal_opt opt;
  unsigned segments = 0;
  while (copal_opt_next(&it, &opt))
    if (opt.number == COPAL_OPT_URI_PATH && ++segments == 2 && opt.value.len == PEEK_NONCE_SIZE)
      return oracle_request_of(&w->oracle, opt.value.ptr);
  return -1;
}

/* Makes a response in `body`, which must outlive the call that sends it. */
static copal_response make_response(world *w, int id, copal_code code, size_t len)
{
  static const uint8_t format[] = {42}; /* application/octet-stream */
  static const copal_opt opts[] = {{COPAL_OPT_CONTENT_FORMAT, {format, sizeof(format)}}};
  copal_response r = {.code = code};
  const int shown = w->cfg.fault == FAULT_OTHER_RESULT ? id + 1 : id;
  oracle_nonce((uint32_t)shown, w->body);
  r.payload = copal_span_of(w->body, len < PEEK_NONCE_SIZE ? PEEK_NONCE_SIZE : len);
  r.opts = opts;
  r.opt_count = code >> 5 == 2 ? 1 : 0;
  oracle_on_made(&w->oracle, id, code);
  return r;
}

static copal_response random_response(world *w, int id, copal_code request)
{
  static const copal_code errors[] = {
      COPAL_CODE_NOT_FOUND, COPAL_CODE_METHOD_NOT_ALLOWED, COPAL_CODE_PRECONDITION_FAILED,
      COPAL_CODE_INTERNAL_SERVER_ERROR, COPAL_CODE_SERVICE_UNAVAILABLE};
  if (rng_percent(&w->rng, 15))
    return make_response(w, id, errors[rng_below(&w->rng, 5)], PEEK_NONCE_SIZE);
  const bool is_big = rng_percent(&w->rng, 15) && sim_has_blocks;
  return make_response(w, id, success_of(request),
                       is_big ? rng_below(&w->rng, WORLD_BODY_MAX) : rng_below(&w->rng, 64));
}

static int answer_now(world *w, copal_ep *ep, const copal_response *r, bool is_group)
{
  const int err = copal_ep_respond(ep, r, w->now);
  const bool may_be_full = w->oracle.has_refusals || is_group;
  if (err == COPAL_ENOSLOT && may_be_full)
    return err;
  if (err != COPAL_OK)
    oracle_fail(&w->oracle, RULE_API, w->now, "respond returned %d", err);
  if (rng_percent(&w->rng, 2) && copal_ep_respond(ep, r, w->now) != COPAL_EINVAL)
    oracle_fail(&w->oracle, RULE_API, w->now, "a second answer was accepted");
  return COPAL_OK;
}

static world_deferred *free_deferred(world *w)
{
  for (size_t i = 0; i < WORLD_DEFERRED_MAX; i++)
    if (!w->deferred[i].is_used)
      return &w->deferred[i];
  return NULL;
}

/* Puts the answer off; 5.03 when neither the endpoint nor we have room. */
static int defer(world *w, uint8_t node, copal_ep *ep, int id, bool is_group)
{
  world_deferred *d = free_deferred(w);
  copal_xref exchange = 0;
  const int err = d == NULL ? COPAL_ENOSLOT : copal_ep_defer(ep, &exchange);
  if (err != COPAL_OK && err != COPAL_ENOSLOT)
    oracle_fail(&w->oracle, RULE_API, w->now, "defer returned %d", err);
  if (err != COPAL_OK) {
    const copal_response r = make_response(w, id, COPAL_CODE_SERVICE_UNAVAILABLE, 0);
    return answer_now(w, ep, &r, is_group);
  }
  *d = (world_deferred){true, rng_percent(&w->rng, 10), node, exchange, id};
  net_wake(&w->net, node, COOKIE_ANSWER | (uint32_t)(d - w->deferred),
           w->now + rng_below(&w->rng, w->cfg.late_max));
  return COPAL_EPENDING;
}

int server_on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time now)
{
  node_server *hook = (node_server *)s;
  world *w = hook->world;
  const int id = id_of(w, req->msg);
  const uint8_t client = world_node_of(req->path);
  const bool is_group = (req->path->flags & COPAL_PATH_GROUP) != 0;
  if (now != w->now)
    oracle_fail(&w->oracle, RULE_API, w->now, "handler called with another time");
  if (w->cfg.fault != FAULT_SKIP_HANDLER)
    oracle_on_handler(&w->oracle, hook->node, req, client, id, now);
  if (w->is_closing) {
    const copal_response r = make_response(w, id, success_of(req->msg->code), 0);
    return answer_now(w, ep, &r, is_group);
  }
  if (w->nodes[hook->node].requests_left > 0 && rng_percent(&w->rng, 5))
    client_next(w, hook->node); /* a handler may start requests of its own */
  if (rng_percent(&w->rng, w->cfg.defer_percent))
    return defer(w, hook->node, ep, id, is_group);
  if (rng_percent(&w->rng, 3)) {
    oracle_on_made(&w->oracle, id, copal_reaction_code(copal_err_reaction(COPAL_ETOOBIG)));
    return COPAL_ETOOBIG;
  }
  if (rng_percent(&w->rng, 3))
    return COPAL_OK; /* says nothing: an acknowledgement is all */
  const copal_response r = random_response(w, id, req->msg->code);
  return answer_now(w, ep, &r, is_group);
}

void server_wake(world *w, uint32_t cookie)
{
  world_deferred *d = &w->deferred[cookie & COOKIE_MASK];
  copal_ep *ep = w->nodes[d->node].ep;
  int err;
  if (!d->is_used)
    return;
  if (d->is_abandoned) {
    err = copal_ep_abandon(ep, d->exchange, w->now);
  } else {
    /* Which method it was does not matter for the wire. */
    const copal_response r = random_response(w, d->id, COPAL_CODE_GET);
    err = copal_ep_resume(ep, d->exchange, &r, w->now);
  }
  if (err != COPAL_OK && err != COPAL_ENOTFOUND && err != COPAL_ENOSLOT)
    oracle_fail(&w->oracle, RULE_API, w->now, "answering later returned %d", err);
  d->is_used = false;
  if (err == COPAL_ENOSLOT) { /* the sink was full: once more, a little later */
    d->is_used = true;
    net_wake(&w->net, d->node, cookie, w->now + 100 * COPAL_MILLISECOND);
  }
}
