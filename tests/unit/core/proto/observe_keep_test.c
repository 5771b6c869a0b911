/* SPDX-License-Identifier: Apache-2.0 */
/* Relations that outlive their endpoint, and sequence numbers that go on. RFC 7641 sections 3.4,
 * 4.4 and 4.5. */
#include <stdio.h>

#include "unit/core/proto/fixture.h"

static const copal_time second = COPAL_SECOND;
static const copal_time ms = COPAL_MILLISECOND;

/* ----------------------------------------------------------------------------------------- stage
 */

enum { TOLD_MAX = 16 };

typedef struct told {
  copal_relation_event event;
  copal_relation relation;
  uint8_t token[COPAL_TOKEN_MAX];
} told;

/* What is observed, and what it was told of its relations. */
typedef struct thing {
  copal_subject subject;
  const char *body;
  copal_code code;
  unsigned told_count;
  told told[TOLD_MAX];
} thing;

static thing the_thing;

static int render(copal_subject *s, copal_ep *ep, copal_response *r, copal_time now)
{
  const thing *t = (thing *)s;
  (void)ep;
  (void)now;
  *r = (copal_response){.code = t->code, .payload = copal_span_str(t->body)};
  return COPAL_OK;
}

static void on_relation(copal_subject *s, copal_ep *ep, const copal_relation *relation,
                        copal_relation_event event)
{
  thing *t = (thing *)s;
  (void)ep;
  assert_true(t->told_count < TOLD_MAX);
  told *x = &t->told[t->told_count++];
  *x = (told){.event = event, .relation = *relation};
  if (relation->token.len > 0)
    memcpy(x->token, relation->token.ptr, relation->token.len);
  x->relation.token.ptr = x->token;
}

static void thing_init(void)
{
  the_thing = (thing){.subject = {.render = render, .on_relation = on_relation},
                      .body = "a0",
                      .code = COPAL_CODE_CONTENT};
}

static int serve(fixture *f, const copal_req *req)
{
  const copal_response r = {.code = the_thing.code, .payload = copal_span_str(the_thing.body)};
  if (req->wants_observe)
    assert_int_equal(copal_ep_observe(f->ep, &the_thing.subject), COPAL_OK);
  return copal_ep_respond(f->ep, &r, f->now);
}

static int setup(void **state)
{
  const int err = fx_setup(state);
  ((fixture *)*state)->handler = serve;
  thing_init();
  return err;
}

/* The next datagram sent, to that peer: its message. */
static copal_msg next_to(fixture *f, const copal_path *path, copal_time *at)
{
  copal_msg m;
  assert_true(f->sent_seen < f->sent_count);
  const fx_datagram *d = &f->sent[f->sent_seen++];
  assert_true(copal_path_is_same_peer(&d->path, path));
  assert_int_equal(copal_msg_parse(copal_span_of(d->bytes, d->len), &m), COPAL_OK);
  if (at != NULL)
    *at = d->at;
  if (f->sent_seen == f->sent_count)
    f->sent_seen = f->sent_count = 0;
  return m;
}

static uint32_t observe_value(const copal_msg *m)
{
  copal_span value;
  uint32_t v;
  assert_true(copal_opt_find(m->options, COPAL_OPT_OBSERVE, &value));
  assert_int_equal(copal_opt_uint(value, &v), COPAL_OK);
  return v;
}

static uint16_t request_mid;

/* A GET with Observe; `rest` are further options, behind number 6. The number of the answer. */
static uint32_t observe_with(fixture *f, const copal_path *path, uint8_t token, const char *rest)
{
  char text[64];
  const uint16_t mid = ++request_mid;
  snprintf(text, sizeof text, "41 01 %02x %02x %02x 60 %s", (unsigned)mid >> 8, mid & 0xffu, token,
           rest);
  assert_int_equal(fx_feed_from(f, path, text), COPAL_OK);
  const copal_msg m = next_to(f, path, NULL);
  assert_int_equal(m.type, COPAL_ACK);
  return observe_value(&m);
}

static uint32_t observe(fixture *f, uint8_t token)
{
  return observe_with(f, &f->peer, token, "");
}

static void answer(fixture *f, const copal_path *path, copal_type type, uint16_t mid)
{
  const uint8_t bytes[] = {(uint8_t)(0x40 | type << 4), 0, (uint8_t)(mid >> 8), (uint8_t)mid};
  assert_int_equal(fx_feed_bytes(f, path, bytes, sizeof bytes), COPAL_OK);
}

