/* SPDX-License-Identifier: Apache-2.0 */
/* Each pool of an endpoint exhausted, one by one: what happens and what is counted. RFC 7252
 * sections 4.2, 4.5, 4.6, 5.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/endpoint.h"

enum { ROOM = 2048, LOG_MAX = 64, BODY = 300, UNICAST_MIDS = 0xf000 };

/* What the handler does with a request. */
typedef enum plan {
  PLAN_ANSWER,
  PLAN_DEFER,
} plan;

typedef struct datagram {
  uint8_t bytes[ROOM];
  size_t len;
  uint8_t to;
} datagram;

typedef struct stage {
  copal_sink sink;
  copal_entropy entropy;
  copal_server server;
  copal_client client;
  copal_ep *ep;
  void *memory;
  copal_time now;
  uint8_t room[ROOM];
  uint8_t draws;
  bool is_full; /* the sink has no room */
  datagram sent[LOG_MAX];
  size_t sent_count;
  plan plan;
  size_t body_len;
  copal_xref deferred;
  int defer_result;
  int respond_result;
  unsigned handled;
  copal_event_kind last_event;
  unsigned events;
} stage;

static stage the;

/* ---------------------------------------------------------------------------------------- hooks */

static copal_mspan reserve(copal_sink *s, const copal_path *path, size_t cap)
{
  (void)s;
  (void)path;
  assert_true(cap <= ROOM);
  return the.is_full ? (copal_mspan){NULL, 0} : (copal_mspan){the.room, cap};
}

static void commit(copal_sink *s, const copal_path *path, size_t len)
{
  (void)s;
  datagram *d = &the.sent[the.sent_count++ % LOG_MAX];
  memcpy(d->bytes, the.room, len);
  d->len = len;
  d->to = path->remote.ip[15];
}

static void draw(copal_entropy *e, copal_mspan out)
{
  (void)e;
  for (size_t i = 0; i < out.len; i++)
    out.ptr[i] = ++the.draws;
}

static int on_request(copal_server *s, copal_ep *ep, const copal_req *req, copal_time now)
{
  static const uint8_t body[BODY];
  const copal_response r = {.code = COPAL_CODE_CHANGED,
                            .payload = copal_span_of(body, the.body_len)};
  (void)s;
  (void)req;
  the.handled++;
  if (the.plan == PLAN_DEFER) {
    the.defer_result = copal_ep_defer(ep, &the.deferred);
    return the.defer_result == COPAL_OK ? COPAL_EPENDING : the.defer_result;
  }
  the.respond_result = copal_ep_respond(ep, &r, now);
  return the.respond_result;
}

static void on_event(copal_client *c, copal_ep *ep, const copal_event *e, copal_time now)
{
  (void)c;
  (void)ep;
  (void)now;
  the.last_event = e->kind;
  the.events++;
}

/* ---------------------------------------------------------------------------------------- stage */

static copal_ep_cfg ample(void)
{
  copal_ep_cfg c = COPAL_EP_CFG_INIT;
  c.exchange_count = 8;
  c.peer_count = 8;
  c.dedup_count = 8;
  c.dedup_per_peer = 8;
  c.chunk_count = 32;
  c.chunk_size = 64;
  c.params = copal_params_default();
  c.params.probing_rate = 0;
  c.params.nstart = 8;
  return c;
}

static void set_stage(const copal_ep_cfg *given)
{
  copal_ep_cfg c = *given;
  memset(&the, 0, sizeof(the));
  the.sink = (copal_sink){reserve, commit};
  the.entropy.fill = draw;
  the.server.on_request = on_request;
  the.client.on_event = on_event;
  the.now = 1000 * (copal_time)COPAL_SECOND;
  c.sink = &the.sink;
  c.entropy = &the.entropy;
  c.server = &the.server;
  const size_t size = copal_ep_size(&c);
  the.memory = malloc(size);
  assert_non_null(the.memory);
  assert_int_equal(copal_ep_init((copal_mspan){the.memory, size}, &c, &the.ep, the.now), COPAL_OK);
}

