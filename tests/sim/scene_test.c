/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes that need a set stage: PROBING_RATE, groups, network errors, jitter, wiping. RFC 7252
 * sections 4.2, 4.7, 8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

enum { SEEDS = 40, NODES = 5 };

static void open_scene(world *w, const world_cfg *cfg)
{
  world_cfg c = *cfg;
  c.requests_per_client = 0;
  world_open(w, &c, false);
}

static void close_scene(world *w)
{
  world_close(w);
  if (w->oracle.broken != RULE_NONE)
    fail_msg("%s: %s", oracle_rule_name(w->oracle.broken), w->oracle.text);
}

/* One request of node 0; the oracle knows it by the next id. */
static uint32_t ask(world *w, uint8_t to, copal_type type, copal_dur timeout)
{
  const oracle_request r = {.client = 0,
                            .to = to,
                            .type = type,
                            .code = COPAL_CODE_GET,
                            .is_many = to == NET_GROUP,
                            .timeout = timeout,
                            .started = w->now};
  const uint32_t id = w->oracle.request_count;
  client_request(w, &r);
  return id;
}

static world_cfg dead_peer(uint64_t seed)
{
  world_cfg c = world_cfg_plain(seed);
  c.link.loss_percent = 100;
  return c;
}

/* ------------------------------------------------------------------------------------------------
 * PROBING_RATE */

static void rfc7252_4_7_dead_peer_gets_no_more_than_probing_rate(void **state)
{
  static const uint32_t rates[] = {1, 7, 100};
  world *w = *state;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    world_cfg c = dead_peer(seed);
    const uint32_t rate = rates[seed % 3];
    c.ep.params.probing_rate = rate;
    c.ep.params.nstart = 4;
    open_scene(w, &c);
    for (int i = 0; i < 20; i++)
      ask(w, 1, COPAL_NON, 0);
    world_step_until(w, COPAL_NEVER);
    assert_int_equal(w->oracle.track_count, 20);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < w->oracle.track_count; i++) {
      const copal_time since = w->oracle.tracks[i].first - w->oracle.tracks[0].first;
      assert_true(bytes * COPAL_SECOND <= since * rate);
      bytes += w->oracle.tracks[i].size;
    }
    close_scene(w);
  }
}

static void rfc7252_4_7_peer_that_responds_is_not_slowed_down(void **state)
{
  world *w = *state;
  world_cfg c = world_cfg_plain(1);
  c.ep.params.probing_rate = 1;
  open_scene(w, &c);
  w->is_closing = true; /* the server answers at once */
  const copal_time began = w->now;
  for (int i = 0; i < 20; i++)
    ask(w, 1, COPAL_NON, 0);
  world_step_until(w, w->now + 5 * (copal_time)COPAL_SECOND);
  for (uint32_t i = 0; i < 20; i++) {
    assert_int_equal(w->oracle.requests[i].end, COPAL_EVENT_RESPONSE);
    assert_true(w->oracle.requests[i].ended - began < 2 * COPAL_SECOND);
  }
  close_scene(w);
}

/* ------------------------------------------------------------------------------------------------
 * groups */

static world_cfg group_cfg(uint64_t seed, bool has_servers)
{
  world_cfg c = world_cfg_plain(seed);
  c.node_count = NODES;
  for (uint8_t i = 1; i < NODES; i++)
    c.is_server[i] = has_servers;
  return c;
}

static void rfc7252_8_2_responses_spread_over_the_leisure(void **state)
{
  world *w = *state;
  unsigned early = 0, late = 0, count = 0;
  uint64_t sum = 0;
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    const world_cfg c = group_cfg(seed, true);
    const copal_dur leisure = c.ep.params.default_leisure;
    open_scene(w, &c);
    w->is_closing = true;
    const uint32_t id = ask(w, NET_GROUP, COPAL_NON, 20 * COPAL_SECOND);
    world_step_until(w, COPAL_NEVER);
    assert_int_equal(w->oracle.requests[id].responses, NODES - 1);
    assert_int_equal(w->oracle.requests[id].end, COPAL_EVENT_TIMEOUT);
    for (uint32_t i = 1; i < w->oracle.track_count; i++) {
      const copal_time wait = w->oracle.tracks[i].first - w->oracle.tracks[0].first;
      assert_int_equal(w->oracle.tracks[i].type, PEEK_NON);
      assert_true(wait <= leisure + c.link.delay_max + 2 * c.ep.timer_tick);
      early += wait < leisure / 4;
      late += wait > leisure / 4 * 3;
      sum += wait;
      count++;
    }
    close_scene(w);
  }
  /* 160 uniform values: these bounds are many standard deviations away. */
  assert_int_equal(count, SEEDS * (NODES - 1));
  assert_true(early > count / 10 && late > count / 10);
  assert_in_range(sum / count, 2 * COPAL_SECOND, 3 * COPAL_SECOND);
}

