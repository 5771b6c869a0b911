/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional query parameters by section of draft-ietf-core-conditional-attributes-12, with an
 * hour passing in no time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "copal/option.h"
#include "copal/registry.h"
#include "service/conditions.h"
#include "store/store.h"

/* Parses the parameters; returns the code of the problem, or 0. */
static copal_code parse(conditions *c, const char *const *queries, size_t count)
{
  uint8_t room[256];
  problem why;
  copal_wr w = copal_wr_init((copal_mspan){room, sizeof room});
  copal_opt_wr o = copal_opt_wr_init(&w);
  for (size_t i = 0; i < count; i++)
    copal_opt_put(&o, COPAL_OPT_URI_QUERY, copal_span_str(queries[i]));
  assert_int_equal(w.err, 0);
  if (conditions_parse(c, copal_wr_done(&w), &why))
    return 0;
  assert_true(strlen(why.detail) > 8);
  return why.code;
}

#define PARSE(c, ...)                                                                              \
  parse(c, (const char *const[]){__VA_ARGS__},                                                     \
        sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static conditions_value number(double v)
{
  return (conditions_value){.is_number = true, .number = v};
}

static conditions_value truth(bool v)
{
  return (conditions_value){.is_truth = true, .truth = v};
}

static conditions_state begun(const conditions *c, conditions_value v)
{
  conditions_state s;
  conditions_begin(&s, c, &v, 0);
  return s;
}

static bool changes_to(conditions_state *s, conditions_value v, copal_time now)
{
  copal_time again;
  return conditions_judge(s, &v, true, now, &again);
}

static void periods_are_seconds_with_fractions(void **state)
{
  (void)state;
  conditions c;
  assert_int_equal(PARSE(&c, "c.pmin=0.01", "c.pmax=\"20\"", "x=1"), 0);
  assert_int_equal(c.pmin, 10000);
  assert_int_equal(c.pmax, 20000000);
  assert_int_equal(PARSE(&c, "c.pmin=0.00000001"), 0);
  assert_int_equal(c.pmin, 1);
  assert_int_equal(PARSE(&c, "c.pmax=999999999999999999999999999999"), 0);
  assert_int_equal(c.pmax, UINT64_C(4294967295000000));
}

static void decimals_have_no_exponent(void **state)
{
  (void)state;
  conditions c;
  assert_int_equal(PARSE(&c, "c.gt=-.5", "c.lt=+7."), 0);
  assert_true(c.gt == -0.5 && c.lt == 7);
  static const char *const bad[] = {"c.gt=",    "c.gt=.",  "c.gt=-",   "c.gt=1e3", "c.gt=nan",
                                    "c.gt=0x1", "c.gt=1 ", "c.gt=1,5", "c.gt=\"1", "c.gt=1.2.3"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(PARSE(&c, bad[i]), COPAL_CODE_BAD_REQUEST);
}

static void contradictions_are_bad_requests(void **state)
{
  (void)state;
  conditions c;
  assert_int_equal(PARSE(&c, "c.pmin=2", "c.pmax=1.9"), COPAL_CODE_BAD_REQUEST);
  assert_int_equal(PARSE(&c, "c.pmin=2", "c.pmax=2"), 0);
  assert_int_equal(PARSE(&c, "c.epmin=2", "c.epmax=2"), COPAL_CODE_BAD_REQUEST);
  assert_int_equal(PARSE(&c, "c.st=0"), COPAL_CODE_BAD_REQUEST);
  assert_int_equal(PARSE(&c, "c.band"), COPAL_CODE_BAD_REQUEST);
  assert_int_equal(PARSE(&c, "c.con=1", "c.con=1"), COPAL_CODE_BAD_REQUEST);
  assert_int_equal(PARSE(&c, "c.edge=10"), COPAL_CODE_BAD_REQUEST);
  assert_int_equal(PARSE(&c, "c.pmi=1"), COPAL_CODE_BAD_REQUEST);
}

static void values_are_read_from_their_formats(void **state)
{
  (void)state;
  conditions_value v = conditions_value_of(STORE_NO_FORMAT, copal_span_str(" -1.5e2\n"));
  assert_true(v.is_number && v.number == -150 && !v.is_truth);
  v = conditions_value_of(COPAL_CF_TEXT_PLAIN, copal_span_str("1"));
  assert_true(v.is_number && v.is_truth && v.truth);
  v = conditions_value_of(COPAL_CF_JSON, copal_span_str("false"));
  assert_true(!v.is_number && v.is_truth && !v.truth);
  v = conditions_value_of(COPAL_CF_SENML_JSON, copal_span_str("[{\"bn\":\"a\",\"vb\":true}]"));
  assert_true(v.is_truth && v.truth);
  static const char *const none[] = {"", " ", "1e999", "inf", "0x10", "1 2", "--1", "e"};
  for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
    assert_false(conditions_value_of(COPAL_CF_TEXT_PLAIN, copal_span_str(none[i])).is_number);
  assert_false(conditions_value_of(COPAL_CF_OCTET_STREAM, copal_span_str("1")).is_number);
  assert_false(conditions_value_of(COPAL_CF_SENML_JSON,
                                   copal_span_str("[{\"n\":\"a\",\"v\":1},{\"n\":\"b\",\"v\":2}]"))
                   .is_number);
  assert_false(conditions_value_of(COPAL_CF_SENML_CBOR, copal_span_str("\x81\xa1")).is_number);
}

static void crossing_is_seen_from_the_last_report(void **state)
{
  (void)state;
  conditions c;
  assert_int_equal(PARSE(&c, "c.gt=25"), 0);
  conditions_state s = begun(&c, number(20));
  assert_false(changes_to(&s, number(25), 1));
  assert_true(changes_to(&s, number(25.1), 2));
  assert_false(changes_to(&s, number(99), 3));
  assert_true(changes_to(&s, number(25), 4));
}

static void edge_is_seen_from_the_last_sample(void **state)
{
  (void)state;
  conditions c;
  assert_int_equal(PARSE(&c, "c.edge=1"), 0);
  conditions_state s = begun(&c, truth(true));
  assert_false(changes_to(&s, truth(true), 1));
  assert_false(changes_to(&s, truth(false), 2));
  assert_true(changes_to(&s, truth(true), 3));
}

static void minimum_period_waits_and_then_tells_the_newest(void **state)
{
  (void)state;
  conditions c;
  copal_time again;
  const conditions_value v = number(3);
  assert_int_equal(PARSE(&c, "c.pmin=3600", "c.st=1"), 0);
  conditions_state s = begun(&c, number(0));
  assert_false(changes_to(&s, number(2), 5));
  assert_false(conditions_judge(&s, &v, true, 6, &again));
  assert_int_equal(again, UINT64_C(3600) * COPAL_SECOND);
  assert_false(conditions_judge(&s, &v, false, again - 1, &again));
  assert_true(conditions_judge(&s, &v, false, again, &again));
  assert_int_equal(again, COPAL_NEVER);
  assert_true(s.reported.number == 3);
}

static void maximum_period_tells_without_a_change(void **state)
{
  (void)state;
  conditions c;
  copal_time again;
  const conditions_value v = number(0);
  assert_int_equal(PARSE(&c, "c.pmax=10", "c.gt=5"), 0);
  conditions_state s = begun(&c, v);
  assert_false(conditions_judge(&s, &v, false, 1, &again));
  assert_int_equal(again, 10 * COPAL_SECOND);
  assert_true(conditions_judge(&s, &v, false, again, &again));
  assert_int_equal(again, 20 * COPAL_SECOND);
}

static void without_thresholds_every_change_counts(void **state)
{
  (void)state;
  conditions c;
  assert_int_equal(PARSE(&c, "c.con=1"), 0);
  conditions_state s = begun(&c, (conditions_value){.is_number = false});
  assert_true(changes_to(&s, (conditions_value){.is_number = false}, 1));
  copal_time again;
  assert_false(conditions_judge(&s, &s.reported, false, 2, &again));
}

static void evaluation_waits_for_its_period(void **state)
{
  (void)state;
  conditions c;
  copal_time again;
  const conditions_value low = number(0);
  assert_int_equal(PARSE(&c, "c.epmin=10", "c.gt=5"), 0);
  conditions_state s = begun(&c, low);
  assert_false(changes_to(&s, number(9), 1));
  assert_false(conditions_judge(&s, &low, true, 2, &again));
  assert_int_equal(again, 10 * COPAL_SECOND);
  assert_false(conditions_judge(&s, &low, false, again, &again)); /* the peak was not sampled */
  assert_int_equal(again, COPAL_NEVER);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(periods_are_seconds_with_fractions),
      cmocka_unit_test(decimals_have_no_exponent),
      cmocka_unit_test(contradictions_are_bad_requests),
      cmocka_unit_test(values_are_read_from_their_formats),
      cmocka_unit_test(crossing_is_seen_from_the_last_report),
      cmocka_unit_test(edge_is_seen_from_the_last_sample),
      cmocka_unit_test(minimum_period_waits_and_then_tells_the_newest),
      cmocka_unit_test(maximum_period_tells_without_a_change),
      cmocka_unit_test(without_thresholds_every_change_counts),
      cmocka_unit_test(evaluation_waits_for_its_period),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