static void strike(void)
{
  copal_ep_wipe(the.ep, the.now);
  free(the.memory);
}

static const copal_stats *stats(void)
{
  return copal_ep_stats(the.ep);
}

static copal_path peer_path(uint8_t host)
{
  copal_path p;
  memset(&p, 0, sizeof(p));
  p.remote.ip[15] = host;
  p.remote.port = 5683;
  return p;
}

static const datagram *last_sent(void)
{
  assert_true(the.sent_count > 0);
  return &the.sent[(the.sent_count - 1) % LOG_MAX];
}

/* A request arrives from `host`. */
static int arrive(uint8_t host, copal_type type, copal_code code, uint16_t mid)
{
  uint8_t bytes[] = {
      (uint8_t)(0x41 | type << 4), code, (uint8_t)(mid >> 8), (uint8_t)mid, 't', 0xb1, 'r'};
  const copal_path path = peer_path(host);
  return copal_ep_input(the.ep, &path, (copal_mspan){bytes, sizeof(bytes)}, the.now);
}

static int ask(uint8_t host, copal_type type, size_t payload, copal_xref *ref)
{
  static const uint8_t body[ROOM];
  const copal_path path = peer_path(host);
  copal_request q = COPAL_REQUEST_INIT;
  q.path = &path;
  q.type = type;
  q.code = COPAL_CODE_POST;
  q.client = &the.client;
  q.payload = copal_span_of(body, payload);
  return copal_ep_request(the.ep, &q, ref, the.now);
}

static bool has_max_age(const datagram *d)
{
  copal_msg m;
  copal_span v;
  assert_int_equal(copal_msg_parse(copal_span_of(d->bytes, d->len), &m), COPAL_OK);
  return copal_opt_find(m.options, COPAL_OPT_MAX_AGE, &v);
}

/* Lets everything come to its end and checks that nothing is left. */
static void drain(void)
{
  for (int i = 0; i < 100000 && copal_ep_deadline(the.ep) != COPAL_NEVER; i++) {
    const copal_time due = copal_ep_deadline(the.ep);
    the.now = due > the.now ? due : the.now;
    copal_ep_expire(the.ep, the.now);
  }
  const copal_usage u = copal_ep_usage(the.ep);
  assert_int_equal(u.exchanges + u.peers + u.dedups + u.chunks, 0);
}

/* ------------------------------------------------------------------------------------ exchanges */

static void request_without_exchange_is_refused_and_counted(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  copal_xref ref;
  c.exchange_count = 2;
  set_stage(&c);
  assert_int_equal(ask(1, COPAL_CON, 0, NULL), COPAL_OK);
  assert_int_equal(ask(2, COPAL_CON, 0, &ref), COPAL_OK);
  assert_int_equal(ask(3, COPAL_CON, 0, NULL), COPAL_ENOSLOT);
  assert_int_equal(stats()->exchanges_refused, 1);
  assert_int_equal(the.sent_count, 2);
  assert_int_equal(copal_ep_cancel(the.ep, ref, the.now), COPAL_OK);
  assert_int_equal(ask(3, COPAL_CON, 0, NULL), COPAL_OK);
  drain();
  strike();
}

static void ping_without_exchange_is_refused_and_counted(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  const copal_path path = peer_path(2);
  c.exchange_count = 1;
  set_stage(&c);
  assert_int_equal(ask(1, COPAL_CON, 0, NULL), COPAL_OK);
  assert_int_equal(copal_ep_ping(the.ep, &path, &the.client, NULL, the.now), COPAL_ENOSLOT);
  assert_int_equal(stats()->exchanges_refused, 1);
  assert_int_equal(the.sent_count, 1);
  strike();
}

