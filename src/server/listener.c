/* SPDX-License-Identifier: Apache-2.0 */
/* Where the daemon listens. Thread: the main thread only. RFC 7252 section 6.1. */
#include "server/listener.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copal/error.h"
#include "copal/uri.h"
#include "transport/steer.h"
#include "transport/udp.h"
#include "transport/udp_socket.h"

static int refuse(char why[LISTENER_WHY_SIZE], const char *reason)
{
  snprintf(why, LISTENER_WHY_SIZE, "%s", reason);
  return COPAL_EINVAL;
}

static int parse_host(const copal_uri *uri, copal_addr *addr, char why[LISTENER_WHY_SIZE])
{
  char host[UDP_ADDR_TEXT_SIZE];
  copal_wr w = copal_wr_init((copal_mspan){(uint8_t *)host, sizeof host - 1});
  if (copal_uri_decode(uri->host, &w) < 0 || w.err != COPAL_OK)
    return refuse(why, "the host is not an IP address");
  host[w.len] = '\0';
  if (udp_addr_parse(host, uri->port, addr) < 0)
    return refuse(why, "an IP address of this machine is needed, such as 127.0.0.1, [::1], or "
                       "0.0.0.0 and [::] for all");
  if (udp_addr_is_multicast(addr))
    return refuse(why, "a group address cannot be listened on");
  return COPAL_OK;
}

/* Cuts the port 0 off, which is no port of a URI but asks the system to pick one. */
static bool cut_port_zero(copal_span *text)
{
  if (text->len < 2 || text->ptr[text->len - 2] != ':' || text->ptr[text->len - 1] != '0')
    return false;
  text->len -= 2;
  return true;
}

int listener_parse(const char *text, copal_addr *addr, char why[LISTENER_WHY_SIZE])
{
  copal_uri uri;
  copal_span span = copal_span_str(text);
  const bool picks_port = cut_port_zero(&span);
  if (copal_uri_parse(span, &uri, NULL) < 0)
    return refuse(why, "not a CoAP URI; expected is coap://ADDRESS[:PORT], an IPv6 address in "
                       "brackets");
  switch (uri.scheme) {
  case COPAL_SCHEME_COAP:
  case COPAL_SCHEME_COAPS: break;
  case COPAL_SCHEME_COAP_TCP:
  case COPAL_SCHEME_COAPS_TCP:
  case COPAL_SCHEME_COAP_WS:
  case COPAL_SCHEME_COAPS_WS:
    snprintf(why, LISTENER_WHY_SIZE,
             "scheme %s is not supported; supported are coap (UDP) and coaps (DTLS)",
             copal_scheme_name(uri.scheme));
    return COPAL_EINVAL;
  }
  if (uri.path.len > 0 || uri.has_query)
    return refuse(why, "a listen URI has no path and no query");
  if (picks_port)
    uri.port = 0;
  return parse_host(&uri, addr, why);
}

bool listener_is_secure(const char *text)
{
  copal_uri uri;
  copal_span span = copal_span_str(text);
  (void)cut_port_zero(&span);
  return copal_uri_parse(span, &uri, NULL) == COPAL_OK && uri.scheme == COPAL_SCHEME_COAPS;
}

/* Without steering the listener serves all the same. */
static void steer(listener *l)
{
  const steer_rule rule = l->is_secure ? STEER_BY_CID : STEER_BY_ADDRESS;
  l->steering = steer_attach(l->fds[0], rule, l->count);
}

static void explain(int errnum, const copal_addr *addr, char why[LISTENER_WHY_SIZE])
{
  char text[UDP_ADDR_TEXT_SIZE];
  udp_addr_format(addr, text);
  const char *advice = "";
  switch (errnum) {
  case EADDRINUSE:
    advice = "; another program or listen address has it: stop that, or choose another port";
    break;
  case EADDRNOTAVAIL: advice = "; no interface of this machine has this address"; break;
  case EACCES: advice = "; ports below 1024 need CAP_NET_BIND_SERVICE"; break;
  case EAFNOSUPPORT: advice = "; this address family is switched off on this machine"; break;
  }
  snprintf(why, LISTENER_WHY_SIZE, "cannot listen on %s: %s%s", text, strerror(errnum), advice);
}

/* Opens socket `i` on the listener's address. Returns 0 or -errno. */
static int open_one(listener *l, uint32_t i, udp_share first)
{
  const int fd = udp_socket_open(&l->addr, i == 0 ? first : UDP_NEXT);
  if (fd < 0)
    return fd;
  l->fds[i] = fd;
  /* The others must have the port that the system picked for the first. */
  return i == 0 ? udp_socket_local(fd, &l->addr) : 0;
}

int listener_expect(const copal_addr *asked, const copal_addr *addr, uint32_t count, listener *l)
{
  *l = (listener){
      .asked = *asked, .addr = *addr, .count = count, .fds = malloc(count * sizeof *l->fds)};
  if (l->fds == NULL)
    return -ENOMEM;
  for (uint32_t i = 0; i < count; i++)
    l->fds[i] = -1;
  return 0;
}

