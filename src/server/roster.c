/* SPDX-License-Identifier: Apache-2.0 */
/* Multicast groups joined and left while the server runs. Thread: any; under a lock. */
#include "server/roster.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "copal/error.h"
#include "server/clock.h"
#include "server/groups.h"
#include "transport/udp.h"

enum {
  INTERFACES_MAX = 64,
  PORT_DEFAULT = 5683, /* RFC 7252 section 6.1 */
  TEXT_SIZE = 80,
  ANY_INTERFACE = 0,
};

/* A membership that the roster has made. */
typedef struct joined {
  struct joined *next;
  int fd;
  uint32_t interface;
  copal_addr group;
} joined;

typedef struct group_socket {
  int fd;
  uint16_t port;
  bool is_ipv4;
} group_socket;

struct roster {
  memberships hook; /* first */
  const conf *conf;
  logger own; /* guarded by the lock: groups are joined from any shard */
  logger *log;
  size_t count;
  group_socket *sockets;
  pthread_mutex_t lock; /* guards the list */
  joined *list;
};

/* ------------------------------------------------------------------------------------------------
 * addresses */

/* ":" and digits, or nothing. */
static bool read_port(const char *text, uint16_t *port)
{
  *port = PORT_DEFAULT;
  if (*text == '\0')
    return true;
  const size_t digits = strspn(text + 1, "0123456789");
  if (*text != ':' || digits < 1 || digits > 5 || text[digits + 1] != '\0')
    return false;
  const unsigned long v = strtoul(text + 1, NULL, 10);
  *port = (uint16_t)v;
  return v > 0 && v <= UINT16_MAX;
}

/* RFC 7390 section 2.6.2.1: IPv4address [":" port] / "[" IPv6address "]" [":" port]. */
static int parse(memberships *hook, const char *text, copal_addr *group)
{
  char literal[TEXT_SIZE];
  uint16_t port;
  (void)hook;
  const bool is_bracketed = text[0] == '[';
  const char *begin = text + is_bracketed;
  const size_t len = strcspn(begin, is_bracketed ? "]" : ":");
  const char *rest = begin + len;
  if (len == 0 || len >= sizeof literal || memchr(begin, '%', len) != NULL ||
      (is_bracketed && *rest++ != ']') || !read_port(rest, &port))
    return COPAL_EINVAL;
  snprintf(literal, sizeof literal, "%.*s", (int)len, begin);
  if (udp_addr_parse(literal, port, group) != COPAL_OK || !udp_addr_is_multicast(group) ||
      udp_addr_is_ipv4(group) == is_bracketed)
    return COPAL_EINVAL;
  return COPAL_OK;
}

static void fill_request(struct group_req *r, const copal_addr *group, uint32_t interface)
{
  memset(r, 0, sizeof *r);
  r->gr_interface = interface;
  if (udp_addr_is_ipv4(group)) {
    struct sockaddr_in *a = (struct sockaddr_in *)&r->gr_group;
    a->sin_family = AF_INET;
    memcpy(&a->sin_addr, group->ip + 12, 4);
  } else {
    struct sockaddr_in6 *a = (struct sockaddr_in6 *)&r->gr_group;
    a->sin6_family = AF_INET6;
    memcpy(&a->sin6_addr, group->ip, 16);
  }
}

/* Returns 0 or -errno. */
static int ask_kernel(int option, int fd, const copal_addr *group, uint32_t interface)
{
  struct group_req r;
  fill_request(&r, group, interface);
  const int level = udp_addr_is_ipv4(group) ? IPPROTO_IP : IPPROTO_IPV6;
  return setsockopt(fd, level, option, &r, sizeof r) == 0 ? 0 : -errno;
}

/* ------------------------------------------------------------------------------------------------
 * joining and leaving */

static bool note(roster *r, int fd, uint32_t interface, const copal_addr *group)
{
  joined *j = malloc(sizeof *j);
  if (j == NULL)
    return false;
  *j = (joined){.next = r->list, .fd = fd, .interface = interface, .group = *group};
  r->list = j;
  return true;
}

/* Returns 0 or -errno. */
static int join_on(roster *r, int fd, uint32_t interface, const copal_addr *group)
{
  const int rc = ask_kernel(MCAST_JOIN_GROUP, fd, group, interface);
  if (rc == -EADDRINUSE)
    return 0; /* the configuration has joined it, and will keep it */
  if (rc < 0 || note(r, fd, interface, group))
    return rc;
  (void)ask_kernel(MCAST_LEAVE_GROUP, fd, group, interface);
  return -ENOMEM;
}

