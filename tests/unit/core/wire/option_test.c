/* SPDX-License-Identifier: Apache-2.0 */
/* Option runs. RFC 7252 sections 3.1, 3.2 and 5.4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/error.h"
#include "copal/option.h"
#include "copal/registry.h"
#include "core/wire/option_check.h"
#include "unit/core/wire/sample.h"

/* Walks a run to its end and returns what the iterator says of it. */
static int walk(copal_span options, size_t *count)
{
  copal_opt_iter it = copal_opt_iter_init(options);
  copal_opt opt;
  *count = 0;
  while (copal_opt_next(&it, &opt))
    ++*count;
  assert_false(copal_opt_next(&it, &opt));
  return it.rd.err;
}

static void rfc7252_3_1_delta_and_length_extensions(void **state)
{
  (void)state;
  static const struct {
    copal_span run;
    uint16_t number;
    size_t len;
  } ROWS[] = {
      {{(const uint8_t *)"\xc0", 1}, 12, 0},
      {{(const uint8_t *)"\xd0\x00", 2}, 13, 0},
      {{(const uint8_t *)"\xd0\xff", 2}, 268, 0},
      {{(const uint8_t *)"\xe0\x00\x00", 3}, 269, 0},
      {{(const uint8_t *)"\xe0\xfe\xf2", 3}, 65535, 0},
      {{(const uint8_t *)"\x1c"
                         "abcdefghijkl",
        13},
       1,
       12},
      {{(const uint8_t *)"\x1d\x00"
                         "abcdefghijklm",
        15},
       1,
       13},
      {{(const uint8_t *)"\xdd\x01\x00"
                         "abcdefghijklm",
        16},
       14,
       13},
  };
  for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
    copal_opt_iter it = copal_opt_iter_init(ROWS[i].run);
    copal_opt opt;
    assert_true(copal_opt_next(&it, &opt));
    assert_int_equal(opt.number, ROWS[i].number);
    assert_int_equal(opt.value.len, ROWS[i].len);
    assert_false(copal_opt_next(&it, &opt));
    assert_int_equal(it.rd.err, COPAL_OK);
  }
}

static void rfc7252_3_1_reserved_nibbles_are_format_errors(void **state)
{
  (void)state;
  size_t count;
  assert_int_equal(walk(LIT("\xf0"), &count), COPAL_EFORMAT);
  assert_int_equal(walk(LIT("\xf1\x00\x00"), &count), COPAL_EFORMAT);
  assert_int_equal(walk(LIT("\x0f"), &count), COPAL_EFORMAT);
  assert_int_equal(walk(LIT("\xdf\x00\x00\x00"), &count), COPAL_EFORMAT);
  assert_int_equal(walk(LIT("\xff"), &count), COPAL_EFORMAT);
}

static void rfc7252_3_1_number_above_65535_is_a_format_error(void **state)
{
  (void)state;
  size_t count;
  assert_int_equal(walk(LIT("\xe0\xfe\xf3"), &count), COPAL_EFORMAT);
  assert_int_equal(walk(LIT("\xe0\xff\xff"), &count), COPAL_EFORMAT);
  assert_int_equal(walk(LIT("\xe0\xfe\xf2\x10"), &count), COPAL_EFORMAT);
  assert_int_equal(count, 1);
  assert_int_equal(walk(LIT("\xe0\xfe\xf2\x00"), &count), COPAL_OK);
  assert_int_equal(count, 2);
}

static void every_prefix_inside_an_option_is_a_format_error(void **state)
{
  (void)state;
  /* One option of number 14 and one of number 283 with 13 bytes. */
  const copal_span run = LIT("\xd2\x01"
                             "ab"
                             "\xed\x00\x00\x00"
                             "abcdefghijklm");
  for (size_t len = 0; len <= run.len; len++) {
    const copal_span prefix = exact_copy(run, len);
    size_t count;
    const bool is_whole = len == 0 || len == 4 || len == run.len;
    assert_int_equal(walk(prefix, &count), is_whole ? COPAL_OK : COPAL_EFORMAT);
    exact_free(prefix);
  }
}

static void rfc7252_5_4_5_find_yields_the_first_instance(void **state)
{
  (void)state;
  copal_span value;
  const copal_span run = LIT("\xb1"
                             "a"
                             "\x01"
                             "b"
                             "\x11"
                             "\x3c"
                             "\x21\x07");
  assert_true(copal_opt_find(run, COPAL_OPT_URI_PATH, &value));
  assert_true(copal_span_is_equal(value, LIT("a")));
  assert_true(copal_opt_find(run, COPAL_OPT_CONTENT_FORMAT, &value));
  assert_int_equal(copal_opt_uint_or(run, COPAL_OPT_CONTENT_FORMAT, 9), 60);
  assert_int_equal(copal_opt_uint_or(run, COPAL_OPT_MAX_AGE, 9), 7);
  assert_int_equal(copal_opt_uint_or(run, COPAL_OPT_ACCEPT, 9), 9);
  assert_false(copal_opt_find(run, 13, &value));
  assert_false(copal_opt_find(copal_span_none(), 1, &value));
}

