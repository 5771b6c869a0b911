/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a request is let in. Thread: the shard's only. */
#include "server/admission.h"

#include <string.h>

#include "copal/error.h"
#include "copal/registry.h"

static const identity nobody = {.kind = IDENTITY_ANONYMOUS};

admission_asker admission_asker_of(const admission *a, const copal_path *path)
{
  if ((path->flags & COPAL_PATH_SECURE) == 0)
    return (admission_asker){&nobody, ACCESS_PLAIN};
  if (a->sessions == NULL || a->people == NULL)
    return (admission_asker){&nobody, ACCESS_SESSION};
  return (admission_asker){identity_of(a->people, a->sessions->identity(a->sessions, path)),
                           ACCESS_SESSION};
}

static audit_request told(const copal_req *req, const admission_asker *who, copal_span key)
{
  return (audit_request){who->id, req->path, req->msg->code, key};
}

static bool is_group(const copal_req *req)
{
  return (req->path->flags & COPAL_PATH_GROUP) != 0;
}

uint32_t admission_wait(admission *a, const copal_req *req, const admission_asker *who,
                        copal_time now)
{
  if (!a->is_limited)
    return 0;
  const uint32_t wait = rate_take(a->rate, req->path, who->id, now);
  if (wait > 0) {
    const audit_request r = told(req, who, copal_span_none());
    a->stats.group_refused += is_group(req);
    audit_refused(&a->audit, "rate_refused", &r, COPAL_CODE_TOO_MANY_REQUESTS, 0, now);
  }
  return wait;
}

/* Who has not said who they are may do so; who has is not let in. RFC 7252 sections 5.9.2.2 and
 * 5.9.2.4. */
static copal_code refusal_of(const identity *id)
{
  return id->kind == IDENTITY_ANONYMOUS ? COPAL_CODE_UNAUTHORIZED : COPAL_CODE_FORBIDDEN;
}

copal_code admission_judge(admission *a, const copal_req *req, const admission_asker *who,
                           copal_span key, copal_time now)
{
  const unsigned right = access_right_of(req->msg->code);
  const access_verdict v = access_gate_judge(a->gate, who->id, who->over, right, key);
  if (v.is_allowed)
    return 0;
  const copal_code code = refusal_of(who->id);
  const audit_request r = told(req, who, key);
  if (is_group(req))
    a->stats.group_refused++;
  else if (code == COPAL_CODE_UNAUTHORIZED)
    a->stats.unauthorized++;
  else
    a->stats.forbidden++;
  audit_refused(&a->audit, "access_refused", &r, code, v.line, now);
  return code;
}

bool admission_is_doubtful(const admission *a, const copal_req *req)
{
  return (req->path->flags & COPAL_PATH_STALE) != 0 && !copal_code_is_safe(req->msg->code) &&
         a->sessions != NULL && a->sessions->is_stale(a->sessions, req->path);
}

bool admission_may_observe(admission *a, const admission_asker *who, copal_span key)
{
  const bool may = access_gate_judge(a->gate, who->id, who->over, ACCESS_OBSERVE, key).is_allowed;
  a->stats.observe_denied += !may;
  return may;
}

admission_stats admission_stats_now(const admission *a)
{
  admission_stats stats = a->stats;
  if (a->rate != NULL)
    stats.rate = *rate_stats_now(a->rate);
  stats.audit_missed = a->audit.missed;
  return stats;
}

/* ------------------------------------------------------------------------------------------------
 * relations */

static copal_code review(copal_reviewer *hook, const copal_subject *subject, const copal_path *path,
                         copal_code method)
{
  admission *a = (admission *)hook;
  if (subject->key.len == 0)
    return 0; /* nothing that has a path */
  const admission_asker who = admission_asker_of(a, path);
  const unsigned right = access_right_of(method);
  if (access_gate_judge(a->gate, who.id, who.over, right, subject->key).is_allowed &&
      access_gate_judge(a->gate, who.id, who.over, ACCESS_OBSERVE, subject->key).is_allowed)
    return 0;
  a->stats.observe_ended++;
  return refusal_of(who.id);
}

/* ------------------------------------------------------------------------------------------------
 * opening, reloading and closing */

static void take_over(admission *a, const admission_cfg *cfg)
{
  a->audit.mode = cfg->audit;
  a->is_limited = cfg->rate.identity.per_second != 0 || cfg->rate.address.per_second != 0 ||
                  cfg->rate.prefix.per_second != 0;
}

int admission_init(admission *a, const admission_cfg *cfg)
{
  memset(a, 0, sizeof *a);
  a->reviewer.judge = review;
  a->gate = access_gate_open(cfg->rules);
  a->rate = rate_open(&cfg->rate);
  take_over(a, cfg);
  return a->gate != NULL && a->rate != NULL ? COPAL_OK : COPAL_ENOSPC;
}

void admission_reload(admission *a, const admission_cfg *cfg, copal_ep *ep, copal_time now)
{
  const bool has_changed = cfg->rules != access_gate_rules(a->gate);
  rate_reload(a->rate, &cfg->rate);
  take_over(a, cfg);
  if (!has_changed)
    return;
  access_gate_reload(a->gate, cfg->rules);
  copal_ep_review(ep, &a->reviewer, now);
}

void admission_wipe(admission *a)
{
  access_gate_close(a->gate);
  rate_close(a->rate);
  audit_wipe(&a->audit);
  a->gate = NULL;
  a->rate = NULL;
}