static const told *expect_told(unsigned index, copal_relation_event event, uint8_t token)
{
  assert_true(index < the_thing.told_count);
  const told *t = &the_thing.told[index];
  assert_int_equal(t->event, event);
  assert_int_equal(t->relation.token.len, 1);
  assert_int_equal(t->token[0], token);
  return t;
}

static copal_relation kept_of(const copal_path *path, const uint8_t *token)
{
  return (copal_relation){
      .path = *path, .token = copal_span_of(token, 1), .request_code = COPAL_CODE_GET};
}

/* RFC 7641 section 3.4, the first two conditions. */
static bool is_newer(uint32_t v1, uint32_t v2)
{
  return (v1 < v2 && v2 - v1 < 1u << 23) || (v1 > v2 && v1 - v2 > 1u << 23);
}

/* --------------------------------------------------------------------------------------- telling
 */

static void a_subject_is_told_of_its_relations(void **state)
{
  fixture *f = *state;
  f->peer.local = 3;
  observe(f, 0xaa);
  const told *t = expect_told(0, COPAL_RELATION_BEGUN, 0xaa);
  assert_true(copal_path_is_same_peer(&t->relation.path, &f->peer));
  assert_int_equal(t->relation.path.local, 3);
  assert_int_equal(t->relation.request_code, COPAL_CODE_GET);
  assert_false(t->relation.has_block2);
  observe(f, 0xaa); /* a renewal with the same parameters is nothing to keep */
  assert_int_equal(the_thing.told_count, 1);
  observe_with(f, &f->peer, 0xaa, "d1 04 02"); /* Block2 0/0/64 */
  t = expect_told(1, COPAL_RELATION_CHANGED, 0xaa);
  assert_true(t->relation.has_block2);
  assert_int_equal(t->relation.szx, 2);
  f->peer.local = 4;
  observe_with(f, &f->peer, 0xaa, "d1 04 02");
  t = expect_told(2, COPAL_RELATION_CHANGED, 0xaa);
  assert_int_equal(t->relation.path.local, 4);
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 61 01"), COPAL_OK); /* Observe 1 */
  expect_told(3, COPAL_RELATION_ENDED, 0xaa);
  assert_int_equal(the_thing.told_count, 4);
}

static void every_end_of_a_relation_is_told(void **state)
{
  fixture *f = *state;
  for (int way = 0; way < 5; way++) {
    thing_init();
    fx_restart(f);
    observe(f, 0xaa);
    if (way == 0) { /* an error */
      the_thing.code = COPAL_CODE_NOT_FOUND;
      copal_ep_notify(f->ep, &the_thing.subject, f->now);
    } else if (way == 1) { /* a Reset */
      copal_ep_notify(f->ep, &the_thing.subject, f->now);
      answer(f, &f->peer, COPAL_RST, next_to(f, &f->peer, NULL).mid);
    } else if (way == 2) { /* nobody acknowledges */
      copal_ep_notify(f->ep, &the_thing.subject, f->now);
      fx_advance(f, 100 * second);
    } else if (way == 3) { /* the network says so */
      copal_ep_notify(f->ep, &the_thing.subject, f->now);
      const fx_datagram *d = &f->sent[f->sent_seen];
      assert_int_equal(
          copal_ep_unreachable(f->ep, &f->peer, copal_span_of(d->bytes, d->len), f->now), COPAL_OK);
    } else { /* the handler */
      copal_ep_end_subject(f->ep, &the_thing.subject, f->now);
    }
    expect_told(1, COPAL_RELATION_ENDED, 0xaa);
    assert_int_equal(the_thing.told_count, 2);
  }
}

static void the_end_of_the_endpoint_is_not_told(void **state)
{
  fixture *f = *state;
  observe(f, 0xaa);
  fx_restart(f);
  assert_int_equal(the_thing.told_count, 1);
  assert_int_equal(the_thing.subject.count, 0);
}

/* ------------------------------------------------------------------------------------- deferring
 */

/* The answer comes with resume(). */
static int serve_later(fixture *f, const copal_req *req)
{
  assert_true(req->wants_observe);
  assert_int_equal(copal_ep_defer(f->ep, &f->late), COPAL_OK);
  assert_int_equal(copal_ep_observe_late(f->ep, f->late, &the_thing.subject), f->respond_result);
  return COPAL_EPENDING;
}

static void resume(fixture *f, copal_code code)
{
  const copal_response r = {.code = code, .payload = copal_span_str("a0")};
  assert_int_equal(copal_ep_resume(f->ep, f->late, &r, f->now), COPAL_OK);
}