static void rfc7252_3_2_uint_accepts_leading_zeros_up_to_four_bytes(void **state)
{
  (void)state;
  uint32_t v = 7;
  assert_int_equal(copal_opt_uint(copal_span_none(), &v), COPAL_OK);
  assert_int_equal(v, 0);
  assert_int_equal(copal_opt_uint(LIT("\0\0\1"), &v), COPAL_OK);
  assert_int_equal(v, 1);
  assert_int_equal(copal_opt_uint(LIT("\xff\xff\xff\xff"), &v), COPAL_OK);
  assert_int_equal(v, UINT32_MAX);
  assert_int_equal(copal_opt_uint(LIT("\0\0\0\0\1"), &v), COPAL_EFORMAT);
  assert_int_equal(v, UINT32_MAX);
  assert_int_equal(copal_opt_uint_or(LIT("\xe5\0\0\0\0\0\0\1"), 269, 42), 42);
}

static void rfc7252_5_4_3_ill_sized_elective_option_counts_as_absent(void **state)
{
  (void)state;
  copal_span value;
  assert_true(copal_opt_find_valid(LIT("\x48"
                                       "12345678"),
                                   COPAL_OPT_ETAG, &value));
  assert_false(copal_opt_find_valid(LIT("\x49"
                                        "123456789"),
                                    COPAL_OPT_ETAG, &value));
  assert_false(copal_opt_find_valid(LIT("\x40"), COPAL_OPT_ETAG, &value));
  assert_false(copal_opt_find_valid(LIT("\x20"), 2, &value));
  assert_false(copal_opt_find_valid(copal_span_none(), COPAL_OPT_ETAG, &value));
}

static void put_writes_what_the_iterator_reads(void **state)
{
  (void)state;
  uint8_t buf[64];
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  copal_opt_wr o = copal_opt_wr_init(&w);
  copal_opt_put(&o, COPAL_OPT_URI_PATH, LIT("temperature"));
  copal_opt_put_uint(&o, COPAL_OPT_CONTENT_FORMAT, 0);
  copal_opt_put_uint(&o, COPAL_OPT_MAX_AGE, 0x12345678);
  copal_opt_put_uint(&o, COPAL_OPT_NO_RESPONSE, 26);
  assert_int_equal(w.err, COPAL_OK);
  const copal_span expected = LIT("\xbbtemperature\x10\x24\x12\x34\x56\x78\xd1\xe7\x1a");
  assert_true(copal_span_is_equal(copal_wr_done(&w), expected));
}

static void put_refuses_a_descending_number(void **state)
{
  (void)state;
  uint8_t buf[8];
  copal_wr w = copal_wr_init((copal_mspan){buf, sizeof buf});
  copal_opt_wr o = copal_opt_wr_init(&w);
  copal_opt_put(&o, 11, copal_span_none());
  copal_opt_put(&o, 11, copal_span_none());
  assert_int_equal(w.err, COPAL_OK);
  copal_opt_put(&o, 10, copal_span_none());
  assert_int_equal(w.err, COPAL_EINVAL);
  assert_int_equal(w.len, 2);
}

static void put_limits_the_value_to_what_a_length_can_say(void **state)
{
  (void)state;
  enum { LONGEST = 65804 };
  uint8_t *value = calloc(1, LONGEST + 1);
  uint8_t *room = malloc(LONGEST + 8);
  assert_non_null(value);
  assert_non_null(room);
  copal_wr w = copal_wr_init((copal_mspan){room, LONGEST + 8});
  copal_opt_wr o = copal_opt_wr_init(&w);
  copal_opt_put(&o, 1, copal_span_of(value, LONGEST));
  assert_int_equal(w.err, COPAL_OK);
  assert_memory_equal(room, "\x1e\xff\xff", 3);
  size_t count;
  assert_int_equal(walk(copal_wr_done(&w), &count), COPAL_OK);
  w = copal_wr_init((copal_mspan){room, LONGEST + 8});
  o = copal_opt_wr_init(&w);
  copal_opt_put(&o, 1, copal_span_of(value, LONGEST + 1));
  assert_int_equal(w.err, COPAL_EINVAL);
  free(value);
  free(room);
}