static void defer_without_exchange_is_answered_5_03_with_max_age(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.exchange_count = 1;
  set_stage(&c);
  the.plan = PLAN_DEFER;
  assert_int_equal(arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100), COPAL_OK);
  assert_int_equal(the.defer_result, COPAL_OK);
  assert_int_equal(the.sent_count, 0);
  const copal_xref first = the.deferred;
  assert_int_equal(arrive(2, COPAL_CON, COPAL_CODE_POST, 0x200), COPAL_OK);
  assert_int_equal(the.defer_result, COPAL_ENOSLOT);
  assert_int_equal(stats()->exchanges_refused, 1);
  assert_int_equal(last_sent()->to, 2);
  assert_int_equal(last_sent()->bytes[1], COPAL_CODE_SERVICE_UNAVAILABLE);
  assert_true(has_max_age(last_sent()));
  assert_int_equal(copal_ep_abandon(the.ep, first, the.now), COPAL_OK);
  drain();
  strike();
}

static void group_request_without_exchange_is_not_answered(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  uint8_t bytes[] = {0x51, COPAL_CODE_GET, 1, 2, 't', 0xb1, 'r'};
  copal_path path = peer_path(1);
  path.flags = COPAL_PATH_GROUP;
  c.exchange_count = 1;
  set_stage(&c);
  the.body_len = 4;
  assert_int_equal(ask(9, COPAL_CON, 0, NULL), COPAL_OK);
  assert_int_equal(the.sent_count, 1);
  copal_ep_input(the.ep, &path, (copal_mspan){bytes, sizeof(bytes)}, the.now);
  assert_int_equal(the.handled, 1);
  assert_int_equal(stats()->exchanges_refused, 1);
  assert_int_equal(the.sent_count, 1);
  strike();
}

/* ---------------------------------------------------------------------------------------- peers */

static void request_without_peer_is_refused_and_counted(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.peer_count = 1;
  set_stage(&c);
  assert_int_equal(ask(1, COPAL_CON, 0, NULL), COPAL_OK);
  assert_int_equal(ask(1, COPAL_CON, 0, NULL), COPAL_OK);
  assert_int_equal(ask(2, COPAL_CON, 0, NULL), COPAL_ENOSLOT);
  assert_int_equal(stats()->exchanges_refused, 1);
  assert_int_equal(copal_ep_usage(the.ep).exchanges, 2);
  drain();
  strike();
}

static void unsafe_request_without_peer_is_answered_5_03_and_not_run(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.peer_count = 1;
  set_stage(&c);
  assert_int_equal(ask(1, COPAL_CON, 0, NULL), COPAL_OK);
  assert_int_equal(arrive(2, COPAL_CON, COPAL_CODE_POST, 0x200), COPAL_ENOSLOT);
  assert_int_equal(the.handled, 0);
  assert_int_equal(stats()->dedup_refused, 1);
  assert_int_equal(last_sent()->bytes[1], COPAL_CODE_SERVICE_UNAVAILABLE);
  assert_true(has_max_age(last_sent()));
  strike();
}

static void safe_confirmable_request_needs_no_peer(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.peer_count = 1;
  set_stage(&c);
  assert_int_equal(ask(1, COPAL_CON, 0, NULL), COPAL_OK);
  assert_int_equal(arrive(2, COPAL_CON, COPAL_CODE_GET, 0x200), COPAL_OK);
  assert_int_equal(the.handled, 1);
  assert_int_equal(stats()->dedup_refused, 0);
  assert_int_equal(last_sent()->bytes[1], COPAL_CODE_CHANGED);
  strike();
}

static void peer_that_is_only_remembered_makes_place_for_another(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.peer_count = 1;
  set_stage(&c);
  assert_int_equal(arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100), COPAL_OK);
  assert_int_equal(arrive(2, COPAL_CON, COPAL_CODE_POST, 0x200), COPAL_OK);
  assert_int_equal(the.handled, 2);
  assert_int_equal(stats()->dedup_evicted, 1);
  assert_int_equal(copal_ep_usage(the.ep).peers, 1);
  drain();
  strike();
}

