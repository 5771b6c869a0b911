/* SPDX-License-Identifier: Apache-2.0 */
/* PUT and DELETE: changes that say what shall be, whatever there was. RFC 7252 sections 5.8.3 and
 * 5.8.4. */
#include "copal/error.h"
#include "copal/registry.h"
#include "service/attrs.h"
#include "service/resources_inside.h"

enum { RETRY_S = 1 };

/* PUT of the attributes alone: a link document that describes the resource. */
static int on_put_attrs(resources *s, const handler_req *req, const ask *a)
{
  if (a->content_format != COPAL_CF_LINK_FORMAT)
    return problem_reply(req, COPAL_CODE_UNSUPPORTED_CONTENT_FORMAT,
                         "?" ATTRS_QUERY " takes a body of Content-Format 40 (link-format)");
  problem why;
  copal_span attrs;
  attrs_lifetime lt;
  if (!attrs_read_lifetime(req->coap->msg->options, &lt, &why))
    return resources_refuse(req, &why);
  if (lt.is_given)
    return problem_reply(req, COPAL_CODE_BAD_REQUEST,
                         "?" ATTRS_QUERY " writes no representation; lt goes with one that does");
  if (!attrs_from_document(req->coap->msg->payload, req->key, req->env->limits->attrs_max, &attrs,
                           &why))
    return resources_refuse(req, &why);
  pending *p = change_begin(s, req, a);
  if (p == NULL)
    return resources_refuse_busy(s, req);
  p->finish = change_finish_put;
  p->op.verb = STORE_SET_ATTRS;
  p->op.attrs = attrs;
  ask_condition(a, &p->op);
  return change_submit(s, p, req);
}

/* The attributes in the query, in the request's arena. */
bool resources_query_attrs(const handler_req *req, copal_span *attrs, problem *why)
{
  const copal_span options = req->coap->msg->options;
  const size_t room = resources_has_query(req) ? attrs_room(options) : 0;
  *attrs = copal_span_none();
  if (room == 0)
    return true;
  uint8_t *bytes = arena_take(req->arena, room);
  if (bytes == NULL) {
    problem_set_unavailable(why, RETRY_S, "No memory for the request; try again");
    return false;
  }
  copal_wr w = copal_wr_init((copal_mspan){bytes, room});
  if (!attrs_from_query(&w, options, req->env->limits->attrs_max, why))
    return false;
  *attrs = copal_wr_done(&w);
  return true;
}

int replacing_on_put(resources *s, const handler_req *req, const ask *a)
{
  const bool has_query = resources_has_query(req);
  if (has_query && attrs_is_document(req->coap->msg->options))
    return on_put_attrs(s, req, a);
  problem why;
  copal_span attrs = copal_span_none();
  attrs_lifetime lt = {.is_given = false};
  if (has_query && (!resources_query_attrs(req, &attrs, &why) ||
                    !attrs_read_lifetime(req->coap->msg->options, &lt, &why)))
    return resources_refuse(req, &why);
  pending *p = change_begin(s, req, a);
  if (p == NULL)
    return resources_refuse_busy(s, req);
  p->finish = change_finish_put;
  p->op.verb = STORE_PUT;
  p->op.lifetime_s = lt.seconds;
  p->op.keeps_lifetime = !lt.is_given;
  p->op.body = req->coap->msg->payload;
  (void)change_borrow(p, a);
  p->op.attrs = attrs;
  p->op.keeps_attrs = attrs.len == 0;
  ask_condition(a, &p->op);
  return change_submit(s, p, req);
}

int replacing_on_delete(resources *s, const handler_req *req, const ask *a)
{
  pending *p = change_begin(s, req, a);
  if (p == NULL)
    return resources_refuse_busy(s, req);
  p->finish = change_finish_delete;
  p->op.verb = STORE_DELETE;
  ask_condition(a, &p->op);
  return change_submit(s, p, req);
}
