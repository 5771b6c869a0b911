/* SPDX-License-Identifier: Apache-2.0 */
/* The table of sessions: life, finding, limits. RFC 6347 section 4.2.8, RFC 9146 section 3. Records
 * are in session_record_test.c. */
#include "transport/dtls/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "copal/error.h"
#include "unit/transport/dtls/fixture.h"

static const copal_time start = 1000 * (copal_time)COPAL_SECOND;

/* ---------------------------------------------------------------------------------- opening, life
 */

static void limits_out_of_range_are_refused(void **state)
{
  (void)state;
  static const dtls_sessions_cfg bad[] = {
      {.max = 0, .handshake_max = 1},
      {.max = 1, .handshake_max = 0},
      {.max = DTLS_SESSION_MAX, .handshake_max = 1},
      {.max = 1, .handshake_max = DTLS_SESSION_MAX},
      {.max = UINT32_MAX, .handshake_max = UINT32_MAX},
      {.max = 1, .handshake_max = 1, .seal_max = DTLS_SEQ_MAX + 1},
  };
  dtls_sessions *all = NULL;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(dtls_sessions_open(&bad[i], &all), COPAL_EINVAL);
  assert_null(all);
  dtls_sessions_close(NULL);
}

static void session_is_found_by_cid_path_and_number(void **state)
{
  (void)state;
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 100, .handshake_max = 4});
  fixture_peer peers[50];
  for (uint32_t i = 0; i < 50; i++) {
    peers[i] = fixture_peer_at(i, true, i % 21);
    assert_non_null(fixture_join(all, &peers[i], start));
  }
  assert_int_equal(dtls_sessions_count(all), 50);
  for (uint32_t i = 0; i < 50; i++) {
    const fixture_peer *p = &peers[i];
    dtls_session *s = dtls_session_of(all, p->number);
    assert_non_null(s);
    assert_int_equal(s->identity, i);
    assert_int_equal(p->cid[0], FIXTURE_LANE);
    assert_ptr_equal(dtls_session_by_cid(all, copal_span_of(p->cid, sizeof p->cid)), s);
    assert_ptr_equal(dtls_session_by_path(all, &p->path, DTLS_SESSION_UP), s);
    assert_null(dtls_session_by_path(all, &p->path, DTLS_SESSION_HANDSHAKE));
    assert_true(copal_span_is_equal(dtls_session_peer_cid(all, s),
                                    copal_span_of(p->own_cid, p->own_cid_len)));
    const copal_path path = dtls_session_path(all, s);
    assert_true(copal_path_is_same_peer(
        &path, &(copal_path){.remote = p->path.remote, .session = p->number}));
    assert_int_equal(path.flags, COPAL_PATH_SECURE);
    assert_int_equal(path.local, p->path.local);
  }
  assert_null(dtls_session_of(all, 0));
  assert_null(dtls_session_of(all, UINT32_MAX));
  const copal_path stranger = fixture_path(99);
  assert_null(dtls_session_by_path(all, &stranger, DTLS_SESSION_UP));
  dtls_sessions_close(all);
}

static void local_addresses_are_compared_where_both_are_known(void **state)
{
  (void)state;
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 4, .handshake_max = 4});
  fixture_peer a = fixture_peer_at(1, false, 0), b = a;
  b.path.local = 2;
  dtls_session *first = fixture_join(all, &a, start), *second = fixture_join(all, &b, start);
  copal_path path = a.path;
  assert_ptr_equal(dtls_session_by_path(all, &path, DTLS_SESSION_UP), first);
  path.local = 2;
  assert_ptr_equal(dtls_session_by_path(all, &path, DTLS_SESSION_UP), second);
  path.local = 0;
  assert_ptr_equal(dtls_session_by_path(all, &path, DTLS_SESSION_UP), second);
  path.local = 3;
  assert_null(dtls_session_by_path(all, &path, DTLS_SESSION_UP));
  dtls_sessions_close(all);
}

