/* SPDX-License-Identifier: Apache-2.0 */
/* Closed loop of requests. Each of the outstanding requests has a slot; its number and a count of
 * its uses make the token, so that an answer is found without a search and a stale one is noticed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gauge.h"
#include "load.h"
#include "runs.h"

enum {
  EVENTS = 256,
  RECEIVES = 8, /* of one socket in a turn */
  TOKEN_LEN = 8,
  LOOK_EVERY_NS = 10000000,
};

static const uint64_t patience_ns = 1000000000;
static const uint64_t check_every_ns = 50000000;
static const uint64_t give_up_ns = UINT64_C(5000000000);

typedef struct slot {
  uint32_t lane;
  uint32_t use;
  uint64_t path;
  uint64_t sent_at;
  uint16_t mid;
  bool is_open;
  bool was_repeated; /* the use before this one */
  bool is_repeated;
} slot;

/* Requests of one length that are to leave by one socket. */
typedef struct run {
  uint8_t bytes[RUN_COUNT][FRAME_MAX];
  struct iovec iovs[RUN_COUNT];
  unsigned count;
  uint32_t lane;
} run;

typedef struct client {
  const load_cfg *cfg;
  load_result *result;
  lanes lanes;
  uint16_t *mids;
  slot *slots;
  uint32_t *idle; /* slots to be used again */
  uint32_t idle_count;
  uint32_t next_lane;
  uint32_t random;
  uint64_t issued;
  uint64_t answered; /* rightly */
  uint64_t settled;  /* rightly or not */
  uint64_t answered_at;
  bool is_ending;      /* no new requests */
  uint64_t paced_from; /* when the fixed rate began, and what had been issued by then */
  uint64_t paced_issued;
  uint8_t body[FRAME_MAX / 2];
  run run; /* with cfg->joins */
} client;

static uint32_t next_random(client *c)
{
  c->random ^= c->random << 13;
  c->random ^= c->random >> 17;
  c->random ^= c->random << 5;
  return c->random;
}

static void flush_run(client *c)
{
  if (c->run.count > 0)
    (void)runs_send(lanes_fd(&c->lanes, c->run.lane), NULL, c->run.iovs, c->run.count);
  c->run.count = 0;
}

static void add_to_run(client *c, uint32_t lane, const uint8_t *bytes, size_t len)
{
  run *r = &c->run;
  if (r->count == RUN_COUNT || (r->count > 0 && (r->lane != lane || r->iovs[0].iov_len != len)))
    flush_run(c);
  memcpy(r->bytes[r->count], bytes, len);
  r->iovs[r->count] = (struct iovec){r->bytes[r->count], len};
  r->lane = lane;
  r->count++;
}

static void transmit(client *c, uint32_t index, uint64_t now)
{
  const load_cfg *cfg = c->cfg;
  const slot *s = &c->slots[index];
  const bool is_put = cfg->mode == LOAD_PUT;
  frame f = {.type = cfg->is_non ? FRAME_NON : FRAME_CON,
             .code = is_put ? FRAME_PUT : FRAME_GET,
             .mid = s->mid,
             .token_len = TOKEN_LEN,
             .payload = c->body,
             .payload_len = is_put ? cfg->body_len : 0};
  char path[LOAD_PATH_MAX];
  uint8_t bytes[FRAME_MAX];
  frame_put_u32(f.token, index);
  frame_put_u32(f.token + 4, s->use);
  if (cfg->paths > 0)
    snprintf(path, sizeof path, "%s/%llu", cfg->path, (unsigned long long)s->path);
  const size_t len = frame_put(bytes, &f, cfg->paths > 0 ? path : cfg->path);
  c->slots[index].sent_at = now;
  if (cfg->joins)
    add_to_run(c, s->lane, bytes, len);
  else
    lanes_send(&c->lanes, s->lane, bytes, len);
}

static void issue(client *c, uint32_t index, uint64_t now)
{
  slot *s = &c->slots[index];
  s->lane = c->next_lane;
  c->next_lane = (c->next_lane + 1) % c->cfg->clients;
  s->use++;
  s->mid = c->mids[s->lane]++;
  s->is_open = true;
  s->was_repeated = s->is_repeated;
  s->is_repeated = false;
  if (c->cfg->paths > 0)
    s->path = (c->cfg->count > 0 ? c->issued : next_random(c)) % c->cfg->paths;
  c->issued++;
  transmit(c, index, now);
}

