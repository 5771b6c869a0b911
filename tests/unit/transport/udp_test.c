/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets over the loopback interface: batches, local addresses, errors, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those four first. */
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "copal/error.h"
#include "transport/steer.h"
#include "transport/udp.h"
#include "transport/udp_socket.h"

enum {
  WAIT_MS = 60000, /* only a failure waits so long */
  QUIET_MS = 300,
};

static copal_addr addr_of(const char *ip, uint16_t port)
{
  copal_addr a;
  assert_int_equal(udp_addr_parse(ip, port, &a), COPAL_OK);
  return a;
}

static udp *open_at(const char *ip, const udp_cfg *cfg)
{
  udp *u = NULL;
  const copal_addr a = addr_of(ip, 0);
  assert_int_equal(udp_open(cfg, &u), 0);
  assert_int_equal(udp_bind(u, &a, false), 0);
  return u;
}

static uint16_t port_of(const udp *u)
{
  return udp_local_addr(u, 0).port;
}

/* A port that nobody else can get, and that is closed all the same: its socket hears one peer only,
 * which is not us. */
static udp *open_deaf(copal_path *path)
{
  udp *u = open_at("127.0.0.1", &(udp_cfg){0});
  const struct sockaddr_in peer = {
      .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  assert_int_equal(connect(udp_fd(u, 0), (const struct sockaddr *)&peer, sizeof peer), 0);
  *path = (copal_path){.remote = addr_of("127.0.0.1", port_of(u))};
  return u;
}

static void wait_for(const udp *u, short events)
{
  struct pollfd p = {.fd = udp_fd(u, 0), .events = events};
  assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static void send_text(udp *u, const copal_path *path, const char *text)
{
  copal_sink *sink = udp_sink(u);
  const copal_mspan room = sink->reserve(sink, path, strlen(text));
  assert_int_equal(room.len, strlen(text));
  memcpy(room.ptr, text, room.len);
  sink->commit(sink, path, room.len);
}

/* Waits for one datagram with this text. */
static copal_path expect_text(udp *u, const char *text)
{
  udp_slot *slots = NULL;
  wait_for(u, POLLIN);
  assert_int_equal(udp_recv(u, 0, &slots), 1);
  assert_int_equal(slots[0].bytes.len, strlen(text));
  assert_memory_equal(slots[0].bytes.ptr, text, strlen(text));
  return slots[0].path;
}

typedef struct heard {
  copal_path path;
  char text[128];
} heard;

/* Waits for `count` short datagrams, which a busy kernel may deliver one by one. */
static void hear(udp *u, heard *all, int count)
{
  udp_slot *slots = NULL;
  for (int i = 0; i < count;) {
    wait_for(u, POLLIN);
    const int n = udp_recv(u, 0, &slots);
    assert_in_range(n, 1, count - i);
    for (int k = 0; k < n; k++, i++) {
      assert_in_range(slots[k].bytes.len, 1, sizeof all[i].text - 1);
      all[i] = (heard){.path = slots[k].path};
      memcpy(all[i].text, slots[k].bytes.ptr, slots[k].bytes.len);
    }
  }
}

static bool has_ipv6(void)
{
  udp *u = NULL;
  const copal_addr a = addr_of("::1", 0);
  assert_int_equal(udp_open(&(udp_cfg){0}, &u), 0);
  const int rc = udp_bind(u, &a, false);
  udp_close(u);
  return rc == 0;
}

static void udp_carries_datagrams_both_ways_in_order(void **state)
{
  (void)state;
  udp *a = open_at("127.0.0.1", &(udp_cfg){0});
  udp *b = open_at("127.0.0.1", &(udp_cfg){0});
  const copal_path to_b = {.remote = addr_of("127.0.0.1", port_of(b))};
  send_text(a, &to_b, "one");
  send_text(a, &to_b, "two");
  udp_flush(a);
  heard got[2];
  udp_slot *slots = NULL;
  hear(b, got, 2);
  assert_string_equal(got[0].text, "one");
  assert_string_equal(got[1].text, "two");
  assert_int_equal(got[0].path.remote.port, port_of(a));
  assert_int_equal(got[0].path.flags, 0);
  const copal_path back = got[0].path;
  send_text(b, &back, "three");
  udp_flush(b);
  expect_text(a, "three");
  assert_int_equal(udp_stats_now(a)->tx_datagrams, 2);
  assert_int_equal(udp_stats_now(a)->tx_bytes, 6);
  assert_int_equal(udp_stats_now(b)->rx_datagrams, 2);
  assert_int_equal(udp_stats_now(b)->rx_bytes, 6);
  assert_int_equal(udp_recv(b, 0, &slots), 0);
  udp_close(a);
  udp_close(b);
}

static void udp_sides_mean_the_same_in_another_set_of_sockets(void **state)
{
  (void)state;
  udp *a = open_at("127.0.0.1", &(udp_cfg){0});
  udp *server = open_at("0.0.0.0", &(udp_cfg){0});
  const copal_path ask = {.remote = addr_of("127.0.0.2", port_of(server))};
  send_text(a, &ask, "ask");
  udp_flush(a);
  const copal_path asked = expect_text(server, "ask");
  udp_side side, same;
  assert_true(udp_side_of(server, asked.local, &side));
  assert_int_equal(side.socket, 0);
  assert_int_equal(side.ip[15], 2);
  side.socket = 1; /* where it will be */
  udp *heir = open_at("127.0.0.1", &(udp_cfg){0});
  assert_int_equal(udp_local_for(heir, &side), 0);
  const int fd = dup(udp_fd(server, 0));
  assert_true(fd >= 0);
  assert_int_equal(udp_adopt(heir, fd), 1);
  const uint16_t local = udp_local_for(heir, &side);
  assert_int_not_equal(local, 0);
  assert_true(udp_side_of(heir, local, &same));
  assert_int_equal(same.socket, 1);
  assert_memory_equal(&same.ip, &side.ip, sizeof same.ip);
  assert_false(udp_side_of(heir, UINT16_MAX, &same));
  assert_false(udp_side_of(heir, 0, &same));
  udp_close(a);
  udp_close(server);
  udp_close(heir);
}

static void udp_reply_leaves_from_the_address_that_was_asked(void **state)
{
  (void)state;
  udp *server = open_at("0.0.0.0", &(udp_cfg){0});
  udp *client = open_at("127.0.0.1", &(udp_cfg){0});
  const copal_path ask = {.remote = addr_of("127.0.0.2", port_of(server))};
  send_text(client, &ask, "ask");
  udp_flush(client);
  const copal_path path = expect_text(server, "ask");
  assert_int_not_equal(path.local, 0);
  send_text(server, &path, "reply");
  udp_flush(server);
  const copal_path from = expect_text(client, "reply");
  assert_memory_equal(&from.remote, &ask.remote, sizeof from.remote);
  udp_close(server);
  udp_close(client);
}

static void udp_local_side_changes_with_each_datagram(void **state)
{
  (void)state;
  udp *server = open_at("0.0.0.0", &(udp_cfg){0});
  udp *client = open_at("127.0.0.1", &(udp_cfg){0});
  uint16_t locals[3];
  for (int i = 0; i < 3; i++) {
    const char *asked = i == 1 ? "127.0.0.2" : "127.0.0.1";
    const copal_path to = {.remote = addr_of(asked, port_of(server))};
    send_text(client, &to, "ask");
    udp_flush(client);
    const copal_path path = expect_text(server, "ask");
    locals[i] = path.local;
    send_text(server, &path, "answer");
    udp_flush(server);
    const copal_addr from = expect_text(client, "answer").remote;
    assert_memory_equal(&from, &to.remote, sizeof from);
  }
  assert_int_equal(locals[0], locals[2]);
  assert_int_not_equal(locals[0], locals[1]);
  udp_close(server);
  udp_close(client);
}

static void udp_sockets_of_one_address_answer_from_it(void **state)
{
  (void)state;
  udp *server = NULL;
  copal_addr at = addr_of("127.0.0.1", 0);
  assert_int_equal(udp_open(&(udp_cfg){0}, &server), 0);
  assert_int_equal(udp_bind(server, &at, true), 0);
  at.port = port_of(server);
  assert_int_equal(udp_bind(server, &at, true), 1);
  udp *client = open_at("127.0.0.1", &(udp_cfg){0});
  const copal_addr peer = addr_of("127.0.0.1", port_of(client));
  /* The table counts from 1, and each socket has taken an entry. */
  for (uint16_t local = 1; local <= 2; local++)
    send_text(server, &(copal_path){.remote = peer, .local = local}, "answer");
  udp_flush(server);
  assert_int_equal(udp_stats_now(server)->tx_datagrams, 2);
  heard got[2];
  hear(client, got, 2);
  for (int i = 0; i < 2; i++)
    assert_memory_equal(&got[i].path.remote, &at, sizeof at);
  udp_close(server);
  udp_close(client);
}

static void udp_v6_reply_leaves_from_the_address_that_was_asked(void **state)
{
  (void)state;
  if (!has_ipv6())
    skip();
  udp *server = open_at("::", &(udp_cfg){0});
  udp *client = open_at("::1", &(udp_cfg){0});
  const copal_path ask = {.remote = addr_of("::1", port_of(server))};
  send_text(client, &ask, "ask");
  udp_flush(client);
  const copal_path path = expect_text(server, "ask");
  send_text(server, &path, "reply");
  udp_flush(server);
  const copal_path from = expect_text(client, "reply");
  assert_memory_equal(&from.remote, &ask.remote, sizeof from.remote);
  udp_close(server);
  udp_close(client);
}

static void udp_v6_socket_leaves_ipv4_alone(void **state)
{
  (void)state;
  if (!has_ipv6())
    skip();
  udp *u = open_at("::", &(udp_cfg){0});
  const copal_addr v4 = addr_of("0.0.0.0", port_of(u));
  assert_int_equal(udp_bind(u, &v4, false), 1);
  udp_close(u);
}

static void udp_group_flag_shows_a_multicast_destination(void **state)
{
  (void)state;
  udp *u = open_at("0.0.0.0", &(udp_cfg){0});
  const copal_addr group = addr_of("224.0.1.187", 0);
  assert_int_equal(udp_join(u, 0, &group, 1), 0);

  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
  assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof loopback), 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port_of(u))};
  assert_int_equal(inet_pton(AF_INET, "224.0.1.187", &to.sin_addr), 1);
  assert_int_equal(sendto(fd, "g", 1, 0, (struct sockaddr *)&to, sizeof to), 1);

  const copal_path path = expect_text(u, "g");
  assert_int_equal(path.flags, COPAL_PATH_GROUP);
  assert_string_equal(path.remote.ip[12] == 127 ? "unicast" : "other", "unicast");
  /* The answer has a unicast source. */
  send_text(u, &path, "r");
  udp_flush(u);
  struct sockaddr_in from;
  socklen_t len = sizeof from;
  char c = 0;
  struct pollfd p = {.fd = fd, .events = POLLIN};
  assert_int_equal(poll(&p, 1, WAIT_MS), 1);
  assert_int_equal(recvfrom(fd, &c, 1, 0, (struct sockaddr *)&from, &len), 1);
  assert_int_equal(ntohl(from.sin_addr.s_addr) >> 24, 127);
  close(fd);
  udp_close(u);
}

