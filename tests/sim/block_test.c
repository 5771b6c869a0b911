/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers in blocks through a network that loses, repeats and reorders, side by side, to a server
 * that changes, challenges, is late and forgets: bodies arrive bit for bit, nothing is mixed,
 * carried out twice or left behind. RFC 7959, RFC 9175. A run is named by its seed:
 * COPAL_SIM_SEED=n runs that one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "block_server.h"
#include "copal/transfer.h"

enum {
  JOBS = 5,
  OPTS = 1 + COPAL_TRANSFER_OPTS,
  CHANGES = 12,
  SLOTS = 8, /* of a window */
  /* Cookies of NET_WAKE; below BLOCK_LATE_MAX they are the server's. */
  WAKE_CHANGE = 100,
  WAKE_RESTART = 101,
  WAKE_START = 200,
  WAKE_RESUME = 300,
  WAKE_CANCEL = 400,
};

static const copal_time long_enough = (copal_time)4000 * COPAL_SECOND;

typedef struct job {
  copal_transfer t;
  copal_transfer_request rq;
  copal_transfer_window window;
  copal_transfer_slot slots[SLOTS];
  uint8_t ahead[SLOTS * 1024];
  copal_path path;
  copal_opt opt;
  uint8_t name; /* of the resource: '0' or '1' */
  uint8_t client;
  uint8_t hold_percent; /* of the hooks' calls that ask to wait */
  uint32_t id;          /* of the body sent */
  block_body sent, got;
  uint8_t etag; /* of what was got */
  bool is_observe;
  uint32_t version; /* observed last and complete, plus one */
  unsigned dones, starts, states;
  bool has_gone_back, is_wrong;
  int status;
  copal_code code;
} job;

static block_world the_world;
static block_server the_server;
static job jobs[JOBS];
static copal_transfer_set sets[BLOCK_NODES];
static copal_opt opt_room[OPTS]; /* shared: used inside calls only */
static uint8_t block_room[1024];
static sim_rng dice;

/* ----------------------------------------------------------------------------------------- hooks
 */

static bool wants_to_wait(job *j)
{
  if (!rng_percent(&dice, j->hold_percent))
    return false;
  net_wake(&the_world.net, j->client, WAKE_RESUME + (uint32_t)(j - jobs),
           the_world.now + rng_range(&dice, 1, COPAL_SECOND));
  return true;
}

static int on_read(copal_transfer *t, uint32_t offset, copal_mspan room, bool *is_end)
{
  job *j = (job *)(void *)t;
  if (wants_to_wait(j))
    return COPAL_EPENDING;
  const size_t left = j->sent.len - offset;
  const size_t n = left < room.len ? left : room.len;
  memcpy(room.ptr, j->sent.bytes + offset, n);
  *is_end = n == left;
  return (int)n;
}

static int on_write(copal_transfer *t, const copal_transfer_part *part)
{
  job *j = (job *)(void *)t;
  if (part->offset != 0 && part->offset != j->got.len)
    fail_msg("a part out of order");
  if (part->offset + part->bytes.len > BLOCK_BODY_MAX)
    fail_msg("too much");
  if (part->bytes.len)
    memcpy(j->got.bytes + part->offset, part->bytes.ptr, part->bytes.len);
  j->got.len = part->offset + part->bytes.len;
  if (part->msg)
    j->etag = (uint8_t)copal_opt_uint_or(part->msg->options, COPAL_OPT_ETAG, 0);
  return wants_to_wait(j) ? COPAL_EPENDING : COPAL_OK;
}

/* True when what was got is what the server had under that ETag. */
static bool is_version(const job *j)
{
  block_body body;
  const uint8_t resource = (uint8_t)(j->name - '0');
  if (j->etag == 0 || j->etag > the_server.version[resource] + 1)
    return false;
  block_body_make(&the_server, the_server.ids[resource][j->etag - 1], &body);
  return body.len == j->got.len && memcmp(body.bytes, j->got.bytes, body.len) == 0;
}

