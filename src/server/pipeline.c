/* SPDX-License-Identifier: Apache-2.0 */
/* What happens between the endpoint and a service. Thread: the shard's only. RFC 7252 sections
 * 5.10.1 and 6.5. */
#include "server/pipeline.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "copal/registry.h"
#include "server/key.h"

/* Answers with an error code and a diagnostic payload, RFC 7252 section 5.5.2. */
static int answer(pipeline *p, copal_code code, const char *text, copal_time now)
{
  const copal_response r = {.code = code, .payload = copal_span_str(text)};
  return copal_ep_respond(p->env.ep, &r, now);
}

/* Host names compare without regard to case. RFC 7252 section 6.3. */
static bool is_served_host(const pipeline *p, copal_span options)
{
  copal_span host;
  if (p->names.count == 0 || !copal_opt_find(options, COPAL_OPT_URI_HOST, &host))
    return true;
  for (size_t i = 0; i < p->names.count; i++)
    if (strlen(p->names.items[i]) == host.len &&
        strncasecmp(p->names.items[i], (const char *)host.ptr, host.len) == 0)
      return true;
  return false;
}

/* Writes the canonical path of a request into memory of the arena. Returns COPAL_OK, COPAL_ENOSLOT
 * when the arena is spent, COPAL_ENOSPC when the path is longer than allowed, or COPAL_EURI when it
 * has a dot segment. */
static int make_key(pipeline *p, copal_span options, copal_span *key)
{
  const size_t room = key_room(options.len);
  uint8_t *buf = arena_take(&p->arena, room);
  if (buf == NULL)
    return COPAL_ENOSLOT;
  copal_wr w = copal_wr_init((copal_mspan){buf, room});
  const int rc = key_write(&w, options);
  if (rc < 0)
    return rc;
  *key = copal_wr_done(&w);
  return key->len > p->limits.key_max ? COPAL_ENOSPC : COPAL_OK;
}

static int answer_bad_key(pipeline *p, int why, copal_time now)
{
  if (why == COPAL_EURI)
    return answer(p, COPAL_CODE_BAD_REQUEST, "Uri-Path is a dot segment", now);
  if (why == COPAL_ENOSPC) {
    char text[64];
    snprintf(text, sizeof text, "Path longer than %u bytes", (unsigned)p->limits.key_max);
    p->stats.long_paths++;
    return answer(p, COPAL_CODE_BAD_REQUEST, text, now);
  }
  p->stats.no_memory++;
  return why;
}

/* Nobody of a group is told of a refusal. RFC 7252 section 8.2. */
static int answer_refusal(pipeline *p, const copal_req *req, copal_code code, copal_time now)
{
  if ((req->path->flags & COPAL_PATH_GROUP) != 0)
    return COPAL_OK;
  return answer(p, code,
                code == COPAL_CODE_UNAUTHORIZED ? "Who asks is not known; authentication is needed"
                                                : "Not allowed",
                now);
}

/* RFC 9175 section 2.3: the client repeats the request with the value. */
static int answer_doubt(pipeline *p, const copal_req *req, copal_time now)
{
  uint8_t echo[COPAL_ECHO_SIZE];
  if (p->echo == NULL)
    return answer(p, COPAL_CODE_UNAUTHORIZED, "The session is in doubt; make a new one", now);
  p->echo->challenge(p->echo, req->path, echo, now);
  const copal_opt opt = {COPAL_OPT_ECHO, copal_span_of(echo, sizeof echo)};
  const copal_response r = {.code = COPAL_CODE_UNAUTHORIZED, .opts = &opt, .opt_count = 1};
  p->stats.doubted++;
  return copal_ep_respond(p->env.ep, &r, now);
}

/* RFC 8516 section 3. Without a payload, so that it goes to unverified sources too. */
static int answer_too_many(pipeline *p, const copal_req *req, uint32_t wait_s, copal_time now)
{
  if ((req->path->flags & COPAL_PATH_GROUP) != 0)
    return COPAL_OK;
  copal_opt opts[1];
  uint8_t uints[1][4];
  copal_opt_list list = copal_opt_list_init(opts, uints, 1);
  copal_opt_list_add_uint(&list, COPAL_OPT_MAX_AGE, wait_s);
  const copal_response r = {
      .code = COPAL_CODE_TOO_MANY_REQUESTS, .opts = list.opts, .opt_count = list.count};
  return copal_ep_respond(p->env.ep, &r, now);
}

