/* SPDX-License-Identifier: Apache-2.0 */
/* Two endpoints with tiny pools, driven by a program of bytes: datagrams delivered, lost, repeated,
 * mutated and made up; time; and every call of the interface. Whatever happens, each request ends
 * once, what leaves is a message, and at the end nothing is in use. RFC 7252 section 4. */
#include "copal/endpoint.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "require.h"

enum {
  SIDES = 2,
  FLIGHT = 16, /* datagrams in flight per sender; more are lost */
  MTU = 512,
  CALLS = 64,
  LATE = 4,          /* deferred requests per side */
  BODY = 1500,       /* beyond message_max: responses are cut into blocks */
  DRAIN_MAX = 200000 /* deadlines until all lifetimes are over */
};

typedef struct dgram {
  uint16_t len;
  uint8_t bytes[MTU];
} dgram;

typedef struct call {
  copal_client client; /* first: events come with a pointer to it */
  copal_xref exchange;
  uint8_t side;
  bool is_many;
  unsigned ends;
} call;

/* An endpoint with its hooks; each hook knows its side by its place. */
typedef struct side {
  copal_sink sink;
  copal_entropy entropy;
  copal_server server;
  copal_subject subject;
  copal_ep *ep;
  void *memory;
  uint8_t *room;
  size_t cap; /* of the last reservation */
  uint32_t random;
  bool is_full;
  uint8_t plan; /* what the handler does */
  dgram flight[FLIGHT];
  unsigned first, count;
  copal_xref late[LATE];
} side;

/* The program of one input. */
typedef struct tape {
  const uint8_t *at;
  size_t left;
} tape;

static side sides[SIDES];
static call calls[CALLS];
static unsigned call_count;
static copal_time now;
static copal_ep_cfg cfg;
static copal_qblock qblock;
static uint8_t body[BODY];

static uint8_t next(tape *t)
{
  if (t->left == 0)
    return 0;
  t->left--;
  return *t->at++;
}

static copal_path path_to(const side *s)
{
  copal_path p;
  memset(&p, 0, sizeof(p));
  p.remote.ip[15] = (uint8_t)(s - sides + 1);
  p.remote.port = 5683;
  return p;
}

/* ---------------------------------------------------------------------------------------- hooks */

static copal_mspan reserve(copal_sink *base, const copal_path *path, size_t cap)
{
  side *s = (side *)(void *)((uint8_t *)base - offsetof(side, sink));
  (void)path;
  REQUIRE(cap <= MTU);
  if (s->is_full)
    return (copal_mspan){NULL, 0};
  s->cap = cap;
  return (copal_mspan){s->room + MTU - cap, cap};
}

static void commit(copal_sink *base, const copal_path *path, size_t len)
{
  side *s = (side *)(void *)((uint8_t *)base - offsetof(side, sink));
  copal_msg m;
  (void)path;
  REQUIRE(len <= s->cap && len <= cfg.message_max);
  dgram *d = &s->flight[(s->first + s->count) % FLIGHT];
  memcpy(d->bytes, s->room + MTU - s->cap, len);
  d->len = (uint16_t)len;
  REQUIRE(copal_msg_parse(copal_span_of(d->bytes, len), &m) == COPAL_OK);
  if (s->count < FLIGHT - 1)
    s->count++;
}

static void fill(copal_entropy *base, copal_mspan out)
{
  side *s = (side *)(void *)((uint8_t *)base - offsetof(side, entropy));
  for (size_t i = 0; i < out.len; i++) {
    s->random = s->random * 1664525u + 1013904223u;
    out.ptr[i] = (uint8_t)(s->random >> 24);
  }
}

static copal_response response(uint8_t plan)
{
  static const copal_code codes[] = {COPAL_CODE_CONTENT, COPAL_CODE_CHANGED, COPAL_CODE_NOT_FOUND,
                                     COPAL_CODE_CREATED};
  copal_response r = {.code = codes[plan >> 2 & 3]};
  r.payload = copal_span_of(body, (size_t)(plan >> 4) * (BODY / 15));
  return r;
}

