/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of handshakes and sessions, both sides ours. RFC 6347 section 4.2, RFC 9146, RFC 7252
 * section 9.1.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "unit/transport/dtls/talk.h"

enum { CLIENT = 1, SOON = 2000000, LATE = 60000000 };

static void assert_mode(talk_mode mode, bool server_has_no_cid, bool client_has_no_cid,
                        uint32_t identity)
{
  const talk_cfg cfg = {
      .mode = mode, .server_has_no_cid = server_has_no_cid, .client_has_no_cid = client_has_no_cid};
  talk *t = talk_open_session(&cfg);
  talk_assert_heard(t, CLIENT);
  const talk_side *server = &t->sides[TALK_SERVER];
  assert_int_equal(server->opened, 1);
  assert_int_equal(dtls_identity(server->dtls, server->session), identity);
  assert_int_equal(dtls_usage_now(server->dtls).sessions, 1);
  assert_int_equal(dtls_usage_now(server->dtls).handshakes, 0);
  assert_int_equal(dtls_stats_now(server->dtls)->completed, 1);
  talk_close(t);
}

static void rfc7252_9_1_3_each_mode_establishes_a_session(void **state)
{
  (void)state;
  assert_mode(TALK_PSK, false, false, 1 + DTLS_CLAIM_PSK);
  assert_mode(TALK_RPK, false, false, 1 + DTLS_CLAIM_RPK);
  assert_mode(TALK_X509, false, false, 1 + DTLS_CLAIM_X509);
}

static void rfc9146_3_cid_is_used_only_when_both_want_it(void **state)
{
  (void)state;
  assert_mode(TALK_PSK, true, false, 1 + DTLS_CLAIM_PSK);
  assert_mode(TALK_PSK, false, true, 1 + DTLS_CLAIM_PSK);
  assert_mode(TALK_X509, true, true, 1 + DTLS_CLAIM_X509);
}

/* Remembers the type of the last protected record from a client. */
static bool note_form(talk *t, talk_datagram *d)
{
  if (d->to.port == 5684 && d->bytes[4] == 1)
    t->tampered = d->bytes[0];
  return true;
}

static void rfc9146_4_records_have_the_form_that_was_agreed_on(void **state)
{
  (void)state;
  for (int has_cid = 0; has_cid <= 1; has_cid++) {
    const talk_cfg cfg = {.mode = TALK_PSK, .server_has_no_cid = !has_cid};
    talk *t = talk_open(&cfg);
    t->tamper = note_form;
    talk_connect(t, CLIENT);
    assert_true(talk_shake(t, CLIENT, SOON));
    talk_say(t, CLIENT, "hello");
    assert_int_equal(t->tampered, has_cid ? DTLS_TLS12_CID : DTLS_APPLICATION_DATA);
    talk_close(t);
  }
}

static void rfc6347_4_2_4_handshake_survives_loss_repetition_and_reordering(void **state)
{
  (void)state;
  for (uint32_t seed = 1; seed <= 60; seed++) {
    const talk_cfg cfg = {.mode = (talk_mode)(seed % 3),
                          .mtu = (uint16_t)(seed % 2 != 0 ? 1200 : 300),
                          .server_has_no_cid = seed % 5 == 0,
                          .loss = 20,
                          .dup = 15,
                          .reorder = 20,
                          .seed = seed};
    talk *t = talk_open(&cfg);
    talk_connect(t, CLIENT);
    if (!talk_shake(t, CLIENT, LATE))
      fail_msg("seed %u: no session", (unsigned)seed);
    t->cfg.loss = t->cfg.dup = t->cfg.reorder = 0;
    talk_side *server = &t->sides[TALK_SERVER];
    for (int i = 0; i < 10 && server->opened == 0; i++)
      talk_run(t, SOON);
    if (server->opened == 0)
      fail_msg("seed %u: the server has no session", (unsigned)seed);
    talk_assert_heard(t, CLIENT);
    talk_close(t);
  }
}

/* Drops the first datagrams of the server that have a protected record. */
static bool drop_last_flight(talk *t, talk_datagram *d)
{
  if (d->from.port != 5684 || t->tampered >= 2)
    return true;
  const size_t tail = d->len > 80 ? 80 : d->len;
  for (size_t i = d->len - tail; i + 13 < d->len; i++)
    if ((d->bytes[i] == 22 || d->bytes[i] == 25) && d->bytes[i + 1] == 0xfe &&
        d->bytes[i + 2] == 0xfd && d->bytes[i + 3] == 0 && d->bytes[i + 4] == 1) {
      t->tampered++;
      return false;
    }
  return true;
}

