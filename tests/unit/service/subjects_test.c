/* SPDX-License-Identifier: Apache-2.0 */
/* Observed resources: an endpoint, a store and the fan-out between them; the test is the shard.
 * RFC 7641 sections 4.1 and 4.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/registry.h"
#include "server/arena.h"
#include "server/fanout.h"
#include "server/shard.h"
#include "service/resources.h"
#include "store/memory/memory.h"

enum { SENT_MAX = 64, DATAGRAM_MAX = 1280 };

typedef struct datagram {
  uint8_t peer;
  size_t len;
  uint8_t bytes[DATAGRAM_MAX];
} datagram;

typedef struct stage {
  copal_sink sink;
  copal_entropy entropy;
  copal_server server;
  copal_guard guard;
  bool is_guarded; /* no response may leave but for a challenge */
  copal_ep *ep;
  void *mem;
  store *store;
  store_port *port, *writer;
  fanout *fanout;
  mailbox *mailbox;
  fanout_seat seat;
  service *service;
  handler_limits limits;
  handler_env env;
  arena arena;
  copal_time now;
  uint16_t mid;
  uint8_t room[DATAGRAM_MAX];
  datagram sent[SENT_MAX];
  size_t sent_count, seen;
} stage;

static stage *st;

/* The clock of the shard, which is the test. */
copal_time __wrap_shard_now(const shard *s);
copal_time __wrap_shard_now(const shard *s)
{
  (void)s;
  return st->now;
}

static copal_mspan on_reserve(copal_sink *s, const copal_path *path, size_t cap)
{
  (void)s;
  (void)path;
  assert_true(cap <= DATAGRAM_MAX);
  return (copal_mspan){st->room, cap};
}

static void on_commit(copal_sink *s, const copal_path *path, size_t len)
{
  (void)s;
  assert_true(st->sent_count < SENT_MAX);
  datagram *d = &st->sent[st->sent_count++];
  d->peer = path->remote.ip[15];
  d->len = len;
  memcpy(d->bytes, st->room, len);
}

