/* SPDX-License-Identifier: Apache-2.0 */
/* A CoAP server in one file: /hello greets, with libcopal over a UDP socket of its own.
 *
 *   cc server.c $(pkg-config --cflags --libs copal) -o server
 *   ./server 5683 */
#define _DEFAULT_SOURCE
#include <netinet/in.h>
#include <poll.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "copal/endpoint.h"

struct app {
  copal_sink sink; /* first, so that the callback finds the rest */
  int fd;
  uint8_t room[1152];
};

static copal_time now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (copal_time)t.tv_sec * 1000000 + (copal_time)t.tv_nsec / 1000;
}

static copal_mspan reserve(copal_sink *s, const copal_path *path, size_t cap)
{
  struct app *app = (struct app *)s;
  (void)path;
  return (copal_mspan){app->room, cap <= sizeof app->room ? cap : 0};
}

/* The socket is an IPv6 one that takes IPv4 as well, so addresses look the same here and there. */
static void commit(copal_sink *s, const copal_path *path, size_t len)
{
  struct app *app = (struct app *)s;
  struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(path->remote.port)};
  memcpy(&to.sin6_addr, path->remote.ip, sizeof path->remote.ip);
  to.sin6_scope_id = path->remote.zone;
  if (sendto(app->fd, app->room, len, 0, (struct sockaddr *)&to, sizeof to) < 0)
    perror("sendto"); /* as good as lost: the client asks again */
}

static void fill(copal_entropy *e, copal_mspan out)
{
  (void)e;
  if (getentropy(out.ptr, out.len) != 0)
    abort();
}

static int on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time at)
{
  copal_response r = {.code = COPAL_CODE_NOT_FOUND};
  copal_span segment;
  (void)s;
  if (copal_opt_find(req->msg->options, COPAL_OPT_URI_PATH, &segment) &&
      copal_span_is_equal(segment, copal_span_str("hello"))) {
    r.code = COPAL_CODE_METHOD_NOT_ALLOWED;
    if (req->msg->code == COPAL_CODE_GET) {
      r.code = COPAL_CODE_CONTENT;
      r.payload = copal_span_str("hello, world");
    }
  }
  return copal_ep_respond(ep, &r, at);
}

static int open_socket(uint16_t port)
{
  const int fd = socket(AF_INET6, SOCK_DGRAM, 0), off = 0;
  const struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0 ||
      bind(fd, (const struct sockaddr *)&any, sizeof any) != 0)
    return -1;
  return fd;
}

/* Waits for a datagram until the endpoint's deadline and hands it over. */
static void turn(copal_ep *ep, struct app *app)
{
  uint8_t in[1152];
  struct sockaddr_in6 from;
  socklen_t from_size = sizeof from;
  const copal_time deadline = copal_ep_deadline(ep), at = now();
  const copal_time wait_ms = deadline > at ? (deadline - at) / 1000 + 1 : 0;
  struct pollfd p = {.fd = app->fd, .events = POLLIN};
  if (poll(&p, 1, wait_ms < 60000 ? (int)wait_ms : 60000) == 1) {
    const ssize_t n = recvfrom(app->fd, in, sizeof in, 0, (struct sockaddr *)&from, &from_size);
    if (n >= 0) {
      copal_path path = {.remote = {.port = ntohs(from.sin6_port)}};
      memcpy(path.remote.ip, &from.sin6_addr, sizeof path.remote.ip);
      path.remote.zone = (uint16_t)from.sin6_scope_id;
      (void)copal_ep_input(ep, &path, (copal_mspan){in, (size_t)n}, now());
    }
  }
  copal_ep_expire(ep, now());
}

int main(int argc, char **argv)
{
  static alignas(max_align_t) uint8_t mem[65536];
  const uint16_t port = argc == 2 ? (uint16_t)strtoul(argv[1], NULL, 10) : 5683;
  struct app app = {.sink = {reserve, commit}, .fd = open_socket(port)};
  copal_server server = {.on_request = on_request};
  copal_entropy entropy = {fill};
  if (app.fd < 0) {
    perror("server");
    return 1;
  }
  copal_ep_cfg cfg = COPAL_EP_CFG_INIT;
  cfg.sink = &app.sink;
  cfg.entropy = &entropy;
  cfg.server = &server;
  copal_ep *ep;
  if (copal_ep_init((copal_mspan){mem, sizeof mem}, &cfg, &ep, now()) != COPAL_OK)
    return 1;
  printf("coap://localhost:%u/hello\n", (unsigned)port);
  fflush(stdout);
  for (;;)
    turn(ep, &app);
}
