/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of any size in one file: puts what it reads, or gets a resource and writes it, block by
 * block, with copal_transfer over a UDP socket of its own.
 *
 *   cc transfer.c $(pkg-config --cflags --libs copal) -o transfer
 *   ./transfer get coap://127.0.0.1:5683/image >image
 *   ./transfer put coap://127.0.0.1:5683/image <image */
#define _DEFAULT_SOURCE
#include <netdb.h>
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
#include "copal/transfer.h"
#include "copal/uri.h"

/* One socket, connected to the server, is all the transport there is. */
struct app {
  copal_sink sink; /* first, so that the callback finds the rest */
  copal_transfer transfer;
  int fd;
  int status; /* exit status, -1 while the transfer lasts */
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

static void commit(copal_sink *s, const copal_path *path, size_t len)
{
  struct app *app = (struct app *)s;
  (void)path;
  if (send(app->fd, app->room, len, 0) < 0)
    perror("send"); /* as good as lost: the endpoint sends it again */
}

static void fill(copal_entropy *e, copal_mspan out)
{
  (void)e;
  if (getentropy(out.ptr, out.len) != 0)
    abort();
}

static struct app *app_of(copal_transfer *t)
{
  return (struct app *)(void *)((char *)t - offsetof(struct app, transfer));
}

/* The blocks are read where they are needed, so a file of any size will do, but not a pipe. */
static int on_read(copal_transfer *t, uint32_t offset, copal_mspan room, bool *is_end)
{
  (void)t;
  if (fseek(stdin, (long)offset, SEEK_SET) != 0)
    return COPAL_EINVAL;
  const size_t n = fread(room.ptr, 1, room.len, stdin);
  const int next = getc(stdin);
  *is_end = next == EOF;
  return (int)n;
}

static int on_write(copal_transfer *t, const copal_transfer_part *part)
{
  (void)t;
  if (part->bytes.len == 0)
    return COPAL_OK;
  if (part->offset == 0)
    rewind(stdout); /* a file is written anew when the representation has changed */
  return fwrite(part->bytes.ptr, 1, part->bytes.len, stdout) == part->bytes.len ? COPAL_OK
                                                                                : COPAL_EINVAL;
}

static void on_done(copal_transfer *t, const copal_transfer_result *result, copal_time at)
{
  struct app *app = app_of(t);
  char code[5];
  (void)at;
  copal_code_format(result->code, code);
  fprintf(stderr, "%s %s\n", copal_err_name(result->status), code);
  app->status = result->status != COPAL_OK || copal_code_class(result->code) != COPAL_CLASS_SUCCESS;
}

static int open_socket(const copal_uri *uri)
{
  char host[256], port[6];
  const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
  struct addrinfo *found;
  snprintf(host, sizeof host, "%.*s", (int)uri->host.len, (const char *)uri->host.ptr);
  snprintf(port, sizeof port, "%u", (unsigned)uri->port);
  if (getaddrinfo(host, port, &hints, &found) != 0)
    return -1;
  const int fd = socket(found->ai_family, SOCK_DGRAM, 0);
  const bool ok = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0;
  freeaddrinfo(found);
  return ok ? fd : -1;
}

/* Waits for a datagram until the endpoint's deadline and hands it over. */
static void turn(copal_ep *ep, struct app *app, const copal_path *path)
{
  uint8_t in[1152];
  const copal_time deadline = copal_ep_deadline(ep), at = now();
  const copal_time wait_ms = deadline > at ? (deadline - at) / 1000 + 1 : 0;
  struct pollfd p = {.fd = app->fd, .events = POLLIN};
  if (poll(&p, 1, wait_ms < 60000 ? (int)wait_ms : 60000) == 1) {
    const ssize_t n = recv(app->fd, in, sizeof in, 0);
    if (n >= 0)
      (void)copal_ep_input(ep, path, (copal_mspan){in, (size_t)n}, now());
    else
      (void)copal_ep_unreachable(ep, path, copal_span_of(app->room, sizeof app->room), now());
  }
  copal_ep_expire(ep, now());
}

int main(int argc, char **argv)
{
  static alignas(max_align_t) uint8_t mem[65536];
  struct app app = {.sink = {reserve, commit}, .status = -1};
  copal_entropy entropy = {fill};
  copal_uri uri;
  if (argc != 3 || copal_uri_parse(copal_span_str(argv[2]), &uri, NULL) != COPAL_OK ||
      (app.fd = open_socket(&uri)) < 0) {
    fprintf(stderr, "usage: transfer get|put coap://HOST[:PORT]/PATH\n");
    return 2;
  }

  uint8_t text[1024], uints[16][4];
  copal_opt opts[16];
  copal_wr scratch = copal_wr_init((copal_mspan){text, sizeof text});
  copal_opt_list list = copal_opt_list_init(opts, uints, 16);
  if (copal_uri_to_options(&uri, false, &scratch, &list) != COPAL_OK)
    return 2;

  const copal_path path = {.remote = {.port = uri.port}}; /* the socket is connected to one peer */
  copal_ep_cfg cfg = COPAL_EP_CFG_INIT;
  cfg.sink = &app.sink;
  cfg.entropy = &entropy;
  copal_ep *ep;
  if (copal_ep_init((copal_mspan){mem, sizeof mem}, &cfg, &ep, now()) != COPAL_OK)
    return 2;

  uint8_t block[1024];
  copal_opt room[16 + COPAL_TRANSFER_OPTS];
  copal_transfer_request request = COPAL_TRANSFER_REQUEST_INIT;
  request.path = &path;
  request.code = COPAL_CODE_GET;
  request.opts = list.opts;
  request.opt_count = list.count;
  request.opt_room = room;
  request.opt_cap = sizeof room / sizeof *room;
  app.transfer.write = on_write;
  app.transfer.on_done = on_done;
  if (strcmp(argv[1], "put") == 0) {
    request.code = COPAL_CODE_PUT;
    request.body_size = COPAL_TRANSFER_UNKNOWN;
    request.block_room = (copal_mspan){block, sizeof block};
    app.transfer.read = on_read;
  }
  if (copal_transfer_start(&app.transfer, ep, &request, now()) != COPAL_OK)
    return 2;
  while (app.status < 0)
    turn(ep, &app, &path);
  copal_ep_wipe(ep, now());
  close(app.fd);
  return app.status;
}