static int serve(pipeline *p, const copal_req *req, const admission_asker *who, copal_span key,
                 copal_time now)
{
  service *s = router_find(p->router, key);
  if (s == NULL) {
    p->stats.no_routes++;
    return answer(p, COPAL_CODE_NOT_FOUND, "No such resource", now);
  }
  p->stats.requests++;
  const audit_request told = {who->id, req->path, req->msg->code, key};
  /* A body in a set of blocks has a note of its own, and most of its requests no answer. */
  handler_note *note = req->is_qblock1 ? NULL : audit_follow(&p->admission.audit, &told);
  handler_proof proof = {
      .who = who->id->serial, .configuration = p->configuration, .over = who->over};
  const bool is_provable = req->wants_proof && !p->admission.is_limited;
  const handler_req request = {.env = &p->env,
                               .coap = req,
                               .arena = &p->arena,
                               .key = key,
                               .now = now,
                               .note = note,
                               .proof = is_provable ? &proof : NULL,
                               .who = who->id,
                               .over = who->over};
  const int rc = s->on_request(s, &request);
  if (rc != COPAL_EPENDING)
    audit_forget(&p->admission.audit, note);
  return rc;
}

/* Who may not observe is answered once. RFC 7641 section 4.1. */
static int serve_as_allowed(pipeline *p, const copal_req *req, const admission_asker *who,
                            copal_span key, copal_time now)
{
  if (!req->wants_observe || admission_may_observe(&p->admission, who, key))
    return serve(p, req, who, key, now);
  copal_req once = *req;
  once.wants_observe = false;
  return serve(p, &once, who, key, now);
}

static int admit(pipeline *p, const copal_req *req, const admission_asker *who, copal_time now)
{
  if (!is_served_host(p, req->msg->options)) {
    p->stats.foreign_hosts++;
    return answer(p, COPAL_CODE_NOT_FOUND, "Host not served here", now);
  }
  copal_span key;
  const int rc = make_key(p, req->msg->options, &key);
  if (rc < 0)
    return answer_bad_key(p, rc, now);
  const copal_code refusal = admission_judge(&p->admission, req, who, key, now);
  if (refusal != 0)
    return answer_refusal(p, req, refusal, now);
  if (admission_is_doubtful(&p->admission, req))
    return answer_doubt(p, req, now);
  return serve_as_allowed(p, req, who, key, now);
}

static int pipeline_on_request(copal_server *hook, copal_ep *ep, const copal_req *req,
                               copal_time now)
{
  pipeline *p = (pipeline *)hook;
  (void)ep;
  const admission_asker who = admission_asker_of(&p->admission, req->path);
  const uint32_t wait_s = admission_wait(&p->admission, req, &who, now);
  const int rc = wait_s > 0 ? answer_too_many(p, req, wait_s, now) : admit(p, req, &who, now);
  arena_reset(&p->arena);
  return rc;
}

/* Who asks was let in when the answer was made, by the same rules. Nobody's requests are counted,
 * or there were no proof. */
static bool pipeline_is_current(copal_server *hook, const copal_path *path, copal_span bytes,
                                copal_time now)
{
  pipeline *p = (pipeline *)hook;
  const handler_proof *proof = (const handler_proof *)(const void *)bytes.ptr;
  if (proof->configuration != p->configuration || now >= proof->until)
    return false;
  const admission_asker who = admission_asker_of(&p->admission, path);
  return who.id->serial == proof->who && who.over == proof->over &&
         store_is_unchanged(p->env.store, &proof->stamp);
}

int pipeline_init(pipeline *p, const conf *c, const router *r, store_port *port,
                  copal_entropy *entropy)
{
  memset(p, 0, sizeof *p);
  p->hook.on_request = pipeline_on_request;
  p->hook.is_current = pipeline_is_current;
  p->limits = c->limits;
  p->env = (handler_env){.store = port, .entropy = entropy, .limits = &p->limits};
  p->router = r;
  int rc = conf_strings_copy(&p->names, &c->names);
  if (rc == COPAL_OK)
    rc = arena_init(&p->arena, c->request_memory);
  if (rc == COPAL_OK) {
    const admission_cfg admitted = conf_admission(c);
    rc = admission_init(&p->admission, &admitted);
    p->env.gate = p->admission.gate;
  }
  if (rc < 0)
    pipeline_wipe(p);
  return rc;
}

void pipeline_reload(pipeline *p, const handler_limits *limits, conf_strings names,
                     const admission_cfg *admitted, copal_time now)
{
  p->configuration++;
  p->limits = *limits;
  conf_strings_wipe(&p->names);
  p->names = names;
  admission_reload(&p->admission, admitted, p->env.ep, now);
}

void pipeline_wipe(pipeline *p)
{
  conf_strings_wipe(&p->names);
  admission_wipe(&p->admission);
  arena_wipe(&p->arena);
}