static int render(copal_subject *subject, copal_ep *ep, copal_response *r, copal_time at)
{
  const side *s = (const side *)(void *)((uint8_t *)subject - offsetof(side, subject));
  (void)ep;
  (void)at;
  *r = response(s->plan);
  return COPAL_OK;
}

static int defer(side *s)
{
  for (size_t i = 0; i < LATE; i++)
    if (s->late[i] == 0) {
      const int err = copal_ep_defer(s->ep, &s->late[i]);
      return err == COPAL_OK ? COPAL_EPENDING : err;
    }
  return COPAL_ENOSLOT;
}

static int on_request(copal_server *base, copal_ep *ep, const copal_req *req, copal_time at)
{
  side *s = (side *)(void *)((uint8_t *)base - offsetof(side, server));
  const uint64_t proof = s->plan;
  copal_response r = response(s->plan);
  if (req->wants_proof)
    r.proof = copal_span_of((const uint8_t *)&proof, sizeof proof);
  if (req->wants_observe)
    REQUIRE(copal_ep_observe(ep, &s->subject) == COPAL_OK);
  switch (s->plan & 3) {
  case 0: return COPAL_OK;
  case 1: return defer(s);
  default: return copal_ep_respond(ep, &r, at);
  }
}

/* An answer that was given depends on the plan alone. */
static bool is_current(copal_server *base, const copal_path *path, copal_span proof, copal_time at)
{
  const side *s = (const side *)(const void *)((uint8_t *)base - offsetof(side, server));
  uint64_t plan;
  (void)path;
  REQUIRE(at == now);
  REQUIRE(proof.len == sizeof plan && (uintptr_t)proof.ptr % sizeof plan == 0);
  memcpy(&plan, proof.ptr, sizeof plan);
  REQUIRE((plan & 3) >= 2);
  return plan == s->plan;
}

static void on_event(copal_client *client, copal_ep *ep, const copal_event *e, copal_time at)
{
  call *c = (call *)client;
  (void)ep;
  REQUIRE(at == now);
  REQUIRE(c->ends == 0);
  const bool is_answer = e->kind == COPAL_EVENT_RESPONSE && !c->is_many && !e->is_notification;
  c->ends += is_answer || e->kind >= COPAL_EVENT_TIMEOUT;
}

/* ----------------------------------------------------------------------------------------- steps
 */

static void input(side *to, const uint8_t *bytes, size_t len, uint16_t flags)
{
  const side *from = &sides[1 - (to - sides)];
  copal_path path = path_to(from);
  uint8_t *copy = malloc(len + 1); /* a byte more, so that it is never NULL */
  REQUIRE(copy != NULL);
  if (len > 0)
    memcpy(copy + 1, bytes, len);
  path.flags = flags;
  (void)copal_ep_input(to->ep, &path, (copal_mspan){copy + 1, len}, now);
  free(copy);
}

static void expire_due(void)
{
  for (side *s = sides; s < sides + SIDES; s++)
    if (copal_ep_deadline(s->ep) <= now) {
      copal_ep_expire(s->ep, now);
      REQUIRE(copal_ep_deadline(s->ep) > now);
    }
}

/* Goes to the next deadline. Returns false when there is none. */
static bool jump(void)
{
  const copal_time a = copal_ep_deadline(sides[0].ep);
  const copal_time b = copal_ep_deadline(sides[1].ep);
  const copal_time due = a < b ? a : b;
  if (due == COPAL_NEVER)
    return false;
  now = due > now ? due : now;
  expire_due();
  return true;
}

static void take_flight(side *s)
{
  if (s->count > 0) {
    s->first = (s->first + 1) % FLIGHT;
    s->count--;
  }
}

static void deliver(side *from, uint8_t how, tape *t)
{
  const uint8_t at = next(t);
  const dgram d = from->flight[(from->first + at % (from->count + 1)) % FLIGHT];
  uint8_t bytes[MTU];
  size_t len = d.len;
  memcpy(bytes, d.bytes, len);
  if (how == 1 && len > 0) /* mutated */
    bytes[next(t) % len] ^= next(t);
  if (how == 2)
    len -= len == 0 ? 0 : next(t) % len;
  input(&sides[1 - (from - sides)], bytes, len, 0);
}