static void handshakes_are_limited_and_evict_nobody(void **state)
{
  (void)state;
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 3, .handshake_max = 2});
  fixture_peer peers[3];
  for (uint32_t i = 0; i < 3; i++) {
    peers[i] = fixture_peer_at(i, true, 0);
    assert_non_null(fixture_join(all, &peers[i], start));
  }
  const copal_path path = fixture_path(50);
  dtls_session *s = dtls_session_take(all, &path, 0);
  assert_non_null(s);
  assert_null(s->handshake);
  assert_non_null(dtls_session_take(all, &path, 0));
  for (int i = 0; i < 1000; i++)
    assert_null(dtls_session_take(all, &path, 0));
  assert_int_equal(dtls_sessions_stats_now(all)->no_slot, 1000);
  assert_int_equal(dtls_sessions_handshake_count(all), 2);
  assert_int_equal(dtls_sessions_count(all), 3);
  assert_non_null(dtls_session_by_path(all, &path, DTLS_SESSION_HANDSHAKE));
  dtls_session_end(all, s, DTLS_END_LOCAL);
  assert_int_equal(dtls_sessions_handshake_count(all), 1);
  assert_non_null(dtls_session_take(all, &path, 0));
  uint64_t ended = 0;
  for (int why = 0; why < DTLS_END_COUNT; why++)
    ended += dtls_sessions_stats_now(all)->ended[why];
  assert_int_equal(ended, 0);
  dtls_sessions_close(all);
}

static void establishing_with_what_cannot_be_leaves_the_handshake(void **state)
{
  (void)state;
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 3, .handshake_max = 2});
  const copal_path path = fixture_path(50);
  dtls_session *s = dtls_session_take(all, &path, 0);
  uint8_t cid[DTLS_CID_MAX + 1] = {0};
  dtls_established e = {.aead = DTLS_AEAD_NONE};
  assert_int_equal(dtls_session_establish(all, s, &e, start), COPAL_EINVAL);
  e = (dtls_established){.aead = DTLS_AES_128_GCM, .peer_cid = copal_span_of(cid, sizeof cid)};
  assert_int_equal(dtls_session_establish(all, s, &e, start), COPAL_EINVAL);
  assert_int_equal(s->state, DTLS_SESSION_HANDSHAKE);
  assert_int_equal(dtls_sessions_count(all), 0);
  dtls_sessions_close(all);
}

/* What on_end() was told. */
typedef struct ends {
  dtls_on_end hook; /* first */
  dtls_sessions *all;
  unsigned count;
  dtls_end why;
  uint32_t identity;
  int sealed; /* what a seal from inside came to */
  fixture_wire alert;
} ends;

static void note_end(dtls_on_end *hook, dtls_session *s, dtls_end why)
{
  ends *e = (ends *)hook;
  e->count++;
  e->why = why;
  e->identity = s->identity;
  dtls_session_end(e->all, s, DTLS_END_LOCAL); /* is ending already */
  e->sealed = dtls_session_seal(e->all, s, DTLS_ALERT, copal_span_str("bye"),
                                (copal_mspan){e->alert.bytes, sizeof e->alert.bytes});
  e->alert.size = e->sealed > 0 ? (size_t)e->sealed : 0;
}

static void limit_evicts_the_session_used_longest_ago(void **state)
{
  (void)state;
  ends e = {.hook = {note_end}};
  dtls_sessions *all = e.all =
      fixture_open((dtls_sessions_cfg){.max = 3, .handshake_max = 1, .on_end = &e.hook});
  fixture_peer peers[5];
  for (uint32_t i = 0; i < 3; i++) {
    peers[i] = fixture_peer_at(i + 1, true, 4);
    fixture_join(all, &peers[i], start + i * COPAL_SECOND);
  }
  assert_int_equal(fixture_say(all, &peers[0], start + 5 * COPAL_SECOND), COPAL_OK);
  peers[3] = fixture_peer_at(4, true, 4);
  fixture_join(all, &peers[3], start + 6 * COPAL_SECOND);
  assert_int_equal(e.count, 1);
  assert_int_equal(e.why, DTLS_END_EVICTED);
  assert_int_equal(e.identity, 2);
  assert_true(fixture_hears(&peers[1], &e.alert, "bye"));
  assert_int_equal(dtls_sessions_count(all), 3);
  assert_int_equal(dtls_sessions_stats_now(all)->ended[DTLS_END_EVICTED], 1);
  assert_int_equal(fixture_say(all, &peers[1], start + 6 * COPAL_SECOND), COPAL_ENOTFOUND);
  assert_int_equal(dtls_sessions_stats_now(all)->rx_unknown_cid, 1);
  assert_int_equal(fixture_say(all, &peers[0], start + 6 * COPAL_SECOND), COPAL_OK);
  assert_null(dtls_session_of(all, peers[1].number));
  dtls_sessions_close(all);
}

