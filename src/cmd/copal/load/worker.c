/* SPDX-License-Identifier: Apache-2.0 */
/* One thread of a load run. RFC 7252 sections 4 and 5, RFC 7959. */
#include "cmd/copal/load/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>

#include "cmd/copal/load/wire.h"
#include "cmd/copal/session.h"
#include "copal/block.h"
#include "copal/error.h"
#include "copal/registry.h"
#include "core/base/timerq.h"

enum {
  ETAG_MAX = 8,
  ABANDONED_KNOWN = 64, /* bits of `abandoned` */
  TIMER_SLOTS = 4096,
};

#define TICK       COPAL_MILLISECOND
#define LOOK_EVERY (COPAL_SECOND / 20) /* at what other threads say */
#define HELD_PAUSE COPAL_MILLISECOND   /* when requests are due that no client can send yet */
#define LATENESS                                                                                   \
  (10 * COPAL_MILLISECOND) /* a request that was due may leave so long after the end */

/* A place for one request under way. */
typedef struct call {
  copal_timer timer; /* first */
  copal_node idle;   /* in worker->idle */
  uint32_t client;
  uint32_t use; /* counts the requests of this place */
  shape_call request;
  copal_time due;     /* when it was to be sent first */
  copal_time sent;    /* when it was */
  copal_time give_up; /* the present message */
  copal_dur interval;
  uint64_t abandoned; /* bit n: the message n before the present one was given up */
  uint8_t retransmits;
  bool is_open;
  bool is_acked;
  size_t received; /* bytes of the answer's body, in blocks before */
  uint32_t blocks; /* messages in the answer so far */
  uint8_t etag[ETAG_MAX];
  size_t etag_len;
} call;

typedef struct client {
  uint16_t mid;  /* next one */
  uint32_t used; /* Message IDs */
  uint32_t open; /* calls under way */
} client;

typedef struct worker {
  runner base; /* first */
  const load_plan *plan;
  load_window window;
  wires_user user;
  wires *wires;
  uint32_t client_count;
  client *clients;
  call *calls; /* `window` for each client */
  copal_node idle;
  copal_timerq timers;
  void *slots;
  uint64_t key;   /* mixed into tokens: they are hard to guess. RFC 7252 section 5.3.1 */
  uint64_t state; /* of the random numbers */
  uint64_t first_number;
  uint64_t issued, quota; /* requests made, and to make unless it goes by time */
  uint32_t open;          /* calls under way */
  uint32_t longest;       /* messages of a call so far, with all blocks */
  copal_time began;
  bool is_held; /* the request that is due finds no client that can send it */
} worker;

static uint64_t next_random(worker *w)
{
  w->state ^= w->state << 13;
  w->state ^= w->state >> 7;
  w->state ^= w->state << 17;
  return w->state;
}

/* ------------------------------------------------------------------------------------------------
 * sending */

static uint64_t token_of(const worker *w, const call *c)
{
  return ((uint64_t)(c - w->calls) << 32 | c->use) ^ w->key;
}

static void finish(worker *w, call *c)
{
  copal_timerq_cancel(&w->timers, &c->timer);
  c->is_open = false;
  w->open--;
  w->clients[c->client].open--;
  copal_list_append(&w->idle, &c->idle);
}

/* The counters of the measured part, or of nothing. */
static bool is_measured(const worker *w, const call *c)
{
  return c->due >= w->window.begin && c->due < w->window.end;
}

/* Ends a call without an answer; one that comes yet is late. */
static void abandon(worker *w, call *c, uint64_t *counter)
{
  *counter += is_measured(w, c);
  c->abandoned |= 1;
  finish(w, c);
}

static void arm(worker *w, call *c, copal_time due)
{
  copal_timerq_arm(&w->timers, &c->timer, due < c->give_up ? due : c->give_up);
}

static void transmit(worker *w, call *c, copal_time now)
{
  uint8_t bytes[SHAPE_DATAGRAM_MAX];
  copal_wr out = copal_wr_init((copal_mspan){bytes, sizeof bytes});
  arm(w, c, now + c->interval);
  if (shape_put(&w->plan->shape, &c->request, &out) != COPAL_OK)
    return; /* tried by load.c before the run */
  wires_send(w->wires, c->client, copal_wr_done(&out));
}

