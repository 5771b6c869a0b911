/* SPDX-License-Identifier: Apache-2.0 */
/* A client's block-wise transfer against a server made of bytes: its responses have the right token
 * and Message ID and any code, options and payload. Whatever comes, each transfer ends once, parts
 * arrive in order, and nothing is left. RFC 7959, RFC 9175. */
#include "copal/transfer.h"

#include <string.h>

#include "require.h"

enum {
  MTU = 1152,
  BODY = 3000,
  OPTS = 1 + COPAL_TRANSFER_OPTS,
  TOKEN_AT = COPAL_HEADER_SIZE,
  SLOTS = 3,
  KEPT = 4 /* requests that may still be answered */
};

/* The program of one input. */
typedef struct tape {
  const uint8_t *at;
  size_t left;
} tape;

typedef struct subject {
  copal_transfer t;
  copal_transfer_request rq;
  copal_transfer_window window;
  copal_transfer_slot slots[SLOTS];
  uint8_t ahead[SLOTS * 512];
  uint32_t received;
  unsigned starts, dones;
} subject;

static struct {
  copal_sink sink;
  copal_entropy entropy;
  copal_ep *ep;
  copal_time now;
  bool is_full;
  uint32_t random;
  uint8_t room[MTU],
      sent[MTU]; /* the request that is answered next: of those kept, the last ones */
  size_t sent_len;
  uint8_t kept[KEPT][MTU];
  size_t kept_len[KEPT];
  unsigned kept_at;
  uint8_t relation[COPAL_TOKEN_MAX]; /* token of the first request */
  uint16_t mid;                      /* of the server's own messages */
} world;

static subject subjects[2];
static copal_transfer_set set;
static copal_path path;
static copal_opt opt = {COPAL_OPT_URI_PATH, {(const uint8_t *)"a", 1}};
static copal_opt opt_room[OPTS];
static uint8_t body[BODY], block_room[1024];
static uint8_t mood; /* what the hooks do */
static uint64_t memory[8192];

static uint8_t next(tape *t)
{
  if (t->left == 0)
    return 0;
  t->left--;
  return *t->at++;
}

/* ---------------------------------------------------------------------------------------- hooks */

static copal_mspan reserve(copal_sink *s, const copal_path *to, size_t cap)
{
  (void)s;
  (void)to;
  REQUIRE(cap <= MTU);
  return world.is_full ? (copal_mspan){NULL, 0} : (copal_mspan){world.room, cap};
}

static void commit(copal_sink *s, const copal_path *to, size_t len)
{
  copal_msg m;
  (void)s;
  (void)to;
  REQUIRE(copal_msg_parse(copal_span_of(world.room, len), &m) == COPAL_OK);
  if (!copal_code_is_request(m.code))
    return;
  memcpy(world.sent, world.room, len);
  world.sent_len = len;
  world.kept_at = (world.kept_at + 1) % KEPT;
  memcpy(world.kept[world.kept_at], world.room, len);
  world.kept_len[world.kept_at] = len;
}

/* The request to answer: the last one, or one before it. */
static void choose(unsigned before)
{
  const unsigned at = (world.kept_at + KEPT - before) % KEPT;
  memcpy(world.sent, world.kept[at], world.kept_len[at]);
  world.sent_len = world.kept_len[at];
}

static void fill(copal_entropy *e, copal_mspan out)
{
  (void)e;
  for (size_t i = 0; i < out.len; i++) {
    world.random = world.random * 1664525u + 1013904223u;
    out.ptr[i] = (uint8_t)(world.random >> 24);
  }
}

static int on_read(copal_transfer *t, uint32_t offset, copal_mspan room, bool *is_end)
{
  const size_t left = offset < BODY ? BODY - offset : 0;
  const size_t n = left < room.len ? left : room.len;
  (void)t;
  if ((mood & 3) == 1)
    return COPAL_EPENDING;
  if ((mood & 3) == 2)
    return -100;
  memcpy(room.ptr, body, n);
  *is_end = n == left;
  return (int)n;
}

static int on_write(copal_transfer *t, const copal_transfer_part *part)
{
  subject *s = (subject *)(void *)t;
  uint8_t sum = 0;
  REQUIRE(part->msg || (s->rq.window && part->offset > 0));
  REQUIRE(part->offset == 0 || part->offset == s->received);
  for (size_t i = 0; i < part->bytes.len; i++)
    sum ^= part->bytes.ptr[i];
  s->received = part->offset + (uint32_t)part->bytes.len;
  if ((mood & 12) == 4)
    return COPAL_EPENDING;
  return (mood & 12) == 8 ? -100 - (sum & 1) : COPAL_OK;
}