static void idle_sessions_end_a_few_at_a_time(void **state)
{
  (void)state;
  ends e = {.hook = {note_end}};
  dtls_sessions *all = e.all = fixture_open(
      (dtls_sessions_cfg){.max = 20, .handshake_max = 1, .idle_s = 60, .on_end = &e.hook});
  fixture_peer peers[10];
  assert_true(dtls_sessions_next_sweep(all) == COPAL_NEVER);
  for (uint32_t i = 0; i < 10; i++) {
    peers[i] = fixture_peer_at(i, true, 0);
    fixture_join(all, &peers[i], start);
  }
  const copal_time due = dtls_sessions_next_sweep(all);
  assert_true(due >= start + 60 * COPAL_SECOND && due <= start + 61 * COPAL_SECOND);
  assert_int_equal(fixture_say(all, &peers[4], due - 1), COPAL_OK);
  assert_int_equal(dtls_sessions_sweep(all, due - 1), 0);
  assert_int_equal(dtls_sessions_sweep(all, due), 4);
  assert_int_equal(dtls_sessions_sweep(all, due), 4);
  assert_int_equal(dtls_sessions_sweep(all, due), 1);
  assert_int_equal(dtls_sessions_count(all), 1);
  assert_int_equal(e.count, 9);
  assert_int_equal(e.why, DTLS_END_IDLE);
  assert_non_null(dtls_session_of(all, peers[4].number));
  dtls_sessions_reload(all, &(dtls_sessions_cfg){.idle_s = 0});
  assert_true(dtls_sessions_next_sweep(all) == COPAL_NEVER);
  assert_int_equal(dtls_sessions_sweep(all, due * 100), 0);
  dtls_sessions_close(all);
}

static void ended_session_is_wiped_and_its_names_mean_nothing(void **state)
{
  (void)state;
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 2, .handshake_max = 1});
  fixture_peer p = fixture_peer_at(1, true, 20);
  dtls_session *s = fixture_join(all, &p, start);
  const uint32_t generation = s->generation;
  dtls_session_end(all, s, DTLS_END_PEER);
  dtls_session_end(all, s, DTLS_END_PEER);
  dtls_session zero = {.generation = generation + 1};
  assert_memory_equal(s, &zero, sizeof zero);
  assert_null(dtls_session_of(all, p.number));
  assert_null(dtls_session_by_cid(all, copal_span_of(p.cid, sizeof p.cid)));
  assert_null(dtls_session_by_path(all, &p.path, DTLS_SESSION_UP));
  assert_int_equal(dtls_sessions_stats_now(all)->ended[DTLS_END_PEER], 1);
  dtls_sessions_close(all);
}

static void slots_rest_and_numbers_come_again_late(void **state)
{
  (void)state;
  enum { MAX = 4, HANDSHAKES = 2, SLOTS = MAX + HANDSHAKES };
  dtls_sessions *all = fixture_open(
      (dtls_sessions_cfg){.max = MAX, .handshake_max = HANDSHAKES, .seed = 0x12345678});
  uint32_t slots[SLOTS * 50], *numbers = calloc(SLOTS * 50, sizeof *numbers);
  assert_non_null(numbers);
  for (uint32_t i = 0; i < SLOTS * 50; i++) {
    fixture_peer p = fixture_peer_at(i, true, 0);
    dtls_session *s = fixture_join(all, &p, start);
    slots[i] = dtls_session_slot(all, s);
    numbers[i] = p.number;
    assert_int_not_equal(p.number, 0);
    for (uint32_t j = 0; j < i; j++)
      assert_int_not_equal(numbers[j], numbers[i]);
    dtls_session_end(all, s, DTLS_END_PEER);
    if (i >= SLOTS)
      assert_int_equal(slots[i], slots[i - SLOTS]); /* all others were used in between */
  }
  free(numbers);
  dtls_sessions_close(all);
}

/* A new process that has the key of CIDs, but not the sessions, gives other CIDs. */
static void generations_begin_at_random(void **state)
{
  (void)state;
  fixture_peer a = fixture_peer_at(1, true, 0), b = a;
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 4, .handshake_max = 2, .seed = 1});
  fixture_join(all, &a, start);
  dtls_sessions_close(all);
  all = fixture_open((dtls_sessions_cfg){.max = 4, .handshake_max = 2, .seed = 2});
  fixture_join(all, &b, start);
  assert_memory_not_equal(a.cid, b.cid, sizeof a.cid);
  assert_null(dtls_session_by_cid(all, copal_span_of(a.cid, sizeof a.cid)));
  assert_null(dtls_session_of(all, a.number));
  dtls_sessions_close(all);
}

