/* SPDX-License-Identifier: Apache-2.0 */
/* Storage of one recvmmsg() or sendmmsg() call. Thread: the owner's only. */
#include "transport/udp_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CACHE_LINE = 64 };

/* An odd number of cache lines between datagrams keeps their heads out of each other's cache sets.
 */
static size_t stride_for(size_t datagram_max)
{
  const size_t lines = (datagram_max + CACHE_LINE - 1) / CACHE_LINE;
  return (lines | 1) * CACHE_LINE;
}

static void point(udp_batch *b)
{
  for (unsigned i = 0; i < b->cap; i++) {
    b->iovs[i] = (struct iovec){udp_batch_bytes(b, i), b->datagram_max};
    b->msgs[i].msg_hdr = (struct msghdr){
        .msg_name = &b->addrs[i],
        .msg_iov = &b->iovs[i],
        .msg_iovlen = 1,
        .msg_control = &b->controls[i],
    };
  }
}

int udp_batch_init(udp_batch *b, unsigned cap, size_t datagram_max)
{
  memset(b, 0, sizeof *b);
  b->cap = cap;
  b->datagram_max = datagram_max;
  b->msgs = calloc(cap, sizeof *b->msgs);
  b->iovs = calloc(cap, sizeof *b->iovs);
  b->addrs = calloc(cap, sizeof *b->addrs);
  b->controls = calloc(cap, sizeof *b->controls);
  b->stride = stride_for(datagram_max);
  b->map_size = cap * b->stride;
  b->map = mmap(NULL, b->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (b->map == MAP_FAILED)
    b->map = NULL;
  if (b->msgs == NULL || b->iovs == NULL || b->addrs == NULL || b->controls == NULL ||
      b->map == NULL) {
    udp_batch_wipe(b);
    return -ENOMEM;
  }
  b->bytes = b->map;
  point(b);
  udp_batch_rearm(b, cap);
  return 0;
}

void udp_batch_wipe(udp_batch *b)
{
  free(b->msgs);
  free(b->iovs);
  free(b->addrs);
  free(b->controls);
  if (b->map != NULL)
    munmap(b->map, b->map_size);
  memset(b, 0, sizeof *b);
}

uint8_t *udp_batch_bytes(const udp_batch *b, unsigned i)
{
  return b->bytes + i * b->stride;
}

void udp_batch_rearm(udp_batch *b, unsigned count)
{
  for (unsigned i = 0; i < count; i++) {
    struct msghdr *m = &b->msgs[i].msg_hdr;
    m->msg_namelen = sizeof b->addrs[i];
    m->msg_controllen = sizeof b->controls[i];
    m->msg_flags = 0;
  }
}
