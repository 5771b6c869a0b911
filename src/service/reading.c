/* SPDX-License-Identifier: Apache-2.0 */
/* GET and FETCH: what is stored, as a whole, in part, or watched. RFC 7252 section 5.8.1, RFC 8132
 * section 2, RFC 7641 section 3. */
#include <stdlib.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "service/conditions.h"
#include "service/history.h"
#include "service/patch.h"
#include "service/promise.h"
#include "service/representation.h"
#include "service/resources_inside.h"

static int refuse_unread(const handler_req *req, store_status status)
{
  return status == STORE_ABSENT ? resources_refuse_absent(req) : resources_refuse_damaged(req);
}

/* 2.05 with what is shown of the item, or 2.03 when the client has it already; to an observer when
 * the observation is stored. */
static int answer_read(const handler_req *req, const store_item *item, bool is_valid,
                       const subjects_view *view, subject *observed, handler_proof *proof)
{
  representation shown;
  const reply r = reply_to(req);
  if (is_valid)
    representation_confirm(&shown, req->env, item, req->now);
  else
    representation_show(&shown, req->env, item, view->format, view->body, req->now);
  if (proof != NULL) {
    proof->until = representation_max_age_until(item, req->now);
    shown.response.proof = copal_span_of((const uint8_t *)proof, sizeof *proof);
  }
  return observed != NULL ? promise_send(observed, req, &shown.response)
                          : reply_send(&r, &shown.response);
}

/* Shows what was asked for, and begins an observation when the client wants one, under the
 * conditions in the query. */
static int answer_view(resources *s, const handler_req *req, const ask *a,
                       const subjects_view *wanted)
{
  conditions c = {.present = 0};
  subjects_view view = *wanted;
  problem why;
  subject *observed = NULL;
  if (resources_has_query(req) && !conditions_parse(&c, req->coap->msg->options, &why))
    return resources_refuse(req, &why);
  view.conditions = &c;
  if (req->coap->wants_observe) {
    const conditions_value v = conditions_value_of(view.format, view.body);
    if (!conditions_suit(&c, &v, &why))
      return resources_refuse(req, &why);
    observed = subjects_observe(s->subjects, req, &view);
  }
  const store_item item =
      observed != NULL ? subjects_item(req->env, view.item, &c, req->now) : *view.item;
  const int err = answer_read(req, &item, ask_has_valid(a, &item), &view, observed, NULL);
  subject_settle(observed);
  return err;
}

/* The proof that is wanted, with a stamp of what is stored now; or NULL. */
static handler_proof *begin_proof(const handler_req *req)
{
  handler_proof *proof = req->proof;
  return proof != NULL && store_stamp_of(req->env->store, req->key, &proof->stamp) ? proof : NULL;
}

int reading_on_get(resources *s, const handler_req *req, const ask *a)
{
  store_item item;
  handler_proof *proof = begin_proof(req);
  const store_status found = store_get(req->env->store, req->key, &item, req->now);
  if (found != STORE_OK)
    return refuse_unread(req, found);
  if (!ask_holds(a, &item))
    return resources_refuse_condition(req);
  if (resources_has_query(req) && history_is_asked(req->coap->msg->options))
    return history_answer(&s->histories, req, &item, ask_has_valid(a, &item));
  const reply r = reply_to(req);
  if (r.accept != REPLY_ANY_FORMAT && r.accept != item.content_format) {
    if (item.content_format == STORE_NO_FORMAT)
      return problem_reply(req, COPAL_CODE_NOT_ACCEPTABLE,
                           "The resource has no Content-Format; ask without Accept");
    return problem_reply(req, COPAL_CODE_NOT_ACCEPTABLE, "Only Content-Format %u is available",
                         (unsigned)item.content_format);
  }
  const subjects_view view = {.item = &item, .format = item.content_format, .body = item.body};
  if (!req->coap->wants_observe && !resources_has_query(req))
    return answer_read(req, &item, ask_has_valid(a, &item), &view, NULL, proof);
  return answer_view(s, req, a, &view);
}

int reading_on_fetch(resources *s, const handler_req *req, const ask *a)
{
  store_item item;
  const store_status found = store_get(req->env->store, req->key, &item, req->now);
  if (found != STORE_OK)
    return refuse_unread(req, found);
  if (!ask_holds(a, &item))
    return resources_refuse_condition(req);
  const patch_job job = {.format = a->content_format,
                         .document = req->coap->msg->payload,
                         .target_format = item.content_format,
                         .target = item.body,
                         .input_max = req->env->limits->patch_max,
                         .result_max = req->env->limits->body_max};
  copal_mspan body;
  uint16_t format;
  problem why;
  if (!patch_select(&job, reply_to(req).accept, &body, &format, &why))
    return resources_refuse(req, &why);
  const subjects_view view = {.item = &item,
                              .format = format,
                              .body = copal_span_of(body.ptr, body.len),
                              .is_fetch = true,
                              .fetch_format = a->content_format,
                              .fetch = req->coap->msg->payload,
                              .accept = reply_to(req).accept};
  questions_keep(s->questions, req, a->content_format, body.len);
  const int err = answer_view(s, req, a, &view);
  free(body.ptr);
  return err;
}
