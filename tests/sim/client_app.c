/* SPDX-License-Identifier: Apache-2.0 */
/* The client application of a simulated node: requests of all kinds with random think times. */
#include <string.h>

#include "world.h"

enum { OPTS_MAX = 6, UNKNOWN_CRITICAL = 65001, UNKNOWN_ELECTIVE = 65000 };

/* Options of a request and the bytes they point to. */
typedef struct call_opts {
  copal_opt opts[OPTS_MAX];
  size_t count;
  uint8_t nonce[PEEK_NONCE_SIZE];
  uint8_t no_response;
  uint8_t block2;
} call_opts;

static void add(call_opts *o, uint16_t number, const void *value, size_t len)
{
  o->opts[o->count++] = (copal_opt){number, copal_span_of(value, len)};
}

/* An exchange ends as unreachable only when the error quoted its message. */
static void check_quote(world *w, const oracle_request *r, copal_time now)
{
  if (r->track < 0 && w->oracle.has_refusals)
    return; /* its first transmission was refused by the sink */
  if (w->icmp_mid < 0 || r->track < 0 || w->oracle.tracks[r->track].mid != w->icmp_mid)
    oracle_fail(&w->oracle, RULE_RESULT, now, "an exchange ended by the error of another");
}

static void on_event(copal_client *c, copal_ep *ep, const copal_event *e, copal_time now)
{
  world_call *call = (world_call *)c;
  world *w = call->world;
  const oracle_request *r = &w->oracle.requests[call->id];
  (void)ep;
  if (call->exchange != 0 && e->exchange != call->exchange)
    oracle_fail(&w->oracle, RULE_API, now, "request %u: event with another handle", call->id);
  const bool is_last =
      (e->kind == COPAL_EVENT_RESPONSE && !r->is_many) || e->kind >= COPAL_EVENT_TIMEOUT;
  if (e->kind == COPAL_EVENT_UNREACHABLE)
    check_quote(w, r, now);
  if (is_last && w->cfg.fault == FAULT_LOSE_LAST_EVENT && !w->has_faulted) {
    w->has_faulted = true;
    return;
  }
  if (is_last && w->cfg.fault == FAULT_LATE_LAST_EVENT && r->first_tx != COPAL_NEVER)
    now += 3600 * (copal_time)COPAL_SECOND;
  oracle_on_event(&w->oracle, call->id, e, now);
  if (is_last && w->cfg.fault == FAULT_DOUBLE_LAST_EVENT)
    oracle_on_event(&w->oracle, call->id, e, now);
  call->is_over |= is_last;
  if (is_last)
    w->ends[e->kind]++;
  /* A callback may start requests: sometimes the next one follows at once. */
  if (is_last && !w->is_closing && rng_percent(&w->rng, 20))
    client_next(w, call->node);
}

static uint8_t pick_server(world *w, uint8_t node)
{
  uint8_t to;
  do
    to = (uint8_t)rng_below(&w->rng, w->cfg.node_count);
  while (to == node);
  return to;
}

static world_call *new_call(world *w, uint8_t node, const oracle_request *r)
{
  const uint32_t id = w->oracle.request_count;
  world_call *call = &w->calls[id];
  memset(call, 0, sizeof(*call));
  call->base.on_event = on_event;
  call->world = w;
  call->node = node;
  call->id = id;
  oracle_on_start(&w->oracle, id, r);
  w->total_requests++;
  return call;
}

/* A call that was refused has no exchange; the oracle counts it as ended at once. */
static void refused(world *w, world_call *call, int err)
{
  const copal_event e = {.kind = COPAL_EVENT_CANCELED};
  const bool may_be_long = w->cfg.ep.message_max < 600;
  if (err != COPAL_ENOSLOT && !(err == COPAL_ENOSPC && may_be_long))
    oracle_fail(&w->oracle, RULE_API, w->now, "request %u refused with %d", call->id, err);
  call->is_over = true;
  oracle_on_event(&w->oracle, call->id, &e, w->now);
}

static void send_ping(world *w, uint8_t node, uint8_t to)
{
  const oracle_request r = {.client = node, .to = to, .is_ping = true, .started = w->now};
  const copal_path path = world_path(to);
  world_call *call = new_call(w, node, &r);
  copal_xref exchange = 0;
  const int err = copal_ep_ping(w->nodes[node].ep, &path, &call->base, &exchange, w->now);
  if (err != COPAL_OK)
    refused(w, call, err);
  else
    call->exchange = exchange;
}

static copal_code pick_code(world *w)
{
  static const copal_code codes[] = {COPAL_CODE_GET,    COPAL_CODE_POST,   COPAL_CODE_POST,
                                     COPAL_CODE_PUT,    COPAL_CODE_DELETE, COPAL_CODE_FETCH,
                                     COPAL_CODE_IPATCH, COPAL_CODE_PATCH};
  return codes[rng_below(&w->rng, sizeof(codes) / sizeof(codes[0]))];
}

