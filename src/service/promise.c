/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that wait for their registration. Thread: the shard's. */
#include "service/promise.h"

#include <stdlib.h>
#include <string.h>

#include "copal/cursor.h"
#include "copal/error.h"
#include "copal/registry.h"

enum {
  DATAGRAM_MAX = 65535,
  OPT_MAX = 8,
};

typedef struct promise {
  registrations_waiter hook; /* first */
  reply reply;
  copal_response response;
  copal_opt opts[OPT_MAX];
  uint8_t bytes[]; /* values of options, then the payload */
} promise;

static void deliver(promise *p, bool is_kept)
{
  if (!is_kept)
    copal_ep_unobserve(p->reply.env->ep, p->reply.exchange);
  (void)reply_send(&p->reply, &p->response);
  free(p);
}

static void on_stored(registrations_waiter *hook, bool is_kept)
{
  deliver((promise *)hook, is_kept);
}

static void discard(registrations_waiter *hook)
{
  free(hook);
}

static copal_span keep(copal_wr *w, copal_span bytes)
{
  const size_t at = w->len;
  copal_wr_span(w, bytes);
  return copal_span_of(w->buf + at, bytes.len);
}

/* A copy of the answer, or NULL without memory. */
static promise *make(const reply *r, const copal_response *response)
{
  const size_t room = r->env->message_max != 0 ? r->env->message_max : DATAGRAM_MAX;
  const size_t payload_len = response->payload.len < room ? response->payload.len : room;
  size_t size = payload_len;
  if (response->opt_count > OPT_MAX)
    return NULL;
  for (size_t i = 0; i < response->opt_count; i++)
    size += response->opts[i].value.len;
  promise *p = malloc(sizeof *p + size);
  if (p == NULL)
    return NULL;
  *p = (promise){.hook = {on_stored, discard, false}, .reply = *r, .response = *response};
  copal_wr w = copal_wr_init((copal_mspan){p->bytes, size});
  for (size_t i = 0; i < response->opt_count; i++)
    p->opts[i] = (copal_opt){response->opts[i].number, keep(&w, response->opts[i].value)};
  p->response.opts = p->opts;
  p->response.payload = keep(&w, copal_span_of(response->payload.ptr, payload_len));
  if (p->response.total == 0)
    p->response.total = (uint32_t)response->payload.len;
  return p;
}

/* With Q-Block2 the endpoint goes on by itself behind the answer, which must not wait. */
static bool may_wait(const handler_req *req)
{
  return req->env->ways != NULL && copal_req_lacks(req->coap, COPAL_OPT_Q_BLOCK2);
}

int promise_send(subject *s, const handler_req *req, const copal_response *response)
{
  const reply at_once = reply_to(req);
  promise *p = may_wait(req) ? make(&at_once, response) : NULL;
  if (p == NULL)
    return reply_send(&at_once, response);
  if (reply_defer(&p->reply) < 0) {
    free(p);
    return reply_send(&at_once, response);
  }
  subject_register(s, p->reply.exchange, &p->hook);
  if (!p->hook.is_waiting)
    deliver(p, true);
  return COPAL_EPENDING;
}