/* Leaves a group; on all interfaces when none is named. */
static void leave_on(roster *r, uint32_t interface, const copal_addr *group)
{
  for (joined **at = &r->list; *at != NULL;) {
    joined *j = *at;
    if (memcmp(&j->group, group, sizeof *group) != 0 ||
        (interface != ANY_INTERFACE && j->interface != interface)) {
      at = &j->next;
      continue;
    }
    /* Fails when the interface has gone, and the membership with it. */
    (void)ask_kernel(MCAST_LEAVE_GROUP, j->fd, group, j->interface);
    *at = j->next;
    free(j);
  }
}

static bool is_for(const group_socket *s, const copal_addr *group)
{
  return s->port == group->port && s->is_ipv4 == udp_addr_is_ipv4(group);
}

static bool has_socket_for(const roster *r, const copal_addr *group)
{
  for (size_t i = 0; i < r->count; i++)
    if (is_for(&r->sockets[i], group))
      return true;
  return false;
}

static void tell_not_joined(const roster *r, const copal_addr *group, uint32_t interface, int rc)
{
  char address[UDP_ADDR_TEXT_SIZE];
  char name[IF_NAMESIZE] = "";
  if (r->log == NULL)
    return;
  if_indextoname(interface, name);
  udp_addr_format(group, address);
  const log_field fields[] = {log_text("group", address), log_text("interface", name),
                              log_text("error", strerror(-rc))};
  log_limited(r->log, LOG_LEVEL_WARN, "group_not_joined", name, fields, 3, clock_now());
}

/* By every socket that takes group requests, or by none: each hears some of the clients only. */
static bool join_all(roster *r, uint32_t interface, const copal_addr *group)
{
  int rc = 0;
  for (size_t i = 0; i < r->count && rc == 0; i++)
    if (is_for(&r->sockets[i], group))
      rc = join_on(r, r->sockets[i].fd, interface, group);
  if (rc == 0)
    return true;
  tell_not_joined(r, group, interface, rc);
  leave_on(r, interface, group);
  return false;
}

static int join(memberships *hook, const copal_addr *group)
{
  roster *r = (roster *)hook;
  uint32_t interfaces[INTERFACES_MAX];
  if (!has_socket_for(r, group))
    return COPAL_ENOTFOUND;
  const size_t count = groups_interfaces(r->conf, interfaces, INTERFACES_MAX);
  size_t done = 0;
  pthread_mutex_lock(&r->lock);
  for (size_t i = 0; i < count; i++)
    done += join_all(r, interfaces[i], group);
  pthread_mutex_unlock(&r->lock);
  return done > 0 ? COPAL_OK : COPAL_ENOSLOT;
}

static void leave(memberships *hook, const copal_addr *group)
{
  roster *r = (roster *)hook;
  pthread_mutex_lock(&r->lock);
  leave_on(r, ANY_INTERFACE, group);
  pthread_mutex_unlock(&r->lock);
}

/* ------------------------------------------------------------------------------------------------
 * the roster */

roster *roster_open(const conf *c, logger *log)
{
  roster *r = calloc(1, sizeof *r);
  if (r == NULL)
    return NULL;
  r->hook = (memberships){parse, join, leave};
  r->conf = c;
  if (log != NULL) {
    r->own = *log;
    r->log = &r->own;
  }
  pthread_mutex_init(&r->lock, NULL);
  return r;
}

void roster_close(roster *r)
{
  if (r == NULL)
    return;
  while (r->list != NULL) {
    joined *j = r->list;
    r->list = j->next;
    free(j);
  }
  for (size_t i = 0; i < r->count; i++)
    close(r->sockets[i].fd);
  free(r->sockets);
  pthread_mutex_destroy(&r->lock);
  free(r);
}

int roster_add(roster *r, int fd, const copal_addr *listener)
{
  if (!groups_is_wildcard(listener))
    return 0;
  group_socket *sockets = realloc(r->sockets, (r->count + 1) * sizeof *sockets);
  if (sockets == NULL)
    return -ENOMEM;
  r->sockets = sockets;
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0)
    return -errno;
  r->sockets[r->count++] = (group_socket){own, listener->port, udp_addr_is_ipv4(listener)};
  return 0;
}

memberships *roster_memberships(roster *r)
{
  return &r->hook;
}
