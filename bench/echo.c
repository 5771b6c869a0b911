/* SPDX-License-Identifier: Apache-2.0 */
/* The practical limit of a CoAP server on kernel sockets: it parses the header, keeps no state and
 * answers, one recvmmsg() and one sendmmsg() for up to 64 datagrams. With Observe (RFC 7641) it
 * keeps the observers' addresses and tokens and sends a non-confirmable notification to each upon a
 * PUT; resources are told apart by the number at the end of their path. It can also misbehave, to
 * prove that the load generator notices. One thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "frame.h"
#include "runs.h"

enum {
  BATCH = 64,
  BUFFER = 16 << 20,
  BODY_DEFAULT = 16,
  ITEMS = 256, /* resources */
};

/* What to do wrong with every n-th answer or notification. */
typedef enum fault {
  FAULT_NONE,
  FAULT_DROP,
  FAULT_TOKEN,
  FAULT_MID,
  FAULT_CODE,
  FAULT_BODY,
  FAULT_CUT,   /* malformed */
  FAULT_STALE, /* a notification of the state before */
  FAULT_COUNT,
} fault;

static const char *const fault_names[FAULT_COUNT] = {"none", "drop", "token", "mid",
                                                     "code", "body", "cut",   "stale"};

typedef struct observer {
  struct sockaddr_in addr;
  uint8_t token_len;
  uint8_t token[FRAME_TOKEN_MAX];
} observer;

typedef struct item {
  size_t body_len;
  uint8_t body[FRAME_MAX / 2];
  uint8_t last[FRAME_MAX / 2]; /* the state before, as long as the body */
  uint32_t sequence;
  observer *observers;
  size_t observer_count;
  size_t observer_cap;
} item;

typedef struct batch {
  struct mmsghdr msgs[BATCH];
  struct iovec iovs[BATCH];
  struct sockaddr_in addrs[BATCH];
  uint8_t bytes[BATCH][FRAME_MAX];
  unsigned count;
} batch;

typedef struct echo {
  int fd;
  fault fault;
  uint32_t fault_every;
  uint32_t answers;
  size_t body_len; /* of a resource that has not been written */
  uint16_t mid;
  item *items[ITEMS];
  batch rx;
  batch tx;
} echo;

static void batch_init(batch *b)
{
  for (unsigned i = 0; i < BATCH; i++) {
    b->iovs[i] = (struct iovec){b->bytes[i], FRAME_MAX};
    b->msgs[i].msg_hdr = (struct msghdr){.msg_name = &b->addrs[i],
                                         .msg_namelen = sizeof b->addrs[i],
                                         .msg_iov = &b->iovs[i],
                                         .msg_iovlen = 1};
  }
}

static void flush(echo *e)
{
  unsigned from = 0;
  while (from < e->tx.count) {
    const int n = sendmmsg(e->fd, e->tx.msgs + from, e->tx.count - from, 0);
    from += n > 0 ? (unsigned)n : 1; /* what is refused counts as lost on the way */
  }
  e->tx.count = 0;
}

static bool is_faulty(echo *e, fault which)
{
  return e->fault == which && e->answers % e->fault_every == 0;
}

/* Queues a datagram, spoiled if it is its turn. */
static void queue(echo *e, const struct sockaddr_in *to, frame *f)
{
  e->answers++;
  if (is_faulty(e, FAULT_DROP))
    return;
  if (is_faulty(e, FAULT_TOKEN) && f->token_len > 0)
    f->token[f->token_len - 1] ^= 1;
  if (is_faulty(e, FAULT_MID))
    f->mid ^= 1;
  if (is_faulty(e, FAULT_CODE))
    f->code = 0x84;
  if (is_faulty(e, FAULT_BODY) && f->payload_len > 0)
    f->payload_len--;
  if (e->tx.count == BATCH)
    flush(e);
  const unsigned i = e->tx.count++;
  e->tx.addrs[i] = *to;
  e->tx.iovs[i].iov_len = frame_put(e->tx.bytes[i], f, NULL);
  if (is_faulty(e, FAULT_CUT))
    e->tx.iovs[i].iov_len = 3;
}

static bool is_same_observer(const observer *o, const struct sockaddr_in *from, const frame *f)
{
  return o->addr.sin_port == from->sin_port && o->addr.sin_addr.s_addr == from->sin_addr.s_addr &&
         o->token_len == f->token_len && memcmp(o->token, f->token, f->token_len) == 0;
}

static item *item_of(echo *e, const frame *f)
{
  item **at = &e->items[f->item % ITEMS];
  if (*at != NULL)
    return *at;
  *at = calloc(1, sizeof **at);
  if (*at == NULL)
    abort();
  (*at)->body_len = e->body_len;
  frame_fill_body((*at)->body, e->body_len);
  return *at;
}

/* A retransmitted registration is the last one or one of the few before it. */
static void observe(item *t, const struct sockaddr_in *from, const frame *f)
{
  for (size_t i = t->observer_count; i-- > 0 && i + 256 > t->observer_count;)
    if (is_same_observer(&t->observers[i], from, f))
      return;
  if (t->observer_count == t->observer_cap) {
    t->observer_cap = t->observer_cap == 0 ? 16 : 2 * t->observer_cap;
    t->observers = realloc(t->observers, t->observer_cap * sizeof *t->observers);
    if (t->observers == NULL)
      abort();
  }
  observer *o = &t->observers[t->observer_count++];
  *o = (observer){.addr = *from, .token_len = f->token_len};
  memcpy(o->token, f->token, f->token_len);
}

