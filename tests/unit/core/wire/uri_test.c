/* SPDX-License-Identifier: Apache-2.0 */
/* CoAP URIs. RFC 7252 section 6, RFC 8323 section 8, RFC 3986. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "copal/uri.h"
#include "core/wire/uri_chars.h"
#include "unit/core/wire/sample.h"

enum { OPTS = 300, ROOM = 4096 };

/* One way from a URI to an option run. */
typedef struct trip {
  copal_uri uri;
  copal_opt opts[OPTS];
  uint8_t uints[OPTS][4];
  uint8_t scratch[ROOM];
  uint8_t run_room[ROOM];
  copal_span run;
} trip;

static int decompose(copal_span text, trip *t)
{
  int err = copal_uri_parse(text, &t->uri, NULL);
  if (err != COPAL_OK)
    return err;
  copal_wr scratch = copal_wr_init((copal_mspan){t->scratch, ROOM});
  copal_opt_list list = copal_opt_list_init(t->opts, t->uints, OPTS);
  err = copal_uri_to_options(&t->uri, false, &scratch, &list);
  copal_wr w = copal_wr_init((copal_mspan){t->run_room, ROOM});
  copal_opt_wr o = copal_opt_wr_init(&w);
  for (size_t i = 0; i < list.count; i++)
    copal_opt_put(&o, list.opts[i].number, list.opts[i].value);
  assert_int_equal(w.err, COPAL_OK);
  t->run = copal_wr_done(&w);
  return err;
}

/* Composes a URI from a run and compares it. */
static void compose_expect(const copal_uri_base *base, copal_span run, const char *expected)
{
  char text[ROOM];
  copal_wr w = copal_wr_init((copal_mspan){(uint8_t *)text, sizeof text - 1});
  assert_int_equal(copal_uri_from_options(base, run, &w), COPAL_OK);
  text[w.len] = '\0';
  assert_string_equal(text, expected);
}

/* Takes a URI apart and expects its normal form when it is put together again. */
static void normal_form_expect(const char *given, const char *expected)
{
  static trip t;
  assert_int_equal(decompose(copal_span_str(given), &t), COPAL_OK);
  const copal_uri_base base = {t.uri.scheme, t.uri.host, t.uri.host_is_ipv6, t.uri.port};
  compose_expect(&base, t.run, expected);
}

static void rfc7252_6_3_three_equivalent_uris(void **state)
{
  (void)state;
  static const char NORMAL[] = "coap://example.com/~sensors/temp.xml";
  static trip t;
  normal_form_expect("coap://example.com:5683/~sensors/temp.xml", NORMAL);
  normal_form_expect("coap://EXAMPLE.com/%7Esensors/temp.xml", NORMAL);
  normal_form_expect("coap://EXAMPLE.com:/%7esensors/temp.xml", NORMAL);
  assert_int_equal(decompose(LIT("coap://EXAMPLE.com:/%7esensors/temp.xml"), &t), COPAL_OK);
  assert_int_equal(t.uri.port, 5683);
  assert_true(copal_span_is_equal(t.run, LIT("\x3b"
                                             "example.com"
                                             "\x88~sensors\x08temp.xml")));
}

static void rfc7252_6_5_appendix_b_examples(void **state)
{
  (void)state;
  /* Appendix B: what arrives at an address and port yields these URIs. */
  const copal_uri_base v6 = {COPAL_SCHEME_COAP, LIT("2001:db8::2:1"), true, 5683};
  const copal_uri_base v4 = {COPAL_SCHEME_COAP, LIT("198.51.100.1"), false, 61616};
  compose_expect(&v6, copal_span_none(), "coap://[2001:db8::2:1]/");
  compose_expect(&v6,
                 LIT("\x3b"
                     "example.net"),
                 "coap://example.net/");
  compose_expect(&v6,
                 LIT("\x3b"
                     "example.net"
                     "\x8b.well-known\x04"
                     "core"),
                 "coap://example.net/.well-known/core");
  compose_expect(&v6,
                 LIT("\x3d\x04xn--18j4d.example\x8d\x02\xE3\x81\x93\xE3\x82\x93\xE3\x81\xAB\xE3\x81"
                     "\xA1\xE3\x81\xAF"),
                 "coap://xn--18j4d.example/%E3%81%93%E3%82%93%E3%81%AB%E3%81%A1%E3%81%AF");
  compose_expect(&v4, LIT("\xb0\x01/\x00\x00\x42//\x02?&"),
                 "coap://198.51.100.1:61616//%2F//?//&?%26");
}