static bool is_answer(const job *j)
{
  block_body body;
  block_body_answer(&j->sent, &body);
  return body.len == j->got.len && memcmp(body.bytes, j->got.bytes, body.len) == 0;
}

static void judge(job *j, const copal_transfer_result *r)
{
  if (r->status != COPAL_OK || copal_code_class(r->code) != COPAL_CLASS_SUCCESS)
    return;
  if (j->rq.code == COPAL_CODE_GET)
    j->is_wrong |= !is_version(j);
  else
    j->is_wrong |= the_server.executions[j->id] == 0;
  if (j->rq.code == COPAL_CODE_POST)
    j->is_wrong |= !is_answer(j);
  j->is_wrong |= r->size != j->got.len;
}

static void on_event(copal_transfer *t, const copal_transfer_event *e, copal_time now)
{
  job *j = (job *)(void *)t;
  if (e->kind == COPAL_TRANSFER_STALL)
    net_wake(&the_world.net, j->client, WAKE_RESUME + (uint32_t)(j - jobs), now + COPAL_SECOND);
  if (e->kind != COPAL_TRANSFER_STATE)
    return;
  j->states++;
  judge(j, e->result);
  if (e->result->status != COPAL_OK || e->result->code != COPAL_CODE_CONTENT)
    return;
  j->has_gone_back |= j->etag < j->version;
  j->version = j->etag;
}

static void on_done(copal_transfer *t, const copal_transfer_result *r, copal_time now)
{
  job *j = (job *)(void *)t;
  (void)now;
  j->dones++;
  j->status = r->status;
  j->code = r->code;
  judge(j, r);
}

/* ------------------------------------------------------------------------------------------ jobs
 */

/* A download that goes on with what an earlier one has left. */
static void make_resumed(job *j)
{
  const uint8_t resource = (uint8_t)(j->name - '0');
  static uint8_t etag;
  etag = (uint8_t)(the_server.version[resource] + 1);
  block_body_make(&the_server, the_server.ids[resource][etag - 1], &j->got);
  j->got.len = rng_below(&dice, (uint32_t)j->got.len);
  j->rq.offset = (uint32_t)j->got.len;
  j->rq.etag = copal_span_of(&etag, 1);
}

static void make_job(job *j, unsigned n, copal_code code)
{
  *j = (job){.client = (uint8_t)(n % BLOCK_SERVER), .path = block_world_path(BLOCK_SERVER)};
  j->t.write = on_write;
  j->t.on_event = on_event;
  j->t.on_done = on_done;
  j->name = (uint8_t)('0' + rng_below(&dice, BLOCK_RESOURCES));
  j->opt = (copal_opt){COPAL_OPT_URI_PATH, copal_span_of(&j->name, 1)};
  j->rq = (copal_transfer_request)COPAL_TRANSFER_REQUEST_INIT;
  j->rq.path = &j->path;
  j->rq.code = code;
  j->rq.opts = &j->opt;
  j->rq.opt_count = 1;
  j->rq.opt_room = opt_room;
  j->rq.opt_cap = OPTS;
  j->rq.block_size = (uint16_t)(rng_percent(&dice, 30) ? 0u : 16u << rng_below(&dice, 7));
  j->rq.negotiates_late = rng_percent(&dice, 30);
  j->rq.asks_size = rng_percent(&dice, 50);
  j->rq.has_fresh_tokens = rng_percent(&dice, 30);
  j->rq.set = &sets[j->client];
  j->window.slots = j->slots;
  j->window.count = (uint16_t)rng_range(&dice, 1, SLOTS);
  j->window.room = (copal_mspan){j->ahead, rng_below(&dice, sizeof j->ahead)};
  if (rng_percent(&dice, 50))
    j->rq.window = &j->window;
}

