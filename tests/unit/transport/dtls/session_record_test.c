/* SPDX-License-Identifier: Apache-2.0 */
/* Records of established sessions: form, replay, forgery, address, numbers. RFC 6347 sections
 * 4.1.2.6 and 4.1.2.7, RFC 9146 sections 3 and 6. */
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

static dtls_sessions *open_table(void)
{
  return fixture_open((dtls_sessions_cfg){.max = 100, .handshake_max = 10});
}

static const dtls_session *session_of(const dtls_sessions *all, const fixture_peer *p)
{
  return dtls_session_of(all, p->number);
}

/* ------------------------------------------------------------------------------------ both ways */

static void records_go_both_ways_in_each_form(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  for (uint32_t i = 0; i < 24; i++) {
    fixture_peer p = fixture_peer_at(i, i % 2 == 0, i % 4 * 6);
    dtls_opened opened;
    fixture_wire w;
    fixture_join(all, &p, start);
    for (int round = 0; round < 3; round++) {
      w = fixture_seal(&p, DTLS_APPLICATION_DATA, "ping");
      assert_int_equal(fixture_deliver(all, &w, &p.path, &opened, start), COPAL_OK);
      assert_int_equal(opened.content.type, DTLS_APPLICATION_DATA);
      assert_true(copal_span_is_equal(opened.content.bytes, copal_span_str("ping")));
      assert_true(opened.is_newest);
      assert_false(opened.is_moved);
      const int size = fixture_answer(all, p.number, "pong", &w);
      assert_int_equal(size, 4 + dtls_session_overhead(session_of(all, &p)));
      assert_true(fixture_hears(&p, &w, "pong"));
      assert_false(fixture_hears(&p, &w, "pong"));
    }
    assert_int_equal(session_of(all, &p)->tx_seq, 4);
  }
  assert_int_equal(dtls_sessions_stats_now(all)->rx_records, 72);
  assert_int_equal(dtls_sessions_stats_now(all)->tx_records, 72);
  dtls_sessions_close(all);
}

static void application_data_confirms_the_handshake(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 0);
  fixture_join(all, &p, start);
  fixture_wire w = fixture_seal(&p, DTLS_HANDSHAKE, "Finished, again");
  assert_int_equal(fixture_deliver(all, &w, &p.path, NULL, start), COPAL_OK);
  assert_int_equal(session_of(all, &p)->flags & DTLS_SESSION_CONFIRMED, 0);
  assert_int_equal(fixture_say(all, &p, start), COPAL_OK);
  assert_int_not_equal(session_of(all, &p)->flags & DTLS_SESSION_CONFIRMED, 0);
  dtls_sessions_close(all);
}

/* ------------------------------------------------------------------------------------- discarding
 */

static void rfc9146_3_plain_record_is_invalid_where_a_cid_was_agreed_on(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer with = fixture_peer_at(1, true, 0), without = fixture_peer_at(2, false, 0);
  fixture_join(all, &with, start);
  fixture_join(all, &without, start);
  with.has_cid = false;
  assert_int_equal(fixture_say(all, &with, start), COPAL_EFORMAT);
  with.has_cid = true;
  without.has_cid = true;
  assert_int_equal(fixture_say(all, &without, start), COPAL_EFORMAT);
  assert_int_equal(dtls_sessions_stats_now(all)->rx_form, 2);
  assert_int_equal(dtls_sessions_stats_now(all)->rx_forged, 0);
  assert_int_equal(fixture_say(all, &with, start), COPAL_OK);
  dtls_sessions_close(all);
}

static void records_of_other_epochs_are_discarded(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, false, 0);
  fixture_join(all, &p, start);
  fixture_wire w = fixture_seal(&p, DTLS_HANDSHAKE, "x");
  w.bytes[4] = 0;
  assert_int_equal(fixture_deliver(all, &w, &p.path, NULL, start), COPAL_EFORMAT);
  w.bytes[4] = 2;
  assert_int_equal(fixture_deliver(all, &w, &p.path, NULL, start), COPAL_EFORMAT);
  assert_int_equal(dtls_sessions_stats_now(all)->rx_epoch, 2);
  w.bytes[4] = 1;
  assert_int_equal(fixture_deliver(all, &w, &p.path, NULL, start), COPAL_OK);
  dtls_sessions_close(all);
}

