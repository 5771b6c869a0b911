/* SPDX-License-Identifier: Apache-2.0 */
/* Resources observed through a network that loses, repeats and reorders, by clients that change
 * their address: what a client is told never goes back, in the end it knows the last state, and
 * each datagram is one that the rules allow. RFC 7641 sections 1.3, 3.3 to 3.6, 4.1 to 4.5. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "oracle_observe.h"
#include "oracle_table.h"
#include "world.h"

enum { SEEDS = 300, CHANGES = 30, SERVER = 1, STATE_SIZE = 4, RESOURCES = 3, ELSEWHERE = 2 };

static const copal_dur settle_time = 600 * COPAL_SECOND; /* several Max-Ages and schedules */

/* An observed resource: a counter, behind the nonce that the oracle looks for. */
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
  copal_xref exchange;
  uint32_t value; /* the last it was told */
  unsigned notifications;
  bool has_gone_back;
  bool is_over;
  copal_code last_code;
} watcher;

static resource resources[RESOURCES];
static watcher watchers[RESOURCES];
static world *the_world;
static oracle_observe notices;
static observe_tally total;

/* --------------------------------------------------------------------------------------- server */

static resource *resource_of(const uint8_t *nonce)
{
  uint8_t own[PEEK_NONCE_SIZE];
  for (unsigned i = 0; i < RESOURCES; i++) {
    oracle_nonce(resources[i].id, own);
    if (memcmp(own, nonce, sizeof(own)) == 0)
      return &resources[i];
  }
  return NULL;
}

static bool truth(const uint8_t *nonce, uint32_t *value)
{
  const resource *x = resource_of(nonce);
  assert_non_null(x);
  *value = x->value;
  return !x->is_gone;
}

static void fill_response(resource *x, copal_response *r)
{
  static const uint8_t max_age[] = {30};
  static const copal_opt opts[] = {{COPAL_OPT_MAX_AGE, {max_age, sizeof(max_age)}}};
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
  (void)ep;
  (void)now;
  fill_response((resource *)s, r);
  return COPAL_OK;
}

static void on_idle(copal_subject *s, copal_ep *ep)
{
  (void)ep;
  ((resource *)s)->idles++;
}

static resource *asked_for(const copal_msg *m)
{
  copal_opt_iter it = copal_opt_iter_init(m->options);
  for (copal_opt opt; copal_opt_next(&it, &opt);)
    if (opt.number == COPAL_OPT_URI_PATH && opt.value.len == PEEK_NONCE_SIZE)
      return resource_of(opt.value.ptr);
  return NULL;
}