static void udp_socket_hears_only_groups_it_has_joined(void **state)
{
  (void)state;
  udp *joined = open_at("0.0.0.0", &(udp_cfg){0});
  udp *other = NULL;
  const copal_addr any = addr_of("0.0.0.0", port_of(joined));
  const int on = 1;
  /* Both share the port, as sockets of a listener do. */
  assert_int_equal(setsockopt(udp_fd(joined, 0), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
  assert_int_equal(udp_open(&(udp_cfg){0}, &other), 0);
  assert_int_equal(udp_bind(other, &any, true), 0);
  const copal_addr group = addr_of("224.0.1.187", 0);
  assert_int_equal(udp_join(joined, 0, &group, 1), 0);

  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
  setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof loopback);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(any.port)};
  inet_pton(AF_INET, "224.0.1.187", &to.sin_addr);
  assert_int_equal(sendto(fd, "g", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
  expect_text(joined, "g");
  udp_slot *slots = NULL;
  assert_int_equal(udp_recv(other, 0, &slots), 0);
  close(fd);
  udp_close(joined);
  udp_close(other);
}

/* Sends one byte to the group from a port of its own. Returns that port. */
static uint16_t send_to_group(uint16_t port)
{
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = loopback};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  socklen_t len = sizeof own;
  assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
  assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof loopback), 0);
  assert_int_equal(inet_pton(AF_INET, "224.0.1.187", &to.sin_addr), 1);
  assert_int_equal(sendto(fd, "g", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
  close(fd);
  return ntohs(own.sin_port);
}

static void udp_take_groups_leaves_each_peer_to_its_own_owner(void **state)
{
  enum { SOCKETS = 16, OWNERS = 2, PEERS = 12 };
  (void)state;
  udp *u = open_at("0.0.0.0", &(udp_cfg){0});
  const copal_addr group = addr_of("224.0.1.187", 0);
  assert_int_equal(udp_join(u, 0, &group, 1), 0);
  unsigned elsewhere = 0;
  for (unsigned i = 0; i < PEERS; i++) {
    const udp_crowd crowd = {SOCKETS, OWNERS, i % OWNERS};
    udp_take_groups(u, 0, &crowd);
    const copal_addr peer = addr_of("127.0.0.1", send_to_group(port_of(u)));
    udp_slot *slots = NULL;
    wait_for(u, POLLIN);
    const bool is_ours = steer_index(&peer, SOCKETS) % OWNERS == crowd.owner;
    assert_int_equal(udp_recv(u, 0, &slots), is_ours);
    elsewhere += !is_ours;
    assert_int_equal(udp_stats_now(u)->rx_elsewhere, elsewhere);
  }
  udp_close(u);
}

static void udp_take_groups_of_unsteered_sockets_is_all_or_nothing(void **state)
{
  (void)state;
  udp *u = open_at("0.0.0.0", &(udp_cfg){0});
  const copal_addr group = addr_of("224.0.1.187", 0);
  udp_slot *slots = NULL;
  assert_int_equal(udp_join(u, 0, &group, 1), 0);
  udp_take_groups(u, 0, &(udp_crowd){.sockets = 0});
  send_to_group(port_of(u));
  expect_text(u, "g");
  udp_take_groups(u, 0, NULL);
  send_to_group(port_of(u));
  wait_for(u, POLLIN);
  assert_int_equal(udp_recv(u, 0, &slots), 0);
  udp_close(u);
}

static void udp_join_refuses_what_is_no_group(void **state)
{
  (void)state;
  udp *u = open_at("127.0.0.1", &(udp_cfg){0});
  const copal_addr unicast = addr_of("127.0.0.1", 0);
  const copal_addr other_family = addr_of("ff02::fd", 0);
  assert_int_equal(udp_join(u, 0, &unicast, 0), -EINVAL);
  assert_int_equal(udp_join(u, 0, &other_family, 0), -EINVAL);
  udp_close(u);
}

static void udp_via_sends_to_a_group_by_the_interface_named(void **state)
{
  (void)state;
  udp *member = open_at("0.0.0.0", &(udp_cfg){0});
  udp *u = open_at("0.0.0.0", &(udp_cfg){0});
  const copal_addr group = addr_of("224.0.1.187", port_of(member));
  const copal_path path = {
      .remote = group, .local = udp_via(u, true, 1), .flags = COPAL_PATH_GROUP};
  int hops = 0;
  socklen_t len = sizeof hops;
  assert_int_equal(udp_join(member, 0, &group, 1), 0);
  assert_int_not_equal(path.local, 0);
  assert_int_equal(udp_via(u, true, 1), path.local);
  assert_int_equal(udp_via(u, false, 1), 0); /* no socket of that family */
  assert_int_equal(udp_set_multicast_hops(u, 7), 0);
  assert_int_equal(getsockopt(udp_fd(u, 0), IPPROTO_IP, IP_MULTICAST_TTL, &hops, &len), 0);
  assert_int_equal(hops, 7);
  send_text(u, &path, "g");
  udp_flush(u);
  assert_int_equal(expect_text(member, "g").flags, COPAL_PATH_GROUP);
  udp_close(u);
  udp_close(member);
}

static void rfc7252_4_2_closed_port_is_reported_with_the_bytes_sent(void **state)
{
  (void)state;
  copal_path path;
  udp *gone = open_deaf(&path);
  udp *u = open_at("127.0.0.1", &(udp_cfg){0});
  send_text(u, &path, "nobody");
  udp_flush(u);
  wait_for(u, POLLERR);
  udp_error error;
  assert_int_equal(udp_recv_error(u, 0, &error), 1);
  assert_int_equal(error.errnum, ECONNREFUSED);
  assert_int_equal(error.quoted.len, 6);
  assert_memory_equal(error.quoted.ptr, "nobody", 6);
  assert_true(copal_path_is_same_peer(&error.path, &path));
  assert_int_equal(udp_recv_error(u, 0, &error), 0);
  udp_close(u);
  udp_close(gone);
}

static void udp_error_of_one_peer_does_not_stop_traffic_with_another(void **state)
{
  (void)state;
  copal_path nobody;
  udp *gone = open_deaf(&nobody);
  udp *a = open_at("127.0.0.1", &(udp_cfg){0});
  udp *b = open_at("127.0.0.1", &(udp_cfg){0});
  const copal_path to_b = {.remote = addr_of("127.0.0.1", port_of(b))};
  const copal_path to_a = {.remote = addr_of("127.0.0.1", port_of(a))};
  send_text(a, &nobody, "x");
  udp_flush(a);
  wait_for(a, POLLERR);
  send_text(a, &to_b, "still sent");
  udp_flush(a);
  expect_text(b, "still sent");
  send_text(a, &nobody, "x");
  udp_flush(a);
  wait_for(a, POLLERR);
  send_text(b, &to_a, "still received");
  udp_flush(b);
  expect_text(a, "still received");
  assert_int_equal(udp_stats_now(a)->tx_errors, 0);
  udp_close(a);
  udp_close(b);
  udp_close(gone);
}

/* Errors of earlier datagrams that the next calls to send report, as the kernel does when they
 * arrive one after the other: each is told once, in front of whatever is sent then. */
static int pending_errors;
int __real_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags);

