/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of a load run. */
#include "cmd/copal/load/wire.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cmd/copal/session.h"

enum { OTHER_FILES = 64, BUFFER = 256 * 1024 };

int wire_allow(uint32_t count)
{
  struct rlimit limit;
  const rlim_t wanted = (rlim_t)count + OTHER_FILES;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return -errno;
  if (limit.rlim_cur >= wanted)
    return 0;
  limit.rlim_cur = wanted;
  if (limit.rlim_max < wanted)
    limit.rlim_max = wanted; /* for those who may */
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : -errno;
}

int wire_open(const load_plan *plan, int epoll, uint32_t index)
{
  const int size = BUFFER;
  const int fd = socket(plan->server.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -errno;
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
  /* The window of a client may be larger than the default buffer; a smaller one than asked for will
   * do. */
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (connect(fd, &plan->server.any, plan->server_size) == 0 &&
      epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0)
    return fd;
  const int e = errno;
  close(fd);
  return -e;
}

int wire_wait(int epoll, copal_time limit, uint32_t indices[WIRE_EVENTS])
{
  struct epoll_event events[WIRE_EVENTS];
  const copal_time now = session_now();
  const copal_time left = limit > now ? limit - now : 0;
  const struct timespec timeout = {(time_t)(left / COPAL_SECOND),
                                   (long)(left % COPAL_SECOND) * 1000};
  const int n = epoll_pwait2(epoll, events, WIRE_EVENTS, &timeout, NULL);
  for (int i = 0; i < n; i++)
    indices[i] = events[i].data.u32;
  return n < 0 ? 0 : n;
}

void wire_send_empty(int fd, copal_type type, uint16_t mid)
{
  uint8_t bytes[COPAL_EMPTY_SIZE];
  copal_wr w = copal_wr_init((copal_mspan){bytes, sizeof bytes});
  /* One that is lost is asked for by another copy of what it answers. */
  if (copal_msg_write_empty(&w, type, mid) == COPAL_OK)
    (void)send(fd, bytes, w.len, MSG_NOSIGNAL);
}