static void rfc6347_4_2_4_last_flight_is_rebuilt_when_it_was_lost(void **state)
{
  (void)state;
  for (int no_cid = 0; no_cid <= 1; no_cid++) {
    const talk_cfg cfg = {.mode = TALK_PSK, .server_has_no_cid = no_cid};
    talk *t = talk_open(&cfg);
    t->tamper = drop_last_flight;
    talk_connect(t, CLIENT);
    assert_true(talk_shake(t, CLIENT, LATE));
    assert_int_equal(t->tampered, 2);
    assert_int_equal(dtls_stats_now(t->sides[TALK_SERVER].dtls)->flights_resent, 2);
    talk_assert_heard(t, CLIENT);
    talk_close(t);
  }
}

static void rfc6347_4_2_8_client_that_forgot_connects_again_from_the_same_place(void **state)
{
  (void)state;
  for (int no_cid = 0; no_cid <= 1; no_cid++) {
    const talk_cfg cfg = {.mode = TALK_PSK, .server_has_no_cid = no_cid};
    talk *t = talk_open_session(&cfg);
    talk_assert_heard(t, CLIENT);
    talk_restart_client(t, CLIENT);
    talk_connect(t, CLIENT);
    assert_true(talk_shake(t, CLIENT, SOON));
    talk_assert_heard(t, CLIENT);
    talk_side *server = &t->sides[TALK_SERVER];
    assert_int_equal(server->closed, 1);
    assert_int_equal(server->why, DTLS_END_REPLACED);
    assert_int_equal(dtls_usage_now(server->dtls).sessions, 1);
    talk_close(t);
  }
}

static void rfc6347_4_2_8_client_may_vanish_at_each_packet_and_begin_again(void **state)
{
  (void)state;
  for (unsigned packet = 1; packet <= 6; packet++) {
    const talk_cfg cfg = {.mode = TALK_PSK};
    talk *t = talk_open(&cfg);
    talk_connect(t, CLIENT);
    while (t->sent < packet && t->sides[CLIENT].opened == 0)
      talk_run(t, 1000);
    talk_restart_client(t, CLIENT);
    talk_run(t, 100000); /* what was under way to the old one meets nobody */
    talk_connect(t, CLIENT);
    assert_true(talk_shake(t, CLIENT, SOON));
    talk_assert_heard(t, CLIENT);
    assert_true(dtls_usage_now(t->sides[TALK_SERVER].dtls).sessions <= 1);
    talk_close(t);
  }
}

static void rfc9146_6_session_follows_its_peer_to_another_address(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_open_session(&cfg);
  talk_side *server = &t->sides[TALK_SERVER], *client = &t->sides[CLIENT];
  talk_assert_heard(t, CLIENT);
  const uint32_t session = server->session;
  assert_int_equal(server->flags, COPAL_PATH_SECURE);

  client->addr = talk_addr(77, 1234);
  talk_assert_heard(t, CLIENT);
  assert_int_equal(server->session, session);
  assert_int_equal(server->flags, COPAL_PATH_SECURE | COPAL_PATH_UNPROVEN);
  assert_int_equal(dtls_sessions_stats_now(dtls_table(server->dtls))->moved, 1);

  dtls_prove(server->dtls, session, true);
  talk_assert_heard(t, CLIENT);
  assert_int_equal(server->flags, COPAL_PATH_SECURE);
  talk_close(t);
}

static void rfc9146_6_address_that_is_not_proven_gets_little(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_open_session(&cfg);
  talk_side *server = &t->sides[TALK_SERVER], *client = &t->sides[CLIENT];
  client->addr = talk_addr(77, 1234);
  talk_say(t, CLIENT, "here I am");
  talk_run(t, SOON);
  const unsigned heard = client->heard;
  for (int i = 0; i < 50; i++) {
    talk_say(t, TALK_SERVER, "more of the same, more of the same");
    talk_run(t, 100000);
  }
  assert_true(client->heard - heard >= 1);
  assert_true(client->heard - heard < 5);
  assert_true(dtls_stats_now(server->dtls)->tx_refused >= 45);
  talk_close(t);
}