/* ---------------------------------------------------------------------------------------- dedup */

static void rfc7252_4_5_oldest_entry_goes_when_all_are_taken(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.dedup_count = 2;
  set_stage(&c);
  for (uint8_t host = 1; host <= 3; host++)
    arrive(host, COPAL_CON, COPAL_CODE_POST, 0x100);
  assert_int_equal(stats()->dedup_evicted, 1);
  assert_int_equal(copal_ep_usage(the.ep).dedups, 2);
  arrive(3, COPAL_CON, COPAL_CODE_POST, 0x100);
  arrive(2, COPAL_CON, COPAL_CODE_POST, 0x100);
  assert_int_equal(the.handled, 3);
  assert_int_equal(stats()->dup_replayed, 2);
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100); /* forgotten: runs again */
  assert_int_equal(the.handled, 4);
  drain();
  strike();
}

static void rfc7252_4_5_entry_after_its_lifetime_is_not_an_eviction(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.dedup_count = 1;
  set_stage(&c);
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100);
  the.now += copal_exchange_lifetime(&c.params);
  arrive(2, COPAL_CON, COPAL_CODE_POST, 0x100);
  assert_int_equal(stats()->dedup_evicted, 0);
  assert_int_equal(the.handled, 2);
  drain();
  strike();
}

static void one_peer_cannot_take_the_entries_of_others(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.dedup_per_peer = 2;
  set_stage(&c);
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100);
  for (uint16_t mid = 0; mid < 5; mid++)
    arrive(2, COPAL_CON, COPAL_CODE_POST, mid);
  assert_int_equal(stats()->dedup_evicted, 3);
  assert_int_equal(copal_ep_usage(the.ep).dedups, 3);
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100);
  assert_int_equal(stats()->dup_replayed, 1);
  assert_int_equal(the.handled, 6);
  drain();
  strike();
}

static void deferred_request_survives_the_loss_of_its_entry(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  const copal_response r = {.code = COPAL_CODE_CHANGED};
  c.dedup_count = 1;
  set_stage(&c);
  the.plan = PLAN_DEFER;
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100);
  const copal_xref first = the.deferred;
  arrive(2, COPAL_CON, COPAL_CODE_POST, 0x200);
  assert_int_equal(stats()->dedup_evicted, 1);
  assert_int_equal(copal_ep_resume(the.ep, first, &r, the.now), COPAL_OK);
  assert_int_equal(last_sent()->to, 1);
  assert_int_equal(last_sent()->bytes[0], 0x61);
  assert_int_equal(copal_ep_abandon(the.ep, the.deferred, the.now), COPAL_OK);
  drain();
  strike();
}

/* --------------------------------------------------------------------------------------- chunks */

static void confirmable_request_without_chunks_is_refused_and_counted(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.chunk_count = 2;
  set_stage(&c);
  assert_int_equal(ask(1, COPAL_CON, 200, NULL), COPAL_ENOSLOT);
  assert_int_equal(stats()->chunks_refused, 1);
  assert_int_equal(the.sent_count, 0);
  const copal_usage u = copal_ep_usage(the.ep);
  assert_int_equal(u.exchanges + u.peers + u.chunks, 0);
  assert_int_equal(ask(1, COPAL_NON, 200, NULL), COPAL_OK); /* is not kept */
  assert_int_equal(the.sent_count, 1);
  drain();
  strike();
}

static void reply_that_cannot_be_kept_is_sent_and_its_duplicate_ignored(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.chunk_count = 2;
  set_stage(&c);
  the.body_len = BODY;
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100);
  assert_int_equal(the.sent_count, 1);
  assert_int_equal(last_sent()->bytes[1], COPAL_CODE_CHANGED);
  assert_int_equal(stats()->chunks_refused, 1);
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100);
  assert_int_equal(the.handled, 1);
  assert_int_equal(the.sent_count, 1);
  assert_int_equal(stats()->dup_ignored, 1);
  drain();
  strike();
}

