/* SPDX-License-Identifier: Apache-2.0 */
/* Changes under way: from the request to the store, and from its result to the answer. RFC 7252
 * sections 4.5 and 5.8. */
#include "copal/error.h"
#include "copal/registry.h"
#include "service/resources_inside.h"

void resources_count_up(resources *s, uint64_t *counter)
{
  pthread_mutex_lock(&s->counts_lock);
  (*counter)++;
  pthread_mutex_unlock(&s->counts_lock);
}

bool resources_has_query(const handler_req *req)
{
  return !copal_req_lacks(req->coap, COPAL_OPT_URI_QUERY);
}

/* ------------------------------------------------------------------------------------------------
 * answers */

int resources_refuse(const handler_req *req, const problem *why)
{
  const reply r = reply_to(req);
  return problem_send(why, &r);
}

int resources_refuse_absent(const handler_req *req)
{
  return problem_reply(req, COPAL_CODE_NOT_FOUND, "No resource here; PUT creates it");
}

/* What is stored cannot be read. */
int resources_refuse_damaged(const handler_req *req)
{
  return problem_reply(req, COPAL_CODE_INTERNAL_SERVER_ERROR,
                       "What is stored here is damaged; DELETE takes it away");
}

int resources_refuse_condition(const handler_req *req)
{
  return problem_reply(req, COPAL_CODE_PRECONDITION_FAILED,
                       "If-Match or If-None-Match does not hold for the present state");
}

int resources_refuse_busy(resources *s, const handler_req *req)
{
  resources_count_up(s, &s->counts.pending_refused);
  problem why;
  problem_set_unavailable(&why, s->cfg.retry_s, "Too many changes under way; try again");
  return resources_refuse(req, &why);
}

/* The answer to a change that took effect. */
static void answer_change(const reply *r, copal_code code, const store_result *result)
{
  const copal_opt etag = {COPAL_OPT_ETAG, copal_span_of(result->etag.bytes, STORE_ETAG_SIZE)};
  const copal_response response = {
      .code = code, .opts = &etag, .opt_count = code == COPAL_CODE_DELETED ? 0 : 1};
  reply_send(r, &response);
}

/* What a change that did not take effect is answered with. */
void change_problem(const resources *s, problem *why, store_status status)
{
  switch (status) {
  case STORE_OK: break;
  case STORE_ABSENT:
    problem_set(why, COPAL_CODE_NOT_FOUND, "No resource here; PUT creates it");
    return;
  case STORE_PRECONDITION:
    problem_set(why, COPAL_CODE_PRECONDITION_FAILED,
                "If-Match or If-None-Match does not hold for the present state");
    return;
  case STORE_FULL:
    problem_set_unavailable(why, s->cfg.retry_s, "The store is full; delete resources first");
    return;
  case STORE_UNAVAILABLE:
    problem_set_unavailable(why, s->cfg.retry_s, "The store is unavailable; nothing was changed");
    return;
  case STORE_FAILED: break;
  }
  problem_set(why, COPAL_CODE_INTERNAL_SERVER_ERROR, "Stable storage failed");
}

/* ------------------------------------------------------------------------------------------------
 * changes under way */

void change_answer_problem(pending *p, const problem *why)
{
  problem_send(why, &p->reply);
  pending_give(p);
}

void change_finish_failed(pending *p, store_status status)
{
  problem why;
  change_problem(p->service, &why, status);
  change_answer_problem(p, &why);
}

static void on_done(store_op *op, const store_result *result)
{
  pending *p = (pending *)op; /* its first member */
  if (result->is_repeat)
    resources_count_up(p->service, &p->service->counts.repeats);
  if (result->is_unnamed)
    resources_count_up(p->service, &p->service->counts.unnamed);
  p->finish(p, result);
}

void change_finish_put(pending *p, const store_result *result)
{
  if (result->status != STORE_OK) {
    change_finish_failed(p, result->status);
    return;
  }
  answer_change(&p->reply, result->created ? COPAL_CODE_CREATED : COPAL_CODE_CHANGED, result);
  pending_give(p);
}

void change_finish_delete(pending *p, const store_result *result)
{
  if (result->status != STORE_OK) {
    change_finish_failed(p, result->status);
    return;
  }
  answer_change(&p->reply, COPAL_CODE_DELETED, result);
  pending_give(p);
}

