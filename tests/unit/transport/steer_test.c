/* SPDX-License-Identifier: Apache-2.0 */
/* Peers keep their sockets: the kernel's choice is the function's, and spreads well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "copal/error.h"
#include "transport/steer.h"
#include "transport/udp.h"
#include "transport/udp_socket.h"

enum {
  WAIT_MS = 60000, /* only a failure waits so long */
  SOCKETS_MAX = 64,
  PEERS = 200,
};

typedef struct group {
  uint32_t count;
  copal_addr addr;
  int fds[SOCKETS_MAX];
} group;

static copal_addr addr_of(const char *ip, uint16_t port)
{
  copal_addr a;
  assert_int_equal(udp_addr_parse(ip, port, &a), COPAL_OK);
  return a;
}

static bool has_ipv6(void)
{
  const copal_addr a = addr_of("::1", 0);
  const int fd = udp_socket_open(&a, UDP_EXCLUSIVE);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

static group open_group(const char *ip, uint32_t count, steer_rule rule)
{
  group g = {.count = count, .addr = addr_of(ip, 0)};
  for (uint32_t i = 0; i < count; i++) {
    g.fds[i] = udp_socket_open(&g.addr, i == 0 ? UDP_FIRST : UDP_NEXT);
    assert_true(g.fds[i] >= 0);
    assert_int_equal(udp_socket_local(g.fds[i], &g.addr), 0);
  }
  assert_int_equal(steer_attach(g.fds[0], rule, count), 0);
  return g;
}

static void close_group(const group *g)
{
  for (uint32_t i = 0; i < g->count; i++)
    close(g->fds[i]);
}

/* Waits for a datagram on any socket: its index, and the sender as the daemon would store it. */
static uint32_t receiver(const group *g, copal_addr *remote)
{
  struct pollfd p[SOCKETS_MAX];
  for (uint32_t i = 0; i < g->count; i++)
    p[i] = (struct pollfd){.fd = g->fds[i], .events = POLLIN};
  assert_int_equal(poll(p, g->count, WAIT_MS), 1);
  for (uint32_t i = 0; i < g->count; i++) {
    if ((p[i].revents & POLLIN) == 0)
      continue;
    uint8_t bytes[64];
    udp_sockaddr from;
    socklen_t len = sizeof from;
    assert_true(recvfrom(p[i].fd, bytes, sizeof bytes, 0, &from.any, &len) >= 0);
    assert_true(udp_sockaddr_to(&from, remote));
    return i;
  }
  return UINT32_MAX;
}

static void send_from(int fd, const group *g, copal_span bytes)
{
  udp_sockaddr to;
  const socklen_t len = udp_sockaddr_of(&g->addr, &to);
  assert_int_equal(sendto(fd, bytes.ptr, bytes.len, 0, &to.any, len), bytes.len);
}

/* A client's datagram must come out where the function says. */
static void expect_agreement(const group *g, int client, steer_rule rule, copal_span bytes)
{
  copal_addr remote;
  send_from(client, g, bytes);
  const uint32_t index = receiver(g, &remote);
  assert_int_equal(index, steer_datagram(rule, &remote, bytes, g->count));
}

static void agree(const char *server, const char *client_format, uint32_t count)
{
  const group g = open_group(server, count, STEER_BY_ADDRESS);
  for (unsigned i = 0; i < PEERS; i++) {
    char ip[UDP_ADDR_TEXT_SIZE];
    snprintf(ip, sizeof ip, client_format, i);
    const copal_addr a = addr_of(ip, 0);
    const int client = udp_socket_open(&a, UDP_EXCLUSIVE);
    assert_true(client >= 0);
    expect_agreement(&g, client, STEER_BY_ADDRESS, copal_span_str("hello"));
    expect_agreement(&g, client, STEER_BY_ADDRESS, copal_span_str(""));
    close(client);
  }
  close_group(&g);
}

static void steer_kernel_and_function_agree_on_ipv4(void **state)
{
  (void)state;
  agree("127.0.0.1", "127.1.2.%u", 16);
  agree("0.0.0.0", "127.%u.1.1", 7);
  agree("127.0.0.1", "127.0.0.1", 1);
}

static void steer_kernel_and_function_agree_on_ipv6(void **state)
{
  (void)state;
  if (!has_ipv6())
    skip();
  agree("::1", "::1", 16);
  agree("::", "::1", 3);
}

static void steer_finds_the_port_behind_options_of_ip(void **state)
{
  (void)state;
  static const uint8_t nops[8] = {1, 1, 1, 1, 1, 1, 1, 0}; /* RFC 791 section 3.1 */
  /* Destination options: one PadN. RFC 8200 section 4.6; the first byte is the kernel's. */
  static const uint8_t padding[8] = {0, 0, 1, 4, 0, 0, 0, 0};
  const group g = open_group("127.0.0.1", 16, STEER_BY_ADDRESS);
  for (int i = 0; i < 32; i++) {
    const int client = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(setsockopt(client, IPPROTO_IP, IP_OPTIONS, nops, sizeof nops), 0);
    expect_agreement(&g, client, STEER_BY_ADDRESS, copal_span_str("hello"));
    close(client);
  }
  close_group(&g);
  if (!has_ipv6())
    return;
  const group g6 = open_group("::1", 16, STEER_BY_ADDRESS);
  for (int i = 0; i < 32; i++) {
    const int client = socket(AF_INET6, SOCK_DGRAM, 0);
    const int rc = setsockopt(client, IPPROTO_IPV6, IPV6_DSTOPTS, padding, sizeof padding);
    assert_true(rc == 0 || errno == EPERM); /* takes a privilege */
    if (rc == 0)
      expect_agreement(&g6, client, STEER_BY_ADDRESS, copal_span_str("hello"));
    close(client);
  }
  close_group(&g6);
}

/* A value that was saved by one version must be found by all later ones. */
static void steer_function_does_not_change(void **state)
{
  (void)state;
  static const struct {
    const char *ip;
    uint16_t port;
    uint32_t index;
  } known[] = {
      {"127.0.0.1", 5683, 779912987},
      {"192.0.2.77", 49152, 143493202},
      {"2001:db8::1", 5683, 158700563},
      {"fe80::1", 61616, 112243719},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    copal_addr a = addr_of(known[i].ip, known[i].port);
    assert_int_equal(steer_index(&a, 1u << 30), known[i].index);
    a.zone = 3;
    assert_int_equal(steer_index(&a, 1u << 30), known[i].index);
  }
}

static void expect_even(const uint32_t *hits, uint32_t count, uint32_t peers, const char *what)
{
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t fair = peers / count;
    if (hits[i] < fair - fair / 4 || hits[i] > fair + fair / 4)
      fail_msg("%s: socket %u of %u has %u of %u peers", what, i, count, hits[i], peers);
  }
}