static void old_replies_go_when_chunks_are_short(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.chunk_count = 6;
  set_stage(&c);
  the.body_len = BODY; /* five chunks */
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100);
  arrive(2, COPAL_CON, COPAL_CODE_POST, 0x200);
  assert_int_equal(stats()->dedup_evicted, 1);
  assert_int_equal(stats()->chunks_refused, 0);
  arrive(2, COPAL_CON, COPAL_CODE_POST, 0x200);
  assert_int_equal(stats()->dup_replayed, 1);
  drain();
  strike();
}

static void rfc7252_5_2_3_separate_response_without_chunks_is_non_confirmable(void **state)
{
  (void)state;
  static const uint8_t body[BODY];
  const copal_response r = {.code = COPAL_CODE_CHANGED, .payload = {body, sizeof(body)}};
  copal_ep_cfg c = ample();
  c.chunk_count = 2;
  set_stage(&c);
  the.plan = PLAN_DEFER;
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100);
  the.now += COPAL_SECOND;
  copal_ep_expire(the.ep, the.now);
  assert_int_equal(last_sent()->len, COPAL_EMPTY_SIZE);
  assert_int_equal(copal_ep_resume(the.ep, the.deferred, &r, the.now), COPAL_OK);
  assert_int_equal(last_sent()->bytes[0], 0x51);
  assert_int_equal(last_sent()->bytes[1], COPAL_CODE_CHANGED);
  assert_int_equal(stats()->chunks_refused, 1);
  drain();
  strike();
}

/* ----------------------------------------------------------------------------------------- sink */

static void request_into_a_full_sink_is_refused_and_counted(void **state)
{
  (void)state;
  const copal_ep_cfg c = ample();
  set_stage(&c);
  the.is_full = true;
  assert_int_equal(ask(1, COPAL_CON, 0, NULL), COPAL_ENOSLOT);
  assert_int_equal(stats()->tx_dropped, 1);
  assert_int_equal(stats()->tx_datagrams, 0);
  assert_int_equal(the.events, 0);
  drain();
  strike();
}

static void rfc7252_4_2_schedule_goes_on_when_the_sink_is_full(void **state)
{
  (void)state;
  const copal_ep_cfg c = ample();
  set_stage(&c);
  assert_int_equal(ask(1, COPAL_CON, 0, NULL), COPAL_OK);
  the.is_full = true;
  the.now += 3100 * (copal_time)COPAL_MILLISECOND;
  copal_ep_expire(the.ep, the.now);
  assert_int_equal(stats()->tx_dropped, 1);
  assert_int_equal(the.sent_count, 1);
  the.is_full = false;
  drain();
  assert_int_equal(the.sent_count, 4); /* the first and three of four retransmissions */
  assert_int_equal(the.last_event, COPAL_EVENT_TIMEOUT);
  assert_int_equal(stats()->timeouts, 1);
  strike();
}

static void answer_into_a_full_sink_is_dropped_and_counted(void **state)
{
  (void)state;
  const copal_ep_cfg c = ample();
  set_stage(&c);
  the.is_full = true;
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100);
  assert_int_equal(the.handled, 1);
  assert_true(stats()->tx_dropped >= 1);
  the.is_full = false;
  arrive(1, COPAL_CON, COPAL_CODE_POST, 0x100);
  assert_int_equal(the.handled, 1); /* never twice */
  drain();
  strike();
}

static void reset_and_ack_into_a_full_sink_are_dropped_and_sent_for_the_duplicate(void **state)
{
  (void)state;
  const copal_ep_cfg c = ample();
  uint8_t ping[] = {0x40, 0, 0x12, 0x34};
  const copal_path path = peer_path(1);
  set_stage(&c);
  the.is_full = true;
  copal_ep_input(the.ep, &path, (copal_mspan){ping, sizeof(ping)}, the.now);
  assert_int_equal(stats()->tx_dropped, 1);
  assert_int_equal(stats()->tx_resets, 0);
  the.is_full = false;
  copal_ep_input(the.ep, &path, (copal_mspan){ping, sizeof(ping)}, the.now);
  assert_int_equal(stats()->tx_resets, 1);
  assert_int_equal(last_sent()->bytes[0], 0x70);
  strike();
}

