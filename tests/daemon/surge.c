/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that must not notice an upgrade: each works on a resource of its own, one confirmable
 * request at a time, retransmits as RFC 7252 section 4.2 says, and knows what every answer must be.
 *
 *   surge PORT CLIENTS RATE SECONDS [PUT_EVERY]
 *
 * One of PUT_EVERY (4) requests of a client is a PUT; 1: all that are no POST.
 * GET must return what the last acknowledged PUT wrote. POST makes children of /log; how many were
 * acknowledged is told, for somebody to count them. Prints one line of JSON; status 1: something
 * was wrong. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  CLIENTS_MAX = 4096,
  EVENTS_MAX = 256,
  DGRAM_MAX = 256,
  TOKEN_SIZE = 4,
  CODE_GET = 1,
  CODE_POST = 2,
  CODE_PUT = 3,
  CODE_CONTENT = 0x45,
  CODE_CREATED = 0x41,
  CODE_CHANGED = 0x44,
  TYPE_CON = 0,
  TYPE_ACK = 2,
  MAX_RETRANSMIT = 4, /* RFC 7252 section 4.8 */
  SECOND = 1000000,
  ACK_TIMEOUT = 2 * SECOND,
  PUT_EVERY_DEFAULT = 4,
  POST_EVERY = 61,
};

typedef struct peer {
  int fd;
  uint32_t number;
  uint32_t step; /* counts requests; 0: none was made */
  uint16_t mid;
  uint8_t code;
  bool is_waiting;
  bool is_acked;    /* an Empty ACK has come: a separate response will */
  uint32_t written; /* the last value acknowledged */
  uint8_t retransmits;
  uint64_t began, due, interval;
  size_t len;
  uint8_t dgram[DGRAM_MAX];
} peer;

typedef struct tally {
  uint64_t answered, puts, posts, retransmitted, wrong, timeouts, refused;
  unsigned most_retransmits;
  uint64_t longest;
} tally;

static peer peers[CLIENTS_MAX];
static tally sum;

static uint64_t now_us(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec / 1000;
}

static void complain(const peer *p, const char *what)
{
  if (sum.wrong++ < 10)
    fprintf(stderr, "client %u, request %u, code %u: %s\n", p->number, p->step, p->code, what);
}

/* ------------------------------------------------------------------------------------------------
 * requests */

static size_t put_segment(uint8_t *at, uint8_t delta, const char *text)
{
  const size_t len = strlen(text); /* below 13 */
  at[0] = (uint8_t)((size_t)delta << 4 | len);
  memcpy(at + 1, text, len);
  return len + 1;
}

static uint32_t put_every = PUT_EVERY_DEFAULT;

static void compose(peer *p)
{
  char number[12], value[24];
  size_t at = 0;
  p->mid++;
  p->step++;
  const bool puts = p->step % put_every == 1 % put_every;
  p->code = p->step % POST_EVERY == 0 ? CODE_POST : puts ? CODE_PUT : CODE_GET;
  p->dgram[at++] = 0x40 | TYPE_CON << 4 | TOKEN_SIZE;
  p->dgram[at++] = p->code;
  p->dgram[at++] = (uint8_t)(p->mid >> 8);
  p->dgram[at++] = (uint8_t)p->mid;
  memcpy(p->dgram + at, &p->step, TOKEN_SIZE);
  at += TOKEN_SIZE;
  snprintf(number, sizeof number, "%u", p->number);
  at += put_segment(p->dgram + at, 11, p->code == CODE_POST ? "log" : "surge");
  if (p->code != CODE_POST)
    at += put_segment(p->dgram + at, 0, number);
  if (p->code != CODE_GET) {
    const int n = snprintf(value, sizeof value, "%u:%u", p->number, p->step);
    p->dgram[at++] = 0xff;
    memcpy(p->dgram + at, value, (size_t)n);
    at += (size_t)n;
  }
  p->len = at;
}

