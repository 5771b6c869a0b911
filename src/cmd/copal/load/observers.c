/* SPDX-License-Identifier: Apache-2.0 */
/* Fan-out: observers and a writer. RFC 7641.
 *
 * Every socket has at most one request under way: the writer its PUT, an observer its registration.
 * Without a rate the changes go in lock step: the next one leaves when all observers of the
 * resource have seen the last, or when patience ends. */
#include "cmd/copal/load/observers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cmd/copal/load/wire.h"
#include "cmd/copal/session.h"
#include "copal/error.h"
#include "copal/registry.h"
#include "core/base/timerq.h"

enum {
  SENT_MAX = 64,    /* changes of a resource whose instants are known */
  AT_ONCE_MAX = 64, /* registrations under way */
  TIMER_SLOTS = 4096,
  DIGITS = OBSERVERS_BODY_MIN,
  FORWARD = 1 << 23, /* RFC 7641 section 3.4 */
};

#define TICK         COPAL_MILLISECOND
#define LOOK_EVERY   (COPAL_SECOND / 20)
#define FRESH_ANYWAY (128 * COPAL_SECOND) /* RFC 7641 section 3.4 */

/* A socket with at most one request under way. */
typedef struct party {
  copal_timer timer; /* first */
  uint16_t mid;
  uint64_t number; /* of its resource */
  copal_dur interval;
  copal_time give_up; /* the request */
  uint8_t retransmits;
  bool is_open; /* a request is under way */
  bool is_acked;
  bool is_registered, was_registered;
  uint32_t state;    /* the newest seen */
  uint32_t sequence; /* Observe of the newest notification */
  copal_time seen_at;
} party;

/* A resource that is observed. */
typedef struct subject {
  uint32_t state;       /* of the last change */
  uint32_t first, last; /* states of the measured part; 0: none */
  uint32_t observers;   /* registered now */
  uint32_t registered;  /* in the beginning */
  uint32_t behind;      /* of them, those that have not seen `state` */
  copal_time sent_at[SENT_MAX];
} subject;

typedef struct observers {
  runner base; /* first */
  const load_plan *plan;
  load_window window;
  shape get, put;
  optset get_options;
  buf body;
  wires_user user;
  wires *wires;
  uint32_t count; /* observers; the writer is the party behind them */
  party *parties; /* count + 1 */
  subject *subjects;
  copal_timerq timers;
  void *slots;
  uint64_t key;
  uint32_t open;    /* registrations under way */
  uint32_t next;    /* observer to be registered next */
  uint64_t changes; /* begun */
  uint32_t used;    /* Message IDs of the writer's port */
  bool is_built;    /* what is to be observed was created */
  copal_time began;
  copal_time changed_at; /* when the last change left */
} observers;

static party *writer_of(observers *o)
{
  return &o->parties[o->count];
}

static bool is_writer(const observers *o, const party *p)
{
  return p == &o->parties[o->count];
}

static uint32_t index_of(const observers *o, const party *p)
{
  return (uint32_t)(p - o->parties);
}

static bool is_measured(const observers *o, copal_time at)
{
  return at >= o->window.begin && at < o->window.end;
}

/* ------------------------------------------------------------------------------------------------
 * requests */

static uint64_t token_of(const observers *o, const party *p)
{
  return (uint64_t)(p - o->parties) ^ o->key;
}

static void arm(observers *o, party *p, copal_time due)
{
  copal_timerq_arm(&o->timers, &p->timer, due < p->give_up ? due : p->give_up);
}

static void transmit(observers *o, party *p, copal_time now)
{
  uint8_t bytes[SHAPE_DATAGRAM_MAX];
  const bool is_put = is_writer(o, p);
  const shape *s = is_put ? &o->put : &o->get;
  const shape_call c = {.mid = p->mid, .token = token_of(o, p), .number = p->number, .szx = s->szx};
  copal_wr w = copal_wr_init((copal_mspan){bytes, sizeof bytes});
  arm(o, p, now + p->interval);
  if (shape_put(s, &c, &w) == COPAL_OK)
    wires_send(o->wires, index_of(o, p), copal_wr_done(&w));
}