/* A ClientHello with a cookie that means nothing. */
static copal_span spoofed_hello(uint8_t *out, bool has_cookie)
{
  static const uint8_t head[] = {22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0};
  static const uint8_t tail[] = {0, 2, 0xc0, 0xa8, 1, 0};
  const size_t cookie = has_cookie ? 16 : 0;
  const size_t body = 2 + 32 + 1 + 1 + cookie + sizeof tail;
  memset(out, 0x42, 200);
  memcpy(out, head, sizeof head);
  memset(out + 11, 0, 14);
  out[12] = (uint8_t)(12 + body);
  out[13] = 1;
  out[16] = out[24] = (uint8_t)body;
  out[25] = 0xfe;
  out[26] = 0xfd;
  out[59] = 0; /* session_id */
  out[60] = (uint8_t)cookie;
  memcpy(out + 61 + cookie, tail, sizeof tail);
  return copal_span_of(out, 25 + body);
}

static void rfc6347_4_2_1_spoofed_hellos_take_no_memory(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  uint8_t bytes[200];
  (void)state;
  talk *t = talk_open(&cfg);
  dtls *server = t->sides[TALK_SERVER].dtls;
  const size_t before = talk_heap();
  for (uint32_t i = 0; i < 100000; i++) {
    const copal_span hello = spoofed_hello(bytes, i % 2 != 0);
    copal_path path = {.remote = talk_addr((uint8_t)i, (uint16_t)(1024 + i % 60000)), .local = 1};
    path.remote.ip[13] = (uint8_t)(i >> 8);
    const dtls_source from = {&path, 0};
    bytes[30] = (uint8_t)i;
    dtls_input(server, &from, (copal_mspan){bytes, hello.len}, t->now);
    t->count = 0; /* nobody is there */
  }
  assert_int_equal(talk_heap(), before);
  assert_int_equal(dtls_usage_now(server).handshakes, 0);
  assert_int_equal(dtls_stats_now(server)->started, 0);
  assert_int_equal(dtls_stats_now(server)->cookies_sent, 100000);
  assert_int_equal(dtls_stats_now(server)->cookies_bad, 50000);
  talk_close(t);
}

static void handshakes_leave_no_memory_behind(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK, .session_max = 4};
  (void)state;
  talk *t = talk_open(&cfg);
  talk_side *client = &t->sides[CLIENT];
  size_t before = 0;
  for (int i = 0; i < 300; i++) {
    client->addr.port = (uint16_t)(20000 + i);
    talk_connect(t, CLIENT);
    assert_true(talk_shake(t, CLIENT, SOON));
    talk_say(t, CLIENT, "hello");
    talk_run(t, 100000);
    dtls_close_sessions(client->dtls, t->now);
    talk_run(t, 100000);
    if (i == 20)
      before = talk_heap();
  }
  assert_true(talk_heap() <= before + 4096);
  assert_int_equal(dtls_usage_now(t->sides[TALK_SERVER].dtls).sessions, 0);
  assert_int_equal(dtls_stats_now(t->sides[TALK_SERVER].dtls)->completed, 300);
  talk_close(t);
}

/* Lets the first flight with a cookie be the last one of the client that arrives. */
static bool drop_after_cookie(talk *t, talk_datagram *d)
{
  if (d->to.port != 5684)
    return true;
  return t->tampered++ < 2;
}

static void handshakes_of_a_prefix_are_limited(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK, .per_prefix_max = 2, .handshake_max = 8};
  (void)state;
  talk *t = talk_open(&cfg);
  const int second = talk_add_client(t), third = talk_add_client(t);
  dtls *server = t->sides[TALK_SERVER].dtls;
  for (int client = CLIENT; client <= third; client++) {
    t->tampered = 0;
    t->tamper = drop_after_cookie;
    talk_connect(t, client);
    talk_run(t, 500000);
  }
  assert_int_equal(dtls_usage_now(server).handshakes, 2);
  assert_int_equal(dtls_stats_now(server)->refused_prefix, 1);
  assert_int_equal(second, 2);
  t->tamper = NULL;
  talk_run(t, 4 * SOON);
  assert_int_equal(dtls_usage_now(server).handshakes, 0);
  assert_int_equal(dtls_usage_now(server).sessions, 3);
  talk_close(t);
}

/* Lets the ClientHello with a cookie through, and then nothing of this client. */
static void begin_and_leave(talk *t, int client)
{
  t->tampered = 0;
  t->tamper = drop_after_cookie;
  talk_connect(t, client);
  talk_run(t, 500000);
}

