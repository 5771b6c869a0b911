/* SPDX-License-Identifier: Apache-2.0 */
/* Resources: GET, PUT, POST, DELETE of RFC 7252 section 5.8, FETCH, PATCH and iPATCH of RFC 8132.
 * Changes go through the store; their answers leave when it has them. */
#include "service/resources.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "copal/uri.h"
#include "service/attrs.h"
#include "service/conditions.h"
#include "service/history.h"
#include "service/opids.h"
#include "service/patch.h"
#include "service/pending.h"
#include "service/registrations.h"
#include "service/representation.h"
#include "service/subjects.h"
#include "service/uploads.h"

enum {
  PENDING_MAX_DEFAULT = 1024,
  SHARD_MAX_DEFAULT = 64,
  RETRY_S_DEFAULT = 1,
  TRIES_MAX = 8,     /* of a patch against concurrent changes, of a name for POST */
  NAME_LEN = 8,      /* characters of a name drawn for POST, 5 bits each */
  SEGMENTS_MAX = 64, /* of the location of a resource made by POST */
};

typedef struct resources {
  service base;
  resources_cfg cfg;
  pendings *pendings;
  subjects *subjects;
  registrations *registrations;
  registrations_user *restorer; /* the subjects' */
  opids *opids;
  uploads *uploads;
  qbodies *qbodies;
  pthread_mutex_t counts_lock;
  resources_counts counts;
} resources;

static void count_up(resources *s, uint64_t *counter)
{
  pthread_mutex_lock(&s->counts_lock);
  (*counter)++;
  pthread_mutex_unlock(&s->counts_lock);
}

/* ------------------------------------------------------------------------------------------------
 * answers */

static int refuse(const handler_req *req, const problem *why)
{
  const reply r = reply_to(req);
  return problem_send(why, &r);
}

static int refuse_absent(const handler_req *req)
{
  return problem_reply(req, COPAL_CODE_NOT_FOUND, "No resource here; PUT creates it");
}

/* What is stored cannot be read. */
static int refuse_damaged(const handler_req *req)
{
  return problem_reply(req, COPAL_CODE_INTERNAL_SERVER_ERROR,
                       "What is stored here is damaged; DELETE takes it away");
}

static int refuse_unread(const handler_req *req, store_status status)
{
  return status == STORE_ABSENT ? refuse_absent(req) : refuse_damaged(req);
}

static int refuse_condition(const handler_req *req)
{
  return problem_reply(req, COPAL_CODE_PRECONDITION_FAILED,
                       "If-Match or If-None-Match does not hold for the present state");
}

static int refuse_busy(resources *s, const handler_req *req)
{
  count_up(s, &s->counts.pending_refused);
  problem why;
  problem_set_unavailable(&why, s->cfg.retry_s, "Too many changes under way; try again");
  return refuse(req, &why);
}