static void on_event(copal_transfer *t, const copal_transfer_event *e, copal_time now)
{
  REQUIRE(now == world.now && copal_transfer_is_active(t));
  REQUIRE((e->result != NULL) == (e->kind == COPAL_TRANSFER_STATE));
}

static void on_done(copal_transfer *t, const copal_transfer_result *r, copal_time now)
{
  subject *s = (subject *)(void *)t;
  REQUIRE(now == world.now && !copal_transfer_is_active(t) && r->status <= 0);
  s->dones++;
}

/* ----------------------------------------------------------------------------------------- steps
 */

static void start(tape *t)
{
  static const copal_code codes[] = {COPAL_CODE_GET, COPAL_CODE_PUT, COPAL_CODE_POST,
                                     COPAL_CODE_FETCH};
  const uint8_t what = next(t), how = next(t), size = next(t);
  subject *s = &subjects[what & 1];
  if (copal_transfer_is_active(&s->t))
    return;
  s->rq = (copal_transfer_request)COPAL_TRANSFER_REQUEST_INIT;
  s->rq.path = &path;
  s->rq.code = codes[what >> 1 & 3];
  s->rq.opts = &opt;
  s->rq.opt_count = 1;
  s->rq.opt_room = opt_room;
  s->rq.opt_cap = OPTS;
  s->rq.block_size = (uint16_t)(16u << (how & 7) & 2032u);
  s->rq.is_observe = (how & 8) != 0;
  s->rq.has_fresh_tokens = (how & 16) != 0;
  s->rq.asks_size = (how & 32) != 0;
  s->rq.offset = (how & 64) != 0 ? size * 5u : 0;
  s->rq.etag = copal_span_of("e", (how & 128) != 0);
  s->rq.body = copal_span_of(body, (size_t)size * 11);
  s->rq.body_size = (what & 16) != 0 ? COPAL_TRANSFER_UNKNOWN : BODY;
  s->rq.block_room = (copal_mspan){block_room, sizeof(block_room)};
  s->rq.set = &set;
  s->window = (copal_transfer_window){.slots = s->slots, .count = (uint16_t)(1 + (size & 1) * 2)};
  s->window.room = (copal_mspan){s->ahead, sizeof s->ahead};
  s->rq.window = (what & 32) != 0 ? &s->window : NULL;
  s->t.read = (what & 8) != 0 ? on_read : NULL;
  s->t.write = on_write;
  s->t.on_event = on_event;
  s->t.on_done = on_done;
  s->received = s->rq.offset;
  if (copal_transfer_start(&s->t, world.ep, &s->rq, world.now) != COPAL_OK)
    return;
  s->starts++;
  if (s->rq.is_observe && world.sent_len > TOKEN_AT + COPAL_TOKEN_MAX)
    memcpy(world.relation, world.sent + TOKEN_AT, COPAL_TOKEN_MAX);
}

/* A response to the request sent last, or to the one that observes: options and payload are what
 * comes next. */
static void respond(tape *t, bool is_notification)
{
  const uint8_t code = next(t);
  size_t len = next(t) * (size_t)5;
  uint8_t dgram[MTU] = {is_notification ? 0x58 : 0x68, code};
  len = len < t->left ? len : t->left;
  if (len > MTU - TOKEN_AT - COPAL_TOKEN_MAX || world.sent_len < TOKEN_AT + COPAL_TOKEN_MAX)
    return;
  memcpy(dgram + 2, is_notification ? (uint8_t *)&world.mid : world.sent + 2, 2);
  memcpy(dgram + TOKEN_AT, is_notification ? world.relation : world.sent + TOKEN_AT,
         COPAL_TOKEN_MAX);
  memcpy(dgram + TOKEN_AT + COPAL_TOKEN_MAX, t->at, len);
  t->at += len;
  t->left -= len;
  world.mid++;
  (void)copal_ep_input(world.ep, &path, (copal_mspan){dgram, TOKEN_AT + COPAL_TOKEN_MAX + len},
                       world.now);
}

