/* SPDX-License-Identifier: Apache-2.0 */
/* Fan-out of notifications, RFC 7641. The payload of a state is its number in hexadecimal, so that
 * an observer can tell an older state from a newer one, whatever the Observe option claims. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gauge.h"
#include "load.h"

enum {
  EVENTS = 256,
  TOKEN_LEN = 4,
  STATE_LEN = 16,
};

static const uint64_t patience_ns = 1000000000;
static const uint64_t repeat_ns = 250000000;
static const uint64_t settle_ns = UINT64_C(30000000000);

typedef struct watcher {
  uint64_t state;    /* newest seen */
  uint32_t sequence; /* Observe option of it */
  uint16_t mid;      /* of the registration */
  uint32_t item;     /* which of the resources */
  bool is_registered;
  bool has_sequence;
} watcher;

typedef struct crowd {
  const load_cfg *cfg;
  load_result *result;
  lanes lanes; /* the last one is the writer's */
  watcher *watchers;
  uint32_t registered;
  uint32_t items;  /* resources; the states are written to one after the other */
  uint64_t state;  /* last one written */
  uint32_t behind; /* observers of its resource that do not have it yet */
  bool is_written; /* the PUT has been answered */
  uint16_t put_mid;
} crowd;

/* RFC 7641 section 3.4, without its clock: a run lasts less than 128 seconds. */
static bool is_fresher(uint32_t a, uint32_t b)
{
  return ((a - b) & 0xffffff) != 0 && ((a - b) & 0xffffff) < 1u << 23;
}

static uint32_t item_of(const crowd *c, uint64_t state)
{
  return (uint32_t)(state % c->items);
}

/* Observers are dealt out to the resources one by one. */
static uint32_t observers_of(const crowd *c, uint32_t item)
{
  const uint32_t clients = c->cfg->clients;
  return clients / c->items + (item < clients % c->items);
}

/* The last state written to a resource; 0: none. */
static uint64_t newest_of(const crowd *c, uint32_t item)
{
  const uint64_t ago = (c->state + c->items - item) % c->items;
  return c->state >= ago ? c->state - ago : 0;
}

static const char *path_of(const crowd *c, uint32_t item, char *room)
{
  if (c->cfg->paths == 0)
    return c->cfg->path;
  snprintf(room, LOAD_PATH_MAX, "%s/%" PRIu32, c->cfg->path, item);
  return room;
}

static void send_frame(const crowd *c, uint32_t lane, const frame *f, const char *path)
{
  uint8_t bytes[FRAME_MAX];
  lanes_send(&c->lanes, lane, bytes, frame_put(bytes, f, path));
}

static void send_registration(crowd *c, uint32_t index)
{
  watcher *w = &c->watchers[index];
  frame f = {.type = FRAME_CON,
             .code = FRAME_GET,
             .mid = w->mid,
             .token_len = TOKEN_LEN,
             .has_observe = true};
  char room[LOAD_PATH_MAX];
  frame_put_u32(f.token, index);
  send_frame(c, index, &f, path_of(c, w->item, room));
}

static void send_put(crowd *c)
{
  char text[STATE_LEN + 1];
  snprintf(text, sizeof text, "%016" PRIx64, c->state);
  frame f = {.type = FRAME_CON,
             .code = FRAME_PUT,
             .mid = c->put_mid,
             .token_len = TOKEN_LEN,
             .payload = (const uint8_t *)text,
             .payload_len = STATE_LEN};
  char room[LOAD_PATH_MAX];
  frame_put_u32(f.token, c->cfg->clients);
  send_frame(c, c->cfg->clients, &f, path_of(c, item_of(c, c->state), room));
}

/* Returns false when the payload is no state. */
static bool read_state(const frame *f, uint64_t *state)
{
  char text[STATE_LEN + 1] = {0};
  char *end;
  if (f->payload_len != STATE_LEN)
    return false;
  memcpy(text, f->payload, STATE_LEN);
  *state = strtoull(text, &end, 16);
  return end == text + STATE_LEN;
}

/* An observer has got a state, by the registration's answer or by a notification. */
static bool take_state(crowd *c, watcher *w, const frame *f)
{
  uint64_t state;
  if (!read_state(f, &state) || state > c->state || item_of(c, state) != w->item) {
    c->result->wrong.payload++;
    return false;
  }
  const bool is_older = state < w->state || (state > w->state && w->has_sequence &&
                                             !is_fresher(f->observe, w->sequence));
  if (is_older) {
    c->result->wrong.backwards++;
    return false;
  }
  c->behind -= w->state < c->state && state == c->state;
  w->state = state;
  w->sequence = f->observe;
  w->has_sequence = true;
  return true;
}

static void on_registered(crowd *c, watcher *w, const frame *f)
{
  if (w->is_registered) { /* the answer to a repeated registration */
    c->result->late++;
    return;
  }
  if (f->mid != w->mid) {
    c->result->wrong.mid++;
    return;
  }
  if (!f->has_observe) {
    c->result->wrong.type++;
    return;
  }
  w->is_registered = true;
  c->registered++;
  (void)take_state(c, w, f);
}

static void on_notification(crowd *c, uint32_t index, const frame *f)
{
  watcher *w = &c->watchers[index];
  if (f->type == FRAME_CON) {
    send_frame(c, index, &(frame){.type = FRAME_ACK, .mid = f->mid}, NULL);
    c->result->confirmable++;
  }
  if (!f->has_observe)
    c->result->wrong.type++;
  else if (take_state(c, w, f))
    c->result->messages++;
}