static void handshake_that_was_left_gives_way_to_another(void **state)
{
  (void)state;
  for (int i = 0; i < 2; i++) { /* of the same prefix, and of any */
    const talk_cfg cfg = {
        .mode = TALK_PSK, .per_prefix_max = i == 0 ? 2 : 8, .handshake_max = i == 0 ? 8 : 2};
    talk *t = talk_open(&cfg);
    const int second = talk_add_client(t), third = talk_add_client(t);
    dtls *server = t->sides[TALK_SERVER].dtls;
    begin_and_leave(t, CLIENT);
    begin_and_leave(t, second);
    t->tamper = NULL;
    dtls_close(t->sides[CLIENT].dtls); /* for good */
    t->sides[CLIENT].dtls = NULL;
    dtls_close(t->sides[second].dtls);
    t->sides[second].dtls = NULL;
    talk_run(t, SOON);
    assert_int_equal(dtls_usage_now(server).handshakes, 2);
    talk_connect(t, third);
    assert_true(talk_shake(t, third, SOON)); /* at once */
    assert_int_equal(dtls_stats_now(server)->gave_way, 1);
    assert_int_equal(dtls_stats_now(server)->refused_prefix, 0);
    talk_run(t, LATE);
    assert_int_equal(dtls_usage_now(server).handshakes, 0);
    assert_int_equal(dtls_usage_now(server).sessions, 1);
    talk_close(t);
  }
}

static void rfc4279_2_wrong_key_and_unknown_identity_look_alike(void **state)
{
  (void)state;
  for (int i = 0; i < 2; i++) {
    const talk_cfg cfg = {.mode = TALK_PSK};
    talk *t = talk_open(&cfg);
    if (i == 0)
      t->sides[CLIENT].credentials.keys[0] = "fedcba9876543210";
    else
      t->sides[CLIENT].credentials.psk_identity = "stranger";
    talk_connect(t, CLIENT);
    assert_false(talk_shake(t, CLIENT, 5 * SOON));
    assert_int_equal(t->sides[CLIENT].failed, 1);
    assert_int_equal(t->sides[CLIENT].failure, HANDSHAKE_ALERT);
    assert_int_equal(t->sides[TALK_SERVER].failed, 1);
    assert_int_equal(t->sides[TALK_SERVER].failure, HANDSHAKE_WRONG_KEY);
    assert_int_equal(dtls_usage_now(t->sides[TALK_SERVER].dtls).handshakes, 0);
    talk_close(t);
  }
}

/* Puts a ClientKeyExchange that has an old number, and another name, in front of the client's. */
static bool announce_another(talk *t, talk_datagram *d)
{
  static const uint8_t record[] = {22, 0xfe, 0xfd, 0, 0, 0,   0,   0,   0,   0,   20,
                                   0,  20,   16,   0, 0, 8,   0,   0,   0,   0,   0,
                                   0,  0,    8,    0, 6, 'd', 'e', 'v', 'i', 'c', 'e'};
  if (d->to.port != 5684 || d->bytes[0] != 22 || d->bytes[13] != 16)
    return true;
  memmove(d->bytes + sizeof record, d->bytes, d->len);
  memcpy(d->bytes, record, sizeof record);
  d->len += sizeof record;
  t->tampered++;
  return true;
}

/* The name that is read last is the one that a ticket would say. */
static void rfc4279_2_name_is_not_taken_with_the_key_of_another(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_open(&cfg);
  t->sides[CLIENT].credentials.psk_identity = "superuser"; /* has the key of "device" */
  t->tamper = announce_another;
  talk_connect(t, CLIENT);
  assert_false(talk_shake(t, CLIENT, 5 * SOON));
  assert_true(t->tampered > 0);
  assert_int_equal(t->sides[TALK_SERVER].failure, HANDSHAKE_WRONG_KEY);
  assert_int_equal(t->sides[TALK_SERVER].opened, 0);
  talk_close(t);
}

static void key_that_comes_later_goes_on_with_the_handshake(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_open(&cfg);
  talk_side *server = &t->sides[TALK_SERVER];
  server->credentials.is_late = true;
  talk_connect(t, CLIENT);
  assert_false(talk_shake(t, CLIENT, SOON));
  assert_non_null(server->credentials.late);
  assert_int_equal(server->answered, 0);
  server->credentials.is_late = false;
  server->credentials.late->on_answer(server->credentials.late);
  assert_int_not_equal(server->answered, 0);
  dtls_resume(server->dtls, server->answered, t->now);
  assert_true(talk_shake(t, CLIENT, 100000));
  talk_assert_heard(t, CLIENT);
  dtls_resume(server->dtls, server->answered, t->now); /* harmless */
  talk_close(t);
}

