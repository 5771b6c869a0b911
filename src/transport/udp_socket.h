/* SPDX-License-Identifier: Apache-2.0 */
/* Making one UDP socket and setting its options; conversions between copal_addr and the system's
 * socket addresses. RFC 7252 sections 3 and 4.6. Thread: any; nothing is shared. */
#ifndef TRANSPORT_UDP_SOCKET_H
#define TRANSPORT_UDP_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "copal/path.h"

/* Room for any address this transport uses. */
typedef union udp_sockaddr {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
} udp_sockaddr;

/* How a socket shares its address with others. */
typedef enum udp_share {
  UDP_EXCLUSIVE, /* fails when the address is taken */
  UDP_FIRST,     /* fails when the address is taken; admits UDP_NEXT sockets afterwards */
  UDP_NEXT,      /* one more socket of the SO_REUSEPORT group */
} udp_share;

/* Opens and binds a non-blocking socket; IPv6 sockets take IPv6 only. Returns the descriptor,
 * given to the caller, or -errno. */
int udp_socket_open(const copal_addr *local, udp_share share);

/* Sets what every socket of a udp object needs: buffers, error queue, destination addresses,
 * fragmentation instead of path MTU discovery, group traffic only of groups joined by this socket.
 * `*rcvbuf` receives the bytes granted. Returns 0 or -errno. */
int udp_socket_setup(int fd, uint32_t rcvbuf_wanted, uint32_t sndbuf_wanted, uint32_t *rcvbuf);

/* Datagrams that found no room in the receive buffer since the socket was opened, modulo 2^32; 0
 * when the kernel does not say. */
uint32_t udp_socket_drops(int fd);

/* The address a socket is bound to. Returns 0 or -errno. */
int udp_socket_local(int fd, copal_addr *local);

/* Converts; the result's length is returned. IPv4-mapped addresses become AF_INET. */
socklen_t udp_sockaddr_of(const copal_addr *a, udp_sockaddr *sa);

/* Converts back. False for another family, or an interface number beyond copal_addr's range. */
bool udp_sockaddr_to(const udp_sockaddr *sa, copal_addr *a);

/* The mapped form of an IPv4 address in network byte order. */
void udp_addr_map_ipv4(struct in_addr v4, copal_addr *a);

#endif
