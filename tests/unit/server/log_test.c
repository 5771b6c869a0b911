/* SPDX-License-Identifier: Apache-2.0 */
/* Structured log: formats, escaping, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copal/error.h"
#include "server/log.h"

/* 2001-09-09T01:46:40.123Z */
enum { UNIX_US_MS = 123456 };
#define UNIX_US (1000000000u * (uint64_t)1000000 + UNIX_US_MS)

static const char *line_of(bool is_json, const log_field *fields, size_t count)
{
  static char out[LOG_LINE_MAX + 1];
  const size_t len = log_format_line(is_json, LOG_LEVEL_INFO, UNIX_US, "event", fields, count, out);
  assert_true(len <= LOG_LINE_MAX);
  out[len] = '\0';
  return out;
}

static void log_text_lines(void **state)
{
  (void)state;
  const log_field fields[] = {log_text("a", "bare"), log_text("b", "two words"), log_text("c", ""),
                              log_text("d", "x=\"y\""), log_number("n", 42)};
  assert_string_equal(line_of(false, fields, 5),
                      "2001-09-09T01:46:40.123Z info  event a=bare b=\"two words\" c=\"\" "
                      "d=\"x=\\\"y\\\"\" n=42\n");
}

static void log_json_lines(void **state)
{
  (void)state;
  const log_field fields[] = {log_text("a", "q\"b\\s\n"), log_number("n", UINT64_MAX)};
  assert_string_equal(line_of(true, fields, 2),
                      "{\"time\":\"2001-09-09T01:46:40.123Z\",\"level\":\"info\","
                      "\"event\":\"event\",\"a\":\"q\\\"b\\\\s\\u000a\","
                      "\"n\":18446744073709551615}\n");
}

static void log_bytes_that_are_no_utf8_are_replaced(void **state)
{
  (void)state;
  static const struct {
    const char *in, *out;
  } rows[] = {
      {"\xc3\xa9", "\xc3\xa9"},
      {"\xe2\x82\xac", "\xe2\x82\xac"},
      {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
      {"\xc3", "\\ufffd"},
      {"\xc0\x80", "\\ufffd\\ufffd"},
      {"\xe0\x80\x80", "\\ufffd\\ufffd\\ufffd"},
      {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},
      {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
      {"\xff", "\\ufffd"},
      {"\x7f", "\\u007f"},
      {"a\xc2\x9b\x33m", "a\\u009b3m"}, /* controls of ISO 6429 */
      {"\xc2\xa0", "\xc2\xa0"},
      {"\xe2\x80\xa8", "\\u2028"}, /* ends a line where the log is read */
      {"a\xe2\x80\xae\xd7\x90", "a\\u202e\xd7\x90"},
      {"\xe2\x81\xa6\xef\xbb\xbf", "\\u2066\\ufeff"},
      {"a\xe3\x85\xa4\xf3\xa0\x81\x81", "a\\u3164\\udb40\\udc41"}, /* not seen */
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char expected[64];
    const log_field field = log_text("x", rows[i].in);
    snprintf(expected, sizeof expected, ",\"x\":\"%s\"}\n", rows[i].out);
    assert_non_null(strstr(line_of(true, &field, 1), expected));
  }
}

static void log_fields_that_do_not_fit_are_left_out_whole(void **state)
{
  (void)state;
  char *big = malloc(LOG_LINE_MAX);
  memset(big, 'x', LOG_LINE_MAX - 1);
  big[LOG_LINE_MAX - 1] = '\0';
  const log_field fields[] = {log_number("a", 1), log_text("big", big), log_number("b", 2)};
  const char *line = line_of(true, fields, 3);
  assert_null(strstr(line, "big"));
  assert_non_null(strstr(line, ",\"a\":1,\"b\":2}\n"));
  free(big);
}

static void log_words_and_back(void **state)
{
  (void)state;
  for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
    assert_int_equal(log_level_of(log_level_name((log_level)i)), i);
  for (int i = LOG_FORMAT_AUTO; i <= LOG_FORMAT_JSON; i++)
    assert_int_equal(log_format_of(log_format_name((log_format)i)), i);
  assert_int_equal(log_level_of("loud"), COPAL_ENOTFOUND);
  assert_int_equal(log_format_of("xml"), COPAL_ENOTFOUND);
}

/* Lines in a pipe; reads and counts them. */
static int count_lines(int fd)
{
  char buf[65536];
  int lines = 0;
  ssize_t n;
  while ((n = read(fd, buf, sizeof buf)) > 0)
    for (ssize_t i = 0; i < n; i++)
      lines += buf[i] == '\n';
  return lines;
}

static void log_is_silent_below_its_level(void **state)
{
  (void)state;
  int fds[2];
  logger l;
  assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
  log_init(&l, fds[1], LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
  LOG(&l, LOG_LEVEL_INFO, "no", log_number("a", 1));
  assert_int_equal(count_lines(fds[0]), 0);
  LOG(&l, LOG_LEVEL_WARN, "yes", log_number("a", 1));
  LOG(&l, LOG_LEVEL_ERROR, "yes", log_number("a", 1));
  assert_int_equal(count_lines(fds[0]), 2);
  close(fds[0]);
  close(fds[1]);
}

static void log_limit_cuts_bursts_and_tells_how_many(void **state)
{
  (void)state;
  int fds[2];
  logger l;
  char buf[LOG_LINE_MAX];
  copal_time now = 5 * COPAL_SECOND;
  const log_field field = log_text("peer", "a");
  assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
  log_init(&l, fds[1], LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
  for (int i = 0; i < 100; i++)
    log_limited(&l, LOG_LEVEL_DEBUG, "e", "a", &field, 1, now);
  assert_int_equal(count_lines(fds[0]), LOG_LIMIT_BURST);
  now += LOG_LIMIT_INTERVAL;
  log_limited(&l, LOG_LEVEL_DEBUG, "e", "a", &field, 1, now);
  const ssize_t n = read(fds[0], buf, sizeof buf - 1);
  assert_true(n > 0);
  buf[n] = '\0';
  assert_non_null(strstr(buf, "suppressed=95\n"));
  log_limited(&l, LOG_LEVEL_DEBUG, "e", "a", &field, 1, now);
  assert_int_equal(count_lines(fds[0]), 0);
  close(fds[0]);
  close(fds[1]);
}

static void log_limit_holds_for_ever_new_subjects(void **state)
{
  (void)state;
  int fds[2];
  logger l;
  int lines = 0;
  assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
  log_init(&l, fds[1], LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
  for (int i = 0; i < 10000; i++) {
    char subject[16];
    snprintf(subject, sizeof subject, "%d", i);
    const log_field field = log_text("peer", subject);
    log_limited(&l, LOG_LEVEL_DEBUG, "e", subject, &field, 1, COPAL_SECOND);
    lines += count_lines(fds[0]);
  }
  assert_true(lines >= LOG_ALL_BURST && lines <= LOG_ALL_BURST + 10);
  close(fds[0]);
  close(fds[1]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(log_text_lines),
      cmocka_unit_test(log_json_lines),
      cmocka_unit_test(log_bytes_that_are_no_utf8_are_replaced),
      cmocka_unit_test(log_fields_that_do_not_fit_are_left_out_whole),
      cmocka_unit_test(log_words_and_back),
      cmocka_unit_test(log_is_silent_below_its_level),
      cmocka_unit_test(log_limit_cuts_bursts_and_tells_how_many),
      cmocka_unit_test(log_limit_holds_for_ever_new_subjects),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