static int on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time now)
{
  copal_response r;
  resource *x = asked_for(req->msg);
  (void)s;
  assert_non_null(x);
  oracle_on_handler(&the_world->oracle, SERVER, req, world_node_of(req->path), (int)x->id, now);
  if (req->wants_observe)
    assert_int_equal(copal_ep_observe(ep, &x->subject), COPAL_OK);
  fill_response(x, &r);
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

/* Observes a resource; a FETCH for each second one. */
static void watch(world *w, unsigned i)
{
  const copal_code method = i % 2 == 1 ? COPAL_CODE_FETCH : COPAL_CODE_GET;
  const oracle_request r = {.client = 0,
                            .to = SERVER,
                            .type = COPAL_CON,
                            .code = method,
                            .is_observe = true,
                            .started = w->now};
  const copal_path path = world_path(SERVER);
  const uint32_t id = w->oracle.request_count;
  uint8_t nonce[PEEK_NONCE_SIZE];
  oracle_nonce(id, nonce);
  const copal_opt opts[] = {{COPAL_OPT_OBSERVE, {NULL, 0}},
                            {COPAL_OPT_URI_PATH, {(const uint8_t *)"s", 1}},
                            {COPAL_OPT_URI_PATH, {nonce, sizeof(nonce)}}};
  copal_request q = COPAL_REQUEST_INIT;
  watchers[i] = (watcher){.base.on_event = on_event, .world = w, .id = id};
  resources[i].id = id;
  oracle_on_start(&w->oracle, id, &r);
  q.path = &path;
  q.code = method;
  q.opts = opts;
  q.opt_count = 3;
  q.client = &watchers[i].base;
  assert_int_equal(copal_ep_request(w->nodes[0].ep, &q, &watchers[i].exchange, w->now), COPAL_OK);
}

/* ---------------------------------------------------------------------------------------- stage */

static void open_stage(world *w, uint64_t seed, uint8_t loss)
{
  world_cfg c = world_cfg_plain(seed);
  sim_rng r = {seed};
  c.requests_per_client = 0;
  c.ep.params.nstart = RESOURCES; /* of the client's registrations */
  c.link.loss_percent = loss;
  c.link.dup_percent = (uint8_t)rng_below(&r, 30);
  c.link.delay_max = rng_range(&r, 10, 4000) * COPAL_MILLISECOND;
  world_open(w, &c, false);
  the_world = w;
  w->nodes[SERVER].server.base.on_request = on_request;
  memset(&notices, 0, sizeof(notices));
  notices.server = SERVER;
  notices.truth = truth;
  w->oracle.observe = &notices;
  memset(resources, 0, sizeof(resources));
  memset(watchers, 0, sizeof(watchers));
  for (unsigned i = 0; i < RESOURCES; i++) {
    resources[i].id = UINT32_MAX - i; /* of nobody */
    resources[i].subject.render = render;
    resources[i].subject.on_idle = on_idle;
    resources[i].subject.is_confirmable = rng_percent(&r, 30);
  }
}

static void run_for(world *w, copal_dur time)
{
  world_step_until(w, w->now + time);
}

static void make_perfect(world *w)
{
  const net_link perfect = {.delay_min = 1, .delay_max = COPAL_MILLISECOND};
  net_set_links(&w->net, &perfect);
}

static void change(world *w, unsigned i)
{
  resources[i].value++;
  copal_ep_notify(w->nodes[SERVER].ep, &resources[i].subject, w->now);
}

static void remove_resource(world *w, unsigned i)
{
  resources[i].is_gone = true;
  copal_ep_notify(w->nodes[SERVER].ep, &resources[i].subject, w->now);
}

static void assert_sound(const world *w)
{
  if (w->oracle.broken != RULE_NONE)
    fail_msg("seed 0x%llx: %s at %.6f s: %s", (unsigned long long)w->cfg.seed,
             oracle_rule_name(w->oracle.broken), (double)w->oracle.broken_at / 1e6, w->oracle.text);
}

static void cancel_all(world *w)
{
  for (unsigned i = 0; i < RESOURCES; i++)
    if (watchers[i].world != NULL)
      (void)copal_ep_cancel(w->nodes[0].ep, watchers[i].exchange, w->now);
}

static void add_up(void)
{
  total.cons += notices.tally.cons;
  total.nons += notices.tally.nons;
  total.repeated += notices.tally.repeated;
  total.superseded += notices.tally.superseded;
  total.errors += notices.tally.errors;
  total.given_up += notices.tally.given_up;
}

static void close_stage(world *w)
{
  cancel_all(w);
  for (unsigned i = 0; i < RESOURCES; i++)
    copal_ep_end_subject(w->nodes[SERVER].ep, &resources[i].subject, w->now);
  world_step_until(w, COPAL_NEVER);
  for (uint8_t i = 0; i < 2; i++) {
    const copal_usage u = copal_ep_usage(w->nodes[i].ep);
    assert_int_equal(u.exchanges + u.peers + u.dedups + u.chunks + u.relations + u.observers, 0);
  }
  add_up();
  world_close(w);
  assert_sound(w);
}

/* The watcher knows the last state, unless it knows that it does not. */
static void assert_told(const world *w, unsigned i)
{
  const watcher *a = &watchers[i];
  if (!a->is_over && a->value != resources[i].value)
    fail_msg("seed 0x%llx: knows state %u of %u", (unsigned long long)w->cfg.seed, a->value,
             resources[i].value);
  if (a->has_gone_back)
    fail_msg("seed 0x%llx: went back", (unsigned long long)w->cfg.seed);
}

/* ------------------------------------------------------------------------------ notifications */

static void rfc7641_4_5_the_last_state_arrives_and_none_goes_back(void **state)
{
  world *w = *state;
  unsigned notifications = 0, faithful = 0;
  total = (observe_tally){0};
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    const unsigned count = 1 + (unsigned)seed % RESOURCES;
    open_stage(w, seed, (uint8_t)(seed % 50));
    for (unsigned i = 0; i < count; i++)
      watch(w, i);
    for (int i = 0; i < CHANGES; i++) {
      run_for(w, rng_below(&w->rng, 5 * COPAL_SECOND));
      change(w, rng_below(&w->rng, count));
    }
    make_perfect(w);
    run_for(w, settle_time);
    assert_sound(w);
    for (unsigned i = 0; i < count; i++) {
      assert_told(w, i);
      notifications += watchers[i].notifications;
      faithful += !watchers[i].is_over;
    }
    close_stage(w);
  }
  assert_true(notifications > SEEDS * CHANGES / 4);
  assert_true(faithful > SEEDS); /* the others lost a whole schedule of retransmissions */
  assert_true(total.cons > SEEDS && total.nons > SEEDS / 4);
  assert_true(total.repeated > SEEDS && total.superseded > SEEDS / 4 && total.given_up > 0);
}

