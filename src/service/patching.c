/* SPDX-License-Identifier: Apache-2.0 */
/* PATCH and iPATCH: the new representation is computed from the present one. RFC 8132 section 2. */
#include <stdlib.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "service/patch.h"
#include "service/resources_inside.h"

enum { TRIES_MAX = 8 }; /* against concurrent changes */

/* What a patch is applied to and what comes of it. */
typedef struct patch_run {
  const handler_env *env;
  const ask *ask;
  copal_span key;
  copal_span document;
  copal_time now;
  store_item item;  /* read */
  copal_mspan body; /* computed; freed by the caller */
} patch_run;

/* Reads, checks the conditions and computes the new body. */
static bool patch_compute(patch_run *run, problem *why)
{
  const store_status found = store_get(run->env->store, run->key, &run->item, run->now);
  if (found == STORE_FAILED) {
    problem_set(why, COPAL_CODE_INTERNAL_SERVER_ERROR, "What is stored here is damaged");
    return false;
  }
  if (found != STORE_OK) {
    problem_set(why, COPAL_CODE_NOT_FOUND, "No resource here to patch; PUT creates it");
    return false;
  }
  if (!ask_holds(run->ask, &run->item)) {
    problem_set(why, COPAL_CODE_PRECONDITION_FAILED,
                "If-Match or If-None-Match does not hold for the present state");
    return false;
  }
  const patch_job job = {.format = run->ask->content_format,
                         .document = run->document,
                         .target_format = run->item.content_format,
                         .target = run->item.body,
                         .input_max = run->env->limits->patch_max,
                         .result_max = run->env->limits->body_max};
  return patch_apply(&job, &run->body, why);
}

/* The new body replaces exactly the one it was computed from; all else stays. */
static void patch_op(pending *p, const patch_run *run)
{
  p->op.verb = STORE_PUT;
  p->op.must_be_rev = run->item.rev;
  p->op.keeps_attrs = true;
  p->op.keeps_lifetime = true;
  p->op.content_format = run->item.content_format;
  p->op.max_age_s = p->ask.max_age_s != STORE_NO_MAX_AGE ? p->ask.max_age_s : run->item.max_age_s;
  p->op.body = copal_span_of(run->body.ptr, run->body.len);
}

static void patch_again(pending *p, store_rev failed_at)
{
  patch_run run = {.env = p->reply.env,
                   .ask = &p->ask,
                   .key = copal_span_of(p->key.ptr, p->key.len),
                   .document = copal_span_of(p->body.ptr, p->body.len),
                   .now = change_now(p)};
  problem why;
  resources *s = p->service;
  if (!patch_compute(&run, &why)) {
    change_answer_problem(p, &why);
    return;
  }
  if (++p->tries == TRIES_MAX || run.item.rev == failed_at) {
    free(run.body.ptr);
    resources_count_up(s, &s->counts.patch_lost);
    problem_set_unavailable(&why, s->cfg.retry_s, "The resource is being changed; try again");
    change_answer_problem(p, &why);
    return;
  }
  resources_count_up(s, &s->counts.patch_retries);
  patch_op(p, &run);
  change_resubmit(p);
  free(run.body.ptr);
}

static void finish_patch(pending *p, const store_result *result)
{
  if (result->status == STORE_PRECONDITION)
    patch_again(p, p->op.must_be_rev);
  else
    change_finish_put(p, result);
}

int patching_on_request(resources *s, const handler_req *req, const ask *a)
{
  patch_run run = {.env = req->env,
                   .ask = a,
                   .key = req->key,
                   .document = req->coap->msg->payload,
                   .now = req->now};
  problem why;
  if (!patch_compute(&run, &why))
    return change_refuse_unless_done(s, req, a, &why);
  pending *p = change_begin(s, req, a);
  if (p == NULL || !pending_keep(&p->key, run.key) || !pending_keep(&p->body, run.document)) {
    free(run.body.ptr);
    if (p != NULL)
      pending_give(p);
    return resources_refuse_busy(s, req);
  }
  p->finish = finish_patch;
  p->op.key = copal_span_of(p->key.ptr, p->key.len);
  patch_op(p, &run);
  const int err = change_submit(s, p, req);
  free(run.body.ptr);
  return err;
}
