/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies on their way in by Q-Block1. */
#include "service/qbodies.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "copal/registry.h"
#include "service/gather.h"

enum {
  COUNT_MAX_DEFAULT = 64,
  PER_CLIENT_DEFAULT = 8,
  BYTE_MAX_DEFAULT = 256 << 20,
  HELD_MAX = 5, /* requests kept for a 4.08: as many as are sent by default */
  SHARD_MAX = 256,
  TAG_MAX = 8,    /* bytes of a Request-Tag, RFC 9175 section 3.2.1 */
  NUM_SIZE = 5,   /* bytes of a block number in CBOR */
  DONE_LIFE = 60, /* seconds for which the answer to a finished body is remembered */
};

typedef enum qbody_state {
  QBODY_OPEN,
  QBODY_BUSY, /* complete, being carried out */
  QBODY_DONE, /* only its answer is remembered */
} qbody_state;

typedef struct qtable qtable;

struct qbody {
  service_timer timer; /* first */
  handler_note note;
  lender lender;
  qtable *table;
  qbody *next; /* newest first */
  copal_path path;
  gather blocks;
  staging body;
  uint64_t kept; /* bytes counted against the budget */
  copal_time touched;
  copal_xref held[HELD_MAX]; /* requests not answered, oldest first */
  unsigned held_count;
  unsigned asked;     /* 4.08 sent since a block has come */
  uint32_t asked_set; /* blocks of this set and before it have led to a 4.08 */
  uint32_t size;      /* of the body: Size1 */
  uint32_t format;
  qbody_state state;
  copal_code code;
  copal_code answer; /* QBODY_DONE */
  uint8_t szx;
  bool is_non;
  size_t name_len;
  uint8_t name[];
};

/* The bodies of one shard. */
struct qtable {
  const handler_env *env;
  qbodies *all;
  qbody *newest;
  qbodies_counts counts;
};

struct qbodies {
  qbodies_cfg cfg;
  staging_place own;    /* the default one */
  pthread_mutex_t lock; /* guards the list of tables, not the tables */
  qtable tables[SHARD_MAX];
  size_t table_count;
};

/* ----------------------------------------------------------------------------------------- table
 */

static qtable *table_of(qbodies *q, const handler_env *env)
{
  qtable *found = NULL;
  pthread_mutex_lock(&q->lock);
  for (size_t i = 0; i < q->table_count && found == NULL; i++)
    if (q->tables[i].env == env)
      found = &q->tables[i];
  if (found == NULL && q->table_count < SHARD_MAX) {
    found = &q->tables[q->table_count++];
    *found = (qtable){.env = env, .all = q};
  }
  pthread_mutex_unlock(&q->lock);
  return found;
}

static copal_time now_of(const qtable *t, copal_time otherwise)
{
  return t->env->clock != NULL ? *t->env->clock : otherwise;
}

static void release_held(qbody *b, copal_time now)
{
  while (b->held_count > 0)
    copal_ep_abandon(b->table->env->ep, b->held[--b->held_count], now);
}

static void forget_bytes(qbody *b)
{
  staging_wipe(&b->body);
  b->table->counts.bytes -= b->kept;
  b->kept = 0;
}

static void drop(qbody *b, uint64_t *counter)
{
  qtable *t = b->table;
  qbody **at = &t->newest;
  while (*at != b)
    at = &(*at)->next;
  *at = b->next;
  release_held(b, now_of(t, b->touched));
  forget_bytes(b);
  copal_timerq_cancel(t->env->timers, &b->timer.timer);
  t->counts.open--;
  if (counter != NULL)
    (*counter)++;
  free(b);
}

/* True for the options that tell bodies apart beside the path. */
static bool is_telling(const copal_opt *opt)
{
  switch (opt->number) {
  case COPAL_OPT_URI_HOST:
  case COPAL_OPT_URI_PORT:
  case COPAL_OPT_URI_QUERY: return true;
  case COPAL_OPT_REQUEST_TAG: return opt->value.len <= TAG_MAX;
  }
  return false;
}

