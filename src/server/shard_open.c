/* SPDX-License-Identifier: Apache-2.0 */
/* Making and ending a shard. Thread: the main thread, while the shard's does not run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/listener.h"
#include "server/shard_inside.h"
#include "transport/steer.h"

static void waker_wake(store_waker *w)
{
  mailbox_wake(((shard_waker *)w)->mailbox);
}

static identity_ref identity_behind(admission_sessions *hook, const copal_path *path)
{
  return secure_identity(((shard_sessions *)hook)->secure, path->session);
}

static bool is_session_stale(admission_sessions *hook, const copal_path *path)
{
  return secure_is_stale(((shard_sessions *)hook)->secure, path->session);
}

/* DTLS stands between sockets and endpoint when there is somebody to be served by it. */
static int open_secure(shard *s)
{
  const secure_parts parts = {.conf = s->common->conf,
                              .shared = s->common->secure,
                              .shard_count = s->common->count,
                              .shard = s,
                              .udp = s->udp,
                              .log = &s->log};
  s->now = clock_now();
  return parts.shared != NULL ? secure_open(&parts, &s->secure, s->now) : 0;
}

static int open_endpoint(shard *s)
{
  copal_ep_cfg cfg = conf_ep(s->common->conf, s->common->count);
  cfg.sink = s->secure != NULL ? secure_sink(s->secure) : udp_sink(s->udp);
  cfg.entropy = &s->entropy.hook;
  cfg.server = &s->pipeline.hook;
  cfg.sequence_base = s->common->sequence_base;
  if (s->common->conf->guard_is_on == CONF_ON) {
    const guard_cfg limits = conf_guard(s->common->conf);
    s->guard = guard_open(&limits);
    if (s->guard == NULL)
      return -ENOMEM;
    cfg.guard = guard_hook(s->guard);
    s->pipeline.echo = cfg.guard;
  }
  s->ep_size = copal_ep_size(&cfg);
  if (s->ep_size == 0)
    return -EINVAL;
  /* Pages that are never touched cost nothing, so the limits may be generous. */
  void *memory = mmap(NULL, s->ep_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return -errno;
  s->ep_memory = memory;
  s->now = clock_now();
  if (copal_ep_init((copal_mspan){memory, s->ep_size}, &cfg, &s->ep, s->now) < 0)
    return -EINVAL;
  if (s->secure != NULL) {
    secure_serve(s->secure, s->ep, s->guard, &s->pipeline.admission.reviewer);
    s->sessions = (shard_sessions){{identity_behind, is_session_stale}, s->secure};
    s->pipeline.admission.people = s->common->secure->people;
    s->pipeline.admission.sessions = &s->sessions.hook;
  }
  s->pipeline.env.ep = s->ep;
  s->pipeline.env.shard = s->index;
  s->pipeline.env.clock = &s->now;
  s->pipeline.admission.audit.log = &s->log;
  s->pipeline.admission.audit.clock = &s->now;
  s->seat = (fanout_seat){s->common->fanout, s->mailbox};
  s->pipeline.env.seat = &s->seat;
  s->timers = timers_open(s->now);
  if (s->timers == NULL)
    return -ENOMEM;
  s->pipeline.env.timers = timers_queue(s->timers);
  ways_init(&s->ways, s->udp, s->index, s->common->count);
  s->ways.sessions = secure_ways(s->secure);
  s->pipeline.env.message_max = s->common->conf->message;
  s->pipeline.env.reviewer = &s->pipeline.admission.reviewer;
  if (s->common->is_durable)
    s->pipeline.env.ways = &s->ways.hook;
  return 0;
}

/* In the order of SHARD_POLLS_... */
static int poll_inside(shard *s)
{
  const int rc = pollset_add(&s->pollset, mailbox_fd(s->mailbox));
  return rc < 0 ? rc : pollset_add(&s->pollset, s->alarm.fd) < 0 ? -ENOMEM : 0;
}

static int open_parts(shard *s)
{
  const conf *c = s->common->conf;
  /* Every observed resource may have a message under way: none of them may be refused. */
  const size_t watches = conf_ep(c, s->common->count).relation_count;
  int rc = mailbox_open(c->mailbox + watches, &s->mailbox);
  if (rc < 0)
    return rc;
  rc = alarm_open(&s->alarm);
  if (rc == 0)
    rc = poll_inside(s);
  if (rc == 0)
    rc = udp_open(&c->udp, &s->udp);
  if (rc < 0)
    return rc;
  s->waker = (shard_waker){{waker_wake}, s->mailbox};
  if (store_port_open(s->common->store, &s->waker.hook, &s->port) < 0)
    return -ENOMEM;
  if (pipeline_init(&s->pipeline, c, s->common->router, s->port, &s->entropy.hook) < 0)
    return -ENOMEM;
  rc = open_secure(s);
  return rc < 0 ? rc : open_endpoint(s);
}

int shard_open(const shard_common *common, uint32_t index, shard **out)
{
  shard *s = calloc(1, sizeof *s);
  if (s == NULL)
    return -ENOMEM;
  s->common = common;
  s->index = index;
  s->alarm.fd = -1;
  log_init(&s->log, common->log_fd, common->conf->log_level, common->conf->log_format);
  entropy_init(&s->entropy);
  const int rc = open_parts(s);
  if (rc < 0) {
    shard_close(s);
    return rc;
  }
  *out = s;
  return 0;
}

int shard_adopt(shard *s, int fd, uint32_t steered)
{
  const size_t count = (size_t)udp_count(s->udp) + 1;
  uint32_t *ready = realloc(s->ready, count * sizeof *ready);
  if (ready == NULL)
    return -ENOMEM;
  s->ready = ready;
  bool *is_ready = realloc(s->is_ready, count * sizeof *is_ready);
  if (is_ready == NULL)
    return -ENOMEM;
  s->is_ready = is_ready;
  s->is_ready[count - 1] = false;
  uint32_t *all = realloc(s->steered, count * sizeof *all);
  if (all == NULL)
    return -ENOMEM;
  s->steered = all;
  s->steered[count - 1] = steered;
  s->ways.steered = all;
  const int rc = pollset_add(&s->pollset, fd);
  if (rc < 0)
    return rc;
  return udp_adopt(s->udp, fd);
}

int shard_join(shard *s, int socket, const copal_addr *group, uint32_t interface)
{
  return udp_join(s->udp, socket, group, interface);
}

void shard_take_groups(shard *s, int socket, const udp_crowd *crowd)
{
  udp_take_groups(s->udp, socket, crowd);
}

int shard_start(shard *s)
{
  const int rc = pthread_create(&s->thread, NULL, shard_main, s);
  s->has_thread = rc == 0;
  return -rc;
}

void shard_wait(shard *s)
{
  if (s->has_thread)
    pthread_join(s->thread, NULL);
  s->has_thread = false;
}

void shard_close(shard *s)
{
  if (s == NULL)
    return;
  shard_wait(s);
  copal_ep_wipe(s->ep, clock_now());
  while (s->mailbox != NULL && shard_run_messages(s)) {
    /* those that are left own memory */
  }
  if (s->port != NULL)
    store_port_close(s->port);
  pipeline_wipe(&s->pipeline);
  timers_close(s->timers);
  secure_close(s->secure);
  udp_close(s->udp);
  if (s->ep_memory != NULL)
    munmap(s->ep_memory, s->ep_size);
  alarm_close(&s->alarm);
  pollset_wipe(&s->pollset);
  mailbox_close(s->mailbox);
  guard_close(s->guard);
  entropy_wipe(&s->entropy);
  free(s->ready);
  free(s->is_ready);
  free(s->steered);
  free(s);
}

copal_ep *shard_ep(shard *s)
{
  return s->ep;
}

int shard_secure_socket(shard *s, int socket, uint32_t place)
{
  return s->secure != NULL ? secure_add_socket(s->secure, socket, place) : -EINVAL;
}

secure *shard_secure(shard *s)
{
  return s->secure;
}

udp *shard_udp(shard *s)
{
  return s->udp;
}

handler_ways *shard_ways(shard *s)
{
  return &s->ways.hook;
}

copal_timerq *shard_timers(shard *s)
{
  return timers_queue(s->timers);
}

int shard_tell(shard *s, shard_report *r)
{
  r->shard = s;
  return mailbox_post(s->common->reports, r);
}

copal_time shard_now(const shard *s)
{
  return s->now;
}

uint32_t shard_rcvbuf(const shard *s)
{
  return udp_stats_now(s->udp)->rcvbuf;
}
