/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges: handles, links by token and Message ID, kept datagrams. RFC 7252 sections 4.4, 5.3. */
#include "unit/core/proto/fixture.h"

#include "core/proto/ep.h"
#include "core/proto/exchange.h"

static exchange *take(fixture *f)
{
  exchange *x = exchange_take(f->ep, &f->peer);
  if (x)
    x->state = EXCHANGE_QUEUED;
  return x;
}

static void a_handle_names_one_use_of_a_slot(void **state)
{
  fixture *f = *state;
  exchange *x = take(f);
  const copal_xref ref = exchange_ref(f->ep, x);
  assert_true(ref != 0);
  assert_ptr_equal(exchange_at(f->ep, ref), x);
  exchange_give(f->ep, x);
  assert_null(exchange_at(f->ep, ref));
  assert_ptr_equal(take(f), x); /* the same slot */
  assert_null(exchange_at(f->ep, ref));
  assert_true(exchange_ref(f->ep, x) != ref);
  assert_null(exchange_at(f->ep, 0));
  assert_null(exchange_at(f->ep, UINT64_MAX));
}

/* After 2^32 exchanges the generation comes round; no handle is 0 all the same. */
static void a_handle_is_never_0(void **state)
{
  fixture *f = *state;
  f->ep->generation = UINT32_MAX;
  exchange *x = take(f);
  assert_true(exchange_ref(f->ep, x) != 0);
  assert_ptr_equal(exchange_at(f->ep, exchange_ref(f->ep, x)), x);
}

static void the_pool_bounds_exchanges(void **state)
{
  fixture *f = *state;
  exchange *last = NULL;
  for (int i = 0; i < 16; i++)
    last = take(f);
  assert_non_null(last);
  assert_null(take(f));
  assert_int_equal(fx_stats(f)->exchanges_refused, 1);
  exchange_give(f->ep, last);
  assert_ptr_equal(take(f), last);
}

static void rfc7252_5_3_2_a_token_is_found_at_its_peer(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  exchange *x = take(f);
  exchange_set_token(x, copal_span_str("abc"));
  exchange_link_token(f->ep, x);
  assert_ptr_equal(exchange_find_token(f->ep, &f->peer, copal_span_str("abc")), x);
  assert_null(exchange_find_token(f->ep, &f->peer, copal_span_str("ab")));
  assert_null(exchange_find_token(f->ep, &f->peer, copal_span_str("abcd")));
  assert_null(exchange_find_token(f->ep, &f->peer, copal_span_none()));
  assert_null(exchange_find_token(f->ep, &other, copal_span_str("abc")));
  exchange_give(f->ep, x);
  assert_null(exchange_find_token(f->ep, &f->peer, copal_span_str("abc")));
}

static void rfc7252_8_2_a_token_of_a_group_is_found_at_anybody(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  exchange *x = take(f);
  x->path.flags = COPAL_PATH_GROUP;
  exchange_set_token(x, copal_span_none());
  exchange_link_token(f->ep, x);
  assert_ptr_equal(exchange_find_token(f->ep, &other, copal_span_none()), x);
}

static void rfc7252_4_4_a_message_id_is_found_at_its_peer(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(2);
  exchange *x = take(f);
  exchange_link_mid(f->ep, x, 7);
  assert_ptr_equal(exchange_find_mid(f->ep, &f->peer, 7), x);
  assert_null(exchange_find_mid(f->ep, &f->peer, 8));
  assert_null(exchange_find_mid(f->ep, &other, 7));
  exchange_unlink_mid(f->ep, x);
  exchange_unlink_mid(f->ep, x);
  assert_null(exchange_find_mid(f->ep, &f->peer, 7));
}

static void giving_back_returns_everything(void **state)
{
  fixture *f = *state;
  exchange *x = take(f);
  exchange_set_token(x, copal_span_str("abc"));
  exchange_link_token(f->ep, x);
  exchange_link_mid(f->ep, x, 7);
  assert_int_equal(exchange_keep(f->ep, x, copal_span_str("datagram"), f->now), COPAL_OK);
  exchange_start_con(f->ep, x, f->now);
  assert_int_equal(copal_ep_usage(f->ep).chunks, 1);
  assert_true(copal_ep_deadline(f->ep) != COPAL_NEVER);
  exchange_give(f->ep, x);
  assert_int_equal(copal_ep_usage(f->ep).chunks, 0);
  assert_int_equal(copal_ep_usage(f->ep).exchanges, 0);
  assert_int_equal(copal_ep_deadline(f->ep), COPAL_NEVER);
}

static void a_datagram_beyond_all_chunks_is_not_kept(void **state)
{
  fixture *f = *state;
  exchange *x = take(f);
  f->ep->chunks.used = f->ep->chunks.count; /* as if all were taken */
  assert_int_equal(exchange_keep(f->ep, x, copal_span_str("datagram"), f->now), COPAL_ENOSLOT);
  assert_int_equal(fx_stats(f)->chunks_refused, 1);
  f->ep->chunks.used = 0;
  exchange_give(f->ep, x);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(a_handle_names_one_use_of_a_slot),
      TEST(a_handle_is_never_0),
      TEST(the_pool_bounds_exchanges),
      TEST(rfc7252_5_3_2_a_token_is_found_at_its_peer),
      TEST(rfc7252_8_2_a_token_of_a_group_is_found_at_anybody),
      TEST(rfc7252_4_4_a_message_id_is_found_at_its_peer),
      TEST(giving_back_returns_everything),
      TEST(a_datagram_beyond_all_chunks_is_not_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
