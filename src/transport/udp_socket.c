/* SPDX-License-Identifier: Apache-2.0 */
/* Making one UDP socket and setting its options. RFC 7252 sections 3 and 4.6. Thread: any. */
#include "transport/udp_socket.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <unistd.h>

#include "transport/udp.h"

static int set_int(int fd, int level, int name, int value)
{
  return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

static int bind_shared(int fd, const udp_sockaddr *sa, socklen_t len, udp_share share)
{
  if (share == UDP_NEXT) {
    const int rc = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc < 0)
      return rc;
  }
  if (bind(fd, &sa->any, len) != 0)
    return -errno;
  /* Set only now: bound with it, the first socket would silently join the group of another process
   * of the same user instead of failing. */
  return share == UDP_FIRST ? set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1) : 0;
}

int udp_socket_open(const copal_addr *local, udp_share share)
{
  udp_sockaddr sa;
  const socklen_t len = udp_sockaddr_of(local, &sa);
  const int fd = socket(sa.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -errno;
  int rc = 0;
  if (sa.any.sa_family == AF_INET6)
    rc = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (rc == 0)
    rc = bind_shared(fd, &sa, len, share);
  if (rc == 0)
    return fd;
  close(fd);
  return rc;
}

/* Asks for a buffer beyond the system's limit first, which takes privileges, then within it.
 * Returns the bytes granted. */
static uint32_t grow_buffer(int fd, int force, int plain, uint32_t wanted)
{
  const int want = wanted > INT32_MAX / 2 ? INT32_MAX / 2 : (int)wanted;
  if (set_int(fd, SOL_SOCKET, force, want) != 0)
    (void)set_int(fd, SOL_SOCKET, plain, want);
  int got = 0;
  socklen_t len = sizeof got;
  if (getsockopt(fd, SOL_SOCKET, plain, &got, &len) != 0 || got < 0)
    return 0;
  return (uint32_t)got / 2; /* the kernel reports twice the number, its own overhead included */
}

static int setup_v4(int fd, bool needs_destination)
{
  int rc = set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
  if (rc == 0)
    rc = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  if (rc == 0)
    rc = set_int(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
  if (rc == 0 && needs_destination)
    rc = set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
  return rc;
}

static int setup_v6(int fd, bool needs_destination)
{
  int rc = set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
  if (rc == 0)
    rc = set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
  if (rc == 0)
    rc = set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
  if (rc == 0 && needs_destination)
    rc = set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  return rc;
}

static bool is_unspecified(const copal_addr *a)
{
  static const uint8_t zeros[16];
  const size_t from = udp_addr_is_ipv4(a) ? 12 : 0;
  return memcmp(a->ip + from, zeros, 16 - from) == 0;
}

int udp_socket_setup(int fd, uint32_t rcvbuf_wanted, uint32_t sndbuf_wanted, uint32_t *rcvbuf)
{
  copal_addr local;
  int rc = udp_socket_local(fd, &local);
  if (rc < 0)
    return rc;
  *rcvbuf = grow_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, rcvbuf_wanted);
  (void)grow_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, sndbuf_wanted);
  /* A socket bound to one unicast address knows what was asked; only others pay for being told. */
  const bool needs_destination = is_unspecified(&local) || udp_addr_is_multicast(&local);
  return udp_addr_is_ipv4(&local) ? setup_v4(fd, needs_destination)
                                  : setup_v6(fd, needs_destination);
}

uint32_t udp_socket_drops(int fd)
{
  uint32_t info[SK_MEMINFO_VARS] = {0};
  socklen_t len = sizeof info;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0)
    return 0;
  return info[SK_MEMINFO_DROPS];
}

int udp_socket_local(int fd, copal_addr *local)
{
  udp_sockaddr sa;
  socklen_t len = sizeof sa;
  if (getsockname(fd, &sa.any, &len) != 0)
    return -errno;
  return udp_sockaddr_to(&sa, local) ? 0 : -EAFNOSUPPORT;
}

socklen_t udp_sockaddr_of(const copal_addr *a, udp_sockaddr *sa)
{
  memset(sa, 0, sizeof *sa);
  if (udp_addr_is_ipv4(a)) {
    sa->v4.sin_family = AF_INET;
    sa->v4.sin_port = htons(a->port);
    memcpy(&sa->v4.sin_addr, a->ip + 12, 4);
    return sizeof sa->v4;
  }
  sa->v6.sin6_family = AF_INET6;
  sa->v6.sin6_port = htons(a->port);
  sa->v6.sin6_scope_id = a->zone;
  memcpy(&sa->v6.sin6_addr, a->ip, 16);
  return sizeof sa->v6;
}

bool udp_sockaddr_to(const udp_sockaddr *sa, copal_addr *a)
{
  memset(a, 0, sizeof *a);
  if (sa->any.sa_family == AF_INET) {
    udp_addr_map_ipv4(sa->v4.sin_addr, a);
    a->port = ntohs(sa->v4.sin_port);
    return true;
  }
  if (sa->any.sa_family != AF_INET6 || sa->v6.sin6_scope_id > UINT16_MAX)
    return false;
  memcpy(a->ip, &sa->v6.sin6_addr, 16);
  a->port = ntohs(sa->v6.sin6_port);
  a->zone = (uint16_t)sa->v6.sin6_scope_id;
  return true;
}
