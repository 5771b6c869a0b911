/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes under hardship: every kind of network, a server that ends at any packet, thousands of
 * clients, and strangers who want all for themselves. RFC 6347 sections 4.2.1, 4.2.4 and 4.2.8.
 * COPAL_HANDSHAKES in the environment says how many handshakes the longest test makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/transport/dtls/talk.h"

enum {
  CLIENT = 1,
  SOON = 2000000,
  LATE = 90000000,
  GRAIN = 1000,     /* microseconds; a datagram takes longer */
  NUMBERS = 1 << 8, /* record numbers that a short session comes to */
  ATTEMPTS = 4,
  HANDSHAKES_DEFAULT = 2000,
};

/* ------------------------------------------------------------------------------------------------
 * networks */

static void shake_in(const talk_cfg *cfg)
{
  talk *t = talk_open(cfg);
  bool has_session = false;
  /* With a third of all datagrams lost, an attempt may come to its time limit. */
  for (int i = 0; i < ATTEMPTS && !has_session; i++) {
    talk_connect(t, CLIENT);
    has_session = talk_shake(t, CLIENT, LATE);
  }
  if (!has_session)
    fail_msg("mode %d, mtu %u, loss %u, dup %u, reorder %u, seed %u: no session", (int)cfg->mode,
             cfg->mtu, cfg->loss, cfg->dup, cfg->reorder, (unsigned)cfg->seed);
  t->cfg.loss = t->cfg.dup = t->cfg.reorder = 0;
  for (int i = 0; i < 10 && t->sides[TALK_SERVER].opened == 0; i++)
    talk_run(t, SOON);
  assert_true(t->sides[TALK_SERVER].opened >= 1);
  talk_assert_heard(t, CLIENT);
  talk_close(t);
}

static void rfc6347_4_2_4_handshake_survives_every_network_of_a_sweep(void **state)
{
  static const uint16_t mtus[] = {256, 300, 512, 1280, 1500};
  (void)state;
  for (unsigned mode = TALK_PSK; mode <= TALK_X509; mode++)
    for (size_t mtu = 0; mtu < sizeof mtus / sizeof mtus[0]; mtu++)
      for (unsigned loss = 0; loss <= 30; loss += 10)
        for (unsigned kind = 0; kind < 4; kind++) {
          const talk_cfg cfg = {.mode = (talk_mode)mode,
                                .mtu = mtus[mtu],
                                .loss = loss,
                                .dup = (kind & 1) != 0 ? 30 : 0,
                                .reorder = (kind & 2) != 0 ? 40 : 0,
                                .client_has_no_cid = loss == 20,
                                .seed = 1 + mode + 4 * (uint32_t)mtu + 32 * loss + 1024 * kind};
          shake_in(&cfg);
        }
}

/* ------------------------------------------------------------------------------------------------
 * a server that ends */

static unsigned passed, ends_at, attempt;
static bool numbers_used[ATTEMPTS][NUMBERS];

/* No number of a protected record of the server comes twice while a client has the same keys. */
static void note_numbers(const talk_datagram *d, size_t cid_len)
{
  for (size_t at = 0; at + 13 <= d->len;) {
    const uint8_t *rec = d->bytes + at;
    const size_t skip = rec[0] == 25 ? cid_len : 0;
    const size_t size = 13 + skip + (size_t)(rec[11 + skip] << 8 | rec[12 + skip]);
    if (rec[4] == 1) { /* epoch */
      assert_false(numbers_used[attempt][rec[10]]);
      assert_int_equal(rec[9], 0);
      numbers_used[attempt][rec[10]] = true;
    }
    at += size;
  }
}

static bool count_datagram(talk *t, talk_datagram *d)
{
  (void)t;
  passed++;
  if (d->from.port == 5684)
    note_numbers(d, DTLS_CID_SIZE);
  return true;
}

/* Lets the server end when datagram `ends_at` is under way. Returns whether there was one. */
static bool end_at(talk *t, copal_dur span, bool is_in_order)
{
  const copal_time until = t->now + span;
  while (t->now < until && passed < ends_at)
    talk_run(t, GRAIN);
  if (passed < ends_at)
    return false;
  talk_restart_server(t, is_in_order);
  return true;
}