/* A well-formed block, right or wrong by a bit or two. */
static void respond_block(tape *t, bool is_upload)
{
  static const copal_code codes[] = {COPAL_CODE_CONTENT, COPAL_CODE_CHANGED, COPAL_CODE_CONTINUE,
                                     COPAL_CODE_REQUEST_ENTITY_TOO_LARGE};
  uint8_t dgram[MTU];
  copal_msg m;
  copal_block b = {0};
  copal_span value;
  const uint8_t how = next(t), wrong = next(t);
  if (copal_msg_parse(copal_span_of(world.sent, world.sent_len), &m) != COPAL_OK)
    return;
  const uint16_t number = is_upload ? COPAL_OPT_BLOCK1 : COPAL_OPT_BLOCK2;
  if (copal_opt_find(m.options, number, &value))
    (void)copal_block_parse(value, &b);
  b.more = (how & 1) != 0;
  b.num ^= wrong >> 4 & 1u;
  b.szx = (uint8_t)(b.szx ^ (wrong & 7));
  copal_wr w = copal_wr_init((copal_mspan){dgram, sizeof(dgram)});
  m.type = COPAL_ACK;
  m.code = codes[how >> 1 & 3];
  copal_msg_put_head(&w, &m);
  copal_opt_wr o = copal_opt_wr_init(&w);
  if ((how & 8) != 0)
    copal_opt_put(&o, COPAL_OPT_ETAG, copal_span_of(body, 1 + (how >> 4 & 1)));
  if ((how & 32) != 0)
    copal_opt_put_uint(&o, COPAL_OPT_OBSERVE, next(t));
  copal_opt_put_uint(&o, number, copal_block_value(b));
  copal_wr_u8(&w, COPAL_PAYLOAD_MARKER);
  copal_wr_span(&w, copal_span_of(body, copal_block_size(b.szx) - (wrong >> 5)));
  if (w.err == COPAL_OK)
    (void)copal_ep_input(world.ep, &path, (copal_mspan){dgram, w.len}, world.now);
}

static void step(tape *t)
{
  const uint8_t op = next(t);
  switch (op & 15) {
  case 0: start(t); return;
  case 1: respond(t, false); return;
  case 2: respond(t, true); return;
  case 3:
  case 4:
    choose(op >> 4 & 3);
    respond_block(t, false);
    return;
  case 5:
  case 6:
    choose(op >> 4 & 3);
    respond_block(t, true);
    return;
  case 7: mood = next(t); return;
  case 8: world.is_full = !world.is_full; return;
  case 9: (void)copal_transfer_resume(&subjects[op >> 4 & 1].t, world.now); return;
  case 10: (void)copal_transfer_cancel(&subjects[op >> 4 & 1].t, world.now); return;
  default: break;
  }
  world.now += (copal_time)next(t) << 18;
  copal_ep_expire(world.ep, world.now);
}

static void drain(void)
{
  for (size_t i = 0; i < 2; i++)
    (void)copal_transfer_cancel(&subjects[i].t, world.now);
  for (;;) {
    const copal_time due = copal_ep_deadline(world.ep);
    if (due == COPAL_NEVER)
      break;
    world.now = due > world.now ? due : world.now;
    copal_ep_expire(world.ep, world.now);
  }
  const copal_usage u = copal_ep_usage(world.ep);
  REQUIRE(u.exchanges + u.peers + u.dedups + u.chunks == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  tape t = {data, size};
  copal_ep_cfg cfg = COPAL_EP_CFG_INIT;
  memset(&world, 0, sizeof(world));
  memset(subjects, 0, sizeof(subjects));
  memset(&set, 0, sizeof(set));
  mood = 0;
  world.now = 1000000;
  world.sink = (copal_sink){reserve, commit};
  world.entropy.fill = fill;
  path.remote.ip[15] = 1;
  cfg.sink = &world.sink;
  cfg.entropy = &world.entropy;
  cfg.params = copal_params_default();
  cfg.params.nstart = 1 + (size & 2); /* with and without room for a window */
  cfg.exchange_count = 5;
  cfg.chunk_count = 40;
  cfg.timer_slots = 1024;
  cfg.timer_tick = 100 * COPAL_MILLISECOND;
  REQUIRE(copal_ep_size(&cfg) <= sizeof(memory));
  REQUIRE(copal_ep_init((copal_mspan){(uint8_t *)memory, sizeof(memory)}, &cfg, &world.ep,
                        world.now) == COPAL_OK);
  const bool drains = (next(&t) & 1) != 0;
  while (t.left > 0)
    step(&t);
  if (drains)
    drain();
  copal_ep_wipe(world.ep, world.now);
  for (size_t i = 0; i < 2; i++) {
    (void)copal_transfer_cancel(&subjects[i].t, world.now);
    REQUIRE(subjects[i].dones == subjects[i].starts);
  }
  REQUIRE(set.first == NULL);
  return 0;
}