/* 2.05 with a body, or 2.03 when the client has it already. */
static int answer_read(const handler_req *req, const store_item *item, bool is_valid,
                       uint16_t format, copal_span body)
{
  representation shown;
  const reply r = reply_to(req);
  if (is_valid)
    representation_confirm(&shown, req->env, item, req->now);
  else
    representation_show(&shown, req->env, item, format, body, req->now);
  return reply_send(&r, &shown.response);
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
static void problem_of_status(const resources *s, problem *why, store_status status)
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

static void answer_problem(pending *p, const problem *why)
{
  problem_send(why, &p->reply);
  pending_give(p);
}

static void finish_failed(pending *p, store_status status)
{
  problem why;
  problem_of_status(p->service, &why, status);
  answer_problem(p, &why);
}

static void on_done(store_op *op, const store_result *result)
{
  pending *p = (pending *)op; /* its first member */
  if (result->is_repeat)
    count_up(p->service, &p->service->counts.repeats);
  if (result->is_unnamed)
    count_up(p->service, &p->service->counts.unnamed);
  p->finish(p, result);
}

static void finish_put(pending *p, const store_result *result)
{
  if (result->status != STORE_OK) {
    finish_failed(p, result->status);
    return;
  }
  answer_change(&p->reply, result->created ? COPAL_CODE_CREATED : COPAL_CODE_CHANGED, result);
  pending_give(p);
}

static void finish_delete(pending *p, const store_result *result)
{
  if (result->status != STORE_OK) {
    finish_failed(p, result->status);
    return;
  }
  answer_change(&p->reply, COPAL_CODE_DELETED, result);
  pending_give(p);
}

/* A pending change of the request's key, not submitted yet; NULL when there are too many. */
static pending *begin(resources *s, const handler_req *req, const ask *a)
{
  pending *p = pendings_take(s->pendings, req->env);
  if (p == NULL)
    return NULL;
  p->service = s;
  p->reply = reply_to(req);
  p->ask = *a;
  p->op = (store_op){.done = on_done,
                     .id = a->id,
                     .key = req->key,
                     .content_format = a->content_format,
                     .max_age_s = a->max_age_s};
  return p;
}

/* Submits for the first time. The exchange is taken first: once the store has the change, there
 * must be a way to answer. */
static int submit(resources *s, pending *p, const handler_req *req)
{
  const copal_time now = req->now;
  if (reply_defer(&p->reply) != COPAL_OK) {
    pending_give(p);
    return refuse_busy(s, req);
  }
  if (store_commit(req->env->store, &p->op, now) != COPAL_OK) {
    count_up(s, &s->counts.pending_refused);
    problem why;
    problem_set_unavailable(&why, s->cfg.retry_s, "Too many changes under way; try again");
    answer_problem(p, &why);
  }
  return COPAL_EPENDING;
}

/* The time in a completion. */
static copal_time now_of(const pending *p)
{
  const handler_env *env = p->reply.env;
  return env->clock != NULL ? *env->clock : p->reply.now;
}

/* Submits again, from a completion. */
static void resubmit(pending *p)
{
  const handler_env *env = p->reply.env;
  if (store_commit(env->store, &p->op, now_of(p)) == COPAL_OK)
    return;
  problem why;
  problem_set_unavailable(&why, p->service->cfg.retry_s, "Too many changes under way; try again");
  answer_problem(p, &why);
}

/* ------------------------------------------------------------------------------------------------
 * reading */

static bool has_query(const handler_req *req)
{
  return !copal_req_lacks(req->coap, COPAL_OPT_URI_QUERY);
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
  if (has_query(req) && !conditions_parse(&c, req->coap->msg->options, &why))
    return refuse(req, &why);
  view.conditions = &c;
  if (req->coap->wants_observe) {
    const conditions_value v = conditions_value_of(view.format, view.body);
    if (!conditions_suit(&c, &v, &why))
      return refuse(req, &why);
    observed = subjects_observe(s->subjects, req, &view);
  }
  const store_item item =
      observed != NULL ? subjects_item(req->env, view.item, &c, req->now) : *view.item;
  const int err = answer_read(req, &item, ask_has_valid(a, &item), view.format, view.body);
  subject_settle(observed);
  return err;
}

static int on_get(resources *s, const handler_req *req, const ask *a)
{
  store_item item;
  const store_status found = store_get(req->env->store, req->key, &item, req->now);
  if (found != STORE_OK)
    return refuse_unread(req, found);
  if (!ask_holds(a, &item))
    return refuse_condition(req);
  if (history_is_asked(req->coap->msg->options))
    return history_answer(req, &item, ask_has_valid(a, &item));
  const reply r = reply_to(req);
  if (r.accept != REPLY_ANY_FORMAT && r.accept != item.content_format) {
    if (item.content_format == STORE_NO_FORMAT)
      return problem_reply(req, COPAL_CODE_NOT_ACCEPTABLE,
                           "The resource has no Content-Format; ask without Accept");
    return problem_reply(req, COPAL_CODE_NOT_ACCEPTABLE, "Only Content-Format %u is available",
                         (unsigned)item.content_format);
  }
  const subjects_view view = {.item = &item, .format = item.content_format, .body = item.body};
  return answer_view(s, req, a, &view);
}

static int on_fetch(resources *s, const handler_req *req, const ask *a)
{
  store_item item;
  const store_status found = store_get(req->env->store, req->key, &item, req->now);
  if (found != STORE_OK)
    return refuse_unread(req, found);
  if (!ask_holds(a, &item))
    return refuse_condition(req);
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
    return refuse(req, &why);
  const subjects_view view = {.item = &item,
                              .format = format,
                              .body = copal_span_of(body.ptr, body.len),
                              .is_fetch = true,
                              .fetch_format = a->content_format,
                              .fetch = req->coap->msg->payload,
                              .accept = reply_to(req).accept};
  const int err = answer_view(s, req, a, &view);
  free(body.ptr);
  return err;
}

/* ------------------------------------------------------------------------------------------------
 * PUT and DELETE */

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
    return refuse(req, &why);
  if (lt.is_given)
    return problem_reply(req, COPAL_CODE_BAD_REQUEST,
                         "?" ATTRS_QUERY " writes no representation; lt goes with one that does");
  if (!attrs_from_document(req->coap->msg->payload, req->key, req->env->limits->attrs_max, &attrs,
                           &why))
    return refuse(req, &why);
  pending *p = begin(s, req, a);
  if (p == NULL)
    return refuse_busy(s, req);
  p->finish = finish_put;
  p->op.verb = STORE_SET_ATTRS;
  p->op.attrs = attrs;
  ask_condition(a, &p->op);
  return submit(s, p, req);
}

