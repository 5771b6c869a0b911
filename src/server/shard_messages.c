/* SPDX-License-Identifier: Apache-2.0 */
/* What other threads ask of a shard. */
#include <stdlib.h>
#include <string.h>

#include "server/clock.h"
#include "server/shard_inside.h"

/* Messages that run in one go: as many observers with terms of their own are told of a change at
 * once as those that share a subject. */
enum { MESSAGES_MAX = 256 };

typedef struct reload_msg {
  shard_msg head; /* first */
  handler_limits limits;
  log_level level;
  conf_strings names;
  admission_cfg admitted; /* its rules are held */
  secure_limits secure;
} reload_msg;

static void run_metrics(shard_msg *m, shard *s)
{
  (void)m;
  shard_report_to_main(s, &s->metrics_report, SHARD_HAS_METRICS);
}

static void run_drain(shard_msg *m, shard *s)
{
  s->now = clock_now();
  s->drain_until = s->now + ((drain_msg *)m)->timeout;
  if (s->state == SHARD_SERVING)
    s->state = SHARD_DRAINING;
  else if (s->state == SHARD_YIELDING || s->state == SHARD_YIELDED)
    s->state = SHARD_PARTING;
}

/* What arrives from here on waits in the sockets for the successor. */
static void run_yield(shard_msg *m, shard *s)
{
  if (s->state != SHARD_SERVING)
    return;
  s->now = clock_now();
  s->drain_until = s->now + ((drain_msg *)m)->timeout;
  s->state = SHARD_YIELDING;
  for (int i = 0; i < udp_count(s->udp); i++) {
    pollset_remove(&s->pollset, SHARD_POLLS_SOCKETS + (uint32_t)i);
    s->is_ready[i] = false;
  }
  s->ready_count = 0;
}

static void run_reload(shard_msg *m, shard *s)
{
  reload_msg *r = (reload_msg *)m;
  s->log.level = r->level;
  s->now = clock_now();
  pipeline_reload(&s->pipeline, &r->limits, r->names, &r->admitted, s->now);
  access_release(r->admitted.rules);
  secure_reload(s->secure, &r->secure);
  explicit_bzero(&r->secure, sizeof r->secure);
  free(r);
}

bool shard_run_messages(shard *s)
{
  shard_msg *m;
  int count = 0;
  while (count < MESSAGES_MAX && (m = mailbox_take(s->mailbox)) != NULL) {
    m->run(m, s);
    count++;
  }
  s->has_mail = count == MESSAGES_MAX;
  return count > 0;
}

int shard_post(shard *s, shard_msg *m)
{
  return mailbox_post(s->mailbox, m);
}

int shard_ask_metrics(shard *s)
{
  s->ask_metrics.run = run_metrics;
  return shard_post(s, &s->ask_metrics);
}

int shard_reload(shard *s, const conf *c)
{
  reload_msg *m = calloc(1, sizeof *m);
  if (m == NULL)
    return COPAL_ENOSPC;
  m->head.run = run_reload;
  m->limits = c->limits;
  m->level = c->log_level;
  m->admitted = conf_admission(c);
  secure_limits_of(c, s->common->secure, &m->secure);
  access_hold(m->admitted.rules);
  int rc = conf_strings_copy(&m->names, &c->names);
  if (rc == COPAL_OK)
    rc = shard_post(s, &m->head);
  if (rc < 0) {
    conf_strings_wipe(&m->names);
    access_release(m->admitted.rules);
    explicit_bzero(&m->secure, sizeof m->secure);
    free(m);
  }
  return rc;
}

int shard_drain(shard *s, copal_dur timeout)
{
  s->drain = (drain_msg){{run_drain}, timeout};
  return shard_post(s, &s->drain.head);
}

int shard_yield(shard *s, copal_dur timeout)
{
  s->yield = (drain_msg){{run_yield}, timeout};
  return shard_post(s, &s->yield.head);
}

int shard_stop(shard *s)
{
  s->stop = (drain_msg){{run_drain}, 0};
  return shard_post(s, &s->stop.head);
}
