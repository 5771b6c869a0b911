/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of datagrams as one message. Thread: the owner's only. */
#include "transport/udp_segment.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

int udp_train_init(udp_train *t, unsigned cap)
{
  *t = (udp_train){.msgs = calloc(cap, sizeof *t->msgs), .firsts = calloc(cap, sizeof *t->firsts)};
  if (t->msgs != NULL && t->firsts != NULL)
    return 0;
  udp_train_wipe(t);
  return -ENOMEM;
}

void udp_train_wipe(udp_train *t)
{
  free(t->msgs);
  free(t->firsts);
  *t = (udp_train){.msgs = NULL};
}

static bool is_same_peer(const udp_batch *b, const uint16_t *locals, unsigned i, unsigned k)
{
  const struct msghdr *x = &b->msgs[i].msg_hdr, *y = &b->msgs[k].msg_hdr;
  return locals[i] == locals[k] && x->msg_namelen == y->msg_namelen &&
         memcmp(x->msg_name, y->msg_name, x->msg_namelen) == 0;
}

/* How many datagrams, beginning with `first`, can leave as one message. */
static unsigned count_joinable(const udp_batch *b, const uint16_t *locals, unsigned first,
                               unsigned to)
{
  const size_t size = b->iovs[first].iov_len;
  size_t total = size;
  unsigned n = 1;
  while (n < UDP_SEGMENTS_MAX && first + n < to) {
    const size_t next = b->iovs[first + n].iov_len;
    if (b->iovs[first + n - 1].iov_len != size || next > size || next == 0 ||
        total + next > UDP_SENT_MESSAGE_MAX || !is_same_peer(b, locals, first, first + n))
      break;
    total += next;
    n++;
  }
  return n;
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

bool udp_train_join(udp_train *t, const udp_batch *b, const uint16_t *locals, unsigned from,
                    unsigned to)
{
  t->count = 0;
  for (unsigned first = from, n; first < to; first += n) {
    n = count_joinable(b, locals, first, to);
    struct mmsghdr *m = &t->msgs[t->count];
    *m = b->msgs[first];
    t->firsts[t->count++] = first;
    if (n == 1)
      continue;
    m->msg_hdr.msg_iovlen = n; /* the vectors of a batch are one array */
    put_size(&m->msg_hdr, &b->controls[first], (uint16_t)b->iovs[first].iov_len);
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