static void rfc6347_4_1_2_6_replayed_record_is_discarded(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 0);
  fixture_wire sent[DTLS_WINDOW + 2];
  fixture_join(all, &p, start);
  for (size_t i = 0; i < DTLS_WINDOW + 2; i++)
    sent[i] = fixture_seal(&p, DTLS_APPLICATION_DATA, "x");
  assert_int_equal(fixture_deliver(all, &sent[DTLS_WINDOW + 1], &p.path, NULL, start), COPAL_OK);
  for (size_t i = 2; i < DTLS_WINDOW + 1; i++)
    assert_int_equal(fixture_deliver(all, &sent[i], &p.path, NULL, start), COPAL_OK);
  for (size_t i = 0; i < DTLS_WINDOW + 2; i++) /* seen, or too old */
    assert_int_equal(fixture_deliver(all, &sent[i], &p.path, NULL, start), COPAL_EFORMAT);
  assert_int_equal(dtls_sessions_stats_now(all)->rx_replayed, DTLS_WINDOW + 2);
  dtls_sessions_close(all);
}

static void rfc6347_4_1_2_6_forged_record_does_not_move_the_window(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 0);
  fixture_join(all, &p, start);
  const fixture_wire good = fixture_seal(&p, DTLS_APPLICATION_DATA, "x");
  fixture_wire bad = good;
  const dtls_session before = *session_of(all, &p);
  bad.bytes[5] = 0x7f; /* a number far ahead */
  const copal_path elsewhere = fixture_path(200);
  assert_int_equal(fixture_deliver(all, &bad, &elsewhere, NULL, start + 60 * COPAL_SECOND),
                   COPAL_EFORMAT);
  dtls_session expected = before;
  expected.forgeries = 1;
  assert_memory_equal(session_of(all, &p), &expected, sizeof expected);
  assert_int_equal(fixture_deliver(all, &good, &p.path, NULL, start), COPAL_OK);
  dtls_sessions_close(all);
}

static void forgeries_end_the_session_at_their_limit(void **state)
{
  (void)state;
  dtls_sessions *all =
      fixture_open((dtls_sessions_cfg){.max = 10, .handshake_max = 1, .forgery_max = 50});
  fixture_peer p = fixture_peer_at(1, true, 0);
  fixture_join(all, &p, start);
  fixture_wire w = fixture_seal(&p, DTLS_APPLICATION_DATA, "x");
  w.bytes[w.size - 1] ^= 1;
  for (int i = 1; i < 50; i++)
    assert_int_equal(fixture_deliver(all, &w, &p.path, NULL, start), COPAL_EFORMAT);
  assert_int_equal(fixture_deliver(all, &w, &p.path, NULL, start), COPAL_ENOTFOUND);
  assert_int_equal(dtls_sessions_stats_now(all)->ended[DTLS_END_FORGED], 1);
  assert_int_equal(dtls_sessions_stats_now(all)->rx_forged, 50);
  assert_null(dtls_session_of(all, p.number));
  dtls_sessions_close(all);
}

/* ---------------------------------------------------------------------------------------- address
 */

static void rfc9146_6_newest_authentic_record_moves_the_peer(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 0);
  fixture_join(all, &p, start);
  const copal_path old = p.path, new = fixture_path(77);
  const fixture_wire late = fixture_seal(&p, DTLS_APPLICATION_DATA, "late");
  const fixture_wire first = fixture_seal(&p, DTLS_APPLICATION_DATA, "first");
  dtls_opened opened;
  assert_int_equal(fixture_deliver(all, &first, &new, &opened, start), COPAL_OK);
  assert_true(opened.is_moved);
  assert_memory_equal(&session_of(all, &p)->remote, &new.remote, sizeof new.remote);
  assert_ptr_equal(dtls_session_by_path(all, &new, DTLS_SESSION_UP), session_of(all, &p));
  assert_null(dtls_session_by_path(all, &old, DTLS_SESSION_UP));
  assert_true(dtls_session_is_address_unproven(session_of(all, &p)));
  /* What was sent before is passed on, and moves nothing. */
  assert_int_equal(fixture_deliver(all, &late, &old, &opened, start), COPAL_OK);
  assert_false(opened.is_moved || opened.is_newest);
  assert_memory_equal(&session_of(all, &p)->remote, &new.remote, sizeof new.remote);
  /* A replay from elsewhere moves nothing. */
  const copal_path elsewhere = fixture_path(78);
  assert_int_equal(fixture_deliver(all, &first, &elsewhere, NULL, start), COPAL_EFORMAT);
  assert_memory_equal(&session_of(all, &p)->remote, &new.remote, sizeof new.remote);
  assert_int_equal(dtls_sessions_stats_now(all)->moved, 1);
  dtls_sessions_close(all);
}

