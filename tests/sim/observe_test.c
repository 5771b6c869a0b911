/* SPDX-License-Identifier: Apache-2.0 */
/* A resource observed through a network that loses, repeats and reorders: what the client is told
 * never goes back, and in the end it knows the last state. RFC 7641 sections 1.3, 3.3 to 3.5, 4.4,
 * 4.5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

enum { SEEDS = 300, CHANGES = 30, SERVER = 1, STATE_SIZE = 4 };

static const copal_dur settle_time = 600 * COPAL_SECOND; /* several Max-Ages and schedules */

/* The observed resource: a counter, behind the nonce that the oracle looks for. */
typedef struct resource {
  copal_subject subject;
  uint32_t value;
  uint32_t id; /* the request that observes it */
  uint8_t body[PEEK_NONCE_SIZE + STATE_SIZE];
  bool is_gone;
  unsigned idles;
} resource;

typedef struct watcher {
  copal_client base;
  world *world;
  uint32_t id;
  uint32_t value; /* the last it was told */
  unsigned notifications;
  bool has_gone_back;
  bool is_over;
  copal_code last_code;
} watcher;

static resource the_resource;
static watcher the_watcher;
static world *the_world;

/* --------------------------------------------------------------------------------------- server */

static void fill_response(copal_response *r)
{
  static const uint8_t max_age[] = {30};
  static const copal_opt opts[] = {{COPAL_OPT_MAX_AGE, {max_age, sizeof(max_age)}}};
  resource *x = &the_resource;
  oracle_nonce(x->id, x->body);
  for (unsigned i = 0; i < STATE_SIZE; i++)
    x->body[PEEK_NONCE_SIZE + i] = (uint8_t)(x->value >> (8 * (STATE_SIZE - 1 - i)));
  *r = (copal_response){.code = x->is_gone ? COPAL_CODE_NOT_FOUND : COPAL_CODE_CONTENT};
  r->payload = copal_span_of(x->body, sizeof(x->body));
  r->opts = opts;
  r->opt_count = 1;
  oracle_on_made(&the_world->oracle, (int)x->id, r->code);
}

static int render(copal_subject *s, copal_ep *ep, copal_response *r, copal_time now)
{
  (void)s;
  (void)ep;
  (void)now;
  fill_response(r);
  return COPAL_OK;
}

static void on_idle(copal_subject *s, copal_ep *ep)
{
  (void)s;
  (void)ep;
  the_resource.idles++;
}

static int on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time now)
{
  copal_response r;
  (void)s;
  oracle_on_handler(&the_world->oracle, SERVER, req, world_node_of(req->path), (int)the_resource.id,
                    now);
  if (req->wants_observe)
    assert_int_equal(copal_ep_observe(ep, &the_resource.subject), COPAL_OK);
  fill_response(&r);
  return copal_ep_respond(ep, &r, now);
}

/* --------------------------------------------------------------------------------------- client */

static uint32_t state_of(const copal_msg *m)
{
  uint32_t v = 0;
  assert_int_equal(m->payload.len, PEEK_NONCE_SIZE + STATE_SIZE);
  for (unsigned i = 0; i < STATE_SIZE; i++)
    v = v << 8 | m->payload.ptr[PEEK_NONCE_SIZE + i];
  return v;
}

static void on_event(copal_client *c, copal_ep *ep, const copal_event *e, copal_time now)
{
  watcher *a = (watcher *)c;
  (void)ep;
  oracle_on_event(&a->world->oracle, a->id, e, now);
  a->is_over |= e->kind >= COPAL_EVENT_TIMEOUT;
  if (e->kind != COPAL_EVENT_RESPONSE)
    return;
  a->last_code = e->msg->code;
  a->is_over |= !e->is_notification;
  if (e->msg->code != COPAL_CODE_CONTENT)
    return;
  const uint32_t value = state_of(e->msg);
  a->has_gone_back |= value < a->value;
  a->value = value;
  a->notifications++;
}

static copal_xref watch(world *w)
{
  const oracle_request r = {.client = 0,
                            .to = SERVER,
                            .type = COPAL_CON,
                            .code = COPAL_CODE_GET,
                            .is_observe = true,
                            .started = w->now};
  const copal_path path = world_path(SERVER);
  const uint32_t id = w->oracle.request_count;
  uint8_t nonce[PEEK_NONCE_SIZE];
  copal_xref exchange = 0;
  oracle_nonce(id, nonce);
  const copal_opt opts[] = {{COPAL_OPT_OBSERVE, {NULL, 0}},
                            {COPAL_OPT_URI_PATH, {(const uint8_t *)"s", 1}},
                            {COPAL_OPT_URI_PATH, {nonce, sizeof(nonce)}}};
  copal_request q = COPAL_REQUEST_INIT;
  the_watcher = (watcher){.base.on_event = on_event, .world = w, .id = id};
  the_resource.id = id;
  oracle_on_start(&w->oracle, id, &r);
  q.path = &path;
  q.code = COPAL_CODE_GET;
  q.opts = opts;
  q.opt_count = 3;
  q.client = &the_watcher.base;
  assert_int_equal(copal_ep_request(w->nodes[0].ep, &q, &exchange, w->now), COPAL_OK);
  return exchange;
}

/* ---------------------------------------------------------------------------------------- stage */