static void request(observers *o, party *p, copal_time now)
{
  p->mid++;
  o->used += is_writer(o, p);
  p->is_open = true;
  p->is_acked = false;
  p->retransmits = 0;
  p->interval = o->plan->params.ack_timeout;
  p->give_up = o->plan->timeout > 0 ? now + o->plan->timeout : COPAL_NEVER;
  transmit(o, p, now);
}

static void settle(observers *o, party *p)
{
  copal_timerq_cancel(&o->timers, &p->timer);
  o->open -= p->is_open && !is_writer(o, p);
  p->is_open = false;
}

static void run_timers(observers *o, copal_time now)
{
  copal_timer *t;
  while ((t = copal_timerq_pop(&o->timers, now)) != NULL) {
    party *p = (party *)t;
    if (p->is_acked || now >= p->give_up || p->retransmits >= o->plan->params.max_retransmit) {
      o->base.account.timeouts++;
      settle(o, p);
      wires_doubt(o->wires, index_of(o, p));
      continue;
    }
    p->retransmits++;
    p->interval *= 2;
    o->base.account.retransmissions++;
    transmit(o, p, now);
  }
}

/* ------------------------------------------------------------------------------------------------
 * changes */

static void change(observers *o, copal_time due, copal_time now)
{
  party *w = writer_of(o);
  char digits[DIGITS + 1];
  w->number = o->changes++ % o->plan->numbers;
  subject *s = &o->subjects[w->number];
  s->state++;
  s->behind = s->observers;
  if (is_measured(o, now)) {
    s->first = s->first == 0 ? s->state : s->first;
    s->last = s->state;
    o->base.account.expected += s->registered;
  }
  s->sent_at[s->state % SENT_MAX] = due;
  snprintf(digits, sizeof digits, "%0*u", DIGITS, (unsigned)s->state);
  memcpy(o->body.ptr, digits, DIGITS);
  o->changed_at = now;
  request(o, w, now);
}

/* The writer has a Message ID, and a session. A port that has used up its Message IDs gives way to
 * another one. */
static bool is_writer_ready(observers *o)
{
  const uint32_t index = index_of(o, writer_of(o));
  if (o->used >= WIRE_MIDS - 1) {
    if (wires_renew(o->wires, index) < 0)
      return false;
    o->used = 0;
  }
  return wires_is_ready(o->wires, index);
}

/* When the next change is due; COPAL_NEVER: something else must happen first. */
static copal_time next_change(observers *o)
{
  const party *w = writer_of(o);
  if (w->is_open || !is_writer_ready(o))
    return COPAL_NEVER;
  if (o->plan->rate > 0)
    return o->began + (copal_time)((double)o->changes * COPAL_SECOND / o->plan->rate);
  if (o->changes == 0 || o->subjects[w->number].behind == 0)
    return 0;
  return o->changed_at + o->plan->patience;
}

/* ------------------------------------------------------------------------------------------------
 * what comes */

/* The number in a body, or false when it is none that was ever written. */
static bool read_state(const observers *o, const party *p, copal_span body, uint32_t *state)
{
  *state = 0;
  if (body.len != o->body.len)
    return false;
  for (size_t i = 0; i < DIGITS; i++) {
    if (body.ptr[i] < '0' || body.ptr[i] > '9')
      return false;
    *state = *state * 10 + (uint32_t)(body.ptr[i] - '0');
  }
  return *state <= o->subjects[p->number].state;
}

/* RFC 7641 section 3.4. */
static bool is_newer(const party *p, uint32_t sequence, copal_time now)
{
  return ((sequence - p->sequence) & 0xffffff) < FORWARD || now > p->seen_at + FRESH_ANYWAY;
}

/* States of the measured part after `from`, up to `to`. */
static uint32_t measured_states(const subject *s, uint32_t from, uint32_t to)
{
  const uint32_t begin = from + 1 > s->first ? from + 1 : s->first;
  const uint32_t end = to < s->last ? to : s->last;
  return s->first > 0 && end >= begin ? end - begin + 1 : 0;
}

