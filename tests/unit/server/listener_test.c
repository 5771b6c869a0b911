/* SPDX-License-Identifier: Apache-2.0 */
/* Listen URIs and the sockets behind them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "copal/error.h"
#include "server/listener.h"
#include "transport/udp.h"
#include "transport/udp_socket.h"

static void expect(const char *uri, const char *address)
{
  copal_addr a;
  char why[LISTENER_WHY_SIZE], text[UDP_ADDR_TEXT_SIZE];
  assert_int_equal(listener_parse(uri, &a, why), COPAL_OK);
  udp_addr_format(&a, text);
  assert_string_equal(text, address);
}

static void refuse(const char *uri, const char *reason)
{
  copal_addr a;
  char why[LISTENER_WHY_SIZE] = "";
  assert_int_equal(listener_parse(uri, &a, why), COPAL_EINVAL);
  if (strstr(why, reason) == NULL)
    fail_msg("%s: expected \"%s\", got \"%s\"", uri, reason, why);
}

static void rfc7252_6_1_listen_uris_default_to_port_5683(void **state)
{
  (void)state;
  expect("coap://127.0.0.1", "127.0.0.1:5683");
  expect("coap://127.0.0.1/", "127.0.0.1:5683");
  expect("coap://0.0.0.0:5684", "0.0.0.0:5684");
  expect("coap://[::]", "[::]:5683");
  expect("coap://[::1]:1", "[::1]:1");
  expect("coap://[fe80::1%25lo]:5683", "[fe80::1%lo]:5683");
  expect("coap://127.0.0.1:0", "127.0.0.1:0");
  expect("coap://[::1]:0", "[::1]:0");
  expect("coap://127.0.0.1:10", "127.0.0.1:10");
}

static void listener_says_why_an_uri_is_refused(void **state)
{
  (void)state;
  refuse("", "not a CoAP URI");
  refuse(":0", "not a CoAP URI");
  refuse("127.0.0.1:5683", "not a CoAP URI");
  refuse("coap://", "not a CoAP URI");
  refuse("coap://[::1", "not a CoAP URI");
  refuse("coap://127.0.0.1:65536", "not a CoAP URI");
  refuse("coap://localhost", "an IP address of this machine");
  refuse("coap://127.0.0.1/a", "no path");
  refuse("coap://127.0.0.1?a", "no query");
  refuse("coap://[ff02::fd]", "group");
  refuse("coap+tcp://127.0.0.1", "scheme coap+tcp is not supported");
  refuse("coaps+tcp://127.0.0.1", "scheme coaps+tcp is not supported");
  refuse("coap+ws://127.0.0.1", "scheme coap+ws is not supported");
  refuse("coaps+ws://127.0.0.1", "scheme coaps+ws is not supported");
}

static listener open_at(const char *ip, uint16_t port, uint32_t count)
{
  copal_addr a;
  listener l;
  char why[LISTENER_WHY_SIZE] = "";
  assert_int_equal(udp_addr_parse(ip, port, &a), COPAL_OK);
  assert_int_equal(listener_open(&a, count, &l, why), 0);
  return l;
}

static void listener_opens_all_sockets_on_one_port(void **state)
{
  (void)state;
  listener l = open_at("127.0.0.1", 0, 16);
  assert_int_not_equal(l.addr.port, 0);
  for (uint32_t i = 0; i < l.count; i++) {
    copal_addr local;
    assert_int_equal(udp_socket_local(l.fds[i], &local), 0);
    assert_int_equal(local.port, l.addr.port);
  }
  listener_close(&l);
  assert_null(l.fds);
}

static void listener_address_in_use_says_so(void **state)
{
  (void)state;
  listener l = open_at("127.0.0.1", 0, 2), other;
  char why[LISTENER_WHY_SIZE], text[UDP_ADDR_TEXT_SIZE];
  assert_int_equal(listener_open(&l.addr, 2, &other, why), -EADDRINUSE);
  udp_addr_format(&l.addr, text);
  assert_non_null(strstr(why, text));
  assert_non_null(strstr(why, "another program or listen address has it"));
  assert_null(other.fds);
  listener_close(&l);
}

static listener_set open_set(listener_set *old, uint32_t sockets, char **uris, size_t count)
{
  listener_set set;
  char why[LISTENER_WHY_SIZE] = "";
  const listener_cfg cfg = {.uris = uris, .count = count, .sockets = sockets};
  const int rc = listener_set_open(&set, &cfg, old, why);
  if (rc < 0)
    fail_msg("%s", why);
  return set;
}

static void listeners_move_over_with_their_sockets(void **state)
{
  (void)state;
  char *before[] = {"coap://127.0.0.1:0", "coap://127.0.0.2:0", "coap://127.0.0.1:0"};
  char *after[] = {"coap://127.0.0.3:0", "coap://127.0.0.1:0"};
  listener_set old = open_set(NULL, 4, before, 3);
  assert_int_equal(old.count, 3);
  const uint16_t port = old.items[0].addr.port;
  const int first = old.items[0].fds[0];
  listener_set set = open_set(&old, 8, after, 2);
  assert_int_equal(set.count, 2);
  assert_int_equal(set.items[0].count, 8);
  assert_int_equal(set.items[1].count, 4); /* as many as it ever had */
  assert_int_equal(set.items[1].addr.port, port);
  assert_int_equal(set.items[1].fds[0], first);
  assert_null(old.items[0].fds);
  assert_non_null(old.items[1].fds);
  assert_non_null(old.items[2].fds); /* asked for twice before, once now */
  listener_set_close(&old);
  copal_addr local;
  assert_int_equal(udp_socket_local(first, &local), 0);
  listener_set_close(&set);
  assert_int_equal(udp_socket_local(first, &local), -EBADF);
}