/* The attributes in the query, in the request's arena. */
static bool query_attrs(const handler_req *req, copal_span *attrs, problem *why)
{
  const copal_span options = req->coap->msg->options;
  const size_t room = has_query(req) ? attrs_room(options) : 0;
  *attrs = copal_span_none();
  if (room == 0)
    return true;
  uint8_t *bytes = arena_take(req->arena, room);
  if (bytes == NULL) {
    problem_set_unavailable(why, RETRY_S_DEFAULT, "No memory for the request; try again");
    return false;
  }
  copal_wr w = copal_wr_init((copal_mspan){bytes, room});
  if (!attrs_from_query(&w, options, req->env->limits->attrs_max, why))
    return false;
  *attrs = copal_wr_done(&w);
  return true;
}

static int on_put(resources *s, const handler_req *req, const ask *a)
{
  if (has_query(req) && attrs_is_document(req->coap->msg->options))
    return on_put_attrs(s, req, a);
  problem why;
  copal_span attrs;
  attrs_lifetime lt;
  if (!query_attrs(req, &attrs, &why) || !attrs_read_lifetime(req->coap->msg->options, &lt, &why))
    return refuse(req, &why);
  pending *p = begin(s, req, a);
  if (p == NULL)
    return refuse_busy(s, req);
  p->finish = finish_put;
  p->op.verb = STORE_PUT;
  p->op.lifetime_s = lt.seconds;
  p->op.keeps_lifetime = !lt.is_given;
  p->op.body = req->coap->msg->payload;
  p->op.attrs = attrs;
  p->op.keeps_attrs = attrs.len == 0;
  ask_condition(a, &p->op);
  return submit(s, p, req);
}

static int on_delete(resources *s, const handler_req *req, const ask *a)
{
  pending *p = begin(s, req, a);
  if (p == NULL)
    return refuse_busy(s, req);
  p->finish = finish_delete;
  p->op.verb = STORE_DELETE;
  ask_condition(a, &p->op);
  return submit(s, p, req);
}

/* ------------------------------------------------------------------------------------------------
 * POST */

