/* SPDX-License-Identifier: Apache-2.0 */
/* DTLS below the endpoint of the client. RFC 7252 section 9.1. */
#include "cmd/copal/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/session.h"
#include "copal/error.h"
#include "transport/dtls/dtls.h"

enum {
  SERVERS_MAX = 16, /* addresses of a name, at most */
  WAITING_MAX = 16, /* messages */
  MTU = 1200,
  ALERT_HANDSHAKE_FAILURE = 40, /* RFC 5246 section 7.2.2 */
  SILENT_AFTER = 4,             /* confirmable messages without an answer, and */
};

static const copal_dur silent_time = 20 * COPAL_SECOND; /* since anything was heard */

typedef struct waiting {
  copal_path path;
  uint8_t *bytes;
  size_t len;
} waiting;

/* A server. */
typedef struct server {
  copal_path path; /* as the endpoint has it */
  uint32_t session;
  bool is_open;
  unsigned unanswered; /* confirmable messages since something was heard */
  uint16_t asked;      /* Message ID of the last one */
  copal_time heard;
} server;

struct link_layer {
  copal_sink sink; /* first */
  dtls_app app;
  link_cfg cfg;
  dtls *dtls;
  size_t server_count;
  server servers[SERVERS_MAX];
  size_t waiting_count;
  waiting waiting[WAITING_MAX];
  copal_mspan room; /* of a message that may have to wait */
  copal_mspan sent; /* of one that need not: lent by the sink below */
};

static server *find(link_layer *l, const copal_addr *remote)
{
  for (size_t i = 0; i < l->server_count; i++)
    if (memcmp(&l->servers[i].path.remote, remote, sizeof *remote) == 0)
      return &l->servers[i];
  return NULL;
}

static server *find_session(link_layer *l, uint32_t number)
{
  for (size_t i = 0; i < l->server_count; i++)
    if (l->servers[i].session == number)
      return &l->servers[i];
  return NULL;
}

static link_layer *link_of(dtls_app *a)
{
  return (link_layer *)((uint8_t *)a - offsetof(link_layer, app));
}

/* ------------------------------------------------------------------------------------------------
 * what goes out */

static copal_path within(const server *v)
{
  copal_path path = v->path;
  path.session = v->session;
  return path;
}

/* The server of a path, with a handshake begun when there is no session; NULL when there is no room
 * for one more. */
static server *reach(link_layer *l, const copal_path *path)
{
  server *v = find(l, &path->remote);
  if (v != NULL && v->session != 0)
    return v;
  if (v == NULL && l->server_count == SERVERS_MAX)
    return NULL;
  if (v == NULL)
    v = &l->servers[l->server_count++];
  *v = (server){.path = *path};
  if (dtls_connect(l->dtls, path, l->cfg.server_name, &v->session, session_now()) < 0)
    v->session = 0;
  return v->session != 0 ? v : NULL;
}

static bool is_confirmable(copal_span message)
{
  return message.len >= COPAL_HEADER_SIZE && (message.ptr[0] >> 4 & 3) == COPAL_CON;
}

static uint16_t mid_of(copal_span message)
{
  return (uint16_t)(message.ptr[2] << 8 | message.ptr[3]);
}

/* The server may have lost the session, which it cannot say: who has no keys can say nothing. */
static bool is_silent(const server *v)
{
  return v->unanswered >= SILENT_AFTER && session_now() - v->heard >= silent_time;
}

/* True for a message that may begin another session. One that was sent before may not: it would
 * count as another one there. RFC 7252 section 9.1.1. */
static bool is_new(const server *v, copal_span message)
{
  return is_confirmable(message) && mid_of(message) != v->asked;
}

static void note_sent(server *v, copal_span message)
{
  if (!is_confirmable(message))
    return;
  v->asked = mid_of(message);
  v->unanswered++;
}