/* What an observer is told counts as part of the change that it is told of. */
static void count_notification(observers *o, const party *p, const copal_msg *m, uint32_t state,
                               copal_time now)
{
  const subject *s = &o->subjects[p->number];
  account *a = &o->base.account;
  if (state == p->state) {
    a->repeated++;
    return;
  }
  a->skipped += measured_states(s, p->state, state - 1);
  if (measured_states(s, state - 1, state) == 0)
    return;
  a->answered++;
  a->messages++;
  a->confirmable += m->type == COPAL_CON;
  a->body_bytes += m->payload.len;
  a->codes[m->code]++;
  o->base.last_answer = now;
  if (s->state - state < SENT_MAX)
    histogram_add(&a->latency, now - s->sent_at[state % SENT_MAX]);
}

static void see_state(observers *o, party *p, uint32_t state)
{
  subject *s = &o->subjects[p->number];
  if (p->state != s->state && state == s->state)
    s->behind--;
  p->state = state;
}

static void take_notification(observers *o, party *p, const copal_msg *m, uint32_t sequence,
                              copal_time now)
{
  account *a = &o->base.account;
  uint32_t state;
  if (!read_state(o, p, m->payload, &state)) {
    a->wrong.payload++;
    return;
  }
  if (sequence == p->sequence && state == p->state) {
    a->duplicates++; /* the acknowledgement was lost, or the network has doubled it */
    return;
  }
  if (!is_newer(p, sequence, now)) {
    a->late++; /* overtaken on its way */
    return;
  }
  if (state < p->state) {
    a->wrong.backwards++;
    return;
  }
  p->sequence = sequence;
  p->seen_at = now;
  runner_count(&o->base);
  count_notification(o, p, m, state, now);
  see_state(o, p, state);
}

static void register_observer(observers *o, party *p, const copal_msg *m, copal_time now)
{
  uint32_t state;
  copal_span value;
  settle(o, p);
  if (copal_code_class(m->code) != 2 ||
      !copal_opt_find_valid(m->options, COPAL_OPT_OBSERVE, &value) ||
      copal_opt_uint(value, &p->sequence) != COPAL_OK || !read_state(o, p, m->payload, &state)) {
    o->base.account.refusals++;
    o->base.account.codes[m->code]++;
    return;
  }
  subject *s = &o->subjects[p->number];
  p->is_registered = p->was_registered = true;
  p->state = state;
  p->seen_at = now;
  s->observers++;
  s->registered++;
  s->behind += state != s->state;
  o->base.account.observers++;
}

static void take_written(observers *o, party *p, const copal_msg *m)
{
  account *a = &o->base.account;
  settle(o, p);
  if (copal_code_class(m->code) != 2) {
    a->wrong.code++;
    a->codes[m->code]++;
    o->is_built = false;
  } else if (is_measured(o, o->changed_at)) {
    a->changes++;
  }
}

static void take_response(observers *o, party *p, const copal_msg *m, copal_time now)
{
  copal_span value;
  uint32_t sequence;
  const bool is_reply = p->is_open && (m->type != COPAL_ACK || m->mid == p->mid);
  if (!p->is_registered && !is_reply) {
    account *a = &o->base.account;
    (*(p->is_open ? &a->wrong.mid : &a->duplicates))++;
  } else if (is_writer(o, p)) {
    take_written(o, p, m);
  } else if (!p->is_registered) {
    register_observer(o, p, m, now);
  } else if (copal_code_class(m->code) != 2) {
    o->base.account.wrong.code++; /* the server has ended the observation */
    o->base.account.codes[m->code]++;
    p->is_registered = false;
    subject *s = &o->subjects[p->number];
    s->observers--;
    s->behind -= p->state != s->state;
  } else if (copal_opt_find_valid(m->options, COPAL_OPT_OBSERVE, &value) &&
             copal_opt_uint(value, &sequence) == COPAL_OK) {
    take_notification(o, p, m, sequence, now);
  }
}

static void take_empty(observers *o, party *p, const copal_msg *m, copal_time now)
{
  if (m->type == COPAL_CON) {
    wires_send_empty(o->wires, index_of(o, p), COPAL_RST, m->mid);
  } else if (p->is_open && m->mid == p->mid && m->type == COPAL_RST) {
    o->base.account.resets++;
    settle(o, p);
  } else if (p->is_open && m->mid == p->mid && m->type == COPAL_ACK) {
    p->is_acked = true;
    arm(o, p, now + o->plan->patience);
  }
}