static void draw_name(copal_entropy *entropy, uint8_t *name)
{
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567"; /* RFC 4648 section 6 */
  uint8_t random[NAME_LEN];
  entropy->fill(entropy, (copal_mspan){random, sizeof random});
  for (size_t i = 0; i < NAME_LEN; i++)
    name[i] = (uint8_t)letters[random[i] & 31];
}

/* Decodes the segments of the new resource's path into Location-Path options. */
static int add_location(copal_opt_list *list, copal_wr *scratch, copal_span key)
{
  const uint8_t *end = key.ptr + key.len;
  for (const uint8_t *at = key.ptr + 1; at <= end;) {
    const uint8_t *slash = at < end ? memchr(at, '/', (size_t)(end - at)) : NULL;
    const uint8_t *stop = slash != NULL ? slash : end;
    const size_t before = scratch->len;
    const int err = copal_uri_decode(copal_span_of(at, (size_t)(stop - at)), scratch);
    if (err != COPAL_OK)
      return err;
    copal_opt_list_add(list, COPAL_OPT_LOCATION_PATH,
                       copal_span_of(scratch->buf + before, scratch->len - before));
    at = stop + 1;
  }
  return list->err;
}

static void finish_post_created(pending *p, const store_result *result)
{
  enum { OPT_COUNT = SEGMENTS_MAX + 1 };
  copal_opt opts[OPT_COUNT];
  uint8_t uints[OPT_COUNT][4];
  uint8_t room[STORE_KEY_MAX];
  copal_wr scratch = copal_wr_init((copal_mspan){room, sizeof room});
  copal_opt_list list = copal_opt_list_init(opts, uints, OPT_COUNT);
  copal_opt_list_add(&list, COPAL_OPT_ETAG, copal_span_of(result->etag.bytes, STORE_ETAG_SIZE));
  const copal_span key = result->is_repeat ? result->key : p->op.key;
  if (add_location(&list, &scratch, key) != COPAL_OK) {
    finish_failed(p, STORE_FAILED);
    return;
  }
  const copal_response response = {
      .code = COPAL_CODE_CREATED, .opts = list.opts, .opt_count = list.count};
  reply_send(&p->reply, &response);
  pending_give(p);
}

static void finish_post(pending *p, const store_result *result)
{
  if (result->status == STORE_OK) {
    finish_post_created(p, result);
    return;
  }
  if (result->status != STORE_PRECONDITION) {
    finish_failed(p, result->status);
    return;
  }
  resources *s = p->service;
  count_up(s, &s->counts.name_retries);
  if (++p->tries == TRIES_MAX) {
    problem why;
    problem_set_unavailable(&why, s->cfg.retry_s, "No free name was found; try again");
    answer_problem(p, &why);
    return;
  }
  draw_name(p->reply.env->entropy, p->key.ptr + p->key.len - NAME_LEN);
  resubmit(p);
}

/* ------------------------------------------------------------------------------------------------
 * requests that come again after a crash */

/* The refusal that was held back. */
static void finish_refusal(pending *p)
{
  answer_problem(p, (const problem *)(const void *)p->body.ptr);
}

static void finish_post_again(pending *p, const store_result *result)
{
  if (result->is_repeat)
    finish_post_created(p, result);
  else
    finish_refusal(p);
}

static void finish_change_again(pending *p, const store_result *result)
{
  if (result->is_repeat)
    finish_put(p, result);
  else
    finish_refusal(p);
}

/* Refuses a request for what is stored now, unless that is what the request itself has made of it:
 * the store is asked for its result by an operation that cannot do anything else. */
static int refuse_unless_done(resources *s, const handler_req *req, const ask *a,
                              const problem *why)
{
  const store_op named = {.id = a->id};
  pending *p = store_op_is_named(&named) ? begin(s, req, a) : NULL;
  if (p == NULL)
    return refuse(req, why);
  if (!pending_keep(&p->body, copal_span_of((const uint8_t *)why, sizeof *why))) {
    pending_give(p);
    return refuse(req, why);
  }
  p->finish = req->coap->msg->code == COPAL_CODE_POST ? finish_post_again : finish_change_again;
  p->op.verb = STORE_DELETE;
  p->op.must_be_absent = true;
  p->op.must_be_present = true;
  return submit(s, p, req);
}

