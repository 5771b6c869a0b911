/* SPDX-License-Identifier: Apache-2.0 */
/* Datagram messages. RFC 7252 sections 3 and 4, RFC 8974 section 2.1. */
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

/* A good datagram and its prefixes that are good as well, because they end behind an option or
 * inside the payload: a bit for each length. */
typedef struct vector {
  const char *name;
  copal_span bytes;
  uint64_t good_lengths;
} vector;

#define BIT(n)          ((uint64_t)1 << (n))
#define BITS(from, end) ((BIT((end) - (from)) - 1) << (from))
#define VECTOR(name, s, good)                                                                      \
  {                                                                                                \
    name, {(const uint8_t *)(s), sizeof(s) - 1}, (good)                                            \
  }

static const vector VECTORS[] = {
    VECTOR("RFC 7252 figure 16, request", "\x40\x01\x7d\x34\xbbtemperature", BIT(4)),
    VECTOR("RFC 7252 figure 16, response",
           "\x60\x45\x7d\x34\xff"
           "22.3 C",
           BIT(4) | BITS(6, 11)),
    VECTOR("RFC 7252 figure 17, request", "\x41\x01\x7d\x35\x20\xbbtemperature", BIT(5)),
    VECTOR("RFC 7252 figure 17, response",
           "\x61\x45\x7d\x35\x20\xff"
           "22.3 C",
           BIT(5) | BITS(7, 12)),
    VECTOR("Empty ACK", "\x60\x00\x7d\x38", 0),
    VECTOR("RST", "\x70\x00\x7d\x38", 0),
    VECTOR("ping", "\x40\x00\x00\x01", 0),
    VECTOR("NON with token of 8 bytes", "\x58\x02\xff\xff\1\2\3\4\5\6\7\x08", 0),
    VECTOR("RFC 8974 token of 12 bytes",
           "\x4c\x01\x00\x01"
           "abcdefghijkl",
           0),
    VECTOR("RFC 8974 token of 13 bytes",
           "\x4d\x01\x00\x01\x00"
           "abcdefghijklm",
           0),
};

enum { VECTOR_COUNT = sizeof VECTORS / sizeof VECTORS[0] };

static void good_vectors_parse_and_are_written_back(void **state)
{
  (void)state;
  for (size_t i = 0; i < VECTOR_COUNT; i++) {
    copal_msg m;
    uint8_t buf[64];
    assert_int_equal(copal_msg_parse(VECTORS[i].bytes, &m), COPAL_OK);
    copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
    assert_int_equal(copal_msg_write(&w, &m, NULL, 0), COPAL_OK);
    assert_true(copal_span_is_equal(copal_wr_done(&w), VECTORS[i].bytes));
  }
}

static void every_strict_prefix_is_rejected(void **state)
{
  (void)state;
  for (size_t i = 0; i < VECTOR_COUNT; i++) {
    for (size_t len = 0; len < VECTORS[i].bytes.len; len++) {
      const copal_span prefix = exact_copy(VECTORS[i].bytes, len);
      copal_msg m;
      const bool is_good = (VECTORS[i].good_lengths >> len & 1) != 0;
      const int expected = is_good ? COPAL_OK : len < 4 ? COPAL_ESHORT : COPAL_EFORMAT;
      if (copal_msg_parse(prefix, &m) != expected)
        fail_msg("%s, %zu bytes", VECTORS[i].name, len);
      exact_free(prefix);
    }
  }
}

static void every_smaller_room_is_refused(void **state)
{
  (void)state;
  for (size_t i = 0; i < VECTOR_COUNT; i++) {
    for (size_t cap = 0; cap < VECTORS[i].bytes.len; cap++) {
      copal_msg m;
      uint8_t *buf = malloc(cap > 0 ? cap : 1);
      assert_int_equal(copal_msg_parse(VECTORS[i].bytes, &m), COPAL_OK);
      copal_wr w = copal_wr_init((copal_mspan){buf, cap});
      assert_int_equal(copal_msg_write(&w, &m, NULL, 0), COPAL_ENOSPC);
      free(buf);
    }
  }
}

static void rfc7252_3_fields_of_a_message(void **state)
{
  (void)state;
  copal_msg m;
  assert_int_equal(copal_msg_parse(VECTORS[3].bytes, &m), COPAL_OK);
  assert_int_equal(m.type, COPAL_ACK);
  assert_int_equal(m.code, COPAL_CODE_CONTENT);
  assert_int_equal(m.mid, 0x7d35);
  assert_true(copal_span_is_equal(m.token, LIT("\x20")));
  assert_int_equal(m.options.len, 0);
  assert_true(copal_span_is_equal(m.payload, LIT("22.3 C")));
}

