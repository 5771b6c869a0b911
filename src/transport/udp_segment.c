/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of datagrams as one message. Thread: the owner's only. */
#include "transport/udp_segment.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

int udp_train_init(udp_train *t, unsigned cap)
{
  *t = (udp_train){.msgs = calloc(cap, sizeof *t->msgs),
                   .iovs = calloc(cap, sizeof *t->iovs),
                   .firsts = calloc(cap, sizeof *t->firsts)};
  if (t->msgs != NULL && t->iovs != NULL && t->firsts != NULL)
    return 0;
  udp_train_wipe(t);
  return -ENOMEM;
}

void udp_train_wipe(udp_train *t)
{
  free(t->msgs);
  free(t->iovs);
  free(t->firsts);
  *t = (udp_train){.msgs = NULL};
}

/* How many datagrams, beginning with `first`, can leave as one message; their bytes. */
static unsigned count_joinable(const udp_batch *b, const uint32_t *routes, unsigned first,
                               unsigned to, size_t *total)
{
  const size_t size = b->iovs[first].iov_len;
  unsigned n = 1;
  *total = size;
  while (n < UDP_SEGMENTS_MAX && first + n < to && routes[first] == routes[first + n]) {
    const size_t next = b->iovs[first + n].iov_len;
    if (next > size || next == 0 || *total + next > UDP_SENT_MESSAGE_MAX)
      break;
    *total += next;
    n++;
    if (next < size)
      break;
  }
  return n;
}

/* The bytes of `n` datagrams from `first` on, of `total` bytes: one vector where they lie one
 * behind the other. The vectors of a batch are one array. */
static void put_bytes(struct msghdr *m, struct iovec *room, const struct iovec *first, unsigned n,
                      size_t total)
{
  const uint8_t *begin = first->iov_base;
  const uint8_t *end = (const uint8_t *)first[n - 1].iov_base + first[n - 1].iov_len;
  m->msg_iovlen = n;
  if (end != begin + total)
    return;
  *room = (struct iovec){first->iov_base, total};
  m->msg_iov = room;
  m->msg_iovlen = 1;
}

/* Behind the control data that the first datagram has. Its room has zeroes there. */
static void put_size(struct msghdr *m, udp_control *room, uint16_t size)
{
  const size_t used = m->msg_controllen;
  if (used == 0)
    memset(room, 0, sizeof *room);
  struct cmsghdr *c = (struct cmsghdr *)(void *)(room->bytes + used);
  m->msg_control = room;
  m->msg_controllen = used + CMSG_SPACE(sizeof size);
  c->cmsg_level = IPPROTO_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof size);
  memcpy(CMSG_DATA(c), &size, sizeof size);
}

bool udp_train_join(udp_train *t, const udp_batch *b, const uint32_t *routes, unsigned from,
                    unsigned to)
{
  size_t total;
  t->count = 0;
  for (unsigned first = from, n; first < to; first += n) {
    n = count_joinable(b, routes, first, to, &total);
    struct mmsghdr *m = &t->msgs[t->count];
    *m = b->msgs[first];
    if (n > 1) {
      put_bytes(&m->msg_hdr, &t->iovs[t->count], &b->iovs[first], n, total);
      put_size(&m->msg_hdr, &b->controls[first], (uint16_t)b->iovs[first].iov_len);
    }
    t->firsts[t->count++] = first;
  }
  return t->count < to - from;
}

unsigned udp_train_length(const udp_train *t, unsigned i, unsigned to)
{
  return (i + 1 < t->count ? t->firsts[i + 1] : to) - t->firsts[i];
}

bool udp_segment_read(const struct cmsghdr *c, size_t *size)
{
  int bytes;
  if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO)
    return false;
  memcpy(&bytes, CMSG_DATA(c), sizeof bytes);
  *size = bytes > 0 ? (size_t)bytes : 0;
  return true;
}

void udp_segment_allow(int fd)
{
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
}