static void on_fill(copal_entropy *e, copal_mspan out)
{
  static uint32_t x = 1;
  (void)e;
  for (size_t i = 0; i < out.len; i++)
    out.ptr[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
}

static bool on_allows(copal_guard *g, const copal_path *path, size_t len, copal_time now)
{
  (void)g, (void)path, (void)len, (void)now;
  return !st->is_guarded;
}

static void on_challenge(copal_guard *g, const copal_path *path, uint8_t echo[COPAL_ECHO_SIZE],
                         copal_time now)
{
  (void)g, (void)path, (void)now;
  memset(echo, 7, COPAL_ECHO_SIZE);
}

static bool on_probe(copal_guard *g, const copal_path *path, uint16_t *mid, copal_time now)
{
  (void)g, (void)path, (void)mid, (void)now;
  return false;
}

static void on_acknowledged(copal_guard *g, const copal_path *path, copal_time now)
{
  (void)g, (void)path, (void)now;
}

static int on_request(copal_server *s, copal_ep *ep, const copal_req *coap, copal_time now)
{
  (void)s;
  (void)ep;
  const handler_req req = {
      .env = &st->env, .coap = coap, .arena = &st->arena, .key = copal_span_str("/a"), .now = now};
  const int err = st->service->on_request(st->service, &req);
  arena_reset(&st->arena);
  return err;
}

static int setup(void **state)
{
  st = calloc(1, sizeof *st);
  assert_non_null(st);
  st->sink = (copal_sink){on_reserve, on_commit};
  st->entropy.fill = on_fill;
  st->server.on_request = on_request;
  st->now = 1000 * (copal_time)COPAL_SECOND;
  copal_ep_cfg cfg = COPAL_EP_CFG_INIT;
  cfg.sink = &st->sink;
  cfg.entropy = &st->entropy;
  cfg.server = &st->server;
  st->guard = (copal_guard){.allows = on_allows,
                            .challenge = on_challenge,
                            .probe = on_probe,
                            .on_acknowledged = on_acknowledged};
  cfg.guard = &st->guard;
  cfg.relation_count = 8;
  const size_t size = copal_ep_size(&cfg);
  st->mem = malloc(size);
  assert_int_equal(copal_ep_init((copal_mspan){st->mem, size}, &cfg, &st->ep, st->now), COPAL_OK);
  st->store = memory_store_open(NULL);
  assert_int_equal(fanout_open(st->store, &st->fanout), COPAL_OK);
  assert_int_equal(store_port_open(st->store, NULL, &st->port), COPAL_OK);
  assert_int_equal(store_port_open(st->store, NULL, &st->writer), COPAL_OK);
  assert_int_equal(mailbox_open(64, &st->mailbox), 0);
  assert_int_equal(arena_init(&st->arena, 1 << 16), 0);
  st->seat = (fanout_seat){st->fanout, st->mailbox};
  st->limits =
      (handler_limits){.body_max = 4096, .default_max_age_s = 60, .attrs_max = 256, .key_max = 255};
  st->env = (handler_env){.ep = st->ep,
                          .store = st->port,
                          .entropy = &st->entropy,
                          .limits = &st->limits,
                          .clock = &st->now,
                          .seat = &st->seat};
  st->service = resources_open(NULL);
  assert_non_null(st->service);
  *state = st;
  return 0;
}

/* What the shard does with its mailbox. */
static void run_messages(void)
{
  for (shard_msg *m; (m = mailbox_take(st->mailbox)) != NULL;)
    m->run(m, NULL);
}

static int teardown(void **state)
{
  (void)state;
  copal_ep_wipe(st->ep, st->now);
  assert_int_equal(fanout_stats_now(st->fanout).watches, 0);
  assert_int_equal(fanout_stats_now(st->fanout).refused, 0);
  run_messages();
  store_port_close(st->port);
  store_port_close(st->writer);
  st->service->close(st->service);
  store_close(st->store);
  fanout_close(st->fanout);
  mailbox_close(st->mailbox);
  arena_wipe(&st->arena);
  free(st->mem);
  free(st);
  return 0;
}

static void on_done(store_op *op, const store_result *result)
{
  (void)op;
  assert_int_equal(result->status, STORE_OK);
}

/* A change by somebody else; its message to the shard is under way. */
static void commit(store_verb verb, uint16_t format, const char *body)
{
  store_op op = {.done = on_done,
                 .verb = verb,
                 .key = copal_span_str("/a"),
                 .content_format = format,
                 .max_age_s = STORE_NO_MAX_AGE,
                 .body = copal_span_str(body)};
  assert_int_equal(store_commit(st->writer, &op, st->now), COPAL_OK);
  while (store_drain(st->writer, 10) > 0) {
  }
}

static void put(const char *body)
{
  commit(STORE_PUT, 0, body);
}

static copal_path path_of(uint8_t peer)
{
  return (copal_path){
      .remote = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 192, [15] = peer}, .port = 5683}};
}

static void feed(uint8_t peer, const uint8_t *bytes, size_t len)
{
  const copal_path path = path_of(peer);
  uint8_t copy[64];
  memcpy(copy, bytes, len);
  store_view_renew(st->port);
  assert_int_equal(copal_ep_input(st->ep, &path, (copal_mspan){copy, len}, st->now), COPAL_OK);
}

static void advance(copal_dur by)
{
  st->now += by;
  store_view_renew(st->port);
  copal_ep_expire(st->ep, st->now);
}

/* The next datagram goes to `peer` with that code, payload and Observe option or none; its MID. */
static uint16_t expect(uint8_t peer, copal_code code, bool has_observe, const char *payload)
{
  copal_msg m;
  copal_span value;
  assert_true(st->seen < st->sent_count);
  const datagram *d = &st->sent[st->seen++];
  assert_int_equal(d->peer, peer);
  assert_int_equal(copal_msg_parse(copal_span_of(d->bytes, d->len), &m), COPAL_OK);
  assert_int_equal(m.code, code);
  assert_int_equal(copal_opt_find(m.options, COPAL_OPT_OBSERVE, &value), has_observe);
  if (payload != NULL) {
    assert_int_equal(m.payload.len, strlen(payload));
    assert_memory_equal(m.payload.ptr, payload, m.payload.len);
  }
  if (code == COPAL_CODE_CONTENT)
    assert_true(copal_opt_find(m.options, COPAL_OPT_ETAG, &value));
  return m.mid;
}

