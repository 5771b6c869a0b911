/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of handshakes with certificates and raw public keys, both sides ours: how they get through
 * small datagrams and bad networks, and how they end when a peer is not believed. RFC 7252 section
 * 9.1.3, RFC 6347 section 4.2.3, RFC 5246 section 7.2.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <gnutls/gnutls.h>

#include "copal/cursor.h"
#include "transport/dtls/hello.h"
#include "unit/transport/dtls/talk.h"

enum { CLIENT = 1, SOON = 2000000, LATE = 60000000, MTU_MIN = 256, MTU_MAX = 1500 };

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ------------------------------------------------------------------------------------------------
 * on the way */

/* Remembers the largest datagram, and how many there are. */
static bool measure(talk *t, talk_datagram *d)
{
  t->tampered++;
  if (d->len > t->copy_len)
    t->copy_len = d->len;
  return true;
}

static void rfc6347_4_2_3_chain_passes_at_each_mtu(void **state)
{
  unsigned most = 0, fewest = UINT32_MAX;
  (void)state;
  for (uint16_t mtu = MTU_MIN; mtu <= MTU_MAX; mtu = (uint16_t)(mtu + 61)) {
    const talk_cfg cfg = {.mode = TALK_X509, .mtu = mtu};
    talk *t = talk_open(&cfg);
    t->tamper = measure;
    talk_connect(t, CLIENT);
    if (!talk_shake(t, CLIENT, SOON))
      fail_msg("MTU %u: no session", (unsigned)mtu);
    assert_true(t->copy_len <= mtu);
    most = t->tampered > most ? t->tampered : most;
    fewest = t->tampered < fewest ? t->tampered : fewest;
    talk_assert_heard(t, CLIENT);
    talk_close(t);
  }
  assert_in_range(fewest, 6, 8);
  assert_in_range(most, fewest + 4, 40); /* certificates were in pieces */
}

static void rfc6347_4_2_4_chain_in_pieces_survives_loss_repetition_and_reordering(void **state)
{
  (void)state;
  for (uint32_t seed = 1; seed <= 40; seed++) {
    const talk_cfg cfg = {.mode = seed % 4 == 0 ? TALK_RPK : TALK_X509,
                          .mtu = (uint16_t)(MTU_MIN + seed * 97 % 600),
                          .client_has_no_cid = seed % 3 == 0,
                          .loss = 15,
                          .dup = 20,
                          .reorder = 30,
                          .seed = seed};
    talk *t = talk_open(&cfg);
    talk_connect(t, CLIENT);
    if (!talk_shake(t, CLIENT, LATE))
      fail_msg("seed %u: no session: %s", (unsigned)seed, t->sides[CLIENT].text_of_failure);
    t->cfg.loss = t->cfg.dup = t->cfg.reorder = 0;
    for (int i = 0; i < 10 && t->sides[TALK_SERVER].opened == 0; i++)
      talk_run(t, SOON);
    if (t->sides[TALK_SERVER].opened == 0)
      fail_msg("seed %u: the server has no session", (unsigned)seed);
    talk_assert_heard(t, CLIENT);
    talk_close(t);
  }
}

/* ------------------------------------------------------------------------------------------------
 * what is offered and chosen */

enum {
  EXT_GROUPS = 10, /* RFC 4492 section 5.1 */
  EXT_POINTS = 11,
  EXT_SIGNATURES = 13, /* RFC 5246 section 7.4.1.4.1 */
  SUITE_MANDATORY = 0xc0ae,
};

/* What went by last. */
static struct {
  bool has_groups, has_points, has_signatures;
  uint16_t suite;
} seen;

/* A list of 16-bit numbers behind its length has this one. */
static bool has_number(copal_span list, uint16_t number)
{
  for (size_t i = 2; i + 2 <= list.len; i += 2)
    if ((list.ptr[i] << 8 | list.ptr[i + 1]) == number)
      return true;
  return false;
}

/* RFC 7252 section 9.1.3.2, figure 14. */
static void look_at_client_hello(const hello_client *h)
{
  copal_span data;
  seen.has_groups = hello_extension_find(h->extensions, EXT_GROUPS, &data) &&
                    has_number(data, 0x0017); /* secp256r1 */
  seen.has_points = hello_extension_find(h->extensions, EXT_POINTS, &data) && data.len == 2 &&
                    data.ptr[1] == 0; /* uncompressed */
  seen.has_signatures = hello_extension_find(h->extensions, EXT_SIGNATURES, &data) &&
                        has_number(data, 0x0403); /* ECDSA with SHA-256 */
}

