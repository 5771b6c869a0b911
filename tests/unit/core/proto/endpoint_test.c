/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoint rejects, what it ignores, and how network errors are vetted. RFC 7252 sections
 * 3, 4.1 to 4.3, 5.3.2 and 8.1. */
#include "unit/core/proto/fixture.h"

typedef struct reaction {
  const char *in;
  int err;
  const char *out; /* NULL: silence */
} reaction;

static void run(fixture *f, const copal_path *path, const reaction *r, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    const copal_count before = fx_stats(f)->rejected[-r[i].err];
    assert_int_equal(fx_feed_from(f, path, r[i].in), r[i].err);
    if (r[i].out)
      fx_expect_to(f, path, r[i].out);
    fx_expect_nothing(f);
    if (r[i].err)
      assert_int_equal(fx_stats(f)->rejected[-r[i].err], before + 1);
  }
  assert_int_equal(f->calls, 0);
  fx_expect_idle(f);
}

static void rfc7252_4_3_ping_is_answered_with_reset(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_feed(f, "40 00 12 34"), COPAL_OK);
  fx_expect(f, "70 00 12 34");
  assert_int_equal(fx_feed(f, "40 00 12 34"), COPAL_OK); /* and again */
  fx_expect(f, "70 00 12 34");
  assert_int_equal(fx_stats(f)->rx_empty, 2);
  assert_int_equal(fx_stats(f)->tx_resets, 2);
  fx_expect_idle(f);
}

static void rfc7252_4_1_empty_with_more_bytes_is_a_format_error(void **state)
{
  static const reaction all[] = {
      {"41 00 12 34 aa", COPAL_EEMPTY, "70 00 12 34"},
      {"40 00 12 35 ff 01", COPAL_EEMPTY, "70 00 12 35"},
      {"40 00 12 36 00", COPAL_EEMPTY, "70 00 12 36"},
      {"41 00 12 37", COPAL_EEMPTY, "70 00 12 37"},
      {"60 00 12 38 00", COPAL_EEMPTY, NULL},
      {"70 00 12 39 00", COPAL_EEMPTY, NULL},
  };
  fixture *f = *state;
  run(f, &f->peer, all, sizeof all / sizeof *all);
}

static void rfc7252_4_3_empty_non_is_rejected(void **state)
{
  static const reaction all[] = {{"50 00 12 34", COPAL_ENONEMPTYNON, "70 00 12 34"}};
  fixture *f = *state;
  run(f, &f->peer, all, 1);
}

static void rfc7252_4_2_reserved_class_is_reset(void **state)
{
  static const reaction all[] = {
      {"40 20 00 01", COPAL_ECLASS, "70 00 00 01"}, {"40 3f 00 02", COPAL_ECLASS, "70 00 00 02"},
      {"40 c0 00 03", COPAL_ECLASS, "70 00 00 03"}, {"40 df 00 04", COPAL_ECLASS, "70 00 00 04"},
      {"40 e1 00 05", COPAL_ECLASS, "70 00 00 05"}, {"40 ff 00 06", COPAL_ECLASS, "70 00 00 06"},
      {"50 20 00 07", COPAL_ECLASS, "70 00 00 07"}, {"50 e1 00 08", COPAL_ECLASS, "70 00 00 08"},
      {"60 20 00 09", COPAL_ECLASS, NULL},          {"60 e1 00 0a", COPAL_ECLASS, NULL},
      {"70 20 00 0b", COPAL_ENONEMPTY, NULL},
  };
  fixture *f = *state;
  run(f, &f->peer, all, sizeof all / sizeof *all);
}

static void rfc7252_3_unknown_version_is_silently_ignored(void **state)
{
  static const reaction all[] = {
      {"00 01 12 34", COPAL_EVERSION, NULL},
      {"80 01 12 34", COPAL_EVERSION, NULL},
      {"c0 01 12 34", COPAL_EVERSION, NULL},
      {"80 00 12 34", COPAL_EVERSION, NULL},
  };
  fixture *f = *state;
  run(f, &f->peer, all, sizeof all / sizeof *all);
}

static void a_datagram_without_a_whole_header_is_ignored(void **state)
{
  static const reaction all[] = {
      {"", COPAL_ESHORT, NULL},
      {"40", COPAL_ESHORT, NULL},
      {"40 01", COPAL_ESHORT, NULL},
      {"40 01 12", COPAL_ESHORT, NULL},
  };
  fixture *f = *state;
  run(f, &f->peer, all, sizeof all / sizeof *all);
}