static void expect_nothing(void)
{
  assert_int_equal(st->seen, st->sent_count);
}

static void observe(uint8_t peer, uint8_t value)
{
  const uint8_t get[] = {0x41, 0x01, (uint8_t)(++st->mid >> 8), (uint8_t)st->mid, peer,
                         0x61, value};
  feed(peer, get, sizeof get);
}

static void acknowledge(uint8_t peer, uint16_t mid)
{
  const uint8_t ack[] = {0x60, 0, (uint8_t)(mid >> 8), (uint8_t)mid};
  feed(peer, ack, sizeof ack);
}

/* ----------------------------------------------------------------------------------------- tests
 */

static void rfc7641_4_1_changes_in_the_store_are_notified(void **state)
{
  (void)state;
  put("v1");
  observe(1, 0);
  expect(1, COPAL_CODE_CONTENT, true, "v1");
  run_messages();
  expect_nothing();
  put("v2");
  expect_nothing();
  run_messages();
  acknowledge(1, expect(1, COPAL_CODE_CONTENT, true, "v2"));
  run_messages();
  expect_nothing();
}

static void rfc7641_4_5_a_burst_of_changes_is_one_notification(void **state)
{
  (void)state;
  put("v1");
  observe(1, 0);
  expect(1, COPAL_CODE_CONTENT, true, "v1");
  run_messages();
  put("v2");
  put("v3");
  put("v4");
  run_messages();
  expect(1, COPAL_CODE_CONTENT, true, "v4");
  expect_nothing();
  assert_int_equal(fanout_stats_now(st->fanout).merged, 2);
}

static void clients_of_one_view_share_a_watch(void **state)
{
  (void)state;
  put("v1");
  for (uint8_t i = 1; i <= 3; i++) {
    observe(i, 0);
    expect(i, COPAL_CODE_CONTENT, true, "v1");
  }
  assert_int_equal(fanout_stats_now(st->fanout).watches, 1);
  run_messages();
  put("v2");
  run_messages();
  for (uint8_t i = 1; i <= 3; i++)
    expect(i, COPAL_CODE_CONTENT, true, "v2");
  observe(2, 1);
  observe(1, 1);
  assert_int_equal(fanout_stats_now(st->fanout).watches, 1);
  observe(3, 1);
  assert_int_equal(fanout_stats_now(st->fanout).watches, 0);
}

/* A retransmission reads the store before the shard has been told of the change: that must not
 * hide the change from the others, nor from that client, which may drop the retransmission as a
 * duplicate. */
static void rfc7641_4_5_2_retransmission_hides_no_change(void **state)
{
  (void)state;
  put("v1");
  observe(1, 0);
  observe(2, 0);
  expect(1, COPAL_CODE_CONTENT, true, "v1");
  expect(2, COPAL_CODE_CONTENT, true, "v1");
  run_messages();
  put("v2");
  run_messages();
  expect(1, COPAL_CODE_CONTENT, true, "v2");
  acknowledge(2, expect(2, COPAL_CODE_CONTENT, true, "v2"));
  put("v3"); /* its message is still under way when the timer fires */
  advance(4 * COPAL_SECOND);
  const uint16_t mid = expect(1, COPAL_CODE_CONTENT, true, "v3");
  expect_nothing();
  run_messages();
  expect(2, COPAL_CODE_CONTENT, true, "v3");
  acknowledge(1, mid);
  expect(1, COPAL_CODE_CONTENT, true, "v3");
  expect_nothing();
}

static void rfc7641_4_2_deletion_is_the_last_notification(void **state)
{
  (void)state;
  put("v1");
  observe(1, 0);
  observe(2, 0);
  st->seen = st->sent_count;
  run_messages();
  commit(STORE_DELETE, 0, "");
  run_messages();
  const uint16_t first = expect(1, COPAL_CODE_NOT_FOUND, false, NULL);
  const uint16_t second = expect(2, COPAL_CODE_NOT_FOUND, false, NULL);
  assert_int_equal(fanout_stats_now(st->fanout).watches, 0);
  acknowledge(1, first);
  acknowledge(2, second);
  assert_int_equal(copal_ep_usage(st->ep).relations, 0);
  put("v2"); /* another resource, as far as these clients are concerned */
  run_messages();
  expect_nothing();
}

