/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on reliable transports. RFC 8323 sections 3.2 and 4.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/error.h"
#include "copal/msg.h"
#include "copal/registry.h"
#include "unit/core/wire/sample.h"

static void rfc8323_3_2_figure_6_message_without_options(void **state)
{
  (void)state;
  copal_msg m;
  size_t used;
  assert_int_equal(copal_msg_parse_stream(LIT("\x01\x43\x7f"), &m, &used), COPAL_OK);
  assert_int_equal(used, 3);
  assert_int_equal(m.code, COPAL_CODE_VALID);
  assert_true(copal_span_is_equal(m.token, LIT("\x7f")));
  assert_int_equal(m.options.len, 0);
  assert_int_equal(m.payload.len, 0);
}

static void rfc8323_5_4_ping_and_pong(void **state)
{
  (void)state;
  copal_msg m;
  size_t used;
  assert_int_equal(copal_msg_parse_stream(LIT("\x01\xe2\x42"), &m, &used), COPAL_OK);
  assert_int_equal(m.code, COPAL_CODE_PING);
  assert_int_equal(copal_msg_parse_stream(LIT("\x01\xe3\x42"), &m, &used), COPAL_OK);
  assert_int_equal(m.code, COPAL_CODE_PONG);
}

/* Writes a message whose body has `len` bytes, all but the marker payload. */
static copal_span body_write(uint8_t *buf, size_t cap, const uint8_t *bytes, size_t len,
                             size_t token_len)
{
  const copal_msg m = {.code = COPAL_CODE_PUT,
                       .token = {bytes, token_len},
                       .payload = {bytes, len > 0 ? len - 1 : 0}};
  copal_wr w = copal_wr_init((copal_mspan){buf, cap});
  assert_int_equal(copal_msg_write_stream(&w, &m, NULL, 0), COPAL_OK);
  return copal_wr_done(&w);
}

static void rfc8323_3_2_len_at_its_edges(void **state)
{
  (void)state;
  static const struct {
    size_t len;
    copal_span head;
  } ROWS[] = {
      {0, {(const uint8_t *)"\x00\x03", 2}},
      {12, {(const uint8_t *)"\xc0\x03", 2}},
      {13, {(const uint8_t *)"\xd0\x00\x03", 3}},
      {268, {(const uint8_t *)"\xd0\xff\x03", 3}},
      {269, {(const uint8_t *)"\xe0\x00\x00\x03", 4}},
      {65804, {(const uint8_t *)"\xe0\xff\xff\x03", 4}},
      {65805, {(const uint8_t *)"\xf0\x00\x00\x00\x00\x03", 6}},
      {66061, {(const uint8_t *)"\xf0\x00\x00\x01\x00\x03", 6}},
  };
  uint8_t *bytes = calloc(1, 70000);
  uint8_t *buf = malloc(70000);
  for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
    const copal_span out = body_write(buf, 70000, bytes, ROWS[i].len, 0);
    copal_msg m;
    size_t used;
    assert_true(copal_span_has_prefix(out, ROWS[i].head));
    assert_int_equal(out.len, ROWS[i].head.len + ROWS[i].len);
    assert_int_equal(copal_msg_parse_stream(out, &m, &used), COPAL_OK);
    assert_int_equal(used, out.len);
    assert_int_equal(m.payload.len, ROWS[i].len > 0 ? ROWS[i].len - 1 : 0);
  }
  free(bytes);
  free(buf);
}

static void every_strict_prefix_asks_for_more(void **state)
{
  (void)state;
  static const uint8_t BYTES[400] = {0};
  static const size_t BODIES[] = {0, 2, 12, 13, 269, 300};
  static const size_t TOKENS[] = {0, 8, 12, 13, 269};
  for (size_t b = 0; b < sizeof BODIES / sizeof BODIES[0]; b++) {
    for (size_t t = 0; t < sizeof TOKENS / sizeof TOKENS[0]; t++) {
      uint8_t buf[700];
      const copal_span out = body_write(buf, sizeof buf, BYTES, BODIES[b], TOKENS[t]);
      for (size_t len = 0; len < out.len; len++) {
        const copal_span prefix = exact_copy(out, len);
        copal_msg m;
        size_t used;
        assert_int_equal(copal_msg_parse_stream(prefix, &m, &used), COPAL_EAGAIN);
        assert_true(used > len && used <= out.len);
        exact_free(prefix);
      }
    }
  }
}

static void messages_follow_one_another(void **state)
{
  (void)state;
  const copal_span two = LIT("\x00\xe1\x01\x43\x7f");
  copal_msg m;
  size_t used;
  assert_int_equal(copal_msg_parse_stream(two, &m, &used), COPAL_OK);
  assert_int_equal(used, 2);
  assert_int_equal(m.code, COPAL_CODE_CSM);
  assert_int_equal(copal_msg_parse_stream(copal_span_of(two.ptr + 2, 3), &m, &used), COPAL_OK);
  assert_int_equal(used, 3);
}