static bool look_at_hellos(talk *t, talk_datagram *d)
{
  copal_rd rd = copal_rd_init(copal_span_of(d->bytes, d->len));
  dtls_record rec;
  hello_message m;
  hello_client h;
  (void)t;
  while (dtls_record_next(&rd, DTLS_CID_SIZE, &rec)) {
    copal_span content = rec.fragment;
    if (rec.type != DTLS_HANDSHAKE || rec.epoch != 0)
      continue;
    if (hello_client_read(&rec, &h))
      look_at_client_hello(&h);
    else if (hello_next(&content, &m) && m.type == HELLO_SERVER_HELLO)
      seen.suite = hello_server_suite(m.fragment);
  }
  return true;
}

static void rfc7252_9_1_3_2_mandatory_suite_and_extensions_are_used(void **state)
{
  static const talk_mode modes[] = {TALK_RPK, TALK_X509};
  (void)state;
  for (size_t i = 0; i < COUNT(modes); i++) {
    const talk_cfg cfg = {.mode = modes[i]};
    talk *t = talk_open(&cfg);
    memset(&seen, 0, sizeof seen);
    t->tamper = look_at_hellos;
    talk_connect(t, CLIENT);
    assert_true(talk_shake(t, CLIENT, SOON));
    assert_int_equal(seen.suite, SUITE_MANDATORY);
    assert_true(seen.has_groups);
    assert_true(seen.has_points);
    assert_true(seen.has_signatures);
    talk_close(t);
  }
}

/* Remembers whether a ClientHello has this name in it. */
static const char *wanted_name;

static bool look_for_name(talk *t, talk_datagram *d)
{
  const size_t len = strlen(wanted_name);
  for (size_t i = 0; d->to.port == 5684 && i + len <= d->len; i++)
    t->tampered += memcmp(d->bytes + i, wanted_name, len) == 0;
  return true;
}

static bool sends_name(const char *authority, const char *name)
{
  const talk_cfg cfg = {.mode = TALK_X509};
  talk *t = talk_open(&cfg);
  t->server_name = authority;
  t->tamper = look_for_name;
  wanted_name = name;
  talk_connect(t, CLIENT);
  assert_true(talk_shake(t, CLIENT, SOON));
  const bool is_sent = t->tampered > 0;
  talk_close(t);
  return is_sent;
}

static void rfc7252_9_1_3_clients_name_the_server_in_the_sni(void **state)
{
  (void)state;
  assert_true(sends_name("lamp.example", "lamp.example"));
  assert_true(sends_name("lamp.example:7000", "lamp.example"));
  assert_false(sends_name("lamp.example:7000", "lamp.example:"));
  assert_false(sends_name("lamp.example.", "lamp.example."));
}

static void rfc6066_3_addresses_are_not_sent_in_the_sni(void **state)
{
  (void)state;
  assert_false(sends_name("192.0.2.7", "192.0"));
  assert_false(sends_name("192.0.2.7:7000", "192.0"));
  assert_false(sends_name("[2001:db8::1]", "2001"));
  assert_false(sends_name("[2001:db8::1]:7000", "2001"));
}

/* ------------------------------------------------------------------------------------------------
 * ends */

static const struct {
  dtls_refusal kind;
  gnutls_alert_description_t alert;
} refusals[] = {
    {DTLS_REFUSAL_OTHER, GNUTLS_A_ACCESS_DENIED},
    {DTLS_REFUSAL_MISSING, GNUTLS_A_HANDSHAKE_FAILURE},
    {DTLS_REFUSAL_UNKNOWN, GNUTLS_A_CERTIFICATE_UNKNOWN},
    {DTLS_REFUSAL_ISSUER, GNUTLS_A_UNKNOWN_CA},
    {DTLS_REFUSAL_REVOKED, GNUTLS_A_CERTIFICATE_REVOKED},
    {DTLS_REFUSAL_EXPIRED, GNUTLS_A_CERTIFICATE_EXPIRED},
    {DTLS_REFUSAL_EARLY, GNUTLS_A_CERTIFICATE_EXPIRED},
    {DTLS_REFUSAL_PURPOSE, GNUTLS_A_UNSUPPORTED_CERTIFICATE},
    {DTLS_REFUSAL_ALGORITHM, GNUTLS_A_UNSUPPORTED_CERTIFICATE},
    {DTLS_REFUSAL_NAME, GNUTLS_A_BAD_CERTIFICATE},
    {DTLS_REFUSAL_BROKEN, GNUTLS_A_BAD_CERTIFICATE},
};