/* ---------------------------------------------------------------------------- sizes and memory */

static void rfc7252_4_6_request_beyond_message_max_is_refused(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  c.message_max = 128;
  set_stage(&c);
  assert_int_equal(ask(1, COPAL_CON, 128, NULL), COPAL_ENOSPC);
  assert_int_equal(ask(1, COPAL_NON, 128, NULL), COPAL_ENOSPC);
  assert_int_equal(the.sent_count, 0);
  const copal_usage u = copal_ep_usage(the.ep);
  assert_int_equal(u.exchanges + u.peers + u.chunks, 0);
  strike();
}

static void rfc7959_2_4_response_beyond_message_max_is_cut_into_blocks(void **state)
{
  (void)state;
  copal_msg m;
  copal_span v;
  copal_block b;
  copal_ep_cfg c = ample();
  c.message_max = 128;
  set_stage(&c);
  the.body_len = BODY;
  arrive(1, COPAL_CON, COPAL_CODE_GET, 0x100);
  assert_true(last_sent()->len <= 128);
  assert_int_equal(copal_msg_parse(copal_span_of(last_sent()->bytes, last_sent()->len), &m), 0);
  assert_true(copal_opt_find(m.options, COPAL_OPT_BLOCK2, &v));
  assert_int_equal(copal_block_parse(v, &b), COPAL_OK);
  assert_true(b.more && b.num == 0 && m.payload.len == copal_block_size(b.szx));
  strike();
}

static void rfc8974_2_2_2_token_beyond_the_cap_is_refused(void **state)
{
  (void)state;
  uint8_t bytes[16] = {0x49, COPAL_CODE_GET, 1, 2};
  const copal_ep_cfg c = ample();
  const copal_path path = peer_path(1);
  copal_request q = COPAL_REQUEST_INIT;
  set_stage(&c);
  q.path = &path;
  q.code = COPAL_CODE_GET;
  q.client = &the.client;
  q.token = copal_span_of(bytes, 9);
  q.has_token = true;
  assert_int_equal(copal_ep_request(the.ep, &q, NULL, the.now), COPAL_EINVAL);
  assert_int_equal(copal_ep_usage(the.ep).exchanges, 0);
  assert_true(copal_ep_input(the.ep, &path, (copal_mspan){bytes, 13}, the.now) < 0);
  assert_int_equal(the.handled, 0);
  strike();
}

static void rfc7252_4_4_message_id_round_within_its_lifetime_is_counted(void **state)
{
  (void)state;
  copal_ep_cfg c = ample();
  copal_xref ref;
  c.mid_count = 1;
  set_stage(&c);
  for (uint32_t i = 0; i < UNICAST_MIDS; i++) {
    assert_int_equal(ask(1, COPAL_NON, 0, &ref), COPAL_OK);
    copal_ep_cancel(the.ep, ref, the.now);
  }
  assert_int_equal(stats()->mid_wraps, 0);
  assert_int_equal(ask(1, COPAL_NON, 0, &ref), COPAL_OK);
  assert_int_equal(stats()->mid_wraps, 1);
  strike();
}

static uint16_t ask_for_mid(uint8_t host, uint16_t flags)
{
  copal_path path = peer_path(host);
  copal_request q = COPAL_REQUEST_INIT;
  copal_xref ref;
  path.flags = flags;
  q.path = &path;
  q.type = COPAL_NON;
  q.code = COPAL_CODE_GET;
  assert_int_equal(copal_ep_request(the.ep, &q, &ref, the.now), COPAL_OK);
  copal_ep_cancel(the.ep, ref, the.now);
  return (uint16_t)(last_sent()->bytes[2] << 8 | last_sent()->bytes[3]);
}