static copal_mspan reserve(copal_sink *sink, const copal_path *path, size_t cap)
{
  link_layer *l = (link_layer *)sink;
  copal_sink *below = dtls_sink(l->dtls);
  if ((path->flags & COPAL_PATH_SECURE) == 0)
    return below->reserve(below, path, cap);
  const server *v = reach(l, path);
  l->sent = (copal_mspan){NULL, 0};
  if (v == NULL || (!v->is_open && l->waiting_count == WAITING_MAX))
    return l->sent;
  if (v->is_open && !is_silent(v)) {
    const copal_path inside = within(v);
    l->sent = below->reserve(below, &inside, cap);
    return l->sent;
  }
  l->room = (copal_mspan){mem_resize(l->room.ptr, cap), cap};
  return l->room;
}

static void keep_waiting(link_layer *l, const copal_path *path, size_t len)
{
  if (l->waiting_count == WAITING_MAX)
    return;
  l->waiting[l->waiting_count++] = (waiting){*path, l->room.ptr, len};
  l->room = (copal_mspan){NULL, 0};
}

/* Through a session that nobody may have any more. */
static void send_kept(link_layer *l, server *v, size_t len)
{
  copal_sink *below = dtls_sink(l->dtls);
  const copal_path inside = within(v);
  const copal_mspan room = below->reserve(below, &inside, len);
  if (room.ptr == NULL)
    return;
  memcpy(room.ptr, l->room.ptr, len);
  note_sent(v, copal_span_of(l->room.ptr, len));
  below->commit(below, &inside, len);
}

static void commit(copal_sink *sink, const copal_path *path, size_t len)
{
  link_layer *l = (link_layer *)sink;
  copal_sink *below = dtls_sink(l->dtls);
  const bool is_secure = (path->flags & COPAL_PATH_SECURE) != 0;
  server *v = is_secure ? find(l, &path->remote) : NULL;
  if (!is_secure) {
    below->commit(below, path, len);
  } else if (v != NULL && v->is_open && l->sent.ptr != NULL) {
    const copal_path inside = within(v);
    note_sent(v, copal_span_of(l->sent.ptr, len));
    below->commit(below, &inside, len);
  } else if (v != NULL && v->is_open && !is_new(v, copal_span_of(l->room.ptr, len))) {
    send_kept(l, v, len);
  } else if (v != NULL) {
    if (v->is_open)
      v->session = 0; /* forgotten here, too; reach() begins anew */
    if (reach(l, path) != NULL)
      keep_waiting(l, path, len);
  }
}

/* Takes the next message that waits for that server. False when there is none. */
static bool next_waiting(link_layer *l, const copal_addr *remote, waiting *w)
{
  for (size_t i = 0; i < l->waiting_count; i++) {
    if (memcmp(&l->waiting[i].path.remote, remote, sizeof *remote) != 0)
      continue;
    *w = l->waiting[i];
    l->waiting_count--;
    memmove(&l->waiting[i], &l->waiting[i + 1], (l->waiting_count - i) * sizeof *w);
    return true;
  }
  return false;
}

/* ------------------------------------------------------------------------------------------------
 * what happens to sessions */

static void on_open(dtls_app *a, const copal_path *path, copal_time now)
{
  link_layer *l = link_of(a);
  server *v = find_session(l, path->session);
  waiting w;
  if (v == NULL)
    return;
  v->is_open = true;
  v->unanswered = 0;
  v->heard = now;
  while (next_waiting(l, &v->path.remote, &w)) {
    const copal_mspan room = reserve(&l->sink, &w.path, w.len);
    if (room.ptr != NULL) {
      memcpy(room.ptr, w.bytes, w.len);
      commit(&l->sink, &w.path, w.len);
    }
    free(w.bytes);
  }
}

static void on_message(dtls_app *a, const copal_path *path, copal_mspan bytes, copal_time now)
{
  link_layer *l = link_of(a);
  server *v = find_session(l, path->session);
  if (v == NULL)
    return;
  v->unanswered = 0;
  v->heard = now;
  l->cfg.user->on_message(l->cfg.user, &v->path, bytes);
}