static void cids_of_others_are_unknown(void **state)
{
  (void)state;
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 100, .handshake_max = 2});
  fixture_peer p = fixture_peer_at(1, true, 0);
  fixture_join(all, &p, start);
  for (size_t bit = 0; bit < 8 * sizeof p.cid; bit++) {
    p.cid[bit / 8] ^= (uint8_t)(1 << bit % 8);
    assert_null(dtls_session_by_cid(all, copal_span_of(p.cid, sizeof p.cid)));
    p.cid[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  assert_null(dtls_session_by_cid(all, copal_span_of(p.cid, sizeof p.cid - 1)));
  assert_int_equal(dtls_sessions_stats_now(all)->rx_unknown_cid, 8 * sizeof p.cid + 1);
  assert_non_null(dtls_session_by_cid(all, copal_span_of(p.cid, sizeof p.cid)));
  dtls_sessions_close(all);
}

static void rfc6347_4_2_8_new_session_replaces_the_old_one(void **state)
{
  (void)state;
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 10, .handshake_max = 2});
  fixture_peer plain = fixture_peer_at(1, false, 0), with_cid = fixture_peer_at(1, true, 0);
  fixture_peer stranger = with_cid, again = plain;
  fixture_join(all, &plain, start);
  fixture_join(all, &with_cid, start);
  dtls_session *s = fixture_join(all, &stranger, start);
  s->identity = 77; /* a translator gave the address to somebody else */
  s = fixture_join(all, &again, start);
  assert_int_equal(dtls_session_replace_others(all, s), 2);
  assert_null(dtls_session_of(all, plain.number));
  assert_null(dtls_session_of(all, with_cid.number)); /* the same identity has come back */
  assert_non_null(dtls_session_of(all, stranger.number));
  assert_int_equal(fixture_say(all, &stranger, start), COPAL_OK);
  assert_int_equal(dtls_sessions_stats_now(all)->ended[DTLS_END_REPLACED], 2);
  s->identity = 0;
  dtls_session_of(all, stranger.number)->identity = 0;
  assert_int_equal(dtls_session_replace_others(all, s), 0); /* nobody is not the same as nobody */
  dtls_sessions_close(all);
}

static void rfc9146_3_cids_of_peers_have_any_length(void **state)
{
  (void)state;
  enum { LONG = 3 };
  dtls_sessions *all =
      fixture_open((dtls_sessions_cfg){.max = 300, .handshake_max = 1, .long_cid_max = LONG});
  fixture_peer peers[LONG];
  fixture_wire w;
  for (uint32_t round = 0; round < 3; round++) {
    for (uint32_t i = 0; i < LONG; i++) {
      peers[i] = fixture_peer_at(i, true, DTLS_CID_MAX - i);
      memset(peers[i].own_cid, (int)(round * 16 + i), sizeof peers[i].own_cid);
      assert_true(dtls_sessions_has_room_for_cid(all, DTLS_CID_MAX - i));
      assert_non_null(fixture_join(all, &peers[i], start));
    }
    assert_false(dtls_sessions_has_room_for_cid(all, 21));
    assert_true(dtls_sessions_has_room_for_cid(all, 20));
    fixture_peer late = fixture_peer_at(9, true, 21);
    assert_null(fixture_join(all, &late, start));
    assert_int_equal(dtls_sessions_stats_now(all)->no_long_cid, round + 1);
    for (uint32_t i = 0; i < LONG; i++) {
      assert_true(fixture_answer(all, peers[i].number, "hi", &w) > 0);
      assert_true(fixture_hears(&peers[i], &w, "hi"));
      dtls_session_end(all, dtls_session_of(all, peers[i].number), DTLS_END_PEER);
    }
  }
  assert_false(dtls_sessions_has_room_for_cid(all, DTLS_CID_MAX + 1));
  dtls_sessions_close(all);
}

/* --------------------------------------------------------------------------------------- restoring
 */