/* Options in ascending order; the nonce makes each request distinct. */
static void make_opts(world *w, call_opts *o, uint32_t id, bool is_plain, uint16_t no_response)
{
  memset(o, 0, sizeof(*o));
  oracle_nonce(id, o->nonce);
  add(o, COPAL_OPT_URI_PATH, "s", 1);
  add(o, COPAL_OPT_URI_PATH, o->nonce, sizeof(o->nonce));
  if (!is_plain && sim_has_blocks && rng_percent(&w->rng, 10)) {
    o->block2 = (uint8_t)rng_below(&w->rng, 7); /* block 0 of a size of the client's choice */
    add(o, COPAL_OPT_BLOCK2, &o->block2, o->block2 == 0 ? 0 : 1);
  }
  if (no_response != 0) {
    o->no_response = (uint8_t)no_response;
    add(o, COPAL_OPT_NO_RESPONSE, &o->no_response, 1);
  }
  if (!is_plain && rng_percent(&w->rng, 5))
    add(o, UNKNOWN_ELECTIVE, "e", 1);
  if (!is_plain && rng_percent(&w->rng, 4))
    add(o, UNKNOWN_CRITICAL, "c", 1);
}

static bool has_payload(copal_code code)
{
  return code != COPAL_CODE_GET && code != COPAL_CODE_DELETE;
}

static void send_request(world *w, const oracle_request *r, bool is_plain)
{
  call_opts o;
  uint8_t token[8];
  world_call *call = new_call(w, r->client, r);
  const copal_path path = world_path(r->to);
  copal_request q = COPAL_REQUEST_INIT;
  make_opts(w, &o, call->id, is_plain, r->no_response);
  q.path = &path;
  q.type = r->type;
  q.code = r->code;
  q.opts = o.opts;
  q.opt_count = o.count;
  q.wants_many = r->is_many;
  q.timeout = r->timeout;
  q.client = &call->base;
  if (has_payload(r->code) && !is_plain)
    q.payload = copal_span_of(w->body, rng_below(&w->rng, 400));
  if (!is_plain && sim_has_blocks && rng_percent(&w->rng, 10)) {
    rng_fill(&w->rng, token, sizeof(token));
    q.token = copal_span_of(token, rng_range(&w->rng, 4, 8));
    q.has_token = true;
  }
  copal_xref exchange = 0;
  const int err = copal_ep_request(w->nodes[r->client].ep, &q, &exchange, w->now);
  if (err != COPAL_OK)
    refused(w, call, err);
  else if (exchange == 0)
    oracle_fail(&w->oracle, RULE_API, w->now, "request %u: no handle", call->id);
  call->exchange = exchange;
}

void client_request(world *w, const oracle_request *r)
{
  send_request(w, r, true);
}

void client_get(world *w, uint8_t node, uint8_t to)
{
  const oracle_request r = {
      .client = node, .to = to, .type = COPAL_CON, .code = COPAL_CODE_GET, .started = w->now};
  send_request(w, &r, true);
}

static void random_request(world *w, uint8_t node)
{
  oracle_request r = {.client = node, .code = pick_code(w), .started = w->now};
  const bool is_group = rng_percent(&w->rng, w->cfg.group_percent);
  const bool is_con = !is_group && rng_percent(&w->rng, w->cfg.con_percent);
  r.to = is_group ? (uint8_t)NET_GROUP : pick_server(w, node);
  r.type = is_con ? COPAL_CON : COPAL_NON;
  r.is_many = is_group;
  if (is_group || rng_percent(&w->rng, 20))
    r.timeout = rng_range(&w->rng, COPAL_SECOND, 60 * COPAL_SECOND);
  if (!is_group && rng_percent(&w->rng, 5)) {
    static const uint16_t values[] = {2, 8, 16, 26};
    r.no_response = values[rng_below(&w->rng, 4)];
    r.is_many = true;
    r.timeout = 20 * COPAL_SECOND;
  }
  send_request(w, &r, false);
  const uint32_t id = w->oracle.request_count - 1;
  if (rng_percent(&w->rng, w->cfg.cancel_percent))
    net_wake(&w->net, node, COOKIE_CANCEL | id, w->now + rng_below(&w->rng, 8 * COPAL_SECOND));
}

void client_next(world *w, uint8_t node)
{
  world_node *n = &w->nodes[node];
  if (n->requests_left == 0 || w->is_closing || w->oracle.request_count + 32 > ORACLE_REQUESTS_MAX)
    return;
  n->requests_left--;
  if (rng_percent(&w->rng, w->cfg.ping_percent))
    send_ping(w, node, pick_server(w, node));
  else
    random_request(w, node);
}

static void cancel(world *w, uint32_t id)
{
  world_call *call = &w->calls[id];
  const bool was_over = call->is_over;
  if (call->exchange == 0)
    return;
  const int err = copal_ep_cancel(w->nodes[call->node].ep, call->exchange, w->now);
  const bool hides_events = w->cfg.fault == FAULT_LOSE_LAST_EVENT;
  if (!hides_events && err != (was_over ? COPAL_ENOTFOUND : COPAL_OK))
    oracle_fail(&w->oracle, RULE_API, w->now, "request %u: cancel returned %d", id, err);
  if (!hides_events && !call->is_over)
    oracle_fail(&w->oracle, RULE_API, w->now, "request %u: no event from cancel", id);
}

void client_wake(world *w, uint8_t node, uint32_t cookie)
{
  if ((cookie & ~(uint32_t)COOKIE_MASK) == COOKIE_CANCEL) {
    cancel(w, cookie & COOKIE_MASK);
    return;
  }
  client_next(w, node);
  if (w->nodes[node].requests_left > 0)
    net_wake(&w->net, node, COOKIE_NEXT, w->now + rng_below(&w->rng, w->cfg.think_max) + 1);
}