int __wrap_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
  if (pending_errors == 0)
    return __real_sendmmsg(fd, msgs, count, flags);
  pending_errors--;
  errno = ECONNREFUSED;
  return -1;
}

static void rfc7252_4_2_errors_of_others_drop_no_datagram(void **state)
{
  (void)state;
  udp *a = open_at("127.0.0.1", &(udp_cfg){0});
  udp *b = open_at("127.0.0.1", &(udp_cfg){0});
  const copal_path to_b = {.remote = addr_of("127.0.0.1", port_of(b))};
  heard got[2];
  for (pending_errors = 1; pending_errors < 10; pending_errors++) {
    const int errors = pending_errors;
    send_text(a, &to_b, "one");
    send_text(a, &to_b, "longer"); /* so that they do not travel together */
    udp_flush(a);
    assert_int_equal(pending_errors, 0);
    hear(b, got, 2);
    assert_string_equal(got[0].text, "one");
    assert_string_equal(got[1].text, "longer");
    pending_errors = errors;
  }
  pending_errors = 0;
  assert_int_equal(udp_stats_now(a)->tx_errors, 0);
  udp_close(a);
  udp_close(b);
}

static void udp_longer_datagram_than_allowed_is_dropped_and_counted(void **state)
{
  (void)state;
  udp *small = open_at("127.0.0.1", &(udp_cfg){.datagram_max = 16});
  udp *u = open_at("127.0.0.1", &(udp_cfg){0});
  const copal_path path = {.remote = addr_of("127.0.0.1", port_of(small))};
  send_text(u, &path, "seventeen bytes!!");
  send_text(u, &path, "sixteen bytes!!!");
  udp_flush(u);
  expect_text(small, "sixteen bytes!!!");
  assert_int_equal(udp_stats_now(small)->rx_truncated, 1);
  assert_int_equal(udp_stats_now(small)->rx_datagrams, 1);
  udp_close(small);
  udp_close(u);
}