static void rfc7252_6_4_appendix_b_examples(void **state)
{
  (void)state;
  static trip t;
  assert_int_equal(decompose(LIT("coap://198.51.100.1:61616//%2F//?%2F%2F&?%26"), &t), COPAL_OK);
  assert_true(t.uri.host_is_ipv4);
  assert_int_equal(t.uri.port, 61616);
  assert_true(copal_span_is_equal(t.run, LIT("\xb0\x01/\x00\x00\x42//\x02?&")));
}

static void rfc7252_6_4_path_and_query(void **state)
{
  (void)state;
  static trip t;
  static const struct {
    const char *uri;
    copal_span run; /* behind the Uri-Host "h" */
  } ROWS[] = {
      {"coap://h", {(const uint8_t *)"", 0}},
      {"coap://h/", {(const uint8_t *)"", 0}},
      {"coap://h//", {(const uint8_t *)"\x80\x00", 2}},
      {"coap://h/a/",
       {(const uint8_t *)"\x81"
                         "a\x00",
        3}},
      {"coap://h?", {(const uint8_t *)"\xc0", 1}},
      {"coap://h?a&&b",
       {(const uint8_t *)"\xc1"
                         "a\x00\x01"
                         "b",
        5}},
      {"coap://h/a?b=/c?d",
       {(const uint8_t *)"\x81"
                         "a\x46"
                         "b=/c?d",
        9}},
      {"coap://h/%2525", {(const uint8_t *)"\x83%25", 4}},
      {"coap://h/./a/../b/.",
       {(const uint8_t *)"\x81"
                         "b\x00",
        3}},
      {"coap://h/a/b/%2E%2e/c",
       {(const uint8_t *)"\x81"
                         "a\x01"
                         "c",
        4}},
      {"coap://h/../..", {(const uint8_t *)"", 0}},
      {"coap://h/a/..", {(const uint8_t *)"", 0}},
      {"coap://h/...", {(const uint8_t *)"\x83...", 4}},
  };
  for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
    assert_int_equal(decompose(copal_span_str(ROWS[i].uri), &t), COPAL_OK);
    assert_true(copal_span_has_prefix(t.run, LIT("\x31h")));
    const copal_span rest = copal_span_of(t.run.ptr + 2, t.run.len - 2);
    if (!copal_span_is_equal(rest, ROWS[i].run))
      fail_msg("%s", ROWS[i].uri);
  }
}

static void rfc7252_6_4_host_is_lower_case_and_decoded(void **state)
{
  (void)state;
  static trip t;
  assert_int_equal(decompose(LIT("COAP://A%42c%2D/"), &t), COPAL_OK);
  assert_true(copal_span_is_equal(t.run, LIT("\x34"
                                             "aBc-")));
  copal_wr scratch = copal_wr_init((copal_mspan){t.scratch, ROOM});
  copal_opt_list list = copal_opt_list_init(t.opts, t.uints, OPTS);
  assert_int_equal(copal_uri_to_options(&t.uri, true, &scratch, &list), COPAL_OK);
  assert_int_equal(list.count, 0);
}