/* Side `who` does not believe the other one; both know why in the end. */
static void assert_refused(int who, size_t i)
{
  const talk_cfg cfg = {.mode = TALK_X509};
  talk *t = talk_open(&cfg);
  talk_side *judge = &t->sides[who], *other = &t->sides[who == CLIENT ? TALK_SERVER : CLIENT];
  judge->credentials.refuses = true;
  judge->credentials.refusal = refusals[i].kind;
  talk_connect(t, CLIENT);
  assert_false(talk_shake(t, CLIENT, SOON));
  talk_run(t, SOON);
  assert_int_equal(judge->failure, HANDSHAKE_REFUSED);
  assert_int_equal(judge->refusal, refusals[i].kind);
  assert_string_equal(judge->text_of_failure, "not one of us");
  assert_int_equal(dtls_stats_now(judge->dtls)->refused[refusals[i].kind], 1);
  assert_int_equal(other->failure, HANDSHAKE_ALERT);
  assert_string_equal(other->text_of_failure, gnutls_alert_get_name(refusals[i].alert));
  assert_int_equal(dtls_usage_now(judge->dtls).handshakes, 0);
  assert_int_equal(dtls_usage_now(other->dtls).handshakes, 0);
  talk_close(t);
}

static void rfc5246_7_2_2_alert_says_why_a_peer_is_refused(void **state)
{
  (void)state;
  assert_int_equal(COUNT(refusals), DTLS_REFUSAL_COUNT);
  for (size_t i = 0; i < COUNT(refusals); i++) {
    assert_refused(TALK_SERVER, i);
    assert_refused(CLIENT, i);
  }
}

static void rfc5246_7_4_6_client_that_shows_nothing_is_refused(void **state)
{
  static const talk_mode modes[] = {TALK_X509, TALK_RPK};
  (void)state;
  for (size_t i = 0; i < COUNT(modes); i++) {
    const talk_cfg cfg = {.mode = modes[i], .client_shows_nothing = true};
    talk *t = talk_open(&cfg);
    talk_side *server = &t->sides[TALK_SERVER];
    talk_connect(t, CLIENT);
    assert_false(talk_shake(t, CLIENT, SOON));
    assert_int_equal(server->failure, HANDSHAKE_REFUSED);
    assert_int_equal(server->refusal, DTLS_REFUSAL_MISSING);
    assert_string_equal(t->sides[CLIENT].text_of_failure,
                        gnutls_alert_get_name(GNUTLS_A_HANDSHAKE_FAILURE));
    talk_close(t);
  }
}

static void client_that_shows_nothing_may_be_nobody(void **state)
{
  const talk_cfg cfg = {.mode = TALK_X509, .client_shows_nothing = true};
  talk *t = talk_open(&cfg);
  (void)state;
  t->sides[TALK_SERVER].credentials.admits_nobody = true;
  talk_connect(t, CLIENT);
  assert_true(talk_shake(t, CLIENT, SOON));
  talk_assert_heard(t, CLIENT);
  const talk_side *server = &t->sides[TALK_SERVER];
  assert_int_equal(dtls_identity(server->dtls, server->session), 1 + DTLS_CLAIM_NONE);
  talk_close(t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc6347_4_2_3_chain_passes_at_each_mtu),
      cmocka_unit_test(rfc6347_4_2_4_chain_in_pieces_survives_loss_repetition_and_reordering),
      cmocka_unit_test(rfc7252_9_1_3_2_mandatory_suite_and_extensions_are_used),
      cmocka_unit_test(rfc7252_9_1_3_clients_name_the_server_in_the_sni),
      cmocka_unit_test(rfc6066_3_addresses_are_not_sent_in_the_sni),
      cmocka_unit_test(rfc5246_7_2_2_alert_says_why_a_peer_is_refused),
      cmocka_unit_test(rfc5246_7_4_6_client_that_shows_nothing_is_refused),
      cmocka_unit_test(client_that_shows_nothing_may_be_nobody),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