static void put_needs_every_byte_of_its_room(void **state)
{
  (void)state;
  uint8_t buf[8];
  for (size_t cap = 0; cap <= 5; cap++) {
    copal_wr w = copal_wr_init((copal_mspan){buf, cap});
    copal_opt_wr o = copal_opt_wr_init(&w);
    copal_opt_put(&o, 300, LIT("ab"));
    assert_int_equal(w.err, cap == 5 ? COPAL_OK : COPAL_ENOSPC);
  }
}

static void list_sorts_and_keeps_order_of_equals(void **state)
{
  (void)state;
  copal_opt opts[6];
  uint8_t uints[6][4];
  copal_opt_list l = copal_opt_list_init(opts, uints, 6);
  copal_opt_list_add_uint(&l, COPAL_OPT_ACCEPT, 0x3c);
  copal_opt_list_add(&l, COPAL_OPT_URI_PATH, LIT("a"));
  copal_opt_list_add_uint(&l, COPAL_OPT_MAX_AGE, 0x010203);
  copal_opt_list_add(&l, COPAL_OPT_URI_PATH, LIT("b"));
  copal_opt_list_add_uint(&l, COPAL_OPT_OBSERVE, 0);
  copal_opt_list_add(&l, COPAL_OPT_IF_MATCH, LIT("\1\2\3\4"));
  assert_int_equal(l.err, COPAL_OK);
  static const uint16_t NUMBERS[] = {1, 6, 11, 11, 14, 17};
  for (size_t i = 0; i < 6; i++)
    assert_int_equal(opts[i].number, NUMBERS[i]);
  assert_true(copal_span_is_equal(opts[0].value, LIT("\1\2\3\4")));
  assert_int_equal(opts[1].value.len, 0);
  assert_true(copal_span_is_equal(opts[2].value, LIT("a")));
  assert_true(copal_span_is_equal(opts[3].value, LIT("b")));
  assert_true(copal_span_is_equal(opts[4].value, LIT("\1\2\3")));
  assert_true(copal_span_is_equal(opts[5].value, LIT("\x3c")));
  copal_opt_list_add(&l, 1, LIT("c"));
  assert_int_equal(l.err, COPAL_ENOSPC);
  copal_opt_list_add_uint(&l, 1, 1);
  assert_int_equal(l.count, 6);
}

static void list_equals_a_stable_sort(void **state)
{
  (void)state;
  prng p = prng_init();
  for (int round = 0; round < 2000; round++) {
    copal_opt opts[12];
    uint8_t uints[12][4];
    uint32_t given[12];
    copal_opt_list l = copal_opt_list_init(opts, uints, 12);
    const size_t n = prng_below(&p, 13);
    for (size_t i = 0; i < n; i++) {
      given[i] = prng_below(&p, 5) << 24 | (uint32_t)i;
      copal_opt_list_add_uint(&l, (uint16_t)(given[i] >> 24), given[i]);
    }
    assert_int_equal(l.count, n);
    uint32_t before = 0;
    for (size_t i = 0; i < n; i++) {
      uint32_t v;
      assert_int_equal(copal_opt_uint(opts[i].value, &v), COPAL_OK);
      assert_int_equal(v >> 24, opts[i].number);
      assert_true(i == 0 || v > before);
      before = v;
    }
  }
}

enum {
  KNOWN = COPAL_CRITICAL_BIT(COPAL_OPT_URI_PATH) | COPAL_CRITICAL_BIT(COPAL_OPT_URI_HOST) |
          COPAL_CRITICAL_BIT(COPAL_OPT_ACCEPT) | COPAL_CRITICAL_BIT(COPAL_OPT_IF_NONE_MATCH),
};

static void rfc7252_5_4_1_unknown_critical_option_is_named(void **state)
{
  (void)state;
  copal_opt_sight sight;
  assert_int_equal(copal_opt_check(LIT("\xb1"
                                       "a"),
                                   KNOWN, &sight),
                   COPAL_OK);
  assert_int_equal(copal_opt_check(copal_span_none(), 0, &sight), COPAL_OK);
  assert_int_equal(copal_opt_check(LIT("\x90"), KNOWN, &sight), COPAL_EOPTION);
  assert_int_equal(sight.offender, COPAL_OPT_OSCORE);
  assert_int_equal(copal_opt_check(LIT("\xe0\xfe\xf2"), KNOWN, &sight), COPAL_EOPTION);
  assert_int_equal(sight.offender, 65535);
  assert_int_equal(copal_opt_check(LIT("\xd0\x0c"), UINT32_MAX, &sight), COPAL_EOPTION);
  assert_int_equal(sight.offender, 25); /* never registered, so nobody can know its length */
}