static void rfc7252_5_10_segment_of_255_bytes_is_the_longest(void **state)
{
  (void)state;
  static trip t;
  char text[16 + 256 * 3];
  for (int len = 255; len <= 256; len++) {
    strcpy(text, "coap://h/");
    for (int i = 0; i < len; i++)
      strcat(text, i % 2 == 0 ? "%41" : "a");
    assert_int_equal(decompose(copal_span_str(text), &t), len == 255 ? COPAL_OK : COPAL_EURI);
    text[8] = '?';
    assert_int_equal(decompose(copal_span_str(text), &t), len == 255 ? COPAL_OK : COPAL_EURI);
    memmove(text + 7, text + 9, strlen(text + 9) + 1);
    assert_int_equal(decompose(copal_span_str(text), &t), len == 255 ? COPAL_OK : COPAL_EURI);
  }
}

static void rfc8323_8_schemes_and_ports(void **state)
{
  (void)state;
  static const struct {
    const char *uri;
    copal_scheme scheme;
    uint16_t port;
    bool is_secure;
  } ROWS[] = {
      {"coap://h", COPAL_SCHEME_COAP, 5683, false},
      {"CoAPs://h", COPAL_SCHEME_COAPS, 5684, true},
      {"coap+tcp://h", COPAL_SCHEME_COAP_TCP, 5683, false},
      {"coaps+tcp://h", COPAL_SCHEME_COAPS_TCP, 5684, true},
      {"coap+ws://h", COPAL_SCHEME_COAP_WS, 80, false},
      {"coaps+ws://h", COPAL_SCHEME_COAPS_WS, 443, true},
  };
  for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
    copal_uri uri;
    assert_int_equal(copal_uri_parse(copal_span_str(ROWS[i].uri), &uri, NULL), COPAL_OK);
    assert_int_equal(uri.scheme, ROWS[i].scheme);
    assert_int_equal(uri.port, ROWS[i].port);
    assert_int_equal(copal_scheme_is_secure(uri.scheme), ROWS[i].is_secure);
    assert_int_equal(copal_scheme_port(uri.scheme), ROWS[i].port);
  }
  assert_string_equal(copal_scheme_name(COPAL_SCHEME_COAPS_WS), "coaps+ws");
}

static void bad_uris_are_refused_at_their_byte(void **state)
{
  (void)state;
  static const struct {
    const char *uri;
    size_t at;
  } ROWS[] = {
      {"", 0},
      {"/a", 0},
      {"http://h/", 0},
      {"coapx://h/", 0},
      {"coap:h", 5},
      {"coap:/h", 6},
      {"coap://", 7},
      {"coap:///a", 7},
      {"coap://:1/", 7},
      {"coap://u@h/", 8},
      {"coap://h:1x/", 10},
      {"coap://h:65536/", 13},
      {"coap://h:0/", 10},
      {"coap://h/a b", 10},
      {"coap://h/%4", 9},
      {"coap://h/%4g", 9},
      {"coap://h/[", 9},
      {"coap://h/#", 9},
      {"coap://h/?a#b", 11},
      {"coap://h\xc3\xa9/", 8},
      {"coap://[::1", 8},
      {"coap://[", 8},
      {"coap://[]", 8},
      {"coap://[v1.a]/", 8},
      {"coap://[1.2.3.4]/", 8},
      {"coap://[::1]x", 12},
  };
  for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
    const copal_span text = exact_copy(copal_span_str(ROWS[i].uri), strlen(ROWS[i].uri));
    copal_uri uri;
    size_t at;
    if (copal_uri_parse(text, &uri, &at) != COPAL_EURI || at != ROWS[i].at)
      fail_msg("%s: %zu", ROWS[i].uri, at);
    exact_free(text);
  }
}