static void udp_largest_datagram_passes_whole(void **state)
{
  (void)state;
  enum { LARGEST = 65507 };
  udp *a = open_at("127.0.0.1", &(udp_cfg){.datagram_max = UINT16_MAX});
  udp *b = open_at("127.0.0.1", &(udp_cfg){.datagram_max = UINT16_MAX});
  const copal_path path = {.remote = addr_of("127.0.0.1", port_of(b))};
  char *text = malloc(LARGEST + 1);
  memset(text, 'x', LARGEST);
  text[LARGEST] = '\0';
  send_text(a, &path, text);
  udp_flush(a);
  expect_text(b, text);
  free(text);
  udp_close(a);
  udp_close(b);
}

static void udp_queue_longer_than_a_batch_is_flushed_on_the_way(void **state)
{
  (void)state;
  enum { COUNT = 10 };
  udp *a = open_at("127.0.0.1", &(udp_cfg){.batch = 4});
  udp *b = open_at("127.0.0.1", &(udp_cfg){.batch = 4});
  const copal_path path = {.remote = addr_of("127.0.0.1", port_of(b))};
  char text[] = "0";
  for (int i = 0; i < COUNT; i++) {
    text[0] = (char)('0' + i);
    send_text(a, &path, text);
  }
  udp_flush(a);
  udp_slot *slots = NULL;
  int got = 0;
  while (got < COUNT) {
    wait_for(b, POLLIN);
    const int n = udp_recv(b, 0, &slots);
    assert_true(n > 0);
    for (int i = 0; i < n; i++)
      assert_int_equal(slots[i].bytes.ptr[0], '0' + got++);
  }
  assert_int_equal(udp_stats_now(a)->tx_datagrams, COUNT);
  udp_close(a);
  udp_close(b);
}