static observers *observers_of(wires_user *u)
{
  return (observers *)((uint8_t *)u - offsetof(observers, user));
}

static void take_message(wires_user *u, uint32_t index, copal_span bytes)
{
  observers *o = observers_of(u);
  party *p = &o->parties[index];
  const copal_time now = session_now();
  copal_msg m;
  if (copal_msg_parse(bytes, &m) != COPAL_OK || copal_code_is_request(m.code)) {
    o->base.account.wrong.malformed++;
    return;
  }
  if (m.code == COPAL_CODE_EMPTY) {
    take_empty(o, p, &m, now);
    return;
  }
  uint64_t token = 0;
  if (m.token.len == sizeof token)
    memcpy(&token, m.token.ptr, sizeof token);
  const bool is_known = m.token.len == sizeof token && token == token_of(o, p);
  if (m.type == COPAL_CON) /* RFC 7252 section 5.3.2 */
    wires_send_empty(o->wires, index_of(o, p), is_known ? COPAL_ACK : COPAL_RST, m.mid);
  if (!is_known)
    o->base.account.wrong.token++;
  else
    take_response(o, p, &m, now);
}

static void refuse(wires_user *u, uint32_t index)
{
  observers *o = observers_of(u);
  o->base.account.refused++;
  settle(o, &o->parties[index]);
}

/* Waits until `limit` at the longest, and deals with what has come. */
static void turn(observers *o, copal_time limit)
{
  const copal_time timer = copal_timerq_deadline(&o->timers);
  wires_wait(o->wires, timer < limit ? timer : limit);
  run_timers(o, session_now());
  runner_tell(&o->base);
}

/* ------------------------------------------------------------------------------------------------
 * the run */

static bool wants_more(const observers *o, copal_time now)
{
  if (runner_is_stopped(&o->base))
    return false;
  return o->plan->requests > 0 ? o->changes < o->plan->requests : now < o->window.end;
}

static bool is_settled(observers *o)
{
  if (writer_of(o)->is_open)
    return false;
  for (uint64_t i = 0; i < o->plan->numbers; i++)
    if (o->subjects[i].behind > 0)
      return false;
  return true;
}

/* Tells the server that nobody is interested any more. RFC 7641 section 3.6. */
static void deregister_all(observers *o)
{
  optset_set_uint(&o->get_options, COPAL_OPT_OBSERVE, 1);
  o->get.type = COPAL_NON;
  for (uint32_t i = 0; i < o->count; i++)
    if (o->parties[i].is_registered)
      request(o, &o->parties[i], session_now());
}

/* Changes of the schedule that have not been made. */
static void count_unsent(observers *o, copal_time now)
{
  const copal_time end = now < o->window.end ? now : o->window.end;
  if (o->plan->rate <= 0 || o->plan->requests > 0 || end <= o->began)
    return;
  const double due = (double)(end - o->began) * o->plan->rate / COPAL_SECOND;
  if (due >= (double)o->changes + 1)
    o->base.account.unsent += (uint64_t)due - o->changes;
}

static void observers_run(runner *r, load_window window)
{
  observers *o = (observers *)r;
  o->window = window;
  o->began = load_began(o->plan, &window);
  o->changes = 0;
  for (copal_time now = session_now(); wants_more(o, now); now = session_now()) {
    const copal_time due = next_change(o);
    if (due <= now)
      change(o, o->plan->rate > 0 ? due : now, now);
    const copal_time limit = now + LOOK_EVERY, next = next_change(o);
    turn(o, next < limit ? next : limit);
  }
  count_unsent(o, session_now());
  /* The last state must reach everybody; later notifications take its place if one was lost. */
  const copal_time give_up = session_now() + o->plan->grace;
  for (copal_time now = session_now(); !is_settled(o) && now < give_up; now = session_now())
    turn(o, now + LOOK_EVERY);
  for (uint32_t i = 0; i < o->count; i++) {
    const party *p = &o->parties[i];
    const subject *s = &o->subjects[p->number];
    r->account.incomplete += p->is_registered && p->state != s->state;
    if (p->was_registered)
      r->account.missing += measured_states(s, p->state, s->state);
  }
  deregister_all(o);
}

/* ------------------------------------------------------------------------------------------------
 * opening and closing */

