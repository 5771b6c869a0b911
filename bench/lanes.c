/* SPDX-License-Identifier: Apache-2.0 */
/* Client addresses, one or several for each socket. */
#include "lanes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 1 << 20 };

/* Control data, aligned as cmsghdr wants it. */
typedef union control {
  struct cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
} control;

static void die(const char *what)
{
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(3);
}

static bool is_shared(const lanes *l)
{
  return l->count > l->sockets;
}

/* The addresses behind the server's: 127.0.0.1 serves, 127.0.0.2 and so on ask. */
static uint32_t first_address(const lanes *l)
{
  return ntohl(l->server.sin_addr.s_addr) + 1;
}

static int open_socket(const lanes *l)
{
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int size = BUFFER, on = 1;
  const struct sockaddr_in any = {.sin_family = AF_INET};
  if (fd < 0)
    die("socket");
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (!is_shared(l)) {
    if (connect(fd, (const struct sockaddr *)&l->server, sizeof l->server) != 0)
      die("connect");
  } else if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) != 0 ||
             bind(fd, (const struct sockaddr *)&any, sizeof any) != 0) {
    die("bind");
  }
  return fd;
}

void lanes_open(lanes *l, const struct sockaddr_in *server, uint32_t count)
{
  *l = (lanes){.server = *server,
               .count = count,
               .sockets = count < LANES_SOCKETS ? count : LANES_SOCKETS,
               .epoll = epoll_create1(EPOLL_CLOEXEC)};
  l->fds = calloc(l->sockets, sizeof *l->fds);
  if (l->fds == NULL || l->epoll < 0)
    die("sockets");
  for (uint32_t i = 0; i < l->sockets; i++) {
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};
    l->fds[i] = open_socket(l);
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->fds[i], &ev) != 0)
      die("epoll");
  }
}

void lanes_close(lanes *l)
{
  for (uint32_t i = 0; i < l->sockets; i++)
    close(l->fds[i]);
  close(l->epoll);
  free(l->fds);
}

static void send_from(const lanes *l, uint32_t lane, void *bytes, size_t len)
{
  control room = {.bytes = {0}};
  struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(first_address(l) + lane / l->sockets)};
  struct sockaddr_in to = l->server;
  struct iovec iov = {bytes, len};
  struct msghdr m = {.msg_name = &to,
                     .msg_namelen = sizeof to,
                     .msg_iov = &iov,
                     .msg_iovlen = 1,
                     .msg_control = &room,
                     .msg_controllen = sizeof room};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = IPPROTO_IP;
  c->cmsg_type = IP_PKTINFO;
  c->cmsg_len = CMSG_LEN(sizeof info);
  memcpy(CMSG_DATA(c), &info, sizeof info);
  (void)sendmsg(l->fds[lane % l->sockets], &m, 0);
}

void lanes_send(const lanes *l, uint32_t lane, const void *bytes, size_t len)
{
  if (is_shared(l))
    send_from(l, lane, (void *)(uintptr_t)bytes, len);
  else
    (void)send(l->fds[lane], bytes, len, 0);
}

/* The address that a datagram was sent to, by its place among the lanes'. */
static uint32_t read_address(const lanes *l, struct msghdr *m)
{
  struct in_pktinfo info = {0};
  const struct cmsghdr *c = CMSG_FIRSTHDR(m);
  if (c != NULL && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
    memcpy(&info, CMSG_DATA(c), sizeof info);
  return ntohl(info.ipi_addr.s_addr) - first_address(l);
}

/* These sockets are not connected: somebody else's server may still send to who had the port
 * before.
 */
static bool is_servers(const lanes *l, const struct sockaddr_in *from)
{
  return from->sin_port == l->server.sin_port && from->sin_addr.s_addr == l->server.sin_addr.s_addr;
}

ssize_t lanes_receive(const lanes *l, uint32_t socket, void *bytes, size_t size, uint32_t *lane)
{
  *lane = socket;
  if (!is_shared(l))
    return recv(l->fds[socket], bytes, size, 0);
  control room;
  struct sockaddr_in from;
  struct iovec iov = {bytes, size};
  struct msghdr m = {.msg_name = &from,
                     .msg_namelen = sizeof from,
                     .msg_iov = &iov,
                     .msg_iovlen = 1,
                     .msg_control = &room,
                     .msg_controllen = sizeof room};
  const ssize_t n = recvmsg(l->fds[socket], &m, 0);
  if (n < 0 || !is_servers(l, &from))
    return -1;
  *lane += read_address(l, &m) * l->sockets;
  return n;
}

int lanes_fd(const lanes *l, uint32_t lane)
{
  return l->fds[lane];
}