static void rfc7252_8_2_errors_are_not_sent_to_groups(void **state)
{
  world *w = *state;
  const world_cfg c = group_cfg(1, false);
  open_scene(w, &c);
  ask(w, NET_GROUP, COPAL_NON, 20 * COPAL_SECOND);
  world_step_until(w, COPAL_NEVER);
  for (uint8_t i = 1; i < NODES; i++) {
    assert_int_equal(w->sent[i], 0);
    assert_int_equal(copal_ep_stats(w->nodes[i].ep)->suppressed, 1);
  }
  close_scene(w);
}

static void rfc7252_8_1_group_messages_are_never_reset_or_acknowledged(void **state)
{
  static const uint8_t dgrams[][8] = {
      {0x50, 0x00, 0x12, 0x34},                        /* Empty NON */
      {0x51, 0x01, 0x12, 0x35},                        /* the token is missing */
      {0x50, 0x45, 0x12, 0x36, 0xff, 'x'},             /* a response nobody waits for */
      {0x50, 0xe1, 0x12, 0x37},                        /* reserved class */
      {0x50, 0x01, 0x12, 0x38, 0xe1, 0xfc, 0xdc, 'c'}, /* unknown critical option */
      {0x40, 0x00, 0x12, 0x39},                        /* ping */
      {0x40, 0x01, 0x12, 0x3a},                        /* confirmable request */
      {0x51, 0x01, 0x12, 0x3b, 't', 0xff},             /* marker without payload */
  };
  static const uint8_t lens[] = {4, 4, 6, 4, 8, 4, 4, 6};
  world *w = *state;
  const world_cfg c = group_cfg(2, true);
  open_scene(w, &c);
  for (size_t i = 0; i < sizeof(lens); i++) {
    uint8_t bytes[8];
    copal_path path = world_path(0);
    path.flags = COPAL_PATH_GROUP;
    memcpy(bytes, dgrams[i], sizeof(bytes));
    copal_ep_input(w->nodes[1].ep, &path, (copal_mspan){bytes, lens[i]}, w->now);
    w->received[1]++;
    world_step_until(w, w->now + 20 * (copal_time)COPAL_SECOND);
    if (w->sent[1] != 0)
      fail_msg("datagram %zu was answered", i);
  }
  close_scene(w);
}

/* ------------------------------------------------------------------------------------------------
 * network errors */

/* The first bytes of the message of a track, as an error quotes it. */
static size_t quote(const oracle_track *t, uint8_t out[32])
{
  out[0] = (uint8_t)(0x40 | t->type << 4 | t->token_len);
  out[1] = t->code;
  out[2] = (uint8_t)(t->mid >> 8);
  out[3] = (uint8_t)t->mid;
  memcpy(out + 4, t->token, t->token_len);
  return 4u + t->token_len;
}

static int report(world *w, const oracle_track *t, uint8_t to, size_t flip, uint8_t mask)
{
  uint8_t bytes[32];
  const copal_path path = world_path(to);
  const size_t len = quote(t, bytes);
  bytes[flip] ^= mask;
  w->icmp_mid = bytes[2] << 8 | bytes[3];
  return copal_ep_unreachable(w->nodes[0].ep, &path, copal_span_of(bytes, len), w->now);
}

static void rfc7252_4_2_network_error_ends_the_quoted_exchange_only(void **state)
{
  world *w = *state;
  world_cfg c = dead_peer(3);
  c.ep.params.nstart = 3;
  open_scene(w, &c);
  for (int i = 0; i < 3; i++)
    ask(w, 1, COPAL_CON, 0);
  world_step_until(w, w->now + 3 * (copal_time)COPAL_SECOND);
  assert_int_equal(w->oracle.track_count, 3);
  assert_int_equal(report(w, &w->oracle.tracks[1], 1, 0, 0), COPAL_OK);
  assert_int_equal(w->oracle.requests[0].ends, 0);
  assert_int_equal(w->oracle.requests[1].end, COPAL_EVENT_UNREACHABLE);
  assert_int_equal(w->oracle.requests[1].ends, 1);
  assert_int_equal(w->oracle.requests[2].ends, 0);
  assert_int_equal(copal_ep_stats(w->nodes[0].ep)->unreachables, 1);
  assert_int_equal(report(w, &w->oracle.tracks[1], 1, 0, 0), COPAL_ESTRAY);
  world_step_until(w, COPAL_NEVER);
  close_scene(w);
}

