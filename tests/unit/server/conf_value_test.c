/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration with units. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include "copal/error.h"
#include "server/conf_value.h"

static void expect(const char *text, conf_unit unit, uint64_t value)
{
  uint64_t got = 0;
  assert_int_equal(conf_value_parse(text, unit, &got), COPAL_OK);
  assert_int_equal(got, value);
}

static void refuse(const char *text, conf_unit unit, int why)
{
  uint64_t got = 0;
  assert_int_equal(conf_value_parse(text, unit, &got), why);
}

static void value_sizes(void **state)
{
  (void)state;
  expect("0", CONF_BYTES, 0);
  expect("1500", CONF_BYTES, 1500);
  expect("1500 B", CONF_BYTES, 1500);
  expect("4 MiB", CONF_BYTES, 4u << 20);
  expect("4MiB", CONF_BYTES, 4u << 20);
  expect("1.5 KiB", CONF_BYTES, 1536);
  expect("64 kB", CONF_BYTES, 64000);
  expect("2 GiB", CONF_BYTES, (uint64_t)2 << 30);
  refuse("0.3 B", CONF_BYTES, COPAL_EFORMAT);
  refuse("4 mib", CONF_BYTES, COPAL_EFORMAT);
  refuse("4 s", CONF_BYTES, COPAL_EFORMAT);
  refuse("99999999999999 GiB", CONF_BYTES, COPAL_EINVAL);
}

static void value_durations(void **state)
{
  (void)state;
  expect("0", CONF_DURATION, 0);
  expect("500 ms", CONF_DURATION, 500000);
  expect("2.5 s", CONF_DURATION, 2500000);
  expect("1 min", CONF_DURATION, 60000000);
  expect("1 h", CONF_DURATION, 3600000000u);
  expect("7 us", CONF_DURATION, 7);
  refuse("5", CONF_DURATION, COPAL_EFORMAT);
  refuse("1.5 us", CONF_DURATION, COPAL_EFORMAT);
  expect("60 s", CONF_SECONDS, 60);
  expect("1 h", CONF_SECONDS, 3600);
  expect("1.5 min", CONF_SECONDS, 90);
  refuse("500 ms", CONF_SECONDS, COPAL_EFORMAT);
}

static void value_malformed_numbers(void **state)
{
  (void)state;
  static const char *const bad[] = {"", " ", "-1", "+1", "x", ".5", "1.", "1..2", "1.2.3", "1 2"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    refuse(bad[i], CONF_PLAIN, COPAL_EFORMAT);
  refuse("99999999999999999999999", CONF_PLAIN, COPAL_EINVAL);
  refuse("1.00000000000000000001", CONF_PLAIN, COPAL_EINVAL);
}

static void value_text_reads_back_as_the_same(void **state)
{
  (void)state;
  static const uint64_t values[] = {0,       1,        999,         1000,     1024,
                                    1500000, 60000000, 3600000000u, 4u << 20, UINT64_MAX};
  for (int unit = CONF_PLAIN; unit <= CONF_SECONDS; unit++) {
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
      char text[CONF_VALUE_TEXT_SIZE];
      conf_value_format(values[i], (conf_unit)unit, text);
      if (values[i] != UINT64_MAX)
        expect(text, (conf_unit)unit, values[i]);
    }
  }
  char text[CONF_VALUE_TEXT_SIZE];
  conf_value_format(4u << 20, CONF_BYTES, text);
  assert_string_equal(text, "4 MiB");
  conf_value_format(247000000, CONF_DURATION, text);
  assert_string_equal(text, "247 s");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(value_sizes),
      cmocka_unit_test(value_durations),
      cmocka_unit_test(value_malformed_numbers),
      cmocka_unit_test(value_text_reads_back_as_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