static void key_that_cannot_be_asked_for_now_is_asked_for_again(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_open(&cfg);
  t->sides[TALK_SERVER].credentials.full_count = 2;
  talk_connect(t, CLIENT);
  assert_true(talk_shake(t, CLIENT, 10 * (copal_dur)COPAL_SECOND));
  assert_int_equal(t->sides[TALK_SERVER].credentials.full_count, 0);
  assert_int_equal(t->sides[TALK_SERVER].failed, 0);
  talk_assert_heard(t, CLIENT);
  talk_close(t);
}

static talk *talk_with_two_keys(const talk_cfg *cfg)
{
  talk *t = talk_open(cfg);
  t->sides[TALK_SERVER].credentials.keys[0] = "the new key of it";
  t->sides[TALK_SERVER].credentials.keys[1] = "0123456789abcdef";
  return t;
}

/* RFC 4279 names no keys: only the client's Finished tells which one it has. */
static void psk_of_two_keys_each_is_good_at_the_first_attempt(void **state)
{
  static const char *const keys[] = {"the new key of it", "0123456789abcdef"};
  (void)state;
  for (int i = 0; i < 4; i++) {
    const bool has_no_cid = i >= 2;
    const talk_cfg cfg = {.mode = TALK_PSK, .client_has_no_cid = has_no_cid};
    talk *t = talk_with_two_keys(&cfg);
    t->sides[CLIENT].credentials.keys[0] = keys[i % 2];
    talk_connect(t, CLIENT);
    assert_true(talk_shake(t, CLIENT, SOON));
    assert_int_equal(t->sides[TALK_SERVER].failed, 0);
    talk_assert_heard(t, CLIENT);
    talk_close(t);
  }
}

static void psk_of_two_keys_a_third_one_is_refused(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_with_two_keys(&cfg);
  t->sides[CLIENT].credentials.keys[0] = "neither of the two";
  talk_connect(t, CLIENT);
  assert_false(talk_shake(t, CLIENT, 5 * SOON));
  assert_int_equal(t->sides[TALK_SERVER].failure, HANDSHAKE_WRONG_KEY);
  talk_close(t);
}

/* The first Finished of the second handshake comes while the old session is still there. */
static void rfc6347_4_2_8_a_client_that_restarts_may_have_either_key(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK, .client_has_no_cid = true, .server_has_no_cid = true};
  (void)state;
  talk *t = talk_with_two_keys(&cfg);
  talk_connect(t, CLIENT);
  assert_true(talk_shake(t, CLIENT, SOON));
  talk_assert_heard(t, CLIENT);
  talk_restart_client(t, CLIENT);
  talk_connect(t, CLIENT);
  assert_true(talk_shake(t, CLIENT, SOON));
  talk_assert_heard(t, CLIENT);
  assert_int_equal(dtls_usage_now(t->sides[TALK_SERVER].dtls).sessions, 1);
  talk_close(t);
}

static void psk_of_two_keys_survive_a_bad_network(void **state)
{
  (void)state;
  for (uint32_t seed = 1; seed <= 20; seed++) {
    const talk_cfg cfg = {
        .mode = TALK_PSK, .loss = 15, .dup = 15, .reorder = 30, .seed = seed, .mtu = 256};
    talk *t = talk_with_two_keys(&cfg);
    talk_connect(t, CLIENT);
    if (!talk_shake(t, CLIENT, 60 * (copal_dur)COPAL_SECOND))
      fail_msg("seed %u", (unsigned)seed);
    talk_close(t);
  }
}

static void rfc7252_9_1_3_refused_certificate_ends_the_handshake(void **state)
{
  (void)state;
  for (talk_mode mode = TALK_RPK; mode <= TALK_X509; mode++) {
    for (int who = 0; who <= 1; who++) {
      const talk_cfg cfg = {.mode = mode};
      talk *t = talk_open(&cfg);
      t->sides[who].credentials.refuses = true;
      talk_connect(t, CLIENT);
      assert_false(talk_shake(t, CLIENT, 5 * SOON));
      talk_run(t, SOON);
      assert_int_equal(t->sides[who].failure, HANDSHAKE_REFUSED);
      assert_int_equal(dtls_usage_now(t->sides[TALK_SERVER].dtls).sessions, 0);
      talk_close(t);
    }
  }
}

