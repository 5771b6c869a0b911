/* SPDX-License-Identifier: Apache-2.0 */
/* The client role of an endpoint. */
#include "core/proto/client.h"

#include <assert.h>

#include "core/proto/dedup.h"
#include "core/proto/exchange.h"
#include "core/proto/mid.h"
#include "core/proto/observation.h"
#include "core/proto/peer.h"
#include "core/proto/send.h"
#include "core/wire/option_check.h"

/* Random tokens hardly ever meet; that one is drawn so often shows entropy that repeats. */
enum { DRAWS_MAX = 8 };

static bool is_group(const exchange *x)
{
  return (x->path.flags & COPAL_PATH_GROUP) != 0;
}

static void tell(copal_ep *ep, copal_client *client, const copal_event *event, copal_time now)
{
  if (client)
    client->on_event(client, ep, event, now);
}

/* Delivers an event after which the exchange goes on. */
static void tell_progress(copal_ep *ep, exchange *x, copal_event_kind kind, copal_time now)
{
  const copal_event event = {
      .kind = kind, .exchange = exchange_ref(ep, x), .retransmits = x->retransmits};
  tell(ep, x->client, &event, now);
}

/* Stops counting the exchange against NSTART. */
static void uncount(exchange *x)
{
  if (x->is_counted)
    x->peer->outstanding--;
  x->is_counted = false;
}

static void count_end(copal_ep *ep, copal_event_kind kind)
{
  switch (kind) {
  case COPAL_EVENT_TIMEOUT: ep->stats.timeouts++; break;
  case COPAL_EVENT_RESET: ep->stats.resets++; break;
  case COPAL_EVENT_UNREACHABLE: ep->stats.unreachables++; break;
  case COPAL_EVENT_RESPONSE:
  case COPAL_EVENT_ACK:
  case COPAL_EVENT_RESEND:
  case COPAL_EVENT_STALE:
  case COPAL_EVENT_CANCELED: break;
  }
}

/* Gives the exchange back; its peer stays until it is settled. */
static void give(copal_ep *ep, exchange *x)
{
  uncount(x);
  if (x->peer)
    x->peer->exchange_count--;
  exchange_give(ep, x);
}

/* Gives the exchange back and lets the next in line go; `event` is delivered last, because its
 * receiver may start a new exchange. */
static void end_with(copal_ep *ep, exchange *x, copal_event *event, copal_time now)
{
  copal_client *client = x->client;
  peer *p = x->peer;

  event->exchange = exchange_ref(ep, x);
  event->retransmits = x->retransmits;
  count_end(ep, event->kind);
  give(ep, x);
  if (p)
    client_pump(ep, p, now);
  tell(ep, client, event, now);
}

void client_end(copal_ep *ep, exchange *x, copal_event_kind kind, copal_time now)
{
  copal_event event = {.kind = kind};
  end_with(ep, x, &event, now);
}

void client_drop(copal_ep *ep, copal_xref ref, copal_time now)
{
  exchange *x = exchange_at(ep, ref);
  assert(x && x->is_client);
  peer *p = x->peer;
  give(ep, x);
  if (p)
    client_pump(ep, p, now);
}

/* Waits for the response from here on; only a registration may have to be sent again. */
static void await_response(copal_ep *ep, exchange *x)
{
  x->state = EXCHANGE_WAIT_RESPONSE;
  copal_list_remove(&x->queue); /* news have come before a renewal had its turn */
  copal_list_init(&x->queue);
  if (!x->is_observe)
    copal_chain_give(&x->kept, &ep->chunks);
  copal_timerq_arm(&ep->timers, &x->timer, x->give_up);
}

/* The message of `len` bytes has left for the first time. */
static void on_sent(copal_ep *ep, exchange *x, size_t len, copal_time now)
{
  x->give_up = now + x->patience;
  if (x->peer) {
    x->is_counted = true;
    x->peer->outstanding++;
  }
  if (x->type == COPAL_CON) {
    exchange_start_con(ep, x, now);
    return;
  }
  if (x->peer)
    peer_probed(ep, x->peer, len, now);
  await_response(ep, x);
}