static void rfc7252_4_2_forged_network_errors_are_ignored(void **state)
{
  world *w = *state;
  const world_cfg c = dead_peer(4);
  open_scene(w, &c);
  ask(w, 1, COPAL_CON, 0);
  const oracle_track *t = &w->oracle.tracks[0];
  const copal_path path = world_path(1);
  uint8_t bytes[32];
  assert_int_equal(report(w, t, 2, 0, 0), COPAL_ESTRAY);    /* another peer */
  assert_int_equal(report(w, t, 1, 0, 0x10), COPAL_ESTRAY); /* another type */
  assert_int_equal(report(w, t, 1, 3, 1), COPAL_ESTRAY);    /* another Message ID */
  assert_int_equal(report(w, t, 1, 4, 1), COPAL_ESTRAY);    /* another token */
  assert_int_equal(report(w, t, 1, 11, 1), COPAL_ESTRAY);
  quote(t, bytes);
  for (size_t len = 0; len < 4; len++)
    assert_int_equal(copal_ep_unreachable(w->nodes[0].ep, &path, copal_span_of(bytes, len), w->now),
                     COPAL_ESTRAY);
  assert_int_equal(w->oracle.requests[0].ends, 0);
  world_step_until(w, COPAL_NEVER);
  assert_int_equal(w->oracle.requests[0].end, COPAL_EVENT_TIMEOUT);
  close_scene(w);
}

/* ------------------------------------------------------------------------------------------------
 * jitter and wiping */

static void rfc7252_4_2_first_interval_is_spread_over_the_random_factor(void **state)
{
  world *w = *state;
  unsigned early = 0, late = 0;
  for (uint64_t seed = 0; seed < 100; seed++) {
    const world_cfg c = dead_peer(seed);
    open_scene(w, &c);
    ask(w, 1, COPAL_CON, 0);
    world_step_until(w, w->now + 3100 * (copal_time)COPAL_MILLISECOND);
    const oracle_track *t = &w->oracle.tracks[0];
    assert_int_equal(t->count, 2);
    early += t->gap < 2250 * COPAL_MILLISECOND;
    late += t->gap > 2750 * COPAL_MILLISECOND;
    world_step_until(w, COPAL_NEVER);
    assert_int_equal(t->count, 5);
    close_scene(w);
  }
  assert_true(early > 5 && late > 5);
}

static void wiping_cancels_all_exchanges_and_sends_nothing(void **state)
{
  world *w = *state;
  const world_cfg c = dead_peer(5);
  open_scene(w, &c);
  for (int i = 0; i < 5; i++)
    ask(w, 1, COPAL_CON, 0);
  ask(w, NET_GROUP, COPAL_NON, 0);
  const uint64_t sent = w->total_datagrams;
  world_close(w);
  for (uint32_t i = 0; i < 6; i++) {
    assert_int_equal(w->oracle.requests[i].ends, 1);
    assert_int_equal(w->oracle.requests[i].end, COPAL_EVENT_CANCELED);
  }
  assert_int_equal(w->total_datagrams, sent);
  assert_int_equal(w->oracle.broken, RULE_NONE);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_4_7_dead_peer_gets_no_more_than_probing_rate),
      cmocka_unit_test(rfc7252_4_7_peer_that_responds_is_not_slowed_down),
      cmocka_unit_test(rfc7252_8_2_responses_spread_over_the_leisure),
      cmocka_unit_test(rfc7252_8_2_errors_are_not_sent_to_groups),
      cmocka_unit_test(rfc7252_8_1_group_messages_are_never_reset_or_acknowledged),
      cmocka_unit_test(rfc7252_4_2_network_error_ends_the_quoted_exchange_only),
      cmocka_unit_test(rfc7252_4_2_forged_network_errors_are_ignored),
      cmocka_unit_test(rfc7252_4_2_first_interval_is_spread_over_the_random_factor),
      cmocka_unit_test(wiping_cancels_all_exchanges_and_sends_nothing),
  };
  return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