/* An alert in plaintext, as anybody can send it, in front of each datagram to the server. */
static bool inject_alert(talk *t, talk_datagram *d)
{
  static const uint8_t alert[] = {21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40};
  if (d->bytes[0] == 21 || t->tampered > 20)
    return true;
  t->tampered++;
  talk_put(t, &d->from, &d->to, copal_span_of(alert, sizeof alert));
  return true;
}

static void plaintext_alerts_of_strangers_end_nothing(void **state)
{
  const talk_cfg cfg = {.mode = TALK_X509};
  (void)state;
  talk *t = talk_open(&cfg);
  t->tamper = inject_alert;
  talk_connect(t, CLIENT);
  assert_true(talk_shake(t, CLIENT, SOON));
  talk_assert_heard(t, CLIENT);
  assert_true(dtls_stats_now(t->sides[TALK_SERVER].dtls)->shim.alerts > 0);
  talk_close(t);
}

/* Keeps a copy of the last protected datagram to the server. */
static bool keep_copy(talk *t, talk_datagram *d)
{
  if (d->to.port == 5684 && d->bytes[4] == 1) {
    memcpy(t->copy, d->bytes, d->len);
    t->copy_len = d->len;
  }
  return true;
}

static void rfc6347_4_1_2_7_forged_replayed_and_cut_records_are_dropped_silently(void **state)
{
  (void)state;
  for (int no_cid = 0; no_cid <= 1; no_cid++) {
    const talk_cfg cfg = {.mode = TALK_PSK, .server_has_no_cid = no_cid};
    talk *t = talk_open_session(&cfg);
    talk_side *server = &t->sides[TALK_SERVER], *client = &t->sides[CLIENT];
    t->tamper = keep_copy;
    talk_say(t, CLIENT, "once");
    talk_run(t, SOON);
    t->tamper = NULL;
    const unsigned heard = server->heard, sent = t->sent;
    talk_put(t, &client->addr, &server->addr, copal_span_of(t->copy, t->copy_len));
    talk_run(t, SOON);
    for (size_t i = 0; i < t->copy_len; i++) {
      for (unsigned bit = 0; bit < 8; bit++) {
        t->copy[i] ^= (uint8_t)(1u << bit);
        talk_put(t, &client->addr, &server->addr, copal_span_of(t->copy, t->copy_len));
        t->copy[i] ^= (uint8_t)(1u << bit);
        talk_run(t, 10000);
      }
      talk_put(t, &client->addr, &server->addr, copal_span_of(t->copy, i));
      talk_run(t, 10000);
    }
    assert_int_equal(server->heard, heard);
    assert_int_equal(t->sent, sent);
    talk_assert_heard(t, CLIENT);
    talk_close(t);
  }
}

static void rfc5246_7_2_1_close_notify_is_answered_and_ends_the_session(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_open_session(&cfg);
  talk_side *server = &t->sides[TALK_SERVER], *client = &t->sides[CLIENT];
  talk_assert_heard(t, CLIENT);
  const unsigned sent = t->sent;
  dtls_close_sessions(client->dtls, t->now);
  assert_int_equal(client->closed, 1);
  talk_run(t, SOON);
  assert_int_equal(server->closed, 1);
  assert_int_equal(server->why, DTLS_END_PEER);
  assert_int_equal(t->sent, sent + 2);
  talk_say(t, TALK_SERVER, "anybody there?");
  assert_int_equal(t->sent, sent + 2);
  assert_int_equal(dtls_stats_now(server->dtls)->tx_closed, 1);
  talk_close(t);
}

/* The client seals something of that type in its session. */
static void say_as(talk *t, dtls_type type, copal_span content)
{
  talk_side *c = &t->sides[CLIENT];
  dtls_sessions *table = dtls_table(c->dtls);
  uint8_t room[200];
  dtls_session *s = dtls_session_of(table, c->session);
  assert_non_null(s);
  const int size = dtls_session_seal(table, s, type, content, (copal_mspan){room, sizeof room});
  assert_true(size > 0);
  talk_put(t, &c->addr, &t->sides[TALK_SERVER].addr, copal_span_of(room, (size_t)size));
  talk_run(t, SOON);
}