static void make_upload(job *j)
{
  j->id = block_server_id(&the_server);
  block_body_make(&the_server, j->id, &j->sent);
  j->rq.body = copal_span_of(j->sent.bytes, j->sent.len);
  if (rng_percent(&dice, 50)) {
    j->t.read = on_read;
    j->rq.body_size = rng_percent(&dice, 50) ? COPAL_TRANSFER_UNKNOWN : (int64_t)j->sent.len;
    j->rq.block_room = (copal_mspan){block_room, rng_range(&dice, 16, sizeof(block_room))};
  }
}

static void start(job *j)
{
  if (j->rq.code == COPAL_CODE_GET && !j->is_observe && rng_percent(&dice, 30))
    make_resumed(j);
  const int err = copal_transfer_start(&j->t, the_world.nodes[j->client].ep, &j->rq, the_world.now);
  if (err == COPAL_ENOSLOT) /* the sink is full */
    net_wake(&the_world.net, j->client, WAKE_START + (uint32_t)(j - jobs),
             the_world.now + COPAL_SECOND);
  else
    assert_int_equal(err, COPAL_OK);
  j->starts += err == COPAL_OK;
}

static void on_wake(block_world *w, uint32_t cookie)
{
  if (cookie < BLOCK_LATE_MAX)
    block_server_wake(&the_server, cookie);
  else if (cookie == WAKE_CHANGE)
    block_server_change(&the_server, (uint8_t)rng_below(&dice, BLOCK_RESOURCES));
  else if (cookie == WAKE_RESTART) {
    block_server_forget(&the_server);
    block_world_restart_server(w);
  } else if (cookie < WAKE_RESUME)
    start(&jobs[cookie - WAKE_START]);
  else if (cookie < WAKE_CANCEL)
    (void)copal_transfer_resume(&jobs[cookie - WAKE_RESUME].t, w->now);
  else
    (void)copal_transfer_cancel(&jobs[cookie - WAKE_CANCEL].t, w->now);
}

/* ---------------------------------------------------------------------------------------- stage */

typedef struct tally {
  unsigned done, good, incomplete, timed_out, refused;
} tally;

static void open_stage(uint64_t seed, uint8_t loss)
{
  net_link link = {.loss_percent = loss, .delay_min = COPAL_MILLISECOND};
  dice.state = seed ^ 0x5eed;
  link.dup_percent = (uint8_t)rng_below(&dice, 30);
  link.delay_max = rng_range(&dice, 2, 1500) * COPAL_MILLISECOND;
  block_server_init(&the_server, &the_world, seed);
  block_world_open(&the_world, seed, &link, (uint8_t)rng_below(&dice, 7), &the_server.base);
  the_world.on_wake = on_wake;
  memset(sets, 0, sizeof(sets));
  memset(jobs, 0, sizeof(jobs));
}

/* What may trouble a transfer beside the network. */
static void make_trouble(void)
{
  the_server.echo_percent = (uint8_t)(rng_percent(&dice, 50) ? 20 : 0);
  the_server.late_percent = (uint8_t)rng_below(&dice, 40);
  if (rng_percent(&dice, 50))
    the_server.szx1_max = (uint8_t)rng_below(&dice, 7);
  the_server.refuses_size = rng_percent(&dice, 30);
  for (uint8_t i = 0; i < BLOCK_SERVER; i++)
    the_world.nodes[i].full_percent = (uint8_t)(rng_percent(&dice, 30) ? 5 : 0);
}

static void wake_within(uint8_t node, uint32_t cookie, uint32_t seconds)
{
  net_wake(&the_world.net, node, cookie,
           the_world.now + (copal_time)rng_below(&dice, seconds * 1000) * COPAL_MILLISECOND);
}

static void make_perfect(void)
{
  const net_link perfect = {.delay_min = 1, .delay_max = COPAL_MILLISECOND};
  net_set_links(&the_world.net, &perfect);
  for (uint8_t i = 0; i < BLOCK_NODES; i++)
    the_world.nodes[i].full_percent = 0;
}

