/* SPDX-License-Identifier: Apache-2.0 */
/* An exchange that yields several replies, taken one by one. RFC 7641 section 3, RFC 7252
 * section 8. */
#include "cmd/copal/feed.h"

#include <stdlib.h>
#include <string.h>

#include "copal/error.h"

struct feed {
  copal_client client;
  session *session;
  copal_xref exchange;
  copal_time start;
  bool wants_many; /* of the request: a response is not the last event */
  bool is_over;    /* the endpoint has told the last event */
  reply *queue;    /* oldest first, owned */
  size_t count;
  size_t cap;
  size_t dropped;
};

static void drop_oldest(feed *f)
{
  reply_wipe(&f->queue[0]);
  f->count--;
  f->dropped++;
  memmove(f->queue, f->queue + 1, f->count * sizeof *f->queue);
}

static void put(feed *f, const copal_event *event, copal_time now)
{
  if (f->count == f->cap)
    drop_oldest(f);
  f->queue = mem_resize(f->queue, (f->count + 1) * sizeof *f->queue);
  reply *r = &f->queue[f->count++];
  *r = (reply){.kind = event->kind,
               .retransmits = event->retransmits,
               .is_notification = event->is_notification,
               .rtt = (copal_dur)(now - f->start),
               .at = now,
               .reordered = copal_ep_stats(session_ep(f->session))->notify_reordered};
  if (event->kind == COPAL_EVENT_UNREACHABLE)
    r->errnum = session_errnum(f->session);
  if (event->kind == COPAL_EVENT_RESPONSE) {
    r->from = *event->from;
    reply_keep(r, event->msg);
  }
}

static void on_event(copal_client *client, copal_ep *ep, const copal_event *event, copal_time now)
{
  feed *f = (feed *)client;
  (void)ep;
  switch (event->kind) {
  case COPAL_EVENT_ACK:
  case COPAL_EVENT_RESEND: return;
  case COPAL_EVENT_STALE: break;
  case COPAL_EVENT_RESPONSE: f->is_over = !f->wants_many && !event->is_notification; break;
  case COPAL_EVENT_TIMEOUT:
  case COPAL_EVENT_RESET:
  case COPAL_EVENT_UNREACHABLE:
  case COPAL_EVENT_CANCELED: f->is_over = true; break;
  }
  put(f, event, now);
}

int feed_open(session *s, copal_request *request, size_t cap, feed **out)
{
  feed *f = mem_resize(NULL, sizeof *f);
  *f = (feed){.client = {on_event},
              .session = s,
              .start = session_now(),
              .wants_many = request->wants_many,
              .cap = cap};
  request->client = &f->client;
  const int e = copal_ep_request(session_ep(s), request, &f->exchange, f->start);
  if (e != COPAL_OK) {
    free(f);
    return e;
  }
  *out = f;
  session_flush(s);
  return COPAL_OK;
}

void feed_close(feed *f)
{
  if (!f)
    return;
  copal_ep_cancel(session_ep(f->session), f->exchange, session_now());
  for (size_t i = 0; i < f->count; i++)
    reply_wipe(&f->queue[i]);
  free(f->queue);
  free(f);
}

bool feed_take(feed *f, reply *r)
{
  *r = (reply){0};
  if (f->count == 0)
    return false;
  *r = f->queue[0];
  f->count--;
  memmove(f->queue, f->queue + 1, f->count * sizeof *f->queue);
  return true;
}

bool feed_next(feed *f, copal_time limit, reply *r)
{
  while (f->count == 0 && !f->is_over && !session_is_interrupted() && session_now() < limit)
    session_turn(f->session, limit);
  *r = (reply){0};
  return !session_is_interrupted() && feed_take(f, r);
}

bool feed_is_over(const feed *f)
{
  return f->is_over && f->count == 0;
}

size_t feed_take_dropped(feed *f)
{
  const size_t dropped = f->dropped;
  f->dropped = 0;
  return dropped;
}