typedef struct bad {
  copal_span bytes;
  int err;
} bad;

#define BAD(s, err)                                                                                \
  {                                                                                                \
    {(const uint8_t *)(s), sizeof(s) - 1}, (err)                                                   \
  }

static const bad BAD_ONES[] = {
    BAD("", COPAL_ESHORT),
    BAD("\x00\x01\x00\x01", COPAL_EVERSION),
    BAD("\x80\x01\x00\x01", COPAL_EVERSION),
    BAD("\xc0\x01\x00\x01", COPAL_EVERSION),
    BAD("\x4f\x01\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", COPAL_EFORMAT), /* TKL 15 */
    BAD("\x42\x01\x00\x01\x01", COPAL_EFORMAT),                             /* token cut off */
    BAD("\x4d\x01\x00\x01", COPAL_EFORMAT),
    BAD("\x4e\x01\x00\x01\x00", COPAL_EFORMAT),
    BAD("\x40\x01\x00\x01\xff", COPAL_EFORMAT), /* marker and no payload */
    BAD("\x40\x01\x00\x01\xb1", COPAL_EFORMAT),
    BAD("\x40\x01\x00\x01\xf0", COPAL_EFORMAT),
    BAD("\x40\x01\x00\x01\x0f", COPAL_EFORMAT),
    BAD("\x40\x01\x00\x01\xe0\xfe\xf2\x10", COPAL_EFORMAT), /* number 65536 at the end, */
    BAD("\x40\x01\x00\x01\xe0\xfe\xf2\x10\x00\xff\x01", COPAL_EFORMAT), /* before a payload, */
    BAD("\x40\x01\x00\x01\xe0\xfe\xf2\x10\x0d\x00\0\0\0\0\0\0\0\0\0\0\0\0\0",
        COPAL_EFORMAT), /* before an option with a long header */
    BAD("\x40\x00\x00\x01\x00", COPAL_EEMPTY),
    BAD("\x41\x00\x00\x01\x00", COPAL_EEMPTY),
    BAD("\x41\x00\x00\x01", COPAL_EEMPTY),
    BAD("\x60\x00\x00\x01\xff\x01", COPAL_EEMPTY),
    BAD("\x70\x00\x00\x01\x00", COPAL_EEMPTY),
    BAD("\x50\x00\x00\x01", COPAL_ENONEMPTYNON),
    BAD("\x40\x20\x00\x01", COPAL_ECLASS), /* 1.00 */
    BAD("\x40\x60\x00\x01", COPAL_ECLASS), /* 3.00 */
    BAD("\x40\xc0\x00\x01", COPAL_ECLASS), /* 6.00 */
    BAD("\x40\xe1\x00\x01", COPAL_ECLASS), /* 7.01: signals are for streams */
    BAD("\x60\x01\x00\x01", COPAL_ENONEMPTY),
    BAD("\x70\x01\x00\x01", COPAL_ENONEMPTY),
    BAD("\x70\x45\x00\x01", COPAL_ENONEMPTY),
};

static void rfc7252_4_malformed_messages_have_their_error(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof BAD_ONES / sizeof BAD_ONES[0]; i++) {
    const copal_span copy = exact_copy(BAD_ONES[i].bytes, BAD_ONES[i].bytes.len);
    copal_msg m;
    const int err = copal_msg_parse(copy, &m);
    if (err != BAD_ONES[i].err)
      fail_msg("row %zu: %s", i, copal_err_name(err));
    /* What can be rejected is known well enough for that. */
    const bool is_known = err != COPAL_ESHORT && err != COPAL_EVERSION;
    assert_int_equal(m.mid, is_known ? 1 : 0);
    exact_free(copy);
  }
}

static void rfc8974_2_1_longest_token(void **state)
{
  (void)state;
  const size_t size = COPAL_TOKEN_EXTENDED_MAX;
  uint8_t *token = calloc(1, size + 1);
  uint8_t *buf = malloc(size + 6);
  copal_wr w = copal_wr_init((copal_mspan){buf, size + 6});
  copal_msg m = {.code = COPAL_CODE_GET, .token = {token, size}};
  assert_int_equal(copal_msg_write(&w, &m, NULL, 0), COPAL_OK);
  assert_memory_equal(buf, "\x4e\x01\x00\x00\xff\xff", 6);
  copal_msg back;
  assert_int_equal(copal_msg_parse(copal_wr_done(&w), &back), COPAL_OK);
  assert_int_equal(back.token.len, size);
  m.token.len++;
  w = copal_wr_init((copal_mspan){buf, size + 6});
  assert_int_equal(copal_msg_write(&w, &m, NULL, 0), COPAL_EINVAL);
  free(token);
  free(buf);
}