static size_t count_slashes(copal_span key)
{
  size_t n = 0;
  for (size_t i = 0; i < key.len; i++)
    n += key.ptr[i] == '/';
  return n;
}

/* The path of a new child, with a name drawn: the collection's path, a slash, the name. */
static bool keep_child_key(pending *p, const handler_req *req)
{
  copal_span parent = req->key;
  if (parent.ptr[parent.len - 1] == '/')
    parent.len--; /* "/" and "/a/" end in an empty segment, which the name fills */
  p->key.len = parent.len + 1 + NAME_LEN;
  p->key.ptr = malloc(p->key.len);
  if (p->key.ptr == NULL)
    return false;
  if (parent.len > 0)
    memcpy(p->key.ptr, parent.ptr, parent.len);
  p->key.ptr[parent.len] = '/';
  draw_name(req->env->entropy, p->key.ptr + parent.len + 1);
  p->op.key = copal_span_of(p->key.ptr, p->key.len);
  return true;
}

static int on_post(resources *s, const handler_req *req, const ask *a)
{
  problem why;
  copal_span attrs;
  attrs_lifetime lt;
  store_item item;
  const store_status found = store_get(req->env->store, req->key, &item, req->now);
  if (found == STORE_FAILED)
    return refuse_damaged(req);
  if (!ask_holds(a, found == STORE_OK ? &item : NULL)) {
    problem_of_status(s, &why, STORE_PRECONDITION);
    return refuse_unless_done(s, req, a, &why);
  }
  if (req->key.len + 1 + NAME_LEN > req->env->limits->key_max ||
      count_slashes(req->key) >= SEGMENTS_MAX)
    return problem_reply(req, COPAL_CODE_BAD_REQUEST, "The path is too long for a child");
  if (!query_attrs(req, &attrs, &why) || !attrs_read_lifetime(req->coap->msg->options, &lt, &why))
    return refuse(req, &why);
  pending *p = begin(s, req, a);
  if (p == NULL)
    return refuse_busy(s, req);
  if (!keep_child_key(p, req) || !pending_keep(&p->body, req->coap->msg->payload) ||
      !pending_keep(&p->attrs, attrs)) {
    pending_give(p);
    return refuse_busy(s, req);
  }
  p->finish = finish_post;
  p->op.verb = STORE_PUT;
  p->op.must_be_absent = true;
  p->op.lifetime_s = lt.seconds;
  p->op.body = copal_span_of(p->body.ptr, p->body.len);
  p->op.attrs = copal_span_of(p->attrs.ptr, p->attrs.len);
  return submit(s, p, req);
}

/* ------------------------------------------------------------------------------------------------
 * PATCH and iPATCH */

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
                   .now = now_of(p)};
  problem why;
  resources *s = p->service;
  if (!patch_compute(&run, &why)) {
    answer_problem(p, &why);
    return;
  }
  if (++p->tries == TRIES_MAX || run.item.rev == failed_at) {
    free(run.body.ptr);
    count_up(s, &s->counts.patch_lost);
    problem_set_unavailable(&why, s->cfg.retry_s, "The resource is being changed; try again");
    answer_problem(p, &why);
    return;
  }
  count_up(s, &s->counts.patch_retries);
  patch_op(p, &run);
  resubmit(p);
  free(run.body.ptr);
}

static void finish_patch(pending *p, const store_result *result)
{
  if (result->status == STORE_PRECONDITION)
    patch_again(p, p->op.must_be_rev);
  else
    finish_put(p, result);
}

