/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets of one thread, in batches: receiving, sending and network errors. Thread: the
 * owner's only. RFC 7252 sections 3, 4.2 and 12.7. */
#include "transport/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Uses struct timespec without declaring it, so it comes behind <time.h>. */
#include <linux/errqueue.h>

#include "transport/steer.h"
#include "transport/udp_batch.h"
#include "transport/udp_local.h"
#include "transport/udp_segment.h"
#include "transport/udp_socket.h"

enum {
  BATCH_DEFAULT = 64,
  DATAGRAM_MAX_DEFAULT = 2048,
  BUFFER_DEFAULT = 4 << 20, /* a burst of some ten thousand small datagrams */
  SLOTS_PER_MESSAGE = 128,  /* datagrams that the kernel puts together at most */
  PENDING_ERRORS_MAX = 16,  /* errors the kernel may report in front of one call */
};

typedef struct udp_sock {
  int fd;
  copal_addr local;
  bool is_ipv4;
  bool is_told;     /* what to take of group traffic: */
  bool takes_crowd; /* this, or nothing */
  udp_crowd crowd;
  uint16_t self;  /* index of (this socket, any address, any interface) */
  uint16_t asked; /* local side of the last datagram: most often the next one's, too */
  int tx_fd;      /* what is sent from this address leaves by the first socket that has it, so that
                     a batch stays in one piece */
  uint32_t drops; /* last value of the kernel's counter */
} udp_sock;

/* Where a datagram leaves to: most often where the one before went. */
typedef struct udp_route {
  copal_addr remote;
  uint16_t path_local; /* of the path */
  bool is_known;       /* has a local side, whoever the remote is */
  bool is_ipv4;
  bool has_source; /* its local side is said with each datagram */
  udp_local local;
  int fd;
  uint32_t number; /* changes with the route; 0: there has been none */
} udp_route;

struct udp {
  copal_sink sink;
  udp_cfg cfg;
  udp_stats stats;
  udp_sock *socks;
  int count;
  udp_locals locals;
  udp_batch rx;
  unsigned rx_used; /* headers the last receive call has written to */
  udp_batch tx;
  udp_slot *slots; /* for every datagram that a batch of messages can hold */
  udp_route route;
  int *tx_fds;         /* by which each queued datagram leaves */
  uint32_t *tx_routes; /* the number of its route */
  udp_train train;
  bool joins;        /* runs of datagrams leave as one message */
  unsigned tx_count; /* queued, one behind the other */
  unsigned tx_runs;  /* of them on the route of the one before */
  size_t tx_len;     /* their bytes */
  udp_batch errors;  /* one datagram */
};

/* What control data told of a received message. */
typedef struct destination {
  bool is_told; /* else it is the socket's own address */
  udp_local local;
  bool is_group; /* multicast or broadcast */
  bool is_broadcast;
  size_t segment; /* bytes of each datagram in the message; 0: it is one */
} destination;

/* ------------------------------------------------------------------------------------------------
 * receiving */

static void read_pktinfo_v4(const struct cmsghdr *c, destination *d)
{
  struct in_pktinfo info;
  memcpy(&info, CMSG_DATA(c), sizeof info);
  /* The kernel names one of its unicast addresses as specific destination; that it differs from the
   * header's shows a multicast or broadcast. */
  d->is_group = info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr;
  if (d->is_group) {
    d->is_broadcast = !IN_MULTICAST(ntohl(info.ipi_addr.s_addr));
    d->local.ifindex = (uint32_t)info.ipi_ifindex;
    return;
  }
  copal_addr a;
  udp_addr_map_ipv4(info.ipi_addr, &a);
  memcpy(d->local.ip, a.ip, sizeof a.ip);
}

static void read_pktinfo_v6(const struct cmsghdr *c, destination *d)
{
  struct in6_pktinfo info;
  memcpy(&info, CMSG_DATA(c), sizeof info);
  d->is_group = IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
  if (d->is_group || IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
    d->local.ifindex = info.ipi6_ifindex;
  if (!d->is_group)
    memcpy(d->local.ip, &info.ipi6_addr, sizeof d->local.ip);
}

static destination read_control(int index, struct msghdr *m)
{
  destination d = {.is_told = m->msg_controllen > 0, .local.socket = (uint16_t)index};
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
      read_pktinfo_v4(c, &d);
    else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
      read_pktinfo_v6(c, &d);
    else
      (void)udp_segment_read(c, &d.segment);
  }
  return d;
}