static void notify(echo *e, item *t)
{
  t->sequence = (t->sequence + 1) & 0xffffff;
  for (size_t i = 0; i < t->observer_count; i++) {
    const observer *o = &t->observers[i];
    const bool is_stale = e->fault == FAULT_STALE && (e->answers + 1) % e->fault_every == 0;
    frame f = {.type = FRAME_NON,
               .code = FRAME_CONTENT,
               .mid = e->mid++,
               .token_len = o->token_len,
               .has_observe = true,
               .observe = t->sequence,
               .payload = is_stale ? t->last : t->body,
               .payload_len = t->body_len};
    memcpy(f.token, o->token, o->token_len);
    queue(e, &o->addr, &f);
  }
}

static void store(item *t, const frame *f)
{
  if (f->payload_len > sizeof t->body)
    return;
  memcpy(t->last, t->body, sizeof t->last);
  memcpy(t->body, f->payload, f->payload_len);
  t->body_len = f->payload_len;
}

static void answer(echo *e, const struct sockaddr_in *from, const uint8_t *bytes, size_t len)
{
  frame f;
  if (!frame_get(bytes, len, &f) || (f.code != FRAME_GET && f.code != FRAME_PUT))
    return;
  item *t = item_of(e, &f);
  const bool is_put = f.code == FRAME_PUT;
  const bool registers = f.has_observe && f.observe == 0 && !is_put;
  if (registers)
    observe(t, from, &f);
  if (is_put)
    store(t, &f);
  f.type = f.type == FRAME_CON ? FRAME_ACK : FRAME_NON;
  f.code = is_put ? FRAME_CHANGED : FRAME_CONTENT;
  f.has_observe = registers;
  f.observe = t->sequence;
  f.payload = is_put ? NULL : t->body;
  f.payload_len = is_put ? 0 : t->body_len;
  queue(e, from, &f);
  if (is_put)
    notify(e, t);
}

static void serve(echo *e)
{
  batch_init(&e->rx);
  batch_init(&e->tx);
  for (;;) {
    for (unsigned i = 0; i < e->rx.count; i++)
      e->rx.msgs[i].msg_hdr.msg_namelen = sizeof e->rx.addrs[i];
    const int n = recvmmsg(e->fd, e->rx.msgs, BATCH, MSG_WAITFORONE, NULL);
    e->rx.count = n > 0 ? (unsigned)n : 0;
    for (unsigned i = 0; i < e->rx.count; i++)
      answer(e, &e->rx.addrs[i], e->rx.bytes[i], e->rx.msgs[i].msg_len);
    flush(e);
  }
}

/* Answers of one length leave as one message. */
static void flush_runs(echo *e)
{
  unsigned from = 0;
  while (from < e->tx.count) {
    unsigned n = 1;
    while (from + n < e->tx.count && e->tx.iovs[from + n].iov_len == e->tx.iovs[from].iov_len)
      n++;
    (void)runs_send(e->fd, &e->tx.addrs[from], &e->tx.iovs[from], n);
    from += n;
  }
  e->tx.count = 0;
}

/* The same for runs of datagrams of one peer. */
static void serve_runs(echo *e)
{
  static uint8_t bytes[RUN_BYTES];
  batch_init(&e->tx);
  runs_allow(e->fd);
  for (;;) {
    struct sockaddr_in from;
    size_t each;
    const ssize_t n = runs_receive(e->fd, &from, bytes, &each);
    for (size_t at = 0; n > 0 && at < (size_t)n; at += each) {
      const size_t left = (size_t)n - at;
      if (e->tx.count == BATCH)
        flush_runs(e);
      answer(e, &from, bytes + at, left < each ? left : each);
    }
    flush_runs(e);
  }
}

static int open_socket(uint16_t port)
{
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int size = BUFFER;
  const struct sockaddr_in sa = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0)
    return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  return bind(fd, (const struct sockaddr *)&sa, sizeof sa) == 0 ? fd : -1;
}

static fault fault_named(const char *name)
{
  for (int i = 0; i < FAULT_COUNT; i++)
    if (strcmp(name, fault_names[i]) == 0)
      return (fault)i;
  return FAULT_COUNT;
}

int main(int argc, char **argv)
{
  static echo e = {.body_len = BODY_DEFAULT, .fault_every = 100};
  int opt;
  bool joins = false;
  while ((opt = getopt(argc, argv, "b:f:gn:")) != -1) {
    switch (opt) {
    case 'g': joins = true; break;
    case 'b': e.body_len = strtoul(optarg, NULL, 10); break;
    case 'f': e.fault = fault_named(optarg); break;
    case 'n': e.fault_every = (uint32_t)strtoul(optarg, NULL, 10); break;
    default: e.fault = FAULT_COUNT; break;
    }
  }
  if (optind + 1 != argc || e.fault == FAULT_COUNT || e.fault_every == 0 ||
      e.body_len > FRAME_MAX / 2) {
    fprintf(stderr, "usage: echo [-g] [-b BODY_BYTES] [-f drop|token|mid|code|body|cut|stale] [-n "
                    "EVERY] PORT\n");
    return 2;
  }
  e.fd = open_socket((uint16_t)strtoul(argv[optind], NULL, 10));
  if (e.fd < 0) {
    fprintf(stderr, "echo: port %s: %s\n", argv[optind], strerror(errno));
    return 1;
  }
  if (joins)
    serve_runs(&e);
  serve(&e);
}
