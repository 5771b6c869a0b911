/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets of one thread, in batches. Carries the core's datagrams; knows nothing of CoAP.
 * Thread: the owner's only. RFC 7252 sections 3 and 12.7; replies leave from the address that was
 * asked. */
#ifndef TRANSPORT_UDP_H
#define TRANSPORT_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "copal/path.h"
#include "copal/span.h"

typedef struct udp udp;

typedef struct udp_cfg {
  uint16_t batch;        /* datagrams per receive or send call; 0: 64 */
  uint16_t datagram_max; /* bytes; longer ones are dropped and counted, for a cut payload must not
                            pass for a whole one; 0: 2048 */
  uint32_t rcvbuf; /* bytes wanted; 0: 4 MiB. The kernel's limit is passed where privileges allow */
  uint32_t sndbuf; /* bytes wanted; 0: 4 MiB */
} udp_cfg;

typedef struct udp_stats {
  uint64_t rx_datagrams, rx_bytes, rx_truncated, rx_errors;
  uint64_t tx_datagrams, tx_bytes, tx_errors, tx_again;
  uint64_t rx_elsewhere; /* sent to a group, dropped: another socket takes it */
  uint64_t kernel_drops; /* as of udp_count_drops(): the receive buffer was full; a run of
                            datagrams that came as one message counts once */
  uint32_t rcvbuf;       /* bytes granted, smallest of the sockets */
} udp_stats;

/* A received datagram. */
typedef struct udp_slot {
  copal_path
      path; /* COPAL_PATH_GROUP set when the destination was a multicast or broadcast address */
  copal_mspan bytes; /* lent until the next udp_recv() */
} udp_slot;

/* A network error reported for a datagram that was sent. RFC 7252 section 4.2. */
typedef struct udp_error {
  copal_path path;
  int errnum; /* ECONNREFUSED, EHOSTUNREACH, ... */
  copal_span
      quoted; /* what the error quotes of the datagram; lent until the next udp_recv_error() */
} udp_error;

/* Makes an empty set of sockets. Returns 0 or -errno. */
int udp_open(const udp_cfg *cfg, udp **u);
void udp_close(udp *u);

/* Opens and binds one more socket; `local.port` 0 picks one. IPv6 sockets take IPv6 only, so that
 * both families can be bound side by side. `reuse_port` joins a SO_REUSEPORT group. Returns its
 * index or -errno. */
int udp_bind(udp *u, const copal_addr *local, bool reuse_port);

/* Takes a bound socket over (handed over by another process or made elsewhere). Returns its index
 * or -errno. */
int udp_adopt(udp *u, int fd);

int udp_count(const udp *u);
int udp_fd(const udp *u, int index);
copal_addr udp_local_addr(const udp *u, int index);

/* Our side of a path: a socket, the local address that was asked (all zero: any) and the interface
 * (0: any). */
typedef struct udp_side {
  int socket;
  uint8_t ip[16];
  uint32_t ifindex;
} udp_side;

/* What the `local` of a path stands for. Returns false when it stands for nothing. */
bool udp_side_of(const udp *u, uint16_t local, udp_side *side);

/* The `local` that stands for it, or 0 when the table is full or there is no such socket. */
uint16_t udp_local_for(udp *u, const udp_side *side);

/* Joins a multicast group on an interface (0: the default one). Returns 0 or -errno. RFC 7252
 * section 12.8. */
int udp_join(udp *u, int index, const copal_addr *group, uint32_t ifindex);

/* Sets the hop limit of multicast datagrams, 1 to 255, on all sockets. Returns 0 or -errno. RFC
 * 7252 section 8. */
int udp_set_multicast_hops(udp *u, uint8_t hops);

/* The `local` of a path whose datagrams leave from the first socket of the family by interface
 * `ifindex` (0: the system chooses). Returns 0 when there is no such socket or the table is full.
 */
uint16_t udp_via(udp *u, bool is_ipv4, uint32_t ifindex);

/* Whose group requests a socket takes: those of the peers whose unicast datagrams steer_index()
 * sends to one of the same owner's sockets, because acknowledgements of notifications and Resets
 * arrive there. Sockets belong to `owners` in turn. */
typedef struct udp_crowd {
  uint32_t sockets; /* of the SO_REUSEPORT group; 0: they are not steered, all is taken here */
  uint32_t owners;
  uint32_t owner;
} udp_crowd;

/* Has the socket take what that crowd sends to multicast groups it has joined, and broadcasts;
 * NULL: nothing of the kind. The kernel gives a multicast to each socket that has joined and a
 * broadcast to each of a SO_REUSEPORT group, and without this a request would be carried out as
 * often. Sockets that are told nothing take multicasts of everybody, and no broadcasts. */
void udp_take_groups(udp *u, int index, const udp_crowd *crowd);

/* Receives what is there, without waiting. Returns the number of slots, 0 when there is nothing, or
 * -errno. */
int udp_recv(udp *u, int index, udp_slot **slots);

/* Reads one queued network error. Returns 1, 0 when there is none, or -errno. */
int udp_recv_error(udp *u, int index, udp_error *error);

/* The sink of an endpoint: datagrams queue up and leave with udp_flush() or when a batch is full. A
 * path with `local` 0 leaves by the first socket of the remote's family. */
copal_sink *udp_sink(udp *u);
void udp_flush(udp *u);

/* Asks the kernel what it has dropped. */
void udp_count_drops(udp *u);

const udp_stats *udp_stats_now(const udp *u);

/* Text of an address without port ("192.0.2.1", "fe80::1%eth0") and with it ("192.0.2.1:5683",
 * "[::1]:5683"). */
enum { UDP_ADDR_TEXT_SIZE = 80 };
void udp_addr_format_ip(const copal_addr *a, char out[UDP_ADDR_TEXT_SIZE]);
void udp_addr_format(const copal_addr *a, char out[UDP_ADDR_TEXT_SIZE]);
bool udp_addr_is_ipv4(const copal_addr *a);
bool udp_addr_is_loopback(const copal_addr *a);
bool udp_addr_is_multicast(const copal_addr *a);

/* Parses an IP literal (no name, no port; a zone behind "%" is allowed). Returns 0 or COPAL_EINVAL.
 */
int udp_addr_parse(const char *text, uint16_t port, copal_addr *a);

#endif