static copal_span make_name(const handler_req *req)
{
  const copal_span options = req->coap->msg->options;
  const size_t room = req->key.len + 4 * options.len;
  uint8_t *bytes = arena_take(req->arena, room);
  copal_wr w = copal_wr_init((copal_mspan){bytes, bytes != NULL ? room : 0});
  copal_wr_span(&w, req->key);
  copal_opt_iter it = copal_opt_iter_init(options);
  for (copal_opt opt; copal_opt_next(&it, &opt);) {
    if (!is_telling(&opt))
      continue;
    copal_wr_be(&w, opt.number, 2);
    copal_wr_be(&w, (uint32_t)opt.value.len, 2);
    copal_wr_span(&w, opt.value);
  }
  return w.err == COPAL_OK ? copal_wr_done(&w) : copal_span_none();
}

static bool is_same(const qbody *b, const handler_req *req, copal_span name)
{
  return b->code == req->coap->msg->code && copal_path_is_same_peer(&b->path, req->coap->path) &&
         copal_span_is_equal(copal_span_of(b->name, b->name_len), name);
}

static bool is_same_address(const copal_path *a, const copal_path *b)
{
  return memcmp(a->remote.ip, b->remote.ip, sizeof a->remote.ip) == 0;
}

/* A path of the only address that may hold more than half of the bodies: each of others takes a
 * vote from it. */
static const copal_path *most_voted(const qtable *t)
{
  const copal_path *most = NULL;
  uint32_t votes = 0;
  for (const qbody *b = t->newest; b != NULL; b = b->next) {
    if (votes == 0)
      most = &b->path;
    votes = is_same_address(&b->path, most) ? votes + 1 : votes - 1;
  }
  return most;
}

/* The body that has waited longest of one address, if that has more than half of all, so that it
 * cannot take the places of others by using many ports; else of all. */
static qbody *to_give_way(const qtable *t)
{
  const copal_path *most = most_voted(t);
  qbody *oldest = NULL, *own = NULL;
  uint32_t count = 0;
  for (qbody *b = t->newest; b != NULL; b = b->next) {
    const bool is_own = is_same_address(&b->path, most);
    count += is_own;
    if (b->state == QBODY_BUSY)
      continue;
    oldest = b;
    own = is_own ? b : own;
  }
  return count > t->counts.open / 2 && own != NULL ? own : oldest;
}

/* The body that has waited longest of a client that has its share: an address with its port, or a
 * session, for addresses are shared behind a NAT. NULL when it has not. */
static qbody *oldest_beyond_share(const qtable *t, const copal_path *path)
{
  qbody *own = NULL;
  uint32_t count = 0;
  for (qbody *b = t->newest; b != NULL; b = b->next) {
    if (b->state == QBODY_BUSY || !copal_path_is_same_peer(&b->path, path))
      continue;
    own = b;
    count++;
  }
  return count >= t->all->cfg.per_client ? own : NULL;
}

static qbody *victim_for(const qtable *t, const copal_path *path)
{
  qbody *own = oldest_beyond_share(t, path);
  if (own != NULL || t->counts.open < t->all->cfg.count_max)
    return own;
  return to_give_way(t);
}

static uint32_t format_of(const handler_req *req)
{
  return copal_opt_uint_or(req->coap->msg->options, COPAL_OPT_CONTENT_FORMAT, UINT32_MAX);
}

static uint32_t size1_of(const handler_req *req)
{
  return copal_opt_uint_or(req->coap->msg->options, COPAL_OPT_SIZE1, UINT32_MAX);
}

static void on_due(service_timer *timer, copal_time now);
static void on_release(lender *l);
static void on_answer(handler_note *note, copal_code code);

static qbody *make(qtable *t, const handler_req *req, copal_span name)
{
  qbody *victim = victim_for(t, req->coap->path);
  if (victim != NULL)
    drop(victim, victim->state == QBODY_OPEN ? &t->counts.evicted : NULL);
  qbody *b = t->counts.open < t->all->cfg.count_max ? malloc(sizeof *b + name.len) : NULL;
  if (b == NULL)
    return NULL;
  *b = (qbody){.timer = {.on_due = on_due},
               .note = {.on_answer = on_answer},
               .lender = {.release = on_release},
               .table = t,
               .next = t->newest,
               .path = *req->coap->path,
               .size = size1_of(req),
               .format = format_of(req),
               .code = req->coap->msg->code,
               .szx = req->coap->block1.szx,
               .is_non = req->coap->msg->type == COPAL_NON,
               .name_len = name.len};
  memcpy(b->name, name.ptr, name.len);
  copal_timer_init(&b->timer.timer);
  t->newest = b;
  t->counts.open++;
  return b;
}