/* Queues `count` datagrams that tell their place: of `len` bytes, the last one of `last`. */
static void send_run_of(udp *u, const copal_path *path, unsigned count, size_t len, size_t last)
{
  char text[128];
  for (unsigned i = 0; i < count; i++) {
    const size_t size = i + 1 < count ? len : last;
    memset(text, (int)('0' + i % 64), size);
    text[size] = '\0';
    send_text(u, path, text);
  }
}

static void expect_run_of(udp *u, unsigned count, size_t len, size_t last)
{
  udp_slot *slots = NULL;
  for (unsigned i = 0; i < count;) {
    wait_for(u, POLLIN);
    const int n = udp_recv(u, 0, &slots);
    assert_true(n > 0);
    for (int k = 0; k < n; k++, i++) {
      assert_int_equal(slots[k].bytes.len, i + 1 < count ? len : last);
      assert_int_equal(slots[k].bytes.ptr[0], '0' + i % 64);
    }
  }
}

static void udp_runs_of_datagrams_stay_datagrams(void **state)
{
  (void)state;
  udp *a = open_at("127.0.0.1", &(udp_cfg){.batch = 256});
  udp *b = open_at("127.0.0.1", &(udp_cfg){0});
  udp *c = open_at("127.0.0.1", &(udp_cfg){0});
  const copal_path to_b = {.remote = addr_of("127.0.0.1", port_of(b))};
  const copal_path to_c = {.remote = addr_of("127.0.0.1", port_of(c))};
  send_run_of(a, &to_b, 131, 40, 7);
  send_run_of(a, &to_c, 3, 40, 57); /* the last is longer, so it is no part of the run */
  udp_flush(a);
  expect_run_of(b, 131, 40, 7);
  expect_run_of(c, 3, 40, 57);
  assert_int_equal(udp_stats_now(a)->tx_datagrams, 134);
  assert_int_equal(udp_stats_now(a)->tx_bytes, 130 * 40 + 7 + 2 * 40 + 57);
  assert_int_equal(udp_stats_now(b)->rx_datagrams, 131);
  assert_int_equal(udp_stats_now(b)->rx_bytes, 130 * 40 + 7);
  udp_close(a);
  udp_close(b);
  udp_close(c);
}