static uint16_t intern(udp *u, udp_sock *s, const udp_local *local)
{
  const udp_local *last = udp_locals_at(&u->locals, s->asked);
  if (last == NULL || !udp_local_is_equal(last, local))
    s->asked = udp_locals_intern(&u->locals, local);
  return s->asked != 0 ? s->asked : s->self;
}

/* True when what was sent to a group is for this socket to take. */
static bool is_of_crowd(const udp_sock *s, const destination *d, const copal_addr *remote)
{
  if (!s->is_told)
    return !d->is_broadcast;
  if (!s->takes_crowd || s->crowd.sockets == 0)
    return s->takes_crowd;
  return steer_index(remote, s->crowd.sockets) % s->crowd.owners == s->crowd.owner;
}

/* Where received message `i` came from. False when it is dropped. */
static bool read_path(udp *u, int index, unsigned i, const destination *d, copal_path *path)
{
  memset(path, 0, sizeof *path);
  /* Nobody can be answered at port 0. */
  if (!udp_sockaddr_to(&u->rx.addrs[i], &path->remote) || path->remote.port == 0) {
    u->stats.rx_errors++;
    return false;
  }
  if (d->is_group && !is_of_crowd(&u->socks[index], d, &path->remote)) {
    u->stats.rx_elsewhere++;
    return false;
  }
  udp_sock *s = &u->socks[index];
  path->local = d->is_told ? intern(u, s, &d->local) : s->self;
  path->flags = d->is_group ? COPAL_PATH_GROUP : 0;
  return true;
}

/* Turns received message `i` into slots, one for each of its datagrams. Returns how many. */
static int fill_slots(udp *u, int index, unsigned i, udp_slot *slots)
{
  struct mmsghdr *m = &u->rx.msgs[i];
  const destination d = read_control(index, &m->msg_hdr);
  const size_t size = d.segment > 0 && d.segment < m->msg_len ? d.segment : m->msg_len;
  copal_path path;
  if ((m->msg_hdr.msg_flags & MSG_TRUNC) != 0) {
    u->stats.rx_truncated++;
    return 0;
  }
  if (!read_path(u, index, i, &d, &path))
    return 0;
  uint8_t *bytes = udp_batch_bytes(&u->rx, i);
  size_t at = 0;
  int n = 0;
  do {
    const size_t left = m->msg_len - at, len = left < size ? left : size;
    if (len <= u->cfg.datagram_max) {
      slots[n++] = (udp_slot){path, {bytes + at, len}};
      u->stats.rx_bytes += len;
    } else {
      u->stats.rx_truncated++;
    }
    at += len;
  } while (at < m->msg_len && n < SLOTS_PER_MESSAGE);
  u->stats.rx_truncated += at < m->msg_len;
  u->stats.rx_datagrams += (unsigned)n;
  return n;
}

/* A network error of an earlier datagram is reported once by the next call on the socket; the error
 * queue has its details. */
static bool is_pending_error(int errnum)
{
  switch (errnum) {
  case ECONNREFUSED:
  case EHOSTUNREACH:
  case ENETUNREACH:
  case EHOSTDOWN:
  case ENETDOWN:
  case ENOPROTOOPT:
  case EOPNOTSUPP:
  case EPROTO:
  case EMSGSIZE:
  case EACCES:
  case EINTR: return true;
  }
  return false;
}

int udp_recv(udp *u, int index, udp_slot **slots)
{
  *slots = u->slots;
  udp_batch_rearm(&u->rx, u->rx_used);
  u->rx_used = 0;
  int n = -1;
  for (int tries = 0; tries < PENDING_ERRORS_MAX; tries++) {
    n = recvmmsg(u->socks[index].fd, u->rx.msgs, u->rx.cap, MSG_DONTWAIT, NULL);
    if (n >= 0 || !is_pending_error(errno))
      break;
  }
  if (n < 0) {
    if (errno == EAGAIN || is_pending_error(errno))
      return 0;
    u->stats.rx_errors++;
    return -errno;
  }
  u->rx_used = (unsigned)n;
  int kept = 0;
  for (unsigned i = 0; i < (unsigned)n; i++)
    kept += fill_slots(u, index, i, &u->slots[kept]);
  return kept;
}