static void transmit(peer *p)
{
  /* What the network refuses is as good as lost: retransmission will tell. */
  if (send(p->fd, p->dgram, p->len, MSG_DONTWAIT) < 0 && errno == ECONNREFUSED)
    sum.refused++;
}

static void begin(peer *p, uint64_t now)
{
  compose(p);
  p->is_waiting = true;
  p->is_acked = false;
  p->retransmits = 0;
  p->began = now;
  p->interval = ACK_TIMEOUT + (uint64_t)(random() % (ACK_TIMEOUT / 2));
  p->due = now + p->interval;
  transmit(p);
}

static void on_due(peer *p, uint64_t now)
{
  if (p->is_acked || p->retransmits == MAX_RETRANSMIT) {
    complain(p, p->is_acked ? "acknowledged, but not answered" : "not answered");
    sum.timeouts++;
    p->is_waiting = false;
    return;
  }
  p->retransmits++;
  sum.retransmitted++;
  if (p->retransmits > sum.most_retransmits)
    sum.most_retransmits = p->retransmits;
  p->interval *= 2;
  p->due = now + p->interval;
  transmit(p);
}

/* ------------------------------------------------------------------------------------------------
 * answers */

/* What stands behind the payload marker; the options here have short forms only. */
static size_t find_payload(const uint8_t *d, size_t len, const uint8_t **payload)
{
  size_t at = 4u + (d[0] & 15);
  while (at < len && d[at] != 0xff) {
    const unsigned delta = d[at] >> 4, value = d[at] & 15;
    at += 1u + (delta == 13) + 2u * (delta == 14) +
          (value == 13 ? 1u + 13u + d[at + 1 + (delta == 13)] : value);
  }
  *payload = d + at + 1;
  return at < len ? len - at - 1 : 0;
}

static void judge(peer *p, const uint8_t *d, size_t len)
{
  char expected[24];
  const uint8_t *payload;
  const size_t got = find_payload(d, len, &payload);
  const int n = snprintf(expected, sizeof expected, "%u:%u", p->number, p->written);
  switch (p->code) {
  case CODE_PUT:
    if (d[1] != CODE_CHANGED && d[1] != CODE_CREATED)
      complain(p, "PUT failed");
    p->written = p->step;
    sum.puts++;
    return;
  case CODE_POST:
    if (d[1] != CODE_CREATED)
      complain(p, "POST failed");
    sum.posts++;
    return;
  default:
    if (d[1] != CODE_CONTENT)
      complain(p, "GET failed");
    else if (got != (size_t)n || memcmp(payload, expected, got) != 0)
      complain(p, "GET returned something else than was written last");
  }
}

static void on_datagram(peer *p, const uint8_t *d, size_t len, uint64_t now)
{
  if (len < 4)
    return;
  const bool is_ours = (d[2] << 8 | d[3]) == p->mid && (d[0] >> 4 & 3) == TYPE_ACK;
  if (d[1] == 0) {
    p->is_acked = p->is_acked || (is_ours && p->is_waiting);
    if (p->is_acked)
      p->due = now + 30 * (uint64_t)SECOND;
    return;
  }
  if ((d[0] >> 4 & 3) == TYPE_CON) {
    const uint8_t ack[4] = {0x60, 0, d[2], d[3]};
    (void)send(p->fd, ack, sizeof ack, MSG_DONTWAIT);
  }
  if (!p->is_waiting || (d[0] & 15) != TOKEN_SIZE || len < 4 + TOKEN_SIZE ||
      memcmp(d + 4, &p->step, TOKEN_SIZE) != 0)
    return; /* a duplicate of an earlier answer */
  judge(p, d, len);
  p->is_waiting = false;
  sum.answered++;
  if (now - p->began > sum.longest)
    sum.longest = now - p->began;
}

/* ------------------------------------------------------------------------------------------------
 * the run */

