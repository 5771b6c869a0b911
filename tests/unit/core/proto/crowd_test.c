/* SPDX-License-Identifier: Apache-2.0 */
/* Crowds that are due at one instant: an endpoint does some of it at a time, so that its driver
 * reads what has come meanwhile, and leaves nothing undone. RFC 7641 section 4.5, RFC 7252 section
 * 4.8.2. */
#include "unit/core/proto/fixture.h"

enum { CROWD = 2000, TIMERS_AT_ONCE = 256, SWEPT_AT_ONCE = 1024 };

static const copal_dur exchange_lifetime = 247 * COPAL_SECOND; /* RFC 7252 section 4.8.2 */

static uint32_t left; /* datagrams that have left */

static void count(copal_sink *s, const copal_path *path, size_t len)
{
  (void)s;
  (void)path;
  (void)len;
  left++;
}

static int setup(void **state)
{
  const int err = fx_setup(state);
  fixture *f = *state;
  f->cfg.observer_count = f->cfg.relation_count = CROWD;
  f->cfg.dedup_count = f->cfg.peer_count = f->cfg.chunk_count = CROWD;
  fx_restart(f);
  f->sink.commit = count;
  left = 0;
  return err;
}

static copal_path client(uint32_t i)
{
  copal_path p = fx_peer(0);
  p.remote.ip[14] = (uint8_t)(i >> 8);
  p.remote.ip[15] = (uint8_t)i;
  return p;
}

static int render(copal_subject *s, copal_ep *ep, copal_response *r, copal_time now)
{
  (void)s;
  (void)ep;
  (void)now;
  *r = (copal_response){.code = COPAL_CODE_CONTENT};
  return COPAL_OK;
}

/* Has as many clients observe, each to be told at `due`. */
static void gather(fixture *f, copal_subject *s, copal_time due)
{
  const uint8_t token[] = {0xaa};
  for (uint32_t i = 0; i < CROWD; i++) {
    const copal_relation kept = {.path = client(i),
                                 .token = copal_span_of(token, sizeof token),
                                 .request_code = COPAL_CODE_GET};
    assert_int_equal(copal_ep_observe_restore(f->ep, s, &kept, due, f->now), COPAL_OK);
  }
}

/* Calls copal_ep_expire() at one instant until nothing is due; each time at most `most` datagrams
 * leave. */
static void tell(fixture *f, uint32_t most)
{
  const uint32_t begin = left;
  for (uint32_t calls = 0; copal_ep_deadline(f->ep) <= f->now; calls++) {
    const uint32_t before = left;
    assert_true(calls <= CROWD);
    copal_ep_expire(f->ep, f->now);
    assert_true(left - before <= most);
  }
  assert_int_equal(left - begin, CROWD);
}

static void timers_of_one_instant_run_some_at_a_time(void **state)
{
  fixture *f = *state;
  copal_subject s = {.render = render};
  gather(f, &s, f->now + COPAL_SECOND);
  f->now += 2 * COPAL_SECOND;
  tell(f, TIMERS_AT_ONCE);
  assert_int_equal(fx_stats(f)->notify_cons, CROWD);
  copal_ep_end_subject(f->ep, &s, f->now);
}

static void post(fixture *f, uint32_t i)
{
  const copal_path p = client(i);
  assert_int_equal(fx_feed_from(f, &p, "40 02 0001"), COPAL_OK);
}

static void rfc7252_4_8_2_a_crowd_is_forgotten_some_at_a_time(void **state)
{
  fixture *f = *state;
  fx_answer(f, COPAL_CODE_CHANGED, "");
  for (uint32_t i = 0; i < CROWD; i++)
    post(f, i);
  assert_int_equal(copal_ep_usage(f->ep).dedups, CROWD);
  f->now += exchange_lifetime + 4 * COPAL_SECOND;
  for (uint32_t before = CROWD; before > 0;) {
    assert_true(copal_ep_deadline(f->ep) <= f->now);
    copal_ep_expire(f->ep, f->now);
    const uint32_t after = copal_ep_usage(f->ep).dedups;
    assert_true(after < before && before - after <= SWEPT_AT_ONCE);
    before = after;
  }
  assert_int_equal(copal_ep_usage(f->ep).peers, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(timers_of_one_instant_run_some_at_a_time),
      TEST(rfc7252_4_8_2_a_crowd_is_forgotten_some_at_a_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
