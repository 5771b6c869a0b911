/* SPDX-License-Identifier: Apache-2.0 */
/* One endpoint on UDP sockets, driven until an exchange ends. */
#include "cmd/copal/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "cmd/copal/link.h"
#include "transport/udp.h"

enum {
  SOCKETS_MAX = 2,
  QUOTE_MAX = 64,       /* of a datagram, enough for header and token */
  DATAGRAM_MAX = 65507, /* a server may answer with what IP can carry */
  BATCH = 64,
  BUFFER = 256 * 1024,
  TOKEN_CAP_DEFAULT = 8,
  EXCHANGES = 128, /* a group is asked on each interface */
  CHUNK = 128,
  CHUNKS = 64,          /* for small requests */
  CHUNKS_OF_BLOCK = 10, /* 1152 bytes */
  PEERS = 512,          /* and this many members may answer without being forgotten */
  DEDUPS = 1024,
};

/* Stands between endpoint and sockets, to see what leaves. */
typedef struct relay {
  copal_sink sink;
  session *owner;
  copal_mspan room;
} relay;

struct session {
  relay relay;
  link_user user;
  link_layer *link; /* NULL: without credentials there is no DTLS */
  copal_entropy entropy;
  udp *udp;
  copal_ep *ep;
  copal_qblock qblock;
  void *mem;
  trace *trace;
  uint64_t send_errors; /* seen so far */
  size_t requests;      /* sent, with retransmissions */
  copal_path last_path; /* of the last datagram sent */
  uint8_t quote[QUOTE_MAX];
  size_t quote_len;
  int errnum;
};

/* The exchange that is waited for. */
typedef struct waiter {
  copal_client client;
  reply *reply;
  session_wait wait;
  bool is_done;
} waiter;

static volatile sig_atomic_t interrupted;
static char why_insecure[DTLS_OBJECTION_SIZE] =
    "no session"; /* of the last handshake that failed */

static void on_interrupt(int signal)
{
  (void)signal;
  interrupted = 1;
}

static void on_child(int signal)
{
  (void)signal; /* it is enough that it ends ppoll() */
}

static sigset_t caught_signals(void)
{
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGCHLD);
  return set;
}

/* The signals stay blocked outside of ppoll(), so that none is missed between a look at
 * `interrupted` and the wait. */
void session_catch_interrupt(void)
{
  const struct sigaction end = {.sa_handler = on_interrupt};
  const struct sigaction child = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP};
  const sigset_t set = caught_signals();
  sigprocmask(SIG_BLOCK, &set, NULL);
  sigaction(SIGINT, &end, NULL);
  sigaction(SIGTERM, &end, NULL);
  sigaction(SIGCHLD, &child, NULL);
}

void session_release_signals(void)
{
  const struct sigaction usual = {.sa_handler = SIG_DFL};
  const sigset_t set = caught_signals();
  sigaction(SIGINT, &usual, NULL);
  sigaction(SIGTERM, &usual, NULL);
  sigaction(SIGCHLD, &usual, NULL);
  sigaction(SIGPIPE, &usual, NULL);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
}

bool session_is_interrupted(void)
{
  return interrupted != 0;
}

void session_forget_interrupt(void)
{
  interrupted = 0;
}

copal_time session_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (copal_time)t.tv_sec * 1000000 + (copal_time)t.tv_nsec / 1000;
}

static void show(session *s, bool is_sent, const copal_path *path, copal_span bytes)
{
  if (!s->trace)
    return;
  buf out = {0};
  trace_datagram(s->trace, is_sent, path, bytes, session_now(), &out);
  ssize_t n = write(STDERR_FILENO, out.ptr, out.len); /* a lost trace line is no failure */
  (void)n;
  buf_wipe(&out);
}

static copal_sink *sink_of(session *s)
{
  return s->link ? link_sink(s->link) : udp_sink(s->udp);
}

static copal_mspan relay_reserve(copal_sink *sink, const copal_path *path, size_t cap)
{
  relay *r = (relay *)sink;
  copal_sink *under = sink_of(r->owner);
  if ((path->flags & COPAL_PATH_SECURE) != 0 && !r->owner->link)
    return (copal_mspan){NULL, 0}; /* never in clear */
  r->room = under->reserve(under, path, cap);
  return r->room;
}

