/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: what is read, what is refused and how that is reported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copal/error.h"
#include "server/conf.h"
#include "server/conf_key.h"
#include "server/conf_scan.h"

static char file_name[64];

static void write_file(const char *text)
{
  snprintf(file_name, sizeof file_name, "/tmp/copal-conf-test-XXXXXX");
  const int fd = mkstemp(file_name);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  close(fd);
}

/* Reads and checks a text as configuration file. */
static int read_text(conf *c, const char *text, conf_errors *errors)
{
  *errors = (conf_errors){.count = 0};
  write_file(text);
  conf_init(c);
  int rc = conf_read_file(c, file_name, errors);
  if (rc == COPAL_OK)
    rc = conf_check(c, errors);
  unlink(file_name);
  return rc;
}

/* The text is refused, and the complaint has this line number and contains this text. */
static void refuse(const char *text, int line, const char *complaint)
{
  conf c;
  conf_errors errors;
  char place[128];
  assert_int_equal(read_text(&c, text, &errors), COPAL_EINVAL);
  snprintf(place, sizeof place, "%s:%d: ", file_name, line);
  if (strstr(errors.text, complaint) == NULL || (line > 0 && strstr(errors.text, place) == NULL))
    fail_msg("expected \"%s\" at line %d, got: %s", complaint, line, errors.text);
  conf_wipe(&c);
}

static void conf_defaults_are_valid(void **state)
{
  (void)state;
  conf c;
  conf_errors errors = {.count = 0};
  conf_init(&c);
  assert_int_equal(conf_check(&c, &errors), COPAL_OK);
  for (size_t i = 0; i < conf_key_count; i++) {
    const conf_key *k = &conf_keys[i];
    if (k->kind == CONF_NUMBER || k->kind == CONF_FACTOR)
      assert_in_range(conf_key_get(&c, k), k->min, k->max);
  }
  conf_wipe(&c);
}

static void conf_reads_values_of_every_kind(void **state)
{
  (void)state;
  conf c;
  conf_errors errors;
  assert_int_equal(read_text(&c,
                             "# a comment\n"
                             "listen = [\"coap://127.0.0.1:5700\", \"coap://[::1]\"]\n"
                             "names = \"example.org\"\n"
                             "drain_timeout = \"1.5 s\"\n"
                             "log = { level = \"debug\" }\n"
                             "server: { receive_buffer = \"8 MiB\"; batch = 32; }\n"
                             "transmission = { ack_timeout = \"3 s\"; ack_random_factor = 1.25 }\n"
                             "limits = { exchanges = 100; block = 64 }\n"
                             "resources = { count = 5000000000L; default_max_age = \"2 min\" }\n",
                             &errors),
                   COPAL_OK);
  assert_int_equal(c.listen.count, 2);
  assert_string_equal(c.listen.items[1], "coap://[::1]");
  assert_int_equal(c.names.count, 1);
  assert_string_equal(c.names.items[0], "example.org");
  assert_int_equal(c.drain_timeout, 1500000);
  assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
  assert_int_equal(c.udp.rcvbuf, 8u << 20);
  assert_int_equal(c.udp.batch, 32);
  assert_int_equal(c.params.ack_timeout, 3 * COPAL_SECOND);
  assert_int_equal(c.params.ack_random_percent, 125);
  assert_int_equal(c.exchanges, 100);
  assert_int_equal(c.block, 64);
  assert_int_equal(c.store_resources, 5000000000u);
  assert_int_equal(c.limits.default_max_age_s, 120);
  conf_wipe(&c);
}

static void conf_unknown_keys_are_reported_with_what_is_known(void **state)
{
  (void)state;
  refuse("\nfoo = 1\n", 2, "foo: unknown key; known here: listen names");
  refuse("limits = {\n  exchange = 5\n}\n", 2,
         "limits.exchange: unknown key; known here: exchanges");
  refuse("logg = { level = \"info\" }\n", 1, "logg: unknown key");
}

