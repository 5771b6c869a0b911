/* SPDX-License-Identifier: Apache-2.0 */
/* Relations that outlive their endpoint. */
#include "core/proto/observe_keep.h"

#include "core/proto/exchange.h"

void observe_tell(copal_ep *ep, const relation *r, copal_relation_event event)
{
  copal_subject *s = r->subject;
  if (!s->on_relation || ep->is_ending)
    return;
  const copal_relation told = {
      .path = r->observer->path,
      .token = copal_span_of(r->token, r->token_len),
      .request_code = r->request_code,
      .has_block2 = r->szx != OBSERVE_NO_SZX,
      .szx = r->szx != OBSERVE_NO_SZX ? r->szx : 0,
  };
  s->on_relation(s, ep, &told, event);
}

bool observe_is_other(const relation *r, const turn *t)
{
  const copal_path *path = &r->observer->path;
  return path->local != t->path->local || path->flags != t->path->flags ||
         r->request_code != t->rules.request_code || r->szx != observe_szx(&t->rules);
}

int copal_ep_observe_late(copal_ep *ep, copal_xref ref, copal_subject *subject)
{
  turn *t = ep->turn;
  exchange *x = exchange_at(ep, ref);
  if (!x || !t || !t->is_deferred || !t->wants_observe)
    return COPAL_EINVAL;
  t->subject = subject;
  observe_settle(ep, t, COPAL_CODE_CONTENT, t->now);
  x->rules.has_observe = t->rules.has_observe;
  x->rules.observe = t->rules.observe;
  return t->rules.has_observe ? COPAL_OK : COPAL_ENOSLOT;
}

void copal_ep_unobserve(copal_ep *ep, copal_xref ref)
{
  exchange *x = exchange_at(ep, ref);
  if (!x || !x->rules.has_observe)
    return;
  x->rules.has_observe = false;
  observe_deregister(ep, &x->path, exchange_token(x));
}

void copal_ep_refuse(copal_ep *ep, const copal_path *path, copal_span token, copal_code code,
                     copal_time now)
{
  relation *r = observe_find(ep, path, token);
  if (!r)
    return;
  observer *o = r->observer;
  observe_refuse(ep, r, code);
  observe_hasten(o, now);
  observe_go_on(ep, o, now);
}

/* Without a round-trip time nothing has been sent that must be waited for, and a group takes its
 * leisure whatever happens. */
void observe_hasten(observer *o, copal_time now)
{
  const bool is_group = (o->path.flags & COPAL_PATH_GROUP) != 0;
  if (!o->in_flight && o->rtt == 0 && o->free_at > now && !is_group)
    o->free_at = now;
}

int copal_ep_observe_restore(copal_ep *ep, copal_subject *s, const copal_relation *kept,
                             copal_time due, copal_time now)
{
  if (kept->token.len > COPAL_TOKEN_MAX || observe_find(ep, &kept->path, kept->token))
    return COPAL_EINVAL;
  const bool is_first = s->count == 0;
  relation *r = observe_begin(ep, s, &kept->path, kept->token);
  if (!r) {
    ep->stats.relations_refused++;
    return COPAL_ENOSLOT;
  }
  if (is_first) /* as in observe_register(): ahead of all that went before */
    s->sequence = observe_next_sequence(ep, s->sequence, now);
  observer *o = r->observer;
  if (o->count == 1)
    o->free_at = due;
  r->request_code = kept->request_code;
  r->szx = (kept->has_block2 ? kept->szx : OBSERVE_NO_SZX) & OBSERVE_NO_SZX;
  r->confirmed = (uint32_t)(now >> 20);
  r->nons = ep->cfg.notify_con_every; /* the next one is confirmable */
  r->is_stale = true;
  observe_enqueue(ep, r);
  ep->stats.relations_restored++;
  return COPAL_OK;
}