/* ---------------------------------------------------------------------------------------- blocks
 */

static uint32_t block_count(const qbody *b)
{
  const uint32_t size = (uint32_t)copal_block_size(b->szx);
  return b->size / size + (b->size % size != 0);
}

/* The block has the place and size that Size1 gives it. RFC 9177 section 4.6. */
static int check(const handler_req *req)
{
  const copal_block block = req->coap->block1;
  const uint64_t at = (uint64_t)block.num << (block.szx + 4);
  const uint64_t end = at + req->coap->msg->payload.len;
  const uint32_t size = size1_of(req);
  if (size > req->env->limits->body_max)
    return COPAL_ETOOBIG;
  if (block.more ? end >= size || end - at != copal_block_size(block.szx)
                 : end != size || end - at > copal_block_size(block.szx))
    return COPAL_EBLOCK;
  return COPAL_OK;
}

static int keep(qbody *b, const handler_req *req)
{
  qtable *t = b->table;
  const copal_span payload = req->coap->msg->payload;
  if (t->counts.bytes + payload.len > t->all->cfg.byte_max ||
      staging_write(&b->body, t->all->cfg.place, copal_block_offset(req->coap->block1), payload) <
          0) {
    t->counts.failed++;
    return COPAL_ENOSLOT;
  }
  b->kept += payload.len;
  t->counts.bytes += payload.len;
  return COPAL_OK;
}

static int take_block(qbody *b, const handler_req *req)
{
  qtable *t = b->table;
  gather ahead = b->blocks;
  switch (gather_take(&ahead, req->coap->block1.num)) {
  case GATHER_NEW: {
    const int err = keep(b, req);
    if (err < 0)
      return err;
    b->blocks = ahead;
    b->asked = 0;
    break;
  }
  case GATHER_REPEATED: t->counts.repeated++; break;
  case GATHER_BEYOND: t->counts.beyond++; break;
  }
  return COPAL_OK;
}

/* --------------------------------------------------------------------------------------- answers
 */

static uint32_t per_set(const qbody *b)
{
  return b->table->all->cfg.params.max_payloads;
}

/* The list of missing blocks as a CBOR sequence. RFC 9177 section 5. */
static copal_span list_missing(const qbody *b, uint32_t end, copal_wr *w)
{
  uint32_t nums[COPAL_QBLOCK_PAYLOADS_MAX];
  const size_t count = gather_missing(&b->blocks, end, nums, per_set(b));
  for (size_t i = 0; i < count; i++) {
    if (nums[i] < 24) {
      copal_wr_be(w, nums[i], 1);
    } else if (nums[i] <= UINT8_MAX) {
      copal_wr_be(w, 0x1800 | nums[i], 2);
    } else if (nums[i] <= UINT16_MAX) {
      copal_wr_be(w, 0x19, 1);
      copal_wr_be(w, nums[i], 2);
    } else {
      copal_wr_be(w, 0x1a, 1);
      copal_wr_be(w, nums[i], 4);
    }
  }
  return copal_wr_done(w);
}

/* Sends 4.08: for the request being handled, or for one held when `held` is not 0. */
static void send_incomplete(qbody *b, uint32_t end, copal_xref held, copal_time now)
{
  static const uint8_t format[] = {COPAL_CF_MISSING_BLOCKS >> 8, COPAL_CF_MISSING_BLOCKS & 0xff};
  uint8_t room[COPAL_QBLOCK_PAYLOADS_MAX * NUM_SIZE];
  copal_wr w = copal_wr_init((copal_mspan){room, sizeof room});
  const copal_opt opt = {COPAL_OPT_CONTENT_FORMAT, {format, sizeof format}};
  const copal_response r = {.code = COPAL_CODE_REQUEST_ENTITY_INCOMPLETE,
                            .opts = &opt,
                            .opt_count = 1,
                            .payload = list_missing(b, end, &w)};
  copal_ep *ep = b->table->env->ep;
  if (held == 0)
    copal_ep_respond(ep, &r, now);
  else if (copal_ep_resume(ep, held, &r, now) < 0)
    copal_ep_abandon(ep, held, now);
  b->table->counts.incomplete++;
}