static void relay_commit(copal_sink *sink, const copal_path *path, size_t len)
{
  relay *r = (relay *)sink;
  session *s = r->owner;
  copal_sink *under = sink_of(s);
  show(s, true, path, copal_span_of(r->room.ptr, len));
  s->last_path = *path;
  s->quote_len = len < QUOTE_MAX ? len : QUOTE_MAX;
  memcpy(s->quote, r->room.ptr, s->quote_len);
  s->requests += len >= COPAL_HEADER_SIZE && copal_code_is_request(r->room.ptr[1]);
  under->commit(under, path, len);
}

static void fill_random(copal_entropy *e, copal_mspan out)
{
  (void)e;
  while (out.len > 0) {
    const ssize_t n = getrandom(out.ptr, out.len, 0);
    if (n < 0 && errno != EINTR)
      abort(); /* without randomness tokens could be guessed */
    if (n > 0)
      out = (copal_mspan){out.ptr + n, out.len - (size_t)n};
  }
}

/* One socket for each family that this machine has. */
static int bind_families(session *s)
{
  static const char *const any[SOCKETS_MAX] = {"::", "0.0.0.0"};
  int result = -EAFNOSUPPORT;
  for (int i = 0; i < SOCKETS_MAX; i++) {
    copal_addr local;
    if (udp_addr_parse(any[i], 0, &local) != COPAL_OK)
      return -EINVAL;
    const int index = udp_bind(s->udp, &local, false);
    if (index < 0 && udp_count(s->udp) == 0)
      result = index;
  }
  return udp_count(s->udp) > 0 ? 0 : result;
}

static int make_endpoint(session *s, const session_cfg *cfg)
{
  copal_ep_cfg ep = COPAL_EP_CFG_INIT;
  ep.params = cfg->params;
  ep.sink = &s->relay.sink;
  ep.entropy = &s->entropy;
  ep.token_cap = cfg->token_cap > TOKEN_CAP_DEFAULT ? cfg->token_cap : TOKEN_CAP_DEFAULT;
  ep.message_max = (uint16_t)(1152 + (ep.token_cap - TOKEN_CAP_DEFAULT));
  s->qblock = copal_qblock_default();
  ep.qblock = cfg->has_qblock ? &s->qblock : NULL;
  ep.exchange_count = EXCHANGES;
  ep.peer_count = PEERS;
  ep.dedup_count = DEDUPS;
  ep.chunk_size = CHUNK;
  ep.chunk_count = CHUNKS + CHUNKS_OF_BLOCK * (uint32_t)cfg->params.nstart;
  const size_t size = copal_ep_size(&ep);
  if (size == 0)
    return -EINVAL;
  s->mem = mem_resize(NULL, size);
  return copal_ep_init((copal_mspan){s->mem, size}, &ep, &s->ep, session_now()) == COPAL_OK
             ? 0
             : -EINVAL;
}

static void take_message(session *s, const copal_path *path, copal_mspan bytes)
{
  show(s, false, path, copal_span_of(bytes.ptr, bytes.len));
  copal_ep_input(s->ep, path, bytes, session_now());
}

static session *session_of(link_user *u)
{
  return (session *)((uint8_t *)u - offsetof(session, user));
}

static void on_secure_message(link_user *u, const copal_path *path, copal_mspan bytes)
{
  take_message(session_of(u), path, bytes);
}

/* To the endpoint it is as if the network had refused the message. */
static void on_lost(link_user *u, const copal_path *path, const char *text, copal_span lost)
{
  session *s = session_of(u);
  if (text) {
    s->errnum = EPROTO;
    snprintf(why_insecure, sizeof why_insecure, "%s", text);
  }
  copal_ep_unreachable(s->ep, path, lost, session_now());
}

static int open_link(session *s, const session_cfg *cfg)
{
  const link_cfg below = {.credentials = cfg->credentials,
                          .server_name = cfg->server_name,
                          .udp = s->udp,
                          .user = &s->user};
  return cfg->credentials ? link_open(&below, &s->link) : 0;
}