static void take(crowd *c, uint32_t index, const uint8_t *bytes, size_t len)
{
  load_wrong *wrong = &c->result->wrong;
  frame f;
  if (!frame_get(bytes, len, &f)) {
    wrong->malformed++;
    return;
  }
  if (f.token_len != TOKEN_LEN || frame_get_u32(f.token) != index) {
    wrong->token++;
    return;
  }
  const bool is_writer = index == c->cfg->clients;
  if (f.code != FRAME_CONTENT &&
      !(is_writer && (f.code == FRAME_CHANGED || f.code == FRAME_CREATED)))
    wrong->code++;
  else if (is_writer && f.mid == c->put_mid)
    c->is_written = true;
  else if (is_writer)
    c->result->late++;
  else if (f.type == FRAME_ACK)
    on_registered(c, &c->watchers[index], &f);
  else
    on_notification(c, index, &f);
}

static void turn(crowd *c)
{
  struct epoll_event events[EVENTS];
  uint8_t bytes[FRAME_MAX];
  const int n = epoll_wait(c->lanes.epoll, events, EVENTS, 10);
  for (int i = 0; i < n; i++) {
    uint32_t index;
    const ssize_t len = lanes_receive(&c->lanes, events[i].data.u32, bytes, sizeof bytes, &index);
    if (len >= 0)
      take(c, index, bytes, (size_t)len);
  }
}

/* Writes the next state and waits until it has been answered. */
static bool put(crowd *c)
{
  c->state++;
  c->put_mid++;
  c->behind = observers_of(c, item_of(c, c->state));
  c->is_written = false;
  const uint64_t began = gauge_now();
  uint64_t repeat_at = began;
  while (!c->is_written) {
    const uint64_t now = gauge_now();
    if (now - began > settle_ns)
      return false;
    if (now >= repeat_at) {
      c->result->timeouts += repeat_at != began;
      send_put(c);
      repeat_at = now + patience_ns;
    }
    turn(c);
  }
  return true;
}

static bool register_all(crowd *c)
{
  const uint32_t count = c->cfg->clients;
  const uint64_t began = gauge_now();
  const uint64_t cpu = gauge_cpu(c->cfg->pid);
  uint32_t sent = 0;
  uint64_t repeat_at = began + repeat_ns;
  while (c->registered < count) {
    while (sent < count && sent - c->registered < c->cfg->outstanding)
      send_registration(c, sent++);
    turn(c);
    const uint64_t now = gauge_now();
    if (now - began > settle_ns)
      return false;
    if (now < repeat_at)
      continue;
    for (uint32_t i = 0; i < sent; i++)
      if (!c->watchers[i].is_registered)
        send_registration(c, i);
    repeat_at = now + repeat_ns;
  }
  c->result->registered_ns = gauge_cpu(c->cfg->pid) - cpu;
  return true;
}

/* One step: a change, and all have it. */
static bool step(crowd *c)
{
  const uint64_t began = gauge_now();
  if (!put(c))
    return false;
  while (c->behind > 0 && gauge_now() - began < patience_ns)
    turn(c);
  c->result->missing += c->behind;
  c->result->changes++;
  return true;
}

static bool steps_until(crowd *c, double seconds)
{
  const uint64_t end = gauge_now() + (uint64_t)(seconds * 1e9);
  do {
    if (!step(c))
      return false;
  } while (gauge_now() < end);
  return true;
}

static bool is_anybody_behind(const crowd *c)
{
  for (uint32_t i = 0; i < c->cfg->clients; i++)
    if (c->watchers[i].state != newest_of(c, c->watchers[i].item))
      return true;
  return false;
}

/* Each resource has a state that its observers can be told. */
static bool put_all(crowd *c)
{
  for (uint32_t i = 0; i < c->items; i++)
    if (!put(c))
      return false;
  return true;
}

/* Everybody must end with the last state, be it by retransmission. */
static void settle(crowd *c)
{
  const uint64_t end = gauge_now() + (uint64_t)(c->cfg->settle * 1e9);
  while (is_anybody_behind(c) && gauge_now() < end)
    turn(c);
  c->result->is_last_state_seen = !is_anybody_behind(c);
}

static bool measure(crowd *c)
{
  load_result *r = c->result;
  const load_cfg *cfg = c->cfg;
  if (!put_all(c) || !register_all(c) || !steps_until(c, cfg->warmup))
    return false;
  *r = (load_result){.wrong = r->wrong, .registered_ns = r->registered_ns};
  const uint64_t cpu = gauge_cpu(cfg->pid);
  const uint64_t began = gauge_now();
  const bool is_whole = steps_until(c, cfg->seconds);
  r->elapsed_ns = gauge_now() - began;
  r->cpu_ns = gauge_cpu(cfg->pid) - cpu;
  const load_result window = *r;
  settle(c);
  const load_wrong wrong = r->wrong;
  const bool is_seen = r->is_last_state_seen;
  *r = window;
  r->wrong = wrong;
  r->is_last_state_seen = is_seen;
  return is_whole;
}

void observers_run(const load_cfg *cfg, load_result *result)
{
  crowd c = {.cfg = cfg,
             .result = result,
             .items = cfg->paths > 0 ? cfg->paths : 1,
             .put_mid = (uint16_t)(getpid() * 31)};
  lanes_open(&c.lanes, &cfg->server, cfg->clients + 1);
  c.watchers = calloc(cfg->clients, sizeof *c.watchers);
  if (c.watchers == NULL)
    abort();
  for (uint32_t i = 0; i < cfg->clients; i++)
    c.watchers[i] = (watcher){.mid = (uint16_t)(c.put_mid + i), .item = i % c.items};
  result->has_failed = !measure(&c);
  if (result->messages == 0 || !result->is_last_state_seen)
    result->has_failed = true;
  lanes_close(&c.lanes);
  free(c.watchers);
}