static void begin_late(fixture *f)
{
  f->handler = serve_later;
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 60"), COPAL_OK);
  expect_told(0, COPAL_RELATION_BEGUN, 0xaa);
  assert_int_equal(the_thing.subject.count, 1);
}

static void rfc7641_4_1_a_deferred_request_is_told_of_and_answered_with_observe(void **state)
{
  fixture *f = *state;
  begin_late(f);
  fx_expect_nothing(f);
  resume(f, COPAL_CODE_CONTENT);
  const copal_msg m = next_to(f, &f->peer, NULL);
  assert_int_equal(m.type, COPAL_ACK);
  const uint32_t first = observe_value(&m);
  fx_advance(f, second);
  copal_ep_notify(f->ep, &the_thing.subject, f->now);
  const copal_msg n = next_to(f, &f->peer, NULL);
  assert_true(is_newer(first, observe_value(&n)));
}

static void rfc7252_5_2_2_a_registration_may_be_answered_separately(void **state)
{
  fixture *f = *state;
  begin_late(f);
  fx_advance(f, 2 * second);
  fx_expect(f, "60 00 70 01");
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 60"), COPAL_OK); /* again */
  fx_expect(f, "60 00 70 01");
  assert_int_equal(the_thing.told_count, 1);
  resume(f, COPAL_CODE_CONTENT);
  const copal_msg m = next_to(f, &f->peer, NULL);
  assert_int_equal(m.type, COPAL_CON);
  observe_value(&m);
  answer(f, &f->peer, COPAL_ACK, m.mid);
  assert_int_equal(the_thing.subject.count, 1);
}

static void expect_no_observe(fixture *f, copal_code code)
{
  copal_span value;
  const copal_msg m = next_to(f, &f->peer, NULL);
  assert_int_equal(m.code, code);
  assert_false(copal_opt_find(m.options, COPAL_OPT_OBSERVE, &value));
  expect_told(1, COPAL_RELATION_ENDED, 0xaa);
  assert_int_equal(the_thing.subject.count, 0);
}

static void rfc7641_4_1_an_observation_that_is_taken_back_is_answered_without_observe(void **state)
{
  fixture *f = *state;
  begin_late(f);
  copal_ep_unobserve(f->ep, f->late);
  resume(f, COPAL_CODE_CONTENT);
  expect_no_observe(f, COPAL_CODE_CONTENT);
  copal_ep_unobserve(f->ep, f->late); /* the exchange is gone */
}

static void without_room_a_late_answer_goes_without_observe(void **state)
{
  fixture *f = *state;
  f->cfg.relation_count = 1;
  fx_restart(f);
  observe(f, 0xbb);
  f->handler = serve_later;
  f->respond_result = COPAL_ENOSLOT;
  assert_int_equal(fx_feed(f, "41 01 70 01 aa 60"), COPAL_OK);
  resume(f, COPAL_CODE_CONTENT);
  copal_span value;
  const copal_msg m = next_to(f, &f->peer, NULL);
  assert_int_equal(m.code, COPAL_CODE_CONTENT);
  assert_false(copal_opt_find(m.options, COPAL_OPT_OBSERVE, &value));
  assert_int_equal(copal_ep_observe_late(f->ep, f->late, &the_thing.subject), COPAL_EINVAL);
  assert_int_equal(the_thing.told_count, 1);
}

static void rfc7641_4_2_a_client_that_is_refused_is_told(void **state)
{
  fixture *f = *state;
  const uint8_t token[] = {0xaa};
  const copal_relation kept = kept_of(&f->peer, token);
  copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, f->now + 300 * second, f->now);
  copal_ep_refuse(f->ep, &f->peer, kept.token, COPAL_CODE_FORBIDDEN, f->now);
  const copal_msg m = next_to(f, &f->peer, NULL);
  assert_int_equal(m.code, COPAL_CODE_FORBIDDEN);
  assert_int_equal(m.token.ptr[0], 0xaa);
  answer(f, &f->peer, COPAL_ACK, m.mid);
  expect_told(0, COPAL_RELATION_ENDED, 0xaa);
  assert_int_equal(the_thing.subject.count, 0);
  copal_ep_refuse(f->ep, &f->peer, kept.token, COPAL_CODE_FORBIDDEN, f->now);
  fx_expect_nothing(f);
}

/* ------------------------------------------------------------------------------------- restoring
 */