static void conf_values_of_the_wrong_kind_are_reported(void **state)
{
  (void)state;
  refuse("log = \"info\"\n", 1, "log: unknown key");
  refuse("limits = { exchanges = \"many\" }\n", 1, "limits.exchanges: a number such as 100");
  refuse("limits = { exchanges = true }\n", 1, "a number such as 100");
  refuse("limits = { exchanges = 1.5 }\n", 1, "a number such as 100");
  refuse("limits = { exchanges = [1] }\n", 1, "a number such as 100");
  refuse("limits = { chunk = \"5 s\" }\n", 1, "a size such as");
  refuse("drain_timeout = 5\n", 1, "a duration with its unit");
  refuse("resources = { default_max_age = 60 }\n", 1, "whole seconds with a unit");
  refuse("transmission = { ack_random_factor = \"1.5\" }\n", 1, "a number such as 1.5");
  refuse("log = { level = \"loud\" }\n", 1, "log.level: one of these is expected: \"error\"");
  refuse("log = { level = 3 }\n", 1, "one of these is expected");
  refuse("store = \"disk\"\n", 1, "one of these is expected: \"memory\"");
  refuse("listen = 5683\n", 1, "listen: strings are expected");
  refuse("listen = [ 1, 2 ]\n", 1, "strings are expected");
}

static void conf_values_out_of_range_are_reported(void **state)
{
  (void)state;
  refuse("limits = { exchanges = 0 }\n", 1, "limits.exchanges: out of range, allowed is 1 to");
  refuse("limits = { exchanges = -1 }\n", 1, "out of range");
  refuse("limits = { exchanges = 99999999999L }\n", 1, "out of range");
  refuse("limits = { exchanges = \"99999999999\" }\n", 1, "out of range");
  refuse("limits = { message = \"1 MiB\" }\n", 1, "allowed is 64 B to 65507 B");
  refuse("transmission = { nstart = 0 }\n", 1, "allowed is 1 to 255");
  refuse("transmission = { max_retransmit = 21 }\n", 1, "allowed is 0 to 20");
  refuse("transmission = { ack_random_factor = 0.9 }\n", 1, "allowed is 1 to 10");
  refuse("transmission = { ack_random_factor = -1.0 }\n", 1, "allowed is 1 to 10");
  refuse("limits = { timer_tick = \"2 s\" }\n", 1, "allowed is 100 us to 1 s");
}

static void conf_values_that_do_not_go_together_are_reported(void **state)
{
  (void)state;
  refuse("transmission = { ack_delay = \"2 s\" }\n", 0, "ack_delay must be below ack_timeout");
  refuse("transmission = { ack_timeout = \"10 min\" }\n", 0, "below 71 minutes");
  refuse("limits = { block = 100 }\n", 0, "limits.block: 100 is not a power of two");
  refuse("limits = { mid_counters = 3 }\n", 0, "limits.mid_counters: 3 is not a power of two");
  refuse("limits = { timer_slots = 100 }\n", 0, "limits.timer_slots: 100 is not a power of two");
  refuse("server = { datagram = 500 }\n", 0, "limits.message: larger than server.datagram");
  refuse("listen = \"coap+tcp://[::1]\"\n", 0,
         "listen: \"coap+tcp://[::1]\": scheme coap+tcp is not supported");
}

