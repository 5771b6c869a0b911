/* SPDX-License-Identifier: Apache-2.0 */
/* The text of the progress bar. */
#include "unit/cmd/copal/printed.h"

#include "cmd/copal/progress.h"

static void shows(size_t width, size_t first, size_t done, size_t total, const char *text)
{
  const progress p = {.width = width, .first = first};
  buf out = {0};
  progress_put(&p, done, total, 2 * COPAL_SECOND, &out);
  expect(&out, text);
}

static void of_a_known_size(void **state)
{
  (void)state;
  shows(80, 0, 2048, 4096, " 50% [==========>         ] 2.0 KiB of 4.0 KiB  1.0 KiB/s  0:02 left");
  shows(80, 0, 4096, 4096, "100% [====================] 4.0 KiB of 4.0 KiB  2.0 KiB/s  0:00 left");
  shows(80, 0, 1, 1 << 30, "  0% [>                   ] 1 B of 1.0 GiB  0 B/s  277:46:39 left");
}

static void a_narrow_terminal_gets_no_bar(void **state)
{
  (void)state;
  shows(40, 0, 2048, 4096, " 50% 2.0 KiB of 4.0 KiB  1.0 KiB/s  0:02 left");
}

static void of_an_unknown_size(void **state)
{
  (void)state;
  shows(80, 0, 3 << 20, 0, "3.0 MiB  1.5 MiB/s");
}

static void an_estimate_that_was_too_low_is_not_shown(void **state)
{
  (void)state;
  shows(80, 0, 2048, 1024, "2.0 KiB  1.0 KiB/s");
}

static void what_was_there_before_does_not_count_as_speed(void **state)
{
  (void)state;
  shows(40, 1024, 2048, 4096, " 50% 2.0 KiB of 4.0 KiB  512 B/s  0:04 left");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(of_a_known_size),
      cmocka_unit_test(a_narrow_terminal_gets_no_bar),
      cmocka_unit_test(of_an_unknown_size),
      cmocka_unit_test(an_estimate_that_was_too_low_is_not_shown),
      cmocka_unit_test(what_was_there_before_does_not_count_as_speed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
