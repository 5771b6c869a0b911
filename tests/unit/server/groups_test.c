/* SPDX-License-Identifier: Apache-2.0 */
/* Which groups are joined, and through what. RFC 7252 section 12.8. The test stands in for the
 * shard. */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/groups.h"
#include "transport/udp.h"

enum { JOINED_MAX = 512 };

static copal_addr joined[JOINED_MAX];
static int joined_count, result;

int __wrap_shard_join(shard *s, int socket, const copal_addr *group, uint32_t interface);
int __wrap_shard_join(shard *s, int socket, const copal_addr *group, uint32_t interface)
{
  (void)s;
  assert_int_equal(socket, 7);
  assert_true(interface != 0);
  assert_true(joined_count < JOINED_MAX);
  joined[joined_count++] = *group;
  return result;
}

/* Interfaces that can do multicast. */
static int multicast_interfaces(void)
{
  struct ifaddrs *all;
  uint32_t seen[64];
  int count = 0;
  if (getifaddrs(&all) != 0)
    return 0;
  for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
    const uint32_t index = if_nametoindex(i->ifa_name);
    const unsigned both = IFF_UP | IFF_MULTICAST;
    bool is_new = (i->ifa_flags & both) == both && index != 0;
    for (int k = 0; k < count; k++)
      is_new = is_new && seen[k] != index;
    if (is_new && count < 64)
      seen[count++] = index;
  }
  freeifaddrs(all);
  return count;
}

static int join(const conf *c, const char *listener)
{
  static logger log;
  copal_addr a;
  joined_count = 0;
  log_init(&log, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
  assert_int_equal(udp_addr_parse(listener, 5683, &a), 0);
  return groups_join(c, &a, NULL, 7, &log);
}

static void rfc7252_12_8_all_coap_nodes_of_the_family_are_joined(void **state)
{
  conf c = {.joins_all_nodes = CONF_ON};
  const int n = multicast_interfaces();
  (void)state;
  result = 0;
  assert_int_equal(join(&c, "0.0.0.0"), n);
  for (int i = 0; i < joined_count; i++) {
    assert_true(udp_addr_is_ipv4(&joined[i]));
    assert_int_equal(joined[i].port, 5683);
  }
  assert_int_equal(join(&c, "::"), 2 * n); /* link-local and site-local scope */
  for (int i = 0; i < joined_count; i++)
    assert_true(joined[i].ip[0] == 0xff && joined[i].ip[15] == 0xfd);
}

static void configured_groups_are_joined_too(void **state)
{
  char *groups[] = {"239.1.2.3", "ff05::1234"};
  conf c = {.joins_all_nodes = CONF_OFF};
  const int n = multicast_interfaces();
  (void)state;
  result = 0;
  c.groups.items = groups;
  c.groups.count = 2;
  assert_int_equal(join(&c, "0.0.0.0"), n);
  assert_int_equal(join(&c, "::"), n);
}

static void only_listeners_on_all_addresses_join(void **state)
{
  conf c = {.joins_all_nodes = CONF_ON};
  (void)state;
  assert_int_equal(join(&c, "127.0.0.1"), 0);
  assert_int_equal(join(&c, "::1"), 0);
  assert_int_equal(joined_count, 0);
}

static void only_wanted_interfaces_join(void **state)
{
  char *names[] = {"nosuchinterface"};
  conf c = {.joins_all_nodes = CONF_ON};
  (void)state;
  c.group_interfaces.items = names;
  c.group_interfaces.count = 1;
  assert_int_equal(join(&c, "0.0.0.0"), 0);
  assert_int_equal(joined_count, 0);
}

static void what_cannot_be_joined_is_left_out(void **state)
{
  conf c = {.joins_all_nodes = CONF_ON};
  (void)state;
  result = -ENODEV;
  assert_int_equal(join(&c, "0.0.0.0"), 0);
  assert_int_equal(joined_count, multicast_interfaces());
  result = 0;
}

static void only_the_unspecified_addresses_are_wildcards(void **state)
{
  const struct {
    const char *text;
    bool is_wildcard;
  } cases[] = {{"0.0.0.0", true}, {"::", true},      {"0.0.0.1", false}, {"127.0.0.1", false},
               {"::1", false},    {"fe80::", false}, {"1.0.0.0", false}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    copal_addr a;
    assert_int_equal(udp_addr_parse(cases[i].text, 5683, &a), 0);
    assert_int_equal(groups_is_wildcard(&a), cases[i].is_wildcard);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7252_12_8_all_coap_nodes_of_the_family_are_joined),
      cmocka_unit_test(configured_groups_are_joined_too),
      cmocka_unit_test(only_listeners_on_all_addresses_join),
      cmocka_unit_test(only_wanted_interfaces_join),
      cmocka_unit_test(what_cannot_be_joined_is_left_out),
      cmocka_unit_test(only_the_unspecified_addresses_are_wildcards),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
