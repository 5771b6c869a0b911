/* SPDX-License-Identifier: Apache-2.0 */
/* The stage for services: see scene.h. */
#include "unit/service/scene.h"

#include <string.h>

struct arena {
  _Alignas(16) uint8_t bytes[SCENE_ARENA];
  size_t used;
};

static scene_answer answer_now;
scene_answer *answered = &answer_now;
static bool is_handling;
static bool defer_fails;
static copal_xref last_ref;

static void record(const copal_response *r)
{
  scene_answer *a = &answer_now;
  size_t at = 0;
  a->count++;
  a->code = r->code;
  a->opt_count = r->opt_count;
  a->offset = r->offset;
  a->total = r->total;
  assert_true(r->opt_count <= SCENE_OPT_MAX);
  for (size_t i = 0; i < r->opt_count; i++) {
    assert_true(i == 0 || r->opts[i - 1].number <= r->opts[i].number);
    const copal_span v = r->opts[i].value;
    if (v.len > 0)
      memcpy(a->bytes + at, v.ptr, v.len);
    a->opts[i] = (copal_opt){r->opts[i].number, {a->bytes + at, v.len}};
    at += v.len;
  }
  assert_true(at + r->payload.len <= sizeof a->bytes);
  if (r->payload.len > 0)
    memcpy(a->bytes + at, r->payload.ptr, r->payload.len);
  a->payload = copal_span_of(a->bytes + at, r->payload.len);
}

int __wrap_copal_ep_respond(copal_ep *ep, const copal_response *response, copal_time now)
{
  (void)ep;
  (void)now;
  assert_true(is_handling);
  record(response);
  return COPAL_OK;
}

int __wrap_copal_ep_defer(copal_ep *ep, copal_xref *exchange)
{
  (void)ep;
  assert_true(is_handling);
  if (defer_fails)
    return COPAL_ENOSLOT;
  *exchange = ++last_ref;
  return COPAL_OK;
}

int __wrap_copal_ep_resume(copal_ep *ep, copal_xref exchange, const copal_response *response,
                           copal_time now)
{
  (void)ep;
  (void)now;
  assert_int_equal(exchange, last_ref);
  record(response);
  return COPAL_OK;
}

void *__wrap_arena_take(arena *a, size_t size)
{
  const size_t rounded = (size + 15) & ~(size_t)15;
  if (rounded > sizeof a->bytes - a->used)
    return NULL;
  void *p = a->bytes + a->used;
  a->used += rounded;
  return p;
}

static void fill(copal_entropy *e, copal_mspan out)
{
  scene *s = (scene *)((char *)e - offsetof(scene, entropy));
  for (size_t i = 0; i < out.len; i++)
    out.ptr[i] = (uint8_t)(s->entropy_state >> (8 * (i % 8)));
  if (!s->entropy_frozen)
    s->entropy_state += 0x0101010101010101u;
}

void scene_open(scene *s, const memory_store_cfg *cfg)
{
  *s = (scene){.limits = {.body_max = 4096,
                          .patch_max = 4096,
                          .default_max_age_s = 60,
                          .attrs_max = 256,
                          .key_max = 255},
               .now = 1000 * (copal_time)COPAL_SECOND};
  s->entropy.fill = fill;
  s->store = memory_store_open(cfg);
  assert_non_null(s->store);
  s->late = *s->store->engine; /* as with files: changes are done later */
  s->late.apply = NULL;
  s->store->engine = &s->late;
  assert_int_equal(store_port_open(s->store, NULL, &s->port), COPAL_OK);
  s->env = (handler_env){
      .store = s->port, .entropy = &s->entropy, .limits = &s->limits, .clock = &s->now};
}

void scene_close(scene *s)
{
  store_port_close(s->port);
  if (s->service != NULL)
    s->service->close(s->service);
  store_close(s->store);
}

void ask_begin(scene_ask *a, copal_code code, const char *key)
{
  *a = (scene_ask){.code = code, .key = key};
  a->list = copal_opt_list_init(a->opts, a->uints, SCENE_OPT_MAX);
}

void ask_opt(scene_ask *a, uint16_t number, const void *value, size_t len)
{
  copal_opt_list_add(&a->list, number, copal_span_of(value, len));
}

void ask_uint(scene_ask *a, uint16_t number, uint32_t value)
{
  copal_opt_list_add_uint(&a->list, number, value);
}

void ask_query(scene_ask *a, const char *argument)
{
  ask_opt(a, COPAL_OPT_URI_QUERY, argument, strlen(argument));
}

void ask_body(scene_ask *a, const char *text)
{
  a->body = copal_span_str(text);
}

static copal_span write_options(const scene_ask *a, copal_wr *w)
{
  copal_opt_wr o = copal_opt_wr_init(w);
  assert_int_equal(a->list.err, COPAL_OK);
  for (size_t i = 0; i < a->list.count; i++)
    copal_opt_put(&o, a->list.opts[i].number, a->list.opts[i].value);
  assert_int_equal(w->err, COPAL_OK);
  return copal_wr_done(w);
}

copal_code scene_run(scene *s, scene_ask *a)
{
  static uint8_t room[1 << 16];
  static arena request_arena;
  copal_wr w = copal_wr_init((copal_mspan){room, sizeof room});
  const copal_msg msg = {
      .type = COPAL_CON, .code = a->code, .options = write_options(a, &w), .payload = a->body};
  const copal_path path = {.flags = a->is_group ? COPAL_PATH_GROUP : 0};
  const copal_req coap = {.msg = &msg,
                          .path = &path,
                          .has_block1 = a->has_block1,
                          .has_block2 = a->has_block2,
                          .block1 = a->block1,
                          .block2 = a->block2};
  const handler_req req = {.env = &s->env,
                           .coap = &coap,
                           .arena = &request_arena,
                           .key = copal_span_str(a->key),
                           .now = s->now};
  answer_now.count = 0;
  answer_now.code = 0;
  defer_fails = s->defer_fails;
  request_arena.used = 0;
  is_handling = true;
  const int err = s->service->on_request(s->service, &req);
  is_handling = false;
  memset(room, 0xee, sizeof room); /* what was borrowed is gone */
  memset(&request_arena, 0xee, sizeof request_arena);
  assert_true(err == COPAL_OK || err == COPAL_EPENDING);
  if (s->before_drain != NULL)
    s->before_drain(s);
  while (store_drain(s->port, 100) > 0)
    if (s->before_drain != NULL)
      s->before_drain(s);
  store_view_renew(s->port);
  assert_true(answer_now.count <= 1);
  return answer_now.code;
}

copal_code scene_do(scene *s, copal_code code, const char *key, int format, const char *body)
{
  scene_ask a;
  ask_begin(&a, code, key);
  if (format >= 0)
    ask_uint(&a, COPAL_OPT_CONTENT_FORMAT, (uint32_t)format);
  if (body != NULL)
    ask_body(&a, body);
  return scene_run(s, &a);
}

bool answer_has(uint16_t number)
{
  for (size_t i = 0; i < answered->opt_count; i++)
    if (answered->opts[i].number == number)
      return true;
  return false;
}

copal_span answer_opt(uint16_t number)
{
  for (size_t i = 0; i < answered->opt_count; i++)
    if (answered->opts[i].number == number)
      return answered->opts[i].value;
  fail_msg("no option %u in the answer", (unsigned)number);
  return copal_span_none();
}

uint32_t answer_uint(uint16_t number)
{
  uint32_t value = 0;
  assert_int_equal(copal_opt_uint(answer_opt(number), &value), COPAL_OK);
  return value;
}
