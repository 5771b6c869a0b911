/* SPDX-License-Identifier: Apache-2.0 */
/* Resources on a real endpoint: changes that are refused or answered late. RFC 7252 section 5.2. */
#include <stdio.h>

#include "copal/error.h"
#include "server/arena.h"
#include "service/resources.h"
#include "store/memory/memory.h"
#include "unit/core/proto/fixture.h"

static store *changes;
static const store_engine *at_once;
static store_engine late; /* of `changes`: done in store_drain(), as with files */
static store_port *port;
static service *resources;
static arena request_arena;
static const handler_limits limits = {
    .body_max = 1024, .default_max_age_s = 60, .attrs_max = 256, .key_max = 255};
static handler_env env;
static copal_span key;

static int handle(fixture *f, const copal_req *req)
{
  const handler_req r = {
      .env = &env, .coap = req, .arena = &request_arena, .key = key, .now = f->now};
  arena_reset(&request_arena);
  return resources->on_request(resources, &r);
}

/* Fills with a constant, which is a name like any other. */
static int set_up(void **state)
{
  const int err = fx_setup(state);
  fixture *f = *state;
  changes = memory_store_open(&(memory_store_cfg){.pending_max = 1});
  resources = resources_open(NULL);
  if (err != 0 || changes == NULL || resources == NULL || arena_init(&request_arena, 4096) < 0 ||
      store_port_open(changes, NULL, &port) < 0)
    return -1;
  at_once = changes->engine;
  late = *at_once;
  late.apply = NULL;
  changes->engine = &late;
  f->handler = handle;
  key = copal_span_str("/a");
  env = (handler_env){
      .ep = f->ep, .store = port, .entropy = &f->entropy, .limits = &limits, .clock = &f->now};
  return 0;
}

static int tear_down(void **state)
{
  const int err = fx_teardown(state);
  store_port_close(port);
  resources->close(resources);
  store_close(changes);
  arena_wipe(&request_arena);
  return err;
}

static void restart(fixture *f)
{
  fx_restart(f);
  env.ep = f->ep;
}

static void rfc7252_5_2_1_change_refused_after_deferral_is_answered_at_once(void **state)
{
  fixture *f = *state;
  fx_feed(f, "41 03 0001 aa ff 'x'");
  fx_expect_nothing(f);
  fx_feed(f, "41 03 0002 bb ff 'y'"); /* the store takes one at a time */
  fx_expect(f, "61 a3 0002 bb d1 01 01 ff 'Too many changes under way; try again'");
  fx_feed(f, "41 03 0002 bb ff 'y'");
  fx_expect(f, "61 a3 0002 bb d1 01 01 ff 'Too many changes under way; try again'");
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 1);
  assert_int_equal(store_drain(port, 10), 1);
  fx_expect(f, "61 41 0001 aa 48 *");
  assert_int_equal(resources_counts_now(resources).pending_refused, 1);
  fx_expect_idle(f);
}

static void rfc7252_5_2_3_refused_non_confirmable_change_is_answered_too(void **state)
{
  fixture *f = *state;
  fx_feed(f, "51 03 0001 aa ff 'x'");
  fx_feed(f, "51 03 0002 bb ff 'y'");
  fx_expect(f, "51 a3 .... bb d1 01 01 ff 'Too many changes under way; try again'");
  assert_int_equal(store_drain(port, 10), 1);
  fx_expect(f, "51 41 .... aa 48 *");
  fx_expect_idle(f);
}

static void answer_that_does_not_fit_is_cut_to_its_code(void **state)
{
  fixture *f = *state;
  f->cfg.message_max = 64;
  restart(f);
  key = copal_span_str("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
  fx_feed(f, "41 02 0001 aa ff 'x'");
  assert_int_equal(store_drain(port, 10), 1);
  fx_expect(f, "61 41 0001 aa");
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  fx_expect_idle(f);
}

static void full_sink_leaves_no_exchange_open(void **state)
{
  fixture *f = *state;
  fx_feed(f, "41 03 0001 aa ff 'x'");
  f->is_full = true;
  assert_int_equal(store_drain(port, 10), 1);
  f->is_full = false;
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  fx_expect_idle(f);
}

/* A store that is done at once is answered for by the request's own answer. */

static void change_that_is_done_at_once_is_answered_at_once(void **state)
{
  fixture *f = *state;
  changes->engine = at_once;
  fx_feed(f, "41 03 0001 aa ff 'x'");
  fx_expect(f, "61 41 0001 aa 48 *");
  fx_feed(f, "41 03 0001 aa ff 'x'"); /* a duplicate */
  fx_expect(f, "61 41 0001 aa 48 *");
  fx_feed(f, "51 03 0002 bb ff 'y'");
  fx_expect(f, "51 44 .... bb 48 *");
  fx_feed(f, "41 02 0003 cc ff 'z'");
  fx_expect(f, "61 41 0003 cc *");
  fx_feed(f, "41 04 0004 dd");
  fx_expect(f, "61 42 0004 dd");
  assert_int_equal(store_drain(port, 10), 0);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  fx_expect_idle(f);
}

static void answer_at_once_that_does_not_fit_is_cut_to_its_code(void **state)
{
  fixture *f = *state;
  f->cfg.message_max = 64;
  restart(f);
  changes->engine = at_once;
  key = copal_span_str("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
  fx_feed(f, "41 02 0001 aa ff 'x'");
  fx_expect(f, "61 41 0001 aa");
  fx_expect_idle(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_5_2_1_change_refused_after_deferral_is_answered_at_once),
      TEST(rfc7252_5_2_3_refused_non_confirmable_change_is_answered_too),
      TEST(answer_that_does_not_fit_is_cut_to_its_code),
      TEST(full_sink_leaves_no_exchange_open),
      TEST(change_that_is_done_at_once_is_answered_at_once),
      TEST(answer_at_once_that_does_not_fit_is_cut_to_its_code),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