static void rfc7641_4_2_a_deletion_arrives_through_loss(void **state)
{
  world *w = *state;
  unsigned told = 0, lost = 0;
  total = (observe_tally){0};
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    open_stage(w, seed, (uint8_t)(seed % 50));
    for (unsigned i = 0; i < RESOURCES; i++)
      watch(w, i);
    for (int i = 0; i < 10; i++) {
      run_for(w, rng_below(&w->rng, 3 * COPAL_SECOND));
      change(w, rng_below(&w->rng, RESOURCES));
    }
    run_for(w, rng_below(&w->rng, 3 * COPAL_SECOND));
    for (unsigned i = 0; i < RESOURCES; i++)
      remove_resource(w, i);
    run_for(w, settle_time); /* with the losses */
    assert_sound(w);
    for (unsigned i = 0; i < RESOURCES; i++) {
      assert_int_equal(resources[i].subject.count, 0);
      told += watchers[i].last_code == COPAL_CODE_NOT_FOUND && watchers[i].is_over;
      lost += !watchers[i].is_over; /* knows nothing of the end, not even by asking again */
    }
    close_stage(w);
  }
  assert_int_equal(lost, 0);
  assert_true(told > SEEDS * RESOURCES * 9 / 10);
  assert_true(total.errors > SEEDS);
}

static void rfc7641_4_2_an_error_is_the_last_notification(void **state)
{
  world *w = *state;
  for (uint64_t seed = 0; seed < 20; seed++) {
    open_stage(w, seed, 0);
    watch(w, 0);
    run_for(w, 20 * COPAL_SECOND);
    remove_resource(w, 0);
    run_for(w, 20 * COPAL_SECOND);
    assert_true(watchers[0].is_over);
    assert_int_equal(watchers[0].last_code, COPAL_CODE_NOT_FOUND);
    assert_int_equal(resources[0].subject.count, 0);
    close_stage(w);
  }
}

static void rfc7641_3_3_1_it_goes_on_under_another_address(void **state)
{
  world *w = *state;
  unsigned renewed = 0;
  for (uint64_t seed = 0; seed < SEEDS / 3; seed++) {
    open_stage(w, seed, (uint8_t)(seed % 20));
    for (unsigned i = 0; i < RESOURCES; i++)
      watch(w, i);
    for (int i = 0; i < CHANGES; i++) {
      run_for(w, rng_below(&w->rng, 5 * COPAL_SECOND));
      change(w, rng_below(&w->rng, RESOURCES));
      if (i == CHANGES / 2)
        world_move(w, 0, (uint8_t)(ELSEWHERE + seed % 3));
    }
    make_perfect(w);
    run_for(w, settle_time);
    assert_sound(w);
    for (unsigned i = 0; i < RESOURCES; i++) {
      assert_told(w, i);
      renewed += !watchers[i].is_over;
    }
    close_stage(w);
  }
  assert_true(renewed > SEEDS / 3);
}

/* --------------------------------------------------------------------------------------- the end
 */

static void rfc7641_3_6_forgotten_relation_ends_with_a_reset(void **state)
{
  world *w = *state;
  for (uint64_t seed = 0; seed < 20; seed++) {
    open_stage(w, seed, 0);
    watch(w, 0);
    run_for(w, 20 * COPAL_SECOND);
    assert_int_equal(resources[0].subject.count, 1);
    assert_int_equal(copal_ep_cancel(w->nodes[0].ep, watchers[0].exchange, w->now), COPAL_OK);
    change(w, 0);
    run_for(w, 20 * COPAL_SECOND);
    assert_int_equal(resources[0].subject.count, 0);
    assert_int_equal(resources[0].idles, 1);
    assert_int_equal(copal_ep_stats(w->nodes[SERVER].ep)->relations_reset, 1);
    close_stage(w);
  }
}