/* Returns false when the conversation is over before that datagram. */
static bool converse(bool is_in_order, bool has_cid, unsigned at)
{
  const talk_cfg cfg = {.mode = TALK_PSK, .server_has_no_cid = !has_cid};
  talk *t = talk_open(&cfg);
  talk_side *client = &t->sides[CLIENT];
  passed = attempt = 0;
  ends_at = at;
  memset(numbers_used, 0, sizeof numbers_used);
  t->tamper = count_datagram;
  talk_connect(t, CLIENT);
  bool has_ended = end_at(t, SOON, is_in_order);
  const unsigned before = client->heard;
  talk_say(t, CLIENT, "hello");
  has_ended = has_ended || end_at(t, SOON, is_in_order);
  if (client->opened > 0 && client->failed == 0 && is_in_order) {
    talk_run(t, LATE); /* a session that was made is there for both, or the flight is repeated */
    if (t->sides[TALK_SERVER].session != 0)
      talk_assert_heard(t, CLIENT);
  }
  attempt = 1;
  talk_restart_client(t, CLIENT);
  talk_run(t, SOON); /* nothing of the first attempt is under way any more */
  talk_connect(t, CLIENT);
  if (!talk_shake(t, CLIENT, SOON))
    fail_msg("ended at %u: no session afterwards", at);
  assert_int_equal(before, 0);
  talk_assert_heard(t, CLIENT);
  talk_close(t);
  return has_ended;
}

static void rfc6347_4_2_8_server_may_stop_or_die_at_each_packet(void **state)
{
  (void)state;
  for (int how = 0; how < 4; how++) {
    unsigned at = 1;
    while (converse((how & 1) != 0, (how & 2) != 0, at))
      at++;
    assert_true(at > 7); /* three hellos, two flights and a message at least */
  }
}

/* ------------------------------------------------------------------------------------------------
 * many clients */

static unsigned drops_from;

static bool drop_from(talk *t, talk_datagram *d)
{
  (void)d;
  return t->tampered++ < drops_from;
}

static int handshakes(void)
{
  const char *wanted = getenv("COPAL_HANDSHAKES");
  return wanted != NULL && atoi(wanted) > 0 ? atoi(wanted) : HANDSHAKES_DEFAULT;
}

/* Of each five clients two say good-bye, one vanishes behind the handshake and two within it. */
static void meet(talk *t, int i)
{
  talk_side *client = &t->sides[CLIENT];
  client->addr.port = (uint16_t)(20000 + i % 40000);
  t->tamper = i % 5 >= 3 ? drop_from : NULL;
  t->tampered = 0;
  drops_from = 3 + (unsigned)i % 4;
  talk_connect(t, CLIENT);
  if (i % 5 < 3) {
    assert_true(talk_shake(t, CLIENT, SOON));
    talk_say(t, CLIENT, "hello");
  }
  talk_run(t, 100000);
  if (i % 5 < 2)
    dtls_close_sessions(client->dtls, t->now);
  talk_run(t, 100000);
  if (i % 5 >= 2)
    talk_restart_client(t, CLIENT);
}

static void handshakes_leave_no_memory_behind_however_they_end(void **state)
{
  const talk_cfg cfg = {
      .mode = TALK_PSK, .session_max = 8, .handshake_max = 256, .per_prefix_max = 256};
  const int count = handshakes();
  size_t before = 0;
  (void)state;
  talk *t = talk_open(&cfg);
  for (int i = 0; i < count; i++) {
    if (i == 200) {
      t->tamper = NULL;
      talk_run(t, LATE); /* those that vanished are given up */
      before = talk_heap();
    }
    meet(t, i);
  }
  t->tamper = NULL;
  talk_run(t, LATE);
  assert_true(talk_heap() <= before + 16384); /* whatever the number */
  const dtls_stats *stats = dtls_stats_now(t->sides[TALK_SERVER].dtls);
  assert_true(stats->completed >= (uint64_t)count * 3 / 5);
  assert_int_equal(dtls_usage_now(t->sides[TALK_SERVER].dtls).handshakes, 0);
  assert_true(dtls_usage_now(t->sides[TALK_SERVER].dtls).sessions <= 8);
  talk_close(t);
}