static void count(tally *sum, const job *j)
{
  const bool is_success = copal_code_class(j->code) == COPAL_CLASS_SUCCESS;
  sum->done++;
  sum->good += j->status == COPAL_OK && is_success;
  sum->refused += j->status == COPAL_OK && !is_success;
  sum->incomplete += j->status == COPAL_EINCOMPLETE;
  sum->timed_out += j->status == COPAL_ETIMEDOUT;
}

static void close_stage(uint64_t seed, bool is_faithful, tally *sum)
{
  for (unsigned i = 0; i < JOBS; i++) {
    const job *j = &jobs[i];
    if (j->dones != j->starts || copal_transfer_is_active(&j->t))
      fail_msg("seed %u: transfer %u of code %u ended %u times in state %u", (unsigned)seed, i,
               j->rq.code, j->dones, j->t.state);
    if (j->is_wrong)
      fail_msg("seed %u: transfer %u of code %u has a wrong body", (unsigned)seed, i, j->rq.code);
    if (j->status == COPAL_EBLOCK)
      fail_msg("seed %u: transfer %u: the server is said to be wrong", (unsigned)seed, i);
    if (j->starts && is_faithful && j->id && the_server.executions[j->id] > 1)
      fail_msg("seed %u: carried out %u times", (unsigned)seed, the_server.executions[j->id]);
    if (j->starts)
      count(sum, j);
  }
  if (the_server.mixed || the_server.bad_echoes)
    fail_msg("seed %u: %u bodies mixed up, %u wrong Echoes", (unsigned)seed, the_server.mixed,
             the_server.bad_echoes);
  for (uint8_t i = 0; i < BLOCK_RESOURCES; i++)
    copal_ep_end_subject(the_world.nodes[BLOCK_SERVER].ep, &the_server.subjects[i].base,
                         the_world.now);
  const uint32_t used = block_world_close(&the_world);
  if (used || sets[0].first || sets[1].first || block_server_unfinished(&the_server))
    fail_msg("seed %u: something is left", (unsigned)seed);
}

/* The seeds of a test: all below `n`, or the one of the environment. */
static uint64_t first_seed(void)
{
  const char *one = getenv("COPAL_SIM_SEED");
  return one ? strtoull(one, NULL, 10) : 0;
}

static uint64_t end_seed(uint64_t n)
{
  return getenv("COPAL_SIM_SEED") ? first_seed() + 1 : n;
}

static bool is_whole(void)
{
  return getenv("COPAL_SIM_SEED") == NULL;
}

/* ---------------------------------------------------------------------------------------- tests */

static void run_mixed(uint64_t seed, uint8_t loss, bool has_changes, bool has_restart, tally *sum)
{
  static const copal_code codes[] = {COPAL_CODE_GET, COPAL_CODE_PUT, COPAL_CODE_POST,
                                     COPAL_CODE_GET, COPAL_CODE_POST};
  open_stage(seed, loss);
  make_trouble();
  for (unsigned i = 0; i < JOBS; i++) {
    make_job(&jobs[i], i, codes[rng_below(&dice, 5)]);
    jobs[i].hold_percent = (uint8_t)(rng_percent(&dice, 30) ? 20 : 0);
    if (jobs[i].rq.code != COPAL_CODE_GET)
      make_upload(&jobs[i]);
    wake_within(jobs[i].client, WAKE_START + i, 5);
    if (rng_percent(&dice, 5))
      wake_within(jobs[i].client, WAKE_CANCEL + i, 20);
  }
  for (unsigned i = 0; has_changes && i < CHANGES; i++)
    wake_within(BLOCK_SERVER, WAKE_CHANGE, 60);
  if (has_restart)
    wake_within(BLOCK_SERVER, WAKE_RESTART, 15);
  block_world_run(&the_world, the_world.now + long_enough);
  make_perfect();
  block_world_run(&the_world, the_world.now + long_enough);
  close_stage(seed, !has_restart, sum);
}