static void restored_session_keeps_slot_number_and_cid(void **state)
{
  (void)state;
  const dtls_sessions_cfg cfg = {.max = 100, .handshake_max = 10, .long_cid_max = 20, .seed = 5};
  dtls_sessions *old = fixture_open(cfg), *all = fixture_open(cfg);
  fixture_peer peers[30];
  for (uint32_t i = 0; i < 30; i++) {
    peers[i] = fixture_peer_at(i, true, i);
    fixture_join(old, &peers[i], start);
  }
  for (uint32_t i = 30; i-- > 0;) {
    dtls_session *was = dtls_session_of(old, peers[i].number), *is;
    const dtls_restored r = {dtls_session_slot(old, was), was, dtls_session_peer_cid(old, was), i};
    assert_int_equal(dtls_session_restore(all, &r, &is, start), COPAL_OK);
    assert_int_equal(dtls_session_number(all, is), peers[i].number);
    assert_int_equal(is->local, 0);
  }
  dtls_sessions_settle(all);
  for (uint32_t i = 0; i < 30; i++)
    assert_int_equal(fixture_say(all, &peers[i], start), COPAL_OK);
  assert_int_equal(dtls_sessions_stats_now(all)->restored, 30);
  fixture_peer fresh = fixture_peer_at(99, true, 0);
  assert_non_null(fixture_join(all, &fresh, start));
  dtls_sessions_close(old);
  dtls_sessions_close(all);
}

static void restored_sessions_are_in_order_of_use(void **state)
{
  (void)state;
  static const uint32_t idle[] = {30, 10, 50, 20, 50, 0, 40};
  enum { COUNT = sizeof idle / sizeof idle[0] };
  const dtls_sessions_cfg cfg = {.max = 20, .handshake_max = 1, .idle_s = 60};
  dtls_sessions *old = fixture_open(cfg), *all = fixture_open(cfg);
  fixture_peer peers[COUNT];
  for (uint32_t i = 0; i < COUNT; i++) {
    peers[i] = fixture_peer_at(i, true, 0);
    dtls_session *was = fixture_join(old, &peers[i], start), *is;
    const dtls_restored r = {dtls_session_slot(old, was), was, copal_span_none(), idle[i]};
    assert_int_equal(dtls_session_restore(all, &r, &is, start), COPAL_OK);
  }
  dtls_sessions_settle(all);
  for (uint32_t age = 60; age-- > 0;) {
    uint32_t expected = 0;
    for (uint32_t i = 0; i < COUNT; i++)
      expected += idle[i] < age;
    while (dtls_sessions_sweep(all, start + (61 - age) * COPAL_SECOND) > 0)
      continue;
    assert_int_equal(dtls_sessions_count(all), expected);
  }
  dtls_sessions_close(old);
  dtls_sessions_close(all);
}

/* Two shards become one: sessions whose slots are taken live in others, under their CIDs. */
static void rfc9146_3_merged_sessions_keep_their_cids(void **state)
{
  (void)state;
  enum { COUNT = 40 };
  const dtls_sessions_cfg cfg = {.max = 64, .handshake_max = 1, .seed = 1};
  dtls_sessions *shards[2] = {fixture_open(cfg), fixture_open(cfg)};
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 2 * COUNT, .handshake_max = 1});
  fixture_peer peers[2 * COUNT];
  unsigned moved = 0;
  for (uint32_t i = 0; i < 2 * COUNT; i++) {
    dtls_sessions *from = shards[i % 2];
    peers[i] = fixture_peer_at(i, true, 3);
    dtls_session *was = fixture_join(from, &peers[i], start), *is;
    was->lane = (uint8_t)(i % 2);
    dtls_session_cid(from, was, peers[i].cid);
    const dtls_restored r = {dtls_session_slot(from, was), was, dtls_session_peer_cid(from, was),
                             0};
    assert_int_equal(dtls_session_restore(all, &r, &is, start), COPAL_OK);
    moved += (is->flags & DTLS_SESSION_ALIAS) != 0;
    peers[i].number = dtls_session_number(all, is);
  }
  dtls_sessions_settle(all);
  assert_true(moved >= COUNT);
  fixture_wire w;
  for (uint32_t i = 0; i < 2 * COUNT; i++) {
    uint8_t cid[DTLS_CID_SIZE];
    assert_int_equal(fixture_say(all, &peers[i], start), COPAL_OK);
    assert_true(fixture_answer(all, peers[i].number, "hi", &w) > 0);
    assert_true(fixture_hears(&peers[i], &w, "hi"));
    dtls_session *s = dtls_session_of(all, peers[i].number);
    dtls_session_cid(all, s, cid);
    assert_memory_equal(cid, peers[i].cid, sizeof cid);
  }
  for (uint32_t i = 0; i < 2 * COUNT; i++) {
    dtls_session_end(all, dtls_session_of(all, peers[i].number), DTLS_END_LOCAL);
    for (uint32_t j = 0; j < 2 * COUNT; j++)
      assert_int_equal(fixture_say(all, &peers[j], start), j <= i ? COPAL_ENOTFOUND : COPAL_OK);
  }
  dtls_sessions_close(shards[0]);
  dtls_sessions_close(shards[1]);
  dtls_sessions_close(all);
}

