/* SPDX-License-Identifier: Apache-2.0 */
/* Resources: GET, PUT, POST, DELETE of RFC 7252 section 5.8, FETCH, PATCH and iPATCH of RFC 8132.
 * Changes go through the store; their answers leave when it has them. */
#include "service/resources.h"

#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "service/resources_inside.h"

enum {
  PENDING_MAX_DEFAULT = 1024,
  SHARD_MAX_DEFAULT = 64,
  RETRY_S_DEFAULT = 1,
};

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
  case COPAL_CODE_GET: return reading_on_get(s, req, a);
  case COPAL_CODE_FETCH: return reading_on_fetch(s, req, a);
  case COPAL_CODE_PUT: return replacing_on_put(s, req, a);
  case COPAL_CODE_POST: return posting_on_request(s, req, a);
  case COPAL_CODE_DELETE: return replacing_on_delete(s, req, a);
  case COPAL_CODE_PATCH:
  case COPAL_CODE_IPATCH: return patching_on_request(s, req, a);
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

/* What is known of a body that came in blocks. */
typedef struct blocks {
  lender *body;        /* who has it */
  bool must_be_absent; /* If-None-Match came with a block before the last */
  bool has_format;     /* the body came with a request before, and this Content-Format */
  uint16_t format;
} blocks;

/* A request whose body is there as a whole; `message` is what came of it last, `b` is about the
 * body when it came in blocks. */
static int on_whole(resources *s, const handler_req *req, const handler_req *message, blocks b)
{
  ask a;
  problem why;
  if (!body_is_acceptable(req, &why) || !ask_parse(&a, req->coap, &why))
    return resources_refuse(req, &why);
  a.body = b.body;
  a.if_none_match |= b.must_be_absent;
  if (b.has_format)
    a.content_format = b.format;
  if (is_named(req, &a))
    a.id = opids_name(s->opids, message);
  if (!is_read(req) && ask_is_hopeless(&a))
    return resources_refuse_condition(req);
  return dispatch(s, req, &a);
}

/* Why a block is not taken. RFC 7959 section 2.9. */
static void problem_of_block(const resources *s, const handler_req *req, int err, problem *why)
{
  switch (err) {
  case COPAL_ETOOBIG: problem_set_too_large(why, req->env->limits->body_max); break;
  case COPAL_EINCOMPLETE:
    problem_set(why, COPAL_CODE_REQUEST_ENTITY_INCOMPLETE,
                "Blocks before this one are missing, or of another body; begin again with the "
                "first");
    break;
  case COPAL_EBLOCK:
    problem_set(why, COPAL_CODE_BAD_REQUEST, "The payload does not fit its block");
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
  return resources_refuse(req, &why);
}

/* The last block of a body whose others are not here: perhaps they were, before a crash. Whether
 * the change had a condition, its first block alone may have said. */
static int on_late_block(resources *s, const handler_req *req)
{
  ask a;
  problem why;
  if (is_read(req) || !ask_parse(&a, req->coap, &why))
    return refuse_block(s, req, COPAL_EINCOMPLETE);
  a.id = opids_name(s->opids, req);
  problem_of_block(s, req, COPAL_EINCOMPLETE, &why);
  return change_refuse_unless_done(s, req, &a, &why);
}

/* True when the first block of a body says under which conditions all of it is to be taken, and
 * they do not hold: there is no need to send the others. */
static bool is_in_vain(const handler_req *req)
{
  ask a;
  problem why;
  store_item item;
  if (is_read(req) || req->coap->block1.num != 0 || !ask_parse(&a, req->coap, &why) ||
      !(a.if_match || a.if_none_match))
    return false;
  const store_status found = store_get(req->env->store, req->key, &item, req->now);
  return (found == STORE_OK || found == STORE_ABSENT) &&
         !ask_holds(&a, found == STORE_OK ? &item : NULL);
}

/* One block of a body: the last one has the request carried out. */
static int on_block(resources *s, const handler_req *req)
{
  upload *whole;
  copal_span body;
  if (is_in_vain(req))
    return resources_refuse_condition(req);
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
  const blocks b = {.body = upload_lender(whole), .must_be_absent = upload_must_be_absent(whole)};
  const int result = on_whole(s, &assembled, req, b);
  upload_forget(whole);
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
  const int result = on_whole(s, &assembled, req, (blocks){.body = qbody_lender(whole)});
  qbody_handled(whole, result);
  return result;
}

/* A further block of the answer to what was asked before. RFC 7959 section 2.7. */
static int on_further(resources *s, const handler_req *req)
{
  copal_msg msg = *req->coap->msg;
  copal_req coap = *req->coap;
  handler_req whole = *req;
  blocks b = {.has_format = true};
  const int err = questions_recall(s->questions, req, &msg.payload, &b.format);
  if (err < 0)
    return refuse_block(s, req, err);
  coap.msg = &msg;
  whole.coap = &coap;
  return on_whole(s, &whole, req, b);
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
  if (questions_is_further(req))
    return on_further(s, req);
  const copal_block b = req->coap->block1;
  const bool is_part =
      req->coap->has_block1 &&
      (b.num != 0 || b.more || req->coap->msg->payload.len > copal_block_size(b.szx));
  if (!is_part)
    return on_whole(s, req, req, (blocks){.body = NULL});
  return req->coap->is_qblock1 ? on_qblock(s, req) : on_block(s, req);
}

static size_t resources_count(service *base, service_count out[SERVICE_COUNT_MAX])
{
  const resources_counts c = resources_counts_now(base);
  const uploads_counts u = uploads_counts_now(((resources *)base)->uploads);
  const qbodies_counts q = qbodies_counts_now(((resources *)base)->qbodies);
  const questions_counts f = questions_counts_now(((resources *)base)->questions);
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
      {"questions_open", f.open},
      {"questions_recalled", f.recalled},
      {"questions_missing", f.missing},
      {"questions_evicted", f.evicted},
      {"questions_failed", f.failed},
      {"registrations_saved", r.saved},
      {"registrations_removed", r.removed},
      {"registrations_unsaved", r.unsaved},
      {"registrations_waiting", r.waiting},
      {"registrations_restored", r.restored},
      {"registrations_renewed", r.renewed},
      {"registrations_refused", r.refused},
      {"registrations_disallowed", r.disallowed},
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
  questions_close(s->questions);
}

static void resources_close(service *base)
{
  resources *s = (resources *)base;
  close_parts(s);
  linkmemo_wipe(&s->histories);
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
  s->questions = questions_open(&s->cfg.questions);
  return s->pendings != NULL && s->subjects != NULL && s->registrations != NULL &&
         s->opids != NULL && s->uploads != NULL && s->qbodies != NULL && s->questions != NULL;
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
  linkmemo_init(&s->histories);
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