static void rfc7641_4_5_a_client_that_vanished_is_forgotten(void **state)
{
  world *w = *state;
  const net_link dead = {.loss_percent = 100};
  open_stage(w, 7, 0);
  for (unsigned i = 0; i < RESOURCES; i++)
    watch(w, i);
  run_for(w, 20 * COPAL_SECOND);
  cancel_all(w);
  net_set_links(&w->net, &dead);
  for (int i = 0; i < 6; i++) { /* the time of one schedule */
    change(w, (unsigned)i % RESOURCES);
    run_for(w, 20 * COPAL_SECOND);
  }
  for (unsigned i = 0; i < RESOURCES; i++)
    assert_int_equal(resources[i].subject.count, 0);
  assert_int_equal(copal_ep_stats(w->nodes[SERVER].ep)->relations_lost, RESOURCES);
  close_stage(w);
}

/* ------------------------------------------------------------------------------------ duplicates
 */

/* A GET of resource 0 with that Observe value, put on the wire beside the client's endpoint, which
 * rejects the notifications that it leads to. */
static void send_get(world *w, uint16_t mid, uint8_t observe)
{
  uint8_t bytes[] = {0x41,
                     1,
                     (uint8_t)(mid >> 8),
                     (uint8_t)mid,
                     0x77,
                     0x61,
                     observe,
                     0x51,
                     's',
                     8,
                     0,
                     0,
                     0,
                     0,
                     0,
                     0,
                     0,
                     0};
  oracle_nonce(resources[0].id, bytes + 10);
  net_send(&w->net, 0, SERVER, bytes, sizeof(bytes), w->now);
}

/* Waits until the server has that many relations. */
static void await_relations(world *w, uint32_t count)
{
  for (int i = 0; i < 400 && resources[0].subject.count != count; i++)
    run_for(w, COPAL_SECOND);
  assert_int_equal(resources[0].subject.count, count);
}

/* The registration and what takes it back are repeated by the network, late and out of order. */
static void rfc7252_4_5_late_copies_register_nothing_and_end_nothing(void **state)
{
  world *w = *state;
  enum { REGISTER, DEREGISTER, LATE_S = 95 /* below MAX_LATENCY */ };
  uint64_t late = 0;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    const uint16_t mid = (uint16_t)(seed << 4);
    const bool is_reset = seed % 3 == 0;
    open_stage(w, seed, 0);
    const net_link slow = {
        .dup_percent = 90, .delay_min = 1000, .delay_max = LATE_S * COPAL_SECOND};
    resources[0].id = 0;
    w->net.links[0][SERVER] = slow;
    send_get(w, mid, REGISTER);
    await_relations(w, 1);
    if (is_reset)
      change(w, 0); /* is rejected */
    else
      send_get(w, (uint16_t)(mid + 1), DEREGISTER);
    for (int i = 0; i < 2 * LATE_S && resources[0].subject.count > 0; i++)
      run_for(w, COPAL_SECOND);
    const uint64_t before = w->received[SERVER];
    if (resources[0].subject.count == 0) { /* else the deregistration overtook the registration */
      for (int i = 0; i < LATE_S + 1; i++) {
        run_for(w, COPAL_SECOND);
        assert_int_equal(resources[0].subject.count, 0);
      }
      late += w->received[SERVER] - before;
      send_get(w, (uint16_t)(mid + 2), REGISTER);
      await_relations(w, 1);
      run_for(w, LATE_S * COPAL_SECOND);
      assert_int_equal(resources[0].subject.count, 1);
    }
    assert_sound(w);
    close_stage(w);
  }
  assert_true(late > SEEDS); /* copies that came after the end */
}

/* ------------------------------------------------------------------------------------ the oracle
 */

/* What the server of a scene says wrongly. */
typedef enum lapse {
  LAPSE_NONE,
  LAPSE_TWO_OUTSTANDING,
  LAPSE_NON_BESIDE_CON,
  LAPSE_OLD_STATE,
  LAPSE_OLD_SEQUENCE,
  LAPSE_SEQUENCE_KEPT,
  LAPSE_EARLY,
  LAPSE_LATE,
  LAPSE_TOO_OFTEN,
  LAPSE_AFTER_THE_END,
  LAPSE_ERROR_WITH_OBSERVE,
  LAPSE_COUNT,
} lapse;