static void rfc9146_6_session_without_cid_does_not_move(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, false, 0);
  dtls_session *s = fixture_join(all, &p, start);
  const fixture_wire w = fixture_seal(&p, DTLS_APPLICATION_DATA, "x");
  const copal_path elsewhere = fixture_path(78);
  uint8_t room[FIXTURE_WIRE_MAX];
  dtls_record rec;
  dtls_opened opened;
  copal_rd r = copal_rd_init(copal_span_of(w.bytes, w.size));
  assert_true(dtls_record_next(&r, DTLS_CID_SIZE, &rec));
  const dtls_arrival a = {&rec, &elsewhere, {room, sizeof room}};
  assert_int_equal(dtls_session_open(all, s, &a, &opened, start), COPAL_OK);
  assert_false(opened.is_moved);
  assert_memory_equal(&s->remote, &p.path.remote, sizeof s->remote);
  dtls_sessions_close(all);
}

static void new_local_address_is_no_move(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 0);
  fixture_join(all, &p, start);
  p.path.local = 9;
  assert_int_equal(fixture_say(all, &p, start), COPAL_OK);
  assert_int_equal(session_of(all, &p)->local, 9);
  assert_false(dtls_session_is_address_unproven(session_of(all, &p)));
  dtls_sessions_close(all);
}

static void rfc9146_6_unproven_address_gets_three_times_what_it_sent(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 0);
  static const char big[] =
      "0123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789";
  dtls_session *s = fixture_join(all, &p, start);
  fixture_wire w;
  for (int i = 0; i < 10; i++)
    assert_true(fixture_answer(all, p.number, big, &w) > 0); /* proven by the handshake */
  const fixture_wire small = fixture_seal(&p, DTLS_APPLICATION_DATA, "hi");
  p.path = fixture_path(77);
  assert_int_equal(fixture_deliver(all, &small, &p.path, NULL, start), COPAL_OK);
  const uint64_t seq = s->tx_seq;
  size_t sent = 0;
  assert_int_equal(fixture_answer(all, p.number, big, &w), COPAL_EAGAIN);
  assert_int_equal(s->tx_seq, seq);
  for (int size; (size = fixture_answer(all, p.number, "small", &w)) > 0;) {
    assert_true(fixture_hears(&p, &w, "small"));
    sent += (size_t)size;
  }
  assert_true(sent > 2 * small.size && sent <= 3 * small.size);
  assert_true(dtls_sessions_stats_now(all)->tx_unproven == 2);
  /* More from there earns more; from elsewhere it does not. */
  const fixture_wire third = fixture_seal(&p, DTLS_APPLICATION_DATA, "third");
  assert_int_equal(fixture_say(all, &p, start), COPAL_OK);
  assert_true(fixture_answer(all, p.number, "small", &w) > 0);
  const uint16_t credit = s->credit;
  const copal_path elsewhere = fixture_path(78);
  assert_int_equal(fixture_deliver(all, &third, &elsewhere, NULL, start), COPAL_OK);
  assert_int_equal(s->credit, credit);
  dtls_session_prove(all, s, false);
  assert_false(dtls_session_is_address_unproven(s));
  for (int i = 0; i < 10; i++)
    assert_true(fixture_answer(all, p.number, big, &w) > 0);
  assert_int_equal(dtls_sessions_stats_now(all)->proven, 1);
  dtls_session_prove(all, s, true);
  assert_int_equal(dtls_sessions_stats_now(all)->proven, 1);
  dtls_sessions_close(all);
}