static copal_dur first_interval(worker *w)
{
  const copal_params *p = &w->plan->params;
  if (w->plan->shape.type == COPAL_NON)
    return w->plan->patience;
  /* Between ACK_TIMEOUT and half as much again. RFC 7252 section 4.2. */
  return p->ack_timeout + (copal_dur)(next_random(w) % (p->ack_timeout / 2 + 1));
}

/* Sends the request for the call's present block as a message of its own. */
static void send_message(worker *w, call *c, copal_time now)
{
  client *from = &w->clients[c->client];
  c->use++;
  c->abandoned <<= 1;
  c->give_up = w->plan->timeout > 0 ? now + w->plan->timeout : COPAL_NEVER;
  c->request.mid = from->mid++;
  c->request.token = token_of(w, c);
  c->is_acked = false;
  c->retransmits = 0;
  c->interval = first_interval(w);
  from->used++;
  if (w->longest <= c->blocks)
    w->longest = c->blocks + 1;
  transmit(w, c, now);
}

static uint64_t draw_number(worker *w)
{
  const load_plan *p = w->plan;
  if (p->is_random)
    return next_random(w) % p->numbers;
  return (w->first_number + w->issued * p->threads) % p->numbers;
}

static void begin(worker *w, call *c, copal_time due, copal_time now)
{
  c->request =
      (shape_call){.number = draw_number(w), .tag = (uint32_t)w->issued, .szx = w->plan->shape.szx};
  c->due = due;
  c->sent = now;
  c->is_open = true;
  c->received = 0;
  c->blocks = 0;
  c->etag_len = 0;
  w->issued++;
  w->open++;
  w->clients[c->client].open++;
  send_message(w, c, now);
}

/* ------------------------------------------------------------------------------------------------
 * whose turn it is */

/* The place of a request in the schedule; threads take turns. */
static copal_time due_of(const worker *w, uint64_t issued)
{
  const load_plan *p = w->plan;
  const double place = (double)(issued * p->threads + w->first_number);
  return w->began + (copal_time)(place * COPAL_SECOND / p->rate);
}

static bool wants_more(const worker *w, copal_time now)
{
  if (runner_is_stopped(&w->base))
    return false;
  if (w->plan->requests > 0)
    return w->issued < w->quota;
  if (w->plan->rate <= 0)
    return now < w->window.end;
  return due_of(w, w->issued) < w->window.end && now < w->window.end + LATENESS;
}

/* When the next request is to leave; `now` or earlier: at once. */
static copal_time next_due(const worker *w, copal_time now)
{
  return w->plan->rate > 0 ? due_of(w, w->issued) : now;
}

/* Whether the Message IDs of a socket last for another request, and for the blocks to come of those
 * under way. One that takes more than there are has them for itself. */
static bool has_mids(const worker *w, const client *c)
{
  return c->used == 0 || c->used + (uint64_t)w->plan->window * w->longest < WIRE_MIDS;
}

/* A socket that has used up its Message IDs gives way to one with another port. */
static bool is_fresh(worker *w, uint32_t index)
{
  client *c = &w->clients[index];
  if (has_mids(w, c))
    return wires_is_ready(w->wires, index);
  if (c->open > 0 || wires_renew(w->wires, index) < 0)
    return false; /* tried again at its next turn */
  c->used = 0;
  return wires_is_ready(w->wires, index);
}

static void issue(worker *w, copal_time now)
{
  copal_node *node = w->idle.next;
  w->is_held = false;
  while (node != &w->idle && wants_more(w, now)) {
    call *c = COPAL_AROUND(node, call, idle);
    const copal_time due = next_due(w, now);
    node = node->next;
    if (due > now)
      return;
    if (!is_fresh(w, c->client)) {
      w->is_held = true;
      continue;
    }
    const copal_time sent = session_now();
    copal_list_remove(&c->idle);
    begin(w, c, w->plan->rate > 0 ? due : sent, sent);
  }
}