static void rfc7641_4_5_a_restored_relation_is_confirmed_when_it_is_due(void **state)
{
  fixture *f = *state;
  const uint8_t token[] = {0xaa};
  const copal_relation kept = kept_of(&f->peer, token);
  const copal_time due = f->now + 3 * second;
  copal_time at;
  assert_int_equal(copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, due, f->now),
                   COPAL_OK);
  assert_int_equal(the_thing.told_count, 0);
  assert_int_equal(fx_stats(f)->relations_restored, 1);
  fx_advance(f, 3 * second - 100 * ms);
  fx_expect_nothing(f);
  fx_advance(f, second);
  const copal_msg m = next_to(f, &f->peer, &at);
  assert_int_equal(m.type, COPAL_CON);
  assert_int_equal(m.token.ptr[0], 0xaa);
  assert_true(at >= due && at < due + 10 * ms);
  answer(f, &f->peer, COPAL_ACK, m.mid);
  fx_advance(f, 1000 * second);
  fx_expect_nothing(f);
  assert_int_equal(the_thing.subject.count, 1);
}

static void a_change_does_not_wait_for_the_turn_of_a_restored_relation(void **state)
{
  fixture *f = *state;
  const uint8_t token[] = {0xaa};
  const copal_relation kept = kept_of(&f->peer, token);
  copal_time at;
  copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, f->now + 300 * second, f->now);
  fx_advance(f, second);
  the_thing.body = "a1";
  copal_ep_notify(f->ep, &the_thing.subject, f->now);
  const copal_time asked = f->now;
  fx_advance(f, 20 * ms);
  const copal_msg m = next_to(f, &f->peer, &at);
  assert_int_equal(m.type, COPAL_CON);
  assert_memory_equal(m.payload.ptr, "a1", 2);
  assert_true(at < asked + 10 * ms);
  answer(f, &f->peer, COPAL_ACK, m.mid);
  fx_advance(f, 400 * second);
  fx_expect_nothing(f); /* it has been told: its turn is no reason to be told again */
}

static void rfc7641_4_5_who_rejects_or_is_silent_after_a_restart_is_removed(void **state)
{
  fixture *f = *state;
  const uint8_t token[] = {0xaa};
  const copal_path other = fx_peer(2);
  const copal_relation kept = kept_of(&f->peer, token);
  const copal_relation gone = kept_of(&other, token);
  copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, f->now + second, f->now);
  copal_ep_observe_restore(f->ep, &the_thing.subject, &gone, f->now + 200 * second, f->now);
  fx_advance(f, 2 * second);
  answer(f, &f->peer, COPAL_RST, next_to(f, &f->peer, NULL).mid);
  expect_told(0, COPAL_RELATION_ENDED, 0xaa);
  fx_advance(f, 300 * second);
  const told *t = expect_told(1, COPAL_RELATION_ENDED, 0xaa);
  assert_true(copal_path_is_same_peer(&t->relation.path, &other));
  assert_int_equal(the_thing.subject.count, 0);
}

static void rfc7641_4_5_1_restored_relations_of_a_client_take_turns(void **state)
{
  fixture *f = *state;
  const uint8_t tokens[] = {1, 2, 3};
  for (int i = 0; i < 3; i++) {
    const copal_relation kept = kept_of(&f->peer, &tokens[i]);
    copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, f->now + 10 * ms, f->now);
  }
  fx_advance(f, 20 * ms);
  for (int i = 0; i < 3; i++) {
    const copal_msg m = next_to(f, &f->peer, NULL);
    assert_int_equal(m.type, COPAL_CON); /* each of them, so that each may be rejected */
    assert_int_equal(m.token.ptr[0], tokens[i]);
    fx_expect_nothing(f);
    answer(f, &f->peer, COPAL_ACK, m.mid);
  }
  fx_expect_nothing(f);
}

static void a_relation_that_the_client_has_renewed_is_not_restored(void **state)
{
  fixture *f = *state;
  const uint8_t token[] = {0xaa};
  const copal_relation kept = kept_of(&f->peer, token);
  observe(f, 0xaa);
  assert_int_equal(copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, f->now, f->now),
                   COPAL_EINVAL);
  assert_int_equal(the_thing.subject.count, 1);
}

