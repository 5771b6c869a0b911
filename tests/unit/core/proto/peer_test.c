/* SPDX-License-Identifier: Apache-2.0 */
/* The table of remote endpoints: identity, life, NSTART and PROBING_RATE. RFC 7252 section 4.7. */
#include "unit/core/proto/fixture.h"

#include "core/proto/ep.h"
#include "core/proto/peer.h"

static peer *take(fixture *f, const copal_path *path)
{
  return peer_take(f->ep, path, ep_path_hash(f->ep, path));
}

static peer *find(fixture *f, const copal_path *path)
{
  return peer_find(f->ep, path, ep_path_hash(f->ep, path));
}

static void a_peer_is_made_once(void **state)
{
  fixture *f = *state;
  assert_null(find(f, &f->peer));
  peer *p = take(f, &f->peer);
  assert_non_null(p);
  assert_ptr_equal(take(f, &f->peer), p);
  assert_ptr_equal(find(f, &f->peer), p);
  assert_int_equal(copal_ep_usage(f->ep).peers, 1);
}

static void address_port_zone_and_session_make_the_peer(void **state)
{
  fixture *f = *state;
  copal_path other[4] = {f->peer, f->peer, f->peer, f->peer};
  peer *p = take(f, &f->peer);
  other[0].remote.ip[15]++;
  other[1].remote.port++;
  other[2].remote.zone++;
  other[3].session++;
  for (int i = 0; i < 4; i++) {
    assert_null(find(f, &other[i]));
    assert_ptr_not_equal(take(f, &other[i]), p);
  }
  copal_path same = f->peer;
  same.local = 7;
  same.flags = COPAL_PATH_SECURE;
  assert_ptr_equal(find(f, &same), p);
}

static void the_pool_bounds_the_table(void **state)
{
  fixture *f = *state;
  for (uint8_t n = 1; n <= 16; n++) {
    const copal_path path = fx_peer(n);
    assert_non_null(take(f, &path));
  }
  const copal_path path = fx_peer(17);
  assert_null(take(f, &path));
  assert_non_null(take(f, &f->peer)); /* known */
  peer_settle(f->ep, find(f, &f->peer));
  assert_non_null(take(f, &path));
}

static void a_peer_stays_while_something_is_to_remember(void **state)
{
  fixture *f = *state;
  peer *p = take(f, &f->peer);
  p->dedup_count = 1;
  peer_settle(f->ep, p);
  assert_ptr_equal(find(f, &f->peer), p);
  p->dedup_count = 0;
  p->exchange_count = 1;
  peer_settle(f->ep, p);
  assert_ptr_equal(find(f, &f->peer), p);
  p->exchange_count = 0;
  peer_probed(f->ep, p, 10, f->now);
  peer_settle(f->ep, p);
  assert_ptr_equal(find(f, &f->peer), p);
  peer_responded(f->ep, p);
  peer_settle(f->ep, p);
  assert_null(find(f, &f->peer));
}

static void rfc7252_4_7_nstart_and_probing_rate_hold_back(void **state)
{
  fixture *f = *state;
  peer *p = take(f, &f->peer);
  assert_true(peer_is_free(f->ep, p));
  p->outstanding = 1;
  assert_false(peer_is_free(f->ep, p));
  p->outstanding = 0;
  peer_probed(f->ep, p, 10, f->now);
  assert_false(peer_is_free(f->ep, p));
  peer_responded(f->ep, p);
  assert_true(peer_is_free(f->ep, p));
}

static void rfc7252_4_7_quiet_time_follows_size_and_rate(void **state)
{
  static const struct {
    size_t len;
    uint32_t rate;
    copal_time ms;
  } all[] = {{1, 1, 1000},        {100, 1, 100000}, {100, 3, 33334},     {100, 1000, 100},
             {65535, 1, 4294967}, {100, 99999, 2},  {100, UINT32_MAX, 1}};
  fixture *f = *state;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    f->cfg.params = copal_params_default();
    f->cfg.params.probing_rate = all[i].rate;
    fx_restart(f);
    peer *p = take(f, &f->peer);
    peer_probed(f->ep, p, all[i].len, f->now);
    assert_true(p->quiet.due - f->now == all[i].ms * COPAL_MILLISECOND);
    fx_advance(f, (all[i].ms + 2) * COPAL_MILLISECOND);
    assert_null(find(f, &f->peer)); /* gone with its timer */
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(a_peer_is_made_once),
      TEST(address_port_zone_and_session_make_the_peer),
      TEST(the_pool_bounds_the_table),
      TEST(a_peer_stays_while_something_is_to_remember),
      TEST(rfc7252_4_7_nstart_and_probing_rate_hold_back),
      TEST(rfc7252_4_7_quiet_time_follows_size_and_rate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