static void time_out(worker *w, call *c)
{
  const uint32_t index = c->client;
  abandon(w, c, &w->base.account.timeouts);
  wires_doubt(w->wires, index);
}

static void run_timers(worker *w, copal_time now)
{
  copal_timer *t;
  while ((t = copal_timerq_pop(&w->timers, now)) != NULL) {
    call *c = (call *)t;
    const bool is_over = w->plan->shape.type == COPAL_NON || c->is_acked || now >= c->give_up ||
                         c->retransmits >= w->plan->params.max_retransmit;
    if (is_over) {
      time_out(w, c);
      continue;
    }
    c->retransmits++;
    c->interval *= 2;
    w->base.account.retransmissions += is_measured(w, c);
    transmit(w, c, now);
  }
}

/* ------------------------------------------------------------------------------------------------
 * answers */

static void count_answer(worker *w, call *c, copal_code code, copal_time now)
{
  if (is_measured(w, c)) {
    account *a = &w->base.account;
    a->answered++;
    a->messages += c->blocks;
    a->body_bytes += c->received + w->plan->shape.body.len;
    a->codes[code]++;
    histogram_add(&a->latency, now - c->due);
    if (w->plan->rate > 0)
      histogram_add(&a->uncorrected, now - c->sent);
    w->base.last_answer = now;
  }
  runner_count(&w->base);
  finish(w, c);
}

static void fail(worker *w, call *c, uint64_t *what, copal_code code)
{
  (*what)++; /* also before the measured part: an answer that is wrong is never right */
  w->base.account.codes[code]++;
  finish(w, c);
}

static bool is_expected_code(const worker *w, copal_code code)
{
  /* 2.31 asks for more of a body of which there is no more. RFC 7959 section 2.9.1. */
  if (w->plan->expect != 0)
    return code == w->plan->expect;
  return copal_code_class(code) == 2 && code != COPAL_CODE_CONTINUE;
}

/* Compares with what is expected of this part of the body. */
static bool is_expected_body(const worker *w, const call *c, copal_span part, bool is_last)
{
  const copal_span all = w->plan->expected;
  if (!w->plan->checks_body)
    return true;
  if (c->received + part.len > all.len || (is_last && c->received + part.len != all.len))
    return false;
  return part.len == 0 || memcmp(all.ptr + c->received, part.ptr, part.len) == 0;
}

/* All blocks of a body have one entity-tag. RFC 7959 section 2.4. */
static bool is_same_body(call *c, const copal_msg *m)
{
  copal_span tag;
  if (!copal_opt_find_valid(m->options, COPAL_OPT_ETAG, &tag))
    tag = copal_span_none();
  if (c->request.download > 0)
    return copal_span_is_equal(tag, copal_span_of(c->etag, c->etag_len));
  c->etag_len = tag.len;
  if (tag.len > 0)
    memcpy(c->etag, tag.ptr, tag.len);
  return true;
}

/* Reads a Block option; false when the answer has none that is right. */
static bool read_block(const copal_msg *m, uint16_t number, copal_block *b)
{
  copal_span value;
  return copal_opt_find(m->options, number, &value) && copal_block_parse(value, b) == COPAL_OK;
}

/* The block is the next one, not larger than the one asked for, and full unless it is the last; a
 * whole body comes where no block was asked for. RFC 7959 section 2.3 and 2.4. */
static bool is_expected_block(const call *c, const copal_msg *m, bool has_block,
                              const copal_block *b)
{
  copal_span value;
  if (!has_block)
    return c->request.download == 0 && !copal_opt_find(m->options, COPAL_OPT_BLOCK2, &value);
  const size_t size = copal_block_size(b->szx);
  return copal_block_offset(*b) == c->received && b->szx <= c->request.szx &&
         (b->more ? m->payload.len == size : m->payload.len <= size);
}