static void rfc8974_2_1_extended_lengths_at_the_edges(void **state)
{
  (void)state;
  static const struct {
    size_t len;
    copal_span head;
  } ROWS[] = {
      {12, {(const uint8_t *)"\x4c\x01\0\0", 4}},
      {13, {(const uint8_t *)"\x4d\x01\0\0\x00", 5}},
      {268, {(const uint8_t *)"\x4d\x01\0\0\xff", 5}},
      {269, {(const uint8_t *)"\x4e\x01\0\0\x00\x00", 6}},
      {270, {(const uint8_t *)"\x4e\x01\0\0\x00\x01", 6}},
  };
  static const uint8_t TOKEN[270] = {0};
  for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
    uint8_t buf[300];
    const copal_msg m = {.code = COPAL_CODE_GET, .token = {TOKEN, ROWS[i].len}};
    copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
    assert_int_equal(copal_msg_write(&w, &m, NULL, 0), COPAL_OK);
    assert_true(copal_span_has_prefix(copal_wr_done(&w), ROWS[i].head));
    assert_int_equal(w.len, ROWS[i].head.len + ROWS[i].len);
  }
}

static void empty_messages_are_four_bytes(void **state)
{
  (void)state;
  uint8_t buf[COPAL_EMPTY_SIZE];
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  assert_int_equal(copal_msg_write_empty(&w, COPAL_RST, 0x1234), COPAL_OK);
  assert_memory_equal(buf, "\x70\x00\x12\x34", 4);
  w = copal_wr_init((copal_mspan){buf, 3});
  assert_int_equal(copal_msg_write_empty(&w, COPAL_ACK, 1), COPAL_ENOSPC);
}

static void write_refuses_options_out_of_order(void **state)
{
  (void)state;
  uint8_t buf[32];
  const copal_opt opts[] = {{12, {NULL, 0}}, {11, {NULL, 0}}};
  const copal_msg m = {.code = COPAL_CODE_GET};
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  assert_int_equal(copal_msg_write(&w, &m, opts, 2), COPAL_EINVAL);
}

/* Random messages come back as they were given. */
static void parse_after_write_is_identity(void **state)
{
  (void)state;
  static uint8_t bytes[700], buf[8192];
  prng p = prng_init();
  prng_fill(&p, bytes, sizeof bytes);
  for (int round = 0; round < 5000; round++) {
    copal_opt opts[8];
    const size_t count = prng_below(&p, 9);
    uint32_t number = 0;
    for (size_t i = 0; i < count; i++) {
      number += (uint32_t)prng_len(&p);
      opts[i] = (copal_opt){(uint16_t)number, {bytes + prng_below(&p, 100), prng_len(&p)}};
    }
    const copal_msg m = {.type = (copal_type)prng_below(&p, 2),
                         .code = COPAL_CODE_POST,
                         .mid = (uint16_t)prng_below(&p, 65536),
                         .token = {bytes + prng_below(&p, 100), prng_len(&p)},
                         .payload = {bytes + prng_below(&p, 100), prng_len(&p)}};
    copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
    copal_msg back;
    assert_int_equal(copal_msg_write(&w, &m, opts, count), COPAL_OK);
    assert_int_equal(copal_msg_parse(copal_wr_done(&w), &back), COPAL_OK);
    assert_int_equal(back.type, m.type);
    assert_int_equal(back.mid, m.mid);
    assert_true(copal_span_is_equal(back.token, m.token));
    assert_true(copal_span_is_equal(back.payload, m.payload));
    copal_opt_iter it = copal_opt_iter_init(back.options);
    copal_opt opt;
    for (size_t i = 0; i < count; i++) {
      assert_true(copal_opt_next(&it, &opt));
      assert_int_equal(opt.number, opts[i].number);
      assert_true(copal_span_is_equal(opt.value, opts[i].value));
    }
    assert_false(copal_opt_next(&it, &opt));
    assert_int_equal(it.rd.err, COPAL_OK);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_vectors_parse_and_are_written_back),
      cmocka_unit_test(every_strict_prefix_is_rejected),
      cmocka_unit_test(every_smaller_room_is_refused),
      cmocka_unit_test(rfc7252_3_fields_of_a_message),
      cmocka_unit_test(rfc7252_4_malformed_messages_have_their_error),
      cmocka_unit_test(rfc8974_2_1_longest_token),
      cmocka_unit_test(rfc8974_2_1_extended_lengths_at_the_edges),
      cmocka_unit_test(empty_messages_are_four_bytes),
      cmocka_unit_test(write_refuses_options_out_of_order),
      cmocka_unit_test(parse_after_write_is_identity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
