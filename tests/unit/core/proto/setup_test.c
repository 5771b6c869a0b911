/* SPDX-License-Identifier: Apache-2.0 */
/* Making and ending an endpoint: defaults, limits of the configuration, memory, wiping. */
#include "unit/core/proto/fixture.h"

#include "core/proto/ep.h"

static void defaults_are_those_of_the_header(void **state)
{
  fixture *f = *state;
  const copal_ep_cfg *c = &f->ep->cfg;
  const copal_params p = copal_params_default();
  assert_memory_equal(&c->params, &p, sizeof p);
  assert_int_equal(c->exchange_count, 16);
  assert_int_equal(c->peer_count, 16);
  assert_int_equal(c->dedup_count, 32);
  assert_int_equal(c->dedup_per_peer, 16);
  assert_int_equal(c->chunk_count, 64);
  assert_int_equal(c->chunk_size, 128);
  assert_int_equal(c->message_max, 1152);
  assert_int_equal(c->token_cap, 8);
  assert_int_equal(c->token_len, 8);
  assert_int_equal(c->szx_max, 6);
  assert_int_equal(c->mid_count, 16);
  assert_int_equal(c->timer_slots, 64);
  assert_int_equal(c->timer_tick, COPAL_MILLISECOND);
}

/* Neither a size nor an endpoint for this configuration. */
static void refuse(fixture *f, const copal_ep_cfg *c)
{
  copal_ep *ep = NULL;
  const copal_mspan mem = {f->mem, copal_ep_size(&f->cfg)};
  assert_int_equal(copal_ep_size(c), 0);
  assert_int_equal(copal_ep_init(mem, c, &ep, f->now), COPAL_EINVAL);
  assert_null(ep);
}

#define REFUSE(f, field, value)                                                                    \
  do {                                                                                             \
    copal_ep_cfg c = (f)->cfg;                                                                     \
    c.field = (value);                                                                             \
    refuse((f), &c);                                                                               \
  } while (0)

static void values_out_of_range_are_refused(void **state)
{
  fixture *f = *state;
  const copal_params p = copal_params_default();
  REFUSE(f, struct_size, 1);
  REFUSE(f, sink, NULL);
  REFUSE(f, entropy, NULL);
  REFUSE(f, chunk_size, 15);
  REFUSE(f, chunk_size, 4097);
  REFUSE(f, message_max, 63);
  REFUSE(f, token_cap, 7);
  REFUSE(f, token_len, 3); /* RFC 7252 section 5.3.1: 32 bits at least */
  REFUSE(f, token_len, 9);
  REFUSE(f, mid_count, 3);
  REFUSE(f, mid_count, 1u << 25);
  REFUSE(f, timer_slots, 100);
  REFUSE(f, timer_slots, 1u << 31);
  f->cfg.has_szx_max = true;
  REFUSE(f, szx_max, 7);
  f->cfg.params = p;
  REFUSE(f, params.nstart, 0);
  REFUSE(f, params.ack_random_percent, 99);
  REFUSE(f, params.ack_delay, p.ack_timeout);
}

static void values_at_the_edge_are_taken(void **state)
{
  fixture *f = *state;
  f->cfg.exchange_count = f->cfg.peer_count = f->cfg.dedup_count = f->cfg.dedup_per_peer = 1;
  f->cfg.chunk_count = 1;
  f->cfg.chunk_size = 16;
  f->cfg.message_max = 64;
  f->cfg.token_len = 4;
  f->cfg.mid_count = f->cfg.timer_slots = 1;
  f->cfg.timer_tick = 1;
  fx_restart(f);
  fx_answer(f, COPAL_CODE_CHANGED, "");
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 44 12 34 aa");
  assert_int_equal(fx_feed(f, "41 02 12 34 aa"), COPAL_OK);
  fx_expect(f, "61 44 12 34 aa");
  assert_int_equal(f->calls, 1);
}

static void memory_too_small_is_refused(void **state)
{
  fixture *f = *state;
  copal_ep *ep = NULL;
  const size_t size = copal_ep_size(&f->cfg);
  uint8_t *mem = malloc(size - 1);
  assert_non_null(mem);
  const copal_mspan room = {mem, size - 1};
  assert_int_equal(copal_ep_init(room, &f->cfg, &ep, f->now), COPAL_ENOSPC);
  assert_null(ep);
  free(mem);
}