/* ------------------------------------------------------------------------------------------------
 * a prefix that wants all */

static void begin_and_vanish(talk *t, const copal_addr *at)
{
  t->sides[CLIENT].addr = *at;
  t->tampered = 0;
  t->tamper = drop_from;
  drops_from = 3; /* hello, verify request, hello with the cookie */
  talk_connect(t, CLIENT);
  talk_run(t, 40000);
  t->tamper = NULL;
  talk_restart_client(t, CLIENT);
}

static void rfc6347_4_2_1_a_prefix_does_not_keep_others_out(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK, .per_prefix_max = 4, .handshake_max = 16};
  (void)state;
  talk *t = talk_open(&cfg);
  dtls *server = t->sides[TALK_SERVER].dtls;
  for (uint8_t i = 0; i < 30; i++) {
    const copal_addr at = talk_addr((uint8_t)(100 + i), 50000);
    begin_and_vanish(t, &at);
  }
  assert_int_equal(dtls_usage_now(server).handshakes, 4);
  assert_int_equal(dtls_stats_now(server)->refused_prefix, 26);
  t->sides[CLIENT].addr = talk_addr(200, 50000); /* one of them */
  talk_connect(t, CLIENT);
  assert_false(talk_shake(t, CLIENT, SOON / 4));
  talk_restart_client(t, CLIENT);
  t->sides[CLIENT].addr = talk_addr(200, 50000);
  t->sides[CLIENT].addr.ip[14]++; /* the neighbour */
  talk_connect(t, CLIENT);
  assert_true(talk_shake(t, CLIENT, SOON / 4));
  talk_assert_heard(t, CLIENT);
  talk_restart_client(t, CLIENT); /* those that were left have had their time */
  t->sides[CLIENT].addr = talk_addr(200, 50001);
  talk_connect(t, CLIENT);
  assert_true(talk_shake(t, CLIENT, SOON / 4));
  assert_int_equal(dtls_stats_now(server)->gave_way, 1);
  talk_close(t);
}

/* All places are taken, by few who want more of them than others. */
static void a_few_prefixes_do_not_keep_others_out(void **state)
{
  enum { PLACES = 12, PREFIXES = 3 };
  const talk_cfg cfg = {.mode = TALK_PSK, .per_prefix_max = PLACES, .handshake_max = PLACES};
  (void)state;
  talk *t = talk_open(&cfg);
  dtls *server = t->sides[TALK_SERVER].dtls;
  for (uint8_t i = 0; i < PLACES; i++) {
    copal_addr at = talk_addr((uint8_t)(100 + i), 50000);
    at.ip[14] = (uint8_t)(at.ip[14] + i % PREFIXES);
    begin_and_vanish(t, &at);
  }
  assert_int_equal(dtls_usage_now(server).handshakes, PLACES);
  for (uint8_t i = 0; i < PREFIXES; i++) { /* each at once */
    t->sides[CLIENT].addr = talk_addr(7, 50000);
    t->sides[CLIENT].addr.ip[14] = (uint8_t)(t->sides[CLIENT].addr.ip[14] + PREFIXES + i);
    talk_connect(t, CLIENT);
    assert_true(talk_shake(t, CLIENT, SOON / 8));
    talk_restart_client(t, CLIENT);
  }
  assert_int_equal(dtls_stats_now(server)->gave_way, 1); /* the others found a place */
  assert_int_equal(dtls_usage_now(server).handshakes, PLACES - 1);
  talk_close(t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc6347_4_2_4_handshake_survives_every_network_of_a_sweep),
      cmocka_unit_test(rfc6347_4_2_8_server_may_stop_or_die_at_each_packet),
      cmocka_unit_test(handshakes_leave_no_memory_behind_however_they_end),
      cmocka_unit_test(rfc6347_4_2_1_a_prefix_does_not_keep_others_out),
      cmocka_unit_test(a_few_prefixes_do_not_keep_others_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