static void refuse(side *s, tape *t)
{
  const dgram *d = &s->flight[next(t) % FLIGHT];
  const copal_path path = path_to(&sides[1 - (s - sides)]);
  const uint8_t keep = next(t);
  (void)copal_ep_unreachable(s->ep, &path, copal_span_of(d->bytes, keep < d->len ? keep : d->len),
                             now);
}

static call *new_call(side *s)
{
  if (call_count == CALLS)
    return NULL;
  call *c = &calls[call_count++];
  *c = (call){.client.on_event = on_event, .side = (uint8_t)(s - sides)};
  return c;
}

static void ask(side *s, tape *t)
{
  static const uint8_t none[] = {26};
  const uint8_t how = next(t);
  const uint8_t what = next(t);
  const copal_opt observe = {COPAL_OPT_OBSERVE, {NULL, 0}};
  const copal_opt quiet = {COPAL_OPT_NO_RESPONSE, {none, 1}};
  const bool is_group = (how & 0x30) == 0x30;
  copal_path path = path_to(&sides[1 - (s - sides)]);
  copal_request q = COPAL_REQUEST_INIT;
  call *c = new_call(s);
  if (c == NULL)
    return;
  path.flags = is_group ? COPAL_PATH_GROUP : 0;
  q.path = &path;
  q.type = (how & 1) != 0 || is_group ? COPAL_NON : COPAL_CON;
  q.code = (copal_code)(1 + (how >> 1 & 7) % 7);
  q.wants_many = c->is_many = (how & 0x20) != 0;
  q.timeout = (what & 1) != 0 ? 5 * COPAL_SECOND : 0;
  q.opts = (how & 0x40) != 0 ? &observe : &quiet;
  q.opt_count = (how & 0xc0) != 0;
  q.payload = copal_span_of(body, what & 0xfe);
  q.client = &c->client;
  if (copal_ep_request(s->ep, &q, &c->exchange, now) != COPAL_OK)
    c->ends = 1;
}

static void ping(side *s)
{
  const copal_path path = path_to(&sides[1 - (s - sides)]);
  call *c = new_call(s);
  if (c != NULL && copal_ep_ping(s->ep, &path, &c->client, &c->exchange, now) != COPAL_OK)
    c->ends = 1;
}

static void cancel(uint8_t n)
{
  if (call_count == 0)
    return;
  call *c = &calls[n % call_count];
  const bool was_open = c->ends == 0;
  if (c->exchange == 0)
    return;
  REQUIRE(copal_ep_cancel(sides[c->side].ep, c->exchange, now) ==
          (was_open ? COPAL_OK : COPAL_ENOTFOUND));
  REQUIRE(c->ends == 1);
}

static void answer(side *s, uint8_t n, bool is_given_up)
{
  copal_xref *x = &s->late[n % LATE];
  const copal_response r = response(s->plan);
  if (*x == 0)
    return;
  const int err =
      is_given_up ? copal_ep_abandon(s->ep, *x, now) : copal_ep_resume(s->ep, *x, &r, now);
  if (err == COPAL_OK || err == COPAL_ENOTFOUND)
    *x = 0;
}

static void make_up(side *to, tape *t, uint16_t flags)
{
  size_t len = next(t);
  len = len < t->left ? len : t->left;
  input(to, t->at, len, flags);
  t->at += len;
  t->left -= len;
}

static void step(tape *t)
{
  const uint8_t op = next(t);
  side *s = &sides[op >> 7];
  switch (op & 15) {
  case 0:
    deliver(s, 0, t);
    take_flight(s);
    return;
  case 1: take_flight(s); return;
  case 2: deliver(s, op >> 4 & 3, t); return;
  case 3: make_up(s, t, 0); return;
  case 4: make_up(s, t, COPAL_PATH_GROUP); return;
  case 5: now += (copal_time)next(t) << (op >> 4 & 7) << 10; return;
  case 6: (void)jump(); return;
  case 7: expire_due(); return;
  case 8: ask(s, t); return;
  case 9: ping(s); return;
  case 10: cancel(next(t)); return;
  case 11: answer(s, next(t), false); return;
  case 12: answer(s, next(t), true); return;
  case 13: refuse(s, t); return;
  case 14: s->plan = next(t); return;
  case 15:
    if ((op & 0x10) != 0)
      s->is_full = !s->is_full;
    else
      copal_ep_notify(s->ep, &s->subject, now);
    return;
  }
}