/* Ends with the first resource that cannot be created; the account says why. */
static void create_resources(observers *o)
{
  party *w = writer_of(o);
  const account *a = &o->base.account;
  o->is_built = true;
  for (uint64_t i = 0; i < o->plan->numbers && o->is_built; i++) {
    w->number = i;
    while (!is_writer_ready(o) && !wires_is_interrupted())
      turn(o, session_now() + LOOK_EVERY);
    request(o, w, session_now());
    while (w->is_open && !wires_is_interrupted())
      turn(o, session_now() + LOOK_EVERY);
    o->is_built = o->is_built && !w->is_open && a->timeouts + a->refused + a->resets == 0;
  }
}

static void register_all(observers *o)
{
  while ((o->next < o->count || o->open > 0) && !wires_is_interrupted()) {
    const copal_time now = session_now();
    for (; o->next < o->count && o->open < AT_ONCE_MAX; o->next++) {
      party *p = &o->parties[o->next];
      p->number = o->next % o->plan->numbers;
      o->open++;
      request(o, p, now);
    }
    turn(o, now + LOOK_EVERY);
  }
}

static void observers_close(runner *r)
{
  observers *o = (observers *)r;
  wires_close(o->wires);
  optset_wipe(&o->get_options);
  buf_wipe(&o->body);
  free(o->parties);
  free(o->subjects);
  free(o->slots);
  free(o);
}

/* GET with Observe, and PUT with a body that begins with the number of the change. */
static void make_shapes(observers *o)
{
  const load_plan *plan = o->plan;
  optset_copy(&o->get_options, plan->shape.options);
  optset_set_uint(&o->get_options, COPAL_OPT_OBSERVE, 0);
  buf_put_span(&o->body, plan->shape.body);
  if (o->body.len < DIGITS)
    buf_fill(&o->body, '.', DIGITS - o->body.len);
  memset(o->body.ptr, '0', DIGITS);
  o->get = (shape){.type = COPAL_CON,
                   .code = COPAL_CODE_GET,
                   .options = &o->get_options,
                   .szx = plan->shape.szx};
  o->put = (shape){.type = COPAL_CON,
                   .code = COPAL_CODE_PUT,
                   .options = plan->shape.options,
                   .body = buf_span(&o->body),
                   .szx = plan->shape.szx};
}

static int init(observers *o)
{
  o->parties = calloc((size_t)o->count + 1, sizeof *o->parties);
  for (uint32_t i = 0; o->parties != NULL && i <= o->count; i++)
    copal_timer_init(&o->parties[i].timer);
  o->subjects = calloc(o->plan->numbers, sizeof *o->subjects);
  o->slots = malloc(copal_timerq_size(TIMER_SLOTS));
  if (o->parties == NULL || o->subjects == NULL || o->slots == NULL)
    return -ENOMEM;
  copal_timerq_init(&o->timers, o->slots, TIMER_SLOTS, TICK, session_now());
  if (getrandom(&o->key, sizeof o->key, 0) != (ssize_t)sizeof o->key)
    return -errno;
  for (uint32_t i = 0; i <= o->count; i++) {
    o->parties[i].mid = (uint16_t)(o->key >> 16);
    o->parties[i].give_up = COPAL_NEVER;
  }
  o->user = (wires_user){take_message, refuse};
  return wires_open(o->plan, o->count + 1, &o->user, &o->base.account, &o->wires);
}

int observers_open(const load_plan *plan, runner **out)
{
  observers *o = calloc(1, sizeof *o);
  if (o == NULL)
    return -ENOMEM;
  o->base.run = observers_run;
  o->base.close = observers_close;
  o->plan = plan;
  o->count = plan->clients;
  o->window = (load_window){COPAL_NEVER, COPAL_NEVER};
  make_shapes(o);
  const int rc = init(o);
  if (rc < 0 && rc != COPAL_ENOTFOUND) {
    observers_close(&o->base);
    return rc;
  }
  *out = &o->base;
  if (rc < 0) {
    o->base.failure = wires_failure(o->wires);
    return rc;
  }
  create_resources(o);
  if (o->is_built)
    register_all(o);
  return o->base.account.observers > 0 ? 0 : COPAL_ENOTFOUND;
}
