/* SPDX-License-Identifier: Apache-2.0 */
/* A UDP relay in front of a server that delays every datagram and loses some, in user space, so
 * that a slow and lossy path needs no privileges. Each client gets a socket of its own towards the
 * server. The losses follow from the seed. One thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "frame.h"
#include "gauge.h"

enum {
  CLIENTS = 64,
  QUEUE =
      4096, /* datagrams under way; a power of two. The delay is constant: first in, first out */
};

typedef struct parcel {
  uint64_t due;
  int client;
  bool is_up; /* towards the server */
  uint16_t len;
  uint8_t bytes[FRAME_MAX];
} parcel;

typedef struct relay {
  uint64_t delay_ns; /* one way */
  double loss;       /* of each datagram */
  uint64_t random;
  struct sockaddr_in server;
  struct sockaddr_in clients[CLIENTS];
  struct pollfd fds[CLIENTS + 1]; /* the first one is the clients' side */
  int count;
  uint32_t head;
  uint32_t tail;
  parcel queue[QUEUE];
} relay;

/* xorshift64*: uniform in [0, 1). */
static double next_random(relay *r)
{
  r->random ^= r->random >> 12;
  r->random ^= r->random << 25;
  r->random ^= r->random >> 27;
  return (double)(r->random * UINT64_C(2685821657736338717) >> 11) / 9007199254740992.0;
}

static int find_client(relay *r, const struct sockaddr_in *from)
{
  for (int i = 0; i < r->count; i++)
    if (r->clients[i].sin_port == from->sin_port &&
        r->clients[i].sin_addr.s_addr == from->sin_addr.s_addr)
      return i;
  if (r->count == CLIENTS)
    return -1;
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)&r->server, sizeof r->server) != 0)
    return -1;
  r->clients[r->count] = *from;
  r->fds[r->count + 1] = (struct pollfd){.fd = fd, .events = POLLIN};
  return r->count++;
}

static void enqueue(relay *r, int client, bool is_up, const uint8_t *bytes, size_t len)
{
  if (next_random(r) < r->loss || r->tail - r->head == QUEUE)
    return;
  parcel *p = &r->queue[r->tail++ % QUEUE];
  *p = (parcel){
      .due = gauge_now() + r->delay_ns, .client = client, .is_up = is_up, .len = (uint16_t)len};
  memcpy(p->bytes, bytes, len);
}

static void take_from_clients(relay *r)
{
  uint8_t bytes[FRAME_MAX];
  struct sockaddr_in from;
  socklen_t from_len = sizeof from;
  const ssize_t n =
      recvfrom(r->fds[0].fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &from_len);
  const int client = n >= 0 ? find_client(r, &from) : -1;
  if (client >= 0)
    enqueue(r, client, true, bytes, (size_t)n);
}

static void take_from_server(relay *r, int client)
{
  uint8_t bytes[FRAME_MAX];
  const ssize_t n = recv(r->fds[client + 1].fd, bytes, sizeof bytes, 0);
  if (n >= 0)
    enqueue(r, client, false, bytes, (size_t)n);
}

static void deliver(relay *r)
{
  const uint64_t now = gauge_now();
  for (; r->head != r->tail && r->queue[r->head % QUEUE].due <= now; r->head++) {
    const parcel *p = &r->queue[r->head % QUEUE];
    if (p->is_up)
      (void)send(r->fds[p->client + 1].fd, p->bytes, p->len, 0);
    else
      (void)sendto(r->fds[0].fd, p->bytes, p->len, 0,
                   (const struct sockaddr *)&r->clients[p->client], sizeof r->clients[0]);
  }
}

static int sleep_ms(const relay *r)
{
  if (r->head == r->tail)
    return -1;
  const uint64_t due = r->queue[r->head % QUEUE].due;
  const uint64_t now = gauge_now();
  return due <= now ? 0 : (int)((due - now + 999999) / 1000000);
}

static void serve(relay *r)
{
  for (;;) {
    const int n = poll(r->fds, (nfds_t)r->count + 1, sleep_ms(r));
    const int count = r->count;
    if (n > 0 && r->fds[0].revents != 0)
      take_from_clients(r);
    for (int i = 0; n > 0 && i < count; i++)
      if (r->fds[i + 1].revents != 0)
        take_from_server(r, i);
    deliver(r);
  }
}

static int open_port(uint16_t port)
{
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const struct sockaddr_in sa = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  return fd >= 0 && bind(fd, (const struct sockaddr *)&sa, sizeof sa) == 0 ? fd : -1;
}

int main(int argc, char **argv)
{
  static relay r = {.random = 1};
  int opt;
  while ((opt = getopt(argc, argv, "d:l:s:")) != -1) {
    switch (opt) {
    case 'd': r.delay_ns = strtoull(optarg, NULL, 10) * 1000000; break;
    case 'l': r.loss = strtod(optarg, NULL) / 100; break;
    case 's': r.random = strtoull(optarg, NULL, 10) * 2 + 1; break;
    default: optind = argc; break;
    }
  }
  if (optind + 2 != argc) {
    fputs("usage: relay [-d ONE_WAY_MS] [-l LOSS_PERCENT] [-s SEED] PORT SERVER_PORT\n", stderr);
    return 2;
  }
  r.server = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(argv[optind + 1], NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  r.fds[0] =
      (struct pollfd){.fd = open_port((uint16_t)strtoul(argv[optind], NULL, 10)), .events = POLLIN};
  if (r.fds[0].fd < 0) {
    fprintf(stderr, "relay: port %s: %s\n", argv[optind], strerror(errno));
    return 1;
  }
  for (int i = 0; i < 16; i++)
    (void)next_random(&r); /* small seeds differ in few bits */
  serve(&r);
}