static void rfc7252_9_1_1_messages_are_application_data_only(void **state)
{
  static const uint8_t request[] = {0x40, 1, 0, 1};
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_open_session(&cfg);
  talk_assert_heard(t, CLIENT);
  const talk_side *server = &t->sides[TALK_SERVER];
  const unsigned heard = server->heard;
  const copal_span content = copal_span_of(request, sizeof request);
  say_as(t, DTLS_HANDSHAKE, content);
  say_as(t, DTLS_CHANGE_CIPHER_SPEC, content);
  say_as(t, DTLS_ALERT, content);
  say_as(t, (dtls_type)24, content); /* heartbeat */
  say_as(t, (dtls_type)99, content);
  assert_int_equal(server->heard, heard);
  assert_int_equal(dtls_stats_now(server->dtls)->unexpected, 4);
  say_as(t, DTLS_APPLICATION_DATA, content);
  assert_int_equal(server->heard, heard + 1);
  talk_assert_heard(t, CLIENT);
  talk_close(t);
}

static void rfc5246_7_2_2_renegotiation_is_refused_and_the_session_goes_on(void **state)
{
  static const uint8_t hello[] = {1, 0, 0, 2, 0, 2, 0, 0, 0, 0, 0, 2, 0xfe, 0xfd};
  const talk_cfg cfg = {.mode = TALK_PSK};
  (void)state;
  talk *t = talk_open_session(&cfg);
  talk_assert_heard(t, CLIENT);
  const talk_side *server = &t->sides[TALK_SERVER];
  say_as(t, DTLS_HANDSHAKE, copal_span_of(hello, sizeof hello));
  assert_int_equal(dtls_stats_now(server->dtls)->renegotiations, 1);
  assert_int_equal(dtls_stats_now(t->sides[CLIENT].dtls)->alerts_received, 1);
  assert_int_equal(dtls_usage_now(server->dtls).sessions, 1);
  assert_int_equal(dtls_usage_now(server->dtls).handshakes, 0);
  talk_assert_heard(t, CLIENT);
  talk_close(t);
}

/* Somebody sends records of epoch 1 from the client's address in front of its ClientKeyExchange, as
 * many as there may wait. */
static bool flood_with_protected(talk *t, talk_datagram *d)
{
  enum { SIZE = 1500 };
  static const uint8_t junk[13 + SIZE] = {
      DTLS_APPLICATION_DATA, 0xfe, 0xfd, 0, 1, [11] = SIZE >> 8, [12] = SIZE & 0xff};
  const bool is_to_server = memcmp(&d->to, &t->sides[TALK_SERVER].addr, sizeof d->to) == 0;
  if (!is_to_server || d->bytes[0] != DTLS_HANDSHAKE || ++t->tampered != 3)
    return true;
  for (int i = 0; i < 100; i++)
    talk_put(t, &d->from, &d->to, copal_span_of(junk, sizeof junk));
  return true;
}

static void rfc6347_4_1_2_7_forged_records_leave_room_for_the_handshake(void **state)
{
  for (talk_mode mode = TALK_PSK; mode <= TALK_X509; mode++) {
    const talk_cfg cfg = {.mode = mode};
    (void)state;
    talk *t = talk_open(&cfg);
    t->tamper = flood_with_protected;
    talk_connect(t, CLIENT);
    assert_true(talk_shake(t, CLIENT, SOON));
    talk_run(t, SOON);
    assert_true(t->tampered >= 3);
    talk_assert_heard(t, CLIENT);
    talk_close(t);
  }
}

static void idle_limit_and_ticket_key_change_while_sessions_go_on(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK};
  static const uint8_t other[DTLS_TICKET_KEY_SIZE] = {9};
  (void)state;
  talk *t = talk_open_session(&cfg);
  const dtls_cfg fresh = {.idle_s = 50, .ticket_key = other};
  dtls_reload(t->sides[TALK_SERVER].dtls, &fresh);
  talk_assert_heard(t, CLIENT); /* sessions go on */
  talk_run(t, 60 * (copal_dur)COPAL_SECOND);
  assert_int_equal(t->sides[TALK_SERVER].why, DTLS_END_IDLE); /* with the new limit */
  talk_close(t);
}

static void idle_sessions_expire_with_close_notify(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK, .idle_s = 100};
  (void)state;
  talk *t = talk_open_session(&cfg);
  talk_assert_heard(t, CLIENT);
  t->sides[CLIENT].closed = 0;
  talk_run(t, 110 * (copal_dur)COPAL_SECOND);
  assert_int_equal(t->sides[TALK_SERVER].closed, 1);
  assert_int_equal(t->sides[TALK_SERVER].why, DTLS_END_IDLE);
  assert_int_equal(t->sides[CLIENT].closed, 1);
  talk_close(t);
}

