/* SPDX-License-Identifier: Apache-2.0 */
/* What the old and the new process of an upgrade tell each other. Thread: the main thread only. */
#include "server/upgrade_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for the descriptors, aligned as cmsghdr wants it. */
typedef union fd_room {
  struct cmsghdr align;
  char bytes[CMSG_SPACE(UPGRADE_FDS_MAX * sizeof(int))];
} fd_room;

int upgrade_msg_send(int fd, const upgrade_msg *m, const int *fds)
{
  fd_room room;
  struct iovec part = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof *m};
  struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};
  if (m->count > UPGRADE_FDS_MAX)
    return -EINVAL;
  if (m->count > 0) {
    memset(&room, 0, sizeof room);
    h.msg_control = room.bytes;
    h.msg_controllen = CMSG_SPACE(m->count * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(m->count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, m->count * sizeof(int));
  }
  ssize_t n;
  do
    n = sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : 0;
}

int upgrade_msg_say(int fd, upgrade_kind kind, const char *text)
{
  upgrade_msg m = {.format = UPGRADE_FORMAT, .kind = kind};
  if (text != NULL)
    memcpy(m.text, text, strnlen(text, sizeof m.text - 1));
  return upgrade_msg_send(fd, &m, NULL);
}

/* Takes the descriptors out of the control data; all of them are ours from then on. */
static uint32_t take_fds(struct msghdr *h, int fds[UPGRADE_FDS_MAX])
{
  uint32_t count = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
      continue;
    const size_t len = c->cmsg_len - CMSG_LEN(0);
    for (size_t at = 0; at + sizeof(int) <= len && count < UPGRADE_FDS_MAX; at += sizeof(int))
      memcpy(&fds[count++], CMSG_DATA(c) + at, sizeof(int));
  }
  return count;
}

static bool is_sound(const upgrade_msg *m, ssize_t len, const struct msghdr *h, uint32_t count)
{
  return len == (ssize_t)sizeof *m && m->format == UPGRADE_FORMAT && m->count == count &&
         (h->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && m->text[sizeof m->text - 1] == '\0';
}

static int receive(int fd, upgrade_msg *m, int fds[UPGRADE_FDS_MAX])
{
  fd_room room;
  struct iovec part = {.iov_base = m, .iov_len = sizeof *m};
  struct msghdr h = {.msg_iov = &part,
                     .msg_iovlen = 1,
                     .msg_control = room.bytes,
                     .msg_controllen = sizeof room.bytes};
  const ssize_t n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
  if (n < 0 && errno != ECONNRESET)
    return -errno;
  if (n <= 0) {
    m->kind = UPGRADE_CLOSED;
    return 0;
  }
  const uint32_t count = take_fds(&h, fds);
  if (is_sound(m, n, &h, count))
    return 0;
  for (uint32_t i = 0; i < count; i++)
    close(fds[i]);
  return -EPROTO;
}

int upgrade_msg_recv(int fd, upgrade_msg *m, int fds[UPGRADE_FDS_MAX], int timeout_ms)
{
  struct pollfd p = {.fd = fd, .events = POLLIN};
  int n;
  *m = (upgrade_msg){.kind = UPGRADE_NOTHING};
  do
    n = poll(&p, 1, timeout_ms);
  while (n < 0 && errno == EINTR);
  if (n < 0)
    return -errno;
  return n == 0 ? 0 : receive(fd, m, fds);
}