static void rfc7641_4_2_another_content_format_is_the_last_notification(void **state)
{
  (void)state;
  put("v1");
  observe(1, 0);
  st->seen = st->sent_count;
  run_messages();
  commit(STORE_PUT, 50, "{}");
  run_messages();
  expect(1, COPAL_CODE_NOT_ACCEPTABLE, false, NULL);
  assert_int_equal(fanout_stats_now(st->fanout).watches, 0);
}

static void deleting_and_making_anew_in_one_burst_goes_on(void **state)
{
  (void)state;
  put("v1");
  observe(1, 0);
  st->seen = st->sent_count;
  run_messages();
  commit(STORE_DELETE, 0, "");
  put("v2");
  run_messages();
  expect(1, COPAL_CODE_CONTENT, true, "v2");
}

static void a_change_between_reading_and_watching_is_seen(void **state)
{
  (void)state;
  put("v1");
  store_view_renew(st->port);
  put("v2"); /* the view is older */
  const copal_path path = path_of(1);
  uint8_t get[] = {0x41, 0x01, 0x70, 0x01, 1, 0x60};
  assert_int_equal(copal_ep_input(st->ep, &path, (copal_mspan){get, sizeof get}, st->now), 0);
  expect(1, COPAL_CODE_CONTENT, true, NULL);
  const datagram *first = &st->sent[0];
  const bool is_old = memcmp(first->bytes + first->len - 2, "v1", 2) == 0;
  run_messages();
  if (is_old)
    expect(1, COPAL_CODE_CONTENT, true, "v2");
  expect_nothing();
}

static void a_refused_relation_leaves_no_watch(void **state)
{
  (void)state;
  put("v1");
  for (uint8_t i = 1; i <= 8; i++)
    observe(i, 0);
  st->seen = st->sent_count;
  observe(9, 0);
  expect(9, COPAL_CODE_CONTENT, false, "v1");
  for (uint8_t i = 1; i <= 8; i++)
    observe(i, 1);
  assert_int_equal(fanout_stats_now(st->fanout).watches, 0);
  observe(9, 0);
  assert_int_equal(fanout_stats_now(st->fanout).watches, 1);
}

static void rfc9175_2_4_an_observation_ends_with_the_challenge_of_its_answer(void **state)
{
  (void)state;
  put("a response that is large for one request");
  st->is_guarded = true;
  observe(1, 0);
  expect(1, COPAL_CODE_UNAUTHORIZED, false, NULL);
  assert_int_equal(fanout_stats_now(st->fanout).watches, 0);
  st->is_guarded = false;
  observe(1, 0);
  expect(1, COPAL_CODE_CONTENT, true, NULL);
}

static void rfc7641_4_1_nothing_is_observed_where_nothing_is(void **state)
{
  (void)state;
  observe(1, 0);
  expect(1, COPAL_CODE_NOT_FOUND, false, NULL);
  assert_int_equal(fanout_stats_now(st->fanout).watches, 0);
}

static void a_subject_may_go_while_its_message_is_under_way(void **state)
{
  (void)state;
  put("v1");
  for (int i = 0; i < 20; i++) {
    observe(1, 0);
    put("v2"); /* posted */
    observe(1, 1);
  }
  assert_int_equal(fanout_stats_now(st->fanout).watches, 0);
  st->seen = st->sent_count;
  run_messages();
  expect_nothing();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(rfc7641_4_1_changes_in_the_store_are_notified),
      TEST(rfc7641_4_5_a_burst_of_changes_is_one_notification),
      TEST(clients_of_one_view_share_a_watch),
      TEST(rfc7641_4_5_2_retransmission_hides_no_change),
      TEST(rfc7641_4_2_deletion_is_the_last_notification),
      TEST(rfc7641_4_2_another_content_format_is_the_last_notification),
      TEST(deleting_and_making_anew_in_one_burst_goes_on),
      TEST(a_change_between_reading_and_watching_is_seen),
      TEST(a_refused_relation_leaves_no_watch),
      TEST(rfc9175_2_4_an_observation_ends_with_the_challenge_of_its_answer),
      TEST(rfc7641_4_1_nothing_is_observed_where_nothing_is),
      TEST(a_subject_may_go_while_its_message_is_under_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