static void without_room_nothing_is_restored(void **state)
{
  fixture *f = *state;
  const uint8_t long_token[9] = {1};
  copal_relation kept = kept_of(&f->peer, long_token);
  kept.token.len = sizeof long_token;
  assert_int_equal(copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, f->now, f->now),
                   COPAL_EINVAL);
  kept.token.len = 1;
  for (uint8_t i = 0; i < 16; i++) { /* the default of `relation_count` */
    kept.path = fx_peer((uint8_t)(i + 1));
    assert_int_equal(copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, f->now, f->now),
                     COPAL_OK);
  }
  kept.path = fx_peer(99);
  assert_int_equal(copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, f->now, f->now),
                   COPAL_ENOSLOT);
  assert_int_equal(fx_stats(f)->relations_refused, 1);
}

static void rfc7959_2_6_a_restored_relation_keeps_its_block_size(void **state)
{
  fixture *f = *state;
  const uint8_t token[] = {0xaa};
  copal_relation kept = kept_of(&f->peer, token);
  kept.has_block2 = true;
  kept.szx = 0;
  the_thing.body = "0123456789abcdefghij";
  copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, f->now, f->now);
  fx_advance(f, 10 * ms);
  assert_int_equal(next_to(f, &f->peer, NULL).payload.len, 16);
}

/* -------------------------------------------------------------------------------------- sequence
 */

static uint32_t random_state = 1;

static uint32_t draw(uint32_t below)
{
  random_state = random_state * 1664525u + 1013904223u;
  return (uint32_t)(((uint64_t)random_state * below) >> 32);
}

/* Any number of changes and renewals at any pace, a restart at any instant that takes as long as
 * the shortest there is, with another `now` and nothing remembered: the next number is newer. */
static void rfc7641_3_4_the_number_after_a_restart_is_newer(void **state)
{
  enum { RESTART_MIN_MS = 70 };
  fixture *f = *state;
  copal_time wall = 1795425960 * second;
  for (int round = 0; round < 2000; round++) {
    f->now = (copal_time)draw(1u << 30) * draw(1u << 20);
    f->cfg.sequence_base = (uint32_t)(wall >> 5) - (uint32_t)(f->now >> 5);
    const copal_time began = f->now;
    fx_restart(f);
    thing_init();
    uint32_t last = observe(f, 0xaa);
    const uint32_t bumps = draw(8) == 0 ? 4000 : draw(20);
    for (uint32_t i = 0; i < bumps; i++) {
      f->now += draw(2) * draw(40);
      copal_ep_notify(f->ep, &the_thing.subject, f->now);
      f->sent_count = f->sent_seen = 0;
    }
    const uint32_t number = observe(f, 0xaa);
    assert_true(number == last || is_newer(last, number));
    last = number;
    wall += f->now - began;
    wall += (RESTART_MIN_MS + draw(60000)) * ms;
    f->now = (copal_time)draw(1u << 30) * draw(1u << 20);
    f->cfg.sequence_base = (uint32_t)(wall >> 5) - (uint32_t)(f->now >> 5);
    fx_restart(f);
    thing_init();
    if (round % 2 == 0) {
      assert_true(is_newer(last, observe(f, 0xaa)));
      continue;
    }
    const uint8_t token[] = {0xaa};
    const copal_relation kept = kept_of(&f->peer, token);
    copal_ep_observe_restore(f->ep, &the_thing.subject, &kept, f->now + 5 * ms, f->now);
    fx_advance(f, 20 * ms);
    const copal_msg m = next_to(f, &f->peer, NULL);
    assert_true(is_newer(last, observe_value(&m)));
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fx_teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(a_subject_is_told_of_its_relations),
      TEST(every_end_of_a_relation_is_told),
      TEST(the_end_of_the_endpoint_is_not_told),
      TEST(rfc7641_4_1_a_deferred_request_is_told_of_and_answered_with_observe),
      TEST(rfc7252_5_2_2_a_registration_may_be_answered_separately),
      TEST(rfc7641_4_1_an_observation_that_is_taken_back_is_answered_without_observe),
      TEST(without_room_a_late_answer_goes_without_observe),
      TEST(rfc7641_4_2_a_client_that_is_refused_is_told),
      TEST(rfc7641_4_5_a_restored_relation_is_confirmed_when_it_is_due),
      TEST(a_change_does_not_wait_for_the_turn_of_a_restored_relation),
      TEST(rfc7641_4_5_who_rejects_or_is_silent_after_a_restart_is_removed),
      TEST(rfc7641_4_5_1_restored_relations_of_a_client_take_turns),
      TEST(a_relation_that_the_client_has_renewed_is_not_restored),
      TEST(without_room_nothing_is_restored),
      TEST(rfc7959_2_6_a_restored_relation_keeps_its_block_size),
      TEST(rfc7641_3_4_the_number_after_a_restart_is_newer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