void client_pump(copal_ep *ep, peer *p, copal_time now)
{
  while (!copal_list_is_empty(&p->waiting) && peer_is_free(ep, p)) {
    exchange *x = COPAL_AROUND(p->waiting.next, exchange, queue);
    copal_list_remove(&x->queue);
    copal_list_init(&x->queue);
    send_kept(ep, &x->path, &x->kept);
    on_sent(ep, x, x->kept.len, now);
  }
  peer_settle(ep, p);
}

/* Sends the datagram in `w` now, or queues it behind NSTART and PROBING_RATE. */
static int launch(copal_ep *ep, exchange *x, const copal_wr *w, copal_time now)
{
  const bool may_leave =
      !x->peer || (copal_list_is_empty(&x->peer->waiting) && peer_is_free(ep, x->peer));

  if (!may_leave || x->type == COPAL_CON || x->is_observe) {
    const int err = exchange_keep(ep, x, copal_wr_done(w), now);
    if (err)
      return err;
  }
  if (may_leave) {
    send_commit(ep, &x->path, w);
    on_sent(ep, x, w->len, now);
  } else {
    x->state = EXCHANGE_QUEUED;
    copal_list_append(&x->peer->waiting, &x->queue);
  }
  return COPAL_OK;
}

/* Writes the request into `w`. RFC 7252 sections 3 and 5.3.1. */
static int write_request(const copal_request *rq, const exchange *x, copal_wr *w)
{
  static const copal_opt no_options;
  const copal_msg m = {.type = rq->type,
                       .code = rq->code,
                       .mid = x->mid,
                       .token = exchange_token(x),
                       .payload = rq->payload};
  if (w->err)
    return w->err;
  return copal_msg_write(w, &m, rq->opts ? rq->opts : &no_options, rq->opts ? rq->opt_count : 0);
}

/* Draws a token into `room`, if it can be one that no other request along the path has. */
static copal_span draw_token(copal_ep *ep, const copal_path *path, copal_mspan room)
{
  const copal_span token = copal_span_of(room.ptr, room.len);
  int draws = 0;

  do
    ep->cfg.entropy->fill(ep->cfg.entropy, room);
  while (exchange_find_token(ep, path, token) && ++draws < DRAWS_MAX);
  return token;
}

static int choose_token(copal_ep *ep, const copal_request *rq, exchange *x)
{
  uint8_t drawn[COPAL_TOKEN_MAX];
  copal_span token = rq->token;

  if (token.len == 0 && !rq->has_token)
    token = draw_token(ep, rq->path, (copal_mspan){drawn, ep->cfg.token_len});
  if (token.len > ep->cfg.token_cap || exchange_find_token(ep, rq->path, token))
    return COPAL_EINVAL;
  exchange_set_token(x, token);
  return COPAL_OK;
}

static bool has_option(const copal_request *rq, uint16_t number)
{
  for (size_t i = 0; rq->opts && i < rq->opt_count; i++) {
    if (rq->opts[i].number == number)
      return true;
  }
  return false;
}

/* What must not be sent to a group: a confirmable message, and a GET with an ETag, because the
 * representations of two members may well have the same one. RFC 7252 sections 8.1 and 8.2.1. */
static bool suits_group(const copal_request *rq)
{
  return rq->type == COPAL_NON && (rq->code != COPAL_CODE_GET || !has_option(rq, COPAL_OPT_ETAG));
}

static int check_request(const copal_request *rq)
{
  if (rq->struct_size != sizeof *rq || !rq->path || !copal_code_is_request(rq->code))
    return COPAL_EINVAL;
  if (rq->type != COPAL_CON && rq->type != COPAL_NON)
    return COPAL_EINVAL;
  if ((rq->path->flags & COPAL_PATH_GROUP) && !suits_group(rq))
    return COPAL_EINVAL;
  return COPAL_OK;
}