static int on_patch(resources *s, const handler_req *req, const ask *a)
{
  patch_run run = {.env = req->env,
                   .ask = a,
                   .key = req->key,
                   .document = req->coap->msg->payload,
                   .now = req->now};
  problem why;
  if (!patch_compute(&run, &why))
    return refuse_unless_done(s, req, a, &why);
  pending *p = begin(s, req, a);
  if (p == NULL || !pending_keep(&p->key, run.key) || !pending_keep(&p->body, run.document)) {
    free(run.body.ptr);
    if (p != NULL)
      pending_give(p);
    return refuse_busy(s, req);
  }
  p->finish = finish_patch;
  p->op.key = copal_span_of(p->key.ptr, p->key.len);
  patch_op(p, &run);
  const int err = submit(s, p, req);
  free(run.body.ptr);
  return err;
}

/* ------------------------------------------------------------------------------------------------
 * requests */

static bool is_read(const handler_req *req)
{
  return copal_code_is_safe(req->coap->msg->code);
}

static bool body_is_acceptable(const handler_req *req, problem *why)
{
  const uint32_t limit = req->env->limits->body_max;
  if (req->coap->msg->payload.len > limit) {
    problem_set_too_large(why, limit);
    return false;
  }
  return true;
}

static int dispatch(resources *s, const handler_req *req, const ask *a)
{
  switch (req->coap->msg->code) {
  case COPAL_CODE_GET: return on_get(s, req, a);
  case COPAL_CODE_FETCH: return on_fetch(s, req, a);
  case COPAL_CODE_PUT: return on_put(s, req, a);
  case COPAL_CODE_POST: return on_post(s, req, a);
  case COPAL_CODE_DELETE: return on_delete(s, req, a);
  case COPAL_CODE_PATCH:
  case COPAL_CODE_IPATCH: return on_patch(s, req, a);
  default:
    return problem_reply(req, COPAL_CODE_METHOD_NOT_ALLOWED,
                         "Methods here: GET, PUT, POST, DELETE, FETCH, PATCH, iPATCH");
  }
}

static bool is_known_method(copal_code code)
{
  return code >= COPAL_CODE_GET && code <= COPAL_CODE_IPATCH;
}

/* True when carrying the request out twice would not be the same as once. What only replaces or
 * removes is harmless. RFC 7252 sections 4.5 and 5.1. */
static bool is_named(const handler_req *req, const ask *a)
{
  switch (req->coap->msg->code) {
  case COPAL_CODE_POST:
  case COPAL_CODE_PATCH:
  case COPAL_CODE_IPATCH: return true;
  case COPAL_CODE_PUT:
  case COPAL_CODE_DELETE: return a->if_match || a->if_none_match;
  }
  return false;
}

/* A request whose body is there as a whole; `message` is what came of it last. */
static int on_whole(resources *s, const handler_req *req, const handler_req *message)
{
  ask a;
  problem why;
  if (!body_is_acceptable(req, &why) || !ask_parse(&a, req->coap, &why))
    return refuse(req, &why);
  if (is_named(req, &a))
    a.id = opids_name(s->opids, message);
  if (!is_read(req) && ask_is_hopeless(&a))
    return refuse_condition(req);
  return dispatch(s, req, &a);
}

/* Why a block is not taken. RFC 7959 section 2.9. */
static void problem_of_block(const resources *s, const handler_req *req, int err, problem *why)
{
  switch (err) {
  case COPAL_ETOOBIG: problem_set_too_large(why, req->env->limits->body_max); break;
  case COPAL_EINCOMPLETE:
    problem_set(why, COPAL_CODE_REQUEST_ENTITY_INCOMPLETE,
                "Blocks before this one are missing; begin again with the first");
    break;
  case COPAL_EBLOCK:
    problem_set(why, COPAL_CODE_BAD_REQUEST, "The payload does not fill its block");
    break;
  default:
    problem_set_unavailable(why, s->cfg.retry_s, "No room for the blocks; try again later");
    break;
  }
}

static int refuse_block(const resources *s, const handler_req *req, int err)
{
  problem why;
  problem_of_block(s, req, err, &why);
  return refuse(req, &why);
}