static void send_continue(const qbody *b, uint32_t num, copal_time now)
{
  uint8_t value[4];
  const uint32_t v = copal_block_value((copal_block){.num = num, .more = true, .szx = b->szx});
  copal_wr w = copal_wr_init((copal_mspan){value, sizeof value});
  copal_wr_be(&w, v, v > UINT16_MAX ? 3 : v > UINT8_MAX ? 2 : 1);
  const copal_opt opt = {COPAL_OPT_Q_BLOCK1, copal_wr_done(&w)};
  copal_ep_respond(b->table->env->ep,
                   &(copal_response){.code = COPAL_CODE_CONTINUE, .opts = &opt, .opt_count = 1},
                   now);
}

/* Keeps the request for an answer that comes later. */
static int hold(qbody *b)
{
  if (b->held_count == HELD_MAX ||
      copal_ep_defer(b->table->env->ep, &b->held[b->held_count]) != COPAL_OK)
    return COPAL_OK; /* silence: others are held */
  b->held_count++;
  return COPAL_EPENDING;
}

/* Answers a block that does not complete the body. RFC 9177 section 7.2. */
static int answer_block(qbody *b, uint32_t num, copal_time now)
{
  const uint32_t set = num / per_set(b);
  const uint32_t begin = set * per_set(b);
  if (!b->is_non)
    return COPAL_OK; /* an Empty ACK */
  if (b->blocks.base >= begin + per_set(b)) {
    send_continue(b, begin + per_set(b) - 1, now);
    return COPAL_OK;
  }
  if (b->blocks.base < begin && set > b->asked_set) {
    b->asked_set = set;
    send_incomplete(b, begin, 0, now);
    return COPAL_OK;
  }
  return hold(b);
}

static void arm(qbody *b, copal_time due)
{
  if (b->table->env->timers != NULL)
    copal_timerq_arm(b->table->env->timers, &b->timer.timer, due);
}

static copal_dur patience(const qbody *b)
{
  const copal_qblock *p = &b->table->all->cfg.params;
  return b->is_non ? copal_qblock_patience(p, b->asked) : p->non_partial_timeout;
}

/* Nothing has come for a while. */
static void on_due(service_timer *timer, copal_time now)
{
  qbody *b = (qbody *)timer;
  const copal_qblock *p = &b->table->all->cfg.params;
  if (b->state == QBODY_BUSY) {
    arm(b, now + p->non_receive_timeout);
    return;
  }
  if (b->state == QBODY_DONE) {
    drop(b, NULL);
    return;
  }
  if (!b->is_non || b->asked >= p->non_max_retransmit ||
      now - b->touched >= p->non_partial_timeout) {
    drop(b, &b->table->counts.expired);
    return;
  }
  const uint32_t last = b->blocks.top > b->blocks.base ? b->blocks.top - 1 : b->blocks.base;
  const uint32_t end = last - last % per_set(b) + per_set(b);
  const uint32_t count = block_count(b);
  if (b->held_count > 0)
    send_incomplete(b, end < count ? end : count, b->held[--b->held_count], now);
  b->asked++;
  arm(b, now + patience(b));
}

/* The answer to the request is known. */
static void on_answer(handler_note *note, copal_code code)
{
  qbody *b = (qbody *)((char *)note - offsetof(qbody, note));
  b->answer = code;
  b->state = QBODY_DONE;
}

/* ---------------------------------------------------------------------------------------- taking
 */

static int answer_again(const qbody *b, copal_time now)
{
  if (b->state == QBODY_BUSY)
    return COPAL_OK; /* its answer is on the way */
  return copal_ep_respond(b->table->env->ep, &(copal_response){.code = b->answer}, now);
}

static int find_or_make(qtable *t, const handler_req *req, copal_span name, qbody **body)
{
  for (qbody *b = t->newest; b != NULL; b = b->next) {
    if (!is_same(b, req, name))
      continue;
    *body = b;
    return b->size == size1_of(req) && b->szx == req->coap->block1.szx &&
                   b->format == format_of(req)
               ? COPAL_OK
               : COPAL_EBLOCK;
  }
  *body = make(t, req, name);
  return *body != NULL ? COPAL_OK : COPAL_ENOSLOT;
}