int session_open(const session_cfg *cfg, session **out)
{
  const struct udp_cfg sockets = {
      .batch = BATCH, .datagram_max = DATAGRAM_MAX, .rcvbuf = BUFFER, .sndbuf = BUFFER};
  session *s = mem_resize(NULL, sizeof *s);
  *s = (session){.relay = {.sink = {relay_reserve, relay_commit}, .owner = s},
                 .user = {on_secure_message, on_lost},
                 .entropy = {fill_random},
                 .trace = cfg->trace};
  int result = udp_open(&sockets, &s->udp);
  if (result == 0)
    result = bind_families(s);
  if (result == 0 && cfg->hops > 0)
    result = udp_set_multicast_hops(s->udp, cfg->hops);
  if (result == 0)
    result = open_link(s, cfg);
  if (result == 0)
    result = make_endpoint(s, cfg);
  if (result != 0) {
    session_close(s);
    return result;
  }
  *out = s;
  return 0;
}

void session_close(session *s)
{
  if (!s)
    return;
  copal_ep_wipe(s->ep, session_now());
  link_close(s->link);
  if (s->udp)
    udp_flush(s->udp);
  udp_close(s->udp);
  free(s->mem);
  free(s);
}

void reply_wipe(reply *r)
{
  free(r->mem);
  *r = (reply){0};
}

static copal_span keep(uint8_t **at, copal_span bytes)
{
  const copal_span kept = copal_span_of(*at, bytes.len);
  if (bytes.len > 0)
    memcpy(*at, bytes.ptr, bytes.len);
  *at += bytes.len;
  return kept;
}

void reply_keep(reply *r, const copal_msg *m)
{
  free(r->mem);
  r->mem = mem_resize(NULL, m->token.len + m->options.len + m->payload.len);
  uint8_t *at = r->mem;
  r->msg = *m;
  r->msg.token = keep(&at, m->token);
  r->msg.options = keep(&at, m->options);
  r->msg.payload = keep(&at, m->payload);
}

/* True for events that end the wait. */
static bool is_awaited(const waiter *w, copal_event_kind kind)
{
  switch (kind) {
  case COPAL_EVENT_RESPONSE:
  case COPAL_EVENT_TIMEOUT:
  case COPAL_EVENT_RESET:
  case COPAL_EVENT_UNREACHABLE:
  case COPAL_EVENT_CANCELED: return true;
  case COPAL_EVENT_ACK: return w->wait != SESSION_WAIT_RESPONSE;
  default: return false; /* news of an exchange that goes on */
  }
}

static void on_event(copal_client *client, copal_ep *ep, const copal_event *event, copal_time now)
{
  waiter *w = (waiter *)client;
  (void)ep, (void)now;
  if (w->is_done)
    return; /* the end of what was canceled */
  w->reply->retransmits = event->retransmits;
  if (!is_awaited(w, event->kind))
    return;
  w->reply->kind = event->kind;
  w->is_done = true;
  if (event->kind == COPAL_EVENT_RESPONSE) {
    w->reply->from = *event->from;
    reply_keep(w->reply, event->msg);
  }
}

/* Sends what is queued. What the kernel refuses at once (no route, a firewall of this host) ends
 * the exchange as an ICMP error would. */
void session_flush(session *s)
{
  udp_flush(s->udp);
  const uint64_t errors = udp_stats_now(s->udp)->tx_errors;
  if (errors == s->send_errors)
    return;
  s->send_errors = errors;
  s->errnum = ENETUNREACH;
  copal_ep_unreachable(s->ep, &s->last_path, copal_span_of(s->quote, s->quote_len), session_now());
}

static void read_errors(session *s, int index)
{
  udp_error e;
  while (udp_recv_error(s->udp, index, &e) > 0) {
    s->errnum = e.errnum;
    if (!s->link || !link_refuse(s->link, &e.path.remote))
      copal_ep_unreachable(s->ep, &e.path, e.quoted, session_now());
  }
}

static void read_datagrams(session *s, int index)
{
  udp_slot *slots;
  const int n = udp_recv(s->udp, index, &slots);
  for (int i = 0; i < n; i++) {
    if (!s->link || !link_take(s->link, &slots[i]))
      take_message(s, &slots[i].path, slots[i].bytes);
  }
}