/* The last block of a body whose others are not here: perhaps they were, before a crash. */
static int on_late_block(resources *s, const handler_req *req)
{
  ask a;
  problem why;
  if (!ask_parse(&a, req->coap, &why) || !is_named(req, &a))
    return refuse_block(s, req, COPAL_EINCOMPLETE);
  a.id = opids_name(s->opids, req);
  problem_of_block(s, req, COPAL_EINCOMPLETE, &why);
  return refuse_unless_done(s, req, &a, &why);
}

/* One block of a body: the last one has the request carried out. */
static int on_block(resources *s, const handler_req *req)
{
  upload *whole;
  copal_span body;
  const int err = uploads_take(s->uploads, req, &whole, &body);
  if (err == COPAL_EINCOMPLETE && !req->coap->block1.more)
    return on_late_block(s, req);
  if (err < 0)
    return refuse_block(s, req, err);
  if (whole == NULL) {
    const reply r = reply_to(req);
    return reply_send(&r, &(copal_response){.code = COPAL_CODE_CONTINUE});
  }
  copal_msg msg = *req->coap->msg;
  copal_req coap = *req->coap;
  handler_req assembled = *req;
  msg.payload = body;
  coap.msg = &msg;
  assembled.coap = &coap;
  const int result = on_whole(s, &assembled, req);
  upload_forget(s->uploads, whole);
  return result;
}

/* The same for Q-Block1, whose blocks come in any order. */
static int on_qblock(resources *s, const handler_req *req)
{
  qbody *whole;
  copal_span body;
  handler_note *note;
  const int err = qbodies_take(s->qbodies, req, &whole, &body, &note);
  if (err < 0 && err != COPAL_EPENDING)
    return refuse_block(s, req, err);
  if (whole == NULL)
    return err;
  copal_msg msg = *req->coap->msg;
  copal_req coap = *req->coap;
  handler_req assembled = *req;
  msg.payload = body;
  coap.msg = &msg;
  assembled.coap = &coap;
  assembled.note = note;
  const int result = on_whole(s, &assembled, req);
  qbody_handled(whole, result);
  return result;
}

static int resources_on_request(service *base, const handler_req *req)
{
  resources *s = (resources *)base;
  const copal_code code = req->coap->msg->code;
  if (!is_known_method(code))
    return dispatch(s, req, NULL);
  if (!is_read(req) && copal_span_is_equal(req->key, copal_span_str("/.well-known/core")))
    return problem_reply(req, COPAL_CODE_METHOD_NOT_ALLOWED,
                         "/.well-known/core is made by the server; it can only be read");
  if (req->key.len > req->env->limits->key_max)
    return problem_reply(req, COPAL_CODE_BAD_REQUEST, "Path too long: at most %u bytes",
                         (unsigned)req->env->limits->key_max);
  const bool is_part =
      req->coap->has_block1 && (req->coap->block1.num != 0 || req->coap->block1.more);
  if (!is_part)
    return on_whole(s, req, req);
  return req->coap->is_qblock1 ? on_qblock(s, req) : on_block(s, req);
}