/* The body is complete. */
static int complete(qbody *b, copal_time now, copal_span *body)
{
  release_held(b, now);
  if (staging_view(&b->body, body) < 0) {
    drop(b, &b->table->counts.failed);
    return COPAL_ENOSLOT;
  }
  b->state = QBODY_BUSY;
  b->table->counts.finished++;
  arm(b, now + DONE_LIFE * (copal_time)COPAL_SECOND);
  return COPAL_OK;
}

int qbodies_take(qbodies *q, const handler_req *req, qbody **whole, copal_span *body,
                 handler_note **note)
{
  qbody *b;
  *whole = NULL;
  qtable *t = table_of(q, req->env);
  const copal_span name = make_name(req);
  int err = check(req);
  if (err == COPAL_OK && (t == NULL || name.len == 0 || req->env->timers == NULL))
    err = COPAL_ENOSLOT;
  if (err == COPAL_OK)
    err = find_or_make(t, req, name, &b);
  if (err < 0)
    return err;
  if (b->state != QBODY_OPEN)
    return answer_again(b, req->now);
  b->touched = req->now;
  err = take_block(b, req);
  if (err < 0) {
    drop(b, NULL);
    return err;
  }
  if (b->blocks.base < block_count(b)) {
    arm(b, req->now + patience(b));
    return answer_block(b, req->coap->block1.num, req->now);
  }
  err = complete(b, req->now, body);
  if (err == COPAL_OK) {
    *whole = b;
    *note = &b->note;
  }
  return err;
}

static void on_release(lender *l)
{
  forget_bytes((qbody *)((char *)l - offsetof(qbody, lender)));
}

lender *qbody_lender(qbody *whole)
{
  return &whole->lender;
}

void qbody_handled(qbody *b, int result)
{
  if (!b->lender.is_taken)
    forget_bytes(b);
  if (result != COPAL_EPENDING && b->state == QBODY_BUSY)
    drop(b, NULL); /* answered by others: nothing to remember */
}

/* ---------------------------------------------------------------------------- opening and closing
 */

qbodies *qbodies_open(const qbodies_cfg *cfg)
{
  qbodies *q = calloc(1, sizeof *q);
  if (q == NULL)
    return NULL;
  q->cfg = *cfg;
  if (q->cfg.params.max_payloads == 0)
    q->cfg.params = copal_qblock_default();
  if (q->cfg.count_max == 0)
    q->cfg.count_max = COUNT_MAX_DEFAULT;
  if (q->cfg.per_client == 0)
    q->cfg.per_client = PER_CLIENT_DEFAULT;
  if (q->cfg.byte_max == 0)
    q->cfg.byte_max = BYTE_MAX_DEFAULT;
  q->own.dir = "/var/tmp";
  if (q->cfg.place == NULL)
    q->cfg.place = &q->own;
  pthread_mutex_init(&q->lock, NULL);
  return q;
}

/* The shards have ended: what they had is freed without a word to them. */
void qbodies_close(qbodies *q)
{
  if (q == NULL)
    return;
  for (size_t i = 0; i < q->table_count; i++) {
    for (qbody *b = q->tables[i].newest; b != NULL;) {
      qbody *next = b->next;
      staging_wipe(&b->body);
      free(b);
      b = next;
    }
  }
  pthread_mutex_destroy(&q->lock);
  free(q);
}

qbodies_counts qbodies_counts_now(qbodies *q)
{
  qbodies_counts sum = {0};
  pthread_mutex_lock(&q->lock);
  for (size_t i = 0; i < q->table_count; i++) {
    const qbodies_counts *c = &q->tables[i].counts;
    sum.open += c->open;
    sum.bytes += c->bytes;
    sum.finished += c->finished;
    sum.repeated += c->repeated;
    sum.beyond += c->beyond;
    sum.incomplete += c->incomplete;
    sum.expired += c->expired;
    sum.evicted += c->evicted;
    sum.failed += c->failed;
  }
  pthread_mutex_unlock(&q->lock);
  return sum;
}