/* To a socket that knows nothing of it. */
static void udp_run_reaches_a_plain_socket_one_by_one(void **state)
{
  (void)state;
  const copal_addr any = addr_of("127.0.0.1", 0);
  copal_addr bound;
  char text[128];
  const int plain = udp_socket_open(&any, UDP_EXCLUSIVE);
  assert_int_equal(udp_socket_local(plain, &bound), 0);
  udp *a = open_at("127.0.0.1", &(udp_cfg){0});
  const copal_path path = {.remote = bound};
  send_run_of(a, &path, 5, 30, 10);
  udp_flush(a);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(recv(plain, text, sizeof text, 0), i < 4 ? 30 : 10);
    assert_int_equal(text[0], '0' + i);
  }
  close(plain);
  udp_close(a);
}

static void udp_run_leaves_from_the_address_that_was_asked(void **state)
{
  (void)state;
  udp *server = open_at("0.0.0.0", &(udp_cfg){0});
  udp *client = open_at("127.0.0.1", &(udp_cfg){0});
  const copal_path to = {.remote = addr_of("127.0.0.3", port_of(server))};
  send_text(client, &to, "?");
  udp_flush(client);
  const copal_path back = expect_text(server, "?");
  send_run_of(server, &back, 10, 20, 20);
  udp_flush(server);
  heard got[10];
  hear(client, got, 10);
  for (int i = 0; i < 10; i++)
    assert_memory_equal(&got[i].path.remote, &to.remote, sizeof to.remote);
  udp_close(server);
  udp_close(client);
}