static size_t resources_count(service *base, service_count out[SERVICE_COUNT_MAX])
{
  const resources_counts c = resources_counts_now(base);
  const uploads_counts u = uploads_counts_now(((resources *)base)->uploads);
  const qbodies_counts q = qbodies_counts_now(((resources *)base)->qbodies);
  const registrations_counts r = registrations_counts_now(((resources *)base)->registrations);
  const service_count counts[] = {
      {"pending_refused", c.pending_refused},
      {"patch_retries", c.patch_retries},
      {"patch_lost", c.patch_lost},
      {"name_retries", c.name_retries},
      {"operations_repeated", c.repeats},
      {"operations_unnamed", c.unnamed},
      {"uploads_open", u.open},
      {"upload_bytes", u.bytes},
      {"uploads_finished", u.finished},
      {"uploads_broken", u.broken},
      {"uploads_expired", u.expired},
      {"uploads_evicted", u.evicted},
      {"uploads_failed", u.failed},
      {"qblock_bodies_open", q.open},
      {"qblock_body_bytes", q.bytes},
      {"qblock_bodies_finished", q.finished},
      {"qblock_bodies_incomplete", q.incomplete},
      {"qblock_bodies_expired", q.expired},
      {"qblock_bodies_evicted", q.evicted},
      {"qblock_bodies_failed", q.failed},
      {"qblock_blocks_repeated", q.repeated},
      {"qblock_blocks_beyond", q.beyond},
      {"registrations_saved", r.saved},
      {"registrations_removed", r.removed},
      {"registrations_unsaved", r.unsaved},
      {"registrations_waiting", r.waiting},
      {"registrations_restored", r.restored},
      {"registrations_renewed", r.renewed},
      {"registrations_refused", r.refused},
      {"registrations_dangling", r.dangling},
      {"shards_restoring", r.restoring},
  };
  _Static_assert(sizeof counts / sizeof counts[0] <= SERVICE_COUNT_MAX, "room for each counter");
  memcpy(out, counts, sizeof counts);
  return sizeof counts / sizeof counts[0];
}

static void resources_on_start(service *base, const handler_env *env, copal_time now)
{
  resources *s = (resources *)base;
  opids_start(s->opids, env, now);
  (void)registrations_start(s->registrations, env, s->restorer, now);
}

static void resources_on_stop(service *base, const handler_env *env, copal_time now)
{
  registrations_stop(((resources *)base)->registrations, env, now);
}

static void close_parts(resources *s)
{
  pendings_close(s->pendings);
  subjects_close(s->subjects);
  registrations_close(s->registrations);
  opids_close(s->opids);
  uploads_close(s->uploads);
  qbodies_close(s->qbodies);
}

static void resources_close(service *base)
{
  resources *s = (resources *)base;
  close_parts(s);
  pthread_mutex_destroy(&s->counts_lock);
  free(s);
}

static bool open_parts(resources *s)
{
  s->pendings = pendings_open(s->cfg.shard_max, s->cfg.pending_max);
  s->subjects = subjects_open();
  s->registrations = registrations_open(s->cfg.shard_max);
  s->opids = opids_open();
  s->uploads = uploads_open(&s->cfg.uploads);
  s->qbodies = qbodies_open(&s->cfg.qbodies);
  return s->pendings != NULL && s->subjects != NULL && s->registrations != NULL &&
         s->opids != NULL && s->uploads != NULL && s->qbodies != NULL;
}

service *resources_open(const resources_cfg *cfg)
{
  resources *s = calloc(1, sizeof *s);
  if (s == NULL)
    return NULL;
  if (cfg != NULL)
    s->cfg = *cfg;
  if (s->cfg.pending_max == 0)
    s->cfg.pending_max = PENDING_MAX_DEFAULT;
  if (s->cfg.shard_max == 0)
    s->cfg.shard_max = SHARD_MAX_DEFAULT;
  if (s->cfg.retry_s == 0)
    s->cfg.retry_s = RETRY_S_DEFAULT;
  if (!open_parts(s)) {
    close_parts(s);
    free(s);
    return NULL;
  }
  s->restorer = subjects_keep(s->subjects, s->registrations);
  pthread_mutex_init(&s->counts_lock, NULL);
  s->base = (service){.name = "resources",
                      .on_request = resources_on_request,
                      .on_start = resources_on_start,
                      .on_stop = resources_on_stop,
                      .count = resources_count,
                      .close = resources_close};
  return &s->base;
}

resources_counts resources_counts_now(service *base)
{
  resources *s = (resources *)base;
  pthread_mutex_lock(&s->counts_lock);
  const resources_counts counts = s->counts;
  pthread_mutex_unlock(&s->counts_lock);
  return counts;
}