static void rfc7252_8_1_group_and_unicast_message_ids_are_disjoint(void **state)
{
  (void)state;
  static bool is_group_mid[UINT16_MAX + 1];
  const copal_ep_cfg c = ample();
  set_stage(&c);
  for (int i = 0; i < 2000; i++)
    is_group_mid[ask_for_mid(255, COPAL_PATH_GROUP)] = true;
  for (int i = 0; i < 2000; i++)
    assert_false(is_group_mid[ask_for_mid((uint8_t)(i % 4), 0)]);
  assert_int_equal(stats()->mid_wraps, 0);
  strike();
}

static void memory_must_be_as_large_as_said(void **state)
{
  (void)state;
  copal_ep *ep = NULL;
  copal_ep_cfg c = ample();
  set_stage(&c);
  c.sink = &the.sink;
  c.entropy = &the.entropy;
  const size_t size = copal_ep_size(&c);
  uint8_t *memory = malloc(size);
  assert_non_null(memory);
  assert_int_equal(copal_ep_init((copal_mspan){memory, size - 1}, &c, &ep, 0), COPAL_ENOSPC);
  assert_null(ep);
  c.chunk_size = 8;
  assert_int_equal(copal_ep_size(&c), 0);
  assert_int_equal(copal_ep_init((copal_mspan){memory, size}, &c, &ep, 0), COPAL_EINVAL);
  free(memory);
  strike();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(request_without_exchange_is_refused_and_counted),
      cmocka_unit_test(ping_without_exchange_is_refused_and_counted),
      cmocka_unit_test(defer_without_exchange_is_answered_5_03_with_max_age),
      cmocka_unit_test(group_request_without_exchange_is_not_answered),
      cmocka_unit_test(request_without_peer_is_refused_and_counted),
      cmocka_unit_test(unsafe_request_without_peer_is_answered_5_03_and_not_run),
      cmocka_unit_test(safe_confirmable_request_needs_no_peer),
      cmocka_unit_test(peer_that_is_only_remembered_makes_place_for_another),
      cmocka_unit_test(rfc7252_4_5_oldest_entry_goes_when_all_are_taken),
      cmocka_unit_test(rfc7252_4_5_entry_after_its_lifetime_is_not_an_eviction),
      cmocka_unit_test(one_peer_cannot_take_the_entries_of_others),
      cmocka_unit_test(deferred_request_survives_the_loss_of_its_entry),
      cmocka_unit_test(confirmable_request_without_chunks_is_refused_and_counted),
      cmocka_unit_test(reply_that_cannot_be_kept_is_sent_and_its_duplicate_ignored),
      cmocka_unit_test(old_replies_go_when_chunks_are_short),
      cmocka_unit_test(rfc7252_5_2_3_separate_response_without_chunks_is_non_confirmable),
      cmocka_unit_test(request_into_a_full_sink_is_refused_and_counted),
      cmocka_unit_test(rfc7252_4_2_schedule_goes_on_when_the_sink_is_full),
      cmocka_unit_test(answer_into_a_full_sink_is_dropped_and_counted),
      cmocka_unit_test(reset_and_ack_into_a_full_sink_are_dropped_and_sent_for_the_duplicate),
      cmocka_unit_test(rfc7252_4_6_request_beyond_message_max_is_refused),
      cmocka_unit_test(rfc7959_2_4_response_beyond_message_max_is_cut_into_blocks),
      cmocka_unit_test(rfc8974_2_2_2_token_beyond_the_cap_is_refused),
      cmocka_unit_test(rfc7252_4_4_message_id_round_within_its_lifetime_is_counted),
      cmocka_unit_test(rfc7252_8_1_group_and_unicast_message_ids_are_disjoint),
      cmocka_unit_test(memory_must_be_as_large_as_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