/* What is remembered of the last route is of no other, nor of another batch. */
static void udp_peers_that_take_turns_each_hear_their_own(void **state)
{
  (void)state;
  enum { PEERS = 3, TURNS = 40 };
  udp *server = open_at("0.0.0.0", &(udp_cfg){.batch = 16});
  udp *clients[PEERS];
  copal_path back[PEERS];
  heard got[TURNS * 4];
  int count[PEERS] = {0};
  for (int i = 0; i < PEERS; i++) {
    /* The first two share an address of the server, the third asks another. */
    const copal_path to = {.remote = addr_of(i < 2 ? "127.0.0.2" : "127.0.0.3", port_of(server))};
    clients[i] = open_at("127.0.0.1", &(udp_cfg){0});
    send_text(clients[i], &to, "?");
    udp_flush(clients[i]);
    back[i] = expect_text(server, "?");
  }
  for (int t = 0; t < TURNS; t++) {
    const int i = t % PEERS;
    const char text[] = {(char)('a' + i), 'x', 'y', 'z', '\0'};
    for (int k = 0; k <= t % 4; k++, count[i]++)
      send_text(server, &back[i], text);
  }
  udp_flush(server);
  for (int i = 0; i < PEERS; i++) {
    hear(clients[i], got, count[i]);
    for (int k = 0; k < count[i]; k++) {
      assert_int_equal(got[k].text[0], 'a' + i);
      assert_int_equal(got[k].path.remote.ip[15], i < 2 ? 2 : 3);
    }
    udp_close(clients[i]);
  }
  udp_close(server);
}

static void udp_sink_refuses_what_no_socket_can_carry(void **state)
{
  (void)state;
  udp *u = open_at("127.0.0.1", &(udp_cfg){.datagram_max = 64});
  copal_sink *sink = udp_sink(u);
  const copal_path v6 = {.remote = addr_of("2001:db8::1", 5683)};
  const copal_path v4 = {.remote = addr_of("127.0.0.1", 5683)};
  assert_null(sink->reserve(sink, &v6, 16).ptr);
  assert_null(sink->reserve(sink, &v4, 65).ptr);
  assert_non_null(sink->reserve(sink, &v4, 64).ptr);
  assert_int_equal(udp_stats_now(u)->tx_errors, 2);
  udp_close(u);
}

static void udp_unroutable_destination_is_counted_and_the_rest_is_sent(void **state)
{
  (void)state;
  udp *a = open_at("127.0.0.1", &(udp_cfg){0});
  udp *b = open_at("127.0.0.1", &(udp_cfg){0});
  /* A socket bound to loopback cannot reach the outside. */
  const copal_path outside = {.remote = addr_of("192.0.2.1", 5683)};
  const copal_path to_b = {.remote = addr_of("127.0.0.1", port_of(b))};
  send_text(a, &outside, "x");
  send_text(a, &to_b, "y");
  udp_flush(a);
  expect_text(b, "y");
  assert_int_equal(udp_stats_now(a)->tx_errors, 1);
  udp_close(a);
  udp_close(b);
}

static void udp_full_receive_buffer_is_counted_as_kernel_drops(void **state)
{
  (void)state;
  udp *a = open_at("127.0.0.1", &(udp_cfg){.batch = 512});
  udp *b = open_at("127.0.0.1", &(udp_cfg){.rcvbuf = 4096});
  const copal_path path = {.remote = addr_of("127.0.0.1", port_of(b))};
  char text[101] = "";
  for (int i = 0; i < 100; i++) {
    memset(text, 'x', (size_t)i + 1); /* each longer than the last, so that none travel together */
    send_text(a, &path, text);
  }
  udp_flush(a);
  /* The counter of drops comes with the next datagram that gets through. */
  udp_slot *slots = NULL;
  while (poll(&(struct pollfd){.fd = udp_fd(b, 0), .events = POLLIN}, 1, QUIET_MS) > 0)
    assert_true(udp_recv(b, 0, &slots) > 0);
  send_text(a, &path, "after");
  udp_flush(a);
  expect_text(b, "after");
  udp_count_drops(b);
  assert_int_equal(udp_stats_now(b)->kernel_drops + udp_stats_now(b)->rx_datagrams, 101);
  assert_true(udp_stats_now(b)->kernel_drops > 0);
  udp_close(a);
  udp_close(b);
}