static void restoring_what_cannot_be_is_refused(void **state)
{
  (void)state;
  dtls_sessions *all =
      fixture_open((dtls_sessions_cfg){.max = 1, .handshake_max = 1, .long_cid_max = 1});
  const dtls_session good = {.aead = DTLS_AES_128_CCM_8, .tx_seq = 1};
  uint8_t cid[DTLS_CID_MAX + 1] = {0};
  dtls_session image = good, *s;
  dtls_restored r = {.slot = 0, .image = &image};
  image.aead = 9;
  assert_int_equal(dtls_session_restore(all, &r, &s, start), COPAL_EINVAL);
  image = good;
  image.tx_seq = DTLS_SEQ_MAX + 1;
  assert_int_equal(dtls_session_restore(all, &r, &s, start), COPAL_EINVAL);
  image = good;
  image.window.top = DTLS_SEQ_MAX + 2;
  assert_int_equal(dtls_session_restore(all, &r, &s, start), COPAL_EINVAL);
  image = good;
  r.slot = DTLS_SESSION_MAX;
  assert_int_equal(dtls_session_restore(all, &r, &s, start), COPAL_EINVAL);
  r.slot = 0;
  r.peer_cid = copal_span_of(cid, sizeof cid);
  assert_int_equal(dtls_session_restore(all, &r, &s, start), COPAL_EINVAL);
  r.peer_cid.len = 30;
  assert_int_equal(dtls_session_restore(all, &r, &s, start), COPAL_OK);
  r.slot = 1;
  assert_int_equal(dtls_session_restore(all, &r, &s, start), COPAL_ENOSLOT); /* max is reached */
  dtls_session_end(all, s, DTLS_END_LOCAL);
  assert_int_equal(dtls_session_restore(all, &r, &s, start), COPAL_OK);
  dtls_sessions_close(all);
}

/* ------------------------------------------------------------------------------------------ random
 */

enum { MODEL = 64, HOSTS = 24 };

/* What should be there, beside the table. */
typedef struct model {
  fixture_peer peers[MODEL];
  copal_time used[MODEL]; /* 0: ended */
  unsigned count;
} model;

static void forget_gone(model *m, dtls_sessions *all)
{
  for (unsigned i = 0; i < MODEL; i++)
    if (m->used[i] != 0 && dtls_session_of(all, m->peers[i].number) == NULL) {
      m->used[i] = 0;
      m->count--;
    }
}

static void check(const model *m, dtls_sessions *all)
{
  assert_int_equal(dtls_sessions_count(all), m->count);
  unsigned walked = 0;
  for (const dtls_session *s = dtls_session_from_slot(all, 0); s != NULL;
       s = dtls_session_from_slot(all, dtls_session_slot(all, s) + 1))
    walked++;
  assert_int_equal(walked, m->count);
  for (unsigned i = 0; i < MODEL; i++) {
    if (m->used[i] == 0)
      continue;
    const fixture_peer *p = &m->peers[i];
    dtls_session *s = dtls_session_of(all, p->number);
    assert_ptr_equal(dtls_session_by_cid(all, copal_span_of(p->cid, sizeof p->cid)), s);
    assert_memory_equal(&s->remote, &p->path.remote, sizeof s->remote);
    assert_non_null(dtls_session_by_path(all, &p->path, DTLS_SESSION_UP));
    assert_int_equal(s->last_use, m->used[i] / COPAL_SECOND);
  }
}