static void size_grows_with_each_pool(void **state)
{
  fixture *f = *state;
  const size_t base = copal_ep_size(&f->cfg);
  copal_ep_cfg c = f->cfg;
  c.exchange_count = 17;
  assert_true(copal_ep_size(&c) > base);
  c = f->cfg;
  c.peer_count = 17;
  assert_true(copal_ep_size(&c) > base);
  c = f->cfg;
  c.dedup_count = 33;
  assert_true(copal_ep_size(&c) > base);
  c = f->cfg;
  c.chunk_count = 65;
  assert_int_equal(copal_ep_size(&c) - base, sizeof(copal_chunk) + 128);
  c = f->cfg;
  c.token_cap = 65535;
  assert_true(copal_ep_size(&c) >= base + 16 * (65535 - 8));
}

/* Pools beyond every memory have their true size or, where size_t cannot hold it, none: never a
 * small one that has wrapped. */
static void the_size_of_huge_pools_does_not_wrap(void **state)
{
  fixture *f = *state;
  copal_ep_cfg c = f->cfg;
  c.chunk_count = UINT32_MAX;
  c.chunk_size = 4096;
  const uint64_t least = (uint64_t)UINT32_MAX * 4096;
  const size_t size = copal_ep_size(&c);
  assert_true(least > SIZE_MAX ? size == 0 : size > least);
  c.exchange_count = c.peer_count = c.dedup_count = UINT32_MAX;
  c.relation_count = UINT32_MAX;
  c.token_cap = UINT16_MAX;
  assert_int_equal(copal_ep_size(&c), 0);
}

/* What tables refer to with 32 bits. */
static void pools_with_tables_have_16_gibibytes(void **state)
{
  fixture *f = *state;
  copal_ep_cfg c = f->cfg;
  c.token_cap = 32768;
  c.exchange_count = UINT32_C(1) << 18;
  assert_true(sizeof(void *) == sizeof(uint32_t) || copal_ep_size(&c) > (uint64_t)8 << 30);
  c.exchange_count = UINT32_C(1) << 19;
  assert_int_equal(copal_ep_size(&c), 0);
}

static void wipe_cancels_each_client_exchange_once(void **state)
{
  fixture *f = *state;
  copal_xref x[3];
  for (int i = 0; i < 3; i++) /* one in flight, two waiting */
    assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, &x[i]), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "40 02 12 34"), COPAL_OK); /* one deferred */
  copal_ep_wipe(f->ep, f->now);
  unsigned seen = 0;
  for (int i = 0; i < 3; i++) {
    const fx_event *e = fx_expect_event(f, COPAL_EVENT_CANCELED);
    for (unsigned j = 0; j < 3; j++)
      seen |= e->exchange == x[j] ? 1u << j : 0;
  }
  assert_int_equal(seen, 7);
  fx_expect_no_event(f);
  fx_expect_nothing(f);         /* what waited is not sent at the end */
  copal_ep_wipe(f->ep, f->now); /* a wiped one is empty */
  fx_expect_no_event(f);
}

static int restart_result;

static void ask_again(fixture *f, const copal_event *event)
{
  if (event->kind == COPAL_EVENT_CANCELED)
    restart_result = fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL);
}

/* Each exchange gets its last event, even of a client that does not want to stop. */
static void wipe_takes_no_new_requests(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  restart_result = COPAL_OK;
  f->on_event = ask_again;
  copal_ep_wipe(f->ep, f->now);
  assert_int_equal(restart_result, COPAL_ENOSLOT);
  (void)fx_expect_event(f, COPAL_EVENT_CANCELED);
  fx_expect_no_event(f);
  fx_expect_nothing(f);
}

static void wipe_of_null_is_safe(void **state)
{
  (void)state;
  copal_ep_wipe(NULL, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(defaults_are_those_of_the_header),
      TEST(values_out_of_range_are_refused),
      TEST(values_at_the_edge_are_taken),
      TEST(memory_too_small_is_refused),
      TEST(size_grows_with_each_pool),
      TEST(wipe_cancels_each_client_exchange_once),
      TEST(the_size_of_huge_pools_does_not_wrap),
      TEST(pools_with_tables_have_16_gibibytes),
      TEST(wipe_cancels_each_client_exchange_once),
      TEST(wipe_takes_no_new_requests),
      TEST(wipe_of_null_is_safe),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