/* Requests that the fixed rate has made due so far, and are not issued. */
static uint64_t owed(const client *c, uint64_t now)
{
  const double due = c->cfg->rate * (double)(now - c->paced_from) / 1e9;
  const uint64_t issued = c->issued - c->paced_issued;
  return (uint64_t)due > issued ? (uint64_t)due - issued : 0;
}

static bool wants_more(const client *c, uint64_t now)
{
  return !c->is_ending && (c->cfg->count == 0 || c->issued < c->cfg->count) &&
         (c->cfg->rate <= 0 || owed(c, now) > 0);
}

static void issue_idle(client *c, uint64_t now)
{
  uint32_t used = 0;
  while (used < c->idle_count && wants_more(c, now))
    issue(c, c->idle[used++], now);
  c->idle_count -= used;
  memmove(c->idle, c->idle + used, c->idle_count * sizeof *c->idle);
  flush_run(c);
}

/* How long there is nothing to do but to wait for answers. */
static struct timespec patience(const client *c)
{
  if (c->cfg->rate <= 0 || c->idle_count == 0 || c->is_ending)
    return (struct timespec){.tv_nsec = LOOK_EVERY_NS};
  const double next = (double)(c->issued - c->paced_issued + 1) * 1e9 / c->cfg->rate;
  const double left = (double)c->paced_from + next - (double)gauge_now();
  if (left <= 0)
    return (struct timespec){0};
  return (struct timespec){.tv_nsec = left < LOOK_EVERY_NS ? (long)left + 1 : LOOK_EVERY_NS};
}

/* Counts what is wrong with an answer to `s`. */
static bool verify(client *c, const slot *s, const frame *f)
{
  const load_cfg *cfg = c->cfg;
  load_wrong *w = &c->result->wrong;
  const bool is_put = cfg->mode == LOAD_PUT;
  const bool is_code =
      is_put ? f->code == FRAME_CHANGED || f->code == FRAME_CREATED : f->code == FRAME_CONTENT;
  uint64_t *why = NULL;
  if (f->type != (cfg->is_non ? FRAME_NON : FRAME_ACK))
    why = &w->type;
  else if (!cfg->is_non && f->mid != s->mid)
    why = &w->mid;
  else if (!is_code)
    why = &w->code;
  else if (cfg->is_same_body &&
           (f->payload_len != cfg->body_len || !frame_is_body(f->payload, f->payload_len)))
    why = &w->payload;
  if (why != NULL)
    (*why)++;
  return why == NULL;
}

static void take(client *c, uint32_t lane, const uint8_t *bytes, size_t len)
{
  load_wrong *w = &c->result->wrong;
  frame f;
  if (!frame_get(bytes, len, &f)) {
    w->malformed++;
    return;
  }
  const uint32_t index = frame_get_u32(f.token);
  if (f.token_len != TOKEN_LEN || index >= c->cfg->outstanding) {
    w->token++;
    return;
  }
  slot *s = &c->slots[index];
  const uint32_t use = frame_get_u32(f.token + 4);
  if (!s->is_open || use != s->use || lane != s->lane) {
    const bool is_late = (s->is_open && s->was_repeated && use == s->use - 1) ||
                         (!s->is_open && s->is_repeated && use == s->use);
    *(is_late ? &c->result->late : &w->token) += 1;
    return;
  }
  if (verify(c, s, &f))
    c->answered++;
  c->settled++;
  s->is_open = false;
  c->idle[c->idle_count++] = index;
}

static void receive_run(client *c, uint32_t lane)
{
  static uint8_t bytes[RUN_BYTES];
  size_t each;
  const ssize_t n = runs_receive(lanes_fd(&c->lanes, lane), NULL, bytes, &each);
  for (size_t at = 0; n > 0 && at < (size_t)n; at += each)
    take(c, lane, bytes + at, (size_t)n - at < each ? (size_t)n - at : each);
}

static void receive(client *c, uint32_t socket)
{
  uint8_t bytes[FRAME_MAX];
  for (int i = 0; i < RECEIVES; i++) {
    uint32_t lane;
    const ssize_t n = lanes_receive(&c->lanes, socket, bytes, sizeof bytes, &lane);
    if (n < 0)
      return;
    take(c, lane, bytes, (size_t)n);
    if (c->cfg->clients >= c->cfg->outstanding)
      return; /* hardly ever a second one */
  }
}