static void take_content(worker *w, call *c, const copal_msg *m, copal_time now)
{
  copal_block b = {0};
  const bool has_block = read_block(m, COPAL_OPT_BLOCK2, &b);
  const bool is_last = !has_block || !b.more;
  c->blocks++;
  if (!is_expected_block(c, m, has_block, &b)) {
    fail(w, c, &w->base.account.wrong.block, m->code);
    return;
  }
  if (!is_same_body(c, m) || !is_expected_body(w, c, m->payload, is_last)) {
    fail(w, c, &w->base.account.wrong.payload, m->code);
    return;
  }
  c->received += m->payload.len;
  if (is_last) {
    count_answer(w, c, m->code, now);
    return;
  }
  c->request.szx = b.szx;
  c->request.download = (uint32_t)(c->received >> (b.szx + 4));
  send_message(w, c, now);
}

/* 4.13 with a smaller block size: all is sent again in such blocks. RFC 7959 section 2.9.3. */
static bool is_size_refused(const worker *w, const call *c, const copal_msg *m, copal_block *b)
{
  const shape_call *r = &c->request;
  return m->code == COPAL_CODE_REQUEST_ENTITY_TOO_LARGE && r->upload == 0 && r->download == 0 &&
         m->code != w->plan->expect && read_block(m, COPAL_OPT_BLOCK1, b) && b->szx < r->szx &&
         shape_is_blockwise(&w->plan->shape, b->szx) && shape_fits(&w->plan->shape, b->szx);
}

/* After a block of the request's body that is not the last: the next one, or a fault. Returns false
 * when the answer is the final one. RFC 7959 sections 2.3, 2.5. */
static bool go_on_sending(worker *w, call *c, const copal_msg *m, copal_time now)
{
  copal_block b;
  shape_call *r = &c->request;
  const shape *s = &w->plan->shape;
  if (is_size_refused(w, c, m, &b)) {
    r->szx = b.szx;
    c->blocks++;
    send_message(w, c, now);
    return true;
  }
  if (copal_code_class(m->code) != 2 || !shape_is_blockwise(s, r->szx) || r->download > 0 ||
      shape_is_last(s, r))
    return false;
  /* A server that takes each block by itself says so with a code of its own instead of 2.31. */
  if (!read_block(m, COPAL_OPT_BLOCK1, &b) || b.num != r->upload || b.szx > r->szx ||
      !shape_fits(s, b.szx)) {
    fail(w, c, &w->base.account.wrong.block, m->code);
    return true;
  }
  const size_t sent = ((size_t)r->upload + 1) * copal_block_size(r->szx);
  r->szx = b.szx;
  r->upload = (uint32_t)(sent / copal_block_size(b.szx));
  c->blocks++;
  send_message(w, c, now);
  return true;
}

static void take_response(worker *w, call *c, const copal_msg *m, copal_time now)
{
  if (m->type == COPAL_ACK && m->mid != c->request.mid)
    fail(w, c, &w->base.account.wrong.mid, m->code);
  else if (m->type == COPAL_ACK && w->plan->shape.type == COPAL_NON)
    fail(w, c, &w->base.account.wrong.type, m->code);
  else if (go_on_sending(w, c, m, now))
    return;
  else if (!is_expected_code(w, m->code))
    fail(w, c, &w->base.account.wrong.code, m->code);
  else
    take_content(w, c, m, now);
}

/* The call of a token; NULL when it is not under way any more, or never was. */
static call *find_by_token(worker *w, uint32_t index, const copal_msg *m)
{
  uint64_t token = 0;
  if (m->token.len == sizeof token)
    memcpy(&token, m->token.ptr, sizeof token);
  token ^= w->key;
  const uint64_t place = token >> 32;
  const uint32_t use = (uint32_t)token;
  const bool is_ours = m->token.len == sizeof token &&
                       place < (uint64_t)w->client_count * w->plan->window &&
                       w->calls[place].client == index && use <= w->calls[place].use && use > 0;
  if (!is_ours) {
    w->base.account.wrong.token++;
    return NULL;
  }
  call *c = &w->calls[place];
  if (c->is_open && use == c->use)
    return c;
  const uint32_t age = c->use - use;
  const bool was_given_up = age < ABANDONED_KNOWN && (c->abandoned >> age & 1) != 0;
  (*(was_given_up ? &w->base.account.late : &w->base.account.duplicates))++;
  return NULL;
}