static void open_stage(world *w, uint64_t seed, uint8_t loss)
{
  world_cfg c = world_cfg_plain(seed);
  sim_rng r = {seed};
  c.requests_per_client = 0;
  c.link.loss_percent = loss;
  c.link.dup_percent = (uint8_t)rng_below(&r, 30);
  c.link.delay_max = rng_range(&r, 10, 4000) * COPAL_MILLISECOND;
  world_open(w, &c, false);
  the_world = w;
  w->nodes[SERVER].server.base.on_request = on_request;
  memset(&the_resource, 0, sizeof(the_resource));
  the_resource.subject.render = render;
  the_resource.subject.on_idle = on_idle;
  the_resource.subject.is_confirmable = rng_percent(&r, 30);
}

static void make_perfect(world *w)
{
  const net_link perfect = {.delay_min = 1, .delay_max = COPAL_MILLISECOND};
  net_set_links(&w->net, &perfect);
}

static void change(world *w)
{
  the_resource.value++;
  copal_ep_notify(w->nodes[SERVER].ep, &the_resource.subject, w->now);
}

static void assert_sound(const world *w)
{
  if (w->oracle.broken != RULE_NONE)
    fail_msg("seed 0x%llx: %s at %.6f s: %s", (unsigned long long)w->cfg.seed,
             oracle_rule_name(w->oracle.broken), (double)w->oracle.broken_at / 1e6, w->oracle.text);
}

static void close_stage(world *w)
{
  copal_ep_end_subject(w->nodes[SERVER].ep, &the_resource.subject, w->now);
  world_step_until(w, COPAL_NEVER);
  for (uint8_t i = 0; i < 2; i++) {
    const copal_usage u = copal_ep_usage(w->nodes[i].ep);
    assert_int_equal(u.exchanges + u.peers + u.dedups + u.chunks + u.relations + u.observers, 0);
  }
  world_close(w);
  assert_sound(w);
}

static void rfc7641_4_5_the_last_state_arrives_and_none_goes_back(void **state)
{
  world *w = *state;
  unsigned notifications = 0, faithful = 0;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    open_stage(w, seed, (uint8_t)(seed % 50));
    const copal_xref x = watch(w);
    for (int i = 0; i < CHANGES; i++) {
      world_step_until(w, w->now + rng_below(&w->rng, 5 * COPAL_SECOND));
      change(w);
    }
    make_perfect(w);
    world_step_until(w, w->now + settle_time);
    assert_sound(w);
    if (!the_watcher.is_over && the_watcher.value != the_resource.value)
      fail_msg("seed %u: knows state %u of %u", (unsigned)seed, the_watcher.value,
               the_resource.value);
    if (the_watcher.has_gone_back)
      fail_msg("seed %u: went back", (unsigned)seed);
    notifications += the_watcher.notifications;
    faithful += !the_watcher.is_over;
    (void)copal_ep_cancel(w->nodes[0].ep, x, w->now);
    close_stage(w);
  }
  assert_true(notifications > SEEDS * CHANGES / 4);
  assert_true(faithful > SEEDS / 2); /* the others lost a whole schedule of retransmissions */
}

static void rfc7641_3_6_forgotten_relation_ends_with_a_reset(void **state)
{
  world *w = *state;
  for (uint64_t seed = 0; seed < 20; seed++) {
    open_stage(w, seed, 0);
    const copal_xref x = watch(w);
    world_step_until(w, w->now + 20 * (copal_time)COPAL_SECOND);
    assert_int_equal(the_resource.subject.count, 1);
    assert_int_equal(copal_ep_cancel(w->nodes[0].ep, x, w->now), COPAL_OK);
    change(w);
    world_step_until(w, w->now + 20 * (copal_time)COPAL_SECOND);
    assert_int_equal(the_resource.subject.count, 0);
    assert_int_equal(the_resource.idles, 1);
    assert_int_equal(copal_ep_stats(w->nodes[SERVER].ep)->relations_reset, 1);
    close_stage(w);
  }
}

static void rfc7641_4_2_an_error_is_the_last_notification(void **state)
{
  world *w = *state;
  for (uint64_t seed = 0; seed < 20; seed++) {
    open_stage(w, seed, 0);
    watch(w);
    world_step_until(w, w->now + 20 * (copal_time)COPAL_SECOND);
    the_resource.is_gone = true;
    change(w);
    world_step_until(w, w->now + 20 * (copal_time)COPAL_SECOND);
    assert_true(the_watcher.is_over);
    assert_int_equal(the_watcher.last_code, COPAL_CODE_NOT_FOUND);
    assert_int_equal(the_resource.subject.count, 0);
    close_stage(w);
  }
}

static void rfc7641_4_5_a_client_that_vanished_is_forgotten(void **state)
{
  world *w = *state;
  const net_link dead = {.loss_percent = 100};
  open_stage(w, 7, 0);
  const copal_xref x = watch(w);
  world_step_until(w, w->now + 20 * (copal_time)COPAL_SECOND);
  copal_ep_cancel(w->nodes[0].ep, x, w->now);
  net_set_links(&w->net, &dead);
  for (int i = 0; i < 20; i++) {
    change(w);
    world_step_until(w, w->now + 20 * (copal_time)COPAL_SECOND);
  }
  assert_int_equal(the_resource.subject.count, 0);
  assert_int_equal(copal_ep_stats(w->nodes[SERVER].ep)->relations_lost, 1);
  close_stage(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7641_4_5_the_last_state_arrives_and_none_goes_back),
      cmocka_unit_test(rfc7641_3_6_forgotten_relation_ends_with_a_reset),
      cmocka_unit_test(rfc7641_4_2_an_error_is_the_last_notification),
      cmocka_unit_test(rfc7641_4_5_a_client_that_vanished_is_forgotten),
  };
  return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