/* No pattern of addresses that networks really have may make one socket hot. */
static void steer_spreads_ports_and_neighbours_evenly(void **state)
{
  (void)state;
  static const uint32_t counts[] = {2, 3, 16, 64};
  for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
    const uint32_t n = counts[c];
    uint32_t ports[SOCKETS_MAX] = {0}, hosts[SOCKETS_MAX] = {0}, even[SOCKETS_MAX] = {0};
    uint32_t v6[SOCKETS_MAX] = {0};
    for (uint32_t i = 0; i < 16384; i++) {
      copal_addr a = addr_of("192.0.2.1", (uint16_t)(32768 + i));
      ports[steer_index(&a, n)]++;
      a.port = (uint16_t)(2 * i); /* ephemeral ports of Linux are even for many sockets */
      even[steer_index(&a, n)]++;
      a = addr_of("10.20.0.0", 5683); /* sixty-four networks of 256 hosts, one port */
      a.ip[14] = (uint8_t)(i >> 8);
      a.ip[15] = (uint8_t)i;
      hosts[steer_index(&a, n)]++;
      a = addr_of("2001:db8::", 5683);
      a.ip[7] = (uint8_t)(i >> 8);
      a.ip[15] = (uint8_t)i;
      v6[steer_index(&a, n)]++;
    }
    expect_even(ports, n, 16384, "consecutive ports");
    expect_even(even, n, 16384, "even ports");
    expect_even(hosts, n, 16384, "hosts of a network");
    expect_even(v6, n, 16384, "IPv6 networks");
  }
}

static void rfc9146_4_records_follow_their_connection_id(void **state)
{
  (void)state;
  const group g = open_group("127.0.0.1", 16, STEER_BY_CID);
  uint8_t record[20] = {STEER_CID_TYPE, 0xfe, 0xfd};
  for (uint32_t i = 0; i < g.count; i++) {
    const copal_addr any = addr_of("127.0.0.1", 0);
    copal_addr remote;
    const int client = udp_socket_open(&any, UDP_EXCLUSIVE);
    record[0] = STEER_CID_TYPE;
    record[STEER_CID_OFFSET] = steer_cid_byte(i);
    send_from(client, &g, copal_span_of(record, sizeof record));
    assert_int_equal(receiver(&g, &remote), i);
    record[STEER_CID_OFFSET] = (uint8_t)(16 + i); /* of a life with more sockets */
    expect_agreement(&g, client, STEER_BY_CID, copal_span_of(record, sizeof record));
    expect_agreement(&g, client, STEER_BY_CID, copal_span_of(record, STEER_CID_OFFSET));
    expect_agreement(&g, client, STEER_BY_CID, copal_span_of(record, STEER_CID_OFFSET + 1));
    expect_agreement(&g, client, STEER_BY_CID, copal_span_of(record, 0));
    record[0] = 22; /* handshake */
    expect_agreement(&g, client, STEER_BY_CID, copal_span_of(record, sizeof record));
    close(client);
  }
  close_group(&g);
}

static void steer_reports_that_it_cannot(void **state)
{
  (void)state;
  const copal_addr any = addr_of("127.0.0.1", 0);
  const int alone = udp_socket_open(&any, UDP_EXCLUSIVE);
  assert_int_equal(steer_attach(alone, STEER_BY_ADDRESS, 2), -EINVAL);
  assert_int_equal(steer_attach(alone, STEER_BY_ADDRESS, 1), 0);
  close(alone);
  assert_int_equal(steer_attach(alone, STEER_BY_ADDRESS, 2), -EBADF);
  assert_int_equal(steer_index(&any, 0), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steer_kernel_and_function_agree_on_ipv4),
      cmocka_unit_test(steer_kernel_and_function_agree_on_ipv6),
      cmocka_unit_test(steer_finds_the_port_behind_options_of_ip),
      cmocka_unit_test(steer_function_does_not_change),
      cmocka_unit_test(steer_spreads_ports_and_neighbours_evenly),
      cmocka_unit_test(rfc9146_4_records_follow_their_connection_id),
      cmocka_unit_test(steer_reports_that_it_cannot),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