static const struct sock_extended_err *find_error(struct msghdr *m)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
    if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
        (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
      return (const struct sock_extended_err *)(const void *)CMSG_DATA(c);
  return NULL;
}

int udp_recv_error(udp *u, int index, udp_error *error)
{
  const udp_sock *s = &u->socks[index];
  for (;;) {
    udp_batch_rearm(&u->errors, 1);
    struct msghdr *m = &u->errors.msgs[0].msg_hdr;
    const ssize_t n = recvmsg(s->fd, m, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (n < 0)
      return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    const struct sock_extended_err *e = find_error(m);
    /* Too large for the path: with fragmentation allowed the next attempt gets through. */
    if (e == NULL || e->ee_errno == EMSGSIZE)
      continue;
    memset(error, 0, sizeof *error);
    if (!udp_sockaddr_to(&u->errors.addrs[0], &error->path.remote))
      continue;
    error->path.local = s->self;
    error->errnum = (int)e->ee_errno;
    error->quoted = copal_span_of(udp_batch_bytes(&u->errors, 0), (size_t)n);
    return 1;
  }
}

/* ------------------------------------------------------------------------------------------------
 * sending */

static int first_of_family(const udp *u, bool is_ipv4)
{
  for (int i = 0; i < u->count; i++)
    if (u->socks[i].is_ipv4 == is_ipv4)
      return i;
  return -ENOENT;
}

/* The socket, address and interface a path leaves by. Returns false when no socket fits. */
static bool resolve_local(const udp *u, const copal_path *path, udp_local *out)
{
  const udp_local *known = udp_locals_at(&u->locals, path->local);
  if (known != NULL) {
    *out = *known;
    return true;
  }
  const int index = first_of_family(u, udp_addr_is_ipv4(&path->remote));
  if (index < 0)
    return false;
  *out = (udp_local){.socket = (uint16_t)index};
  /* IPv4 addresses have no zone of their own in the system's calls. */
  if (udp_addr_is_multicast(&path->remote))
    out->ifindex = path->remote.zone;
  return true;
}

static uint32_t next_number(const udp_route *r)
{
  return r->number + 1 != 0 ? r->number + 1 : 1;
}

/* Takes the route of a path, from its socket and address. Returns false when no socket fits. */
static bool take_whole_route(udp *u, const copal_path *path)
{
  static const uint8_t any[16];
  udp_local local;
  if (!resolve_local(u, path, &local))
    return false;
  const udp_sock *s = &u->socks[local.socket];
  u->route = (udp_route){
      .remote = path->remote,
      .path_local = path->local,
      .is_known = udp_locals_at(&u->locals, path->local) != NULL,
      .is_ipv4 = s->is_ipv4,
      .has_source = local.ifindex != 0 || memcmp(local.ip, any, sizeof any) != 0,
      .local = local,
      .fd = s->tx_fd,
      .number = next_number(&u->route),
  };
  return true;
}

/* The same from the last route: what a local side resolves to never changes. */
static bool take_route(udp *u, const copal_path *path)
{
  udp_route *r = &u->route;
  if (!r->is_known || r->path_local != path->local)
    return take_whole_route(u, path);
  r->remote = path->remote;
  r->number = next_number(r);
  return true;
}

static bool is_route_of(const udp_route *r, const copal_path *path)
{
  return r->number != 0 && r->path_local == path->local &&
         memcmp(&r->remote, &path->remote, sizeof r->remote) == 0;
}

static void put_control(struct msghdr *m, udp_control *room, int level, int type, const void *data,
                        size_t len)
{
  memset(room, 0, sizeof *room);
  m->msg_control = room;
  m->msg_controllen = CMSG_SPACE(len);
  struct cmsghdr *c = CMSG_FIRSTHDR(m);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(len);
  memcpy(CMSG_DATA(c), data, len);
}

static void put_source(struct msghdr *m, udp_control *room, const udp_route *r)
{
  if (r->is_ipv4) {
    struct in_pktinfo info = {.ipi_ifindex = (int)r->local.ifindex};
    memcpy(&info.ipi_spec_dst, r->local.ip + 12, 4);
    put_control(m, room, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    return;
  }
  struct in6_pktinfo info = {.ipi6_ifindex = r->local.ifindex};
  memcpy(&info.ipi6_addr, r->local.ip, 16);
  put_control(m, room, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

static copal_mspan sink_reserve(copal_sink *sink, const copal_path *path, size_t cap)
{
  udp *u = (udp *)sink;
  if (cap > u->tx.datagram_max || (!is_route_of(&u->route, path) && !take_route(u, path))) {
    u->stats.tx_errors++;
    return (copal_mspan){NULL, 0};
  }
  if (u->tx_count == u->tx.cap)
    udp_flush(u);
  return (copal_mspan){u->tx.bytes + u->tx_len, cap};
}

/* Along the route that the room was reserved for. */
static void sink_commit(copal_sink *sink, const copal_path *path, size_t len)
{
  udp *u = (udp *)sink;
  const udp_route *r = &u->route;
  const unsigned i = u->tx_count++;
  struct msghdr *m = &u->tx.msgs[i].msg_hdr;
  (void)path;
  const bool goes_on = i > 0 && u->tx_routes[i - 1] == r->number;
  u->tx_runs += goes_on;
  if (goes_on)
    *m = u->tx.msgs[i - 1].msg_hdr; /* its address serves this one as well */
  else
    *m = (struct msghdr){.msg_name = &u->tx.addrs[i],
                         .msg_namelen = udp_sockaddr_of(&r->remote, &u->tx.addrs[i]),
                         .msg_iovlen = 1};
  m->msg_iov = &u->tx.iovs[i];
  *m->msg_iov = (struct iovec){u->tx.bytes + u->tx_len, len};
  if (r->has_source)
    put_source(m, &u->tx.controls[i], r);
  u->tx_fds[i] = r->fd;
  u->tx_routes[i] = r->number;
  u->tx_len += len;
}

static void count_sent(udp *u, unsigned from, unsigned count)
{
  for (unsigned i = from; i < from + count; i++)
    u->stats.tx_bytes += u->tx.iovs[i].iov_len;
  u->stats.tx_datagrams += count;
}

/* Sends queued datagrams `from` to `to`, all of one socket. What the kernel refuses is dropped: it
 * is as good as lost on the way, which the protocol expects. An error of an earlier datagram, to
 * whomever that went, is no refusal; each call takes one such, and more may arrive meanwhile. */
static void send_each(udp *u, unsigned from, unsigned to)
{
  const int fd = u->tx_fds[from];
  int tries = 0;
  while (from < to) {
    const int n = sendmmsg(fd, &u->tx.msgs[from], to - from, MSG_DONTWAIT);
    if (n > 0) {
      count_sent(u, from, (unsigned)n);
      from += (unsigned)n;
      tries = 0;
      continue;
    }
    if (errno == EAGAIN || errno == ENOBUFS) {
      u->stats.tx_again += to - from;
      return;
    }
    /* Its own error comes back each time. */
    if (is_pending_error(errno) && ++tries < PENDING_ERRORS_MAX)
      continue;
    u->stats.tx_errors++;
    from++;
    tries = 0;
  }
}

/* A message that does not go as a whole, for its datagrams are too long for the device or it cannot
 * cut, goes datagram by datagram. EIO says that it never will. */
static void send_train(udp *u, unsigned from, unsigned to)
{
  const int fd = u->tx_fds[from];
  unsigned i = 0;
  while (i < u->train.count) {
    const int n = sendmmsg(fd, &u->train.msgs[i], u->train.count - i, MSG_DONTWAIT);
    const unsigned sent = n > 0 ? (unsigned)n : 0;
    for (unsigned k = i; k < i + sent; k++)
      count_sent(u, u->train.firsts[k], udp_train_length(&u->train, k, to));
    i += sent;
    if (n > 0 || i == u->train.count)
      continue;
    u->joins = errno != EIO && errno != ENOPROTOOPT;
    send_each(u, u->train.firsts[i], u->train.firsts[i] + udp_train_length(&u->train, i, to));
    i++;
  }
}

static void send_run(udp *u, unsigned from, unsigned to)
{
  if (u->joins && u->tx_runs > 0 && udp_train_join(&u->train, &u->tx, u->tx_routes, from, to))
    send_train(u, from, to);
  else
    send_each(u, from, to);
}

copal_sink *udp_sink(udp *u)
{
  return &u->sink;
}

void udp_flush(udp *u)
{
  unsigned from = 0;
  while (from < u->tx_count) {
    unsigned to = from + 1;
    while (to < u->tx_count && u->tx_fds[to] == u->tx_fds[from])
      to++;
    send_run(u, from, to);
    from = to;
  }
  u->tx_count = 0;
  u->tx_runs = 0;
  u->tx_len = 0;
}

/* ------------------------------------------------------------------------------------------------
 * sockets */

static udp_cfg with_defaults(const udp_cfg *cfg)
{
  udp_cfg c = *cfg;
  if (c.batch == 0)
    c.batch = BATCH_DEFAULT;
  if (c.datagram_max == 0)
    c.datagram_max = DATAGRAM_MAX_DEFAULT;
  if (c.rcvbuf == 0)
    c.rcvbuf = BUFFER_DEFAULT;
  if (c.sndbuf == 0)
    c.sndbuf = BUFFER_DEFAULT;
  return c;
}

int udp_open(const udp_cfg *cfg, udp **out)
{
  udp *u = calloc(1, sizeof *u);
  if (u == NULL)
    return -ENOMEM;
  u->cfg = with_defaults(cfg);
  u->sink = (copal_sink){sink_reserve, sink_commit};
  udp_locals_init(&u->locals);
  u->joins = true;
  u->slots = calloc((size_t)u->cfg.batch * SLOTS_PER_MESSAGE, sizeof *u->slots);
  u->tx_fds = calloc(u->cfg.batch, sizeof *u->tx_fds);
  u->tx_routes = calloc(u->cfg.batch, sizeof *u->tx_routes);
  if (u->slots == NULL || u->tx_fds == NULL || u->tx_routes == NULL ||
      udp_train_init(&u->train, u->cfg.batch) < 0 ||
      udp_batch_init(&u->rx, u->cfg.batch, UDP_MESSAGE_MAX) < 0 ||
      udp_batch_init(&u->tx, u->cfg.batch, u->cfg.datagram_max) < 0 ||
      udp_batch_init(&u->errors, 1, u->cfg.datagram_max) < 0) {
    udp_close(u);
    return -ENOMEM;
  }
  *out = u;
  return 0;
}

void udp_close(udp *u)
{
  if (u == NULL)
    return;
  for (int i = 0; i < u->count; i++)
    close(u->socks[i].fd);
  udp_batch_wipe(&u->rx);
  udp_batch_wipe(&u->tx);
  udp_batch_wipe(&u->errors);
  free(u->socks);
  free(u->slots);
  free(u->tx_fds);
  free(u->tx_routes);
  udp_train_wipe(&u->train);
  free(u);
}

int udp_bind(udp *u, const copal_addr *local, bool reuse_port)
{
  const int fd = udp_socket_open(local, reuse_port ? UDP_NEXT : UDP_EXCLUSIVE);
  if (fd < 0)
    return fd;
  const int index = udp_adopt(u, fd);
  if (index < 0)
    close(fd);
  return index;
}

/* The first socket bound to the same address: sockets of a SO_REUSEPORT group. */
static int first_fd_of(const udp *u, const copal_addr *local, int fd)
{
  for (int i = 0; i < u->count; i++)
    if (memcmp(&u->socks[i].local, local, sizeof *local) == 0)
      return u->socks[i].fd;
  return fd;
}

int udp_adopt(udp *u, int fd)
{
  udp_sock s = {.fd = fd};
  uint32_t rcvbuf = 0;
  int rc = udp_socket_setup(fd, u->cfg.rcvbuf, u->cfg.sndbuf, &rcvbuf);
  if (rc == 0)
    rc = udp_socket_local(fd, &s.local);
  if (rc < 0)
    return rc;
  udp_segment_allow(fd);
  s.is_ipv4 = udp_addr_is_ipv4(&s.local);
  s.tx_fd = first_fd_of(u, &s.local, fd);
  s.drops = udp_socket_drops(fd);
  s.self = udp_locals_intern(&u->locals, &(udp_local){.socket = (uint16_t)u->count});
  s.asked = s.self;
  if (s.self == 0)
    return -ENOSPC;
  udp_sock *socks = realloc(u->socks, ((size_t)u->count + 1) * sizeof *socks);
  if (socks == NULL)
    return -ENOMEM;
  u->socks = socks;
  if (u->count == 0 || rcvbuf < u->stats.rcvbuf)
    u->stats.rcvbuf = rcvbuf;
  u->socks[u->count] = s;
  return u->count++;
}

int udp_count(const udp *u)
{
  return u->count;
}

int udp_fd(const udp *u, int index)
{
  return u->socks[index].fd;
}

copal_addr udp_local_addr(const udp *u, int index)
{
  return u->socks[index].local;
}

bool udp_side_of(const udp *u, uint16_t local, udp_side *side)
{
  const udp_local *l = udp_locals_at(&u->locals, local);
  if (l == NULL)
    return false;
  *side = (udp_side){.socket = l->socket, .ifindex = l->ifindex};
  memcpy(side->ip, l->ip, sizeof side->ip);
  return true;
}

uint16_t udp_local_for(udp *u, const udp_side *side)
{
  if (side->socket < 0 || side->socket >= u->count)
    return 0;
  udp_local local = {.socket = (uint16_t)side->socket, .ifindex = side->ifindex};
  memcpy(local.ip, side->ip, sizeof local.ip);
  return udp_locals_intern(&u->locals, &local);
}

static int join_v4(int fd, const copal_addr *group, uint32_t ifindex)
{
  struct ip_mreqn req = {.imr_ifindex = (int)ifindex};
  memcpy(&req.imr_multiaddr, group->ip + 12, 4);
  return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &req, sizeof req) == 0 ? 0 : -errno;
}

static int join_v6(int fd, const copal_addr *group, uint32_t ifindex)
{
  struct ipv6_mreq req = {.ipv6mr_interface = ifindex};
  memcpy(&req.ipv6mr_multiaddr, group->ip, 16);
  return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &req, sizeof req) == 0 ? 0 : -errno;
}

int udp_join(udp *u, int index, const copal_addr *group, uint32_t ifindex)
{
  if (!udp_addr_is_multicast(group) || udp_addr_is_ipv4(group) != u->socks[index].is_ipv4)
    return -EINVAL;
  const int fd = u->socks[index].fd;
  return udp_addr_is_ipv4(group) ? join_v4(fd, group, ifindex) : join_v6(fd, group, ifindex);
}

int udp_set_multicast_hops(udp *u, uint8_t hops)
{
  const int value = hops;
  for (int i = 0; i < u->count; i++) {
    const udp_sock *s = &u->socks[i];
    const int level = s->is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6;
    const int name = s->is_ipv4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS;
    if (setsockopt(s->fd, level, name, &value, sizeof value) != 0)
      return -errno;
  }
  return 0;
}

uint16_t udp_via(udp *u, bool is_ipv4, uint32_t ifindex)
{
  const int index = first_of_family(u, is_ipv4);
  if (index < 0)
    return 0;
  const udp_local local = {.ifindex = ifindex, .socket = (uint16_t)index};
  return udp_locals_intern(&u->locals, &local);
}

void udp_take_groups(udp *u, int index, const udp_crowd *crowd)
{
  udp_sock *s = &u->socks[index];
  s->is_told = true;
  s->takes_crowd = crowd != NULL;
  if (crowd != NULL)
    s->crowd = *crowd;
}

/* Asked for rather than told with each datagram: that is a twentieth of what receiving one takes.
 */
static void count_drops(udp *u, udp_sock *s)
{
  const uint32_t drops = udp_socket_drops(s->fd);
  u->stats.kernel_drops += (uint32_t)(drops - s->drops);
  s->drops = drops;
}

void udp_count_drops(udp *u)
{
  for (int i = 0; i < u->count; i++)
    count_drops(u, &u->socks[i]);
}

const udp_stats *udp_stats_now(const udp *u)
{
  return &u->stats;
}