/* One turn of the loop, not longer than until `limit`. */
void session_turn(session *s, copal_time limit)
{
  struct pollfd fds[SOCKETS_MAX];
  sigset_t mask;
  const int count = udp_count(s->udp);
  const uint64_t errors = s->send_errors;
  session_flush(s);
  const bool is_refused = s->send_errors != errors; /* which may be what the caller waits for */
  for (int i = 0; i < count; i++)
    fds[i] = (struct pollfd){.fd = udp_fd(s->udp, i), .events = POLLIN};
  copal_time deadline = copal_ep_deadline(s->ep);
  if (s->link && link_deadline(s->link) < deadline)
    deadline = link_deadline(s->link);
  const copal_time now = session_now();
  const copal_time end = is_refused ? now : deadline < limit ? deadline : limit;
  const copal_time left = end > now ? end - now : 0;
  const struct timespec timeout = {.tv_sec = (time_t)(left / 1000000),
                                   .tv_nsec = (long)(left % 1000000) * 1000};
  sigprocmask(SIG_SETMASK, NULL, &mask);
  sigdelset(&mask, SIGINT);
  sigdelset(&mask, SIGTERM);
  sigdelset(&mask, SIGCHLD);
  const int ready = ppoll(fds, (nfds_t)count, end == COPAL_NEVER ? NULL : &timeout, &mask);
  for (int i = 0; ready > 0 && i < count; i++) {
    if (fds[i].revents & POLLERR)
      read_errors(s, i);
    if (fds[i].revents & POLLIN)
      read_datagrams(s, i);
  }
  if (s->link)
    link_expire(s->link);
  copal_ep_expire(s->ep, session_now());
  session_flush(s);
}

copal_ep *session_ep(session *s)
{
  return s->ep;
}

const char *session_why(void)
{
  return why_insecure;
}

size_t session_requests(const session *s)
{
  return s->requests;
}

int session_errnum(const session *s)
{
  return s->errnum;
}

uint16_t session_via(session *s, bool is_ipv4, uint32_t ifindex)
{
  return udp_via(s->udp, is_ipv4, ifindex);
}

/* The endpoint counts a timeout from the first transmission; `limit` holds even for a request that
 * it keeps back (NSTART, PROBING_RATE: RFC 7252 section 4.7). */
static void wait_for(session *s, waiter *w, copal_xref exchange, copal_time start, copal_time limit)
{
  while (!w->is_done && !interrupted && w->wait != SESSION_WAIT_NOTHING) {
    session_turn(s, limit);
    if (!w->is_done && session_now() >= limit) {
      w->is_done = true;
      w->reply->kind = COPAL_EVENT_TIMEOUT;
    }
  }
  w->reply->at = session_now();
  w->reply->rtt = (copal_dur)(w->reply->at - start);
  w->reply->errnum = w->reply->kind == COPAL_EVENT_UNREACHABLE ? s->errnum : 0;
  session_flush(s);
  if (!w->is_done) {
    w->is_done = true;
    w->reply->kind = COPAL_EVENT_CANCELED;
  }
  copal_ep_cancel(s->ep, exchange, session_now()); /* no effect on one that has ended */
}

int session_request(session *s, copal_request *request, session_wait wait, reply *r)
{
  waiter w = {.client = {on_event}, .reply = r, .wait = wait};
  copal_xref exchange = 0;
  *r = (reply){0};
  request->client = &w.client;
  const copal_time start = session_now();
  const int e = copal_ep_request(s->ep, request, &exchange, start);
  if (e == COPAL_OK)
    wait_for(s, &w, exchange, start, request->timeout > 0 ? start + request->timeout : COPAL_NEVER);
  return e;
}

int session_ping(session *s, const copal_path *path, reply *r)
{
  waiter w = {.client = {on_event}, .reply = r, .wait = SESSION_WAIT_ACK};
  copal_xref exchange = 0;
  *r = (reply){0};
  const copal_time start = session_now();
  const int e = copal_ep_ping(s->ep, path, &w.client, &exchange, start);
  if (e == COPAL_OK)
    wait_for(s, &w, exchange, start, COPAL_NEVER);
  return e;
}

void session_sleep(copal_dur duration)
{
  sigset_t mask;
  const struct timespec timeout = {(time_t)(duration / COPAL_SECOND),
                                   (long)(duration % COPAL_SECOND) * 1000};
  sigemptyset(&mask);
  if (!interrupted)
    (void)ppoll(NULL, 0, &timeout, &mask);
}

void session_pause(session *s, copal_dur duration)
{
  const copal_time end = session_now() + duration;
  while (session_now() < end && !interrupted)
    session_turn(s, end);
}
