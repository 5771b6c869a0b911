/* SPDX-License-Identifier: Apache-2.0 */
/* Joining multicast groups. */
#include "server/groups.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "transport/udp.h"

enum {
  INTERFACES_MAX = 64,
  ALL_COAP_NODES = 3,
};

/* RFC 7252 section 12.8. */
static const char *const all_coap_nodes[ALL_COAP_NODES] = {"224.0.1.187", "ff02::fd", "ff05::fd"};

/* What joins: one socket, on a set of interfaces. */
typedef struct joiner {
  shard *shard;
  int socket;
  uint16_t port;
  bool is_ipv4;
  logger *log;
  size_t count;
  uint32_t interfaces[INTERFACES_MAX];
  int joined;
} joiner;

bool groups_is_wildcard(const copal_addr *a)
{
  static const uint8_t zero[16];
  return memcmp(a->ip + 12, zero, 4) == 0 &&
         (udp_addr_is_ipv4(a) || memcmp(a->ip, zero, sizeof zero) == 0);
}

static bool is_wanted(const conf *c, const char *name)
{
  if (c->group_interfaces.count == 0)
    return true;
  for (size_t i = 0; i < c->group_interfaces.count; i++)
    if (strcmp(c->group_interfaces.items[i], name) == 0)
      return true;
  return false;
}

static bool has(const uint32_t *interfaces, size_t count, uint32_t index)
{
  for (size_t i = 0; i < count; i++)
    if (interfaces[i] == index)
      return true;
  return false;
}

size_t groups_interfaces(const conf *c, uint32_t *out, size_t cap)
{
  struct ifaddrs *all;
  size_t count = 0;
  if (getifaddrs(&all) != 0)
    return 0;
  for (const struct ifaddrs *i = all; i != NULL && count < cap; i = i->ifa_next) {
    const uint32_t index = if_nametoindex(i->ifa_name);
    const bool can = (i->ifa_flags & IFF_UP) != 0 && (i->ifa_flags & IFF_MULTICAST) != 0;
    if (can && index != 0 && is_wanted(c, i->ifa_name) && !has(out, count, index))
      out[count++] = index;
  }
  freeifaddrs(all);
  return count;
}

/* The logger is missing for all sockets but the first. */
static void tell(const joiner *j, const char *group, uint32_t interface, int rc)
{
  char name[IF_NAMESIZE] = "";
  if (j->log == NULL)
    return;
  if_indextoname(interface, name);
  if (rc == 0)
    LOG(j->log, LOG_LEVEL_DEBUG, "group_joined", log_text("group", group),
        log_text("interface", name));
  else
    LOG(j->log, LOG_LEVEL_WARN, "group_not_joined", log_text("group", group),
        log_text("interface", name), log_text("error", strerror(-rc)));
}

static void join(joiner *j, const char *text)
{
  copal_addr group;
  if (udp_addr_parse(text, j->port, &group) < 0 || udp_addr_is_ipv4(&group) != j->is_ipv4)
    return;
  for (size_t i = 0; i < j->count; i++) {
    int rc = shard_join(j->shard, j->socket, &group, j->interfaces[i]);
    if (rc == -EADDRINUSE)
      rc = 0; /* by a process before this one */
    j->joined += rc == 0;
    tell(j, text, j->interfaces[i], rc);
  }
}

int groups_join(const conf *c, const copal_addr *listener, shard *s, int socket, logger *log)
{
  joiner j = {.shard = s,
              .socket = socket,
              .port = listener->port,
              .is_ipv4 = udp_addr_is_ipv4(listener),
              .log = log};
  if (!groups_is_wildcard(listener))
    return 0;
  j.count = groups_interfaces(c, j.interfaces, INTERFACES_MAX);
  for (size_t i = 0; c->joins_all_nodes == CONF_ON && i < ALL_COAP_NODES; i++)
    join(&j, all_coap_nodes[i]);
  for (size_t i = 0; i < c->groups.count; i++)
    join(&j, c->groups.items[i]);
  return j.joined;
}