/* Takes an exchange for a client along `path`, with its peer (none for groups) and Message ID. */
static exchange *open_exchange(copal_ep *ep, const copal_path *path, copal_client *client,
                               copal_time now)
{
  const uint32_t path_hash = ep_path_hash(ep, path);
  exchange *x = exchange_take(ep, path);
  if (!x)
    return NULL;
  x->is_client = true;
  x->client = client;
  x->state = EXCHANGE_QUEUED;
  if (!is_group(x)) {
    x->peer = dedup_take_peer(ep, path, path_hash, now);
    if (!x->peer) {
      ep->stats.exchanges_refused++;
      exchange_give(ep, x);
      return NULL;
    }
    x->peer->exchange_count++;
  }
  exchange_link_mid(ep, x, exchange_draw_mid(ep, x, path_hash, now));
  return x;
}

static void close_exchange(copal_ep *ep, exchange *x)
{
  peer *p = x->peer;
  give(ep, x);
  if (p)
    peer_settle(ep, p);
}

static copal_dur patience_for(const copal_ep *ep, const copal_request *rq)
{
  if (rq->timeout)
    return rq->timeout;
  return rq->type == COPAL_CON ? ep->exchange_lifetime : ep->non_lifetime;
}

int copal_ep_request(copal_ep *ep, const copal_request *rq, copal_xref *ref, copal_time now)
{
  int err = check_request(rq);
  if (err)
    return err;
  exchange *x = open_exchange(ep, rq->path, rq->client, now);
  if (!x)
    return COPAL_ENOSLOT;

  x->type = (uint8_t)rq->type;
  x->wants_many = rq->wants_many;
  x->is_observe = observation_is_asked(rq);
  x->patience = patience_for(ep, rq);
  err = choose_token(ep, rq, x);
  if (err)
    goto fail;
  exchange_link_token(ep, x);

  copal_wr w = send_begin(ep, rq->path);
  err = write_request(rq, x, &w);
  if (!err)
    err = launch(ep, x, &w, now);
  if (err)
    goto fail;
  if (ref)
    *ref = exchange_ref(ep, x);
  return COPAL_OK;

fail:
  close_exchange(ep, x);
  return err;
}

int copal_ep_ping(copal_ep *ep, const copal_path *path, copal_client *client, copal_xref *ref,
                  copal_time now)
{
  if (path->flags & COPAL_PATH_GROUP)
    return COPAL_EINVAL;
  exchange *x = open_exchange(ep, path, client, now);
  if (!x)
    return COPAL_ENOSLOT;
  x->type = COPAL_CON;
  x->patience = ep->exchange_lifetime;

  copal_wr w = send_begin(ep, path);
  int err = w.err ? w.err : copal_msg_write_empty(&w, COPAL_CON, x->mid);
  if (!err)
    err = launch(ep, x, &w, now);
  if (err) {
    close_exchange(ep, x);
    return err;
  }
  if (ref)
    *ref = exchange_ref(ep, x);
  return COPAL_OK;
}

int copal_ep_cancel(copal_ep *ep, copal_xref ref, copal_time now)
{
  exchange *x = exchange_at(ep, ref);
  if (!x || !x->is_client)
    return COPAL_ENOTFOUND;
  client_end(ep, x, COPAL_EVENT_CANCELED, now);
  return COPAL_OK;
}

void client_on_ack(copal_ep *ep, exchange *x, copal_time now)
{
  peer *p = x->peer;

  if (x->state != EXCHANGE_WAIT_ACK)
    return;
  peer_responded(ep, p);
  if (!x->has_token) { /* a ping is over, whatever came back */
    client_end(ep, x, COPAL_EVENT_RESET, now);
    return;
  }
  uncount(x);
  await_response(ep, x);
  client_pump(ep, p, now);
  tell_progress(ep, x, COPAL_EVENT_ACK, now);
}

void client_on_reset(copal_ep *ep, exchange *x, copal_time now)
{
  if (x->state != EXCHANGE_WAIT_ACK && x->state != EXCHANGE_WAIT_RESPONSE)
    return;
  if (x->peer)
    peer_responded(ep, x->peer);
  client_end(ep, x, COPAL_EVENT_RESET, now);
}

/* Repeats what a response got when it came first. RFC 7252 section 4.5. */
static void on_duplicate(copal_ep *ep, const copal_path *path, const copal_msg *msg)
{
  if (msg->type == COPAL_CON) {
    ep->stats.dup_reacked++;
    send_empty(ep, path, COPAL_ACK, msg->mid);
  } else {
    ep->stats.dup_ignored++;
  }
}

