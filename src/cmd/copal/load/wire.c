/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of a runner, and their DTLS sessions. */
#include "cmd/copal/load/wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cmd/copal/load/shape.h"
#include "cmd/copal/session.h"
#include "copal/error.h"
#include "transport/dtls/dtls.h"

enum {
  OTHER_FILES = 64,
  BUFFER = 256 * 1024,
  EVENTS = 256,
  RECEIVES_MAX = 16, /* of one socket in a turn */
  DATAGRAM_MAX = 65536,
  HANDSHAKES_MAX = 32, /* at a time; servers limit those of a prefix */
  MTU = 1200,
  SEALED_MAX = SHAPE_DATAGRAM_MAX + 64, /* with header, CID and tag of a record */
  FAILURE_SIZE = 128,
};

#define LOOK_EVERY  (COPAL_SECOND / 20)
#define RETRY_AFTER COPAL_SECOND /* when a handshake has failed */
#define SILENCE_MAX (10 * COPAL_SECOND)

/* A client's socket. */
typedef struct wire {
  int fd;
  uint32_t session;    /* 0: none */
  bool is_open;        /* the session's handshake is over */
  copal_time retry_at; /* not ready before */
  copal_time heard_at; /* of a session: when it brought something last */
} wire;

struct wires {
  copal_sink sink; /* below DTLS; first */
  dtls_app app;
  const load_plan *plan;
  wires_user *user;
  account *account;
  dtls *dtls; /* NULL: coap */
  int epoll;
  uint32_t count;
  uint32_t opening; /* handshakes under way */
  bool is_starting; /* the first sessions are being opened */
  wire *all;
  char failure[FAILURE_SIZE];
  uint8_t sealed[SEALED_MAX];
  uint8_t datagram[DATAGRAM_MAX];
};

uint64_t wires_files(uint32_t count)
{
  return (uint64_t)count + OTHER_FILES;
}

int wires_allow(uint32_t count, uint64_t *before)
{
  struct rlimit limit;
  const rlim_t wanted = (rlim_t)wires_files(count);
  *before = 0;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return -errno;
  *before = limit.rlim_max;
  if (limit.rlim_cur >= wanted)
    return 0;
  limit.rlim_cur = wanted;
  if (limit.rlim_max < wanted)
    limit.rlim_max = wanted; /* for those who may */
  return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : -errno;
}

/* ------------------------------------------------------------------------------------------------
 * sockets */

/* What the network says of a datagram that was sent before (ICMP). */
static bool is_refusal(int e)
{
  return e == ECONNREFUSED || e == EHOSTUNREACH || e == ENETUNREACH;
}

