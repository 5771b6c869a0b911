/* SPDX-License-Identifier: Apache-2.0 */
/* Groups joined at run time, by all sockets or by none. RFC 7390 section 2.6.2. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "copal/error.h"
#include "server/groups.h"
#include "server/roster.h"

enum { PORT = 5683, GROUPS_MAX = 4096, INTERFACES_MAX = 64 };

static conf settings;
static logger settings_log; /* of the main thread, say */
static int log_pipe[2];
static roster *r;
static memberships *hook;
static int sockets[2];
static uint32_t interfaces[INTERFACES_MAX];
static size_t interface_count;

static copal_addr group(void)
{
  copal_addr a;
  assert_int_equal(hook->parse(hook, "224.0.2.99", &a), COPAL_OK);
  return a;
}

static int ask_kernel(int option, int fd, uint32_t number, uint32_t interface)
{
  struct group_req req = {.gr_interface = interface};
  struct sockaddr_in *a = (struct sockaddr_in *)&req.gr_group;
  a->sin_family = AF_INET;
  a->sin_addr.s_addr = htonl(number);
  return setsockopt(fd, IPPROTO_IP, option, &req, sizeof req);
}

static bool has_joined(int fd)
{
  const uint32_t number = 0xe0000263; /* 224.0.2.99 */
  bool is_joined = false;
  for (size_t i = 0; i < interface_count; i++)
    if (ask_kernel(MCAST_LEAVE_GROUP, fd, number, interfaces[i]) == 0)
      is_joined = true;
  return is_joined;
}

/* Uses up the memberships of a socket. Returns false when there is no end to them. */
static bool fill(int fd)
{
  for (uint32_t i = 0; i < GROUPS_MAX; i++)
    if (ask_kernel(MCAST_JOIN_GROUP, fd, 0xe0000300 + i, interfaces[0]) != 0)
      return true;
  return false;
}

static int set_up(void **state)
{
  const copal_addr any = {.ip = {[10] = 0xff, 0xff}, .port = PORT};
  (void)state;
  conf_init(&settings);
  interface_count = groups_interfaces(&settings, interfaces, INTERFACES_MAX);
  if (pipe(log_pipe) != 0)
    return -1;
  log_init(&settings_log, log_pipe[1], LOG_LEVEL_WARN, LOG_FORMAT_JSON);
  r = roster_open(&settings, &settings_log);
  hook = roster_memberships(r);
  for (int i = 0; i < 2; i++) {
    sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
    if (sockets[i] < 0 || roster_add(r, sockets[i], &any) != 0)
      return -1;
  }
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  roster_close(r);
  conf_wipe(&settings);
  close(sockets[0]);
  close(sockets[1]);
  close(log_pipe[0]);
  close(log_pipe[1]);
  return 0;
}

static void every_socket_joins_and_leaves(void **state)
{
  (void)state;
  if (interface_count == 0)
    skip();
  const copal_addr a = group();
  assert_int_equal(hook->join(hook, &a), COPAL_OK);
  hook->leave(hook, &a);
  assert_false(has_joined(sockets[0]));
  assert_int_equal(hook->join(hook, &a), COPAL_OK);
  assert_true(has_joined(sockets[0]));
  assert_true(has_joined(sockets[1]));
}

static void what_one_socket_cannot_join_no_socket_joins(void **state)
{
  (void)state;
  if (interface_count == 0 || !fill(sockets[1]))
    skip();
  const copal_addr a = group();
  const logger before = settings_log;
  char line[LOG_LINE_MAX + 1];
  assert_int_equal(hook->join(hook, &a), COPAL_ENOSLOT);
  assert_false(has_joined(sockets[0]));
  const ssize_t len = read(log_pipe[0], line, LOG_LINE_MAX);
  assert_true(len > 0);
  line[len] = '\0';
  assert_non_null(strstr(line, "group_not_joined"));
  assert_memory_equal(&settings_log, &before, sizeof before); /* another thread is using it */
}

static void nobody_listens_for_another_port(void **state)
{
  copal_addr a = group();
  (void)state;
  a.port = PORT + 1;
  assert_int_equal(hook->join(hook, &a), COPAL_ENOTFOUND);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(every_socket_joins_and_leaves, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_one_socket_cannot_join_no_socket_joins, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(nobody_listens_for_another_port, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