static void rfc7252_4_2_format_error_in_con_or_non_is_reset(void **state)
{
  static const reaction all[] = {
      {"4f 01 00 01", COPAL_EFORMAT, "70 00 00 01"},       /* TKL 15 */
      {"42 01 00 02 aa", COPAL_EFORMAT, "70 00 00 02"},    /* token cut short */
      {"40 01 00 03 ff", COPAL_EFORMAT, "70 00 00 03"},    /* marker and no payload */
      {"40 01 00 04 f1 00", COPAL_EFORMAT, "70 00 00 04"}, /* delta nibble 15 */
      {"40 01 00 05 1f 00", COPAL_EFORMAT, "70 00 00 05"}, /* length nibble 15 */
      {"40 01 00 06 b2 61", COPAL_EFORMAT, "70 00 00 06"}, /* value cut short */
      {"40 01 00 07 d0", COPAL_EFORMAT, "70 00 00 07"},    /* extension missing */
      {"50 01 00 08 ff", COPAL_EFORMAT, "70 00 00 08"},
      {"40 45 00 09 ff", COPAL_EFORMAT, "70 00 00 09"}, /* a response */
  };
  fixture *f = *state;
  run(f, &f->peer, all, sizeof all / sizeof *all);
}

static void rfc7252_4_2_ack_and_rst_are_never_answered(void **state)
{
  static const reaction all[] = {
      {"60 45 00 01 ff", COPAL_EFORMAT, NULL},   /* format error */
      {"60 01 00 02", COPAL_ENONEMPTY, NULL},    /* carries a request */
      {"70 45 00 03", COPAL_ENONEMPTY, NULL},    /* not Empty */
      {"70 01 00 04", COPAL_ENONEMPTY, NULL},    /* not Empty */
      {"60 00 00 05", COPAL_ESTRAY, NULL},       /* acknowledges nothing */
      {"70 00 00 06", COPAL_ESTRAY, NULL},       /* rejects nothing */
      {"61 45 00 07 aa", COPAL_ESTRAY, NULL},    /* responds to nothing */
      {"61 45 00 08 aa 10", COPAL_ESTRAY, NULL}, /* with a critical option, too */
  };
  fixture *f = *state;
  run(f, &f->peer, all, sizeof all / sizeof *all);
}

static void rfc7252_5_3_2_unexpected_response_is_rejected(void **state)
{
  static const reaction all[] = {
      {"41 45 00 01 aa", COPAL_EUNMATCHED, "70 00 00 01"},
      {"40 45 00 02", COPAL_EUNMATCHED, "70 00 00 02"},
      {"41 84 00 03 aa", COPAL_EUNMATCHED, "70 00 00 03"},
      {"51 45 00 04 aa", COPAL_EUNMATCHED, "70 00 00 04"},
      {"41 45 00 01 aa", COPAL_EUNMATCHED, "70 00 00 01"}, /* the duplicate likewise */
  };
  fixture *f = *state;
  run(f, &f->peer, all, sizeof all / sizeof *all);
}

static void rfc7252_8_1_nothing_from_a_group_is_reset(void **state)
{
  static const reaction all[] = {
      {"40 00 00 01", COPAL_EMULTICAST, NULL},      /* ping */
      {"40 01 00 02", COPAL_EMULTICAST, NULL},      /* confirmable request */
      {"50 01 00 03 ff", COPAL_EFORMAT, NULL},      /* format error */
      {"50 e1 00 04", COPAL_ECLASS, NULL},          /* reserved class */
      {"50 00 00 05", COPAL_ENONEMPTYNON, NULL},    /* Empty */
      {"51 45 00 06 aa", COPAL_EUNMATCHED, NULL},   /* unexpected response */
      {"50 01 00 07 90", COPAL_EOPTION, NULL},      /* unknown critical option */
      {"50 01 00 08 d1 16 61", COPAL_EPROXY, NULL}, /* Proxy-Uri */
      {"40 e1 00 09", COPAL_ECLASS, NULL},
  };
  fixture *f = *state;
  copal_path path = f->peer;
  path.flags = COPAL_PATH_GROUP;
  run(f, &path, all, sizeof all / sizeof *all);
}

static void an_idle_endpoint_has_no_deadline(void **state)
{
  fixture *f = *state;
  assert_int_equal(copal_ep_deadline(f->ep), COPAL_NEVER);
  copal_ep_expire(f->ep, f->now);
  fx_expect_nothing(f);
}