/* Acknowledges a response that comes as a message of its own, and remembers it. */
static void acknowledge(copal_ep *ep, const copal_path *path, const copal_msg *msg, copal_time now)
{
  const bool is_con = msg->type == COPAL_CON;
  const copal_dur lifetime = is_con ? ep->exchange_lifetime : ep->non_lifetime;
  dedup *d = dedup_remember(ep, path, msg->mid, lifetime, now);
  if (d)
    d->state = is_con ? DEDUP_ACKED : DEDUP_SILENT;
  if (is_con)
    send_empty(ep, path, COPAL_ACK, msg->mid);
}

/* Delivers one of several responses; the exchange stays open. */
static void deliver_one(copal_ep *ep, exchange *x, copal_event *event, copal_time now)
{
  uncount(x);
  await_response(ep, x);
  if (x->peer)
    client_pump(ep, x->peer, now);
  event->exchange = exchange_ref(ep, x);
  event->retransmits = x->retransmits;
  tell(ep, x->client, event, now);
}

/* The exchange that a response belongs to, or NULL. RFC 7252 section 5.3.2. */
static exchange *match(copal_ep *ep, const copal_path *path, const copal_msg *msg)
{
  exchange *x = exchange_find_token(ep, path, msg->token);
  if (!x || (x->state == EXCHANGE_QUEUED && !x->is_renewing))
    return NULL;
  if (msg->type == COPAL_ACK && (x->type != COPAL_CON || x->mid != msg->mid))
    return NULL;
  return x;
}

int client_on_response(copal_ep *ep, const copal_path *path, const copal_msg *msg, copal_time now)
{
  const bool is_ack = msg->type == COPAL_ACK;
  copal_opt_sight ignored;

  if (!is_ack && dedup_find(ep, path, msg->mid, now)) {
    on_duplicate(ep, path, msg);
    return COPAL_OK;
  }
  exchange *x = match(ep, path, msg);
  if (!x)
    return is_ack ? COPAL_ESTRAY : COPAL_EUNMATCHED;
  if (copal_opt_check(msg->options, ep->critical_responses, &ignored))
    return COPAL_ERESPOPTION;

  ep->stats.rx_responses++;
  if (!is_ack)
    acknowledge(ep, path, msg, now);
  if (x->peer)
    peer_responded(ep, x->peer);
  copal_event event = {.kind = COPAL_EVENT_RESPONSE, .msg = msg, .from = path};
  event.is_notification = x->is_observe && observation_is_notification(msg);
  if (event.is_notification && !observation_accept(ep, x, msg, now)) {
    ep->stats.notify_reordered++;
    return COPAL_OK;
  }
  if (x->wants_many || event.is_notification)
    deliver_one(ep, x, &event, now);
  else
    end_with(ep, x, &event, now);
  return COPAL_OK;
}

/* Sends the kept request once more as a new one, in its turn. */
static void relaunch(copal_ep *ep, exchange *x, copal_time now)
{
  if (!x->peer) {
    send_kept(ep, &x->path, &x->kept);
    on_sent(ep, x, x->kept.len, now);
    return;
  }
  x->state = EXCHANGE_QUEUED;
  copal_list_append(&x->peer->waiting, &x->queue);
  client_pump(ep, x->peer, now);
}

void client_on_timer(copal_ep *ep, exchange *x, copal_time now)
{
  assert(x->state == EXCHANGE_WAIT_ACK || x->state == EXCHANGE_WAIT_RESPONSE);
  if (x->state == EXCHANGE_WAIT_ACK && now < x->give_up && exchange_resend(ep, x, now)) {
    tell_progress(ep, x, COPAL_EVENT_RESEND, now);
  } else if (observation_renew(ep, x, now)) {
    relaunch(ep, x, now);
    tell_progress(ep, x, COPAL_EVENT_STALE, now);
  } else {
    client_end(ep, x, COPAL_EVENT_TIMEOUT, now);
  }
}