static void rfc7959_2_bodies_arrive_bit_for_bit(void **state)
{
  tally sum = {0};
  (void)state;
  for (uint64_t seed = first_seed(); seed < end_seed(1000); seed++)
    run_mixed(seed, (uint8_t)(seed % 30), false, false, &sum);
  if (is_whole() && sum.good < sum.done * 8 / 10)
    fail_msg("%u good, %u incomplete, %u timed out, %u refused of %u", sum.good, sum.incomplete,
             sum.timed_out, sum.refused, sum.done);
}

static void rfc7959_2_4_a_changing_representation_is_never_mixed(void **state)
{
  tally sum = {0};
  (void)state;
  for (uint64_t seed = first_seed(); seed < end_seed(600); seed++)
    run_mixed(seed, (uint8_t)(seed % 20), true, false, &sum);
  if (is_whole() && sum.good < sum.done * 6 / 10)
    fail_msg("%u good, %u incomplete, %u timed out, %u refused of %u", sum.good, sum.incomplete,
             sum.timed_out, sum.refused, sum.done);
}

static void rfc7959_2_9_2_a_server_that_restarts_is_sent_the_body_again(void **state)
{
  tally sum = {0};
  (void)state;
  for (uint64_t seed = first_seed(); seed < end_seed(400); seed++)
    run_mixed(seed, (uint8_t)(seed % 20), false, true, &sum);
  if (is_whole() && sum.good < sum.done * 7 / 10)
    fail_msg("%u good, %u incomplete, %u timed out, %u refused of %u", sum.good, sum.incomplete,
             sum.timed_out, sum.refused, sum.done);
}

/* Two observers and an uploader; in the end each observer that is left knows the last version. */
static void rfc7959_2_6_observers_end_with_the_last_version_and_never_go_back(void **state)
{
  unsigned states = 0, faithful = 0, observers = 0;
  tally sum = {0};
  (void)state;
  for (uint64_t seed = first_seed(); seed < end_seed(300); seed++) {
    open_stage(seed, (uint8_t)(seed % 30));
    the_server.subjects[0].base.is_confirmable = rng_percent(&dice, 30);
    for (unsigned i = 0; i < 3; i++) {
      make_job(&jobs[i], i, i == 2 ? COPAL_CODE_PUT : COPAL_CODE_GET);
      jobs[i].is_observe = jobs[i].rq.is_observe = i < 2;
      if (i == 2)
        make_upload(&jobs[i]);
      wake_within(jobs[i].client, WAKE_START + i, 20);
    }
    for (unsigned i = 0; i < CHANGES; i++)
      wake_within(BLOCK_SERVER, WAKE_CHANGE, 300);
    block_world_run(&the_world, the_world.now + long_enough / 8);
    make_perfect();
    block_world_run(&the_world, the_world.now + long_enough / 8);
    for (unsigned i = 0; i < 2; i++) {
      const job *j = &jobs[i];
      const bool is_on = copal_transfer_is_active(&j->t);
      if (is_on && j->version != the_server.version[j->name - '0'] + 1)
        fail_msg("seed %u: observer %u knows %u of %u", (unsigned)seed, i, j->version,
                 the_server.version[j->name - '0'] + 1);
      if (j->has_gone_back)
        fail_msg("seed %u: observer %u went back", (unsigned)seed, i);
      states += j->states;
      faithful += is_on;
      observers++;
      (void)copal_transfer_cancel(&jobs[i].t, the_world.now);
    }
    close_stage(seed, true, &sum);
  }
  assert_true(states > observers * 3 || !is_whole());
  assert_true(faithful > observers / 2 || !is_whole());
}

static int setup(void **state)
{
  (void)state;
  net_init(&the_world.net, BLOCK_NODES, 0);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  net_wipe(&the_world.net);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rfc7959_2_bodies_arrive_bit_for_bit),
      cmocka_unit_test(rfc7959_2_4_a_changing_representation_is_never_mixed),
      cmocka_unit_test(rfc7959_2_9_2_a_server_that_restarts_is_sent_the_body_again),
      cmocka_unit_test(rfc7959_2_6_observers_end_with_the_last_version_and_never_go_back),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
