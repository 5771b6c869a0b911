/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text and their kinds. Thread: any. RFC 4291 sections 2.2 and 2.4, RFC 4007
 * section 11. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "transport/udp.h"
#include "transport/udp_socket.h"

void udp_addr_format_ip(const copal_addr *a, char out[UDP_ADDR_TEXT_SIZE])
{
  if (udp_addr_is_ipv4(a)) {
    inet_ntop(AF_INET, a->ip + 12, out, UDP_ADDR_TEXT_SIZE);
    return;
  }
  inet_ntop(AF_INET6, a->ip, out, UDP_ADDR_TEXT_SIZE);
  if (a->zone == 0)
    return;
  const size_t len = strlen(out);
  char name[IF_NAMESIZE];
  if (if_indextoname(a->zone, name) != NULL)
    snprintf(out + len, UDP_ADDR_TEXT_SIZE - len, "%%%s", name);
  else
    snprintf(out + len, UDP_ADDR_TEXT_SIZE - len, "%%%u", (unsigned)a->zone);
}

void udp_addr_format(const copal_addr *a, char out[UDP_ADDR_TEXT_SIZE])
{
  char ip[UDP_ADDR_TEXT_SIZE];
  udp_addr_format_ip(a, ip);
  /* The longest address with zone takes 62 bytes; the precision tells the compiler. */
  snprintf(out, UDP_ADDR_TEXT_SIZE, udp_addr_is_ipv4(a) ? "%.64s:%u" : "[%.64s]:%u", ip,
           (unsigned)a->port);
}

bool udp_addr_is_ipv4(const copal_addr *a)
{
  static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return memcmp(a->ip, mapped, sizeof mapped) == 0;
}

bool udp_addr_is_loopback(const copal_addr *a)
{
  if (udp_addr_is_ipv4(a))
    return a->ip[12] == 127;
  return memcmp(a->ip, &in6addr_loopback, 16) == 0;
}

bool udp_addr_is_multicast(const copal_addr *a)
{
  return udp_addr_is_ipv4(a) ? (a->ip[12] & 0xf0) == 0xe0 : a->ip[0] == 0xff;
}

static int parse_zone(const char *zone, uint16_t *out)
{
  unsigned index = if_nametoindex(zone);
  if (index == 0) {
    char *end = NULL;
    errno = 0;
    const unsigned long n = strtoul(zone, &end, 10);
    if (zone[0] < '0' || zone[0] > '9' || *end != '\0' || errno != 0 || n > UINT16_MAX)
      return COPAL_EINVAL;
    index = (unsigned)n;
  }
  if (index > UINT16_MAX)
    return COPAL_EINVAL;
  *out = (uint16_t)index;
  return COPAL_OK;
}

void udp_addr_map_ipv4(struct in_addr v4, copal_addr *a)
{
  memset(a->ip, 0, 10);
  memset(a->ip + 10, 0xff, 2);
  memcpy(a->ip + 12, &v4, 4);
}

int udp_addr_parse(const char *text, uint16_t port, copal_addr *a)
{
  char ip[INET6_ADDRSTRLEN];
  const char *zone = strchr(text, '%');
  const size_t len = zone == NULL ? strlen(text) : (size_t)(zone - text);
  if (len >= sizeof ip)
    return COPAL_EINVAL;
  memcpy(ip, text, len);
  ip[len] = '\0';

  memset(a, 0, sizeof *a);
  a->port = port;
  struct in_addr v4;
  if (zone == NULL && inet_pton(AF_INET, ip, &v4) == 1) {
    udp_addr_map_ipv4(v4, a);
    return COPAL_OK;
  }
  if (inet_pton(AF_INET6, ip, a->ip) != 1)
    return COPAL_EINVAL;
  return zone == NULL ? COPAL_OK : parse_zone(zone + 1, &a->zone);
}