static void rfc7252_5_4_1_unknown_elective_option_is_ignored(void **state)
{
  (void)state;
  copal_opt_sight sight;
  assert_int_equal(copal_opt_check(LIT("\x20\xd0\x71\xd0\x01"), 0, &sight), COPAL_OK);
  assert_int_equal(copal_opt_check(LIT("\xe0\xfe\xf1"), 0, &sight), COPAL_OK);
}

static void rfc7252_5_4_3_ill_sized_critical_option_is_unrecognised(void **state)
{
  (void)state;
  copal_opt_sight sight;
  assert_int_equal(copal_opt_check(LIT("\x30"), KNOWN, &sight), COPAL_EOPTION);
  assert_int_equal(sight.offender, COPAL_OPT_URI_HOST);
  assert_int_equal(copal_opt_check(LIT("\x51\x00"), KNOWN, &sight), COPAL_EOPTION);
  assert_int_equal(sight.offender, COPAL_OPT_IF_NONE_MATCH);
  assert_int_equal(copal_opt_check(LIT("\xd3\x04\x00\x00\x00"), KNOWN, &sight), COPAL_EOPTION);
  assert_int_equal(sight.offender, COPAL_OPT_ACCEPT);
  assert_int_equal(copal_opt_check(LIT("\x49"
                                       "123456789"),
                                   KNOWN, &sight),
                   COPAL_OK);
}

static void rfc7252_5_4_5_supernumerary_critical_option_is_unrecognised(void **state)
{
  (void)state;
  copal_opt_sight sight;
  assert_int_equal(copal_opt_check(LIT("\xd1\x04\x32\x01\x32"), KNOWN, &sight), COPAL_EOPTION);
  assert_int_equal(sight.offender, COPAL_OPT_ACCEPT);
  assert_int_equal(copal_opt_check(LIT("\xb0\x00\x00"), KNOWN, &sight), COPAL_OK);
  assert_int_equal(copal_opt_check(LIT("\xc1\x32\x01\x32"), KNOWN, &sight), COPAL_OK);
}

/* Numbers share bits: absence is certain, presence is not. */
static void check_tells_which_options_are_absent(void **state)
{
  (void)state;
  copal_opt_sight sight;
  assert_int_equal(copal_opt_check(copal_span_none(), 0, &sight), COPAL_OK);
  assert_int_equal(sight.absent, UINT32_MAX);
  assert_int_equal(copal_opt_check(LIT("\xb1"
                                       "a\x10\xd1\xe3\x01"), /* 11, 12, 252 */
                                   KNOWN, &sight),
                   COPAL_OK);
  assert_int_equal(sight.absent, ~(1u << 11 | 1u << 12 | 1u << (252 & 31)));
  assert_false(copal_opt_is_absent(sight.absent, COPAL_OPT_ECHO));
  assert_false(copal_opt_is_absent(sight.absent, COPAL_OPT_URI_PATH));
  assert_true(copal_opt_is_absent(sight.absent, COPAL_OPT_OBSERVE));
  assert_true(copal_opt_is_absent(sight.absent, COPAL_OPT_BLOCK1));
  assert_int_equal(copal_opt_check(LIT("\x90"), KNOWN, &sight), COPAL_EOPTION);
  assert_int_equal(sight.absent, 0); /* not seen to the end: nothing is known */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_3_1_delta_and_length_extensions),
      cmocka_unit_test(rfc7252_3_1_reserved_nibbles_are_format_errors),
      cmocka_unit_test(rfc7252_3_1_number_above_65535_is_a_format_error),
      cmocka_unit_test(every_prefix_inside_an_option_is_a_format_error),
      cmocka_unit_test(rfc7252_5_4_5_find_yields_the_first_instance),
      cmocka_unit_test(rfc7252_3_2_uint_accepts_leading_zeros_up_to_four_bytes),
      cmocka_unit_test(check_tells_which_options_are_absent),
      cmocka_unit_test(rfc7252_5_4_3_ill_sized_elective_option_counts_as_absent),
      cmocka_unit_test(put_writes_what_the_iterator_reads),
      cmocka_unit_test(put_refuses_a_descending_number),
      cmocka_unit_test(put_limits_the_value_to_what_a_length_can_say),
      cmocka_unit_test(put_needs_every_byte_of_its_room),
      cmocka_unit_test(list_sorts_and_keeps_order_of_equals),
      cmocka_unit_test(list_equals_a_stable_sort),
      cmocka_unit_test(rfc7252_5_4_1_unknown_critical_option_is_named),
      cmocka_unit_test(rfc7252_5_4_1_unknown_elective_option_is_ignored),
      cmocka_unit_test(rfc7252_5_4_3_ill_sized_critical_option_is_unrecognised),
      cmocka_unit_test(rfc7252_5_4_5_supernumerary_critical_option_is_unrecognised),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