static void conf_numbers_beyond_32_bits_need_quotes(void **state)
{
  (void)state;
  static const struct {
    const char *text;
    unsigned line;
  } rows[] = {
      {"", 0},
      {"a = 2147483647", 0},
      {"a = 2147483648", 1},
      {"\na = 5000000000 ", 2},
      {"a = -5000000000", 1},
      {"a = 5000000000L", 0},
      {"a = 5000000000.0", 0},
      {"a = 5000000000e0", 0},
      {"a = \"5000000000\"", 0},
      {"a = \"\\\"5000000000\\\"\"", 0},
      {"# 5000000000\n// 5000000000\n/* 5000000000\n*/ a = 1", 0},
      {"/* \n */ a = 99999999999999999999999999", 2},
      {"a5000000000 = 1", 0},
      {"a = \"5000000000", 0},
      {"/* 5000000000", 0},
      {"b = 1\n# x\na = 12345678901;", 3},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    assert_int_equal(conf_scan_wide_number(copal_span_str(rows[i].text)), rows[i].line);
  refuse("resources = { count = 5000000000 }\n", 1, "needs quotes");
}

static void conf_syntax_errors_have_their_line(void **state)
{
  (void)state;
  refuse("store = \"memory\"\nlimits = {\n", 3, "syntax error");
  refuse("store = \"memory\"\nstore = \"memory\"\n", 2, "duplicate setting name");
}

static void conf_all_mistakes_are_reported_at_once(void **state)
{
  (void)state;
  conf c;
  conf_errors errors;
  assert_int_equal(read_text(&c, "a = 1\nb = 2\nlimits = { chunk = 1 }\n", &errors), COPAL_EINVAL);
  assert_int_equal(errors.count, 3);
  conf_wipe(&c);
}

static void conf_missing_file_is_reported(void **state)
{
  (void)state;
  conf c;
  conf_errors errors = {.count = 0};
  conf_init(&c);
  assert_int_equal(conf_read_file(&c, "/nonexistent/copald.conf", &errors), COPAL_EINVAL);
  assert_string_equal(errors.text, "/nonexistent/copald.conf: cannot be read\n");
  conf_wipe(&c);
}

static void conf_error_text_never_overflows(void **state)
{
  (void)state;
  conf_errors errors = {.count = 0};
  for (int i = 0; i < 1000; i++)
    conf_error(&errors, "mistake number %d", i);
  assert_int_equal(errors.count, 1000);
  assert_true(errors.len < sizeof errors.text);
  assert_int_equal(strlen(errors.text), errors.len);
  assert_int_equal(errors.text[errors.len - 1], '\n');
}

static void conf_printed_reads_back_as_the_same(void **state)
{
  (void)state;
  conf a, b;
  conf_errors errors;
  char live[512], restart[512];
  assert_int_equal(read_text(&a,
                             "listen = [\"coap://127.0.0.1\"]\n"
                             "names = [\"a\\\"b\", \"c\"]\n"
                             "resources = { count = \"5000000000\"; body = 12345 }\n"
                             "transmission = { ack_random_factor = 1.33 }\n",
                             &errors),
                   COPAL_OK);
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  conf_print(&a, out);
  fclose(out);
  assert_int_equal(read_text(&b, text, &errors), COPAL_OK);
  conf_compare(&a, &b, live, restart, sizeof live);
  assert_string_equal(live, "");
  assert_string_equal(restart, "");
  free(text);
  conf_wipe(&a);
  conf_wipe(&b);
}

static void conf_compare_tells_live_keys_from_others(void **state)
{
  (void)state;
  conf a, b;
  conf_errors errors;
  char live[512], restart[512];
  conf_init(&a);
  assert_int_equal(read_text(&b,
                             "names = [\"x\"]\nlog = { level = \"debug\" }\n"
                             "server = { shards = 3 }\nlimits = { peers = 7 }\n",
                             &errors),
                   COPAL_OK);
  conf_compare(&a, &b, live, restart, sizeof live);
  assert_string_equal(live, "names log.level");
  assert_string_equal(restart, "server.shards limits.peers");
  conf_wipe(&b);
}

static void conf_shards_share_the_limits(void **state)
{
  (void)state;
  conf c;
  conf_init(&c);
  c.exchanges = 10;
  c.mid_counters = 64;
  c.dedup = 9;
  c.dedup_per_peer = 8;
  c.block = 256;
  c.observe_confirm_every = 0;
  const copal_ep_cfg one = conf_ep(&c, 1);
  assert_int_equal(one.notify_con_every, UINT16_MAX); /* not counted */
  assert_int_equal(one.exchange_count, 10);
  assert_int_equal(one.mid_count, 64);
  assert_int_equal(one.szx_max, 4);
  const copal_ep_cfg three = conf_ep(&c, 3);
  assert_int_equal(three.exchange_count, 4);
  assert_int_equal(three.mid_count, 16);
  assert_int_equal(three.dedup_per_peer, 3);
  assert_true(conf_shards(&c) >= 1);
  c.shards = 5;
  assert_int_equal(conf_shards(&c), 5);
  assert_int_equal(conf_sockets(&c), 20);
  c.sockets = 3;
  assert_int_equal(conf_sockets(&c), 5); /* one for each */
  c.sockets = 7;
  assert_int_equal(conf_sockets(&c), 7);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(conf_defaults_are_valid),
      cmocka_unit_test(conf_reads_values_of_every_kind),
      cmocka_unit_test(conf_unknown_keys_are_reported_with_what_is_known),
      cmocka_unit_test(conf_values_of_the_wrong_kind_are_reported),
      cmocka_unit_test(conf_values_out_of_range_are_reported),
      cmocka_unit_test(conf_values_that_do_not_go_together_are_reported),
      cmocka_unit_test(conf_numbers_beyond_32_bits_need_quotes),
      cmocka_unit_test(conf_syntax_errors_have_their_line),
      cmocka_unit_test(conf_all_mistakes_are_reported_at_once),
      cmocka_unit_test(conf_missing_file_is_reported),
      cmocka_unit_test(conf_error_text_never_overflows),
      cmocka_unit_test(conf_printed_reads_back_as_the_same),
      cmocka_unit_test(conf_compare_tells_live_keys_from_others),
      cmocka_unit_test(conf_shards_share_the_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