static void a_full_sink_drops_and_counts(void **state)
{
  fixture *f = *state;
  f->is_full = true;
  assert_int_equal(fx_feed(f, "40 00 12 34"), COPAL_OK);
  assert_int_equal(fx_stats(f)->tx_dropped, 1);
  assert_int_equal(fx_stats(f)->tx_resets, 0);
  assert_int_equal(fx_stats(f)->tx_datagrams, 0);
  fx_expect_nothing(f);
}

/* --------------------------------------------------------------------------- unreachable */

static int quote(fixture *f, const copal_path *path, const char *text)
{
  uint8_t bytes[FX_BYTES_MAX];
  const size_t len = fx_bytes(f, text, bytes);
  return copal_ep_unreachable(f->ep, path, copal_span_of(bytes, len), f->now);
}

static void rfc7252_4_2_network_error_ends_the_exchange_it_quotes(void **state)
{
  fixture *f = *state;
  copal_xref x;
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, &x), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  assert_int_equal(quote(f, &f->peer, "48 01 %m %t"), COPAL_OK);
  assert_true(fx_expect_event(f, COPAL_EVENT_UNREACHABLE)->exchange == x);
  fx_expect_no_event(f);
  assert_int_equal(fx_stats(f)->unreachables, 1);
  assert_int_equal(quote(f, &f->peer, "48 01 %m %t"), COPAL_ESTRAY);
  fx_expect_idle(f);
  fx_expect_nothing(f);
}

