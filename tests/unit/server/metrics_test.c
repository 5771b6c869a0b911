/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of counters over shards and their line in the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "copal/error.h"
#include "server/metrics.h"

static void metrics_add_up_and_keep_extremes(void **state)
{
  (void)state;
  metrics sum = {.udp = {.rcvbuf = 0}};
  const metrics a = {.ep = {.rx_requests = 2, .rejected = {[3] = 1}},
                     .usage = {.exchanges = 5},
                     .udp = {.rx_datagrams = 10, .rcvbuf = 300},
                     .pipeline = {.no_routes = 1},
                     .shard = {.arena_peak = 9}};
  const metrics b = {.ep = {.rx_requests = 3, .rejected = {[3] = 4}},
                     .usage = {.exchanges = 6},
                     .udp = {.rx_datagrams = 1, .rcvbuf = 200},
                     .pipeline = {.no_routes = 1},
                     .shard = {.arena_peak = 4}};
  metrics_add(&sum, &a);
  metrics_add(&sum, &b);
  assert_int_equal(sum.ep.rx_requests, 5);
  assert_int_equal(sum.ep.rejected[3], 5);
  assert_int_equal(sum.usage.exchanges, 11);
  assert_int_equal(sum.udp.rx_datagrams, 11);
  assert_int_equal(sum.udp.rcvbuf, 200);
  assert_int_equal(sum.pipeline.no_routes, 2);
  assert_int_equal(sum.shard.arena_peak, 9);
}

static size_t count_one(service *s, service_count out[SERVICE_COUNT_MAX])
{
  (void)s;
  out[0] = (service_count){"never", 0};
  out[1] = (service_count){"once", 1};
  return 2;
}

static service counting = {.name = "counting", .count = count_one};
static service silent = {.name = "silent"};
static const router mounted = {.count = 2,
                               .mounts = {{.service = &counting}, {.service = &silent}}};

static void metrics_line_leaves_out_rare_zeros(void **state)
{
  (void)state;
  int fds[2];
  logger l;
  char buf[LOG_LINE_MAX + 1];
  metrics m = {.ep = {.rx_requests = 7, .timeouts = 2}};
  m.ep.rejected[-COPAL_EFORMAT] = 4;
  const metrics_shared shared = {.stored = {.resources = 11, .bytes = 22},
                                 .counts = {{"store_commits", 5}, {"store_repeats", 0}},
                                 .count = 2,
                                 .fanout = {.posted = 6, .passed = 7}};
  assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
  log_init(&l, fds[1], LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
  metrics_log(&l, &m, &shared, &mounted);
  const ssize_t n = read(fds[0], buf, LOG_LINE_MAX);
  assert_true(n > 0);
  buf[n] = '\0';
  assert_non_null(strstr(buf, " resources=11 store_bytes=22 "));
  assert_non_null(strstr(buf, " rx_requests=7 "));
  assert_non_null(strstr(buf, " timeouts=2 "));
  assert_non_null(
      strstr(buf, " rejected_EFORMAT=4 store_commits=5 fanout_posted=6 fanout_passed=7 once=1\n"));
  assert_null(strstr(buf, "store_repeats"));
  assert_null(strstr(buf, "fanout_refused"));
  assert_null(strstr(buf, "never"));
  assert_null(strstr(buf, "dup_replayed"));
  assert_null(strstr(buf, "rejected_ESHORT"));
  close(fds[0]);
  close(fds[1]);
}

static void metrics_line_with_everything_fits(void **state)
{
  (void)state;
  int fds[2];
  logger l;
  static char buf[2 * LOG_LINE_MAX];
  metrics m;
  memset(&m, 0xff, sizeof m);
  metrics_shared shared = {.count = STORE_COUNT_MAX};
  memset(&shared.stored, 0xff, sizeof shared.stored);
  memset(&shared.fanout, 0xff, sizeof shared.fanout);
  for (size_t i = 0; i < STORE_COUNT_MAX; i++)
    shared.counts[i] = (store_count){"store_resources_refused", UINT64_MAX};
  assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
  log_init(&l, fds[1], LOG_LEVEL_INFO, LOG_FORMAT_JSON);
  metrics_log(&l, &m, &shared, &mounted);
  const ssize_t n = read(fds[0], buf, sizeof buf - 1);
  assert_true(n > 0);
  buf[n] = '\0';
  assert_non_null(strstr(buf, "rejected_EOVERSIZE"));
  assert_non_null(strstr(buf, "\"arena_peak\":18446744073709551615"));
  assert_string_equal(buf + n - 2, "}\n");
  close(fds[0]);
  close(fds[1]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(metrics_add_up_and_keep_extremes),
      cmocka_unit_test(metrics_line_leaves_out_rare_zeros),
      cmocka_unit_test(metrics_line_with_everything_fits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