static int open_socket(const wires *w, uint32_t index)
{
  const load_plan *plan = w->plan;
  const int size = BUFFER;
  const int fd = socket(plan->server.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -errno;
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
  /* The window of a client may be larger than the default buffer; a smaller one than asked for will
   * do. */
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (connect(fd, &plan->server.any, plan->server_size) == 0 &&
      epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
    return fd;
  const int e = errno;
  close(fd);
  return -e;
}

static void send_datagram(wires *w, const wire *to, const uint8_t *bytes, size_t len)
{
  /* What cannot leave is sent again like what is lost; an error of the one before is in the way. */
  ssize_t n = send(to->fd, bytes, len, MSG_NOSIGNAL);
  if (n < 0 && is_refusal(errno))
    n = send(to->fd, bytes, len, MSG_NOSIGNAL);
  w->account->send_failed += n < 0;
}

/* ------------------------------------------------------------------------------------------------
 * sessions: all have the same server, so that what tells them apart in DTLS's table is the client,
 * which stands where else the peer's address does */

static copal_path path_of(const wires *w, uint32_t index)
{
  copal_path path = {.session = w->all[index].session, .flags = COPAL_PATH_SECURE};
  memcpy(path.remote.ip, &index, sizeof index);
  return path;
}

static uint32_t index_of(const copal_path *path)
{
  uint32_t index;
  memcpy(&index, path->remote.ip, sizeof index);
  return index;
}

static wires *wires_of(dtls_app *a)
{
  return (wires *)((uint8_t *)a - offsetof(wires, app));
}

static copal_mspan reserve(copal_sink *sink, const copal_path *path, size_t cap)
{
  wires *w = (wires *)sink;
  (void)path;
  return (copal_mspan){w->sealed, cap <= sizeof w->sealed ? cap : 0};
}

static void commit(copal_sink *sink, const copal_path *path, size_t len)
{
  wires *w = (wires *)sink;
  send_datagram(w, &w->all[index_of(path)], w->sealed, len);
}

/* Begins a handshake; without a place for it, it is tried again. */
static void begin_session(wires *w, uint32_t index, copal_time now)
{
  wire *i = &w->all[index];
  i->session = 0;
  i->is_open = false;
  const copal_path path = path_of(w, index);
  if (w->opening < HANDSHAKES_MAX &&
      dtls_connect(w->dtls, &path, w->plan->server_name, &i->session, now) == COPAL_OK)
    w->opening++;
  else
    i->session = 0;
}

static void on_open(dtls_app *a, const copal_path *path, copal_time now)
{
  wires *w = wires_of(a);
  wire *i = &w->all[index_of(path)];
  if (i->session != path->session)
    return;
  i->is_open = true;
  i->heard_at = now;
  w->opening--;
  w->account->handshakes++;
}

static void on_message(dtls_app *a, const copal_path *path, copal_mspan bytes, copal_time now)
{
  wires *w = wires_of(a);
  w->all[index_of(path)].heard_at = now;
  w->user->on_message(w->user, index_of(path), copal_span_of(bytes.ptr, bytes.len));
}

static void lose_session(wires *w, uint32_t index)
{
  wire *i = &w->all[index];
  i->session = 0;
  i->is_open = false;
  w->account->sessions_lost++;
}

/* One that was given up, with its port, is no loss. */
static void on_close(dtls_app *a, const copal_path *path, dtls_end why, copal_time now)
{
  wires *w = wires_of(a);
  const uint32_t index = index_of(path);
  wire *i = &w->all[index];
  (void)why, (void)now;
  if (i->session != path->session)
    return;
  lose_session(w, index);
  w->user->on_refused(w->user, index);
}

static void on_failure(dtls_app *a, const dtls_failure *f, copal_time now)
{
  wires *w = wires_of(a);
  wire *i = &w->all[index_of(f->path)];
  w->opening--;
  w->account->handshakes_failed++;
  snprintf(w->failure, sizeof w->failure, "%s", f->text);
  i->session = 0;
  i->retry_at = now + RETRY_AFTER;
}

/* Messages may be given up sooner than handshakes, which take a server more time. */
static copal_dur handshake_timeout(const load_plan *p)
{
  if (p->timeout == 0)
    return 30 * COPAL_SECOND;
  return p->timeout > 10 * COPAL_SECOND ? p->timeout : 10 * COPAL_SECOND;
}

static int open_dtls(wires *w)
{
  const char *why;
  const dtls_cfg cfg = {.is_client = true,
                        .credentials = w->plan->credentials,
                        .sink = &w->sink,
                        .app = &w->app,
                        .session_max = w->count + HANDSHAKES_MAX, /* and given up ones */
                        .handshake_max = HANDSHAKES_MAX,
                        .per_prefix_max = HANDSHAKES_MAX,
                        .has_cid = true,
                        .mtu = MTU,
                        .retransmit = COPAL_SECOND,
                        .timeout = handshake_timeout(w->plan)};
  w->sink = (copal_sink){reserve, commit};
  w->app = (dtls_app){on_message, on_open, on_close, on_failure, NULL, NULL};
  return dtls_open(&cfg, &w->dtls, &why, session_now()) == COPAL_OK ? 0 : -ENOMEM;
}

bool wires_is_interrupted(void)
{
  session_sleep(0);
  return session_is_interrupted();
}

/* Opens a session for each client. */
static int open_sessions(wires *w)
{
  uint32_t next = 0;
  w->is_starting = true;
  while ((next < w->count || w->opening > 0) && !wires_is_interrupted()) {
    const copal_time now = session_now();
    for (; next < w->count && w->opening < HANDSHAKES_MAX; next++)
      begin_session(w, next, now);
    wires_wait(w, now + LOOK_EVERY);
    if (w->failure[0] != '\0')
      return COPAL_ENOTFOUND;
  }
  w->is_starting = false;
  return session_is_interrupted() ? -EINTR : 0;
}

/* ------------------------------------------------------------------------------------------------
 * what is sent and what comes */

bool wires_is_ready(wires *w, uint32_t index)
{
  wire *i = &w->all[index];
  if (i->retry_at == 0 && (w->dtls == NULL || i->is_open))
    return true;
  const copal_time now = session_now();
  if (now < i->retry_at)
    return false;
  i->retry_at = 0;
  if (w->dtls != NULL && i->session == 0)
    begin_session(w, index, now);
  return w->dtls == NULL || i->is_open;
}

void wires_doubt(wires *w, uint32_t index)
{
  const wire *i = &w->all[index];
  if (w->dtls != NULL && i->is_open && session_now() - i->heard_at >= SILENCE_MAX)
    lose_session(w, index);
}

void wires_send(wires *w, uint32_t index, copal_span bytes)
{
  const wire *i = &w->all[index];
  if (w->dtls == NULL) {
    send_datagram(w, i, bytes.ptr, bytes.len);
    return;
  }
  if (!i->is_open)
    return;
  copal_sink *sealing = dtls_sink(w->dtls);
  const copal_path path = path_of(w, index);
  const copal_mspan room = sealing->reserve(sealing, &path, bytes.len);
  if (room.ptr == NULL || room.len < bytes.len)
    return;
  memcpy(room.ptr, bytes.ptr, bytes.len);
  sealing->commit(sealing, &path, bytes.len);
}

void wires_send_empty(wires *w, uint32_t index, copal_type type, uint16_t mid)
{
  uint8_t bytes[COPAL_EMPTY_SIZE];
  copal_wr out = copal_wr_init((copal_mspan){bytes, sizeof bytes});
  /* One that is lost is asked for by another copy of what it answers. */
  if (copal_msg_write_empty(&out, type, mid) == COPAL_OK)
    wires_send(w, index, copal_wr_done(&out));
}

static void take(wires *w, uint32_t index, size_t len)
{
  if (w->dtls == NULL) {
    w->user->on_message(w->user, index, copal_span_of(w->datagram, len));
    return;
  }
  const copal_path path = path_of(w, index);
  const dtls_source from = {&path, 0};
  dtls_input(w->dtls, &from, (copal_mspan){w->datagram, len}, session_now());
}

/* A server that is not there has no session either. */
static void refuse(wires *w, uint32_t index)
{
  wire *i = &w->all[index];
  if (w->is_starting) /* later a server may come back */
    snprintf(w->failure, sizeof w->failure, "%s", strerror(errno));
  i->retry_at = session_now() + WIRE_PAUSE;
  if (i->is_open)
    lose_session(w, index);
  w->user->on_refused(w->user, index);
}

static void receive(wires *w, uint32_t index)
{
  for (int i = 0; i < RECEIVES_MAX; i++) {
    const ssize_t n = recv(w->all[index].fd, w->datagram, sizeof w->datagram, 0);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      refuse(w, index);
    if (n < 0)
      return;
    take(w, index, (size_t)n);
  }
}

void wires_wait(wires *w, copal_time limit)
{
  struct epoll_event events[EVENTS];
  const copal_time now = session_now();
  const copal_time timer = w->dtls != NULL ? dtls_deadline(w->dtls) : COPAL_NEVER;
  const copal_time until = timer < limit ? timer : limit;
  const copal_time left = until > now ? until - now : 0;
  const struct timespec timeout = {(time_t)(left / COPAL_SECOND),
                                   (long)(left % COPAL_SECOND) * 1000};
  const int n = epoll_pwait2(w->epoll, events, EVENTS, &timeout, NULL);
  for (int i = 0; i < n; i++)
    receive(w, events[i].data.u32);
  if (w->dtls != NULL)
    dtls_expire(w->dtls, session_now());
}

/* ------------------------------------------------------------------------------------------------
 * opening and closing */

int wires_renew(wires *w, uint32_t index)
{
  wire *i = &w->all[index];
  const int fd = open_socket(w, index);
  if (fd < 0)
    return fd;
  close(i->fd);
  i->fd = fd;
  w->account->ports_changed++;
  if (w->dtls != NULL)
    begin_session(w, index, session_now());
  return 0;
}

static int init(wires *w)
{
  w->all = calloc(w->count, sizeof *w->all);
  if (w->all == NULL)
    return -ENOMEM;
  for (uint32_t i = 0; i < w->count; i++)
    w->all[i].fd = -1;
  w->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (w->epoll < 0)
    return -errno;
  for (uint32_t i = 0; i < w->count; i++) {
    w->all[i].fd = open_socket(w, i);
    if (w->all[i].fd < 0)
      return w->all[i].fd;
  }
  return w->plan->credentials != NULL ? open_dtls(w) : 0;
}

int wires_open(const load_plan *plan, uint32_t count, wires_user *user, account *a, wires **out)
{
  wires *w = calloc(1, sizeof *w);
  if (w == NULL)
    return -ENOMEM;
  w->plan = plan;
  w->count = count;
  w->user = user;
  w->account = a;
  w->epoll = -1;
  int err = init(w);
  if (err == 0 && w->dtls != NULL)
    err = open_sessions(w);
  if (err < 0 && err != COPAL_ENOTFOUND) {
    wires_close(w);
    return err;
  }
  *out = w;
  return err;
}

void wires_close(wires *w)
{
  if (w == NULL)
    return;
  if (w->dtls != NULL) {
    for (uint32_t i = 0; i < w->count; i++)
      w->all[i].session = 0; /* their end is no loss */
    dtls_close_sessions(w->dtls, session_now());
    dtls_close(w->dtls);
  }
  for (uint32_t i = 0; w->all != NULL && i < w->count; i++)
    if (w->all[i].fd >= 0)
      close(w->all[i].fd);
  if (w->epoll >= 0)
    close(w->epoll);
  free(w->all);
  free(w);
}

const char *wires_failure(const wires *w)
{
  return w->failure[0] != '\0' ? w->failure : NULL;
}