static void rfc7252_4_2_network_error_is_vetted(void **state)
{
  fixture *f = *state;
  const copal_path other = fx_peer(9);
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  assert_int_equal(quote(f, &f->peer, ""), COPAL_ESTRAY);
  assert_int_equal(quote(f, &f->peer, "48 01 00"), COPAL_ESTRAY);
  assert_int_equal(quote(f, &f->peer, "58 01 %m %t"), COPAL_ESTRAY); /* type */
  assert_int_equal(quote(f, &other, "48 01 %m %t"), COPAL_ESTRAY);   /* peer */
  f->token[7] ^= 1;
  assert_int_equal(quote(f, &f->peer, "48 01 %m %t"), COPAL_ESTRAY); /* token */
  f->token[7] ^= 1;
  f->mid ^= 1;
  assert_int_equal(quote(f, &f->peer, "48 01 %m %t"), COPAL_ESTRAY); /* Message ID */
  fx_expect_no_event(f);
  f->mid ^= 1;
  assert_int_equal(quote(f, &f->peer, "48 01 %m %t b1 'a' ff 'more'"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_UNREACHABLE);
}

static void rfc7252_4_2_network_error_without_the_token_is_ignored(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  assert_int_equal(quote(f, &f->peer, "48 01 %m"), COPAL_ESTRAY);
  f->token_len = 7;
  assert_int_equal(quote(f, &f->peer, "48 01 %m %t"), COPAL_ESTRAY);
  fx_expect_no_event(f);
}

static void rfc7252_4_2_network_error_vets_an_extended_token(void **state)
{
  fixture *f = *state;
  f->cfg.token_cap = 20;
  fx_restart(f);
  copal_request rq = fx_request_init(f, COPAL_CON, COPAL_CODE_GET);
  rq.token = copal_span_str("ABCDEFGHIJKLMNOPQRST");
  assert_int_equal(copal_ep_request(f->ep, &rq, NULL, f->now), COPAL_OK);
  fx_expect(f, "4d 01 %m 07 'ABCDEFGHIJKLMNOPQRST'");
  assert_int_equal(quote(f, &f->peer, "4d 01 %m 07 'ABCDEFGHIJKLMNOPQRSU'"), COPAL_ESTRAY);
  assert_int_equal(quote(f, &f->peer, "4d 01 %m 07 'ABCDEFGHIJKLMNOPQRST'"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_UNREACHABLE);
}

static void network_error_about_a_non_request(void **state)
{
  fixture *f = *state;
  assert_int_equal(fx_request(f, COPAL_NON, COPAL_CODE_GET, NULL), COPAL_OK);
  fx_expect(f, "58 01 %m %t");
  assert_int_equal(quote(f, &f->peer, "48 01 %m %t"), COPAL_ESTRAY);
  assert_int_equal(quote(f, &f->peer, "58 01 %m %t"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_UNREACHABLE);
  fx_expect_idle(f);
}

static void network_error_about_a_ping(void **state)
{
  fixture *f = *state;
  assert_int_equal(copal_ep_ping(f->ep, &f->peer, &f->client, NULL, f->now), COPAL_OK);
  fx_expect(f, "40 00 %m");
  assert_int_equal(quote(f, &f->peer, "40 00 %m"), COPAL_OK);
  (void)fx_expect_event(f, COPAL_EVENT_UNREACHABLE);
  fx_expect_idle(f);
}

static void network_error_about_a_separate_response(void **state)
{
  fixture *f = *state;
  f->result = COPAL_EPENDING;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa"), COPAL_OK);
  fx_advance(f, COPAL_SECOND);
  fx_expect(f, "60 00 12 34");
  assert_int_equal(copal_ep_resume(f->ep, f->late, &f->response, f->now), COPAL_OK);
  fx_expect(f, "41 45 %m aa");
  assert_int_equal(quote(f, &f->peer, "41 45 %m aa"), COPAL_OK);
  assert_int_equal(fx_stats(f)->unreachables, 1);
  fx_advance(f, 100 * (copal_time)COPAL_SECOND);
  fx_expect_nothing(f); /* no retransmission */
  fx_expect_idle(f);
}

static void network_error_about_a_request_not_yet_sent_is_ignored(void **state)
{
  fixture *f = *state;
  uint16_t first;
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK);
  fx_expect(f, "48 01 %m %t");
  first = f->mid;
  assert_int_equal(fx_request(f, COPAL_CON, COPAL_CODE_GET, NULL), COPAL_OK); /* waits */
  fx_expect_nothing(f);
  for (unsigned mid = 0; mid <= UINT16_MAX; mid++) {
    f->mid = (uint16_t)mid;
    if (f->mid != first)
      assert_int_equal(quote(f, &f->peer, "48 01 %m %t"), COPAL_ESTRAY);
  }
  fx_expect_no_event(f);
}

static int render(copal_subject *s, copal_ep *ep, copal_response *r, copal_time now)
{
  (void)s;
  (void)ep;
  (void)now;
  *r = (copal_response){.code = COPAL_CODE_CONTENT};
  return COPAL_OK;
}

static copal_subject observed;

static int observe(fixture *f, const copal_req *req)
{
  (void)req;
  assert_int_equal(copal_ep_observe(f->ep, &observed), COPAL_OK);
  return copal_ep_respond(f->ep, &f->response, f->now);
}

static void network_error_about_a_notification_is_vetted(void **state)
{
  fixture *f = *state;
  observed = (copal_subject){.render = render, .is_confirmable = true};
  f->handler = observe;
  assert_int_equal(fx_feed(f, "41 01 12 34 aa 60"), COPAL_OK);
  fx_expect(f, "61 45 12 34 aa *");
  assert_int_equal(observed.count, 1);
  fx_advance(f, COPAL_SECOND);
  copal_ep_notify(f->ep, &observed, f->now);
  fx_advance(f, COPAL_MILLISECOND);
  fx_expect(f, "41 45 %m aa *");
  assert_int_equal(quote(f, &f->peer, "41 45 %m"), COPAL_ESTRAY);
  assert_int_equal(quote(f, &f->peer, "41 45 %m bb"), COPAL_ESTRAY);
  assert_int_equal(observed.count, 1);
  assert_int_equal(quote(f, &f->peer, "41 45 %m aa"), COPAL_OK);
  assert_int_equal(observed.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7252_4_3_ping_is_answered_with_reset),
      TEST(rfc7252_4_1_empty_with_more_bytes_is_a_format_error),
      TEST(rfc7252_4_3_empty_non_is_rejected),
      TEST(rfc7252_4_2_reserved_class_is_reset),
      TEST(rfc7252_3_unknown_version_is_silently_ignored),
      TEST(a_datagram_without_a_whole_header_is_ignored),
      TEST(rfc7252_4_2_format_error_in_con_or_non_is_reset),
      TEST(rfc7252_4_2_ack_and_rst_are_never_answered),
      TEST(rfc7252_5_3_2_unexpected_response_is_rejected),
      TEST(rfc7252_8_1_nothing_from_a_group_is_reset),
      TEST(an_idle_endpoint_has_no_deadline),
      TEST(a_full_sink_drops_and_counts),
      TEST(rfc7252_4_2_network_error_ends_the_exchange_it_quotes),
      TEST(rfc7252_4_2_network_error_is_vetted),
      TEST(rfc7252_4_2_network_error_without_the_token_is_ignored),
      TEST(rfc7252_4_2_network_error_vets_an_extended_token),
      TEST(network_error_about_a_non_request),
      TEST(network_error_about_a_ping),
      TEST(network_error_about_a_separate_response),
      TEST(network_error_about_a_request_not_yet_sent_is_ignored),
      TEST(network_error_about_a_notification_is_vetted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