static void stream_format_errors(void **state)
{
  (void)state;
  copal_msg m;
  size_t used;
  assert_int_equal(copal_msg_parse_stream(LIT("\x0f"), &m, &used), COPAL_EFORMAT);
  assert_int_equal(copal_msg_parse_stream(LIT("\x10\x01\xff"), &m, &used), COPAL_EFORMAT);
  assert_int_equal(copal_msg_parse_stream(LIT("\x10\x01\xb1"), &m, &used), COPAL_EFORMAT);
  assert_int_equal(copal_msg_parse_stream(LIT("\x00\x20"), &m, &used), COPAL_ECLASS);
  assert_int_equal(copal_msg_parse_stream(LIT("\x00\xc1"), &m, &used), COPAL_ECLASS);
  assert_int_equal(copal_msg_parse_stream(LIT("\x00\x00"), &m, &used), COPAL_OK);
}

static void rfc8323_3_2_longest_announced_message_is_asked_for(void **state)
{
  (void)state;
  copal_msg m;
  size_t used;
  assert_int_equal(copal_msg_parse_stream(LIT("\xf0\xff\xff\xff\xff\x01"), &m, &used),
                   COPAL_EAGAIN);
  assert_true(used == (size_t)UINT32_MAX + 65805 + 6);
}

static void rfc8323_4_2_websocket_len_is_zero(void **state)
{
  (void)state;
  copal_msg m;
  assert_int_equal(copal_msg_parse_ws(LIT("\x01\x43\x7f\xff"
                                          "x"),
                                      &m),
                   COPAL_OK);
  assert_true(copal_span_is_equal(m.payload, LIT("x")));
  assert_int_equal(copal_msg_parse_ws(LIT("\x11\x43\x7f\x40"), &m), COPAL_EFORMAT);
  assert_int_equal(copal_msg_parse_ws(LIT("\x01\x43"), &m), COPAL_EFORMAT);
  assert_int_equal(copal_msg_parse_ws(LIT("\x01"), &m), COPAL_EFORMAT);
  assert_int_equal(copal_msg_parse_ws(LIT(""), &m), COPAL_EFORMAT);
  assert_int_equal(copal_msg_parse_ws(LIT("\x00\x21"), &m), COPAL_ECLASS);
}

static void parse_after_write_is_identity(void **state)
{
  (void)state;
  static uint8_t bytes[700], buf[8192];
  prng p = prng_init();
  prng_fill(&p, bytes, sizeof bytes);
  for (int round = 0; round < 4000; round++) {
    copal_opt opts[4];
    const size_t count = prng_below(&p, 5);
    uint32_t number = 0;
    for (size_t i = 0; i < count; i++) {
      number += (uint32_t)prng_len(&p);
      opts[i] = (copal_opt){(uint16_t)number, {bytes + prng_below(&p, 100), prng_len(&p)}};
    }
    const copal_msg m = {.code = COPAL_CODE_FETCH,
                         .token = {bytes + prng_below(&p, 100), prng_len(&p)},
                         .payload = {bytes + prng_below(&p, 100), prng_len(&p)}};
    const bool is_ws = prng_below(&p, 2) == 0;
    copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
    copal_msg back;
    size_t used = 0;
    if (is_ws) {
      assert_int_equal(copal_msg_write_ws(&w, &m, opts, count), COPAL_OK);
      assert_int_equal(copal_msg_parse_ws(copal_wr_done(&w), &back), COPAL_OK);
    } else {
      assert_int_equal(copal_msg_write_stream(&w, &m, opts, count), COPAL_OK);
      assert_int_equal(copal_msg_parse_stream(copal_wr_done(&w), &back, &used), COPAL_OK);
      assert_int_equal(used, w.len);
    }
    assert_int_equal(back.code, m.code);
    assert_true(copal_span_is_equal(back.token, m.token));
    assert_true(copal_span_is_equal(back.payload, m.payload));
    copal_wr again = copal_wr_init((copal_mspan){buf + w.len, sizeof buf - w.len});
    if (is_ws)
      assert_int_equal(copal_msg_write_ws(&again, &back, NULL, 0), COPAL_OK);
    else
      assert_int_equal(copal_msg_write_stream(&again, &back, NULL, 0), COPAL_OK);
    assert_true(copal_span_is_equal(copal_wr_done(&again), copal_wr_done(&w)));
  }
}

static void write_refuses_small_rooms_and_disorder(void **state)
{
  (void)state;
  uint8_t buf[16];
  const copal_opt opts[] = {{12, {NULL, 0}}, {11, {NULL, 0}}};
  const copal_msg m = {.code = COPAL_CODE_GET};
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  assert_int_equal(copal_msg_write_stream(&w, &m, opts, 2), COPAL_EINVAL);
  w = copal_wr_init((copal_mspan){buf, sizeof buf});
  assert_int_equal(copal_msg_write_ws(&w, &m, opts, 2), COPAL_EINVAL);
  w = copal_wr_init((copal_mspan){buf, 2});
  assert_int_equal(copal_msg_write_stream(&w, &m, opts, 1), COPAL_ENOSPC);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc8323_3_2_figure_6_message_without_options),
      cmocka_unit_test(rfc8323_5_4_ping_and_pong),
      cmocka_unit_test(rfc8323_3_2_len_at_its_edges),
      cmocka_unit_test(every_strict_prefix_asks_for_more),
      cmocka_unit_test(messages_follow_one_another),
      cmocka_unit_test(stream_format_errors),
      cmocka_unit_test(rfc8323_3_2_longest_announced_message_is_asked_for),
      cmocka_unit_test(rfc8323_4_2_websocket_len_is_zero),
      cmocka_unit_test(parse_after_write_is_identity),
      cmocka_unit_test(write_refuses_small_rooms_and_disorder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
