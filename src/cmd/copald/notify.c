/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the service manager about the state. Thread: the main thread only. */
#include "cmd/copald/notify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/clock.h"

enum { SETTLE_MS = 5000 };

/* Sends `text`, and the descriptor unless it is -1. Returns whether there is a manager that has got
 * it. */
static bool send_text(const char *text, int with)
{
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un addr = {.sun_family = AF_UNIX};
  const size_t len = path == NULL ? 0 : strlen(path);
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } room = {.bytes = {0}};
  if (len < 2 || len >= sizeof addr.sun_path)
    return false;
  memcpy(addr.sun_path, path, len);
  if (path[0] == '@')
    addr.sun_path[0] = '\0'; /* an abstract name */
  struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
  struct msghdr m = {.msg_name = &addr,
                     .msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len),
                     .msg_iov = &part,
                     .msg_iovlen = 1};
  if (with >= 0) {
    m.msg_control = room.bytes;
    m.msg_controllen = sizeof room.bytes;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof with);
    memcpy(CMSG_DATA(c), &with, sizeof with);
  }
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return false;
  const bool is_sent = sendmsg(fd, &m, MSG_NOSIGNAL) >= 0;
  close(fd);
  return is_sent;
}

void notify_send(const char *state)
{
  /* RELOADING=1 must carry the time; it does no harm elsewhere. */
  char text[128];
  snprintf(text, sizeof text, "%s\nMONOTONIC_USEC=%" PRIu64 "\n", state,
           clock_now() - CLOCK_AT_BOOT);
  (void)send_text(text, -1);
}

void notify_settle(void)
{
  /* The manager closes the descriptor when it has come to this message. */
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return;
  const bool is_sent = send_text("BARRIER=1", ends[1]);
  close(ends[1]);
  struct pollfd closed = {.fd = ends[0]};
  if (is_sent)
    (void)poll(&closed, 1, SETTLE_MS);
  close(ends[0]);
}
