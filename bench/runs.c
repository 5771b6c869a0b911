/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of datagrams between two sockets as one message. */
#include "runs.h"

#include <netinet/udp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Control data, aligned as cmsghdr wants it. */
typedef union control {
  struct cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int))];
} control;

void runs_allow(int fd)
{
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
}

ssize_t runs_receive(int fd, struct sockaddr_in *from, void *bytes, size_t *each)
{
  control room;
  int size = 0;
  struct iovec iov = {bytes, RUN_BYTES};
  struct msghdr m = {.msg_name = from,
                     .msg_namelen = from == NULL ? 0 : sizeof *from,
                     .msg_iov = &iov,
                     .msg_iovlen = 1,
                     .msg_control = &room,
                     .msg_controllen = sizeof room};
  const ssize_t n = recvmsg(fd, &m, 0);
  const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
  if (c != NULL && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
    memcpy(&size, CMSG_DATA(c), sizeof size);
  *each = size > 0 ? (size_t)size : n > 0 ? (size_t)n : 1;
  return n;
}

bool runs_send(int fd, const struct sockaddr_in *to, struct iovec *iov, unsigned count)
{
  control room = {.bytes = {0}};
  const uint16_t size = (uint16_t)iov[0].iov_len;
  struct sockaddr_in addr;
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = count};
  if (to != NULL) {
    addr = *to;
    m.msg_name = &addr;
    m.msg_namelen = sizeof addr;
  }
  if (count > 1) {
    m.msg_control = &room;
    m.msg_controllen = CMSG_SPACE(sizeof size);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof size);
    memcpy(CMSG_DATA(c), &size, sizeof size);
  }
  return sendmsg(fd, &m, 0) >= 0;
}