static void receive_all(int epoll, int timeout_ms)
{
  struct epoll_event events[EVENTS_MAX];
  const int n = epoll_wait(epoll, events, EVENTS_MAX, timeout_ms);
  const uint64_t now = now_us();
  for (int i = 0; i < n; i++) {
    peer *p = events[i].data.ptr;
    uint8_t d[2048];
    ssize_t len;
    while ((len = recv(p->fd, d, sizeof d, MSG_DONTWAIT)) >= 0)
      on_datagram(p, d, (size_t)len, now);
  }
}

static uint32_t expire_all(uint32_t count)
{
  const uint64_t now = now_us();
  uint32_t waiting = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (peers[i].is_waiting && peers[i].due <= now)
      on_due(&peers[i], now);
    waiting += peers[i].is_waiting;
  }
  return waiting;
}

/* Starts requests of idle clients, in turn, as far as the rate allows. */
static void start_some(uint32_t count, uint64_t began, uint64_t rate, uint64_t *started)
{
  static uint32_t turn;
  const uint64_t now = now_us();
  const uint64_t allowed = (now - began) * rate / SECOND;
  for (uint32_t tries = 0; tries < count && *started < allowed; tries++) {
    peer *p = &peers[turn++ % count];
    if (p->is_waiting)
      continue;
    begin(p, now);
    (*started)++;
  }
  if (*started < allowed && allowed - *started > rate / 100)
    *started = allowed - rate / 100; /* what could not be started is not made up for at once */
}

static int open_peers(uint32_t count, uint16_t port)
{
  const struct sockaddr_in server = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int epoll = epoll_create1(0);
  for (uint32_t i = 0; i < count; i++) {
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &peers[i]};
    peers[i] = (peer){.fd = socket(AF_INET, SOCK_DGRAM, 0), .number = i};
    peers[i].mid = (uint16_t)random();
    if (peers[i].fd < 0 ||
        connect(peers[i].fd, (const struct sockaddr *)&server, sizeof server) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, peers[i].fd, &ev) != 0)
      return -1;
  }
  return epoll;
}

int main(int argc, char **argv)
{
  if (argc == 6)
    put_every = (uint32_t)strtoul(argv[5], NULL, 10);
  if ((argc != 5 && argc != 6) || put_every == 0)
    return 2;
  const uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10);
  const uint64_t rate = strtoull(argv[3], NULL, 10);
  const uint64_t length = (uint64_t)(strtod(argv[4], NULL) * SECOND);
  const int epoll =
      count <= CLIENTS_MAX ? open_peers(count, (uint16_t)strtoul(argv[1], NULL, 10)) : -1;
  if (epoll < 0) {
    fprintf(stderr, "surge: %s\n", strerror(errno));
    return 2;
  }
  const uint64_t began = now_us();
  uint64_t started = 0;
  while (now_us() - began < length) {
    start_some(count, began, rate, &started);
    receive_all(epoll, 1);
    (void)expire_all(count);
  }
  const uint64_t ended = now_us();
  while (expire_all(count) > 0)
    receive_all(epoll, 10);
  printf("{\"answered\": %llu, \"rate\": %llu, \"puts\": %llu, \"posts\": %llu, "
         "\"retransmitted\": %llu, \"most_retransmits\": %u, \"longest_ms\": %llu, "
         "\"refused\": %llu, \"timeouts\": %llu, \"wrong\": %llu}\n",
         (unsigned long long)sum.answered,
         (unsigned long long)(sum.answered * SECOND / (ended - began)),
         (unsigned long long)sum.puts, (unsigned long long)sum.posts,
         (unsigned long long)sum.retransmitted, sum.most_retransmits,
         (unsigned long long)sum.longest / 1000, (unsigned long long)sum.refused,
         (unsigned long long)sum.timeouts, (unsigned long long)sum.wrong);
  return sum.wrong > 0;
}