/* The next message begins a new session. */
static void on_close(dtls_app *a, const copal_path *path, dtls_end why, copal_time now)
{
  server *v = find_session(link_of(a), path->session);
  (void)why, (void)now;
  if (v != NULL)
    *v = (server){.path = v->path};
}

/* The messages that wait for a server get lost. */
static void lose(link_layer *l, const copal_path *path, const char *text)
{
  waiting w;
  while (next_waiting(l, &path->remote, &w)) {
    l->cfg.user->on_lost(l->cfg.user, path, text, copal_span_of(w.bytes, w.len));
    free(w.bytes);
  }
}

/* A server that wants a certificate and gets none has no other alert for it. RFC 5246 section 7.4.6
 */
static void explain(const dtls_failure *f, char text[DTLS_OBJECTION_SIZE])
{
  const bool is_alert = f->kind == HANDSHAKE_ALERT;
  const bool is_vague = is_alert && f->alert == ALERT_HANDSHAKE_FAILURE;
  snprintf(text, DTLS_OBJECTION_SIZE, "%s%s%s", is_alert ? "the server refuses it: " : "", f->text,
           is_vague ? "; it may want other credentials: --cert and --key, --raw-key, --psk-file"
                    : "");
}

static void on_failure(dtls_app *a, const dtls_failure *f, copal_time now)
{
  link_layer *l = link_of(a);
  server *v = find(l, &f->path->remote);
  const copal_path path = v != NULL ? v->path : *f->path;
  char text[DTLS_OBJECTION_SIZE];
  (void)now;
  if (v != NULL)
    *v = (server){.path = path};
  explain(f, text);
  lose(l, &path, text);
}

/* ------------------------------------------------------------------------------------------------
 * life */

int link_open(const link_cfg *cfg, link_layer **out)
{
  link_layer *l = mem_resize(NULL, sizeof *l);
  const char *why;
  *l = (link_layer){.sink = {reserve, commit},
                    .app = {on_message, on_open, on_close, on_failure, NULL, NULL},
                    .cfg = *cfg};
  const dtls_cfg below = {.is_client = true,
                          .credentials = cfg->credentials,
                          .sink = udp_sink(cfg->udp),
                          .app = &l->app,
                          .session_max = SERVERS_MAX,
                          .handshake_max = SERVERS_MAX,
                          .per_prefix_max = SERVERS_MAX,
                          .has_cid = true,
                          .mtu = MTU,
                          .retransmit = COPAL_SECOND,
                          .timeout = 30 * COPAL_SECOND};
  if (dtls_open(&below, &l->dtls, &why, session_now()) < 0) {
    free(l);
    return -EINVAL;
  }
  *out = l;
  return 0;
}

void link_close(link_layer *l)
{
  if (l == NULL)
    return;
  dtls_close_sessions(l->dtls, session_now());
  dtls_close(l->dtls);
  for (size_t i = 0; i < l->waiting_count; i++)
    free(l->waiting[i].bytes);
  free(l->room.ptr);
  free(l);
}

copal_sink *link_sink(link_layer *l)
{
  return &l->sink;
}

bool link_take(link_layer *l, const udp_slot *slot)
{
  const dtls_source from = {&slot->path, 0};
  if (find(l, &slot->path.remote) == NULL)
    return false;
  dtls_input(l->dtls, &from, slot->bytes, session_now());
  return true;
}

bool link_refuse(link_layer *l, const copal_addr *remote)
{
  const server *v = find(l, remote);
  if (v == NULL || v->is_open)
    return false;
  const copal_path path = v->path;
  lose(l, &path, NULL);
  return true;
}

copal_time link_deadline(const link_layer *l)
{
  return dtls_deadline(l->dtls);
}

void link_expire(link_layer *l)
{
  dtls_expire(l->dtls, session_now());
}