/* The one that was used longest ago, or another of the same second. */
static void step_join(model *m, dtls_sessions *all, copal_time now)
{
  const unsigned i = fixture_random(MODEL);
  copal_time oldest = COPAL_NEVER;
  if (m->used[i] != 0)
    return;
  for (unsigned j = 0; j < MODEL; j++)
    if (m->used[j] != 0 && m->used[j] < oldest)
      oldest = m->used[j];
  const uint64_t evicted = dtls_sessions_stats_now(all)->ended[DTLS_END_EVICTED];
  m->peers[i] = fixture_peer_at(fixture_random(HOSTS), true, fixture_random(30));
  assert_non_null(fixture_join(all, &m->peers[i], now));
  m->used[i] = now;
  m->count++;
  if (dtls_sessions_stats_now(all)->ended[DTLS_END_EVICTED] == evicted)
    return;
  for (unsigned j = 0; j < MODEL; j++)
    if (m->used[j] != 0 && dtls_session_of(all, m->peers[j].number) == NULL)
      assert_int_equal(m->used[j] / COPAL_SECOND, oldest / COPAL_SECOND);
}

static void step(model *m, dtls_sessions *all, copal_time now)
{
  const unsigned i = fixture_random(MODEL);
  switch (fixture_random(8)) {
  case 0:
  case 1:
  case 2: step_join(m, all, now); break;
  case 3:
    if (m->used[i] != 0)
      dtls_session_end(all, dtls_session_of(all, m->peers[i].number), DTLS_END_PEER);
    break;
  case 4:
    if (m->used[i] != 0) /* it moves, perhaps to where others are */
      m->peers[i].path = fixture_path(fixture_random(HOSTS));
    /* fall through */
  case 5:
  case 6:
    if (m->used[i] != 0) {
      assert_int_equal(fixture_say(all, &m->peers[i], now), COPAL_OK);
      m->used[i] = now;
    }
    break;
  default: dtls_sessions_sweep(all, now); break;
  }
}

static void table_agrees_with_a_list_under_random_operations(void **state)
{
  (void)state;
  static model m;
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){
      .max = 40, .handshake_max = 3, .idle_s = 30, .long_cid_max = 41, .seed = 9});
  copal_time now = start;
  for (int i = 0; i < 20000; i++) {
    now += fixture_random(i % 4000 < 2000 ? COPAL_SECOND / 16 : 4 * COPAL_SECOND);
    step(&m, all, now);
    forget_gone(&m, all);
    if (i % 50 == 0)
      check(&m, all);
  }
  const dtls_sessions_stats *stats = dtls_sessions_stats_now(all);
  assert_true(stats->ended[DTLS_END_EVICTED] > 50);
  assert_true(stats->ended[DTLS_END_IDLE] > 50);
  assert_true(stats->moved > 500);
  while (dtls_sessions_sweep(all, now + 100 * COPAL_SECOND) > 0)
    continue;
  assert_int_equal(dtls_sessions_count(all), 0);
  uint64_t ended = 0;
  for (int why = 0; why < DTLS_END_COUNT; why++)
    ended += stats->ended[why];
  assert_int_equal(ended, stats->established);
  dtls_sessions_close(all);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(limits_out_of_range_are_refused),
      cmocka_unit_test(session_is_found_by_cid_path_and_number),
      cmocka_unit_test(local_addresses_are_compared_where_both_are_known),
      cmocka_unit_test(handshakes_are_limited_and_evict_nobody),
      cmocka_unit_test(establishing_with_what_cannot_be_leaves_the_handshake),
      cmocka_unit_test(limit_evicts_the_session_used_longest_ago),
      cmocka_unit_test(idle_sessions_end_a_few_at_a_time),
      cmocka_unit_test(ended_session_is_wiped_and_its_names_mean_nothing),
      cmocka_unit_test(slots_rest_and_numbers_come_again_late),
      cmocka_unit_test(generations_begin_at_random),
      cmocka_unit_test(cids_of_others_are_unknown),
      cmocka_unit_test(rfc6347_4_2_8_new_session_replaces_the_old_one),
      cmocka_unit_test(rfc9146_3_cids_of_peers_have_any_length),
      cmocka_unit_test(restored_session_keeps_slot_number_and_cid),
      cmocka_unit_test(restored_sessions_are_in_order_of_use),
      cmocka_unit_test(rfc9146_3_merged_sessions_keep_their_cids),
      cmocka_unit_test(restoring_what_cannot_be_is_refused),
      cmocka_unit_test(table_agrees_with_a_list_under_random_operations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