static void rfc3986_3_2_2_ip_literals(void **state)
{
  (void)state;
  static const char *const GOOD[] = {"::",
                                     "::1",
                                     "1::",
                                     "1:2:3:4:5:6:7:8",
                                     "1:2:3:4:5:6:7::",
                                     "::2:3:4:5:6:7:8",
                                     "1:2::7:8",
                                     "2001:DB8::2:1",
                                     "::ffff:192.0.2.1",
                                     "1:2:3:4:5:6:192.0.2.1",
                                     "fe80::1%25eth0",
                                     "fe80::1%25a%20b"};
  static const char *const BAD_ONES[] = {":",
                                         ":::",
                                         "1",
                                         "1:2:3:4:5:6:7",
                                         "1:2:3:4:5:6:7:8:9",
                                         "1::2::3",
                                         "12345::",
                                         "g::",
                                         "1:",
                                         "1:2:3:4:5:6:7:8:",
                                         "1:2:3:4:5:6:7:8::",
                                         "::1.2.3",
                                         "::1.2.3.256",
                                         "::01.2.3.4",
                                         "1:2:3:4:5:6:7:1.2.3.4",
                                         "::1%eth0",
                                         "::1%25",
                                         "%25eth0",
                                         ":1::"};
  for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
    char text[80];
    copal_uri uri;
    snprintf(text, sizeof text, "coap://[%s]:1", GOOD[i]);
    if (copal_uri_parse(copal_span_str(text), &uri, NULL) != COPAL_OK || !uri.host_is_ipv6)
      fail_msg("%s", text);
    assert_true(copal_span_is_equal(uri.host, copal_span_str(GOOD[i])));
  }
  for (size_t i = 0; i < sizeof BAD_ONES / sizeof BAD_ONES[0]; i++) {
    char text[80];
    copal_uri uri;
    snprintf(text, sizeof text, "coap://[%s]:1", BAD_ONES[i]);
    if (copal_uri_parse(copal_span_str(text), &uri, NULL) != COPAL_EURI)
      fail_msg("%s", text);
  }
}

static void rfc3986_3_2_2_ipv4_address_or_name(void **state)
{
  (void)state;
  static const struct {
    const char *uri;
    bool is_ipv4;
  } ROWS[] = {{"coap://127.0.0.1", true},    {"coap://255.255.255.255", true},
              {"coap://256.0.0.1", false},   {"coap://127.0.0.01", false},
              {"coap://127.0.0", false},     {"coap://127.0.0.1.", false},
              {"coap://127.0.0.1.1", false}, {"coap://1.2.3.a", false}};
  for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
    copal_uri uri;
    assert_int_equal(copal_uri_parse(copal_span_str(ROWS[i].uri), &uri, NULL), COPAL_OK);
    assert_int_equal(uri.host_is_ipv4, ROWS[i].is_ipv4);
  }
}

static void rfc7252_6_5_composing_fails_for_a_bad_host(void **state)
{
  (void)state;
  const copal_uri_base base = {COPAL_SCHEME_COAPS, LIT("::1"), true, 5684};
  uint8_t buf[64];
  static const copal_span RUNS[] = {
      {(const uint8_t *)"\x33"
                        "a b",
       4},
      {(const uint8_t *)"\x33"
                        "a/b",
       4},
      {(const uint8_t *)"\x32"
                        "%4",
       3},
      {(const uint8_t *)"\x34"
                        "[::g",
       5},
      {(const uint8_t *)"\x30", 1},
      {(const uint8_t *)"\x73\x01\x00\x00", 4},
  };
  for (size_t i = 0; i < sizeof RUNS / sizeof RUNS[0]; i++) {
    copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
    assert_int_equal(copal_uri_from_options(&base, RUNS[i], &w), COPAL_EURI);
  }
  compose_expect(&base, LIT("\x35[::2]\x41\x05"), "coaps://[::2]:5/");
  compose_expect(&base, LIT("\x32\xc3\xa9"), "coaps://%C3%A9/");
  copal_wr w = copal_wr_init((copal_mspan){buf, 5});
  assert_int_equal(copal_uri_from_options(&base, copal_span_none(), &w), COPAL_ENOSPC);
}

static void rfc6874_2_zone_of_the_base_is_encoded(void **state)
{
  (void)state;
  const copal_uri_base raw = {COPAL_SCHEME_COAP, LIT("FE80::1%eth0"), true, 5683};
  compose_expect(&raw, copal_span_none(), "coap://[fe80::1%25eth0]/");
  normal_form_expect("coap://[FE80::1%25eth0]:5683", "coap://[fe80::1%25eth0]/");
}