static void say(oracle *o, uint8_t type, uint8_t code, uint16_t mid, uint8_t token, int sequence,
                uint32_t value, copal_time now)
{
  uint8_t b[24] = {(uint8_t)(0x41 | type << 4), code, (uint8_t)(mid >> 8), (uint8_t)mid, token};
  size_t len = 5;
  if (sequence >= 0) {
    b[len++] = 0x61;
    b[len++] = (uint8_t)sequence;
  }
  b[len++] = 0xff;
  oracle_nonce(0, b + len);
  len += PEEK_NONCE_SIZE;
  for (unsigned i = 0; i < STATE_SIZE; i++)
    b[len++] = (uint8_t)(value >> (8 * (STATE_SIZE - 1 - i)));
  const peek p = peek_at(b, len);
  assert_true(p.is_whole);
  oracle_observe_on_send(o, SERVER, 0, &p, now);
}

/* A scene of registration, change, loss, change and deletion, with one lapse. */
static void play(oracle *o, lapse l)
{
  const copal_time s = COPAL_SECOND, first = 100 * s;
  uint32_t *value = &resources[0].value;
  *value = 1;
  resources[0].is_gone = false;
  say(o, PEEK_ACK, 0x45, 1, 7, 10, 1, first - s);
  say(o, PEEK_ACK, 0x45, 2, 8, 10, 1, first - s);
  *value = 2;
  say(o, PEEK_CON, 0x45, 20, 7, l == LAPSE_OLD_SEQUENCE ? 9 : 11, l == LAPSE_OLD_STATE ? 1 : 2,
      first);
  if (l == LAPSE_TWO_OUTSTANDING)
    say(o, PEEK_CON, 0x45, 21, 8, 11, 2, first + s);
  if (l == LAPSE_NON_BESIDE_CON)
    say(o, PEEK_NON, 0x45, 21, 8, 11, 2, first + s);
  copal_time gap = l == LAPSE_EARLY ? s : l == LAPSE_LATE ? 5 * s : 5 * s / 2, at = first + gap;
  say(o, PEEK_CON, 0x45, 20, 7, 11, 2, at);
  *value = 3;
  at += gap *= 2;
  say(o, PEEK_CON, 0x45, 22, 7, l == LAPSE_SEQUENCE_KEPT ? 11 : 12, 3, at);
  resources[0].is_gone = true;
  for (int i = 0; i < (l == LAPSE_TOO_OFTEN ? 3 : 2); i++) {
    at += gap *= 2;
    if (l == LAPSE_TOO_OFTEN && i == 2)
      at -= gap / 2; /* before the last transmission has had its time */
    say(o, PEEK_CON, 0x84, 23, 7, l == LAPSE_ERROR_WITH_OBSERVE ? 13 : -1, 3, at);
  }
  resources[0].is_gone = l != LAPSE_AFTER_THE_END;
  if (l == LAPSE_AFTER_THE_END)
    say(o, PEEK_CON, 0x45, 24, 7, 14, 3, at + 100 * s);
}

static void the_oracle_notices_each_lapse(void **state)
{
  world *w = *state;
  for (int l = LAPSE_NONE; l < LAPSE_COUNT; l++) {
    open_stage(w, 1, 0);
    resources[0].id = 0;
    play(&w->oracle, (lapse)l);
    if ((w->oracle.broken == RULE_OBSERVE) != (l != LAPSE_NONE))
      fail_msg("lapse %d: %s %s", l, oracle_rule_name(w->oracle.broken), w->oracle.text);
    w->oracle.observe = NULL;
    w->oracle.broken = RULE_NONE;
    world_close(w);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7641_4_5_the_last_state_arrives_and_none_goes_back),
      cmocka_unit_test(rfc7641_4_2_a_deletion_arrives_through_loss),
      cmocka_unit_test(rfc7641_4_2_an_error_is_the_last_notification),
      cmocka_unit_test(rfc7641_3_3_1_it_goes_on_under_another_address),
      cmocka_unit_test(rfc7641_3_6_forgotten_relation_ends_with_a_reset),
      cmocka_unit_test(rfc7641_4_5_a_client_that_vanished_is_forgotten),
      cmocka_unit_test(rfc7252_4_5_late_copies_register_nothing_and_end_nothing),
      cmocka_unit_test(the_oracle_notices_each_lapse),
  };
  return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
