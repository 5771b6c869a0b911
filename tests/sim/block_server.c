/* SPDX-License-Identifier: Apache-2.0 */
/* A server for transfers in blocks. RFC 7959 sections 2.4, 2.5, 2.7, 2.9, RFC 9175 sections 2.3 and
 * 3.3. */
#include "block_server.h"

#include <stdlib.h>
#include <string.h>

static const char *const echo_values[BLOCK_NODES] = {"echo of 0", "echo of 1", "nobody"};

/* --------------------------------------------------------------------------------------- bodies */

void block_body_make(const block_server *s, uint32_t id, block_body *body)
{
  sim_rng r = {s->seed * BLOCK_IDS_MAX + id};
  body->len = rng_percent(&r, 20) ? rng_range(&r, 4, 40) : rng_range(&r, 4, BLOCK_BODY_MAX);
  if (rng_percent(&r, 20))
    body->len = (body->len + 15) / 16 * 16 - (body->len > BLOCK_BODY_MAX - 15 ? 16 : 0);
  rng_fill(&r, body->bytes, body->len);
  for (unsigned i = 0; i < 4; i++)
    body->bytes[i] = (uint8_t)(id >> (8 * i));
}

void block_body_answer(const block_body *sent, block_body *answer)
{
  answer->len = sent->len;
  for (size_t i = 0; i < sent->len; i++)
    answer->bytes[i] = sent->bytes[sent->len - 1 - i] ^ 0x5a;
}

uint32_t block_server_id(block_server *s)
{
  if (s->id_count == BLOCK_IDS_MAX)
    abort();
  return s->id_count++;
}

static bool is_known(const block_server *s, const block_body *body, uint32_t *id)
{
  block_body sent;
  *id = 0;
  if (body->len < 4)
    return false;
  for (unsigned i = 0; i < 4; i++)
    *id |= (uint32_t)body->bytes[i] << (8 * i);
  if (*id >= s->id_count)
    return false;
  block_body_make(s, *id, &sent);
  return sent.len == body->len && memcmp(sent.bytes, body->bytes, sent.len) == 0;
}

/* -------------------------------------------------------------------------------------- versions
 */

static void store(block_server *s, uint8_t resource, uint32_t id)
{
  if (s->version[resource] == BLOCK_VERSIONS_MAX - 1)
    return; /* enough for one run */
  s->ids[resource][++s->version[resource]] = id;
  copal_ep_notify(s->world->nodes[BLOCK_SERVER].ep, &s->subjects[resource].base, s->world->now);
}

void block_server_change(block_server *s, uint8_t resource)
{
  if (s->version[resource] < BLOCK_VERSIONS_MAX - 1)
    store(s, resource, block_server_id(s));
}

/* What a response points to until it is sent. */
typedef struct reply {
  copal_response r;
  copal_opt opts[3];
  uint8_t values[2][3];
  block_body body;
} reply;