static void rfc7252_5_10_7_location_of_a_response(void **state)
{
  (void)state;
  char text[32];
  copal_wr w = copal_wr_init((copal_mspan){(uint8_t *)text, sizeof text});
  const copal_span run = LIT("\x81"
                             "a\x02"
                             "b/\xc3"
                             "c=d");
  assert_int_equal(
      copal_uri_path_from_options(run, COPAL_OPT_LOCATION_PATH, COPAL_OPT_LOCATION_QUERY, &w),
      COPAL_OK);
  assert_true(copal_span_is_equal(copal_wr_done(&w), LIT("/a/b%2F?c=d")));
}

static void decoding_needs_whole_triplets(void **state)
{
  (void)state;
  uint8_t buf[8];
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  assert_int_equal(copal_uri_decode(LIT("%00%fFa"), &w), COPAL_OK);
  assert_memory_equal(buf,
                      "\0\xff"
                      "a",
                      3);
  assert_int_equal(copal_uri_decode(LIT("%"), &w), COPAL_EURI);
  assert_int_equal(copal_uri_decode(LIT("%1"), &w), COPAL_EURI);
  assert_int_equal(copal_uri_decode(LIT("%x1"), &w), COPAL_EURI);
  w = copal_wr_init((copal_mspan){buf, 1});
  assert_int_equal(copal_uri_decode(LIT("ab"), &w), COPAL_ENOSPC);
}

static void small_storage_is_noticed(void **state)
{
  (void)state;
  copal_uri uri;
  copal_opt opts[1];
  uint8_t uints[1][4], buf[8];
  assert_int_equal(copal_uri_parse(LIT("coap://host/a/b"), &uri, NULL), COPAL_OK);
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  copal_opt_list list = copal_opt_list_init(opts, uints, 1);
  assert_int_equal(copal_uri_to_options(&uri, false, &w, &list), COPAL_ENOSPC);
  w = copal_wr_init((copal_mspan){buf, 3});
  list = copal_opt_list_init(opts, uints, 1);
  assert_int_equal(copal_uri_to_options(&uri, false, &w, &list), COPAL_ENOSPC);
}