static int open_sockets(const copal_addr *addr, uint32_t count, udp_share first, listener *l)
{
  int rc = listener_expect(addr, addr, count, l);
  for (uint32_t i = 0; rc == 0 && i < count; i++)
    rc = open_one(l, i, first);
  if (rc < 0)
    listener_close(l);
  return rc;
}

int listener_open(const copal_addr *addr, uint32_t count, listener *l, char why[LISTENER_WHY_SIZE])
{
  const int rc = open_sockets(addr, count, UDP_FIRST, l);
  if (rc < 0)
    explain(-rc, addr, why);
  else
    steer(l);
  return rc;
}

void listener_close(listener *l)
{
  for (uint32_t i = 0; l->fds != NULL && i < l->count; i++)
    if (l->fds[i] >= 0)
      close(l->fds[i]);
  free(l->fds);
  *l = (listener){.fds = NULL};
}

/* ------------------------------------------------------------------------------------------------
 * all of them */

static bool is_same(const copal_addr *a, const copal_addr *b)
{
  return memcmp(a, b, sizeof *a) == 0;
}

/* What a URI asks for. */
typedef struct wish {
  copal_addr addr;
  bool is_secure;
} wish;

/* Moves the listener that was asked for in the same way from `old`. False when there is none. */
static bool take_over(listener_set *old, const wish *w, listener *l)
{
  for (size_t i = 0; old != NULL && i < old->count; i++) {
    if (old->items[i].fds == NULL || old->items[i].is_secure != w->is_secure ||
        !is_same(&old->items[i].asked, &w->addr))
      continue;
    *l = old->items[i];
    old->items[i] = (listener){.fds = NULL};
    steer(l); /* by the rule of this version */
    return true;
  }
  return false;
}

/* True when a listener that is about to go stands in the way: all addresses and one of them with
 * the same port exclude each other. */
static bool is_in_the_way(const listener_set *old, const copal_addr *addr)
{
  for (size_t i = 0; old != NULL && i < old->count; i++) {
    const listener *l = &old->items[i];
    if (l->fds != NULL && l->addr.port == addr->port && !is_same(&l->addr, addr) &&
        udp_addr_is_ipv4(&l->addr) == udp_addr_is_ipv4(addr))
      return true;
  }
  return false;
}

static int open_or_take_over(const wish *w, uint32_t sockets, listener_set *old, listener *l,
                             char why[LISTENER_WHY_SIZE])
{
  if (take_over(old, w, l))
    return 0;
  int rc = listener_open(&w->addr, sockets, l, why);
  /* Sharing the port is possible among sockets of one user that all agree to it. */
  if (rc == -EADDRINUSE && is_in_the_way(old, &w->addr))
    rc = open_sockets(&w->addr, sockets, UDP_NEXT, l);
  if (rc < 0)
    return rc;
  l->is_secure = w->is_secure;
  steer(l);
  return 0;
}

static bool is_missing(int rc)
{
  return rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT;
}

int listener_set_add(listener_set *set, const listener *l)
{
  listener *items = realloc(set->items, (set->count + 1) * sizeof *items);
  if (items == NULL)
    return -ENOMEM;
  set->items = items;
  set->items[set->count++] = *l;
  return 0;
}

static int add_uri(listener_set *set, const listener_cfg *cfg, size_t i, listener_set *old,
                   char why[LISTENER_WHY_SIZE])
{
  wish w = {.is_secure = listener_is_secure(cfg->uris[i])};
  listener l;
  if (listener_parse(cfg->uris[i], &w.addr, why) < 0)
    return -EINVAL;
  int rc = open_or_take_over(&w, cfg->sockets, old, &l, why);
  if (rc < 0)
    return cfg->skips_missing && is_missing(rc) ? 0 : rc;
  rc = listener_set_add(set, &l);
  if (rc < 0)
    listener_close(&l);
  return rc;
}

int listener_set_open(listener_set *set, const listener_cfg *cfg, listener_set *old,
                      char why[LISTENER_WHY_SIZE])
{
  int rc = 0;
  *set = (listener_set){.count = 0};
  why[0] = '\0';
  for (size_t i = 0; rc == 0 && i < cfg->count; i++)
    rc = add_uri(set, cfg, i, old, why);
  if (rc == 0 && set->count == 0)
    rc = -EADDRNOTAVAIL;
  if (rc == 0)
    return 0;
  if (why[0] == '\0')
    snprintf(why, LISTENER_WHY_SIZE, "cannot listen: %s", strerror(-rc));
  listener_set_close(set);
  return rc;
}

void listener_set_close(listener_set *set)
{
  for (size_t i = 0; i < set->count; i++)
    listener_close(&set->items[i]);
  free(set->items);
  *set = (listener_set){.count = 0};
}

void listener_uri(const listener *l, char out[LISTENER_URI_SIZE])
{
  char text[UDP_ADDR_TEXT_SIZE];
  udp_addr_format(&l->addr, text);
  snprintf(out, LISTENER_URI_SIZE, "%s://%s", l->is_secure ? "coaps" : "coap", text);
}

uint32_t listener_shard(uint32_t socket, uint32_t shards)
{
  return socket % shards;
}