static void repeat_lost(client *c, uint64_t now)
{
  for (uint32_t i = 0; i < c->cfg->outstanding; i++) {
    slot *s = &c->slots[i];
    if (!s->is_open || now - s->sent_at < patience_ns)
      continue;
    c->result->timeouts++;
    s->is_repeated = true;
    transmit(c, i, now);
  }
  flush_run(c);
}

/* One turn of the loop. Returns the time. */
static uint64_t turn(client *c)
{
  struct epoll_event events[EVENTS];
  const struct timespec wait = patience(c);
  const int n = epoll_pwait2(c->lanes.epoll, events, EVENTS, &wait, NULL);
  const uint64_t before = c->settled;
  for (int i = 0; i < n; i++)
    (c->cfg->joins ? receive_run : receive)(c, events[i].data.u32);
  const uint64_t now = gauge_now();
  if (c->settled != before)
    c->answered_at = now;
  issue_idle(c, now);
  return now;
}

/* Runs until `end`, or until all is answered. */
static void run_until(client *c, uint64_t end)
{
  uint64_t now = gauge_now();
  uint64_t check_at = now + check_every_ns;
  c->answered_at = now;
  while (now < end && (c->cfg->count == 0 || c->settled < c->cfg->count)) {
    now = turn(c);
    if (now >= check_at) {
      repeat_lost(c, now);
      check_at = now + check_every_ns;
    }
    if (now - c->answered_at > give_up_ns) {
      c->result->has_failed = true;
      return;
    }
  }
}

static void start_pace(client *c, uint64_t now)
{
  c->paced_from = now;
  c->paced_issued = c->issued;
}

static void measure(client *c)
{
  const load_cfg *cfg = c->cfg;
  load_result *r = c->result;
  if (cfg->count == 0)
    run_until(c, gauge_now() + (uint64_t)(cfg->warmup * 1e9));
  *r = (load_result){.wrong = r->wrong, .has_failed = r->has_failed};
  c->answered = 0;
  const uint64_t cpu = gauge_cpu(cfg->pid);
  const uint64_t began = gauge_now();
  start_pace(c, began);
  run_until(c, cfg->count > 0 ? UINT64_MAX : began + (uint64_t)(cfg->seconds * 1e9));
  r->elapsed_ns = gauge_now() - began;
  r->behind = cfg->rate > 0 ? owed(c, began + r->elapsed_ns) : 0;
  r->cpu_ns = gauge_cpu(cfg->pid) - cpu;
  r->messages = c->answered;
  if (r->messages == 0)
    r->has_failed = true;
}

static bool has_open(const client *c)
{
  for (uint32_t i = 0; i < c->cfg->outstanding; i++)
    if (c->slots[i].is_open)
      return true;
  return false;
}

/* Waits for what is under way, lest the next user of a port gets it. */
static void drain(client *c)
{
  const load_result window = *c->result;
  const uint64_t end = gauge_now() + patience_ns / 4;
  c->is_ending = true;
  while (has_open(c) && gauge_now() < end)
    (void)turn(c);
  const load_wrong wrong = c->result->wrong;
  *c->result = window;
  c->result->wrong = wrong;
}

void requests_run(const load_cfg *cfg, load_result *result)
{
  static client c;
  c = (client){.cfg = cfg, .result = result, .random = (uint32_t)getpid() * 2654435761u | 1};
  lanes_open(&c.lanes, &cfg->server, cfg->clients);
  c.mids = calloc(cfg->clients, sizeof *c.mids);
  c.slots = calloc(cfg->outstanding, sizeof *c.slots);
  c.idle = calloc(cfg->outstanding, sizeof *c.idle);
  if (c.mids == NULL || c.slots == NULL || c.idle == NULL)
    abort();
  frame_fill_body(c.body, cfg->body_len);
  for (uint32_t i = 0; i < cfg->clients; i++)
    c.mids[i] = (uint16_t)next_random(&c);
  for (uint32_t i = 0; cfg->joins && i < cfg->clients; i++)
    runs_allow(lanes_fd(&c.lanes, i));
  for (uint32_t i = 0; i < cfg->outstanding; i++)
    c.idle[c.idle_count++] = i;
  if (cfg->rate > 0)
    (void)prctl(PR_SET_TIMERSLACK, 1); /* the default is as long as some rates' interval */
  start_pace(&c, gauge_now());
  issue_idle(&c, gauge_now());
  measure(&c);
  drain(&c);
  lanes_close(&c.lanes);
  free(c.mids);
  free(c.slots);
  free(c.idle);
}
