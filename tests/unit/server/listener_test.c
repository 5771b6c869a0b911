/* SPDX-License-Identifier: Apache-2.0 */
/* Listen URIs and the sockets behind them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <errno.h>
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
  refuse("coaps://127.0.0.1", "scheme coaps is not supported");
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

static void listener_socket_taken_is_the_callers(void **state)
{
  (void)state;
  listener l = open_at("127.0.0.1", 0, 2);
  const int fd = listener_take_fd(&l, 1);
  listener_close(&l);
  copal_addr local;
  assert_int_equal(udp_socket_local(fd, &local), 0);
  close(fd);
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
      cmocka_unit_test(listener_socket_taken_is_the_callers),
      cmocka_unit_test(listener_uri_reads_back),
      cmocka_unit_test(listener_every_shard_has_a_socket),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