static void add_uint(reply *p, uint16_t number, uint32_t v)
{
  uint8_t *bytes = p->values[p->r.opt_count];
  const size_t size = copal_uint_size(v);
  for (size_t i = 0; i < size; i++)
    bytes[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
  p->opts[p->r.opt_count++] = (copal_opt){number, copal_span_of(bytes, size)};
  p->r.opts = p->opts;
}

static void make_version(const block_server *s, uint8_t resource, reply *p)
{
  const uint32_t version = s->version[resource];
  block_body_make(s, s->ids[resource][version], &p->body);
  p->r = (copal_response){.code = COPAL_CODE_CONTENT};
  add_uint(p, COPAL_OPT_ETAG, version + 1);
  p->r.payload = copal_span_of(p->body.bytes, p->body.len);
}

static int render(copal_subject *base, copal_ep *ep, copal_response *r, copal_time now)
{
  static reply p; /* lent until the call that asked returns */
  const block_subject *subject = (const block_subject *)base;
  (void)now;
  (void)ep;
  make_version(subject->server, subject->resource, &p);
  *r = p.r;
  return COPAL_OK;
}

/* --------------------------------------------------------------------------------------- uploads
 */

static bool is_slot_of(const block_slot *slot, const block_slot *key)
{
  return slot->used_at != 0 && slot->client == key->client && slot->resource == key->resource &&
         slot->tag == key->tag && slot->code == key->code;
}

/* The slot of that operation; with `makes`, the longest unused one otherwise. */
static block_slot *find_slot(block_slot *slots, const block_slot *key, bool makes, copal_time now)
{
  block_slot *oldest = slots;
  for (block_slot *x = slots; x < slots + BLOCK_SLOTS; x++) {
    if (is_slot_of(x, key)) {
      x->used_at = now;
      return x;
    }
    oldest = x->used_at < oldest->used_at ? x : oldest;
  }
  if (!makes)
    return NULL;
  *oldest = *key;
  oldest->used_at = now;
  return oldest;
}

void block_server_forget(block_server *s)
{
  memset(s->uploads, 0, sizeof(s->uploads));
  memset(s->answers, 0, sizeof(s->answers));
  memset(s->late, 0, sizeof(s->late));
}

unsigned block_server_unfinished(block_server *s)
{
  const copal_dur lifetime = BLOCK_LIFETIME_S * COPAL_SECOND;
  unsigned count = 0;
  for (block_slot *x = s->uploads; x < s->uploads + BLOCK_SLOTS; x++) {
    if (x->used_at + lifetime < s->world->now)
      memset(x, 0, sizeof(*x));
    count += x->used_at != 0;
  }
  return count;
}

/* Carries a complete request out: PUT makes a version, POST an answer. */
static void execute(block_server *s, const block_slot *key, const block_body *body,
                    block_late *what)
{
  what->is_executed = is_known(s, body, &what->id);
  if (!what->is_executed) {
    s->mixed++;
    return;
  }
  s->executions[what->id]++;
  if (key->code == COPAL_CODE_PUT)
    store(s, key->resource, what->id);
  else
    find_slot(s->answers, key, true, s->world->now)->answer = what->id;
}

static void make_block1(reply *p, copal_code code, copal_block b)
{
  p->r = (copal_response){.code = code};
  add_uint(p, COPAL_OPT_BLOCK1, copal_block_value(b));
}

/* The final response to what has been carried out, or a further block of it. */
static void make_final(block_server *s, const block_late *what, reply *p)
{
  const block_slot key = {
      .client = what->client, .resource = what->resource, .tag = what->tag, .code = what->code};
  const block_slot *kept = find_slot(s->answers, &key, false, s->world->now);
  block_body sent;
  p->r = (copal_response){.code = COPAL_CODE_CHANGED};
  if (!what->is_executed && kept == NULL) {
    p->r.code = COPAL_CODE_REQUEST_ENTITY_INCOMPLETE;
    return;
  }
  if (what->code == COPAL_CODE_POST) {
    const uint32_t id = what->is_executed ? what->id : kept->answer;
    block_body_make(s, id, &sent);
    block_body_answer(&sent, &p->body);
    p->r.payload = copal_span_of(p->body.bytes, p->body.len);
    add_uint(p, COPAL_OPT_ETAG, id + 1);
  }
  if (what->has_block1)
    add_uint(p, COPAL_OPT_BLOCK1, copal_block_value(what->block1));
}

static void make_reply(block_server *s, const block_late *what, reply *p)
{
  memset(p, 0, sizeof(*p));
  if (what->code == COPAL_CODE_GET)
    make_version(s, what->resource, p);
  else
    make_final(s, what, p);
}

/* ---------------------------------------------------------------------------------------- answers
 */

void block_server_wake(block_server *s, uint32_t cookie)
{
  block_late *what = &s->late[cookie];
  reply p;
  if (what->exchange == 0)
    return;
  make_reply(s, what, &p);
  const int err =
      copal_ep_resume(s->world->nodes[BLOCK_SERVER].ep, what->exchange, &p.r, s->world->now);
  if (err == COPAL_EBLOCK) { /* no such block (any more) */
    p.r = (copal_response){.code = COPAL_CODE_BAD_REQUEST};
    (void)copal_ep_resume(s->world->nodes[BLOCK_SERVER].ep, what->exchange, &p.r, s->world->now);
  }
  what->exchange = 0;
}

static bool put_off(block_server *s, copal_ep *ep, const block_late *what)
{
  if (!rng_percent(&s->rng, s->late_percent))
    return false;
  for (uint32_t i = 0; i < BLOCK_LATE_MAX; i++) {
    block_late *free_one = &s->late[i];
    if (free_one->exchange != 0)
      continue;
    *free_one = *what;
    if (copal_ep_defer(ep, &free_one->exchange) != COPAL_OK)
      return free_one->exchange = 0, false;
    net_wake(&s->world->net, BLOCK_SERVER, i, s->world->now + rng_below(&s->rng, 3 * COPAL_SECOND));
    return true;
  }
  return false;
}

static int answer(block_server *s, copal_ep *ep, const block_late *what, copal_time now)
{
  static reply p;
  if (put_off(s, ep, what))
    return COPAL_EPENDING;
  make_reply(s, what, &p);
  return copal_ep_respond(ep, &p.r, now);
}

/* Takes a block in; answers all but the last. */
static int take_block(block_server *s, copal_ep *ep, const copal_req *req, const block_slot *key,
                      block_late *what, copal_time now)
{
  static reply p;
  copal_assembly_step step;
  copal_block b = req->block1;
  memset(&p, 0, sizeof(p));
  if (b.szx > s->szx1_max && s->refuses_size) {
    b.szx = s->szx1_max;
    make_block1(&p, COPAL_CODE_REQUEST_ENTITY_TOO_LARGE, b);
    return copal_ep_respond(ep, &p.r, now);
  }
  block_slot *slot = find_slot(s->uploads, key, true, now);
  const int err = copal_assembly_take(&slot->assembly, req, BLOCK_BODY_MAX, &step);
  if (err)
    return err;
  if (!step.is_repeated && req->msg->payload.len)
    memcpy(slot->body.bytes + step.offset, req->msg->payload.ptr, req->msg->payload.len);
  if (step.is_last) {
    slot->body.len = slot->assembly.have;
    execute(s, key, &slot->body, what);
    memset(slot, 0, sizeof(*slot));
    return COPAL_OK;
  }
  b.szx = b.szx > s->szx1_max ? s->szx1_max : b.szx;
  make_block1(&p, COPAL_CODE_CONTINUE, b);
  return copal_ep_respond(ep, &p.r, now);
}

static int on_change(block_server *s, copal_ep *ep, const copal_req *req, const block_slot *key,
                     copal_time now)
{
  block_late what = {.code = key->code,
                     .has_block1 = req->has_block1,
                     .block1 = req->block1,
                     .client = key->client,
                     .resource = key->resource,
                     .tag = key->tag};
  if (req->has_block1) {
    const int err = take_block(s, ep, req, key, &what, now);
    if (err || !what.is_executed)
      return err;
  } else if (!req->has_block2 || req->block2.num == 0) {
    block_body body = {.len = req->msg->payload.len};
    memcpy(body.bytes, req->msg->payload.ptr, body.len);
    execute(s, key, &body, &what);
  }
  return answer(s, ep, &what, now);
}

/* True when the request was answered with a challenge. */
static bool challenge(block_server *s, copal_ep *ep, const copal_req *req, uint8_t client,
                      copal_time now)
{
  const copal_span value = copal_span_str(echo_values[client]);
  const copal_opt opt = {COPAL_OPT_ECHO, value};
  const copal_response r = {.code = COPAL_CODE_UNAUTHORIZED, .opts = &opt, .opt_count = 1};
  copal_span echo;
  if (copal_opt_find(req->msg->options, COPAL_OPT_ECHO, &echo)) {
    s->bad_echoes += !copal_span_is_equal(echo, value);
    return false;
  }
  return rng_percent(&s->rng, s->echo_percent) && copal_ep_respond(ep, &r, now) == COPAL_OK;
}

static int on_request(copal_server *base, copal_ep *ep, const copal_req *req, copal_time now)
{
  block_server *s = (block_server *)base;
  copal_span value = copal_span_none();
  block_slot key = {.client = (uint8_t)(req->path->remote.ip[15] - 1), .code = req->msg->code};
  if (challenge(s, ep, req, key.client, now))
    return COPAL_OK;
  (void)copal_opt_find(req->msg->options, COPAL_OPT_URI_PATH, &value);
  key.resource = (uint8_t)(value.ptr[0] - '0');
  key.tag = (uint8_t)copal_opt_uint_or(req->msg->options, COPAL_OPT_REQUEST_TAG, 0);
  if (req->msg->code != COPAL_CODE_GET)
    return on_change(s, ep, req, &key, now);
  const block_late what = {.code = COPAL_CODE_GET, .client = key.client, .resource = key.resource};
  if (!req->wants_observe)
    return answer(s, ep, &what, now);
  (void)copal_ep_observe(ep, &s->subjects[key.resource].base);
  static reply p;
  make_reply(s, &what, &p);
  return copal_ep_respond(ep, &p.r, now);
}

void block_server_init(block_server *s, block_world *w, uint64_t seed)
{
  memset(s, 0, sizeof(*s));
  s->base.on_request = on_request;
  s->world = w;
  s->seed = seed;
  s->rng.state = ~seed;
  s->szx1_max = 6;
  for (uint8_t i = 0; i < BLOCK_RESOURCES; i++) {
    s->subjects[i] = (block_subject){.base.render = render, .server = s, .resource = i};
    s->ids[i][0] = block_server_id(s);
  }
}