/* Empty messages name their request by its Message ID only. */
static call *find_by_mid(worker *w, uint32_t index, uint16_t mid)
{
  call *of_client = &w->calls[(size_t)index * w->plan->window];
  for (uint32_t i = 0; i < w->plan->window; i++)
    if (of_client[i].is_open && of_client[i].request.mid == mid)
      return &of_client[i];
  return NULL;
}

static bool was_sent(const worker *w, uint32_t index, uint16_t mid)
{
  const client *c = &w->clients[index];
  return (uint16_t)(c->mid - 1 - mid) < c->used;
}

/* An acknowledgement or Reset. That of a request which is over is a copy, or overtaken by the
 * answer. */
static void take_reply(worker *w, uint32_t index, const copal_msg *m, copal_time now)
{
  call *c = find_by_mid(w, index, m->mid);
  if (c == NULL) {
    w->base.account.wrong.mid += !was_sent(w, index, m->mid);
  } else if (m->type == COPAL_RST) {
    abandon(w, c, &w->base.account.resets);
  } else if (w->plan->shape.type == COPAL_NON) {
    w->base.account.wrong.type++;
  } else {
    c->is_acked = true;
    arm(w, c, now + w->plan->patience);
  }
}

static void take_empty(worker *w, uint32_t index, const copal_msg *m, copal_time now)
{
  if (m->type == COPAL_CON) /* a ping. RFC 7252 section 4.3 */
    wires_send_empty(w->wires, index, COPAL_RST, m->mid);
  else
    take_reply(w, index, m, now);
}

static worker *worker_of(wires_user *u)
{
  return (worker *)((uint8_t *)u - offsetof(worker, user));
}

static void take_message(wires_user *u, uint32_t index, copal_span bytes)
{
  worker *w = worker_of(u);
  const copal_time now = session_now();
  copal_msg m;
  if (copal_msg_parse(bytes, &m) != COPAL_OK || copal_code_is_request(m.code)) {
    w->base.account.wrong.malformed++;
    return;
  }
  if (m.code == COPAL_CODE_EMPTY) {
    take_empty(w, index, &m, now);
    return;
  }
  const uint64_t strangers = w->base.account.wrong.token;
  call *c = find_by_token(w, index, &m);
  const bool is_known = w->base.account.wrong.token == strangers;
  if (m.type == COPAL_CON) /* RFC 7252 section 5.3.2 */
    wires_send_empty(w->wires, index, is_known ? COPAL_ACK : COPAL_RST, m.mid);
  if (c != NULL)
    take_response(w, c, &m, now);
}

/* The network's answer is about what the client has sent last. */
static void refuse_all(wires_user *u, uint32_t index)
{
  worker *w = worker_of(u);
  call *of_client = &w->calls[(size_t)index * w->plan->window];
  for (uint32_t i = 0; i < w->plan->window; i++)
    if (of_client[i].is_open)
      abandon(w, &of_client[i], &w->base.account.refused);
}

/* ------------------------------------------------------------------------------------------------
 * the run */

static copal_time earliest(copal_time a, copal_time b)
{
  return a < b ? a : b;
}

static copal_time next_event(const worker *w, copal_time now)
{
  const copal_time limit = earliest(now + LOOK_EVERY, copal_timerq_deadline(&w->timers));
  const bool has_idle = !copal_list_is_empty(&w->idle);
  if (!has_idle || !wants_more(w, now))
    return limit;
  if (w->is_held)
    return earliest(limit, now + HELD_PAUSE);
  return w->plan->rate > 0 ? earliest(limit, next_due(w, now)) : limit;
}

static bool is_over(const worker *w, copal_time now, copal_time *give_up)
{
  if (wants_more(w, now))
    return false;
  if (*give_up == COPAL_NEVER)
    *give_up = now + w->plan->grace;
  return w->open == 0 || now >= *give_up;
}

/* The first request of the schedule that is not due before `t`. */
static uint64_t place_at(const worker *w, copal_time t)
{
  if (t <= w->began)
    return 0;
  const double places = (double)(t - w->began) * w->plan->rate / COPAL_SECOND;
  uint64_t i = (uint64_t)(places / w->plan->threads);
  i -= i < 2 ? i : 2; /* rounding, and the turns of threads */
  while (due_of(w, i) < t)
    i++;
  return i;
}