static void session_used_longest_ago_goes_when_there_are_too_many(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK, .session_max = 2};
  (void)state;
  talk *t = talk_open(&cfg);
  const int second = talk_add_client(t), third = talk_add_client(t);
  for (int client = CLIENT; client <= third; client++) {
    talk_connect(t, client);
    assert_true(talk_shake(t, client, SOON));
    talk_run(t, SOON);
    if (client == second) {
      talk_say(t, CLIENT, "still here");
      talk_run(t, SOON);
    }
  }
  assert_int_equal(t->sides[TALK_SERVER].closed, 1);
  assert_int_equal(t->sides[TALK_SERVER].why, DTLS_END_EVICTED);
  assert_int_equal(t->sides[second].closed, 1); /* it was told */
  assert_int_equal(t->sides[CLIENT].closed, 0);
  talk_close(t);
}

static void rfc6347_4_2_4_1_silent_server_is_given_up(void **state)
{
  const talk_cfg cfg = {.mode = TALK_PSK, .loss = 100};
  (void)state;
  talk *t = talk_open(&cfg);
  talk_connect(t, CLIENT);
  assert_false(talk_shake(t, CLIENT, 70 * (copal_dur)COPAL_SECOND));
  assert_int_equal(t->sides[CLIENT].failure, HANDSHAKE_TIMEOUT);
  assert_true(t->sent >= 5 && t->sent <= 8); /* 1, 2, 4, ... seconds */
  talk_close(t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_9_1_3_each_mode_establishes_a_session),
      cmocka_unit_test(rfc9146_3_cid_is_used_only_when_both_want_it),
      cmocka_unit_test(rfc9146_4_records_have_the_form_that_was_agreed_on),
      cmocka_unit_test(rfc6347_4_2_4_handshake_survives_loss_repetition_and_reordering),
      cmocka_unit_test(rfc6347_4_2_4_last_flight_is_rebuilt_when_it_was_lost),
      cmocka_unit_test(rfc6347_4_2_8_client_that_forgot_connects_again_from_the_same_place),
      cmocka_unit_test(rfc6347_4_2_8_client_may_vanish_at_each_packet_and_begin_again),
      cmocka_unit_test(rfc9146_6_session_follows_its_peer_to_another_address),
      cmocka_unit_test(rfc9146_6_address_that_is_not_proven_gets_little),
      cmocka_unit_test(rfc6347_4_2_1_spoofed_hellos_take_no_memory),
      cmocka_unit_test(handshakes_leave_no_memory_behind),
      cmocka_unit_test(handshakes_of_a_prefix_are_limited),
      cmocka_unit_test(handshake_that_was_left_gives_way_to_another),
      cmocka_unit_test(rfc4279_2_wrong_key_and_unknown_identity_look_alike),
      cmocka_unit_test(rfc4279_2_name_is_not_taken_with_the_key_of_another),
      cmocka_unit_test(key_that_comes_later_goes_on_with_the_handshake),
      cmocka_unit_test(key_that_cannot_be_asked_for_now_is_asked_for_again),
      cmocka_unit_test(psk_of_two_keys_each_is_good_at_the_first_attempt),
      cmocka_unit_test(psk_of_two_keys_a_third_one_is_refused),
      cmocka_unit_test(rfc6347_4_2_8_a_client_that_restarts_may_have_either_key),
      cmocka_unit_test(psk_of_two_keys_survive_a_bad_network),
      cmocka_unit_test(rfc7252_9_1_3_refused_certificate_ends_the_handshake),
      cmocka_unit_test(plaintext_alerts_of_strangers_end_nothing),
      cmocka_unit_test(rfc6347_4_1_2_7_forged_replayed_and_cut_records_are_dropped_silently),
      cmocka_unit_test(rfc5246_7_2_1_close_notify_is_answered_and_ends_the_session),
      cmocka_unit_test(rfc7252_9_1_1_messages_are_application_data_only),
      cmocka_unit_test(rfc5246_7_2_2_renegotiation_is_refused_and_the_session_goes_on),
      cmocka_unit_test(rfc6347_4_1_2_7_forged_records_leave_room_for_the_handshake),
      cmocka_unit_test(idle_limit_and_ticket_key_change_while_sessions_go_on),
      cmocka_unit_test(idle_sessions_expire_with_close_notify),
      cmocka_unit_test(session_used_longest_ago_goes_when_there_are_too_many),
      cmocka_unit_test(rfc6347_4_2_4_1_silent_server_is_given_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