/* --------------------------------------------------------------------------------- start and end
 */

static void start(side *s, uint8_t seed)
{
  void *room = s->room;
  memset(s, 0, sizeof(*s));
  s->sink = (copal_sink){reserve, commit};
  s->entropy.fill = fill;
  s->server.on_request = on_request;
  s->server.is_current = is_current;
  s->subject.render = render;
  s->random = seed;
  s->plan = 2;
  s->room = room != NULL ? room : malloc(MTU);
  cfg.sink = &s->sink;
  cfg.entropy = &s->entropy;
  cfg.server = &s->server;
  const size_t size = copal_ep_size(&cfg);
  s->memory = malloc(size);
  REQUIRE(size > 0 && s->memory != NULL && s->room != NULL);
  REQUIRE(copal_ep_init((copal_mspan){s->memory, size}, &cfg, &s->ep, now) == COPAL_OK);
}

static void check_usage(const side *s)
{
  const copal_usage u = copal_ep_usage(s->ep);
  REQUIRE(u.exchanges <= cfg.exchange_count && u.peers <= cfg.peer_count);
  REQUIRE(u.dedups <= cfg.dedup_count && u.chunks <= cfg.chunk_count);
  REQUIRE(u.relations <= cfg.relation_count && u.observers <= cfg.observer_count);
}

/* Ends what the applications hold and lets all lifetimes pass: nothing may be left. */
static void drain(void)
{
  for (unsigned i = 0; i < call_count; i++)
    cancel((uint8_t)i);
  for (side *s = sides; s < sides + SIDES; s++) {
    for (uint8_t i = 0; i < LATE; i++)
      answer(s, i, true);
    copal_ep_end_subject(s->ep, &s->subject, now);
  }
  unsigned steps = 0;
  while (jump())
    REQUIRE(++steps < DRAIN_MAX);
  for (side *s = sides; s < sides + SIDES; s++) {
    const copal_usage u = copal_ep_usage(s->ep);
    REQUIRE(u.exchanges + u.peers + u.dedups + u.chunks + u.relations + u.observers == 0);
  }
}

static void finish(side *s)
{
  copal_ep_wipe(s->ep, now);
  free(s->memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  tape t = {data, size};
  const uint8_t pools = next(&t);
  const uint8_t end = next(&t);
  cfg = (copal_ep_cfg)COPAL_EP_CFG_INIT;
  cfg.params = copal_params_default();
  cfg.params.nstart = (uint8_t)(1 + (pools & 3));
  cfg.params.probing_rate = (pools & 4) != 0 ? 10 : 0;
  cfg.exchange_count = 1 + (pools >> 3 & 3);
  cfg.peer_count = 1 + (pools >> 5 & 1);
  cfg.dedup_count = 1 + (pools >> 6 & 3);
  cfg.dedup_per_peer = 2;
  cfg.relation_count = cfg.observer_count = cfg.relation_per_peer = 2;
  cfg.notify_con_every = 2;
  qblock = copal_qblock_default();
  qblock.flow_count = 2;
  cfg.qblock = (pools & 8) != 0 ? &qblock : NULL;
  cfg.recall_count = (end & 2) != 0 ? 0 : 2;
  cfg.chunk_count = 6;
  cfg.chunk_size = 64;
  cfg.message_max = 256;
  cfg.timer_slots = 1024;
  cfg.timer_tick = 100 * COPAL_MILLISECOND;
  now = 1000000;
  call_count = 0;
  for (size_t i = 0; i < SIDES; i++)
    start(&sides[i], (uint8_t)(i + 1));
  while (t.left > 0) {
    step(&t);
    check_usage(&sides[0]);
    check_usage(&sides[1]);
  }
  if ((end & 1) != 0)
    drain();
  for (size_t i = 0; i < SIDES; i++)
    finish(&sides[i]);
  for (unsigned i = 0; i < call_count; i++)
    REQUIRE(calls[i].ends == 1);
  return 0;
}