/* A pending change of the request's key, not submitted yet; NULL when there are too many. */
pending *change_begin(resources *s, const handler_req *req, const ask *a)
{
  pending *p = pendings_take(s->pendings, req->env);
  if (p == NULL)
    return NULL;
  p->service = s;
  p->tries = 0;
  p->reply = reply_to(req);
  p->reply.is_change = true;
  p->ask = *a;
  p->op = (store_op){.done = on_done,
                     .id = a->id,
                     .key = req->key,
                     .content_format = a->content_format,
                     .max_age_s = a->max_age_s};
  return p;
}

bool change_borrow(pending *p, const ask *a)
{
  if (a->body == NULL || store_can_apply(p->reply.env->store)) /* that keeps a copy at once */
    return false;
  a->body->is_taken = true;
  p->lent = a->body;
  p->op.lends_body = true;
  return true;
}

/* The store has not taken the change: the body goes back to who handles the request. */
static void give_body_back(pending *p)
{
  if (p->lent != NULL)
    p->lent->is_taken = false;
  p->lent = NULL;
}

static void refuse_crowd(pending *p)
{
  problem why;
  problem_set_unavailable(&why, p->service->cfg.retry_s, "Too many changes under way; try again");
  change_answer_problem(p, &why);
}

/* Submits for the first time. The exchange is taken first: once the store has the change, there
 * must be a way to answer. A store that is done at once needs none: the answer is the request's
 * own. */
int change_submit(resources *s, pending *p, const handler_req *req)
{
  const copal_time now = req->now;
  if (store_can_apply(req->env->store)) {
    if (store_apply(req->env->store, &p->op, now) != COPAL_OK)
      refuse_crowd(p);
    return COPAL_OK;
  }
  if (reply_defer(&p->reply) != COPAL_OK) {
    give_body_back(p);
    pending_give(p);
    return resources_refuse_busy(s, req);
  }
  if (store_commit(req->env->store, &p->op, now) != COPAL_OK) {
    resources_count_up(s, &s->counts.pending_refused);
    give_body_back(p);
    refuse_crowd(p);
  }
  return COPAL_EPENDING;
}

/* The time in a completion. */
copal_time change_now(const pending *p)
{
  const handler_env *env = p->reply.env;
  return env->clock != NULL ? *env->clock : p->reply.now;
}

/* Submits again, from a completion. */
void change_resubmit(pending *p)
{
  store_port *port = p->reply.env->store;
  const copal_time now = change_now(p);
  const int err =
      store_can_apply(port) ? store_apply(port, &p->op, now) : store_commit(port, &p->op, now);
  if (err != COPAL_OK)
    refuse_crowd(p);
}

/* ------------------------------------------------------------------------------------------------
 * requests that come again after a crash */

/* The refusal that was held back. */
static void finish_refusal(pending *p)
{
  change_answer_problem(p, (const problem *)(const void *)p->body.ptr);
}

static void finish_post_again(pending *p, const store_result *result)
{
  if (result->is_repeat)
    posting_finish_created(p, result);
  else
    finish_refusal(p);
}

static void finish_change_again(pending *p, const store_result *result)
{
  if (result->is_repeat)
    change_finish_put(p, result);
  else
    finish_refusal(p);
}

/* Refuses a request for what is stored now, unless that is what the request itself has made of it:
 * the store is asked for its result by an operation that cannot do anything else. */
int change_refuse_unless_done(resources *s, const handler_req *req, const ask *a,
                              const problem *why)
{
  const store_op named = {.id = a->id};
  pending *p = store_op_is_named(&named) ? change_begin(s, req, a) : NULL;
  if (p == NULL)
    return resources_refuse(req, why);
  if (!pending_keep(&p->body, copal_span_of((const uint8_t *)why, sizeof *why))) {
    pending_give(p);
    return resources_refuse(req, why);
  }
  p->finish = req->coap->msg->code == COPAL_CODE_POST ? finish_post_again : finish_change_again;
  p->op.verb = STORE_DELETE;
  p->op.must_be_absent = true;
  p->op.must_be_present = true;
  return change_submit(s, p, req);
}