/* Looks at eight bytes at a time or at one: it must not matter where a character stands. */
static void rfc3986_2_characters_wherever_they_stand(void **state)
{
  enum { LEN = 19 };
  static const char segment[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._~!$&'()*+,;=:@"; /* pchar, RFC 3986 section 3.3 */
  uint8_t text[LEN];
  (void)state;
  for (unsigned c = 0; c <= UINT8_MAX; c++)
    for (size_t at = 0; at < LEN; at++) {
      const bool is_in = c != 0 && strchr(segment, (int)c) != NULL;
      memset(text, "z9.A"[at % 4], sizeof text);
      text[at] = (uint8_t)c;
      assert_int_equal(uri_stretch(copal_span_of(text, LEN), URI_SEGMENT), is_in ? LEN : at);
      assert_int_equal(uri_stretch(copal_span_of(text, at), URI_SEGMENT), at);
    }
  assert_int_equal(uri_stretch(copal_span_str("aaaaaaaaaaaa"), URI_SUB_DELIM), 0);
}

/* Those that are not are written many at once: runs of both kinds, of every length. */
static void rfc7252_6_5_bytes_that_are_no_characters_of_a_path_in_runs(void **state)
{
  enum { RUN_MAX = 40 };
  (void)state;
  for (size_t before = 0; before < RUN_MAX; before++)
    for (size_t run = 0; run < RUN_MAX; run++) {
      uint8_t segment[2 * RUN_MAX + 1], written[6 * RUN_MAX + 1], expected[6 * RUN_MAX + 1];
      memset(segment, 'x', before);
      memset(segment + before, 0xc3, run);
      segment[before + run] = 'y';
      memset(expected, 'x', before);
      for (size_t i = 0; i < run; i++)
        memcpy(expected + before + 3 * i, "%C3", 3);
      const size_t len = before + 3 * run + 1;
      expected[len - 1] = 'y';
      copal_wr w = copal_wr_init((copal_mspan){written, len});
      copal_uri_put_segment(&w, copal_span_of(segment, before + run + 1));
      assert_int_equal(w.err, COPAL_OK);
      assert_true(copal_span_is_equal(copal_wr_done(&w), copal_span_of(expected, len)));
      w = copal_wr_init((copal_mspan){written, len - 1});
      copal_uri_put_segment(&w, copal_span_of(segment, before + run + 1));
      assert_int_equal(w.err, COPAL_ENOSPC);
    }
}

/* Options of random bytes become a URI that has the same options. */
static void decompose_after_compose_is_identity(void **state)
{
  (void)state;
  static trip t;
  prng p = prng_init();
  for (int round = 0; round < 3000; round++) {
    uint8_t run_room[600], text[2000], bytes[40];
    copal_wr run = copal_wr_init((copal_mspan){run_room, sizeof run_room});
    copal_opt_wr o = copal_opt_wr_init(&run);
    copal_opt_put(&o, COPAL_OPT_URI_HOST, LIT("host.example"));
    const uint32_t segments = prng_below(&p, 5);
    const uint32_t arguments = prng_below(&p, 4);
    for (uint32_t i = 0; i < segments + arguments; i++) {
      /* Never empty nor of dots: those are not kept as options. */
      prng_fill(&p, bytes, sizeof bytes);
      bytes[0] = 'x';
      copal_opt_put(&o, i < segments ? COPAL_OPT_URI_PATH : COPAL_OPT_URI_QUERY,
                    copal_span_of(bytes, 1 + prng_below(&p, sizeof bytes)));
    }
    const copal_uri_base base = {(copal_scheme)prng_below(&p, 6), LIT("h"), false,
                                 (uint16_t)(1 + prng_below(&p, 65535))};
    copal_wr w = copal_wr_init((copal_mspan){text, sizeof text});
    assert_int_equal(copal_uri_from_options(&base, copal_wr_done(&run), &w), COPAL_OK);
    assert_int_equal(decompose(copal_wr_done(&w), &t), COPAL_OK);
    assert_int_equal(t.uri.port, base.port);
    assert_int_equal(t.uri.scheme, base.scheme);
    assert_true(copal_span_is_equal(t.run, copal_wr_done(&run)));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_6_3_three_equivalent_uris),
      cmocka_unit_test(rfc7252_6_5_appendix_b_examples),
      cmocka_unit_test(rfc7252_6_4_appendix_b_examples),
      cmocka_unit_test(rfc7252_6_4_path_and_query),
      cmocka_unit_test(rfc7252_6_4_host_is_lower_case_and_decoded),
      cmocka_unit_test(rfc7252_5_10_segment_of_255_bytes_is_the_longest),
      cmocka_unit_test(rfc8323_8_schemes_and_ports),
      cmocka_unit_test(bad_uris_are_refused_at_their_byte),
      cmocka_unit_test(rfc3986_3_2_2_ip_literals),
      cmocka_unit_test(rfc3986_3_2_2_ipv4_address_or_name),
      cmocka_unit_test(rfc7252_6_5_composing_fails_for_a_bad_host),
      cmocka_unit_test(rfc6874_2_zone_of_the_base_is_encoded),
      cmocka_unit_test(rfc7252_5_10_7_location_of_a_response),
      cmocka_unit_test(decoding_needs_whole_triplets),
      cmocka_unit_test(small_storage_is_noticed),
      cmocka_unit_test(rfc3986_2_characters_wherever_they_stand),
      cmocka_unit_test(rfc7252_6_5_bytes_that_are_no_characters_of_a_path_in_runs),
      cmocka_unit_test(decompose_after_compose_is_identity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