static void rfc9146_6_moving_again_begins_anew(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 0);
  dtls_session *s = fixture_join(all, &p, start);
  for (int i = 0; i < 2000; i++)
    assert_int_equal(fixture_say(all, &p, start), COPAL_OK);
  assert_int_equal(s->credit, UINT16_MAX);
  for (uint32_t i = 0; i < 3; i++) {
    p.path = fixture_path(50 + i);
    const fixture_wire w = fixture_seal(&p, DTLS_APPLICATION_DATA, "hi");
    assert_int_equal(fixture_deliver(all, &w, &p.path, NULL, start), COPAL_OK);
    assert_int_equal(s->credit, 3 * w.size);
    assert_true(dtls_session_is_address_unproven(s));
  }
  dtls_sessions_close(all);
}

/* ---------------------------------------------------------------------------------------- numbers
 */

static void sealing_without_room_uses_nothing_up(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 0);
  dtls_session *s = fixture_join(all, &p, start);
  uint8_t room[64];
  const copal_span text = copal_span_str("hello");
  const copal_mspan small = {room, text.len + dtls_session_overhead(s) - 1};
  assert_int_equal(dtls_session_seal(all, s, DTLS_APPLICATION_DATA, text, small), COPAL_ENOSPC);
  assert_int_equal(s->tx_seq, 1);
  static uint8_t huge[DTLS_CONTENT_MAX + 1];
  assert_int_equal(dtls_session_seal(all, s, DTLS_APPLICATION_DATA,
                                     copal_span_of(huge, sizeof huge),
                                     (copal_mspan){room, sizeof room}),
                   COPAL_EINVAL);
  assert_int_equal(s->tx_seq, 1);
  const copal_path path = fixture_path(9);
  dtls_session *hs = dtls_session_take(all, &path, 0);
  assert_int_equal(dtls_session_seal(all, hs, DTLS_ALERT, text, (copal_mspan){room, sizeof room}),
                   COPAL_EINVAL);
  dtls_sessions_close(all);
}

static void rfc6347_4_1_session_ends_before_its_numbers_do(void **state)
{
  (void)state;
  dtls_sessions *all =
      fixture_open((dtls_sessions_cfg){.max = 10, .handshake_max = 1, .seal_max = 20});
  fixture_peer p = fixture_peer_at(1, true, 0);
  fixture_wire w;
  fixture_join(all, &p, start);
  for (int i = 1; i < 20; i++)
    assert_true(fixture_answer(all, p.number, "x", &w) > 0);
  assert_int_equal(fixture_answer(all, p.number, "x", &w), COPAL_ENOTFOUND);
  assert_null(dtls_session_of(all, p.number));
  assert_int_equal(dtls_sessions_stats_now(all)->ended[DTLS_END_EXHAUSTED], 1);
  dtls_sessions_close(all);
}

static void rfc9175_2_3_proof_shuts_the_window_of_a_stale_session(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 0);
  dtls_session *s = fixture_join(all, &p, start);
  s->flags |= DTLS_SESSION_STALE;
  const fixture_wire before = fixture_seal(&p, DTLS_APPLICATION_DATA, "before the crash");
  assert_int_equal(fixture_say(all, &p, start), COPAL_OK);
  assert_true(dtls_session_is_stale(s));
  dtls_session_prove(all, s, true);
  assert_false(dtls_session_is_stale(s));
  assert_int_equal(fixture_deliver(all, &before, &p.path, NULL, start), COPAL_EFORMAT);
  assert_int_equal(dtls_sessions_stats_now(all)->rx_replayed, 1);
  assert_int_equal(fixture_say(all, &p, start), COPAL_OK);
  dtls_sessions_close(all);
}

static uint32_t seal_many(dtls_sessions *all, dtls_session *s, uint32_t most)
{
  uint8_t room[64];
  uint32_t count = 0;
  while (count < most && dtls_session_seal(all, s, DTLS_APPLICATION_DATA, copal_span_str("x"),
                                           (copal_mspan){room, sizeof room}) > 0)
    count++;
  return count;
}