/* Requests of the schedule between two instants that have not been made. */
static uint64_t unsent(const worker *w, copal_time begin, copal_time end)
{
  const uint64_t first = place_at(w, begin), from = first > w->issued ? first : w->issued;
  const uint64_t to = place_at(w, end);
  return to > from ? to - from : 0;
}

static void count_rest(worker *w, copal_time stopped)
{
  account *a = &w->base.account;
  for (size_t i = 0; i < (size_t)w->client_count * w->plan->window; i++)
    a->unanswered += w->calls[i].is_open && is_measured(w, &w->calls[i]);
  if (w->plan->rate > 0 && w->plan->requests == 0)
    a->unsent += unsent(w, w->window.begin, earliest(stopped, w->window.end));
}

static void worker_run(runner *r, load_window window)
{
  worker *w = (worker *)r;
  copal_time give_up = COPAL_NEVER;
  w->window = window;
  w->began = load_began(w->plan, &window);
  (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL); /* a rate needs punctual waking */
  for (copal_time now = session_now(); !is_over(w, now, &give_up); now = session_now()) {
    issue(w, now);
    wires_wait(w->wires, next_event(w, now));
    run_timers(w, session_now());
    runner_tell(r);
  }
  count_rest(w, give_up - w->plan->grace);
}

/* ------------------------------------------------------------------------------------------------
 * opening and closing */

/* The part of worker `index` of something that is dealt out evenly. */
static uint64_t part_of(uint64_t all, uint32_t index, uint32_t threads)
{
  return all / threads + (index < all % threads ? 1 : 0);
}

/* The clients take turns: first the first place of each, then the second. */
static void init_calls(worker *w)
{
  copal_list_init(&w->idle);
  for (uint32_t i = 0; i < w->plan->window; i++)
    for (uint32_t k = 0; k < w->client_count; k++) {
      call *c = &w->calls[(size_t)k * w->plan->window + i];
      c->client = k;
      copal_timer_init(&c->timer);
      copal_list_append(&w->idle, &c->idle);
    }
}

static int init(worker *w)
{
  const copal_time now = session_now();
  const size_t places = (size_t)w->client_count * w->plan->window;
  w->clients = calloc(w->client_count, sizeof *w->clients);
  w->calls = calloc(places, sizeof *w->calls);
  w->slots = malloc(copal_timerq_size(TIMER_SLOTS));
  if (w->clients == NULL || w->calls == NULL || w->slots == NULL)
    return -ENOMEM;
  copal_timerq_init(&w->timers, w->slots, TIMER_SLOTS, TICK, now);
  init_calls(w);
  uint64_t seeds[2];
  if (getrandom(seeds, sizeof seeds, 0) != (ssize_t)sizeof seeds)
    return -errno;
  w->key = seeds[0];
  w->state = seeds[1] | 1;
  for (uint32_t i = 0; i < w->client_count; i++)
    w->clients[i].mid = (uint16_t)next_random(w);
  w->user = (wires_user){take_message, refuse_all};
  return wires_open(w->plan, w->client_count, &w->user, &w->base.account, &w->wires);
}

static void worker_close(runner *r)
{
  worker *w = (worker *)r;
  wires_close(w->wires);
  free(w->clients);
  free(w->calls);
  free(w->slots);
  free(w);
}

int worker_open(const load_plan *plan, uint32_t index, runner **out)
{
  worker *w = calloc(1, sizeof *w);
  if (w == NULL)
    return -ENOMEM;
  w->base.run = worker_run;
  w->base.close = worker_close;
  w->plan = plan;
  w->client_count = (uint32_t)part_of(plan->clients, index, plan->threads);
  w->quota = part_of(plan->requests, index, plan->threads);
  w->first_number = index;
  const int rc = init(w);
  if (rc < 0 && rc != COPAL_ENOTFOUND) {
    worker_close(&w->base);
    return rc;
  }
  w->base.failure = rc < 0 ? wires_failure(w->wires) : NULL;
  *out = &w->base;
  return rc;
}