/* From loopback to all addresses: the kernel would refuse the second on the port of the first. */
static void listener_on_all_addresses_follows_one_on_one(void **state)
{
  (void)state;
  char *before[] = {"coap://127.0.0.1:0"};
  listener_set old = open_set(NULL, 2, before, 1), set;
  char uri[LISTENER_URI_SIZE], why[LISTENER_WHY_SIZE];
  char *after[] = {uri};
  const listener_cfg cfg = {.uris = after, .count = 1, .sockets = 2};
  snprintf(uri, sizeof uri, "coap://0.0.0.0:%u", (unsigned)old.items[0].addr.port);
  assert_int_equal(listener_set_open(&set, &cfg, NULL, why), -EADDRINUSE);
  assert_non_null(strstr(why, "another program"));
  assert_int_equal(listener_set_open(&set, &cfg, &old, why), 0);
  assert_int_equal(set.items[0].addr.port, old.items[0].addr.port);
  assert_int_equal(set.items[0].steering, 0);
  listener_set_close(&set);
  listener_set_close(&old);
}

static void listener_set_that_fails_leaves_the_old_one_alone(void **state)
{
  (void)state;
  char *before[] = {"coap://127.0.0.1:0"};
  char *after[] = {"coap://127.0.0.4:0", "coap://192.0.2.1:0"};
  listener_set old = open_set(NULL, 2, before, 1), set;
  char why[LISTENER_WHY_SIZE];
  listener_cfg cfg = {.uris = after, .count = 2, .sockets = 2};
  assert_int_equal(listener_set_open(&set, &cfg, &old, why), -EADDRNOTAVAIL);
  assert_non_null(strstr(why, "192.0.2.1"));
  assert_int_equal(set.count, 0);
  assert_non_null(old.items[0].fds);
  cfg.skips_missing = true;
  assert_int_equal(listener_set_open(&set, &cfg, &old, why), 0);
  assert_int_equal(set.count, 1);
  listener_set_close(&set);
  listener_set_close(&old);
}

static void listener_uri_reads_back(void **state)
{
  (void)state;
  listener l = open_at("127.0.0.1", 0, 1);
  char uri[LISTENER_URI_SIZE], why[LISTENER_WHY_SIZE];
  copal_addr a;
  listener_uri(&l, uri);
  assert_int_equal(listener_parse(uri, &a, why), COPAL_OK);
  assert_memory_equal(&a, &l.addr, sizeof a);
  listener_close(&l);
}

static void listener_every_shard_has_a_socket(void **state)
{
  (void)state;
  for (uint32_t shards = 1; shards <= 16; shards++) {
    uint32_t seen = 0;
    for (uint32_t i = 0; i < 16; i++)
      seen |= 1u << listener_shard(i, shards);
    assert_int_equal(seen, (1u << shards) - 1);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_6_1_listen_uris_default_to_port_5683),
      cmocka_unit_test(listener_says_why_an_uri_is_refused),
      cmocka_unit_test(listener_opens_all_sockets_on_one_port),
      cmocka_unit_test(listener_address_in_use_says_so),
      cmocka_unit_test(listeners_move_over_with_their_sockets),
      cmocka_unit_test(listener_on_all_addresses_follows_one_on_one),
      cmocka_unit_test(listener_set_that_fails_leaves_the_old_one_alone),
      cmocka_unit_test(listener_uri_reads_back),
      cmocka_unit_test(listener_every_shard_has_a_socket),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