static void udp_buffers_report_what_was_granted(void **state)
{
  (void)state;
  udp *u = open_at("127.0.0.1", &(udp_cfg){.rcvbuf = 65536});
  assert_true(udp_stats_now(u)->rcvbuf >= 65536);
  udp_close(u);
}

static void udp_address_in_use_is_an_error_unless_shared(void **state)
{
  (void)state;
  const copal_addr any = addr_of("127.0.0.1", 0);
  const int first = udp_socket_open(&any, UDP_FIRST);
  assert_true(first >= 0);
  copal_addr local;
  assert_int_equal(udp_socket_local(first, &local), 0);
  assert_int_equal(udp_socket_open(&local, UDP_EXCLUSIVE), -EADDRINUSE);
  assert_int_equal(udp_socket_open(&local, UDP_FIRST), -EADDRINUSE);
  const int next = udp_socket_open(&local, UDP_NEXT);
  assert_true(next >= 0);
  /* The group is open to further sockets, but not to a claim of its own. */
  assert_int_equal(udp_socket_open(&local, UDP_FIRST), -EADDRINUSE);
  close(first);
  close(next);
}

static void udp_adopts_only_bound_sockets_of_ip(void **state)
{
  (void)state;
  udp *u = NULL;
  assert_int_equal(udp_open(&(udp_cfg){0}, &u), 0);
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
  assert_int_equal(udp_adopt(u, pair[0]), -EAFNOSUPPORT);
  close(pair[0]);
  close(pair[1]);
  assert_int_equal(udp_count(u), 0);
  udp_close(u);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(udp_carries_datagrams_both_ways_in_order),
      cmocka_unit_test(udp_sides_mean_the_same_in_another_set_of_sockets),
      cmocka_unit_test(udp_reply_leaves_from_the_address_that_was_asked),
      cmocka_unit_test(udp_local_side_changes_with_each_datagram),
      cmocka_unit_test(udp_sockets_of_one_address_answer_from_it),
      cmocka_unit_test(udp_v6_reply_leaves_from_the_address_that_was_asked),
      cmocka_unit_test(udp_v6_socket_leaves_ipv4_alone),
      cmocka_unit_test(udp_group_flag_shows_a_multicast_destination),
      cmocka_unit_test(udp_socket_hears_only_groups_it_has_joined),
      cmocka_unit_test(udp_take_groups_leaves_each_peer_to_its_own_owner),
      cmocka_unit_test(udp_take_groups_of_unsteered_sockets_is_all_or_nothing),
      cmocka_unit_test(udp_join_refuses_what_is_no_group),
      cmocka_unit_test(udp_via_sends_to_a_group_by_the_interface_named),
      cmocka_unit_test(rfc7252_4_2_closed_port_is_reported_with_the_bytes_sent),
      cmocka_unit_test(udp_error_of_one_peer_does_not_stop_traffic_with_another),
      cmocka_unit_test(rfc7252_4_2_errors_of_others_drop_no_datagram),
      cmocka_unit_test(udp_longer_datagram_than_allowed_is_dropped_and_counted),
      cmocka_unit_test(udp_largest_datagram_passes_whole),
      cmocka_unit_test(udp_queue_longer_than_a_batch_is_flushed_on_the_way),
      cmocka_unit_test(udp_runs_of_datagrams_stay_datagrams),
      cmocka_unit_test(udp_run_reaches_a_plain_socket_one_by_one),
      cmocka_unit_test(udp_run_leaves_from_the_address_that_was_asked),
      cmocka_unit_test(udp_peers_that_take_turns_each_hear_their_own),
      cmocka_unit_test(udp_sink_refuses_what_no_socket_can_carry),
      cmocka_unit_test(udp_unroutable_destination_is_counted_and_the_rest_is_sent),
      cmocka_unit_test(udp_full_receive_buffer_is_counted_as_kernel_drops),
      cmocka_unit_test(udp_buffers_report_what_was_granted),
      cmocka_unit_test(udp_address_in_use_is_an_error_unless_shared),
      cmocka_unit_test(udp_adopts_only_bound_sockets_of_ip),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