static void session_in_a_checkpoint_stops_at_its_reservation(void **state)
{
  (void)state;
  dtls_sessions *all = open_table();
  fixture_peer p = fixture_peer_at(1, true, 0);
  dtls_session *s = fixture_join(all, &p, start);
  const uint64_t until = dtls_session_reserve(all, s);
  assert_true(until >= s->tx_seq + DTLS_SEQ_BLOCK && until <= s->tx_seq + 2 * DTLS_SEQ_BLOCK);
  dtls_sessions_reserved(all, true);
  assert_false(dtls_sessions_wants_save(all));
  s->tx_seq = DTLS_SEQ_BLOCK - 1; /* as after so many records */
  assert_int_equal(seal_many(all, s, 1), 1);
  assert_false(dtls_sessions_wants_save(all));
  assert_int_equal(seal_many(all, s, 1), 1);
  assert_true(dtls_sessions_wants_save(all));
  s->tx_seq = until - 3;
  assert_int_equal(seal_many(all, s, 10), 3);
  assert_int_equal(s->tx_seq, until);
  assert_int_equal(dtls_sessions_stats_now(all)->tx_unreserved, 1);
  /* Another checkpoint: nothing before it is on disk, or when it fails. */
  const uint64_t next = dtls_session_reserve(all, s);
  assert_true(next > until);
  assert_int_equal(seal_many(all, s, 10), 0);
  dtls_sessions_reserved(all, false);
  assert_int_equal(seal_many(all, s, 10), 0);
  assert_true(dtls_sessions_wants_save(all));
  assert_true(dtls_session_reserve(all, s) == next);
  assert_true(dtls_session_reserve(all, s) == next); /* asked twice */
  dtls_sessions_reserved(all, true);
  assert_int_equal(seal_many(all, s, 10), 10);
  s->tx_seq = next;
  assert_int_equal(seal_many(all, s, 10), 0);
  dtls_sessions_close(all);
}

static void reservation_does_not_bind_the_next_session_of_the_slot(void **state)
{
  (void)state;
  dtls_sessions *all = fixture_open((dtls_sessions_cfg){.max = 1, .handshake_max = 1});
  fixture_peer p = fixture_peer_at(1, true, 0);
  dtls_session *s = fixture_join(all, &p, start);
  const uint32_t slot = dtls_session_slot(all, s);
  dtls_session_reserve(all, s);
  dtls_sessions_reserved(all, true);
  s->tx_seq = DTLS_SEQ_BLOCK;
  dtls_session_reserve(all, s); /* to be raised */
  do {
    dtls_session_end(all, s, DTLS_END_PEER);
    s = fixture_join(all, &p, start);
  } while (dtls_session_slot(all, s) != slot);
  dtls_sessions_reserved(all, true);
  s->tx_seq = 100 * (uint64_t)DTLS_SEQ_BLOCK;
  assert_int_equal(seal_many(all, s, 10), 10);
  dtls_sessions_close(all);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(records_go_both_ways_in_each_form),
      cmocka_unit_test(application_data_confirms_the_handshake),
      cmocka_unit_test(rfc9146_3_plain_record_is_invalid_where_a_cid_was_agreed_on),
      cmocka_unit_test(records_of_other_epochs_are_discarded),
      cmocka_unit_test(rfc6347_4_1_2_6_replayed_record_is_discarded),
      cmocka_unit_test(rfc6347_4_1_2_6_forged_record_does_not_move_the_window),
      cmocka_unit_test(forgeries_end_the_session_at_their_limit),
      cmocka_unit_test(rfc9146_6_newest_authentic_record_moves_the_peer),
      cmocka_unit_test(rfc9146_6_session_without_cid_does_not_move),
      cmocka_unit_test(new_local_address_is_no_move),
      cmocka_unit_test(rfc9146_6_unproven_address_gets_three_times_what_it_sent),
      cmocka_unit_test(rfc9146_6_moving_again_begins_anew),
      cmocka_unit_test(sealing_without_room_uses_nothing_up),
      cmocka_unit_test(rfc6347_4_1_session_ends_before_its_numbers_do),
      cmocka_unit_test(rfc9175_2_3_proof_shuts_the_window_of_a_stale_session),
      cmocka_unit_test(session_in_a_checkpoint_stops_at_its_reservation),
      cmocka_unit_test(reservation_does_not_bind_the_next_session_of_the_slot),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
